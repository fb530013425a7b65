package shadow

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
	"github.com/ostiary/ostiary/internal/web"
)

// What a server may take for a name, a password, a token or a code, in lower case and
// without signs.
var meanings = map[string]func(auth.Sent) string{}

func init() {
	for names, of := range map[string]func(auth.Sent) string{
		"user username usr uid userid login loginname loginid email emailaddress mail account accountname": func(s auth.Sent) string { return s.Name },
		"password passwd pass pwd passphrase":             func(s auth.Sent) string { return string(s.Password) },
		"token ticket":                                    func(s auth.Sent) string { return string(s.Token) },
		"totp otp code mfacode totpcode otpcode passcode": func(s auth.Sent) string { return string(s.Code) },
	} {
		for name := range strings.FieldsSeq(names) {
			meanings[name] = of
		}
	}
}

// means tells what a name may stand for to somebody who reads names generously.
func means(name string) func(auth.Sent) string {
	return meanings[strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z':
			return r
		case r == 'ſ': // as Unicode folds it
			return 's'
		case r == '\u212a': // the sign of Kelvin
			return 'k'
		}
		return -1
	}, name)]
}

// other tells whether a member could be read as another credential than the one that was
// read. What a request of this kind has none of, none may be guessed at by it.
func other(name, value string, s auth.Sent) bool {
	of := means(name)
	return of != nil && of(s) != "" && of(s) != value
}

func ambiguous(where string) error {
	return auth.Errorf(auth.CodeInvalidInput, "%s holds a second credential", where)
}

// onward is the request as it is sent on: with nothing in it that the other server could
// take for another credential than the one that is checked and counted here.
func onward(r *http.Request, body []byte, s auth.Sent) (*http.Request, []byte, error) {
	out := &http.Request{Method: r.Method, URL: &url.URL{RawQuery: r.URL.RawQuery}, Header: r.Header.Clone()}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, auth.Errorf(auth.CodeInvalidInput, "the query can't be read")
	}
	for name, values := range query {
		for _, value := range values {
			if other(name, value, s) {
				return nil, nil, ambiguous("the query")
			}
		}
	}
	for _, name := range foreignHeaders {
		out.Header.Del(name)
	}
	for _, name := range []string{"Authorization", "Authentication"} {
		if len(out.Header[name]) > 0 && !carries(out.Header[name], s) {
			out.Header.Del(name)
		}
	}
	if err := encoded(out.Header); err != nil {
		return nil, nil, err
	}
	if len(body) == 0 {
		return out, nil, nil
	}
	if _, err := strictjson.Object(body); err != nil || !isJSON(out.Header) { // of a route that does not look at it
		out.Header.Del("Content-Type")
		return out, nil, nil
	}
	if err := scan(body, s); err != nil {
		return nil, nil, err
	}
	if out.Header["Content-Type"] == nil {
		out.Header["Content-Type"] = []string{"application/json"} // as it was read
	}
	return out, body, nil
}

// foreignHeaders say how a request is to be read, or who sends it, to servers that take the
// word of a proxy for that.
var foreignHeaders = []string{
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Original-Method",
	"Remote-User", "X-Remote-User", "X-Authenticated-User", "X-Webauth-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-User",
}

// carries tells whether a header has the credential that was read.
func carries(values []string, s auth.Sent) bool {
	scheme, value := web.Authorization(http.Header{"Authorization": values})
	switch scheme {
	case "basic", "token":
		name, password, ok := web.Basic(value)
		return ok && name == s.Name && password == string(s.Password)
	case "bearer":
		return s.Token != "" && value == string(s.Token)
	}
	return false
}

// encoded refuses a body that means something else to whoever heeds how it is encoded.
func encoded(h http.Header) error {
	if h["Content-Encoding"] != nil {
		return auth.Errorf(auth.CodeUnsupportedType, "the body must have no Content-Encoding")
	}
	if _, params, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
			return auth.Errorf(auth.CodeUnsupportedType, "the body must be UTF-8")
		}
	}
	return nil
}

// isJSON tells whether a body is JSON, or is not said to be anything else.
func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return h["Content-Type"] == nil || err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"))
}

// scan looks for a second credential anywhere in JSON that was found good.
func scan(body []byte, s auth.Sent) error {
	var value any
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&value); err != nil {
		return auth.Errorf(auth.CodeInvalidInput, "the body can't be read")
	}
	if within(value, s) {
		return ambiguous("the body")
	}
	return nil
}

func within(value any, s auth.Sent) bool {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			switch m := member.(type) {
			case nil:
			case string:
				if other(name, m, s) {
					return true
				}
			case map[string]any, []any:
				if within(m, s) {
					return true
				}
				if _, list := m.([]any); list && other(name, "", s) {
					return true
				}
			default:
				if other(name, "", s) {
					return true
				}
			}
		}
	case []any:
		for _, item := range v {
			if within(item, s) {
				return true
			}
		}
	}
	return false
}
