package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

var (
	rawType    = reflect.TypeFor[json.RawMessage]()
	numberType = reflect.TypeFor[json.Number]()
)

// field is one documented name of a struct.
type field struct {
	name  string
	index []int
}

type fieldSet []field

func (s fieldSet) find(name []byte) *field {
	for i := range s {
		if s[i].name == string(name) {
			return &s[i]
		}
	}
	return nil
}

var fieldSets sync.Map // reflect.Type → fieldSet

func fieldsOf(t reflect.Type) fieldSet {
	if set, ok := fieldSets.Load(t); ok {
		return set.(fieldSet)
	}
	var set fieldSet
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			set = append(set, field{name: name, index: f.Index})
		}
	}
	fieldSets.Store(t, set)
	return set
}

// prepare readies v for the members of an object: the fields of a struct, or a map.
func (d *decoder) prepare(v reflect.Value) (fieldSet, error) {
	switch {
	case !v.IsValid():
		return nil, nil
	case v.Kind() == reflect.Struct:
		return fieldsOf(v.Type()), nil
	case isObjectMap(v.Type()):
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		return nil, nil
	}
	return nil, wrongType(v.Type())
}

// member reads the value of one name of an object into its place in v.
func (d *decoder) member(v reflect.Value, f *field, name []byte) error {
	switch {
	case f != nil:
		place, err := v.FieldByIndexErr(f.index)
		if err != nil {
			return fmt.Errorf("strictjson: %w", err)
		}
		if err := d.value(place); err != nil {
			return within(err, f.name)
		}
		return nil
	case v.IsValid() && v.Kind() == reflect.Map:
		key := reflect.ValueOf(string(name)).Convert(v.Type().Key())
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(element); err != nil {
			return err
		}
		v.SetMapIndex(key, element)
		return nil
	case d.known && v.IsValid():
		d.unknown = append(d.unknown, string(name))
	}
	return d.value(reflect.Value{})
}

// value reads the value that comes next into v; the zero Value only reads.
func (d *decoder) value(v reflect.Value) error {
	d.space()
	if v.IsValid() {
		switch {
		case v.Type() == rawType:
			start := d.pos
			if err := d.value(reflect.Value{}); err != nil {
				return err
			}
			v.SetBytes(append([]byte(nil), d.data[start:d.pos]...))
			return nil
		case d.peek() == 'n':
			return d.literal("null")
		case v.Kind() == reflect.Pointer:
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			return d.value(v.Elem())
		case v.Kind() == reflect.Interface && v.NumMethod() == 0:
			return d.anything(v)
		}
	}
	switch d.peek() {
	case '{':
		return d.object(v)
	case '[':
		return d.array(v)
	case '"':
		text, err := d.text()
		if err != nil || !v.IsValid() {
			return err
		}
		if v.Kind() != reflect.String || v.Type() == numberType {
			return wrongType(v.Type())
		}
		v.SetString(string(text))
		return nil
	case 't':
		return d.boolean(v, "true", true)
	case 'f':
		return d.boolean(v, "false", false)
	case 'n':
		return d.literal("null")
	}
	raw, integer, err := d.number()
	if err == nil && v.IsValid() {
		err = setNumber(v, raw, integer)
	}
	return err
}

func (d *decoder) boolean(v reflect.Value, word string, b bool) error {
	if err := d.literal(word); err != nil || !v.IsValid() {
		return err
	}
	if v.Kind() != reflect.Bool {
		return wrongType(v.Type())
	}
	v.SetBool(b)
	return nil
}

func (d *decoder) array(v reflect.Value) error {
	if v.IsValid() && v.Kind() != reflect.Slice {
		return wrongType(v.Type())
	}
	if d.depth++; d.depth > MaxDepth {
		return refuse("is nested too deeply")
	}
	if v.IsValid() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 4))
	}
	d.pos++
	d.space()
	for more := !d.take(']'); more; {
		var element reflect.Value
		if v.IsValid() {
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			element = v.Index(v.Len() - 1)
			element.SetZero()
		}
		if err := d.value(element); err != nil {
			return err
		}
		if d.space(); d.take(']') {
			break
		}
		if !d.take(',') {
			return refuse("is not valid JSON")
		}
	}
	d.depth--
	return nil
}

// anything fills an empty interface with the type that the value has.
func (d *decoder) anything(v reflect.Value) error {
	var place reflect.Value
	switch c := d.peek(); c {
	case '{':
		place = reflect.New(reflect.TypeFor[map[string]any]()).Elem()
	case '[':
		place = reflect.New(reflect.TypeFor[[]any]()).Elem()
	case '"':
		place = reflect.New(reflect.TypeFor[string]()).Elem()
	case 't', 'f':
		place = reflect.New(reflect.TypeFor[bool]()).Elem()
	default:
		place = reflect.New(numberType).Elem()
	}
	if err := d.value(place); err != nil {
		return err
	}
	v.Set(place)
	return nil
}

func setNumber(v reflect.Value, raw []byte, integer bool) error {
	switch {
	case v.Type() == numberType:
		v.SetString(string(raw))
		return nil
	case v.CanInt() && integer:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || v.OverflowInt(n) {
			return refuse("is out of range")
		}
		v.SetInt(n)
		return nil
	case v.CanUint() && integer:
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil || v.OverflowUint(n) {
			return refuse("is out of range")
		}
		v.SetUint(n)
		return nil
	case v.CanFloat():
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || v.OverflowFloat(n) {
			return refuse("is out of range")
		}
		v.SetFloat(n)
		return nil
	}
	return wrongType(v.Type())
}

// wrongType refuses a value for a field of type t, or blames the reader if no
// value would do.
func wrongType(t reflect.Type) error {
	noun := nounOf(t)
	if noun == "" {
		return fmt.Errorf("strictjson: a field of type %s can't be filled", t)
	}
	return refuse("must be " + noun)
}

func nounOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		if t == numberType {
			return "a number"
		}
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return ""
}
