package declared

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// part is a piece of a text: as it is, or a placeholder.
type part struct {
	text string
	placeholder
	name string // of the placeholder; "": text
}

// piece is a piece of JSON: as it is, or a string with placeholders.
type piece struct {
	json  []byte
	parts []part
}

// template is compact JSON with placeholders.
type template struct {
	pieces  []piece
	members []member // of an object, each with its value
	uses    map[string]bool
	text    string // compact, as it was written
}

type member struct {
	name  string
	at    int
	value *template
}

// compiler makes a template of a string of the definition.
type compiler struct {
	*reader
	node   *node
	in     scope
	tokens *json.Decoder
}

// compile reads a JSON document. An empty text is no document, and gives nil.
func (r *reader) compile(n *node, in scope) *template {
	if n == nil || n.text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(n.text), new(any)); err != nil {
		at := len(n.text)
		if e, ok := errors.AsType[*json.SyntaxError](err); ok && !strings.HasPrefix(e.Error(), "unexpected end") {
			at = max(0, int(e.Offset)-1)
		}
		r.fail(n.place(at), "not JSON: %v", err)
		return nil
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, []byte(n.text)) // it is JSON
	c := &compiler{reader: r, node: n, in: in, tokens: json.NewDecoder(strings.NewReader(n.text))}
	c.tokens.UseNumber()
	t := c.value()
	t.text = compact.String()
	return t
}

// compileObject is compile for a document that must be an object.
func (r *reader) compileObject(n *node, in scope) *template {
	t := r.compile(n, in)
	if t != nil && !strings.HasPrefix(t.text, "{") {
		r.fail(n.place(0), "must be a JSON object")
	}
	return t
}

// next is the next token, and where it begins in the text.
func (c *compiler) next() (json.Token, int) {
	at := int(c.tokens.InputOffset())
	for at < len(c.node.text) && strings.IndexByte(" \t\r\n,:", c.node.text[at]) >= 0 {
		at++
	}
	token, err := c.tokens.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		c.fail(c.node.place(at), "not JSON: %v", err)
	}
	return token, at
}

func (c *compiler) value() *template {
	t := &template{uses: map[string]bool{}}
	token, at := c.next()
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			c.object(t)
		} else {
			c.array(t)
		}
	case string:
		parts := c.split(token, at, t.uses)
		if len(t.uses) == 0 {
			t.put(marshal(token))
			break
		}
		t.pieces = append(t.pieces, piece{parts: parts})
	default:
		t.put(marshal(token))
	}
	return t
}

func (c *compiler) object(t *template) {
	t.put([]byte("{"))
	seen := map[string]bool{}
	for c.tokens.More() && c.err == nil {
		key, at := c.next()
		name, _ := key.(string)
		if seen[name] {
			c.fail(c.node.place(at), "the member %q is there twice", name)
		}
		if strings.Contains(name, "${") {
			c.fail(c.node.place(at), "the name of a member can't have a placeholder")
		}
		if len(seen) > 0 {
			t.put([]byte(","))
		}
		seen[name] = true
		t.put(append(marshal(name), ':'))
		value := c.value()
		t.members = append(t.members, member{name, c.node.place(at), value})
		t.join(value)
	}
	_, _ = c.next()
	t.put([]byte("}"))
}

func (c *compiler) array(t *template) {
	t.put([]byte("["))
	for i := 0; c.tokens.More() && c.err == nil; i++ {
		if i > 0 {
			t.put([]byte(","))
		}
		t.join(c.value())
	}
	_, _ = c.next()
	t.put([]byte("]"))
}

// put adds JSON as it is.
func (t *template) put(text []byte) {
	if last := len(t.pieces) - 1; last >= 0 && t.pieces[last].parts == nil {
		t.pieces[last].json = append(t.pieces[last].json, text...)
		return
	}
	t.pieces = append(t.pieces, piece{json: bytes.Clone(text)})
}

func (t *template) join(value *template) {
	for _, p := range value.pieces {
		if p.parts == nil {
			t.put(p.json)
		} else {
			t.pieces = append(t.pieces, p)
		}
	}
	for name := range value.uses {
		t.uses[name] = true
	}
}

// split finds the placeholders of a text that begins at an offset of the node's.
func (c *compiler) split(text string, at int, uses map[string]bool) (parts []part) {
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if i := strings.Index(c.node.text[at:], "${"+name); i >= 0 {
			at += i
		}
		p, known := lookup(name)
		switch {
		case !closed:
			c.fail(c.node.place(at), "the placeholder has no end")
		case !known:
			c.fail(c.node.place(at), "unknown placeholder ${%s}", name)
		case p.in&c.in == 0:
			c.fail(c.node.place(at), "${%s} has no value in %s", name, scopeNames[c.in])
		case p.form == isOther && text != "${"+name+"}":
			c.fail(c.node.place(at), "${%s} is no text: it must stand alone", name)
		}
		uses[name] = true
		parts = append(parts, part{placeholder: p, name: name})
		rest, at = after, min(at+2, len(c.node.text))
	}
	return parts
}

// whole is the name of the placeholder that all of the value is, or "".
func (t *template) whole() string {
	if len(t.pieces) == 1 && len(t.pieces[0].parts) == 1 {
		return t.pieces[0].parts[0].name
	}
	return ""
}

// literal is the text that the value is, without placeholders.
func (t *template) literal() (text string, ok bool) {
	if len(t.pieces) != 1 || t.pieces[0].parts != nil {
		return "", false
	}
	err := json.Unmarshal(t.pieces[0].json, &text)
	return text, err == nil && t.pieces[0].json[0] == '"'
}

// render makes the JSON of an answer.
func (t *template) render(v *values) json.RawMessage {
	if t == nil {
		return nil
	}
	var b bytes.Buffer
	for _, p := range t.pieces {
		switch {
		case p.parts == nil:
			b.Write(p.json)
		case len(p.parts) == 1:
			b.Write(marshal(p.parts[0].get(v)))
		default:
			b.Write(marshal(text(p.parts, v)))
		}
	}
	return b.Bytes()
}

// text puts the parts of a text together.
func text(parts []part, v *values) string {
	var b strings.Builder
	for _, p := range parts {
		if p.name == "" {
			b.WriteString(p.text)
		} else {
			fmt.Fprint(&b, p.get(v))
		}
	}
	return b.String()
}

// marshal is JSON as web.Endpoint writes it: nothing is escaped for HTML.
func marshal(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return []byte("null") // of texts, numbers and lists of texts there is no error
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
