package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// manyEvents fills a realm's log with entries that are alike, by one statement. They have no
// hashes that anything could follow from: for whoever measures the size and not the chain.
const manyEvents = `INSERT INTO audit_event (realm_id, seq, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $3)
	SELECT $1, i, randomblob(16), 1700000000000000 + i * 1000000, 'signed_in', CAST(substr($2, 1, 14) || char(65 + i % 26, 65 + i / 26 % 26) AS BLOB), randomblob(16),
		'senmo', '192.0.2.1', 'abcdefghijklmnop', '', '', '', randomblob(32) FROM n`

// large makes a store with a log of so many entries.
func large(t testing.TB, dir string, entries int) (realm uuid.UUID) {
	t.Helper()
	s, err := Create(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	realm = uuid.Must(uuid.NewV7())
	if _, err := s.db.ExecContext(t.Context(), manyEvents, realm[:], realm[:], entries); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO audit_head (realm_id, seq, hash, seal) VALUES ($1, $2, $3, x'')", realm[:], entries, make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	return realm
}

// TestAudit_LargeLog: what a start, an entry, and a page of a list cost does not grow with
// the log. TEST_LARGE is the number of entries to try it with; the numbers are printed.
func TestAudit_LargeLog(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a large log")
	}
	entries := 50_000
	if n, err := strconv.Atoi(os.Getenv("TEST_LARGE")); err == nil {
		entries = n
	}
	type costs struct{ open, write, page, span time.Duration }
	measure := func(entries int) (c costs) {
		dir := t.TempDir()
		realm := large(t, dir, entries)
		if info, err := os.Stat(filepath.Join(dir, DatabaseFile)); err == nil {
			t.Logf("%d entries: %d bytes each", entries, info.Size()/int64(max(1, entries)))
		}
		took := func(what func() error) (best time.Duration) {
			for i := range 9 {
				start := time.Now()
				if err := what(); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); i == 0 || d < best {
					best = d
				}
			}
			return best
		}
		c.open = took(func() error {
			s, err := Create(t.Context(), dir)
			if err != nil {
				return err
			}
			return s.Close()
		})
		s := createIn(t, dir)
		ctx := context.Background()
		c.write = took(func() error {
			return s.InTx(ctx, func(tx auth.Tx) error {
				for range 100 {
					if err := tx.InsertEvent(ctx, audit.Event{ID: newID(), RealmID: realm, At: benchNow, Kind: audit.SignedIn, Account: newID()}); err != nil {
						return err
					}
				}
				return nil
			})
		})
		c.page = took(func() error {
			list, err := s.Events(ctx, realm, auth.AuditFilter{After: int64(entries / 2), Limit: 100})
			if err == nil && len(list) != 100 {
				err = fmt.Errorf("%d entries", len(list))
			}
			return err
		})
		c.span = took(func() error {
			at := time.UnixMicro(1700000000000000 + int64(entries/2)*1000000)
			first, last, err := s.EventSpan(ctx, realm, at, at.Add(100*time.Second))
			if err == nil && last-first != 99 {
				err = fmt.Errorf("%d to %d", first, last)
			}
			return err
		})
		t.Logf("%d entries: open %s, write 100 %s, read 100 %s, find 100 by time %s", entries, c.open, c.write, c.page, c.span)
		return c
	}
	small, big := measure(1000), measure(entries)
	for name, c := range map[string][2]time.Duration{
		"open": {small.open, big.open}, "write": {small.write, big.write}, "page": {small.page, big.page}, "span": {small.span, big.span},
	} {
		if c[1] > 10*c[0]+50*time.Millisecond { // in a log that is 50 times as long, or more
			t.Errorf("%s takes %s, and %s in a small log", name, c[1], c[0])
		}
	}
}
