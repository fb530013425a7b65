package ostiaryauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (p *peer) questions() int { return p.count("/ostiary/introspect") }

func TestIntrospection_Cached(t *testing.T) {
	p := newPeer(t)
	for _, c := range []struct {
		cacheFor, kept time.Duration
	}{{0, 2 * time.Second}, {time.Second, time.Second}, {MaxCacheFor, 5 * time.Second}, {-1, 0}} {
		v := p.verifier(t, func(k *Config) { k.Introspection.CacheFor = c.cacheFor })
		token := "Authorization: Bearer " + p.opaque(mikrocloudAnswer())
		before := p.questions()
		ask := func(what string, want int) {
			t.Helper()
			if _, err := verify(v, token); err != nil {
				t.Error(err)
			}
			if n := p.questions() - before; n != want {
				t.Errorf("CacheFor %v, %s: %d questions, want %d", c.cacheFor, what, n, want)
			}
		}
		ask("first", 1)
		if c.kept > 0 {
			p.advance(c.kept - time.Nanosecond)
			ask("at the end", 1)
			p.advance(time.Nanosecond)
		}
		ask("after it", 2)
	}
}

func TestIntrospection_NotBeyondExp(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	token := "Authorization: Bearer " + p.opaque(with(mikrocloudAnswer(), map[string]any{"exp": noon.Unix() + 1}))
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	p.advance(time.Second)
	for range 2 { // nor is an answer of the past kept
		if _, err := verify(v, token); !isInvalid(err) {
			t.Errorf("at exp: %v", err)
		}
	}
}

// No is not remembered: each question is asked.
func TestIntrospection_NoIsNotKept(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	dead := p.opaque(map[string]any{"active": false})
	for n := range 3 {
		if _, err := verify(v, "Authorization: Bearer "+dead); !isInvalid(err) || p.questions() != n+1 {
			t.Errorf("%v after %d questions", err, p.questions())
		}
	}
	p.set(func() { p.live[dead] = mikrocloudAnswer() })
	if _, err := verify(v, "Authorization: Bearer "+dead); err != nil {
		t.Error(err)
	}
}

// What can't be an opaque token costs Ostiary nothing.
func TestIntrospection_GarbageIsNotAsked(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, func(c *Config) { c.Introspection.Always = true })
	for _, token := range []string{"x", strings.Repeat("A", 44), strings.Repeat("A", 43), strings.Repeat("-", 43) + "=", strings.Repeat("A", 42) + "==", bearerOf(t, newKey(t))[len("Authorization: Bearer "):]} {
		refused(t, v, token, token, "")
	}
	if n := p.questions(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// Many requests with one token share one question; each token has its own.
func TestIntrospection_Coalesced(t *testing.T) {
	p := newPeer(t)
	p.gate = make(chan struct{})
	v := p.verifier(t)
	tokens := map[string]bool{p.opaque(mikrocloudAnswer()): true, p.opaque(with(mikrocloudAnswer(), map[string]any{"sub": "bob"})): true, p.opaque(map[string]any{"active": false}): false}
	var wg sync.WaitGroup
	var started atomic.Int32
	for token, good := range tokens {
		for range 40 {
			wg.Go(func() {
				started.Add(1)
				if _, err := verify(v, "Authorization: Bearer "+token); (err == nil) != good || err != nil && !isInvalid(err) {
					t.Error(err)
				}
			})
		}
	}
	for started.Load() < 120 || p.questions() < 3 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // those that have started arrive
	close(p.gate)
	wg.Wait()
	if n := p.questions(); n > 6 { // a straggler may ask about the dead one again
		t.Errorf("%d questions about three tokens", n)
	}
	if n := len(v.introspector.flights); n != 0 {
		t.Errorf("%d flights are left", n)
	}
}

func TestIntrospection_MemoryIsBounded(t *testing.T) {
	p := newPeer(t)
	i := p.verifier(t).introspector
	var sum tokenHash
	for n := range 5 * maxAnswers {
		sum[0], sum[1], sum[2] = byte(n), byte(n>>8), byte(n>>16)
		i.keep(sum, answer{until: noon.Add(time.Second)}, noon)
		if _, ok := i.find(sum); !ok {
			t.Fatalf("%d is not kept", n)
		}
		if len(i.recent)+len(i.older) > 2*maxAnswers {
			t.Fatalf("%d answers are kept", len(i.recent)+len(i.older))
		}
	}
}

// What can't be checked is 503, never 401; and the secret is nowhere in the log.
func TestIntrospection_Unavailable(t *testing.T) {
	p := newPeer(t)
	token := p.opaque(mikrocloudAnswer())
	for what, c := range map[string]struct {
		config func(*Config)
		peer   func()
	}{
		"503":              {peer: func() { p.down = true }},
		"a wrong secret":   {config: func(c *Config) { c.Introspection.Secret = "wrong" }},
		"a wrong place":    {config: func(c *Config) { c.URL += "/prefix" }},
		"nobody there":     {config: func(c *Config) { c.URL = "http://127.0.0.1:1" }},
		"no JSON":          {peer: func() { p.answer = "<html>" }},
		"no object":        {peer: func() { p.answer = "true" }},
		"no active":        {peer: func() { p.answer = `{"sub":"a"}` }},
		"another active":   {peer: func() { p.answer = `{"active":"true","sub":"a"}` }},
		"active twice":     {peer: func() { p.answer = `{"active":false,"active":true,"sub":"a"}` }},
		"Active":           {peer: func() { p.answer = `{"Active":true,"sub":"a"}` }},
		"no subject":       {peer: func() { p.answer = `{"active":true,"dialect":"mikrocloud"}` }},
		"roles of a text":  {peer: func() { p.answer = `{"active":true,"dialect":"mikrocloud","sub":"a","roles":"admin"}` }},
		"exp that is none": {peer: func() { p.answer = `{"active":true,"dialect":"mikrocloud","sub":"a","exp":"never"}` }},
		"too much":         {peer: func() { p.answer = `{"active":false,"x":"` + strings.Repeat("x", maxAnswer) + `"}` }},
	} {
		var log bytes.Buffer
		p.set(func() {
			if p.down, p.answer = false, ""; c.peer != nil {
				c.peer()
			}
		})
		v := p.verifier(t, func(k *Config) {
			k.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			if c.config != nil {
				c.config(k)
			}
		})
		a := get(t, guarded(t, v), "Authorization: Bearer "+token)
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != retryAfter || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %v", what, a.StatusCode, a.Header)
		}
		if err := v.Ready(t.Context()); !unavailable(err) {
			t.Errorf("%s: ready: %v", what, err)
		}
		if s := log.String(); !strings.Contains(s, "level=WARN") || strings.Contains(s, secret) || strings.Contains(s, token) {
			t.Errorf("%s: the log: %s", what, s)
		}
	}
	p.set(func() { p.down, p.answer = false, "" })
	if err := p.verifier(t).Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	// A Verifier that is asked while the server is away, and then answers, remembers nothing of it.
	v := p.verifier(t)
	p.set(func() { p.down = true })
	if _, err := verify(v, "Authorization: Bearer "+token); !unavailable(err) {
		t.Error(err)
	}
	p.set(func() { p.down = false })
	if _, err := verify(v, "Authorization: Bearer "+token); err != nil {
		t.Error(err)
	}
}

// The log has a line of a server that is away now and then, not for each request.
func TestIntrospection_LogIsThrottled(t *testing.T) {
	p := newPeer(t)
	var log bytes.Buffer
	v := p.verifier(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	p.set(func() { p.down = true })
	for range 21 {
		if _, err := verify(v, "Authorization: Bearer "+p.opaque(mikrocloudAnswer())); !unavailable(err) {
			t.Fatal(err)
		}
		p.advance(time.Second)
	}
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("%d lines in 21 s:\n%s", n, log.String())
	}
}

// The longest that an ended session is still let in: CacheFor after it was asked about.
func TestThreat40_RevocationLag(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, func(c *Config) { c.Introspection.Always = true })
	for _, k := range []struct {
		dialect string
		claims  map[string]any
	}{{"senmo", senmoClaims()}, {"nomic", nomicClaims()}, {"cloudio", cloudioClaims()}, {"mikrocloud", nil}} {
		live := with(everything(k.dialect), map[string]any{"active": true})
		token := ""
		if k.claims == nil {
			token = p.opaque(live)
		} else {
			live["iss"], live["sub"] = k.claims["iss"], k.claims["sub"]
			token = p.key["RS256"].sign(t, "JWT", with(k.claims, map[string]any{"exp": noon.Add(9 * time.Hour).Unix()}))
			p.set(func() { p.live[token] = live })
		}
		ask := func() (*Identity, error) { return verify(v, "Authorization: Bearer "+token, "X-CSRF-Token: "+csrf) }
		if i, err := ask(); err != nil || i.Dialect != k.dialect || !i.HasRole("analyst") || i.Account == "" || i.Email == "" {
			t.Errorf("%s: %+v, %v", k.dialect, i, err)
		}
		p.set(func() { delete(p.live, token) })
		p.advance(2*time.Second - time.Nanosecond)
		if _, err := ask(); err != nil {
			t.Errorf("%s, within CacheFor: %v", k.dialect, err)
		}
		p.advance(time.Nanosecond)
		if i, err := ask(); !isInvalid(err) {
			t.Errorf("%s, after CacheFor: %+v, %v", k.dialect, i, err)
		}
	}
	// A change of roles shows as soon.
	token := p.opaque(mikrocloudAnswer())
	for _, role := range []string{"analyst", "admin"} {
		p.set(func() { p.live[token] = with(mikrocloudAnswer(), map[string]any{"roles": []string{role}}) })
		if i, err := verify(v, "Authorization: Bearer "+token); err != nil || !i.HasRole(role) {
			t.Errorf("%+v, %v", i, err)
		}
		p.advance(2 * time.Second)
	}
}

// An answer is about the token that was asked about.
func TestIntrospection_OfSomebodyElse(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, func(c *Config) { c.Introspection.Always = true })
	token := p.key["RS256"].sign(t, "JWT", senmoClaims())
	live := with(everything("senmo"), map[string]any{"active": true, "iss": senmoIs})
	for _, more := range []map[string]any{{"sub": "bob"}, {"session": "0190d5e8-7b1c-7d3e-8f00-ffffffffffff"}, {"iss": "urn:ostiary:other:senmo"}, {"dialect": "nomic"}, {"dialect": nil}} {
		p.set(func() { p.live[token] = with(live, more) })
		refused(t, v, text(more), token, "introspection: ")
		p.advance(2 * time.Second)
	}
	p.set(func() { p.live[token] = live })
	if _, err := verify(v, "Authorization: Bearer "+token); err != nil {
		t.Error(err)
	}
}

// An identity belongs to its request, though the answer is kept.
func TestIntrospection_IdentityIsTheRequestsOwn(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	token := "Authorization: Bearer " + p.opaque(mikrocloudAnswer())
	for range 3 {
		i, err := verify(v, token)
		if err != nil || !i.HasRole("analyst") || !i.HasDatasource("sales") || i.AMR[0] != "pwd" {
			t.Fatalf("%+v, %v", i, err)
		}
		i.Roles[0], i.Datasources[0], i.AMR[0], i.Subject = "x", "x", "x", "x"
	}
}

func TestSecret_DoesNotPrint(t *testing.T) {
	c := Introspection{Name: service, Secret: secret}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Secret, "all", c)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Secret, c.Secret), string(b), log.String()} {
		if strings.Contains(s, secret) || !strings.Contains(s, redacted) {
			t.Error(s)
		}
	}
}
