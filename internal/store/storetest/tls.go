package storetest

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// tlsStore is what internal/acme keeps certificates in. Every store has it.
type tlsStore interface {
	TLSValue(ctx context.Context, key string) ([]byte, time.Time, error)
	SetTLSValue(ctx context.Context, key string, value []byte, modified time.Time) error
	TLSKeys(ctx context.Context, path string) ([]string, error)
	DeleteTLSValues(ctx context.Context, key string) error
	TakeLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	EndLease(ctx context.Context, name, holder string) error
}

var tlsCases = []testCase{
	{"Values", tlsValues},
	{"Below", tlsBelow},
	{"Lease", leaseHolders},
	{"LeaseOnce", leaseOnce},
}

func tlsValues(w *world) {
	s := w.store.(tlsStore)
	key := "certificates/" + w.realm.String() + "/a.crt"
	_, _, err := s.TLSValue(w.ctx, key)
	w.wantErr("before it is set", err, auth.ErrNotFound)
	for i, value := range [][]byte{{}, {0, 1, 0xff}, bytes.Repeat([]byte("x"), 100_000)} {
		at := w.now.Add(time.Duration(i) * time.Hour)
		w.wantErr("set", s.SetTLSValue(w.ctx, key, value, at), nil)
		got, modified, err := s.TLSValue(w.ctx, key)
		w.wantErr("get", err, nil)
		if !bytes.Equal(got, value) || !modified.Equal(at) {
			w.Fatalf("%d bytes of %s, want %d of %s", len(got), modified, len(value), at)
		}
	}
	w.wantErr("delete", s.DeleteTLSValues(w.ctx, key), nil)
	_, _, err = s.TLSValue(w.ctx, key)
	w.wantErr("deleted", err, auth.ErrNotFound)
	w.wantErr("delete again", s.DeleteTLSValues(w.ctx, key), nil)
}

// A path is above what follows it after a slash, whatever else begins with the same letters.
func tlsBelow(w *world) {
	s := w.store.(tlsStore)
	root := w.realm.String()
	for _, key := range []string{"a/b", "a/b/c", "a/b_c", "a/bc", "a/B/c", "a%/b", "ä/b", "ä/ö/x", "äx/b"} {
		w.wantErr(key, s.SetTLSValue(w.ctx, root+"/"+key, []byte("v"), w.now), nil)
	}
	below := func(path string, want ...string) {
		w.Helper()
		got, err := s.TLSKeys(w.ctx, root+"/"+path)
		w.wantErr("keys", err, nil)
		for i := range got {
			got[i] = got[i][len(root)+1:]
		}
		w.same("below "+path, text(got), text(want))
	}
	below("a/b", "a/b/c")
	below("a%", "a%/b")
	below("ä", "ä/b", "ä/ö/x")
	below("ä/ö", "ä/ö/x")
	below("x")
	w.wantErr("delete", s.DeleteTLSValues(w.ctx, root+"/a/b"), nil)
	below("a", "a/B/c", "a/b_c", "a/bc")
	w.wantErr("delete", s.DeleteTLSValues(w.ctx, root+"/ä"), nil)
	below("ä")
	below("äx", "äx/b")
	all, err := s.TLSKeys(w.ctx, "")
	w.wantErr("all", err, nil)
	if len(all) < 5 {
		w.Fatalf("all: %q", all)
	}
}

func leaseHolders(w *world) {
	s := w.store.(tlsStore)
	name := "lease/" + w.realm.String()
	take := func(holder string, after, life time.Duration, want bool) {
		w.Helper()
		now := w.now.Add(after)
		got, err := s.TakeLease(w.ctx, name, holder, now, now.Add(life))
		w.wantErr("take", err, nil)
		if got != want {
			w.Fatalf("%s after %s: %v", holder, after, got)
		}
	}
	take("a", 0, time.Minute, true)
	take("b", time.Second, time.Minute, false)
	take("a", 30*time.Second, time.Minute, true) // for longer
	take("b", 89*time.Second, time.Minute, false)
	take("b", 90*time.Second, time.Minute, true) // a is gone
	take("a", 91*time.Second, time.Minute, false)
	w.wantErr("another's", s.EndLease(w.ctx, name, "a"), nil)
	take("c", 92*time.Second, time.Minute, false)
	w.wantErr("own", s.EndLease(w.ctx, name, "b"), nil)
	take("c", 93*time.Second, time.Minute, true)
}

// Of many that want a lease at once, one gets it: when it is new, and when it is over.
func leaseOnce(w *world) {
	s := w.store.(tlsStore)
	name := "lease/" + w.realm.String()
	for round := range 2 {
		now := w.now.Add(time.Duration(round) * time.Hour)
		var got atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				taken, err := s.TakeLease(w.ctx, name, strconv.Itoa(round)+"."+strconv.Itoa(i), now, now.Add(time.Minute))
				if err != nil {
					w.Error(err)
				}
				if taken {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			w.Fatalf("round %d: %d holders", round, got.Load())
		}
	}
}
