package openapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type object = map[string]any

// description is the document that a server has given, and its schemas, compiled.
type description struct {
	root    object
	schemas *jsonschema.Compiler
}

func read(t *testing.T, text string) *description {
	t.Helper()
	root, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{root.(object), jsonschema.NewCompiler()}
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	d.schemas.AssertFormat()
	d.schemas.AssertContent()
	d.schemas.RegisterContentMediaType(&jsonschema.MediaType{
		Name: "application/jwt", UnmarshalJSON: decodeJWT,
		Validate: func(text []byte) error { _, err := decodeJWT(text); return err },
	})
	if err := d.schemas.AddResource("openapi.json", root); err != nil {
		t.Fatal(err)
	}
	return d
}

// decodeJWT gives header and claims, as the contentSchema of a JWT describes them.
func decodeJWT(text []byte) (any, error) {
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 || parts[2] == "" {
		return nil, errors.New("not a signed JWT")
	}
	var decoded []any
	for _, part := range parts[:2] {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return nil, err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		decoded = append(decoded, v)
	}
	return decoded, nil
}

// at finds what a pointer (RFC 6901) leads to, and where that really is: references are followed.
func (d *description) at(t *testing.T, pointer string) (any, string) {
	t.Helper()
	var v any = d.root
	var names []string
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, step := range steps {
		switch node := v.(type) {
		case object:
			v = node[unescape(step)]
		case []any:
			n, _ := strconv.Atoi(step)
			v = node[n]
		}
		names = append(names, step)
		if node, ok := v.(object); ok && !slices.Contains(names, "schema") {
			if ref, ok := node["$ref"].(string); ok {
				return d.at(t, strings.Join(append([]string{strings.TrimPrefix(ref, "#")}, steps[i+1:]...), "/"))
			}
		}
	}
	return v, "/" + strings.Join(names, "/")
}

func (d *description) has(t *testing.T, pointer string) bool {
	v, _ := d.at(t, pointer)
	return v != nil
}

// object is what is at a pointer; nil if nothing.
func (d *description) object(t *testing.T, pointer string) object {
	v, _ := d.at(t, pointer)
	o, _ := v.(object)
	return o
}

var (
	escaper   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

func escape(name string) string   { return escaper.Replace(name) }
func unescape(step string) string { return unescaper.Replace(step) }

// valid holds a value against the schema at a pointer.
func (d *description) valid(t *testing.T, pointer string, value any) error {
	t.Helper()
	_, where := d.at(t, pointer)
	schema, err := d.schemas.Compile("openapi.json#" + (&url.URL{Path: where}).EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// generalHeaders are those that the description speaks of once, for all answers.
var generalHeaders = []string{"Content-Type", "Content-Length", "Date", "X-Content-Type-Options", "Connection"}

// answers holds an answer against what an operation (a pointer) documents for its status.
func (d *description) answers(t *testing.T, operation string, a answer) (problems []error) {
	t.Helper()
	at := operation + "/responses/" + strconv.Itoa(a.StatusCode)
	if !d.has(t, at) {
		return []error{fmt.Errorf("the status %d is not described", a.StatusCode)}
	}
	headers := d.object(t, at+"/headers")
	for name := range headers {
		values := a.Header.Values(name)
		if len(values) == 0 {
			if d.object(t, at+"/headers/"+name)["required"] == true {
				problems = append(problems, fmt.Errorf("no %s", name))
			}
			continue
		}
		var value any = values[0]
		if d.object(t, at+"/headers/"+name)["schema"].(object)["type"] == "integer" {
			value = json.Number(values[0])
		}
		if err := d.valid(t, at+"/headers/"+name+"/schema", value); err != nil || len(values) > 1 {
			problems = append(problems, fmt.Errorf("%s: %q: %w", name, values, err))
		}
	}
	for name := range a.Header {
		documented := slices.ContainsFunc(slices.Collect(maps.Keys(headers)), func(h string) bool { return http.CanonicalHeaderKey(h) == name })
		if !documented && !slices.Contains(generalHeaders, name) {
			problems = append(problems, fmt.Errorf("the header %s is not described", name))
		}
	}
	return append(problems, d.body(t, at, a.Header.Get("Content-Type"), a.body)...)
}

// body holds a body against the content of a request or an answer.
func (d *description) body(t *testing.T, at, kind, text string) []error {
	t.Helper()
	content := d.object(t, at+"/content")
	switch {
	case content == nil && text == "" && kind == "":
		return nil
	case content == nil:
		return []error{fmt.Errorf("a body that is not described: %s %q", kind, text)}
	case content[kind] == nil:
		return []error{fmt.Errorf("the Content-Type %q is not described", kind)}
	}
	value, err := decode(kind, text)
	if err == nil {
		err = d.valid(t, at+"/content/"+escape(kind)+"/schema", value)
	}
	if err != nil {
		return []error{fmt.Errorf("%s: %w", text, err)}
	}
	return nil
}

func decode(kind, text string) (any, error) {
	media, _, err := mime.ParseMediaType(kind)
	switch {
	case err != nil:
		return nil, err
	case media == "text/plain":
		return text, nil
	case media == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(text)
		form := object{}
		for name := range values {
			form[name] = values.Get(name)
		}
		return form, err
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(text))
}

// asks holds a good request against what an operation documents: body and credential.
func (d *description) asks(t *testing.T, operation string, r request) (problems []error) {
	t.Helper()
	h := http.Header{}
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		h.Add(name, value)
	}
	o := d.object(t, operation)
	switch {
	case r.body != "":
		problems = d.body(t, operation+"/requestBody", h.Get("Content-Type"), r.body)
	case d.has(t, operation+"/requestBody") && d.object(t, operation+"/requestBody")["required"] == true:
		problems = append(problems, errors.New("no body"))
	}
	security, _ := o["security"].([]any)
	if len(security) > 0 && !slices.ContainsFunc(security, func(all any) bool { return d.carries(t, h, all.(object)) }) {
		problems = append(problems, errors.New("no credential that is described"))
	}
	return problems
}

// carries tells whether headers have exactly the credentials of a security requirement.
func (d *description) carries(t *testing.T, h http.Header, needs object) bool {
	t.Helper()
	names := map[string]bool{}
	for name := range needs {
		s := d.object(t, "/components/securitySchemes/"+name)
		header, start := "Authorization", ""
		if s["type"] == "http" {
			start = s["scheme"].(string) + " "
		} else {
			header = s["name"].(string)
		}
		names[header] = true
		if value := strings.ToLower(h.Get(header)); value == "" || !strings.HasPrefix(value, start) {
			return false
		}
	}
	for _, name := range []string{"Authorization", "Authentication", "X-CSRF-Token"} {
		if h.Get(name) != "" && !names[name] {
			return false
		}
	}
	return true
}
