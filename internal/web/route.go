package web

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Route is one path of a surface.
type Route struct {
	// Host is the host name without its port; empty for any host. A route with a
	// host goes before those without.
	Host string
	// Path is exact; if it ends in "/", everything below it is meant, whatever it
	// looks like. Other paths that are not clean are not found, never redirected.
	Path string
	// Claims picks this route among several of the same host and path by the
	// headers of the request. The one without Claims takes what no other claims;
	// if there is none, the first route does.
	Claims  func(http.Header) bool
	Handler http.Handler
	Dialect auth.Dialect // for the log
	Name    string       // for metrics and traces: the path below the mount's prefix
	// Servers is set if other servers ask here, each for many clients, and no password is
	// checked: their requests are not counted by source.
	Servers bool
	CORS    []string // origins that browsers may call from
	// Count, unless it is nil, is told what each request came to. It returns at once.
	Count func(auth.Used, *auth.Client)
	// Notice are headers of each answer of the route.
	Notice http.Header
	// Refuse, unless it is nil, is why a request with such headers is not answered; nil: it is.
	Refuse func(http.Header) *auth.Error
	// Away, unless it is nil, tells whether the route is meant to be away, and until when. Then
	// it answers 503, as Encode has it, and nothing is looked at.
	Away   func(now time.Time) (until time.Time, away bool)
	Encode Encoder
}

type mux struct {
	hosts map[string]*site
	named bool // some routes have a host
}

// site is the routes of one host.
type site struct {
	exact map[string]*group
	trees []*group // those whose path ends in "/", the longest first
}

// group is the routes of one host and path.
type group struct {
	path    string
	claimed []*Route
	rest    *Route
	cors    bool
}

// NewMux makes the handler of all routes. It refuses routes that overlap: two
// that claim nothing on one host and path.
func NewMux(routes []Route) (http.Handler, error) {
	m := &mux{hosts: map[string]*site{"": {exact: map[string]*group{}}}}
	for _, route := range slices.Clone(routes) {
		if err := m.add(&route); err != nil {
			return nil, fmt.Errorf("route %s%s: %w", route.Host, route.Path, err)
		}
	}
	for _, s := range m.hosts {
		slices.SortFunc(s.trees, func(a, b *group) int { return len(b.path) - len(a.path) })
		for _, g := range s.exact {
			g.settle()
		}
	}
	return m, nil
}

func (m *mux) add(route *Route) error {
	clean := path.Clean(route.Path)
	if clean != "/" && strings.HasSuffix(route.Path, "/") {
		clean += "/"
	}
	switch {
	case !strings.HasPrefix(route.Path, "/") || clean != route.Path:
		return fmt.Errorf("the path is not clean")
	case route.Handler == nil:
		return fmt.Errorf("no handler")
	}
	route.CORS = slices.Clone(route.CORS)
	for i, origin := range route.CORS {
		route.CORS[i] = strings.ToLower(origin)
		if !validOrigin(route.CORS[i]) {
			return fmt.Errorf("%q is not an origin: it must be scheme://host or scheme://host:port", origin)
		}
	}
	host := hostname(route.Host)
	m.named = m.named || host != ""
	s := m.hosts[host]
	if s == nil {
		s = &site{exact: map[string]*group{}}
		m.hosts[host] = s
	}
	g := s.exact[route.Path]
	if g == nil {
		g = &group{path: route.Path}
		s.exact[route.Path] = g
		if strings.HasSuffix(route.Path, "/") {
			s.trees = append(s.trees, g)
		}
	}
	switch {
	case route.Claims != nil:
		g.claimed = append(g.claimed, route)
	case g.rest != nil:
		return fmt.Errorf("two routes take the same requests: %s and %s", g.rest.Dialect, route.Dialect)
	default:
		g.rest = route
	}
	g.cors = g.cors || len(route.CORS) > 0
	return nil
}

func (g *group) settle() {
	if g.rest == nil {
		g.rest = g.claimed[0]
	}
}

func (g *group) pick(h http.Header) *Route {
	for _, route := range g.claimed {
		if route.Claims(h) {
			return route
		}
	}
	return g.rest
}

func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := m.find(r)
	if g == nil {
		fail(w, r, nil, "", &auth.Error{Code: auth.CodeNotFound})
		return
	}
	if g.cors && r.Method == http.MethodOptions && g.preflight(w, r) {
		return
	}
	route := g.pick(r.Header)
	if x := exchangeFrom(r.Context()); x != nil {
		x.dialect, x.route, x.count = route.Dialect, route.Name, route.Count
		if route.Servers {
			x.crowd = nil
		}
	}
	if len(route.CORS) > 0 {
		route.share(w.Header(), r.Header)
	}
	maps.Copy(w.Header(), route.Notice)
	if route.away(w, r) || route.refuses(w, r) {
		return
	}
	route.Handler.ServeHTTP(w, r)
}

// away answers a request that comes while the route is meant to be away.
func (route *Route) away(w http.ResponseWriter, r *http.Request) bool {
	if route.Away == nil {
		return false
	}
	now := exchangeFrom(r.Context()).clock()
	until, away := route.Away(now)
	if away {
		auth.Use(r.Context(), auth.UsedBrownout)
		fail(w, r, route.Encode, "", &auth.Error{
			Code: auth.CodeUnavailable, RetryAfter: until.Sub(now), Detail: "away as planned until " + until.UTC().Format(time.RFC3339),
		})
	}
	return away
}

func (route *Route) refuses(w http.ResponseWriter, r *http.Request) bool {
	if route.Refuse == nil {
		return false
	}
	err := route.Refuse(r.Header)
	if err != nil {
		auth.Use(r.Context(), auth.UsedFailed)
		fail(w, r, route.Encode, "", err)
	}
	return err != nil
}

func (m *mux) find(r *http.Request) *group {
	if m.named {
		if s := m.hosts[hostname(r.Host)]; s != nil {
			if g := s.find(r); g != nil {
				return g
			}
		}
	}
	return m.hosts[""].find(r)
}

// find compares paths as they were sent: one that spells a character of a known
// path in another way (%2F, %2e) is not that path.
func (s *site) find(r *http.Request) *group {
	sent := r.URL.RawPath
	if sent == "" {
		sent = r.URL.Path
	}
	if g := s.exact[sent]; g != nil {
		return g
	}
	for _, tree := range s.trees {
		if strings.HasPrefix(sent, tree.path) {
			return tree
		}
	}
	return nil
}

// hostname is a host in lower case, without its port and the root's dot.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
