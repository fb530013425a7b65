package commandline

import (
	"fmt"
	"go/doc/comment"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The help is as wide as the variable COLUMNS says, up to a bound.
const (
	usualWidth = 80
	mostWidth  = 120
)

// help writes lines.
type help struct {
	width int
	lines []string
}

// WriteHelp writes what --help shows of the command.
func (c *Command) WriteHelp(w io.Writer) error {
	h := &help{width: usualWidth}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		h.width = min(n, mostWidth)
	}
	h.line("Usage: " + c.usage())
	for _, text := range []string{c.Help, c.Detail} {
		if text != "" {
			h.line("")
			h.lines = append(h.lines, strings.Split(strings.TrimSpace(wrap(strings.TrimSpace(text), "    ", h.width)), "\n")...)
		}
	}
	if len(c.Args) > 0 {
		h.section("Arguments:")
		h.columns(rows(c.Args, func(v *Value) string { return v.String() }))
	}
	if commands := c.leaves(); len(commands) > 0 {
		h.section("Commands:")
		h.columns(commands)
	}
	h.flags(c)
	if c.Parent == nil {
		h.section(fmt.Sprintf(`Run "%s <command> --help" for more information on a command.`, c.Name))
	}
	_, err := io.WriteString(w, strings.Join(h.lines, "\n")+"\n")
	return err
}

func (h *help) line(text string) { h.lines = append(h.lines, strings.TrimRight(text, " ")) }

func (h *help) section(title string) {
	h.line("")
	h.line(title)
}

// usage is the command with what it needs.
func (c *Command) usage() string {
	words := []string{c.shown()}
	for _, v := range c.AllFlags() {
		if v.required {
			words = append(words, v.summary())
		}
	}
	optional := 0
	for _, v := range c.Args {
		text := v.String()
		if !v.required {
			optional++
			text = strings.TrimSuffix(text, "]")
		}
		words = append(words, text)
	}
	words[len(words)-1] += strings.Repeat("]", optional)
	if len(c.Args) == 0 && len(c.Commands) > 0 {
		words = append(words, "<command>")
	}
	return strings.Join(append(words, "[flags]"), " ")
}

// shown is the path with the other names of the commands.
func (c *Command) shown() string {
	name := c.Name
	if c.Alias != "" {
		name += " (" + c.Alias + ")"
	}
	if c.Parent == nil {
		return name
	}
	return c.Parent.shown() + " " + name
}

// leaves are the commands below that have none below themselves.
func (c *Command) leaves() (out [][2]string) {
	for _, child := range c.Commands {
		switch {
		case child.Hidden:
		case len(child.Commands) > 0:
			out = append(out, child.leaves()...)
		default:
			_, path, _ := strings.Cut(child.shown(), " ")
			out = append(out, [2]string{path, child.Help})
		}
	}
	return out
}

// flags shows those of the command, with those of the commands above it, and then the groups.
func (h *help) flags(c *Command) {
	const indent = "    " // where -h has its short name
	list := [][2]string{{"-h, --help", "Show context-sensitive help."}}
	groups := []string{}
	for _, v := range c.AllFlags() {
		if v.Group != "" && !slices.Contains(groups, v.Group) {
			groups = append(groups, v.Group)
		}
	}
	in := func(group string, flags []*Value) (some []*Value) {
		for _, v := range flags {
			if v.Group == group {
				some = append(some, v)
			}
		}
		return some
	}
	for _, step := range c.steps() {
		if own := in("", step.Flags); len(own) > 0 {
			list = append(list, [2]string{})
			list = append(list, rows(own, func(v *Value) string { return indent + v.form() })...)
		}
	}
	h.section("Flags:")
	h.columns(list)
	for _, group := range groups {
		h.section(group)
		h.columns(rows(in(group, c.AllFlags()), (*Value).form))
	}
}

func rows(values []*Value, name func(*Value) string) (out [][2]string) {
	for _, v := range values {
		out = append(out, [2]string{name(v), v.explained()})
	}
	return out
}

// explained is the help of a value, with its variable.
func (v *Value) explained() string {
	if v.Env == "" {
		return v.Help
	}
	return strings.TrimSuffix(v.Help, ".") + " ($" + v.Env + ")."
}

// form is how a flag is typed.
func (v *Value) form() string {
	if v.negatable() {
		return "--[no-]" + v.Name
	}
	return v.summary()
}

// placeholder stands for the value.
func (v *Value) placeholder() string {
	text := strings.ToUpper(v.Name)
	switch t := v.field.Type(); {
	case v.tag.Get("placeholder") != "":
		text = v.tag.Get("placeholder")
	case v.defaulted && t.Kind() == reflect.String:
		text = strconv.Quote(v.tag.Get("default"))
	case v.defaulted:
		text = v.tag.Get("default")
	case t.Name() != "":
		text = strings.ToUpper(dashed(t.Name()))
	}
	if v.isList() && v.tag.Get("sep") != "none" {
		text += ",..."
	}
	return text
}

// columns writes names and what they mean beside each other. A name that is too long for
// its column has a line of its own.
func (h *help) columns(list [][2]string) {
	const indent, gap = "  ", 4
	width := h.width - len(indent)
	most, left := max(375*width/1000, 30), 0
	for _, row := range list {
		if n := len(row[0]); n < most {
			left = max(left, n)
		}
	}
	for _, row := range list {
		text := strings.Split(strings.TrimRight(wrap(row[1], indent, width-left-gap), "\n"), "\n")
		if len(row[0]) < most {
			h.line(fmt.Sprintf("%s%-*s%s", indent, left+gap, row[0], text[0]))
			text = text[1:]
		} else {
			h.line(indent + row[0])
		}
		for _, t := range text {
			h.line(indent + strings.Repeat(" ", left+gap) + t)
		}
	}
}

// wrap sets text as go doc does: paragraphs are filled, and what is indented is left alone.
func wrap(text, indent string, width int) string {
	var p comment.Parser
	printer := comment.Printer{TextCodePrefix: indent, TextWidth: width}
	return string(printer.Text(p.Parse(text)))
}
