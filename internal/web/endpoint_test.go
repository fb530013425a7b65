package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

const jsonBody = "Content-Type: application/json"

func TestEndpoint_Success(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON), Dialect: "senmo"})
	a := h.ask(t, "POST", "/login?password=hunter2", strings.NewReader(`{"username":"zoë & <co>"}`), jsonBody)
	a.is(t, "login", 200, `{"message":"<zoë & <co>>","token":null}`)
	if a.Header.Get("Content-Type") != "application/json" || a.ContentLength != int64(len(a.body)) || a.Header.Get("Allow") != "" {
		t.Errorf("headers %v", a.Header)
	}
	line := h.log.lines(t, 1)[0]
	for name, want := range map[string]any{"method": "POST", "path": "/login", "status": 200.0, "code": "ok", "dialect": "senmo", "source": "127.0.0.1", "level": "INFO"} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if _, timed := line["duration"]; !timed || strings.Contains(h.log.String(), "hunter2") {
		t.Errorf("the line: %s", h.log)
	}
}

func TestEndpoint_SuccessStatusAndTypes(t *testing.T) {
	created := greet(BodyJSON)
	created.Success, created.CacheControl = 201, "max-age=60"
	h := open(t, Options{},
		Route{Path: "/created", Handler: created},
		Route{Path: "/gone", Handler: Endpoint[None, greeting]{Success: 204, Body: BodyUnread, Run: func(context.Context, *Request, None) (greeting, error) { return greeting{}, nil }}},
		Route{Path: "/none", Handler: fails(nil)},
		Route{Path: "/raw", Handler: Endpoint[None, json.RawMessage]{Body: BodyUnread, Run: func(_ context.Context, r *Request, _ None) (json.RawMessage, error) {
			r.Answer.Set("Ostiary-Subject", "7")
			return json.RawMessage(`{"keys":[]}`), nil
		}}},
		Route{Path: "/text", Handler: shows(func(*Request) string { return "ok\n" })},
	)
	for path, want := range map[string]struct {
		status            int
		kind, cache, body string
	}{
		"/created": {201, "application/json", "max-age=60", `{"message":"<>","token":null}`},
		"/gone":    {204, "", "no-store", ""},
		"/none":    {200, "", "no-store", ""},
		"/raw":     {200, "application/json", "no-store", `{"keys":[]}`},
		"/text":    {200, "text/plain; charset=utf-8", "no-store", "ok\n"},
	} {
		a := h.ask(t, "POST", path, strings.NewReader("{}"), jsonBody)
		if a.StatusCode != want.status || a.body != want.body || a.Header.Get("Content-Type") != want.kind || a.Header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q %v", path, a.StatusCode, a.body, a.Header)
		}
	}
	if a := h.ask(t, "GET", "/raw", nil); a.Header.Get("Ostiary-Subject") != "7" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestEndpoint_Method(t *testing.T) {
	both := greet(BodyEmpty)
	both.Methods = []string{"POST", "GET"}
	h := open(t, Options{}, Route{Path: "/post", Handler: greet(BodyJSON)}, Route{Path: "/both", Handler: both}, Route{Path: "/any", Handler: fails(nil)})
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post", "PROPFIND"} {
		// A wrong method comes before all else that is wrong.
		a := h.ask(t, method, "/post", strings.NewReader("x"), "Content-Type: text/plain", "Authorization: a", "Authorization: b")
		want := `{"code":"method_not_allowed","error":"","path":"/post"}`
		if method == "HEAD" {
			want = ""
		}
		a.is(t, method, 405, want)
		if a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow %q", method, a.Header.Get("Allow"))
		}
		h.ask(t, method, "/any", nil).is(t, method, 200, "")
	}
	if a := h.ask(t, "PUT", "/both", nil); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if a := h.ask(t, "HEAD", "/both", nil); a.StatusCode != 200 || a.body != "" || a.ContentLength != int64(len(`{"message":"<>","token":null}`)) {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestThreat59_TwoCredentials(t *testing.T) {
	verify := fails(nil)
	verify.TwoCredentials = auth.CodeTokenInvalid
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)}, Route{Path: "/verify", Handler: verify})
	for _, headers := range [][]string{
		{"Authorization: Basic YTpi", "Authorization: Basic YTpi"},
		{"Authorization: Basic YTpi", "Authorization: Bearer x"},
		{"Authentication: Token YTpi", "Authentication: Token YTpi"},
		{"Authorization: Token YTpi", "Authentication: Token YTpj"},
		{"Authorization: Token YTpi", "Authentication: token YTpi"},
		{"Authorization: ", "Authorization: ", "Authentication: Token YTpi"},
	} {
		// Before the content type, the size, and the body.
		h.ask(t, "POST", "/login", strings.NewReader("x"), append(headers, "Content-Type: text/plain")...).
			is(t, fmt.Sprint(headers), 400, `{"code":"invalid_input","error":"two credentials in one request","path":"/login"}`)
		a := h.ask(t, "GET", "/verify", nil, headers...)
		a.is(t, fmt.Sprint(headers), 401, `{"code":"token_invalid","error":"two credentials in one request","path":"/verify"}`)
		if a.Header.Get("WWW-Authenticate") != `Bearer realm="x", error="invalid_token", error_description="two credentials in one request"` {
			t.Errorf("headers %v", a.Header)
		}
	}
	h.ask(t, "POST", "/login", strings.NewReader(`{}`), "Authorization: Token YTpi", "Authentication: Token YTpi").
		is(t, "the same twice", 200, `{"message":"<>","token":null}`)
}

func TestEndpoint_ContentType(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)}, Route{Path: "/empty", Handler: greet(BodyEmpty)}, Route{Path: "/ignored", Handler: greet(BodyIgnored)}, Route{Path: "/unread", Handler: greet(BodyUnread)})
	const good, bad = `{"message":"<a>","token":null}`, `{"code":"unsupported_type","error":"the body must be JSON","path":"/login"}`
	for kind, ok := range map[string]bool{
		"application/json": true, "application/JSON; charset=utf-8": true, "text/json": true, "application/vnd.api+json;v=1": true, "application/problem+json": true,
		"text/plain": false, "application/x-www-form-urlencoded": false, "": true, "json": false, "application/jsonp": false, "application/json5": false, "+json": false,
		"text/plain; application/json": false, "multipart/form-data; boundary=x": false,
	} {
		a := h.ask(t, "POST", "/login", strings.NewReader(`{"username":"a"}`), "Content-Type: "+kind)
		if ok {
			a.is(t, kind, 200, good)
		} else {
			a.is(t, kind, 415, bad)
		}
		for _, path := range []string{"/ignored", "/unread"} {
			h.ask(t, "POST", path, strings.NewReader(`{"username":"a"`), "Content-Type: "+kind).is(t, path, 200, `{"message":"<>","token":null}`)
		}
	}
	h.ask(t, "POST", "/login", strings.NewReader(`{"username":"a"}`)).is(t, "absent", 200, good)
	h.ask(t, "POST", "/login", strings.NewReader(`{"username":"a"}`), jsonBody, jsonBody).is(t, "two", 415, bad)
	h.ask(t, "POST", "/login", nil, "Content-Type: text/plain").is(t, "empty body", 400, `{"code":"invalid_input","error":"the body is empty","path":"/login"}`)
	h.ask(t, "POST", "/empty", nil, "Content-Type: text/plain").is(t, "empty body", 200, `{"message":"<>","token":null}`)
	h.ask(t, "POST", "/empty", strings.NewReader(`{"username":"a"}`), jsonBody).is(t, "a body", 200, good)
	h.ask(t, "POST", "/empty", strings.NewReader(`[]`), jsonBody).is(t, "an array", 400, `{"code":"invalid_input","error":"the body must be a JSON object","path":"/empty"}`)
	// Chunked, so that its length is not known before.
	h.ask(t, "POST", "/empty", io.MultiReader(strings.NewReader("")), "Content-Type: text/plain").is(t, "chunked and empty", 200, `{"message":"<>","token":null}`)
	h.ask(t, "POST", "/login", io.MultiReader(strings.NewReader("{}")), "Content-Type: text/plain").is(t, "chunked", 415, bad)
}

func padded(size int) string {
	const frame = `{"username":"a","x":""}`
	return `{"username":"a","x":"` + strings.Repeat("x", size-len(frame)) + `"}`
}

func TestEndpoint_Size(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)}, Route{Path: "/ignored", Handler: greet(BodyIgnored)}, Route{Path: "/unread", Handler: greet(BodyUnread)})
	const tooLarge = `{"code":"too_large","error":"the body is larger than 64 KiB","path":"`
	for _, chunked := range []bool{false, true} {
		for _, size := range []int{MaxBody, MaxBody + 1, 200 << 10, 1 << 20, 10 << 20} {
			body := func() io.Reader {
				if chunked {
					return io.MultiReader(strings.NewReader(padded(size)))
				}
				return strings.NewReader(padded(size))
			}
			what := fmt.Sprint(size, " chunked ", chunked)
			login, ignored := h.ask(t, "POST", "/login", body(), jsonBody), h.ask(t, "POST", "/ignored", body())
			if size == MaxBody {
				login.is(t, what, 200, `{"message":"<a>","token":null}`)
				ignored.is(t, what, 200, `{"message":"<>","token":null}`)
			} else {
				login.is(t, what, 413, tooLarge+`/login"}`)
				ignored.is(t, what, 413, tooLarge+`/ignored"}`)
				h.ask(t, "POST", "/login", body(), "Content-Type: text/plain").is(t, what, 415, `{"code":"unsupported_type","error":"the body must be JSON","path":"/login"}`)
			}
		}
	}
	h.ask(t, "POST", "/unread", strings.NewReader(padded(100<<10))).is(t, "unread", 200, `{"message":"<>","token":null}`)
}

func TestThreat57_BodiesRefused(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyJSON)})
	for body, detail := range map[string]string{
		`{"username":"a","username":"b"}`:  `the field \"username\" is there twice`,
		`{"username":"a"}{}`:               `the body has data after the JSON object`,
		`{"username":9223372036854775808}`: `the field \"username\" must be a string`,
		`{"username":"\ud800"}`:            `the field \"username\" has a lone surrogate`,
		"{\"username\":\"\xff\"}":          `the field \"username\" is not valid UTF-8`,
	} {
		h.ask(t, "POST", "/login", strings.NewReader(body), jsonBody).is(t, body, 400, `{"code":"invalid_input","error":"`+detail+`","path":"/login"}`)
	}
	h.ask(t, "POST", "/login", strings.NewReader(`{"Username":"evil","username":"a\u0000"}`), jsonBody).is(t, "case, NUL", 200, `{"message":"<a\u0000>","token":null}`)
}

func TestEndpoint_Errors(t *testing.T) {
	for what, c := range map[string]struct {
		err           error
		status        int
		code, detail  string
		retry, level  string
		cause, secret string
	}{
		"public":       {&auth.Error{Code: auth.CodeConflict, Detail: "taken", Cause: errors.New("row 7")}, 409, "conflict", "taken", "", "INFO", "row 7", "row 7"},
		"unknown":      {errors.New("disk on fire"), 500, "internal", "", "", "ERROR", "disk on fire", "fire"},
		"internal":     {&auth.Error{Code: auth.CodeInternal, Detail: "secret detail", Cause: errors.New("x")}, 500, "internal", "", "", "ERROR", "x", "secret"},
		"throttled":    {&auth.Error{Code: auth.CodeThrottled, RetryAfter: 1500 * time.Millisecond}, 429, "throttled", "", "2", "INFO", "", "\x00"},
		"at once":      {&auth.Error{Code: auth.CodeUnavailable}, 503, "unavailable", "", "1", "WARN", "", "\x00"},
		"wrapped":      {fmt.Errorf("store: %w", &auth.Error{Code: auth.CodeUnavailable, RetryAfter: 15 * time.Minute, Cause: errors.New("locked")}), 503, "unavailable", "", "900", "WARN", "locked", "locked"},
		"a timeout":    {fmt.Errorf("store: %w", context.DeadlineExceeded), 503, "unavailable", "", "1", "WARN", "store: context deadline exceeded", "store"},
		"unknown code": {&auth.Error{Code: "other"}, 500, "other", "", "", "INFO", "", "\x00"},
	} {
		h := open(t, Options{}, Route{Path: "/", Handler: fails(c.err)})
		a := h.ask(t, "GET", "/", nil)
		a.is(t, what, c.status, `{"code":"`+c.code+`","error":"`+c.detail+`","path":"/"}`)
		line := h.log.lines(t, 1)[0]
		cause, _ := line["cause"].(string)
		if a.Header.Get("Retry-After") != c.retry || line["level"] != c.level || cause != c.cause || line["code"] != c.code || strings.Contains(a.body, c.secret) {
			t.Errorf("%s: %v %v %s", what, a.Header, line, a.body)
		}
	}
}

func TestEndpoint_EveryCodeHasAStatus(t *testing.T) {
	for _, code := range auth.Codes() {
		a := open(t, Options{}, Route{Path: "/", Handler: Endpoint[None, None]{Run: fails(auth.Because(code, "x")).Run, Body: BodyUnread}}).ask(t, "GET", "/", nil)
		want := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q}`, http.StatusText(a.StatusCode), a.StatusCode, code)
		a.is(t, string(code), Status(code), want)
		if (a.StatusCode == 500) != (code == auth.CodeInternal) || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", code, a.StatusCode, a.Header)
		}
	}
}

func TestEndpoint_EmptyError(t *testing.T) {
	e := fails(&auth.Error{Code: auth.CodeBadCredentials})
	e.Encode = func(Problem) (int, any) { return 403, nil }
	a := open(t, Options{}, Route{Path: "/", Handler: e}).ask(t, "GET", "/", nil)
	a.is(t, "empty", 403, "")
	if a.Header.Get("Content-Type") != "" || a.ContentLength != 0 || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("headers %v", a.Header)
	}
}
