package commandline

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Line is a command line that has been read.
type Line struct {
	Command *Command // what is to be run
	Help    bool     // --help was given: nothing else is read, nor checked

	sources []Source
}

// A Source has values for flags that neither the command line nor the environment sets;
// nil: it has none. Values are text, or what TOML makes of them.
type Source func(*Line, *Value) any

// Misuse is an error of what was typed. Command is how far it was understood.
type Misuse struct {
	Command *Command
	Err     error
}

func (m *Misuse) Error() string { return m.Err.Error() }

// Unwrap returns what is wrong.
func (m *Misuse) Unwrap() error { return m.Err }

// An embedded struct may have these methods, which are called for the commands that are on
// the line: before sources are asked, and once all values are there.
type (
	beforeSources interface{ BeforeSources(*Line) error }
	afterParse    interface{ AfterParse(*Line) error }
)

// Parse reads a command line into the structs.
func (c *Command) Parse(args []string, sources ...Source) (*Line, error) {
	l := &Line{Command: c, sources: sources}
	if err := l.read(args); err != nil {
		return nil, &Misuse{l.Command, err}
	}
	if l.Help {
		return l, nil
	}
	wrong := l.settle()
	if err := l.embedded(func(s any) error {
		if h, ok := s.(beforeSources); ok {
			return h.BeforeSources(l)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if wrong == nil {
		wrong = l.ask()
	}
	if wrong != nil {
		return nil, wrong
	}
	if err := l.check(); err != nil {
		return nil, &Misuse{l.Command, err}
	}
	return l, l.embedded(func(s any) error {
		if h, ok := s.(afterParse); ok {
			return h.AfterParse(l)
		}
		return nil
	})
}

// AddSource adds a source that wins over those before it.
func (l *Line) AddSource(s Source) { l.sources = append(l.sources, s) }

// Typed tells whether a flag was typed.
func (l *Line) Typed(flag string) bool {
	v := l.Command.Flag(flag)
	return v != nil && v.source == fromLine
}

// Given tells whether a flag has a value that is not its default, from wherever.
func (l *Line) Given(flag string) bool {
	v := l.Command.Flag(flag)
	return v != nil && v.source > fromDefault
}

func (l *Line) embedded(fn func(any) error) error {
	for _, c := range l.Command.steps() {
		for _, s := range c.embedded {
			if err := fn(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// values are the flags and arguments of the commands on the line.
func (l *Line) values() (all []*Value) {
	for _, c := range l.Command.steps() {
		all = append(append(all, c.Flags...), c.Args...)
	}
	return all
}

// read goes along the words.
func (l *Line) read(words []string) error {
	left, noFlags := 0, false // arguments that are filled; -- was there
	for len(words) > 0 {
		word := words[0]
		if left < len(l.Command.Args) && has(l.Command.Args[left].tag, "passthrough") {
			return l.Command.Args[left].take(words...)
		}
		switch {
		case word == "--" && !noFlags:
			words, noFlags = words[1:], true
		case strings.HasPrefix(word, "-") && word != "-" && !noFlags:
			used, err := l.flag(word, words[1:])
			if err != nil {
				return err
			}
			words = words[1+used:]
		case left < len(l.Command.Args):
			if err := l.Command.Args[left].take(word); err != nil {
				return err
			}
			if words = words[1:]; !l.Command.Args[left].isList() {
				left++
			}
		default:
			next := l.Command.child(word)
			if next == nil {
				return suggest("unexpected argument "+word, word, l.Command.names())
			}
			l.Command, words = next, words[1:]
		}
	}
	return nil
}

// flag reads a flag, and says how many of the words after it are its value.
func (l *Line) flag(word string, rest []string) (used int, err error) {
	name, value, joined := strings.Cut(word, "=")
	if name == "--help" || name == "-h" {
		l.Help = true
		return 0, nil
	}
	known := []string{"--help", "-h"}
	for _, v := range l.Command.AllFlags() {
		negated := v.negatable() && name == "--no-"+v.Name
		known = append(known, v.String())
		switch {
		case name != v.String() && !negated:
			continue
		case v.IsBool && !joined:
			value = fmt.Sprint(!negated)
		case v.IsBool && negated:
			on, err := parseBool(value)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", v, err)
			}
			value = fmt.Sprint(!on)
		case !joined && len(rest) == 0:
			return 0, fmt.Errorf("%s: needs a value", v)
		case !joined && strings.HasPrefix(rest[0], "-") && rest[0] != "-":
			return 0, fmt.Errorf("%s: needs a value; perhaps try %s=%q?", v, v, rest[0])
		case !joined:
			value, used = rest[0], 1
		}
		return used, v.take(value)
	}
	return 0, suggest("unknown flag "+name, name, known)
}

func (c *Command) child(word string) *Command {
	for _, called := range []func(*Command) string{func(c *Command) string { return c.Name }, func(c *Command) string { return c.Alias }} {
		for _, child := range c.Commands {
			if called(child) == word && word != "" {
				return child
			}
		}
	}
	return nil
}

// names are the commands below that are not hidden.
func (c *Command) names() (names []string) {
	for _, child := range c.Commands {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// settle fills the fields with what was typed, or the environment says, or the tags; and
// returns what is wrong first.
func (l *Line) settle() (first error) {
	for _, v := range l.values() {
		v.field.SetZero()
		var err error
		text, inEnv := os.LookupEnv(v.Env)
		switch {
		case v.source == fromLine:
			v.field.Set(v.typed)
		case v.Env != "" && inEnv:
			v.source = fromEnvironment
			if err = v.decode(v.field, text); err != nil {
				err = fmt.Errorf("%s: %w (from envar %s=%q)", v, err, v.Env, text)
			}
		case v.defaulted:
			v.source = fromDefault
			err = v.decode(v.field, v.tag.Get("default"))
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// ask has the sources fill the flags that are not set yet.
func (l *Line) ask() error {
	for _, v := range l.values() {
		if v.isArg || v.source > fromDefault {
			continue
		}
		var found any
		for _, s := range l.sources {
			if value := s(l, v); value != nil {
				found = value
			}
		}
		if found == nil {
			continue
		}
		v.source = fromFile
		v.field.SetZero()
		if err := v.decode(v.field, found); err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
	}
	return nil
}

// check looks at the line as a whole.
func (l *Line) check() error {
	for _, v := range l.values() {
		if v.source == fromNowhere || len(v.Enum) == 0 {
			continue
		}
		if text := fmt.Sprint(v.field.Interface()); !slices.Contains(v.Enum, text) {
			return fmt.Errorf("%s must be one of %s but got %q", v, quoted(v.Enum, ","), text)
		}
	}
	for _, c := range l.Command.steps() {
		if err := c.checkMissing(); err != nil {
			return err
		}
	}
	var args []string
	for _, v := range l.Command.Args {
		if v.required && v.source == fromNowhere {
			args = append(args, v.String())
		}
	}
	switch names := l.Command.names(); {
	case len(args) > 0:
		return fmt.Errorf("expected %q", strings.Join(args, " "))
	case len(names) == 1:
		return fmt.Errorf("expected %q", names[0])
	case len(names) > 5:
		return fmt.Errorf("expected one of %s", quoted(names[:5], ", ")+", ...")
	case len(names) > 0:
		return fmt.Errorf("expected one of %s", quoted(names, ", "))
	}
	for _, c := range l.Command.steps() {
		if err := c.checkTogether(); err != nil {
			return err
		}
	}
	return nil
}

// checkMissing looks for required flags. Of those that exclude each other one is enough.
func (c *Command) checkMissing() error {
	var missing []string
	choices := map[string][]string{}
	set := map[string]bool{}
	for _, v := range c.Flags {
		choice := v.tag.Get("xor")
		switch {
		case v.source != fromNowhere:
			set[choice] = true
		case v.required && choice != "":
			choices[choice] = append(choices[choice], v.summary())
		case v.required:
			missing = append(missing, v.summary())
		}
	}
	for choice, flags := range choices {
		if !set[choice] {
			missing = append(missing, strings.Join(flags, " or "))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("missing flags: %s", strings.Join(missing, ", "))
}

func (c *Command) checkTogether() error {
	seen := map[string]*Value{}
	for _, v := range c.Flags {
		choice := v.tag.Get("xor")
		if choice == "" || v.source == fromNowhere {
			continue
		}
		if other := seen[choice]; other != nil {
			return fmt.Errorf("%s and %s can't be used together", other, v)
		}
		seen[choice] = v
	}
	return nil
}

func quoted(words []string, between string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(list, between)
}
