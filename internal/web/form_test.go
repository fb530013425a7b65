package web

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
)

const formBody = "Content-Type: application/x-www-form-urlencoded"

// echoes is an endpoint that says a form's token and hint back.
var echoes = Endpoint[Form, Text]{
	Methods: []string{"POST"}, Body: BodyForm, Encode: ProblemOAuth, Challenge: `Basic realm="x"`,
	Run: func(_ context.Context, _ *Request, in Form) (Text, error) {
		hint, hinted := in["hint"]
		if !hinted {
			hint = "-"
		}
		return Text(in["token"] + "|" + hint), nil
	},
}

func TestForm_Read(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/form", Handler: echoes})
	for body, want := range map[string]string{
		"token=a&hint=b":                              "a|b",
		"hint=&token=a%2Bb%3D+%26c":                   "a+b= &c|",
		"hint&token=a=b==":                            "a=b==|",
		"&&token=%C3%A4%F0%9F%94%91&unknown=1&hint=ä": "ä🔑|ä",
		"Token=a&TOKEN=b&tok%65n=c":                   "c|-",
		"":                                            "|-",
	} {
		a := h.ask(t, "POST", "/form?token=query&hint=query&hint=%zz", strings.NewReader(body), formBody)
		a.is(t, body, 200, want)
	}
}

func TestForm_Refused(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/form", Handler: echoes})
	problem := func(status, code, detail, errorCode string) string {
		return `{"type":"about:blank","title":"` + status[4:] + `","status":` + status[:3] + `,"detail":"` + detail + `","code":"` + code + `","error":"` + errorCode + `"}`
	}
	for body, detail := range map[string]string{
		"token=a&token=b":          "a parameter stands twice in the form",
		"token=a&tok%65n=a":        "a parameter stands twice in the form",
		"x&token=a&x":              "a parameter stands twice in the form",
		"token=%zz":                "the form is not well encoded",
		"token=%4":                 "the form is not well encoded",
		"token=a&%":                "the form is not well encoded",
		"token=a;hint=b":           "the form is not well encoded",
		"token=\xff":               "the form is not UTF-8",
		"token=%ff":                "the form is not UTF-8",
		"token=%ed%a0%80":          "the form is not UTF-8",
		"token=a&%c0%80=b":         "the form is not UTF-8",
		strings.Repeat("a&", 6000): "a parameter stands twice in the form",
	} {
		a := h.ask(t, "POST", "/form", strings.NewReader(body), formBody)
		a.is(t, body, 400, problem("400 Bad Request", "invalid_input", detail, "invalid_request"))
		if a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v", a.Header)
		}
	}
	const typed = "the body must be a form (application/x-www-form-urlencoded)"
	for kind, good := range map[string]bool{
		"application/x-www-form-urlencoded":               true,
		"Application/X-WWW-Form-Urlencoded;charset=UTF-8": true,
		"application/x-www-form-urlencoded ; x":           true,
		"application/json":                                false,
		"text/plain":                                      false,
		"multipart/form-data; boundary=x":                 false,
		"application/x-www-form-urlencoded+json":          false,
		"":                                                true,
	} {
		a := h.ask(t, "POST", "/form", strings.NewReader("token=a"), "Content-Type: "+kind)
		if good {
			a.is(t, kind, 200, "a|-")
		} else {
			a.is(t, kind, 415, problem("415 Unsupported Media Type", "unsupported_type", typed, "invalid_request"))
		}
	}
	h.ask(t, "POST", "/form", strings.NewReader("token=a"), formBody, formBody).
		is(t, "two types", 415, problem("415 Unsupported Media Type", "unsupported_type", typed, "invalid_request"))
	h.ask(t, "POST", "/form", strings.NewReader("token=a")).is(t, "no type", 200, "a|-")
	h.ask(t, "POST", "/form", nil, "Content-Type: text/plain").is(t, "no body", 200, "|-")

	full := "token=" + strings.Repeat("a", MaxBody-len("token="))
	h.ask(t, "POST", "/form", strings.NewReader(full), formBody).is(t, "64 KiB", 200, full[len("token="):]+"|-")
	for what, body := range map[string]io.Reader{"one more": strings.NewReader(full + "a"), "chunked": io.MultiReader(strings.NewReader(full + "a"))} {
		h.ask(t, "POST", "/form", body, formBody).
			is(t, what, 413, problem("413 Request Entity Too Large", "too_large", "the body is larger than 64 KiB", "invalid_request"))
	}
}

// Whatever is read is said the same way by the encoder of the standard library.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"", "token=a&csrf=", "a&a", "%41=%zz", "a=b;c=d", "\xff=%ff", "a=+%20=&&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := parseForm(text)
		if err != nil {
			if e := auth.AsError(err); e.Code != auth.CodeInvalidInput || e.Cause != nil || form != nil {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if strings.Count(text, "&")+1 < len(form) {
			t.Fatalf("%q: %d parameters", text, len(form))
		}
		values := url.Values{}
		for name, value := range form {
			if !utf8.ValidString(name + value) {
				t.Fatalf("%q: %q is %q", text, name, value)
			}
			values.Set(name, value)
		}
		again, err := parseForm(values.Encode())
		if err != nil || len(again) != len(form) {
			t.Fatalf("%q: %q: %v", text, values.Encode(), err)
		}
		for name, value := range form {
			if again[name] != value {
				t.Fatalf("%q: %q is %q, then %q", text, name, value, again[name])
			}
		}
	})
}

func TestProblemOAuth_Total(t *testing.T) {
	for _, code := range auth.Codes() {
		status, body := ProblemOAuth(Problem{Code: code})
		b, ok := body.(problemBody)
		if !ok || status != Status(code) || (b.Error == "invalid_client") != (code == auth.CodeBadCredentials) ||
			(b.Error == "unauthorized_client") != (code == auth.CodeForbidden) || code == auth.CodeInvalidInput && b.Error != "invalid_request" || status >= http.StatusInternalServerError && b.Error != "" {
			t.Errorf("%s: %d %+v", code, status, body)
		}
	}
}
