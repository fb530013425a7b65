// Package strictjson reads the JSON bodies of requests, and refuses everything
// about which two readers could disagree: duplicate names (RFC 8259 section 4),
// invalid UTF-8 (section 8.1), lone surrogates (section 8.2), data after the
// value, and names in another case, which are other names here. It works in one
// pass, in time and memory linear in the input, with bounded depth.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

const (
	// MaxDepth is how deeply objects and arrays may nest, the outermost included.
	MaxDepth = 64
	// MaxNames is how many names all objects of one document may have together.
	MaxNames = 1 << 14
)

// Error says why a document was refused. It names a field only if the reader
// documents it, and never repeats a value, so it may be shown to the client.
type Error struct {
	Field  string // the path of the field, "a.b"; empty for the document itself
	Reason string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return "the body " + e.Reason
	}
	return "the field " + strconv.Quote(e.Field) + " " + e.Reason
}

func refuse(reason string) *Error { return &Error{Reason: reason} }

// within puts the name of the field before the path of the error.
func within(err error, field string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Field != "" {
			field += "." + e.Field
		}
		return &Error{Field: field, Reason: e.Reason}
	}
	return fmt.Errorf("%s: %w", field, err)
}

// Decode reads exactly one JSON object into dst, a pointer to a struct or to a
// map with string keys. A field is filled by the exact name in its json tag; a
// field without a tag is never filled, unknown names are read and ignored, and
// null leaves a field as it is. Strings, booleans, integers, floats, pointers,
// slices, maps with string keys, structs, json.RawMessage and any (with numbers
// as json.Number) are understood. Nothing in dst refers to data afterwards.
//
// What is wrong with the document comes back as *Error; any other error is a
// fault of the caller. dst may be partly filled then.
func Decode(data []byte, dst any) error {
	_, err := decode(data, dst, false)
	return err
}

// DecodeKnown is Decode, and returns the names that no struct in dst has, of all objects that
// are read into structs.
func DecodeKnown(data []byte, dst any) (unknown []string, err error) { return decode(data, dst, true) }

func decode(data []byte, dst any, known bool) ([]string, error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("strictjson: %T is not a pointer to a value", dst)
	}
	v = v.Elem()
	if k := v.Kind(); k != reflect.Struct && !isObjectMap(v.Type()) {
		return nil, fmt.Errorf("strictjson: %T can't hold an object", dst)
	}
	d := decoder{data: data, known: known}
	err := d.document(v)
	return d.unknown, err
}

// Object reads exactly one JSON object by the same rules, and returns its
// members undecoded.
func Object(data []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := Decode(data, &members); err != nil {
		return nil, err
	}
	return members, nil
}

func isObjectMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String
}

// decoder is the state of one reading.
type decoder struct {
	data  []byte
	pos   int
	depth int
	count int      // names read so far, in all objects
	names [][]byte // those of the objects that are open, the innermost last
	first [16][]byte

	known   bool // names that no struct has are gathered
	unknown []string
}

func (d *decoder) document(v reflect.Value) error {
	d.names = d.first[:0]
	d.space()
	switch {
	case d.pos == len(d.data):
		return refuse("is empty")
	case d.data[d.pos] != '{':
		return refuse("must be a JSON object")
	}
	if err := d.object(v); err != nil {
		return err
	}
	if d.space(); d.pos < len(d.data) {
		return refuse("has data after the JSON object")
	}
	return nil
}

// object reads the object that starts here into v; the zero Value only reads.
func (d *decoder) object(v reflect.Value) error {
	if d.depth++; d.depth > MaxDepth {
		return refuse("is nested too deeply")
	}
	fields, err := d.prepare(v)
	if err != nil {
		return err
	}
	base := len(d.names)
	var seen map[string]struct{} // of an object with many names
	d.pos++
	d.space()
	for more := !d.take('}'); more; {
		name, err := d.text()
		if err != nil {
			return err
		}
		if d.count++; d.count > MaxNames {
			return refuse("has too many names")
		}
		field := fields.find(name)
		twice := false
		if twice, seen = d.note(name, base, seen); twice && field != nil {
			return &Error{Field: field.name, Reason: "is there twice"}
		} else if twice {
			return refuse("has a name twice")
		}
		if d.space(); !d.take(':') {
			return refuse("is not valid JSON")
		}
		if err := d.member(v, field, name); err != nil {
			return err
		}
		if d.space(); d.take('}') {
			break
		}
		if !d.take(',') {
			return refuse("is not valid JSON")
		}
		d.space()
	}
	clear(d.names[base:])
	d.names = d.names[:base]
	d.depth--
	return nil
}

// manyNames is when a set pays off against comparing with each earlier name.
const manyNames = 12

// note remembers a name of the object whose names start at base, and says
// whether it was there already.
func (d *decoder) note(name []byte, base int, seen map[string]struct{}) (bool, map[string]struct{}) {
	if seen != nil {
		_, twice := seen[string(name)]
		seen[string(name)] = struct{}{}
		return twice, seen
	}
	for _, earlier := range d.names[base:] {
		if string(earlier) == string(name) {
			return true, nil
		}
	}
	d.names = append(d.names, name)
	if len(d.names)-base < manyNames {
		return false, nil
	}
	seen = make(map[string]struct{}, 4*manyNames)
	for _, earlier := range d.names[base:] {
		seen[string(earlier)] = struct{}{}
	}
	return false, seen
}
