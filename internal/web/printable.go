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
