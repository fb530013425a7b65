package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

// state is what the database's files hold, and when they were written.
func (h *house) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		name := h.store.Info().Path + suffix
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d %v %x\n", suffix, len(content), info.ModTime(), sha256.Sum256(content))
	}
	return b.String()
}

// TestVerify_WritesNothing: within a minute of the login, verification leaves the database
// as it is, file and write-ahead log. After that it notes the session's use.
func TestVerify_WritesNothing(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	for _, d := range []auth.Dialect{plain, paired, opaque} {
		g := h.login(t, "one/"+string(d), "ada")
		credential := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
		before := h.state(t)
		const times = 1000
		for range times {
			h.clock.add((time.Minute - time.Millisecond) / times)
			if r := h.ask(t, "GET", "/ostiary/verify", "", credential...); r.StatusCode != 200 {
				t.Fatalf("%s: %d %s", d, r.StatusCode, r.body)
			}
		}
		if after := h.state(t); after != before {
			t.Errorf("%s: %d verifications wrote: the files were\n%sand are\n%s", d, times, before, after)
		}
		h.clock.add(time.Second)
		h.ask(t, "GET", "/ostiary/verify", "", credential...)
		h.touched(t, g, h.clock.Now())
		if h.state(t) == before {
			t.Errorf("%s: a write does not show in the files", d)
		}
	}
}

// reads is a store that can do no more than verification needs, and counts that. Whatever
// else it is asked for panics, and so does a write.
type reads struct {
	auth.Store // nil
	real       auth.Store
	sessions   atomic.Int64
	realms     atomic.Int64
}

func (r *reads) SessionByID(ctx context.Context, realm, id uuid.UUID) (auth.SessionRecord, error) {
	r.sessions.Add(1)
	return r.real.SessionByID(ctx, realm, id)
}

func (r *reads) SessionByBearer(ctx context.Context, realm uuid.UUID, hash [32]byte) (auth.SessionRecord, error) {
	r.sessions.Add(1)
	return r.real.SessionByBearer(ctx, realm, hash)
}

func (r *reads) RealmByID(ctx context.Context, id uuid.UUID) (auth.Realm, error) {
	r.realms.Add(1)
	return r.real.RealmByID(ctx, id)
}

func (r *reads) HashSchemes(ctx context.Context, realm uuid.UUID) ([]string, error) {
	return r.real.HashSchemes(ctx, realm)
}

func (r *reads) Keys(ctx context.Context, realm uuid.UUID) ([]keyring.Record, error) {
	return r.real.Keys(ctx, realm)
}

func (r *reads) ForeignKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Foreign, error) {
	return r.real.ForeignKeys(ctx, realm)
}

func (r *reads) AnyForeignToken(ctx context.Context, now time.Time) (bool, error) {
	return r.real.AnyForeignToken(ctx, now)
}

func (r *reads) UseAuditKey(audit.HeadKey) {}

// TestVerify_OneRead: a token's session is read once in two seconds, however often it is
// verified. What it takes beside that, the realm's keys, is as old at the most, and read
// for all tokens together.
func TestVerify_OneRead(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	credentials := map[auth.Dialect][]string{}
	for _, d := range []auth.Dialect{plain, paired, opaque} {
		g := h.login(t, "one/"+string(d), "ada")
		credentials[d] = []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
	}
	store := &reads{real: h.store}
	h.options.Store = store
	h.start(t)
	start := time.Now()
	for d, credential := range credentials {
		for window := int64(1); window <= 3; window++ {
			verify := func() {
				if r := h.ask(t, "GET", "/ostiary/verify", "", credential...); r.StatusCode != 200 {
					t.Errorf("%s: %d %s", d, r.StatusCode, r.body)
				}
			}
			verify()
			h.clock.add(viewTime - time.Millisecond)
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					for range 20 {
						verify()
					}
				})
			}
			all.Wait()
			if n := store.sessions.Load(); n != window {
				t.Errorf("%s: %d reads of the session in %d times two seconds", d, n, window)
			}
			h.clock.add(time.Millisecond)
		}
		store.sessions.Store(0)
	}
	// The keys' age is by the real clock; those who find them too old at once all read.
	if n, most := store.realms.Load(), 10*(1+int64(time.Since(start)/viewTime)); n == 0 || n > most {
		t.Errorf("%d reads of the realm, want %d at the most", n, most)
	}
}
