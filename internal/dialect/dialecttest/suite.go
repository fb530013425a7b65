package dialecttest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/web"
)

// Suite is a dialect, and what a test must know of it.
type Suite struct {
	Dialect dialect.Dialect
	// Login makes the request that presents a name and a password.
	Login  func(name, password string) Request
	Routes []Route
	// Shape tells what is wrong with the body of an error, or nil.
	Shape func(status int, body string) error
	// Scheme is the scheme under which Login sends both in a header, if it does.
	Scheme string
	// TwoCredentials is the status of a request with two of them.
	TwoCredentials int
	// Goldens is the directory of the exchanges; "": testdata.
	Goldens string
}

// Route is one endpoint.
type Route struct {
	Path   string
	Body   web.Body
	Fields []string // the documented members of its body, all of them texts
	// Good makes a request that succeeds, once.
	Good func(t testing.TB, h *House) Request
}

// Run checks everything that a dialect must keep by itself.
func Run(t *testing.T, s Suite) {
	t.Run("Codes", s.codes)
	t.Run("Golden", s.golden)
	t.Run("Methods", s.methods)
	t.Run("Bodies", s.bodies)
	t.Run("Credentials", s.credentials)
	t.Run("Throttled", s.throttled)
	t.Run("Unavailable", s.unavailable)
	t.Run("CORS", s.cors)
	t.Run("Mount", s.mount)
}

// open starts a server with this dialect alone.
func (s Suite) open(t testing.TB, o Options) *House { return Open(t, o, s.Dialect) }

// refused checks that a request is answered with a status, in the shape of the dialect.
func (s Suite) refused(t *testing.T, h *House, what string, r Request, status int) Answer {
	t.Helper()
	a := h.Send(t, r)
	a.Is(t, what, status)
	if r.Method == http.MethodHead {
		return a
	}
	if err := s.Shape(a.Status, a.Body); err != nil {
		t.Errorf("%s: %d: %v", what, a.Status, err)
	}
	return a
}

// sane are the statuses that a code can have in some dialect.
var sane = map[auth.Code][]int{
	auth.CodeInvalidInput:     {400},
	auth.CodeMethodNotAllowed: {405},
	auth.CodeUnsupportedType:  {415},
	auth.CodeTooLarge:         {413},
	auth.CodeBadCredentials:   {400, 401, 403},
	auth.CodeFactorRequired:   {400, 401, 403},
	auth.CodeFactorInvalid:    {400, 401, 403},
	auth.CodeThrottled:        {429},
	auth.CodeTokenMissing:     {400, 401, 403},
	auth.CodeTokenInvalid:     {400, 401, 403},
	auth.CodeTokenReused:      {400, 401, 403},
	auth.CodeSessionEnded:     {400, 401, 403},
	auth.CodeForbidden:        {403},
	auth.CodeNotFound:         {404},
	auth.CodeConflict:         {409},
	auth.CodeUnavailable:      {503},
	auth.CodeInternal:         {500},
}

// codes checks the encoder: every code, one unknown to it, and that what must look alike does.
func (s Suite) codes(t *testing.T) {
	encode := func(p web.Problem) (int, string) {
		p.Path, p.Time = "/path", Start
		status, body := s.Dialect.Encode(p)
		if body == nil {
			return status, ""
		}
		return status, marshal(t, body)
	}
	for _, code := range auth.Codes() {
		for _, detail := range []string{"", "a detail"} {
			status, body := encode(web.Problem{Code: code, Detail: detail})
			if !slices.Contains(sane[code], status) {
				t.Errorf("%s has the status %d, want one of %v", code, status, sane[code])
			}
			if err := s.Shape(status, body); err != nil {
				t.Errorf("%s: %d: %v", code, status, err)
			}
		}
	}
	status, body := encode(web.Problem{Code: "of the future"})
	if err := s.Shape(status, body); status != http.StatusInternalServerError || err != nil {
		t.Errorf("an unknown code: %d %s: %v", status, body, err)
	}
	alike := [][]auth.Code{
		{auth.CodeBadCredentials},
		{auth.CodeTokenInvalid, auth.CodeTokenReused, auth.CodeSessionEnded},
		{auth.CodeFactorRequired, auth.CodeFactorInvalid},
	}
	if !s.Dialect.OwnFactor {
		alike[0], alike[2] = append(alike[0], alike[2]...), nil
	}
	for _, codes := range alike {
		for _, code := range codes {
			wantStatus, want := encode(web.Problem{Code: codes[0]})
			if status, body := encode(web.Problem{Code: code, Detail: "why"}); status != wantStatus || body != want {
				t.Errorf("%s: %d %s, but %s: %d %s", code, status, body, codes[0], wantStatus, want)
			}
		}
	}
}

// golden replays the exchanges in testdata, each file in a house of its own, and sees
// that each route has some that succeed and some that fail.
func (s Suite) golden(t *testing.T) {
	good, bad := map[string]int{}, map[string]int{}
	for _, g := range goldens(t, cmp.Or(s.Goldens, "testdata")) {
		t.Run(g.name, func(t *testing.T) {
			var prefix string
			h := s.open(t, Options{Mount: func(m *auth.Mount) {
				if err := g.configure(m); err != nil {
					t.Fatal(err)
				}
				prefix = m.Prefix
			}})
			g.replay(t, h, func(path string, status int) {
				if status < 300 {
					good[strings.TrimPrefix(path, prefix)]++
				} else {
					bad[strings.TrimPrefix(path, prefix)]++
				}
			})
		})
	}
	for _, route := range s.Routes {
		if good[route.Path] == 0 || bad[route.Path] == 0 {
			t.Errorf("%s has %d golden exchanges that succeed and %d that fail", route.Path, good[route.Path], bad[route.Path])
		}
	}
}

func (g *golden) configure(m *auth.Mount) error {
	for name, value := range g.mount {
		switch name {
		case "AppendCode":
			m.AppendCode = true
		case "Audience":
			m.Audience = value
		case "Prefix":
			m.Prefix = value
		case "Host":
			m.Host = value
		default:
			return fmt.Errorf("mount has no %q", name)
		}
	}
	return nil
}

// mount checks that a host, a prefix, a realm and another algorithm reach the routes.
func (s Suite) mount(t *testing.T) {
	h := s.open(t, Options{Mount: func(m *auth.Mount) { m.Host, m.Prefix, m.Realm = "login.example.com", "/one/two", OtherRealm }})
	login := s.Login("ada", OtherPassword)
	at := func(host, prefix string) Request {
		r := login
		r.Host, r.Path = host, prefix+r.Path
		return r
	}
	h.Send(t, at("login.example.com", "/one/two")).Is(t, "where it is mounted", http.StatusOK)
	h.Send(t, at("Login.Example.COM.:8443", "/one/two")).Is(t, "the same host", http.StatusOK)
	h.Send(t, at("other.example.com", "/one/two")).Is(t, "another host", http.StatusNotFound)
	h.Send(t, at("login.example.com", "")).Is(t, "without the prefix", http.StatusNotFound)
	wrong := s.Login("ada", Password) // which is right in the other realm
	wrong.Host, wrong.Path = "login.example.com", "/one/two"+wrong.Path
	if a := h.Send(t, wrong); a.Status < 400 {
		t.Errorf("the password of another realm: %d %s", a.Status, a.Body)
	}
	for _, algorithm := range s.Dialect.Algorithms {
		h := s.open(t, Options{Mount: func(m *auth.Mount) { m.Algorithm = algorithm }})
		h.Send(t, s.Login("ada", Password)).Is(t, algorithm, http.StatusOK)
	}
}
