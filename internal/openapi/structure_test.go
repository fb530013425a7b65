package openapi_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/web"
)

// methods are those that a route's handler knows; for one that takes any, its GET is described.
func methods(t *testing.T, route web.Route) []string {
	t.Helper()
	known, ok := route.Handler.(interface{ AllowedMethods() []string })
	if !ok {
		t.Fatalf("%s: nobody knows its methods", route.Path)
	}
	list := known.AllowedMethods()
	if len(list) == 0 {
		return []string{http.MethodGet}
	}
	return slices.DeleteFunc(list, func(m string) bool { return m == http.MethodHead })
}

// Every route of a place is described there, with each of its methods, and nothing else is.
func TestDescription_EveryRoute(t *testing.T) {
	h := open(t)
	for _, place := range []string{"", prefix} {
		d := h.description(t, place)
		served := map[string]bool{}
		for _, route := range h.routes {
			path, here := strings.CutPrefix(route.Path, place)
			health := strings.HasSuffix(path, "/healthz") || strings.HasSuffix(path, "/readyz")
			if !health && (!here || place == "" && strings.HasPrefix(path, prefix)) {
				continue
			}
			for described := range d.root["paths"].(object) {
				if open := strings.LastIndex(described, "{"); open > 0 && strings.HasSuffix(path, "/") && described[:open] == path {
					path = described
				}
			}
			for _, method := range methods(t, route) {
				served[method+" "+path] = true
				if !d.has(t, pointer(method+" "+path)) {
					t.Errorf("%s: %s %s is not described", place, method, path)
				}
			}
		}
		for _, operation := range d.operations() {
			if !served[operation] {
				t.Errorf("%s: %s is described, and is not there", place, operation)
			}
		}
		if url := d.object(t, "/servers/0")["url"]; url != place && url != place+"/" {
			t.Errorf("%s: the server is %v", place, url)
		}
	}
}

// What only one dialect takes where it is alone, it must not share with another.
func TestDescription_OnlyWhatIsMounted(t *testing.T) {
	h := open(t)
	shared, alone := h.description(t, ""), h.description(t, prefix)
	const schema = "/paths/~1v1~1auth/post/requestBody/content/application~1json/schema"
	if all, _ := shared.object(t, schema)["anyOf"].([]any); len(all) != 2 {
		t.Errorf("the shared login takes %v", shared.object(t, schema))
	}
	if got := alone.object(t, schema)["$ref"]; got != "#/components/schemas/SenmoLogin" || alone.has(t, "/components/schemas/CloudioError") {
		t.Errorf("senmo alone takes %v", got)
	}
}

// Examples are of the shape that they are examples of.
func TestDescription_Examples(t *testing.T) {
	h := open(t)
	d := h.description(t, "")
	count := 0
	check := func(schema string, value any) {
		count++
		if err := d.valid(t, schema, value); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				walk(at+"/"+strconv.Itoa(i), item)
			}
		case object:
			switch examples := v["examples"].(type) {
			case []any: // of a schema
				for _, value := range examples {
					check(at, value)
				}
			case object: // of a body
				for _, example := range examples {
					check(at+"/schema", example.(object)["value"])
				}
			}
			if value, there := v["example"]; there {
				check(at+"/schema", value)
			}
			for name, member := range v {
				walk(at+"/"+escape(name), member)
			}
		}
	}
	walk("", d.root)
	if count < 40 {
		t.Errorf("only %d examples", count)
	}
}
