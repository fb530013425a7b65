package inflight

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/throttle"
)

// BenchmarkReserve is what a login pays beside its hash: all of them from one source, as
// behind a proxy that is not declared.
func BenchmarkReserve(b *testing.B) {
	bench := func(b *testing.B, r auth.Reserver) {
		realm := uuid.Must(uuid.NewV7())
		room := func(context.Context, auth.BudgetKey, int, *throttle.State) error { return nil }
		var n atomic.Int64
		b.SetParallelism(16)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				account := strconv.FormatInt(n.Add(1), 10)
				p, err := r.Reserve(context.Background(), []auth.Claim{
					{Key: auth.BudgetKey{Realm: realm, Kind: auth.BudgetSource, Source: "192.0.2.1"}, Most: 1000},
					{Key: auth.BudgetKey{Realm: realm, Kind: auth.BudgetAccount, Subject: account}, Most: 5},
				}, room)
				if err == nil {
					err = p.Leave(context.Background())
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Run("PostgreSQL", func(b *testing.B) {
		st, err := store.CreatePostgres(b.Context(), pgtest.Start(b, pgtest.Options{Durable: true}).URL(b), 0)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		bench(b, auth.ReserveIn(st, nil))
	})
	b.Run("Redis", func(b *testing.B) { bench(b, client(b, false, startRedis(b))) })
}
