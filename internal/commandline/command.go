// Package commandline reads commands, flags and arguments into structs, by the tags of
// their fields; what was not typed comes from the environment, from the sources that the
// structs add, or from the tag.
//
//	cmd        a struct that is a command; its fields are its flags, arguments and commands
//	embed      a struct whose fields are this one's; so is one that is embedded in Go
//	arg        an argument; the other fields are flags
//	name       what it is called; without it the field's name, as in guess-delay-max
//	help       what --help says; a command's method Help says more
//	env        the variable of the environment that sets it too
//	default    what it is otherwise
//	enum       its values, with commas between
//	placeholder  what stands for the value in --help
//	group      on an embedded struct: the title in --help under which its flags are
//	aliases    another name of a command
//	hidden     not in --help
//	required   must be set; an argument must, unless it is optional
//	optional   see required
//	xor        of flags with the same word here only one may be set, and one is enough if they are required
//	negatable  for --no-NAME
//	sep:"none" each use of the flag adds one to a list; without it, what has commas between
//	passthrough  a list of all words that are left, flags or not
//
// A value is a string, a bool, an int, a float64, what reads itself (encoding.TextUnmarshaler),
// a pointer to one of these, or a list of strings. Numbers are decimal.
//
// It calls methods through interfaces alone and never by a name that is looked up: a program
// that does that keeps each exported method of all that it is linked with (docs/adr/0015).
package commandline

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Command is a command, or at the root the program.
type Command struct {
	Name     string
	Help     string // one line
	Detail   string // what the method Help returns
	Alias    string
	Hidden   bool
	Parent   *Command
	Flags    []*Value // of its own
	Args     []*Value
	Commands []*Command
	Target   any // pointer to the struct

	embedded []any // pointers to the exported structs that are embedded in it
}

// Value is a flag or an argument.
type Value struct {
	Name, Help, Env, Group string
	Enum                   []string
	IsBool                 bool

	tag       reflect.StructTag
	field     reflect.Value
	isArg     bool
	required  bool
	defaulted bool
	typed     reflect.Value // what is on the command line, as it will be in the field
	source    source
}

// source is where a value is from.
type source int

const (
	fromNowhere source = iota
	fromDefault
	fromFile
	fromEnvironment
	fromLine
)

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// New is the program that a struct describes, with a flag for help. It panics if the struct
// can't be meant so.
func New(name, help string, into any) *Command {
	c := build(name, reflect.ValueOf(into).Elem())
	c.Help = help
	return c
}

func build(name string, target reflect.Value) *Command {
	c := &Command{Name: name, Target: target.Addr().Interface()}
	if h, ok := c.Target.(interface{ Help() string }); ok {
		c.Detail = h.Help()
	}
	c.add(target, "")
	return c
}

// add takes up the fields of a struct.
func (c *Command) add(target reflect.Value, group string) {
	for i := range target.NumField() {
		field, value := target.Type().Field(i), target.Field(i)
		tag := field.Tag
		if has(tag, "embed") || field.Anonymous {
			if field.IsExported() {
				c.embedded = append(c.embedded, value.Addr().Interface())
			}
			under := group
			if g := tag.Get("group"); g != "" {
				under = g
			}
			c.add(value, under)
			continue
		}
		if !field.IsExported() {
			continue
		}
		name := tag.Get("name")
		if name == "" {
			name = dashed(field.Name)
		}
		if has(tag, "cmd") {
			child := build(name, value)
			child.Parent, child.Help, child.Alias, child.Hidden = c, tag.Get("help"), tag.Get("aliases"), has(tag, "hidden")
			c.Commands = append(c.Commands, child)
			continue
		}
		v := newValue(name, group, tag, value)
		if v.isArg {
			c.Args = append(c.Args, v)
		} else {
			c.Flags = append(c.Flags, v)
		}
	}
}

func newValue(name, group string, tag reflect.StructTag, field reflect.Value) *Value {
	v := &Value{Name: name, Help: tag.Get("help"), Env: tag.Get("env"), Group: group, tag: tag, field: field}
	v.isArg, v.defaulted = has(tag, "arg"), has(tag, "default")
	v.required = has(tag, "required") || v.isArg && !has(tag, "optional")
	if enum, ok := tag.Lookup("enum"); ok {
		v.Enum = strings.Split(enum, ",")
	}
	t := field.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v.IsBool = t.Kind() == reflect.Bool
	kinds := []reflect.Kind{reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64}
	if !reflect.PointerTo(t).Implements(textUnmarshaler) && !slices.Contains(kinds, t.Kind()) && t != reflect.TypeFor[[]string]() {
		panic(fmt.Sprintf("commandline: %s can't be a %s", name, t))
	}
	return v
}

func has(tag reflect.StructTag, key string) bool {
	_, ok := tag.Lookup(key)
	return ok
}

// dashed is a field's name as a flag: TOTPIssuer is totp-issuer.
func dashed(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Path is the command as it is typed.
func (c *Command) Path() string {
	if c.Parent == nil {
		return c.Name
	}
	return c.Parent.Path() + " " + c.Name
}

// steps are the commands from the root to this one.
func (c *Command) steps() []*Command {
	if c.Parent == nil {
		return []*Command{c}
	}
	return append(c.Parent.steps(), c)
}

// AllFlags are the flags that the command takes: those of the commands above it first.
func (c *Command) AllFlags() (all []*Value) {
	for _, step := range c.steps() {
		all = append(all, step.Flags...)
	}
	return all
}

// Flag is the flag of that name which the command takes; nil if there is none.
func (c *Command) Flag(name string) *Value {
	for _, v := range c.AllFlags() {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// Walk calls a function with the command and all that are below it.
func (c *Command) Walk(fn func(*Command)) {
	fn(c)
	for _, child := range c.Commands {
		child.Walk(fn)
	}
}

// String is the value as messages name it.
func (v *Value) String() string {
	if !v.isArg {
		return "--" + v.Name
	}
	text := "<" + v.Name + ">"
	if v.isList() {
		text += " ..."
	}
	if !v.required {
		text = "[" + text + "]"
	}
	return text
}

// summary is the value as usage shows it.
func (v *Value) summary() string {
	if v.isArg || v.IsBool {
		return v.String()
	}
	return v.String() + "=" + v.placeholder()
}

func (v *Value) isList() bool { return v.field.Kind() == reflect.Slice }

func (v *Value) negatable() bool { return has(v.tag, "negatable") }
