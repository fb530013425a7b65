package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	varyOrigin = []string{"Origin"}
	exposed    = []string{"Retry-After"}
	exposedEnd = []string{"Retry-After, Deprecation, Sunset, Link"}
)

// validOrigin tells whether s is an origin as a browser sends it (RFC 6454
// section 6.2), in lower case.
func validOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Hostname() != "*" && s == u.Scheme+"://"+u.Host
}

// originOf is the one origin that a request names, or "".
func originOf(h http.Header) string {
	if values := h["Origin"]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// share lets a listed origin read the answer, errors included. Credentials are
// headers, never cookies, so Access-Control-Allow-Credentials is never sent.
func (route *Route) share(answer, request http.Header) {
	answer["Vary"] = varyOrigin
	if origin := originOf(request); origin != "" && slices.Contains(route.CORS, origin) {
		answer["Access-Control-Allow-Origin"] = []string{origin}
		answer["Access-Control-Expose-Headers"] = exposed
		if len(route.Notice) > 0 {
			answer["Access-Control-Expose-Headers"] = exposedEnd
		}
	}
}

// preflight answers the question of a browser whether a page may call one of
// these routes (Fetch standard, section 3.3.6). The question has none of the
// headers by which routes of one path are told apart, so any of them that lists
// the origin answers; each decides again when its request comes.
func (g *group) preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := originOf(r.Header)
	if origin == "" || len(r.Header["Access-Control-Request-Method"]) != 1 {
		return false
	}
	var methods []string
	var first *Route
	for _, route := range append(slices.Clone(g.claimed), g.rest) {
		if !slices.Contains(route.CORS, origin) {
			continue
		}
		if first == nil {
			first = route
		}
		if known, ok := route.Handler.(interface{ AllowedMethods() []string }); ok {
			methods = append(methods, known.AllowedMethods()...)
		}
	}
	if first == nil {
		return false
	}
	if x := exchangeFrom(r.Context()); x != nil {
		x.dialect = first.Dialect
	}
	if len(methods) == 0 {
		methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	slices.Sort(methods)
	h := w.Header()
	h["Vary"] = varyOrigin
	h["Access-Control-Allow-Origin"] = []string{origin}
	h.Set("Access-Control-Allow-Methods", strings.Join(slices.Compact(methods), ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Authentication, Content-Type, X-CSRF-Token")
	h.Set("Access-Control-Max-Age", "600")
	h["Cache-Control"] = noStore
	w.WriteHeader(http.StatusNoContent)
	return true
}
