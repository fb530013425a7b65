package ostiaryauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func onlySenmo(c *Config) { c.Accept, c.Introspection = allKinds()[3:], nil }

// long are the claims of a token that outlives the test.
func long() map[string]any {
	return with(senmoClaims(), map[string]any{"exp": noon.Add(1000 * time.Hour).Unix()})
}

func bearerOf(t testing.TB, k signingKey) string {
	return "Authorization: Bearer " + k.sign(t, "JWT", long())
}

func unavailable(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrInvalid)
}

// Many requests before there are keys share one fetch, and so do many with unknown kids.
func TestKeys_Coalesced(t *testing.T) {
	p := newPeer(t)
	p.gate = make(chan struct{})
	v := p.verifier(t, onlySenmo)
	good := bearerOf(t, p.key["EdDSA"])
	var wg sync.WaitGroup
	var started atomic.Int32
	for range 100 {
		wg.Go(func() {
			started.Add(1)
			if _, err := verify(v, good); err != nil {
				t.Error(err)
			}
		})
	}
	for started.Load() < 100 || p.fetches() == 0 {
		time.Sleep(time.Millisecond)
	}
	p.advance(KeysInterval) // one that hangs is still the only one
	wg.Go(func() {
		if _, err := verify(v, good); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(10 * time.Millisecond) // the last one arrives
	close(p.gate)
	wg.Wait()
	if n := p.fetches(); n != 1 {
		t.Errorf("%d requests for the keys", n)
	}
	p.advance(KeysInterval)
	for range 50 {
		token := bearerOf(t, newKey(t))
		wg.Go(func() {
			if _, err := verify(v, token); !isInvalid(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.fetches(); n != 2 {
		t.Errorf("%d requests for the keys, after unknown kids", n)
	}
}

// One request that is given up does not take the others' keys with it.
func TestKeys_CallerGivesUp(t *testing.T) {
	p := newPeer(t)
	p.gate = make(chan struct{})
	v := p.verifier(t, onlySenmo)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.key["EdDSA"].sign(t, "JWT", long()))
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, stayed := make(chan error), make(chan error)
	go func() { _, err := v.Verify(r.WithContext(ctx)); gaveUp <- err }()
	for p.fetches() == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() { _, err := v.Verify(r); stayed <- err }()
	cancel()
	if err := <-gaveUp; !unavailable(err) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(p.gate)
	if err := <-stayed; err != nil {
		t.Error(err)
	}
	if n := p.fetches(); n != 1 {
		t.Errorf("%d requests for the keys", n)
	}
}

// The set is renewed before it runs out, while nobody waits.
func TestKeys_RenewedInTheBackground(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, onlySenmo)
	good := bearerOf(t, p.key["EdDSA"])
	for _, c := range []struct {
		after   time.Duration
		fetches int
	}{{0, 1}, {224 * time.Second, 1}, {time.Second, 2}, {224 * time.Second, 2}, {time.Second, 3}} {
		p.advance(c.after)
		if _, err := verify(v, good); err != nil {
			t.Error(err)
		}
		settled(t, v)
		if n := p.fetches(); n != c.fetches {
			t.Errorf("after %v: %d requests, want %d", c.after, n, c.fetches)
		}
	}
	// While that request hangs, nobody does.
	gate := make(chan struct{})
	p.set(func() { p.gate = gate })
	p.advance(225 * time.Second)
	for range 3 {
		if _, err := verify(v, good); err != nil {
			t.Error(err)
		}
	}
	close(gate)
	settled(t, v)
	if n := p.fetches(); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestKeys_Freshness(t *testing.T) {
	for _, c := range []struct {
		cacheControl, age string
		want              time.Duration
	}{
		{"", "", 5 * time.Minute}, {"public", "", 5 * time.Minute}, {"public, max-age=300", "", 300 * time.Second}, {"MAX-AGE=600 , public", "", 600 * time.Second},
		{"max-age=600", "100", 500 * time.Second}, {"max-age=600", "700", minFresh}, {"max-age=600", "x", 600 * time.Second}, {`max-age="60"`, "", time.Minute},
		{"max-age=0", "", minFresh}, {"no-store", "", minFresh}, {"max-age=600, no-cache", "", minFresh},
		{"max-age=86400", "", maxFresh}, {"max-age=2147483647", "", maxFresh}, {"max-age=99999999999999999999", "", 5 * time.Minute},
		{"max-age=-1", "", 5 * time.Minute}, {"max-age", "", 5 * time.Minute}, {"s-maxage=1", "", 5 * time.Minute},
	} {
		h := http.Header{"Cache-Control": {c.cacheControl}, "Age": {c.age}}
		if got := freshness(h); got != c.want {
			t.Errorf("%q, %q: %v, want %v", c.cacheControl, c.age, got, c.want)
		}
	}
}

// Whoever sends unknown kids does not have us ask more often than once in an interval.
func TestKeys_UnknownKidIsThrottled(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, onlySenmo)
	stranger, good := bearerOf(t, newKey(t)), bearerOf(t, p.key["EdDSA"])
	for second := range 41 {
		for range 5 {
			if _, err := verify(v, stranger); !isInvalid(err) {
				t.Fatal(err)
			}
		}
		if _, err := verify(v, good); err != nil {
			t.Fatal(err)
		}
		if n, want := p.fetches(), 1+second/10; n != want {
			t.Errorf("after %d s: %d requests for the keys, want %d", second, n, want)
		}
		p.advance(time.Second)
	}
}

// The last good set is used for KeysKept after it ran out, and then there is no answer.
func TestKeys_ServerAway(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, onlySenmo)
	good := bearerOf(t, p.key["EdDSA"])
	url := guarded(t, v)
	p.set(func() { p.down = true })
	a := get(t, url, good)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Header.Get("WWW-Authenticate") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("before the first keys: %d %v", a.StatusCode, a.Header)
	}
	if _, err := verify(v, good); !unavailable(err) || p.fetches() != 1 {
		t.Errorf("asked again at once: %v, %d requests", err, p.fetches())
	}
	if err := v.Ready(t.Context()); !unavailable(err) {
		t.Errorf("ready: %v", err)
	}
	p.set(func() { p.down = false })
	p.advance(KeysInterval)
	if _, err := verify(v, good); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	for name, fail := range map[string]func(){
		"503": func() { p.down = true }, "no JSON": func() { p.jwks = "<html>" }, "no set": func() { p.jwks = `{"key":[]}` },
	} {
		p.set(func() { p.down, p.jwks = false, "" })
		p.advance(time.Hour)
		if _, err := verify(v, good); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.set(fail)
		p.advance(5*time.Minute + KeysKept - time.Second)
		if _, err := verify(v, good); err != nil {
			t.Errorf("%s, within KeysKept: %v", name, err)
		}
		// What can't be known is not said: the key may be newer.
		if _, err := verify(v, bearerOf(t, newKey(t))); !unavailable(err) {
			t.Errorf("%s, unknown kid: %v", name, err)
		}
		p.advance(time.Second)
		if _, err := verify(v, good); !unavailable(err) {
			t.Errorf("%s, after KeysKept: %v", name, err)
		}
	}
}

// A redirect could lead to somebody else's keys.
func TestKeys_RedirectIsNotFollowed(t *testing.T) {
	p := newPeer(t)
	moved := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	v := p.verifier(t, func(c *Config) { c.URL = moved })
	if _, err := verify(v, bearerOf(t, p.key["EdDSA"])); !unavailable(err) {
		t.Error(err)
	}
	if _, err := verify(v, "Authorization: Bearer "+p.opaque(mikrocloudAnswer())); !unavailable(err) {
		t.Error(err)
	}
	if n := p.fetches() + p.count("/ostiary/introspect"); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A rotation by schedule under load: the next key is published before it signs, the old one stays while its tokens
// live. No request fails; then the old key is refused.
func TestThreat34_RotationUnderLoad(t *testing.T) {
	p := newPeer(t)
	old, next := p.key["EdDSA"], newKey(t)
	p.set(func() { p.keys = []jose.JSONWebKey{old.jwk()} })
	v := p.verifier(t, onlySenmo)
	url := guarded(t, v)
	oldToken, nextToken := bearerOf(t, old), bearerOf(t, next)
	var current atomic.Pointer[[]string]
	current.Store(&[]string{oldToken})
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for turn := n; ; turn++ {
				select {
				case <-stop:
					return
				default:
				}
				tokens := *current.Load()
				if a := get(t, url, tokens[turn%len(tokens)]); a.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("%d %s", a.StatusCode, a.body)
					return
				}
				asked.Add(1)
			}
		})
	}
	pass := func(d, step time.Duration) { // time under load
		for ; d > 0; d -= step {
			p.advance(step)
			for mark := asked.Load(); asked.Load() < mark+8 && failed.Load() == 0; {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
	pass(10*time.Minute, 20*time.Second)
	p.set(func() { p.keys = []jose.JSONWebKey{old.jwk(), next.jwk()} }) // key_ahead begins
	pass(30*time.Minute, 20*time.Second)
	current.Store(&[]string{nextToken, oldToken}) // it signs; old tokens still live
	pass(30*time.Minute, 20*time.Second)
	current.Store(&[]string{nextToken})
	p.set(func() { p.keys = []jose.JSONWebKey{next.jwk()} })
	pass(10*time.Minute, 20*time.Second)
	close(stop)
	wg.Wait()
	if failed.Load() != 0 || asked.Load() < 100 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
	settled(t, v)
	if _, err := verify(v, oldToken); !isInvalid(err) {
		t.Errorf("the old key after its end: %v", err)
	}
}

// A key that is withdrawn at once is refused at the first token of its successor, or else when the set runs out.
func TestThreat34_KeyWithdrawn(t *testing.T) {
	for _, c := range []struct {
		what  string
		after time.Duration
		next  bool
	}{{"a token of the next key", KeysInterval, true}, {"the set has run out", 5 * time.Minute, false}} {
		p := newPeer(t)
		old, next := p.key["EdDSA"], newKey(t)
		p.set(func() { p.keys = []jose.JSONWebKey{old.jwk()} })
		v := p.verifier(t, onlySenmo)
		oldToken := bearerOf(t, old)
		if _, err := verify(v, oldToken); err != nil {
			t.Fatal(err)
		}
		p.set(func() { p.keys = []jose.JSONWebKey{next.jwk()} })
		p.advance(c.after)
		if c.next {
			if _, err := verify(v, bearerOf(t, next)); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		if _, err := verify(v, oldToken); !isInvalid(err) {
			t.Errorf("%s: the withdrawn key: %v", c.what, err)
		}
	}
	// A set without keys is an answer, too.
	p := newPeer(t)
	v := p.verifier(t, onlySenmo)
	token := bearerOf(t, p.key["EdDSA"])
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.jwks = `{"keys":[]}` })
	p.advance(5 * time.Minute)
	if _, err := verify(v, token); !isInvalid(err) {
		t.Errorf("an empty set: %v", err)
	}
}

// Whatever happens to the server, a Verifier says yes only to what a key of the last KeysKept has signed.
func TestKeys_RaceClean(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	tokens := []string{
		bearerOf(t, p.key["EdDSA"]), bearerOf(t, newKey(t)), "Authorization: Bearer " + p.opaque(mikrocloudAnswer()),
		"Authorization: Bearer " + p.opaque(map[string]any{"active": false}),
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for turn := range 60 {
				which := (n + turn) % len(tokens)
				i, err := verify(v, tokens[which])
				if good := which%2 == 0; err == nil && !good || good && err != nil && !unavailable(err) || !good && err == nil {
					t.Errorf("token %d: %+v, %v", which, i, err)
				}
				if i != nil {
					i.Roles[0] = fmt.Sprint("mine ", n) // an identity is its request's own
				}
				switch turn % 6 {
				case 2:
					p.advance(time.Minute)
				case 3:
					p.set(func() { p.down = !p.down })
				}
			}
		})
	}
	wg.Wait()
}
