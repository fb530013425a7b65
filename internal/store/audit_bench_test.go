package store

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// BenchmarkInsertEvent writes the entry of a login, in transactions of 100, so that it is
// the statements that are measured and not the sync of the disk.
func BenchmarkInsertEvent(b *testing.B) {
	s := create(b)
	ctx := b.Context()
	e := audit.Event{RealmID: testRealm, At: benchNow, Kind: audit.SignedIn, Account: uuid.Must(uuid.NewV7()),
		Session: uuid.Must(uuid.NewV7()), Dialect: "senmo", Address: "192.0.2.1", RequestID: uuid.NewString()}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += 100 {
		err := s.InTx(ctx, func(tx auth.Tx) error {
			for range min(100, b.N-done) {
				e.ID = uuid.Must(uuid.NewV7())
				if err := tx.InsertEvent(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
