package parity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	mostDepth = 8
	mostNodes = 1024 // that are compared of one request
	mostBody  = 256 << 10
)

// node is a JSON value whose members have an order.
type node struct {
	kind    string // null, bool, number, string, jwt, object, array
	text    string // of a scalar
	names   []string
	members map[string]*node
	items   []*node
}

// bodies compares what they are, and if both are JSON, their shapes.
func (c *comparison) bodies(theirs, ours []byte) {
	a, b := parse(theirs), parse(ours)
	if x, y := kindOf(theirs, a), kindOf(ours, b); x != y {
		c.differ(Body, between(x, y))
		return
	}
	if a != nil && b != nil {
		c.values("", "body", a, b)
	}
}

func kindOf(data []byte, n *node) string {
	switch {
	case n != nil:
		return "json"
	case len(bytes.TrimSpace(data)) == 0:
		return "empty"
	}
	return "text"
}

// parse reads JSON, and returns nil if it is none, or too much.
func parse(data []byte) *node {
	if len(data) > mostBody {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	budget := mostNodes
	n, ok := read(d, mostDepth, &budget)
	if !ok {
		return nil
	}
	if _, err := d.Token(); err != io.EOF {
		return nil
	}
	return n
}

func read(d *json.Decoder, depth int, budget *int) (*node, bool) {
	*budget--
	t, err := d.Token()
	if err != nil || depth == 0 || *budget < 0 {
		return nil, false
	}
	switch v := t.(type) {
	case nil:
		return &node{kind: "null"}, true
	case bool:
		if v {
			return &node{kind: "bool", text: "true"}, true
		}
		return &node{kind: "bool", text: "false"}, true
	case json.Number:
		return &node{kind: "number", text: v.String()}, true
	case string:
		return readText(v, depth, budget), true
	case json.Delim:
		if v == '[' {
			return readArray(d, depth, budget)
		}
	}
	n := &node{kind: "object", members: map[string]*node{}}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		text, _ := name.(string)
		member, ok := read(d, depth-1, budget)
		if !ok {
			return nil, false
		}
		if n.members[text] == nil {
			n.names = append(n.names, text)
		}
		n.members[text] = member
	}
	_, err = d.Token()
	return n, err == nil
}

func readArray(d *json.Decoder, depth int, budget *int) (*node, bool) {
	n := &node{kind: "array"}
	for d.More() {
		item, ok := read(d, depth-1, budget)
		if !ok {
			return nil, false
		}
		n.items = append(n.items, item)
	}
	_, err := d.Token()
	return n, err == nil
}

// readText opens a JWT (RFC 7519), which has a header and claims; it is not verified.
func readText(text string, depth int, budget *int) *node {
	n := &node{kind: "string", text: text}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || depth < 3 {
		return n
	}
	jwt := &node{kind: "jwt", members: map[string]*node{}}
	for i, name := range []string{"header", "claims"} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return n
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		part, ok := read(d, depth-1, budget)
		if !ok || part.kind != "object" {
			return n
		}
		jwt.names, jwt.members[name] = append(jwt.names, name), part
	}
	return jwt
}

// values compares two values at a path. name is the last name of it.
func (c *comparison) values(path, name string, theirs, ours *node) {
	if c.nodes++; c.nodes > mostNodes {
		return
	}
	at := path
	if at == "" {
		at = name
	}
	if theirs.kind != ours.kind {
		c.differ(Type, at+": "+between(theirs.kind, ours.kind))
		return
	}
	switch theirs.kind {
	case "object", "jwt":
		c.objects(path, theirs, ours)
	case "array":
		for i := range min(len(theirs.items), len(ours.items)) {
			c.values(at+"[]", name, theirs.items[i], ours.items[i])
		}
		if len(theirs.items) != len(ours.items) {
			c.differ(Value, at+"[]")
		}
	default:
		if theirs.text != ours.text && !random(name, theirs.text, ours.text) {
			c.differ(Value, at)
		}
	}
}

func (c *comparison) objects(path string, theirs, ours *node) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	for _, name := range ours.names {
		if other := theirs.members[name]; other != nil {
			c.values(join(name), name, other, ours.members[name])
		} else {
			c.differ(Extra, join(name))
		}
	}
	for _, name := range theirs.names {
		if ours.members[name] == nil {
			c.differ(Missing, join(c.name(name)))
		}
	}
	if theirs.kind == "jwt" {
		a, known := lifetime(theirs)
		if b, too := lifetime(ours); known && too && (a-b > 1 || b-a > 1) {
			c.differ(Value, join("exp-iat"))
		}
		return
	}
	if !strings.HasSuffix(path, ".header") && !strings.HasSuffix(path, ".claims") && !sameOrder(theirs, ours) {
		c.differ(Order, path+"{}")
	}
}

// sameOrder tells whether the members that both have come in the same order.
func sameOrder(a, b *node) bool {
	i := 0
	for _, name := range a.names {
		if b.members[name] == nil {
			continue
		}
		for a.members[b.names[i]] == nil {
			i++
		}
		if b.names[i] != name {
			return false
		}
		i++
	}
	return true
}

// lifetime is exp - iat of a JWT, in seconds.
func lifetime(jwt *node) (int64, bool) {
	claims := jwt.members["claims"].members
	if claims["exp"] == nil || claims["iat"] == nil {
		return 0, false
	}
	exp, err := json.Number(claims["exp"].text).Int64()
	iat, bad := json.Number(claims["iat"].text).Int64()
	return exp - iat, err == nil && bad == nil
}

// chance are names of members and claims that differ on each side: ids, and times.
var chance = map[string]bool{
	"sessionId": true, "session": true, "sid": true, "csrf": true, "jti": true, "kid": true, "nonce": true, "mfa_svg": true,
	"iat": true, "exp": true, "nbf": true, "auth_time": true, "updated_at": true, "timestamp": true,
	"at_hash": true, "c_hash": true, "s_hash": true, "origin_jti": true, "event_id": true,
}

// random tells whether a member's values differ by chance alone: by its name, or by
// what both look like. A number that names an account does not.
func random(name, theirs, ours string) bool {
	if chance[name] || strings.Contains(strings.ToLower(name), "token") {
		return true
	}
	return isUUID(theirs) && isUUID(ours) && name != "sub" || isTime(theirs) && isTime(ours)
}

func isUUID(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}
