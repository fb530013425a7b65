package verify

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/web"
)

// originalHeaders are where proxies say which request they ask about: nginx and HAProxy
// as they are configured to, Caddy and Traefik by themselves.
var originalHeaders = [...]struct{ method, uri string }{
	{"X-Original-Method", "X-Original-Uri"},
	{"X-Forwarded-Method", "X-Forwarded-Uri"},
}

// original notes for the log which request a proxy asks about, and tells whether its URI
// is clear. Envoy appends the path to ours, and keeps the method; that goes first, since
// no client can have added it.
func original(r *web.Request) (clear bool) {
	clear = true
	method, path := "", appended(r.URL)
	if path != "" {
		method, clear = r.Method, !odd(path)
	}
	for _, name := range originalHeaders {
		uris := r.Header[name.uri]
		if len(uris) == 0 {
			continue
		}
		if path == "" {
			path = pathOf(uris[0])
			method = first(r.Header[name.method])
		}
		clear = clear && len(uris) == 1 && !odd(uris[0])
	}
	if path != "" {
		r.Original(method, path)
	}
	return clear
}

// pathOf is a URI without its query. Of one in absolute form (RFC 9112 section 3.2.2) it is
// the path alone: what stands before an "@" there may be a password.
func pathOf(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	if strings.HasPrefix(uri, "/") || !strings.Contains(uri, ":") {
		return uri
	}
	uri = uri[strings.LastIndexByte(uri, '@')+1:]
	if _, rest, found := strings.Cut(uri, "://"); found {
		uri = rest
	}
	_, path, _ := strings.Cut(uri, "/")
	return "/" + path
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// appended is what was sent after the path of the endpoint.
func appended(u *url.URL) string {
	_, path, _ := strings.Cut(sentPath(u), verifyPath)
	return path
}

// sentPath is the path of a request as it was sent.
func sentPath(u *url.URL) string {
	if u.RawPath != "" { // Go would spell it in another way
		return u.RawPath
	}
	return u.EscapedPath()
}

// odd tells whether servers could find different paths in the URI of a request, so that
// one would guard what the other does not serve. It is so with
//   - "." and ".." as names, which some resolve (RFC 3986 section 5.2.4), however they are
//     spelled: encoded, after an encoded slash or backslash, before a parameter ("..;");
//   - a backslash or a "#", which some take for a slash or for the end;
//   - two slashes at the start, after which some read a host (RFC 3986 section 4.2);
//   - controls, spaces, and what is no UTF-8, which some cut, drop, or replace;
//   - percent-encoding that is broken, or that still hides a dot, a slash, a backslash or a
//     control when it has been decoded once, for those who decode it again.
//
// Two slashes elsewhere are not odd: to merge them changes no name nor their order, and
// names of stored objects and URLs inside of paths have them. So is one encoded slash or
// backslash between names, as in "group%2Fproject". A rule that guards a part of the
// paths must be matched as the server behind matches; this can't see that. The query is
// not looked at.
func odd(uri string) bool {
	if uri == "" || uri == "*" { // absent, and RFC 9112 section 3.2.4
		return false
	}
	path, _, _ := strings.Cut(uri, "?")
	if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, separates) {
		return true
	}
	decoded, found := unescape(path)
	if found&(broken|control) != 0 || !utf8.ValidString(decoded) || oddNames(decoded) {
		return true
	}
	again, found := unescape(decoded)
	if found&(control|structure) != 0 {
		return true
	}
	if again == decoded {
		return false
	}
	last, _ := unescape(again)
	return last != again
}

// separates tells of a character that is never part of a path as it is sent.
func separates(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r == '#' }

// oddNames tells whether a path has names that servers resolve, or begins like a host.
func oddNames(decoded string) bool {
	if len(decoded) > 1 && isSlash(rune(decoded[1])) {
		return true
	}
	for name := range strings.FieldsFuncSeq(decoded, isSlash) {
		name, _, _ = strings.Cut(name, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

// What unescape finds.
const (
	broken    = 1 << iota // a "%" that no two hex digits follow
	control               // an encoded control
	structure             // an encoded dot, slash or backslash
)

// unescape decodes percent-encoding (RFC 3986 section 2.1) once.
func unescape(s string) (decoded string, found int) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, 0
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			high, low := hexDigit(s, i+1), hexDigit(s, i+2)
			if high < 0 || low < 0 {
				found |= broken
			} else {
				c = byte(high<<4 | low)
				i += 2
				switch {
				case c < ' ' || c == 0x7f:
					found |= control
				case c == '.' || c == '/' || c == '\\':
					found |= structure
				}
			}
		}
		b = append(b, c)
	}
	return string(b), found
}

// hexDigit is the value of the digit at i, or -1.
func hexDigit(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	switch c := s[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
