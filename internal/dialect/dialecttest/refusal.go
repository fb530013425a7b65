package dialecttest

import (
	"context"
	"encoding/base64"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// EnumerationByReply checks that nobody can tell by an answer whether there is an
// account, and what state it is in: status, headers and body are the same.
func EnumerationByReply(t *testing.T, s Suite) {
	h := s.open(t, Options{Budgets: NoBudgets()})
	cases := map[string]Request{
		"wrong":           s.Login("ada", "wrong "+Password),
		"unknown":         s.Login("nobody", Password),
		"unknown e-mail":  s.Login("nobody@example.com", Password),
		"no name at all":  s.Login("no\u200bname", Password),
		"disabled":        s.Login("gone", Password),
		"disabled, wrong": s.Login("gone", "wrong "+Password),
		"passwordless":    s.Login("nopass", Password),
		"empty":           s.Login("nopass", ""),
		"service":         s.Login("robot", Password),
		"service, secret": s.Login("ada", h.Secret),
		"enrolled, wrong": s.Login("eve", "wrong "+Password),
		"factor, wrong":   s.Login("joan", "wrong "+Password),
	}
	if !s.Dialect.OwnFactor { // there is no step for the code: without one, nobody gets in
		cases["factor"] = s.Login("joan", Password)
		cases["factor, with a code"] = s.Login("joan", Password+h.Code("joan", 0))
	}
	want := h.Send(t, s.Login("ada", "wrong"))
	if err := s.Shape(want.Status, want.Body); err != nil || want.Status < 400 {
		t.Fatalf("%d %s: %v", want.Status, want.Body, err)
	}
	strip := func(h http.Header) http.Header {
		h = h.Clone()
		h.Del("Date")
		return h
	}
	for what, r := range cases {
		got := h.Send(t, r)
		if got.Status != want.Status || got.Body != want.Body || !reflect.DeepEqual(strip(got.Header), strip(want.Header)) {
			t.Errorf("%s:\n %d %v %s, but wrong is\n %d %v %s", what, got.Status, got.Header, got.Body, want.Status, want.Header, want.Body)
		}
	}
}

// throttled: after five wrong guesses the next must wait, right or wrong, known or not.
func (s Suite) throttled(t *testing.T) {
	for _, name := range []string{"ada", "nobody"} {
		h := s.open(t, Options{})
		for range 5 {
			if a := h.Send(t, s.Login(name, "wrong")); a.Status < 400 || a.Status == http.StatusTooManyRequests {
				t.Fatalf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		a := s.refused(t, h, name, s.Login(name, Password), http.StatusTooManyRequests)
		if after := a.Header.Get("Retry-After"); after != "1" {
			t.Errorf("%s: Retry-After is %q", name, after)
		}
		h.Clock.Advance(time.Second)
		want := http.StatusOK
		if name == "nobody" {
			want = h.Send(t, s.Login("min", "wrong")).Status
		}
		h.Send(t, s.Login(name, Password)).Is(t, name+", a second later", want)
	}
}

// unavailable: without the store, or with too much to hash, it is 503 and nothing else.
func (s Suite) unavailable(t *testing.T) {
	for _, route := range s.Routes {
		h := s.open(t, Options{})
		r := route.Good(t, h)
		if err := h.Store.Close(); err != nil {
			t.Fatal(err)
		}
		s.refused(t, h, route.Path+" without the store", r, http.StatusServiceUnavailable)
	}
	busy := password.New(1, time.Nanosecond)
	h := s.open(t, Options{Hasher: busy})
	busy.Floor(nil)
	// A hash that takes its time holds the only slot.
	ctx, done := context.WithCancel(t.Context())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		salt := base64.RawStdEncoding.EncodeToString(make([]byte, 16))
		tag := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
		for ctx.Err() == nil {
			_, _ = busy.Verify(ctx, "$argon2id$v=19$m=65536,t=8,p=1$"+salt+"$"+tag, "x")
		}
	}()
	defer func() { done(); <-finished }()
	refused := 0
	for range 50 {
		for busy.Stats().Running == 0 {
			time.Sleep(time.Millisecond)
		}
		if a := h.Send(t, s.Login("ada", Password)); a.Status == http.StatusServiceUnavailable {
			if err := s.Shape(a.Status, a.Body); err != nil {
				t.Error(err)
			}
			if refused++; refused == 3 {
				return
			}
		}
	}
	t.Errorf("%d of 50 logins were told to come back", refused)
}

// cors: off unless an origin is listed; then preflights are answered, and errors can be read.
func (s Suite) cors(t *testing.T) {
	const origin, evil = "https://app.example.com", "https://evil.example.com"
	ask := func(path, origin string) Request {
		return Request{Method: "OPTIONS", Path: path}.With("Origin", origin).With("Access-Control-Request-Method", "POST").
			With("Access-Control-Request-Headers", "authorization,content-type,x-csrf-token")
	}
	off := s.open(t, Options{})
	on := s.open(t, Options{Mount: func(m *auth.Mount) { m.CORSOrigins = []string{origin} }})
	for _, route := range s.Routes {
		r := ask(route.Path, origin)
		if s.Scheme != "" {
			r = r.With("Authorization", s.Scheme+" x")
		}
		s.refused(t, off, "a preflight where it is off", r, http.StatusMethodNotAllowed)
		a := on.Send(t, ask(route.Path, origin))
		a.Is(t, "a preflight", http.StatusNoContent)
		if a.Header.Get("Access-Control-Allow-Origin") != origin || a.Header.Get("Access-Control-Allow-Methods") != "POST" {
			t.Errorf("%s: %v", route.Path, a.Header)
		}
		s.refused(t, on, "a preflight of another origin", ask(route.Path, evil), http.StatusMethodNotAllowed)
	}
	for h, want := range map[*House]map[string]string{off: {origin: "", evil: ""}, on: {origin: origin, evil: ""}} {
		for from, allowed := range want {
			for _, r := range []Request{s.Login("ada", Password), s.Login("min", "wrong")} {
				a := h.Send(t, r.With("Origin", from))
				if got := a.Header.Get("Access-Control-Allow-Origin"); got != allowed {
					t.Errorf("%d from %s: Access-Control-Allow-Origin is %q, want %q", a.Status, from, got, allowed)
				}
			}
		}
	}
}
