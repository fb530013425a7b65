package openapi

import (
	"maps"
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
)

// announce says in the part of a dialect that it is to end, and in which headers each of its
// answers says so.
func announce(part map[string]any, n *auth.Notice) {
	headers := map[string]any{}
	header := func(name, description, pattern string) {
		headers[name] = map[string]any{"description": description, "schema": map[string]any{"type": "string", "pattern": pattern}}
	}
	if !n.Deprecation.IsZero() {
		header("Deprecation", "Since when nobody should begin to use it: "+n.Deprecation.UTC().Format(http.TimeFormat)+" (RFC 9745).", "^@[0-9]+$")
	}
	if !n.Sunset.IsZero() {
		header("Sunset", "When it is expected to end: "+n.Sunset.UTC().Format(http.TimeFormat)+" (RFC 8594).", "^[A-Z][a-z]{2}, .* GMT$")
	}
	if n.Link != "" {
		header("Link", "Where more is said of that: "+n.Link, `^<[^>]+>; rel="(deprecation|sunset)"`)
	}
	for _, path := range part["paths"].(map[string]any) {
		for _, operation := range path.(map[string]any) {
			operation := operation.(map[string]any)
			// Of two dialects that share an operation, one may go on.
			operation["deprecated"] = !n.Deprecation.IsZero() || !n.Sunset.IsZero()
			for _, response := range operation["responses"].(map[string]any) {
				response := response.(map[string]any)
				all, _ := response["headers"].(map[string]any)
				if all == nil {
					all = map[string]any{}
					response["headers"] = all
				}
				maps.Copy(all, headers)
			}
		}
	}
}
