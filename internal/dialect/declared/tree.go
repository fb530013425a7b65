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
}

func (t *table) find(name string) *entry {
	for _, e := range t.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (t *table) add(name string, at int, value *node) *node {
	t.entries = append(t.entries, &entry{name: name, at: at, value: value})
	return value
}

// parse makes the tree. The decoder goes first: it knows all of the syntax, and finds what
// is there twice, so that the tree need not.
func parse(s *source) (*table, error) {
	if i := invalidUTF8(s.data); i >= 0 {
		return nil, s.errorf(i, "not UTF-8")
	}
	err := toml.Unmarshal(s.data, &map[string]any{})
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := e.Position()
		return nil, fmt.Errorf("%s:%d:%d: %s", s.name, line, column, oneLine(strings.TrimPrefix(e.Error(), "toml: ")))
	}
	g := grower{}
	g.Reset(s.data)
	root := &table{}
	here := root
	for err == nil && g.NextExpression() {
		switch e := g.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			here, err = g.header(root, e)
		case unstable.KeyValue:
			err = g.put(here, e)
		}
	}
	if err = errors.Join(err, g.Error()); err != nil {
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
type grower struct{ unstable.Parser }

// keys are the parts of a name, and where it is written.
func (g *grower) keys(e *unstable.Node) (names []string, at int) {
	for it := e.Key(); it.Next(); {
		if names = append(names, string(it.Node().Data)); len(names) == 1 {
			at = int(it.Node().Raw.Offset)
		}
	}
	return names, at
}

// below finds or makes the table that parts of a name lead to.
func (g *grower) below(t *table, names []string, at int) (*table, error) {
	for _, name := range names {
		var value *node
		if e := t.find(name); e != nil {
			value = e.value
		} else {
			value = t.add(name, at, &node{at: at, kind: unstable.Table, table: &table{at: at}})
		}
		if value.kind == unstable.ArrayTable {
			value = value.list[len(value.list)-1]
		}
		if t = value.table; t == nil {
			return nil, fmt.Errorf("%q has its value already", name)
		}
	}
	return t, nil
}

// header is the table of [a.b] or [[a.b]].
func (g *grower) header(root *table, e *unstable.Node) (*table, error) {
	names, at := g.keys(e)
	if e.Kind == unstable.Table {
		return g.below(root, names, at)
	}
	last := len(names) - 1
	t, err := g.below(root, names[:last], at)
	if err != nil {
		return nil, err
	}
	list := &node{at: at, kind: unstable.ArrayTable}
	if known := t.find(names[last]); known != nil {
		list = known.value
	} else {
		t.add(names[last], at, list)
	}
	fresh := &table{at: at}
	list.list = append(list.list, &node{at: at, kind: unstable.Table, table: fresh})
	return fresh, nil
}

// put adds a key and its value.
func (g *grower) put(t *table, e *unstable.Node) error {
	names, at := g.keys(e)
	last := len(names) - 1
	t, err := g.below(t, names[:last], at)
	if err != nil {
		return err
	}
	value, err := g.value(e.Value(), at)
	if err == nil {
		t.add(names[last], at, value)
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
	}
	return n, nil
}
