package declared

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/web"
)

// layout is how the documented members of a JSON body are read: into a struct that is made
// of their names, so that strictjson holds them to the rules of all dialects.
type layout struct {
	shape reflect.Type
	index map[string][]int // by member
}

// anyType holds a member that is only looked at to see whether it is a text.
var anyType = reflect.TypeFor[any]()

func newLayout(routes []*route) *layout {
	l := &layout{index: map[string][]int{}}
	types := map[string]reflect.Type{}
	for _, r := range routes {
		for _, m := range r.members() {
			types[m] = reflect.TypeFor[*string]()
		}
	}
	for _, m := range []string{"username", "password"} { // a second credential, or nothing
		below := func(other string) bool { return strings.HasPrefix(other, m+".") }
		if types[m] == nil && !containsKey(types, below) {
			types[m] = anyType
		}
	}
	l.shape = l.structOf(types, "", nil)
	return l
}

func containsKey(m map[string]reflect.Type, match func(string) bool) bool {
	for key := range m {
		if match(key) {
			return true
		}
	}
	return false
}

// structOf is a struct for the members below a path, and notes where each is.
func (l *layout) structOf(types map[string]reflect.Type, path string, at []int) reflect.Type {
	var names []string
	for member := range types {
		if rest, ok := strings.CutPrefix(member, path); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var fields []reflect.StructField
	for i, name := range slices.Compact(names) {
		here := append(slices.Clone(at), i)
		kind := types[path+name]
		if kind == nil {
			kind = l.structOf(types, path+name+".", here)
		} else {
			l.index[path+name] = here
		}
		fields = append(fields, reflect.StructField{
			Name: "F" + strconv.Itoa(i), Type: kind, Tag: reflect.StructTag("json:" + strconv.Quote(name)),
		})
	}
	return reflect.StructOf(fields)
}

// fresh is a struct to be filled.
func (l *layout) fresh() web.Shaped { return web.Shaped{Into: reflect.New(l.shape).Interface()} }

// read finds the members of a struct that was filled.
func (l *layout) read(in web.Shaped) lookupFunc {
	v := reflect.ValueOf(in.Into).Elem()
	return func(member string) *string {
		index, ok := l.index[member]
		if !ok {
			return nil
		}
		switch value := v.FieldByIndex(index).Interface().(type) {
		case *string:
			return value
		case string:
			return &value
		}
		return nil
	}
}
