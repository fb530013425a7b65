package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
)

// owners is how many accounts the rows that are filled in belong to: so many that those of one
// are nowhere beside each other. They need not be there.
const owners = 100_000

// fillOldSessions makes sessions like the one with an opaque token that is there, one after the
// other. Those that are old ended so long ago that they are to be deleted.
func fillOldSessions(ctx context.Context, data string, n int, old bool) (err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, store.DatabaseFile))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	days := 30
	if old {
		days = -30
	}
	values := map[string]string{
		"id":          sessionID("i / 8"),
		"account_id":  fmt.Sprintf("unhex(printf('%%032x', abs(random()) %% %d))", owners),
		"bearer_hash": "randomblob(32)",
		"expires_at":  fmt.Sprintf("(unixepoch() + %d * 86400) * 1000000 + i", days),
	}
	return copySessions(ctx, db, values, fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) CROSS JOIN (SELECT * FROM session WHERE bearer_hash IS NOT NULL LIMIT 1) t", n))
}

// fillOldLog makes the realm's audit log anew, of entries that the server may have written
// itself: each follows from the one before it, and the head is signed. Those that are old are
// older than they are kept; the last one is not, so that the clock does not seem to have leapt.
func fillOldLog(ctx context.Context, data string, n int, old bool) (err error) {
	file := filepath.Join(data, store.DatabaseFile)
	if err := forgetLog(ctx, file); err != nil {
		return err
	}
	key, err := seal.Load(filepath.Join(data, "master.key"))
	if err != nil {
		return err
	}
	st, err := store.OpenFile(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	svc := auth.New(auth.Options{Store: st, Master: key})
	realm, err := st.RealmByName(ctx, "default")
	if err != nil {
		return err
	}
	if err := st.Bulk(ctx); err != nil {
		return err
	}
	begin := time.Now().Add(-time.Hour)
	if old {
		begin = begin.Add(-30 * 24 * time.Hour)
	}
	const batch = 20_000
	for first := 0; first < n; first += batch {
		err := st.InTx(auth.Alone(ctx), func(tx auth.Tx) (err error) {
			for i := first; err == nil && i < min(first+batch, n); i++ {
				err = tx.InsertEvent(ctx, refreshed(realm.ID, i, begin.Add(time.Duration(i)*time.Millisecond)))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := st.InTx(ctx, func(tx auth.Tx) error { return tx.InsertEvent(ctx, refreshed(realm.ID, n, time.Now())) }); err != nil {
		return err
	}
	return svc.SignAudit(ctx, realm)
}

// refreshed is an entry about some account. A log begins with its realm.
func refreshed(realm uuid.UUID, i int, at time.Time) audit.Event {
	if i == 0 {
		return audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: realm, At: at, Kind: audit.RealmCreated}
	}
	var account uuid.UUID
	binary.BigEndian.PutUint64(account[8:], uint64(i)*7919%owners) //nolint:gosec // not negative
	return audit.Event{
		ID: uuid.Must(uuid.NewV7()), RealmID: realm, At: at, Kind: audit.TokenRefreshed, Account: account, Session: uuid.New(),
		Dialect: "senmo", Address: "192.0.2.1", RequestID: "abcdefghijklmnop", Token: "01234567",
	}
}

func forgetLog(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DELETE FROM audit_event; DELETE FROM audit_head; DELETE FROM audit_checkpoint")
	return errors.Join(err, db.Close())
}
