package shadow

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
	"github.com/ostiary/ostiary/internal/web"
)

// What a server may take for a name, a password, a token or a code, in lower case and
// without signs. What has no kind of its own here stands for nothing that any route reads.
var meanings = map[string]func(auth.Sent) string{}

func init() {
	for names, of := range map[string]func(auth.Sent) string{
		"user username usr uid userid userlogin login loginname loginid logon email emailaddress useremail mail upn account accountname identifier jusername": func(s auth.Sent) string { return s.Name },
		"password passwd pass pwd passphrase passwort userpassword userpass jpassword":                                                                        func(s auth.Sent) string { return string(s.Password) },
		"token ticket refreshtoken refresh": func(s auth.Sent) string { return string(s.Token) },
		"totp totpcode totptoken otp otpcode onetimecode onetimepassword code mfa mfacode mfatoken passcode pin twofactorcode fa facode verificationcode": func(s auth.Sent) string { return string(s.Code) },
		"accesstoken idtoken authtoken authorization authentication auth bearer jwt credential credentials apikey secret clientsecret granttype assertion samlresponse " +
			"csrf csrftoken xcsrftoken xsrf xsrftoken session sessionid sid cookie method httpmethod": func(auth.Sent) string { return "" },
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
		case r == 'ı', r == 'İ': // as Turkish does
			return 'i'
		case r == '\u212a': // the sign of Kelvin
			return 'k'
		}
		return -1
	}, name)]
}

// other tells whether a member could be read as another credential than the one that was
// read: one of a kind that the request was read to have none of, as well.
func other(name, value string, s auth.Sent) bool {
	of := means(name)
	return of != nil && of(s) != value
}

// inHeader are the dialects whose credential is in a header, and which document no body.
var inHeader = map[auth.Dialect]bool{"cloudio": true, "nomic": true}

// onward is the request as it is sent on: with nothing in it that the other server could
// take for another credential than the one that is checked and counted here. Which headers
// go on at all, [legacy.Client.Forward] says.
func onward(r *http.Request, d auth.Dialect, body []byte, s auth.Sent) (*http.Request, []byte, error) {
	out := &http.Request{Method: r.Method, Header: r.Header.Clone()}
	for _, name := range []string{"Authorization", "Authentication"} {
		if !inHeader[d] || !carries(out.Header[name], s) {
			out.Header.Del(name)
		}
	}
	if err := encoded(out.Header); err != nil {
		return nil, nil, err
	}
	members, err := strictjson.Object(body)
	switch {
	case !web.IsJSON(out.Header["Content-Type"]):
		out.Header.Del("Content-Type") // of a route that does not look at it
		body = nil
	case len(body) == 0 || err != nil || inHeader[d] && len(members) > 0:
		return out, nil, nil
	}
	if len(body) == 0 {
		return out, nil, nil
	}
	if err := scan(body, s); err != nil {
		return nil, nil, err
	}
	if out.Header.Get("Content-Type") == "" {
		out.Header["Content-Type"] = []string{"application/json"} // as it was read
	}
	return out, body, nil
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
	if len(h["Content-Type"]) > 1 {
		return auth.Errorf(auth.CodeUnsupportedType, "the body must have one Content-Type")
	}
	if _, params, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
			return auth.Errorf(auth.CodeUnsupportedType, "the body must be UTF-8")
		}
	}
	return nil
}

// scan looks for a second credential anywhere in JSON that was found good.
func scan(body []byte, s auth.Sent) error {
	var value any
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&value); err != nil {
		return auth.Errorf(auth.CodeInvalidInput, "the body can't be read")
	}
	if within(value, s) {
		return auth.Errorf(auth.CodeInvalidInput, "the body holds a second credential")
	}
	return nil
}

func within(value any, s auth.Sent) bool {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			text, isText := member.(string)
			if member != nil && (other(name, text, s) || !isText && means(name) != nil) || within(member, s) {
				return true
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
