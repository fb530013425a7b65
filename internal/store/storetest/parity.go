package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/parity"
)

var parityCases = []testCase{
	{"Sums", func(w *world) {
		day := parity.Day(w.now)
		key := parity.Key{Realm: w.realm, Day: day, Dialect: "senmo", Route: "/v1/auth", Kind: parity.Status, Detail: "400 there, 403 here"}
		later := w.now.Add(time.Minute)
		for _, c := range []parity.Count{{Key: key, Requests: 2, LastAt: later}, {Key: key, Requests: 3, LastAt: w.now}} {
			w.in(func(tx auth.Tx) error { return tx.AddParity(w.ctx, c) })
		}
		got := w.parity(parity.Key{})
		if len(got) != 1 || got[0].Key != key || got[0].Requests != 5 || !got[0].LastAt.Equal(later) {
			w.Errorf("got %+v", got)
		}
	}},
	{"Pages", func(w *world) {
		var want []parity.Key
		for day := range int64(2) {
			for _, dialect := range []string{"nomic", "senmo"} {
				for _, detail := range []string{"", "sub"} {
					want = append(want, parity.Key{Realm: w.realm, Day: day, Dialect: dialect, Route: "/a", Kind: parity.Value, Detail: detail})
				}
			}
		}
		w.in(func(tx auth.Tx) error {
			for _, k := range want {
				if err := tx.AddParity(w.ctx, parity.Count{Key: k, Requests: 1, LastAt: w.now}); err != nil {
					return err
				}
			}
			other := parity.Key{Realm: uuid.New(), Day: 1, Kind: parity.Same}
			return tx.AddParity(w.ctx, parity.Count{Key: other, Requests: 1, LastAt: w.now})
		})
		var got []parity.Key
		for after := (parity.Key{}); ; after = got[len(got)-1] {
			page := w.parity(after)
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				got = append(got, c.Key)
			}
		}
		if !slices.Equal(got, want) {
			w.Errorf("got %v, want %v", got, want)
		}
	}},
	{"Delete", func(w *world) {
		w.in(func(tx auth.Tx) error {
			for day := range int64(5) {
				k := parity.Key{Realm: w.realm, Day: day, Kind: parity.Same}
				if err := tx.AddParity(w.ctx, parity.Count{Key: k, Requests: 1, LastAt: w.now}); err != nil {
					return err
				}
			}
			return nil
		})
		var deleted [2]int
		for i, limit := range []int{2, 10} {
			w.in(func(tx auth.Tx) (err error) {
				deleted[i], err = tx.DeleteParity(w.ctx, w.realm, 3, limit)
				return err
			})
		}
		if got := w.parity(parity.Key{}); deleted != [2]int{2, 1} || len(got) != 2 || got[0].Day != 3 {
			w.Errorf("deleted %v, left %v", deleted, got)
		}
	}},
}

// parity reads a page of three counts.
func (w *world) parity(after parity.Key) []parity.Count {
	w.Helper()
	after.Realm = w.realm
	got, err := w.store.Parity(w.ctx, after, 3)
	if err != nil {
		w.Fatal(err)
	}
	return got
}
