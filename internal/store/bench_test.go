package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

var benchNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sessions fills a store with accounts that have a session each.
func sessions(b *testing.B, s *Store, n int) (ids []uuid.UUID) {
	b.Helper()
	ctx := b.Context()
	err := s.InTx(ctx, func(tx auth.Tx) error {
		ids = nil
		if err := tx.InsertRealm(ctx, auth.Realm{ID: testRealm, Name: "bench", RefreshKey: []byte{1}, CreatedAt: benchNow}); err != nil {
			return err
		}
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

// BenchmarkSessionByID reads a session among 10,000, of an account with more and more names.
func BenchmarkSessionByID(b *testing.B) {
	for _, c := range []struct{ roles, sources int }{{0, 0}, {4, 20}, {10, 1000}} {
		b.Run(fmt.Sprintf("%d_roles_open_%d", c.roles, c.sources), func(b *testing.B) {
			s := create(b)
			id := sessions(b, s, 10_000)[5000]
			openAll(b, s, id, c.roles, c.sources)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				rec, err := s.SessionByID(b.Context(), testRealm, id)
				if err != nil || len(rec.Account.Datasources) != c.sources {
					b.Fatal(len(rec.Account.Datasources), err)
				}
			}
		})
	}
}

// openAll gives a session's account roles that open datasources, each by two of them.
func openAll(b *testing.B, s *Store, session uuid.UUID, roles, sources int) {
	b.Helper()
	ctx := b.Context()
	role := func(i int) string { return fmt.Sprint("role-", i%roles) }
	err := s.InTx(ctx, func(tx auth.Tx) error {
		rec, err := tx.SessionByID(ctx, testRealm, session)
		for i := range roles {
			made := tx.InsertRole(ctx, testRealm, role(i), benchNow)
			_, added := tx.AddRole(ctx, testRealm, rec.AccountID, role(i), benchNow)
			err = errors.Join(err, made, added)
		}
		for i := range sources {
			source := fmt.Sprint("datasource-", i)
			made := tx.InsertDatasource(ctx, testRealm, source, benchNow)
			_, first := tx.GrantDatasource(ctx, testRealm, role(i), source, benchNow)
			_, second := tx.GrantDatasource(ctx, testRealm, role(i+1), source, benchNow)
			err = errors.Join(err, made, first, second)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRefresh is all that a refresh asks: it rotates one of 64 chains, reads the account,
// and tells the audit log.
func BenchmarkRefresh(b *testing.B) {
	s := create(b)
	ids := sessions(b, s, 64)
	mount := &auth.Mount{RealmID: testRealm, Dialect: "one", RefreshRetry: time.Minute}
	var next atomic.Int32
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		id := ids[int(next.Add(1)-1)%len(ids)]
		for g := int64(1); pb.Next(); g++ {
			err := s.InTx(context.Background(), func(tx auth.Tx) error {
				rot, err := tx.RotateRefresh(context.Background(), mount, id, g, benchNow)
				if err != nil {
					return err
				}
				if _, err := tx.AccountByID(context.Background(), testRealm, rot.Session.AccountID, "one"); err != nil {
					return err
				}
				return tx.InsertEvent(context.Background(), audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: testRealm, At: benchNow, Kind: audit.TokenRefreshed,
					Account: rot.Session.AccountID, Session: id, Dialect: "one", Address: "192.0.2.1", RequestID: "0198a1b2c3d4", Token: "abcdefgh"})
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transactions/s")
}
