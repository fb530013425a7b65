package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
)

const day = 24 * time.Hour

func withKeys(p auth.KeyPolicy) func(*auth.Options) { return func(o *auth.Options) { o.Keys = &p } }

var schedule = auth.Client{Actor: "schedule"}

// tend does what is due for an algorithm, and returns when to come again.
func (w *world) tend(algorithm string) time.Time {
	w.t.Helper()
	next, err := w.svc.TendKeys(w.ctx, w.realm.ID, algorithm, schedule)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w *world) rotate(r auth.KeyRotation) keyring.Record {
	w.t.Helper()
	key, err := w.svc.RotateKey(w.ctx, w.realm.ID, r, client)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// keys are the realm's keys of an algorithm, the newest first.
func (w *world) keys(algorithm string) []keyring.Record {
	w.t.Helper()
	all, err := w.svc.ListKeys(w.ctx, w.realm.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(k keyring.Record) bool { return k.Algorithm != algorithm })
}

// signer is the kid of what signs now.
func (w *world) signer(algorithm string) string {
	w.t.Helper()
	m := *w.one
	m.Algorithm = algorithm
	jwt, err := w.svc.Sign(w.ctx, &auth.Grant{
		Mount: &m, Session: auth.Session{RealmID: w.realm.ID, ExpiresAt: w.clock().Add(1000 * day)}, IssuedAt: w.clock(),
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return kidOf(w.t, jwt)
}

func kidOf(t *testing.T, jwt string) string {
	t.Helper()
	var header struct{ Kid string }
	head, _, _ := strings.Cut(jwt, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil || header.Kid == "" {
		t.Fatalf("%s: %v", jwt, err)
	}
	return header.Kid
}

// published are the kids that verify now.
func (w *world) published() map[string]bool {
	w.t.Helper()
	set, _, err := w.svc.JWKS(w.ctx, w.realm.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var all struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(set, &all); err != nil {
		w.t.Fatal(err)
	}
	kids := map[string]bool{}
	for _, k := range all.Keys {
		kids[k.Kid] = true
	}
	return kids
}

// The audit log says of each key which it is, the first one included, and from when it
// signs; the server's log has a line for each that the schedule made.
func TestKeys_Events(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *auth.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	first := w.keys("RS256")[0]
	w.tend("ES256")
	w.advance(90 * day)
	w.tend("ES256")
	scheduled := w.keys("ES256")
	hasty := w.rotate(auth.KeyRotation{Algorithm: "RS256", Bits: 3072, Now: true})
	var got []string
	for _, e := range append(w.events(audit.KeyCreated), w.events(audit.KeyRotated)...) {
		got = append(got, e.Actor+": "+e.Detail)
	}
	want := []string{
		"test: " + first.Kid + " RS256 2048 signs 2026-03-01T12:00:00Z",
		"schedule: " + scheduled[1].Kid + " ES256 signs 2026-03-01T12:00:00Z",
		"schedule: " + scheduled[0].Kid + " ES256 signs 2026-05-31T12:00:00Z",
		client.Actor + ": " + hasty.Kid + " RS256 3072 signs 2026-05-30T11:59:00Z now",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	line := `level=INFO msg="signing key rotated" realm=default algorithm=ES256 kid=` + scheduled[0].Kid + " signs_from=2026-05-31T12:00:00.000Z\n"
	if lines := log.String(); strings.Count(lines, "\n") != 1 || !strings.HasSuffix(lines, line) {
		t.Errorf("logged: %s", lines)
	}
}

func TestKeys_Schedule(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t)
			start := w.clock()
			if next := w.tend(algorithm); !next.Equal(start.Add(89 * day)) { // and makes the first, where there is none
				t.Errorf("the next is due %v", next)
			}
			first := w.signer(algorithm)
			w.advance(89*day - time.Second)
			w.tend(algorithm)
			if keys := w.keys(algorithm); len(keys) != 1 {
				t.Fatalf("a second before it is due: %d keys", len(keys))
			}
			w.advance(time.Second)
			if next := w.tend(algorithm); !next.Equal(start.Add(179 * day)) {
				t.Errorf("the one after the next is due %v", next)
			}
			w.tend(algorithm)
			keys := w.keys(algorithm)
			if len(keys) != 2 || !keys[0].SignsFrom.Equal(start.Add(90*day)) || !keys[0].ExpiresAt.IsZero() {
				t.Fatalf("when it is due: %d keys, the newest signs from %v until %v", len(keys), keys[0].SignsFrom, keys[0].ExpiresAt)
			}
			least := keys[0].SignsFrom.Add(auth.TokenLife(nil))
			if end := keys[1].ExpiresAt; end.Before(least) || end.After(least.Add(time.Minute)) {
				t.Errorf("the old key ends %v", end)
			}
			if !w.published()[keys[0].Kid] || w.signer(algorithm) != first {
				t.Error("the next key is not published, or signs already")
			}
			if got := w.events(audit.KeyRotated); len(got) != 1 || got[0].Actor != "schedule" || !strings.HasPrefix(got[0].Detail, keys[0].Kid+" "+algorithm+" ") {
				t.Errorf("audit log: %+v", got)
			}
			w.advance(day)
			if w.signer(algorithm) != keys[0].Kid || !w.published()[first] {
				t.Error("the next key does not sign when it is time, or the old one is gone")
			}
			// Nobody was here for a year: published first, all the same.
			w.advance(365 * day)
			w.tend(algorithm)
			late := w.keys(algorithm)[0]
			if !late.SignsFrom.Equal(w.clock().Add(day)) || w.signer(algorithm) != keys[0].Kid || w.published()[first] {
				t.Errorf("after a year: the next one signs from %v", late.SignsFrom)
			}
		})
	}
}

func TestKeys_NeverBySchedule(t *testing.T) {
	w := newWorld(t, withKeys(auth.KeyPolicy{Ahead: day}))
	w.advance(10000 * day)
	if next := w.tend("RS256"); !next.IsZero() || len(w.keys("RS256")) != 1 {
		t.Errorf("due %v, %d keys", next, len(w.keys("RS256")))
	}
}

// Nodes on one store, and commands beside them, make one key of each that is due.
func TestKeys_ManyAtOnce(t *testing.T) {
	master := seal.New()
	w := newWorld(t, func(o *auth.Options) { o.Master = master })
	var nodes []*auth.Service
	for range 4 {
		nodes = append(nodes, auth.New(auth.Options{Store: w.store, Master: master, Hasher: password.New(1, time.Second), Now: w.clock}))
	}
	for round := range 3 {
		var group sync.WaitGroup
		for i := range 12 {
			group.Go(func() {
				if _, err := nodes[i%len(nodes)].TendKeys(w.ctx, w.realm.ID, "ES256", schedule); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if keys := w.keys("ES256"); len(keys) != round+1 {
			t.Errorf("round %d: %d keys", round, len(keys))
		}
		w.advance(90 * day)
	}
}

func TestKeys_FailureIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.advance(90 * day)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.svc.TendKeys(ctx, w.realm.ID, "RS256", schedule); err == nil || len(w.keys("RS256")) != 1 {
		t.Errorf("%v, %d keys", err, len(w.keys("RS256")))
	}
	w.tend("RS256")
	if keys := w.keys("RS256"); len(keys) != 2 {
		t.Errorf("%d keys", len(keys))
	}
}

func TestKeys_WaitingOneIsDropped(t *testing.T) {
	w := newWorld(t)
	first := w.signer("RS256")
	waiting := w.rotate(auth.KeyRotation{Algorithm: "RS256", Ahead: day, TokenLife: day})
	w.advance(time.Hour)
	second := w.rotate(auth.KeyRotation{Algorithm: "RS256", TokenLife: day})
	w.advance(time.Millisecond)
	if kids := w.published(); w.signer("RS256") != second.Kid || !kids[first] || kids[waiting.Kid] {
		t.Errorf("signs %s; published %v", w.signer("RS256"), kids)
	}
	w.advance(30 * day)
	if w.signer("RS256") != second.Kid {
		t.Error("the older of two signs last")
	}
}

func TestKeys_SameMoment(t *testing.T) {
	w := newWorld(t)
	for range 8 { // all in one moment of the clock: the last one made is to sign
		last := w.rotate(auth.KeyRotation{Algorithm: "EdDSA", TokenLife: day})
		w.advance(time.Millisecond)
		if w.signer("EdDSA") != last.Kid {
			t.Fatal("an older key signs, which has an end")
		}
		w.advance(-time.Millisecond)
	}
}

func TestKeys_NowRefusesAllOfTheAlgorithm(t *testing.T) {
	master := seal.New()
	w := newWorld(t, func(o *auth.Options) { o.Master = master })
	w.one.AccessTTL = 30 * day // longer than whoever rotates here knows
	behind := auth.New(auth.Options{Store: w.store, Master: master, Hasher: password.New(1, time.Second), Mounts: []*auth.Mount{w.one},
		Now: func() time.Time { return w.clock().Add(-10 * time.Minute) }})
	w.tend("ES256")
	first, other := w.signer("RS256"), w.signer("ES256")
	waiting := w.rotate(auth.KeyRotation{Algorithm: "RS256", Ahead: day, TokenLife: day})
	w.advance(time.Hour)
	fresh := w.rotate(auth.KeyRotation{Algorithm: "RS256", Now: true})
	check := func(when string) {
		t.Helper()
		w.tend("RS256") // must not bring one back, nor may a node whose clock is behind
		if _, err := behind.TendKeys(w.ctx, w.realm.ID, "RS256", schedule); err != nil {
			t.Fatal(err)
		}
		for _, k := range w.keys("RS256")[1:] {
			if k.ExpiresAt.IsZero() || k.ExpiresAt.After(w.clock()) {
				t.Errorf("%s: %s ends %v", when, k.Kid, k.ExpiresAt)
			}
		}
		want := map[string]bool{fresh.Kid: true, other: true}
		if kids := w.published(); !maps.Equal(kids, want) || w.signer("RS256") != fresh.Kid || w.signer("ES256") != other {
			t.Errorf("%s: published %v, want %v (old %s, next %s)", when, kids, want, first, waiting.Kid)
		}
	}
	check("at once")
	w.advance(time.Minute)
	check("a minute later")
	w.advance(day)
	check("when the next one would have signed")
}

func TestKeys_Size(t *testing.T) {
	size := func(w *world) int { return w.keys("RS256")[0].Bits() }
	w := newWorld(t, withKeys(auth.KeyPolicy{Every: 90 * day, Ahead: day, RSABits: 3072}))
	if size(w) != 3072 {
		t.Errorf("first key: %d bits", size(w))
	}
	w = newWorld(t)
	if size(w) != 2048 {
		t.Errorf("first key: %d bits", size(w))
	}
	w.rotate(auth.KeyRotation{Algorithm: "RS256", Bits: 3072, TokenLife: day})
	w.advance(90 * day)
	w.tend("RS256")
	if size(w) != 3072 || len(w.keys("RS256")) != 3 {
		t.Errorf("after one of 3072: %d bits", size(w))
	}
	w.rotate(auth.KeyRotation{Algorithm: "RS256", Now: true})
	if size(w) != 3072 {
		t.Errorf("in place of one of 3072: %d bits", size(w))
	}
}

// Whatever rotations come, in whatever order, no key ends before the tokens that it
// signed, unless it was refused at once; and something always signs.
func TestThreat34_NoKeyEndsBeforeItsTokens(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 34))
		live := map[string]time.Time{} // the end of the last token of each key
		lives := []time.Duration{time.Hour, day, 10 * day, 40 * day}
		for step := range 150 {
			w.advance(time.Duration(r.Int64N(int64([]time.Duration{time.Second, time.Hour, 3 * day}[r.IntN(3)]))))
			what := "nothing"
			switch r.IntN(8) {
			case 0: // by whoever does not know how long tokens live here
				what = "rotate"
				w.rotate(auth.KeyRotation{Algorithm: "EdDSA", Ahead: time.Duration(r.Int64N(int64(2 * day))), TokenLife: auth.TokenLife(nil)})
			case 1:
				what = "rotate without delay"
				w.rotate(auth.KeyRotation{Algorithm: "EdDSA", TokenLife: auth.TokenLife([]*auth.Mount{w.one})})
			case 2:
				what = "another token life"
				w.one.AccessTTL = lives[r.IntN(len(lives))]
			case 3:
				if r.IntN(4) == 0 {
					what = "refuse"
					w.rotate(auth.KeyRotation{Algorithm: "EdDSA", Now: true})
					clear(live)
				}
			}
			w.tend("EdDSA")
			live[w.signer("EdDSA")] = w.clock().Add(w.one.AccessTTL)
			published := w.published()
			for kid, until := range live {
				if w.clock().Before(until) && !published[kid] {
					t.Fatalf("seed %d, step %d (%s): a key is gone %v before its tokens", seed, step, what, until.Sub(w.clock()))
				}
			}
		}
		if len(w.keys("EdDSA")) < 10 {
			t.Errorf("seed %d: %d keys", seed, len(w.keys("EdDSA")))
		}
	}
}

// RSA signatures wait for a place, and those of other algorithms don't. What was granted is signed though its client seems
// to have gone (he may have closed his side alone, and wait), but not once the request's time is over.
func TestSign_RSAWaitsForAPlace(t *testing.T) {
	w := newWorld(t)
	w.account("ada")
	g := w.signIn("ada")
	quick := *w.one
	quick.Algorithm = "ES256"
	other := *g
	other.Mount = &quick
	w.tend("ES256")
	release := auth.HoldSignatures()
	gone, leave := context.WithCancel(w.ctx)
	leave()
	late, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
	defer cancel()
	_, err := w.svc.Sign(late, g, nil)
	w.wantCode(err, auth.CodeUnavailable)
	done := make(chan error)
	for _, ctx := range []context.Context{gone, w.ctx} {
		go func() {
			_, err := w.svc.Sign(ctx, g, nil)
			done <- err
		}()
	}
	if _, err := w.svc.Sign(w.ctx, &other, nil); err != nil {
		t.Error(err)
	}
	release()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// unanswered is a store that does not answer once it is told to.
type unanswered struct {
	auth.Store
	hangs bool
}

func (s *unanswered) RealmByID(ctx context.Context, id uuid.UUID) (auth.Realm, error) {
	if s.hangs {
		<-ctx.Done()
		return auth.Realm{}, &auth.Error{Code: auth.CodeUnavailable, Cause: ctx.Err()}
	}
	return s.Store.RealmByID(ctx, id)
}

// TestJWKS_StoreHangs: whoever asks for the keys does not wait for a store that does not answer as long as for a login.
func TestJWKS_StoreHangs(t *testing.T) {
	st := &unanswered{}
	w := newWorld(t, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
	before, kept, err := w.svc.JWKS(w.ctx, w.realm.ID)
	if err != nil {
		t.Fatal(err)
	}
	st.hangs = true
	time.Sleep(2100 * time.Millisecond) // by the real clock the keys are read anew every two seconds
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	set, keep, err := w.svc.JWKS(ctx, w.realm.ID)
	if err != nil || string(set) != string(before) || keep >= kept || ctx.Err() != nil {
		t.Errorf("%s for %v, %v; it was %s for %v", set, keep, err, before, kept)
	}
}
