// Package openapi describes what a server answers, in the words of OpenAPI 3.1: what
// Ostiary answers in its own name, and the logins of the dialects.
//
// spec has one file for each surface, each a part of an OpenAPI document. A place's
// description is base.json and those parts that it serves, joined. The tests of this
// package ask a whole server and hold every answer against the description.
package openapi

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// Path is where the description is, below a place's prefix.
const Path = "/ostiary/openapi.json"

// own are the parts that every place serves.
var own = []string{"base", "about", "verify", "session", "service"}

//go:embed spec
var spec embed.FS

// Route serves the description of a place: of everything under /ostiary/, and of the
// dialects that are mounted there, but for those that a file declares.
func Route(host, prefix string, mounts []*auth.Mount) web.Route {
	// Made when it is first asked for: most servers never are, and it takes milliseconds of a start.
	document := sync.OnceValues(func() (json.RawMessage, error) { return json.Marshal(describe(host, prefix, mounts)) })
	return web.Route{Host: host, Path: prefix + Path, Handler: web.Endpoint[web.None, json.RawMessage]{
		Methods: []string{http.MethodGet}, Body: web.BodyUnread, CacheControl: "public, max-age=300",
		Run: func(context.Context, *web.Request, web.None) (json.RawMessage, error) { return document() },
	}}
}

func describe(host, prefix string, mounts []*auth.Mount) map[string]any {
	document := map[string]any{"servers": []any{map[string]any{"url": cmp.Or(prefix, "/")}}}
	parts := slices.Clone(own)
	notices := map[string]*auth.Notice{}
	for _, m := range mounts {
		_, err := fs.Stat(spec, "spec/"+string(m.Dialect)+".json")
		if err == nil && m.Host == host && m.Prefix == prefix && !slices.Contains(parts, string(m.Dialect)) {
			parts = append(parts, string(m.Dialect))
			notices[string(m.Dialect)] = &m.Notice
		}
	}
	for _, name := range parts {
		p := part(name)
		if n := notices[name]; n != nil {
			announce(p, n)
		}
		document = join(document, p)
	}
	return document
}

// part reads a file of the program's own, which is there and is JSON.
func part(name string) (p map[string]any) {
	text, err := spec.ReadFile("spec/" + name + ".json")
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		panic("openapi: " + name + ": " + err.Error())
	}
	return p
}

// join puts two parts of a description together, and what both have is joined in turn.
// So an operation of two dialects becomes one that takes and answers what either does.
func join(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	for name, value := range b {
		before, twice := both[name]
		if !twice || reflect.DeepEqual(before, value) {
			both[name] = value
			continue
		}
		switch before := before.(type) {
		case map[string]any:
			if name == "schema" {
				both[name] = map[string]any{"anyOf": []any{before, value}}
			} else {
				both[name] = join(before, value.(map[string]any))
			}
		case []any:
			both[name] = append(slices.Clone(before), value.([]any)...)
		case string:
			both[name] = before + "\n\n" + value.(string)
		case bool: // "required": what one of two can do without is not
			both[name] = before && value.(bool)
		}
	}
	return both
}
