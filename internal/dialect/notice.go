package dialect

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// Announce has a route of a mount tell its clients of its end, be away when it is meant to, and say
// so in the dialect's shape.
func (d Dialect) Announce(route *web.Route, m *auth.Mount) {
	n := &m.Notice
	route.Notice = noticeHeaders(n)
	if route.Encode == nil { // else the route has a shape of its own
		route.Encode = d.Encode
	}
	if len(n.Brownouts) > 0 {
		route.Away = n.Away
	}
}

func noticeHeaders(n *auth.Notice) http.Header {
	h := http.Header{}
	var links []string
	say := func(name, value, relation string) {
		h[name] = []string{value}
		links = append(links, "<"+n.Link+`>; rel="`+relation+`"`)
	}
	if !n.Deprecation.IsZero() { // a Date of RFC 9651, section 3.3.7
		say("Deprecation", "@"+strconv.FormatInt(n.Deprecation.Unix(), 10), "deprecation")
	}
	if !n.Sunset.IsZero() {
		say("Sunset", n.Sunset.UTC().Format(http.TimeFormat), "sunset")
	}
	if n.Link != "" {
		h["Link"] = []string{strings.Join(links, ", ")}
	}
	return h
}
