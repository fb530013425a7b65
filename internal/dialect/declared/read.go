package declared

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/ostiary/ostiary/internal/pattern"
)

// reader takes values out of the tree, and keeps the first thing that is wrong.
type reader struct {
	*source
	err error
}

func (r *reader) fail(at int, format string, args ...any) {
	if r.err == nil {
		r.err = r.errorf(at, format, args...)
	}
}

// section is a table that is read; what says which one in messages.
type section struct {
	*reader
	*table
	what string
}

func (r *reader) section(t *table, what string) *section { return &section{r, t, what} }

// take is the value of a key, or nil.
func (s *section) take(name string) *node {
	e := s.find(name)
	if e == nil {
		return nil
	}
	e.used = true
	return e.value
}

// end refuses the keys that nobody has taken.
func (s *section) end() {
	for _, e := range s.entries {
		if !e.used {
			s.fail(e.at, "unknown key %q in %s", e.name, s.what)
		}
	}
}

func (s *section) missing(name string) { s.fail(s.at, "%s lacks %q", s.what, name) }

// kind is the value of a key, if it is of a kind.
func (s *section) kind(name, noun string, kinds ...unstable.Kind) *node {
	n := s.take(name)
	if n == nil {
		return nil
	}
	for _, k := range kinds {
		if n.kind == k {
			return n
		}
	}
	s.fail(n.at, "%s must be %s", name, noun)
	return nil
}

func (s *section) text(name string) *node { return s.kind(name, "a string", unstable.String) }

// needText is text for a key that must be there.
func (s *section) needText(name string) *node {
	if s.find(name) == nil {
		s.missing(name)
	}
	return s.text(name)
}

// word is a text of a few, and def if it is not there.
func (s *section) word(name, def string, allowed ...string) string {
	n := s.text(name)
	if n == nil {
		return def
	}
	for _, a := range allowed {
		if n.text == a {
			return a
		}
	}
	s.fail(n.at, "%s: %q is not one of %s", name, n.text, strings.Join(allowed, ", "))
	return def
}

// matching is a text that fits a pattern; noun says which.
func (s *section) matching(name string, pattern *pattern.Pattern, noun string) string {
	n := s.text(name)
	if n == nil {
		return ""
	}
	if !pattern.MatchString(n.text) {
		s.fail(n.at, "%s: %q is not %s", name, n.text, noun)
	}
	return n.text
}

func (s *section) boolean(name string) bool {
	n := s.kind(name, "true or false", unstable.Bool)
	return n != nil && n.text == "true"
}

// number is a whole number, and 0 if it is not there.
func (s *section) number(name string) (value int, at int) {
	n := s.kind(name, "a whole number", unstable.Integer)
	if n == nil {
		return 0, s.at
	}
	v, err := strconv.Atoi(n.text)
	if err != nil {
		s.fail(n.at, "%s must be a whole number", name)
	}
	return v, n.at
}

// texts is a string, or a list of them that is not empty.
func (s *section) texts(name string) (all []*node) {
	n := s.kind(name, "a string, or a list of strings", unstable.String, unstable.Array)
	if n == nil {
		return nil
	}
	if n.kind == unstable.String {
		return []*node{n}
	}
	for _, item := range n.list {
		if item.kind != unstable.String {
			s.fail(item.at, "%s must be a list of strings", name)
			return nil
		}
	}
	if len(n.list) == 0 {
		s.fail(n.at, "%s must not be empty", name)
	}
	return n.list
}

// sub is a table within this one, or nil.
func (s *section) sub(name string) *section {
	n := s.kind(name, "a table", unstable.Table, unstable.InlineTable)
	if n == nil {
		return nil
	}
	return s.section(n.table, fmt.Sprintf("[%s]", name))
}

// tables are those of [[name]].
func (s *section) tables(name string) (all []*section) {
	n := s.kind(name, fmt.Sprintf("a list of tables: write [[%s]]", name), unstable.ArrayTable)
	if n == nil {
		return nil
	}
	for _, item := range n.list {
		all = append(all, s.section(item.table, fmt.Sprintf("[[%s]]", name)))
	}
	return all
}

// maxLife is longer than any session.
const maxLife = 36500 * 24 * time.Hour

// duration is a time such as "90s", "12h" or "30d", in whole seconds.
func (s *section) duration(name string) time.Duration {
	n := s.text(name)
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.text)
	if days, ok := strings.CutSuffix(n.text, "d"); ok {
		var count uint64
		count, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(count) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > maxLife || d%time.Second != 0 {
		s.fail(n.at, `%s: %q is no time in whole seconds such as "60s", "12h" or "30d"`, name, n.text)
		return 0
	}
	return d
}
