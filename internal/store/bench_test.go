package store

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var benchNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sessions fills a store with accounts that have a session each.
func sessions(b *testing.B, s *Store, n int) (ids []uuid.UUID) {
	b.Helper()
	ctx := b.Context()
	err := s.InTx(ctx, func(tx auth.Tx) error {
		ids = nil
		for i := range n {
			a := auth.Account{ID: uuid.Must(uuid.NewV7()), RealmID: testRealm, Number: int64(i + 1), Kind: auth.KindPerson,
				Username: "user" + strconv.Itoa(i), Email: strconv.Itoa(i) + "@example.com", DisplayName: "Some User", CreatedAt: benchNow}
			if err := tx.InsertAccount(ctx, auth.AccountRecord{Account: a, Version: 1}, []string{a.Username}); err != nil {
				return err
			}
			ses := auth.Session{ID: uuid.Must(uuid.NewV7()), RealmID: testRealm, AccountID: a.ID, Dialect: "one", AMR: []string{"pwd"},
				AuthTime: benchNow, LastUsedAt: benchNow, ExpiresAt: benchNow.Add(time.Hour), Generation: 1, Address: "192.0.2.1"}
			hash := hashOf(i)
			if err := tx.InsertSession(ctx, ses, hash[:]); err != nil {
				return err
			}
			ids = append(ids, ses.ID)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return ids
}

func hashOf(i int) (h [32]byte) {
	copy(h[:], strconv.Itoa(i))
	return h
}

// BenchmarkRotateRefresh rotates 64 chains at once, each in turn.
func BenchmarkRotateRefresh(b *testing.B) {
	s := create(b)
	ids := sessions(b, s, 64)
	mount := &auth.Mount{RealmID: testRealm, Dialect: "one", RefreshRetry: time.Minute}
	var next atomic.Int32
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		id := ids[int(next.Add(1)-1)%len(ids)]
		for g := int64(1); pb.Next(); g++ {
			err := s.InTx(context.Background(), func(tx auth.Tx) error {
				_, err := tx.RotateRefresh(context.Background(), mount, id, g, benchNow)
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transactions/s")
}

// BenchmarkSessionByBearer reads, from many sides, among 10,000 sessions, with a context
// that can be cancelled, as that of a request can.
func BenchmarkSessionByBearer(b *testing.B) {
	s := create(b)
	const n = 10_000
	sessions(b, s, n)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var next atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.SessionByBearer(ctx, testRealm, hashOf(int(next.Add(7919)%n))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
