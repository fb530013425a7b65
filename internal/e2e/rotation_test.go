package e2e_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
	"github.com/ostiary/ostiary/internal/keyring"
)

// rotating is a house whose keys are replaced every six hours of a clock that the test
// moves, and published an hour ahead. Each dialect with JWTs signs with another algorithm.
type rotating struct {
	*house
	// clock is held for reading while something is asked that depends on the time.
	clock  sync.RWMutex
	now    atomic.Pointer[time.Time]
	passed atomic.Int64 // rounds of the clients
	logins atomic.Int64
}

var algorithms = map[auth.Dialect]string{
	cloudio.Dialect().Name(): "EdDSA", nomic.Dialect().Name(): "RS256", senmo.Dialect().Name(): "ES256",
}

func openRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{}
	now := time.Now().Add(time.Minute).Truncate(time.Second) // after the realms were made
	r.now.Store(&now)
	r.house = open(t, func(o *auth.Options) {
		o.Now = func() time.Time { return *r.now.Load() }
		o.Keys = &auth.KeyPolicy{Every: 6 * time.Hour, Ahead: time.Hour}
		for _, m := range o.Mounts {
			if algorithm := algorithms[m.Dialect]; algorithm != "" {
				m.Algorithm, m.AccessTTL = algorithm, 2*time.Hour
				m.SessionIdle, m.SessionMax = 0, 1000*time.Hour
			}
		}
	})
	r.tend(t)
	return r
}

// tend does what a server does every minute.
func (r *rotating) tend(t *testing.T) {
	t.Helper()
	for _, algorithm := range dialect.Algorithms {
		if _, err := r.svc.TendKeys(t.Context(), r.realms[hostOne].ID, algorithm, auth.Client{Actor: "schedule"}); err != nil {
			t.Error(err)
		}
	}
}

func (r *rotating) advance(d time.Duration) {
	r.clock.Lock()
	defer r.clock.Unlock()
	now := r.now.Load().Add(d)
	r.now.Store(&now)
}

// cachingVerifier knows the keys that it fetched when it last had to, and never looks
// again because of a key that it does not know.
type cachingVerifier struct {
	kids  map[string]bool
	until time.Time
}

func (v *cachingVerifier) knows(t *testing.T, r *rotating, token string) bool {
	t.Helper()
	if now := *r.now.Load(); !now.Before(v.until) {
		a := r.ask(t, hostOne, "GET", "/.well-known/jwks.json", "")
		var set struct{ Keys []struct{ Kid string } }
		life, public := strings.CutPrefix(a.Header.Get("Cache-Control"), "public, max-age=")
		seconds, err := strconv.Atoi(life)
		if !public || err != nil || seconds < 1 || seconds > 300 || json.Unmarshal([]byte(a.body), &set) != nil {
			t.Fatalf("%q, %s", a.Header.Get("Cache-Control"), a.body)
		}
		v.kids, v.until = map[string]bool{}, now.Add(time.Duration(seconds)*time.Second)
		for _, k := range set.Keys {
			v.kids[k.Kid] = true
		}
	}
	return v.kids[header(t, token)["kid"]]
}

func header(t *testing.T, token string) (h map[string]string) {
	t.Helper()
	raw, err := b64.DecodeString(strings.Split(token, ".")[0])
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// issued is a token, and where it is shown.
type issued struct {
	token   string
	headers []string
	until   time.Time
}

func issue(token string, at time.Time, headers ...string) issued {
	return issued{token, append(headers, "Authorization: Bearer "+token), at.Add(2 * time.Hour)}
}

// login signs in at each of the dialects in turn, or refreshes.
func (r *rotating) login(t *testing.T, k *tokens) issued {
	t.Helper()
	now := *r.now.Load()
	switch n := r.logins.Add(1) % 6; {
	case n == 0:
		r.cloudio(t, hostOne, "ada", k)
		return issue(k.jwt, now, "X-CSRF-Token: "+k.csrf)
	case n == 1:
		r.nomic(t, hostOne, "ada", k)
		return issue(k.nomic, now)
	case k.refresh == "":
		r.senmo(t, hostOne, "ada", k)
	default:
		a := r.ask(t, hostOne, "POST", "/v1/auth/refreshtoken", `{"refreshtoken":"`+k.refresh+`"}`)
		k.access, k.refresh = a.text(t, "tokens", "accessToken"), a.text(t, "tokens", "refreshToken")
	}
	return issue(k.access, now)
}

// client signs in, shows its live tokens to the server, and to a verifier of its own.
func (r *rotating) client(t *testing.T, done <-chan struct{}, all *sync.Map) {
	var live []issued
	var verifier cachingVerifier
	k := new(tokens)
	round := func() {
		r.clock.RLock()
		defer r.clock.RUnlock()
		defer r.passed.Add(1)
		live = slices.DeleteFunc(live, func(i issued) bool { return !r.now.Load().Before(i.until) })
		if len(live) < 40 {
			fresh := r.login(t, k)
			all.Store(fresh.token, fresh)
			live = append(live, fresh)
		}
		for range 3 {
			i := live[rand.IntN(len(live))]
			if a := r.ask(t, hostOne, "GET", "/ostiary/verify", "", i.headers...); a.StatusCode != 200 {
				t.Errorf("a live token of %v is refused: %d %s", header(t, i.token), a.StatusCode, a.body)
			} else if assertion := a.Header.Get("Ostiary-Assertion"); assertion != "" && !verifier.knows(t, r, assertion) {
				t.Errorf("a verifier meets an assertion whose key it does not know: %v", header(t, assertion))
			}
			if !verifier.knows(t, r, i.token) {
				t.Errorf("a verifier that keeps the keys as it is told meets one that it does not know: %v", header(t, i.token))
			}
		}
	}
	for !t.Failed() {
		select {
		case <-done:
			return
		default:
			round()
		}
	}
}

// Rotation under load: nobody who does as the server says meets a failure. Then the keys
// are found out, and what they signed is refused at once.
func TestThreat34_RotationUnderLoad(t *testing.T) {
	r := openRotating(t)
	r.account(t, hostOne, "ada")
	done := make(chan struct{})
	var all sync.Map // of the tokens
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() { r.client(t, done, &all) })
	}
	// Two rotations, in small steps while one is going on.
	for start := *r.now.Load(); r.now.Load().Sub(start) < 14*time.Hour && !t.Failed(); {
		step := 20 * time.Minute
		if at := r.now.Load().Sub(start) % (6 * time.Hour); at > 5*time.Hour-20*time.Minute || at < 20*time.Minute {
			step = 4 * time.Minute
		}
		for before := r.passed.Load(); r.passed.Load() < before+4 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		r.advance(step)
		r.tend(t)
	}
	close(done)
	clients.Wait()

	signed := map[string]map[string]bool{}
	all.Range(func(token, _ any) bool {
		h := header(t, token.(string))
		if signed[h["alg"]] == nil {
			signed[h["alg"]] = map[string]bool{}
		}
		signed[h["alg"]][h["kid"]] = true
		return true
	})
	for _, algorithm := range dialect.Algorithms {
		if len(signed[algorithm]) != 3 {
			t.Errorf("%d keys of %s have signed, want 3", len(signed[algorithm]), algorithm)
		}
	}
	t.Logf("%d rounds of the clients", r.passed.Load())

	r.emergency(t)
}

func (r *rotating) emergency(t *testing.T) {
	t.Helper()
	k := r.all(t, hostOne, "ada")
	before := map[string][]string{"EdDSA": k.bearers()["cloudio"], "RS256": k.bearers()["nomic"], "ES256": k.bearers()["senmo"]}
	for algorithm, headers := range before {
		if a := r.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 200 {
			t.Fatalf("%s: %d", algorithm, a.StatusCode)
		}
		key, err := r.svc.RotateKey(t.Context(), r.realms[hostOne].ID, auth.KeyRotation{Algorithm: algorithm, Now: true}, auth.Client{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if a := r.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 401 {
				t.Errorf("%s: a token of a key that was found out: %d", algorithm, a.StatusCode)
			}
		}
		set := r.ask(t, hostOne, "GET", "/.well-known/jwks.json", "").body
		if n := strings.Count(set, `"alg":"`+algorithm+`"`); n != 1 || !strings.Contains(set, key.Kid) {
			t.Errorf("%s: %d keys are published", algorithm, n)
		}
	}
	for name, headers := range r.all(t, hostOne, "ada").bearers() {
		if a := r.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 200 {
			t.Errorf("%s: a new token: %d", name, a.StatusCode)
		}
	}
}

// How long the keys may be kept fits the schedule, and the end of each.
func TestJWKS_CacheControl(t *testing.T) {
	var now atomic.Pointer[time.Time]
	start := time.Now().Add(time.Minute).Truncate(time.Second)
	now.Store(&start)
	for ahead, want := range map[time.Duration]string{
		24 * time.Hour: "public, max-age=300", time.Minute: "public, max-age=56", 6 * time.Second: "public, max-age=2", 0: "no-cache",
	} {
		h := open(t, func(o *auth.Options) {
			o.Now = func() time.Time { return *now.Load() }
			o.Keys = &auth.KeyPolicy{Ahead: ahead}
		})
		cache := func() string {
			t.Helper()
			a := h.ask(t, hostOne, "GET", "/.well-known/jwks.json", "")
			if a.StatusCode != 200 {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			return a.Header.Get("Cache-Control")
		}
		now.Store(&start)
		if got := cache(); got != want {
			t.Errorf("%s ahead: %s, want %s", ahead, got, want)
		}
		if ahead != 24*time.Hour {
			continue
		}
		if _, err := h.svc.RotateKey(t.Context(), h.realms[hostOne].ID, auth.KeyRotation{Algorithm: "RS256", TokenLife: time.Hour}, auth.Client{}); err != nil {
			t.Fatal(err)
		}
		keys, err := h.svc.ListKeys(t.Context(), h.realms[hostOne].ID)
		if err != nil {
			t.Fatal(err)
		}
		end := slices.MaxFunc(keys, func(a, b keyring.Record) int { return a.ExpiresAt.Compare(b.ExpiresAt) }).ExpiresAt
		for before, want := range map[time.Duration]string{
			time.Hour: "public, max-age=300", 200 * time.Second: "public, max-age=200", time.Second: "public, max-age=5", 0: "public, max-age=300",
		} {
			at := end.Add(-before)
			now.Store(&at)
			if got := cache(); got != want {
				t.Errorf("%s before the end of a key: %s, want %s", before, got, want)
			}
		}
	}
}
