// Package pattern has regular expressions that are compiled when they are first asked:
// a process that starts waits for none, and most processes never need most of them.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression; it is safe for concurrent use.
type Pattern struct{ compiled func() *regexp.Regexp }

// New makes a pattern. One that is not well formed panics when it is first asked, so each
// must be asked by a test.
func New(text string) *Pattern {
	return &Pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// MatchString tells whether a text matches.
func (p *Pattern) MatchString(text string) bool { return p.compiled().MatchString(text) }

// FindStringSubmatch returns the match in a text and its groups; nil if there is none.
func (p *Pattern) FindStringSubmatch(text string) []string {
	return p.compiled().FindStringSubmatch(text)
}
