package declared

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// source is the text of a definition.
type source struct {
	name string
	data []byte
}

// errorf is an error at an offset of the text, with the line and the column in characters.
func (s *source) errorf(at int, format string, args ...any) error {
	before := s.data[:at]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Errorf("%s:%d:%d: %s", s.name, line, column, oneLine(fmt.Sprintf(format, args...)))
}

// oneLine keeps what a file has from starting a line of its own in a message.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// node is a value, and where it is written.
type node struct {
	at    int
	kind  unstable.Kind
	text  string // of a string, a number, or a boolean
	inner int    // where text begins, if it is written as it is; else -1
	list  []*node
	table *table
}

// place is where a byte of a string is written, or else the string.
func (n *node) place(offset int) int {
	if n.inner < 0 {
		return n.at
	}
	return n.inner + offset
}

// entry is a key of a table.
type entry struct {
	name  string
	at    int
	value *node
	used  bool
}

// table has its entries in the order in which they are written.
type table struct {
	at      int
	entries []*entry
	open    bool // made by a longer name alone, and so may still be begun
	inline  bool // written in braces, and so complete
}

func (t *table) find(name string) *entry {
	for _, e := range t.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (t *table) add(name string, at int, value *node) *entry {
	e := &entry{name: name, at: at, value: value}
	t.entries = append(t.entries, e)
	return e
}

// parse makes the tree. The decoder goes first: it knows all of the syntax.
func parse(s *source) (*table, error) {
	if i := invalidUTF8(s.data); i >= 0 {
		return nil, s.errorf(i, "not UTF-8")
	}
	wrong := toml.Unmarshal(s.data, &map[string]any{})
	if e, ok := errors.AsType[*toml.DecodeError](wrong); ok {
		line, column := e.Position()
		return nil, fmt.Errorf("%s:%d:%d: %s", s.name, line, column, oneLine(strings.TrimPrefix(e.Error(), "toml: ")))
	}
	g := grower{source: s}
	g.Reset(s.data)
	root := &table{}
	here := root
	for g.NextExpression() {
		var err error
		switch e := g.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			here, err = g.header(root, e)
		case unstable.KeyValue:
			err = g.put(here, e)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := errors.Join(g.Error(), wrong); err != nil {
		return nil, s.errorf(0, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	return root, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// grower makes the tree of what the parser finds.
type grower struct {
	unstable.Parser
	source *source
}

// keys are the parts of a name, and where each is written.
func (g *grower) keys(e *unstable.Node) (names []string, at []int) {
	for it := e.Key(); it.Next(); {
		names = append(names, string(it.Node().Data))
		at = append(at, int(it.Node().Raw.Offset))
	}
	return names, at
}

// below finds or makes the table of a part of a name.
func (g *grower) below(t *table, name string, at int) (*table, error) {
	e := t.find(name)
	if e == nil {
		e = t.add(name, at, &node{at: at, kind: unstable.Table, table: &table{at: at, open: true}})
	}
	into := e.value.table
	if e.value.kind == unstable.ArrayTable {
		into = e.value.list[len(e.value.list)-1].table
	}
	if into == nil || into.inline {
		return nil, g.source.errorf(at, "%q has its value already", name)
	}
	return into, nil
}

// header is the table of [a.b] or [[a.b]].
func (g *grower) header(root *table, e *unstable.Node) (*table, error) {
	names, at := g.keys(e)
	t, last := root, len(names)-1
	for i := range last {
		var err error
		if t, err = g.below(t, names[i], at[i]); err != nil {
			return nil, err
		}
	}
	name, here := names[last], at[last]
	known := t.find(name)
	fresh := &table{at: here}
	switch {
	case known == nil && e.Kind == unstable.Table:
		t.add(name, here, &node{at: here, kind: unstable.Table, table: fresh})
	case known == nil:
		t.add(name, here, &node{at: here, kind: unstable.ArrayTable, list: []*node{{at: here, kind: unstable.Table, table: fresh}}})
	case e.Kind == unstable.ArrayTable && known.value.kind == unstable.ArrayTable:
		known.value.list = append(known.value.list, &node{at: here, kind: unstable.Table, table: fresh})
	case e.Kind == unstable.Table && known.value.table != nil && known.value.table.open:
		fresh = known.value.table
		fresh.open = false
	default:
		return nil, g.source.errorf(here, "%q is there twice", name)
	}
	return fresh, nil
}

// put adds a key and its value.
func (g *grower) put(t *table, e *unstable.Node) error {
	names, at := g.keys(e)
	last := len(names) - 1
	for i := range last {
		var err error
		if t, err = g.below(t, names[i], at[i]); err != nil {
			return err
		}
	}
	if t.find(names[last]) != nil {
		return g.source.errorf(at[last], "%q is there twice", names[last])
	}
	value, err := g.value(e.Value(), at[last])
	if err == nil {
		t.add(names[last], at[last], value)
	}
	return err
}

func (g *grower) value(v *unstable.Node, at int) (*node, error) {
	if v.Raw.Length > 0 {
		at = int(v.Raw.Offset)
	}
	n := &node{at: at, kind: v.Kind, text: string(v.Data), inner: -1}
	switch v.Kind {
	case unstable.String:
		if i := bytes.Index(g.Raw(v.Raw), v.Data); i >= 0 {
			n.inner = at + i
		}
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			item, err := g.value(it.Node(), at)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, item)
		}
	case unstable.InlineTable:
		n.table = &table{at: at}
		for it := v.Children(); it.Next(); {
			if err := g.put(n.table, it.Node()); err != nil {
				return nil, err
			}
		}
		n.table.inline = true
	}
	return n, nil
}
