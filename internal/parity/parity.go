// Package parity compares what two servers answer to one request, and counts where they
// differ: the one that is in use, and the one that is to take its place.
//
// No value leaves it. A difference is a kind and the name of what differs; names that the
// other server has made up are shown only if they look like names.
package parity

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what sort of thing differs.
type Kind string

const (
	// Same and Different are the two that each compared request is counted under.
	Same      Kind = "same"      // a client would see no difference that matters
	Different Kind = "different" // it could

	Verdict     Kind = "verdict"     // who accepts whom: what they did, and what we would have done alone
	Learned     Kind = "learned"     // a verdict that is right from now on: why we would have refused until then
	Unreadable  Kind = "unreadable"  // not sent to them, since we can't read it as they might
	Refused     Kind = "refused"     // not sent to them: a budget is spent, or the account disabled or deleted
	Unavailable Kind = "unavailable" // they could not answer, or said what nobody understands
	Status      Kind = "status"
	Header      Kind = "header"       // they send it, we do not
	HeaderExtra Kind = "header_extra" // we send it, they do not
	MediaType   Kind = "media_type"   // of Content-Type
	Body        Kind = "body"         // empty, json, or text
	Missing     Kind = "missing"      // a member or claim that they have
	Extra       Kind = "extra"        // one that only we have
	Type        Kind = "type"         // of a member or claim
	Order       Kind = "order"        // of the members
	Value       Kind = "value"        // of a member or claim that says the same on both sides
	Time        Kind = "time"         // how long we took, against them
)

// Breaks tells whether a difference of the kind can break a client: what only we have, or
// in which order, none should notice, and what they can't or may not answer tells nothing.
func (k Kind) Breaks() bool {
	switch k {
	case Same, Different, Learned, Refused, Unavailable, HeaderExtra, Extra, Order, Time:
		return false
	}
	return true
}

// Difference is one thing that differs. Detail has names only.
type Difference struct {
	Kind   Kind
	Detail string
}

// Answer is one server's answer.
type Answer struct {
	Status int
	Header map[string][]string // by canonical names
	Body   []byte
}

const (
	mostDifferences = 32  // of one request
	mostDetail      = 160 // bytes
)

// comparison collects what differs.
type comparison struct {
	hidden []string
	nodes  int
	found  []Difference
}

// Compare says where our answer differs from theirs, each difference once. A name of
// theirs that holds one of the hidden texts (what the client has sent) is not shown.
func Compare(theirs, ours Answer, hidden ...string) []Difference {
	c := &comparison{}
	for _, text := range hidden {
		if len(text) >= 3 {
			c.hidden = append(c.hidden, strings.ToLower(text))
		}
	}
	if theirs.Status != ours.Status {
		c.differ(Status, between(strconv.Itoa(theirs.Status), strconv.Itoa(ours.Status)))
	}
	c.headers(theirs.Header, ours.Header)
	if theirs.Status/100 == 2 == (ours.Status/100 == 2) { // or all of it differs
		c.bodies(theirs.Body, ours.Body)
	}
	return c.found
}

// between names what they have and what we have.
func between(theirs, ours string) string { return theirs + " there, " + ours + " here" }

func (c *comparison) differ(kind Kind, detail string) {
	if len(detail) > mostDetail {
		detail = detail[:mostDetail]
	}
	d := Difference{kind, detail}
	if len(c.found) < mostDifferences && !slices.Contains(c.found, d) {
		c.found = append(c.found, d)
	}
}

// immaterial are headers that no client of a login looks at.
var immaterial = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`Accept-Ranges Age Alt-Svc Connection Content-Length Content-Security-Policy Content-Type Date Etag
		Expires Keep-Alive Nel Pragma Permissions-Policy Proxy-Connection Referrer-Policy Report-To Server Server-Timing Strict-Transport-Security Te
		Trailer Transfer-Encoding Upgrade Vary Via X-Content-Type-Options X-Correlation-Id X-Frame-Options X-Powered-By X-Request-Id X-Runtime
		X-Xss-Protection`) {
		immaterial[name] = true
	}
}

// headers compares which there are, and the media type.
func (c *comparison) headers(theirs, ours map[string][]string) {
	for _, name := range sortedNames(theirs) {
		if !immaterial[name] && len(ours[name]) == 0 {
			c.differ(Header, c.name(name))
		}
	}
	for _, name := range sortedNames(ours) {
		if !immaterial[name] && len(theirs[name]) == 0 {
			c.differ(HeaderExtra, name)
		}
	}
	if a, b := c.mediaType(theirs), c.mediaType(ours); a != b {
		c.differ(MediaType, between(a, b))
	}
}

func sortedNames(h map[string][]string) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *comparison) mediaType(h map[string][]string) string {
	values := h["Content-Type"]
	if len(values) == 0 {
		return "none"
	}
	media, _, _ := strings.Cut(values[0], ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return c.name(media)
}

// name is a name as it may be kept: one that holds what the client has sent, or looks
// like a value (long, with many digits or odd signs), is not shown.
func (c *comparison) name(name string) string {
	const odd = "(odd)"
	digits := 0
	if name == "" || len(name) > 48 {
		return odd
	}
	for i := range len(name) {
		switch b := name[i]; {
		case b >= '0' && b <= '9':
			if digits++; digits > 4 {
				return odd
			}
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', strings.IndexByte("_-:/.", b) >= 0:
		default:
			return odd
		}
	}
	lower := strings.ToLower(name)
	if slices.ContainsFunc(c.hidden, func(text string) bool { return strings.Contains(lower, text) }) {
		return odd
	}
	return name
}

// Paces are how long we may have taken, against them.
var Paces = []string{"no slower", "up to 2 times as long", "up to 5 times as long", "longer"}

// Pace is one of Paces. A few milliseconds are nothing.
func Pace(theirs, ours time.Duration) string {
	theirs = max(theirs, 5*time.Millisecond)
	switch {
	case ours <= theirs+theirs/4:
		return Paces[0]
	case ours <= 2*theirs:
		return Paces[1]
	case ours <= 5*theirs:
		return Paces[2]
	}
	return Paces[3]
}
