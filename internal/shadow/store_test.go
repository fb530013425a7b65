package shadow

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/parity"
	"github.com/ostiary/ostiary/internal/store"
)

// sometimes is a store that is away for a while.
type sometimes struct {
	*store.Store
	away bool
}

func (s *sometimes) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	if s.away {
		return errors.New("away")
	}
	return s.Store.InTx(ctx, fn)
}

// Counts outlive a store that is away, are stored once, and are deleted when they are old.
func TestTally_Flush(t *testing.T) {
	st, err := store.Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	some := &sometimes{Store: st}
	told := map[parity.Kind]int{}
	tally := New(some, slog.New(slog.DiscardHandler), func() time.Time { return now }, func(_ auth.Dialect, k parity.Kind) { told[k]++ })
	m, quiet := &auth.Mount{Dialect: "senmo", RealmID: uuid.New()}, &auth.Mount{Dialect: "senmo", RealmID: uuid.New()}
	for name, id := range map[string]uuid.UUID{"busy": m.RealmID, "quiet": quiet.RealmID} {
		if err := st.InTx(t.Context(), func(tx auth.Tx) error {
			return tx.InsertRealm(t.Context(), auth.Realm{ID: id, Name: name, RefreshKey: []byte{1}, CreatedAt: now})
		}); err != nil {
			t.Fatal(err)
		}
	}
	add := func(found ...parity.Difference) { tally.add(request("/", ""), m, "/v1/auth", found) }
	storedOf := func(m *auth.Mount) (n int64) {
		t.Helper()
		counts, err := st.Parity(t.Context(), parity.Key{Realm: m.RealmID}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			n += c.Requests
		}
		return n
	}
	stored := func() int64 { return storedOf(m) }
	some.away = true
	add(parity.Difference{Kind: parity.Status, Detail: "200 there, 403 here"})
	tally.Flush(t.Context())
	if stored() != 0 {
		t.Error("a store that is away has something")
	}
	some.away = false
	add(parity.Difference{Kind: parity.Time, Detail: parity.Paces[0]})
	for range 2 {
		tally.Flush(t.Context())
	}
	if n := stored(); n != 4 || told[parity.Status] != 1 || told[parity.Same] != 1 || told[parity.Different] != 1 {
		t.Errorf("%d are stored, and told were %v", n, told)
	}
	tally.add(request("/", ""), quiet, "/v1/auth", nil)
	tally.Flush(t.Context())
	if n := storedOf(quiet); n != 1 {
		t.Errorf("%d are stored of the realm that goes quiet", n)
	}
	now = now.Add(91 * 24 * time.Hour)
	add()
	tally.Flush(t.Context())
	if n := stored(); n != 1 {
		t.Errorf("after 91 days there are %d", n)
	}
	if n := storedOf(quiet); n != 0 {
		t.Errorf("after 91 days there are %d of the realm that is quiet", n)
	}
	now = now.Add(91 * 24 * time.Hour)
	tally.Flush(t.Context())
	if n := stored(); n != 0 {
		t.Errorf("another 91 days after the last of all there are %d", n)
	}
}
