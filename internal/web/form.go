package web

import (
	"net/url"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
)

// Form is the body of a request as an HTML form sends it, the In of an endpoint that
// reads BodyForm. Each name is there once (RFC 6749 section 3.2). What stands in the
// query is no part of it.
type Form map[string]string

// parseForm decodes application/x-www-form-urlencoded strictly: what two readers could
// take for two things is refused.
func parseForm(text string) (Form, error) {
	values, err := url.ParseQuery(text) // its error quotes the text, which may be secret
	if err != nil {
		return nil, &auth.Error{Code: auth.CodeInvalidInput, Detail: "the form is not well encoded"}
	}
	form := make(Form, len(values))
	for name, all := range values {
		switch {
		case len(all) > 1:
			return nil, &auth.Error{Code: auth.CodeInvalidInput, Detail: "a parameter stands twice in the form"}
		case !utf8.ValidString(name) || !utf8.ValidString(all[0]):
			return nil, &auth.Error{Code: auth.CodeInvalidInput, Detail: "the form is not UTF-8"}
		}
		form[name] = all[0]
	}
	return form, nil
}
