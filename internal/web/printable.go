package web

import (
	"strconv"
	"strings"
)

// Printable is s without anything that could move a terminal's cursor, start a
// line, or turn the direction of text: such characters are escaped as in Go.
// What is longer than max bytes is cut.
func Printable(s string, max int) string {
	for i := range min(len(s), max) {
		if s[i] < ' ' || s[i] > '~' {
			return escaped(s, max)
		}
	}
	if len(s) > max {
		return s[:max] + "…"
	}
	return s
}

const (
	longSegment = 40   // more than a name or an id has: a UUID has 36 characters
	longPath    = 32   // of one that does not exist
	maxPath     = 4096 // how much of a path is looked at for the log
)

// printablePath is the path of a request for the log. No path here has a secret in it, but
// a client may put one there by mistake. So what is longer than a name is cut short, and a
// path that does not exist, where a token may have slashes, is no longer than half a token.
func printablePath(path string, exists bool) string {
	if !exists {
		return Printable(path, longPath)
	}
	if len(path) <= longSegment {
		return Printable(path, 256)
	}
	segments := strings.Split(path[:min(len(path), maxPath)], "/")
	for i, s := range segments {
		if len(s) > longSegment {
			segments[i] = strings.ToValidUTF8(s[:8], "") + "…"
		}
	}
	return Printable(strings.Join(segments, "/"), 256)
}

func escaped(s string, max int) string {
	var b strings.Builder
	for _, r := range s {
		quoted := quoteRune(r)
		if b.Len()+len(quoted) > max {
			b.WriteString("…")
			break
		}
		b.WriteString(quoted)
	}
	return b.String()
}

// quoteRune is r as it may stand in a log.
func quoteRune(r rune) string {
	if strconv.IsPrint(r) {
		return string(r)
	}
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}
