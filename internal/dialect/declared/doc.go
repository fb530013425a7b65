// Package declared makes a dialect of a TOML file, so that a login API needs no Go.
//
// A definition says which routes there are, where each finds its credential, which flow
// of the core it runs, and what is answered: JSON as the API's own documentation shows
// it, with placeholders for what differs. docs/dialects/declared.md is its reference.
// There are no expressions and no conditions: what a definition can't say is written in
// Go (docs/adr/0014-declared-dialects.md).
//
// [Load] reads a definition in three steps, each of which names the line and the column
// of what is wrong: tree.go makes an ordered tree of the text, template.go and
// placeholder.go compile what has placeholders, and define.go, routes.go, tokens.go and
// errors.go check what is said. [Definition.Dialect] gives the dialect, whose
// endpoints (serve.go) are those of the other dialects: methods, sizes, content types,
// strict decoding, doubled credentials, no-store and CORS are web.Endpoint's work.
package declared
