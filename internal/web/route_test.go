package web

import (
	"net/http"
	"strings"
	"testing"
)

func named(name string) http.Handler { return shows(func(*Request) string { return name }) }

func hasToken(h http.Header) bool { scheme, _ := Authorization(h); return scheme == "token" }

func TestMux_Routes(t *testing.T) {
	h := open(t, Options{},
		Route{Path: "/v1/auth", Handler: named("senmo"), Dialect: "senmo"},
		Route{Path: "/v1/auth", Handler: named("cloudio"), Claims: hasToken, Dialect: "cloudio"},
		Route{Host: "One.Example.COM", Path: "/v1/auth", Handler: named("one")},
		Route{Host: "two.example.com", Path: "/v1/auth", Handler: named("two, claimed"), Claims: hasToken},
		Route{Host: "two.example.com", Path: "/v1/auth", Handler: named("two, second"), Claims: hasToken},
		Route{Host: "[::1]", Path: "/six", Handler: named("six")},
		Route{Path: "/ostiary/verify", Handler: named("verify")},
		Route{Path: "/ostiary/verify/", Handler: named("below")},
		Route{Path: "/ostiary/verify/deep/", Handler: named("deeper")},
	)
	const missing = `{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}`
	for _, c := range []struct{ host, path, header, want string }{
		{"", "/v1/auth", "X: y", "senmo"},
		{"", "/v1/auth", "Authorization: Token YTpi", "cloudio"},
		{"", "/v1/auth?x=//..", "X: y", "senmo"},
		{"one.example.com", "/v1/auth", "Authorization: Token YTpi", "one"},
		{"ONE.example.com.:8443", "/v1/auth", "X: y", "one"},
		{"two.example.com", "/v1/auth", "X: y", "two, claimed"},
		{"three.example.com", "/v1/auth", "X: y", "senmo"},
		{"two.example.com", "/ostiary/verify", "X: y", "verify"},
		{"[::1]:8080", "/six", "X: y", "six"},
		{"::1", "/six", "X: y", missing},
		{"", "/six", "X: y", missing},
		{"", "/ostiary/verify/", "X: y", "below"},
		{"", "/ostiary/verify/a//b/../%2e%2e/c%2Fd", "X: y", "below"},
		{"", "/ostiary/verify/deep/a", "X: y", "deeper"},
		{"", "/ostiary/verify/deep", "X: y", "below"},
		{"", "/ostiary", "X: y", missing},
		{"", "/", "X: y", missing},
		{"", "/v1/auth/", "X: y", missing},
		{"", "/V1/auth", "X: y", missing},
		{"", "//v1/auth", "X: y", missing},
		{"", "/v1//auth", "X: y", missing},
		{"", "/./v1/auth", "X: y", missing},
		{"", "/x/../v1/auth", "X: y", missing},
		{"", "/v1%2Fauth", "X: y", missing},
		{"", "/%761/auth", "X: y", missing},
		{"", "/v1/auth%00", "X: y", missing},
		{"", "/ostiary/x/../verify/y", "X: y", missing},
		{"", "/ostiary%2Fverify/y", "X: y", missing},
	} {
		headers := []string{c.header}
		if c.host != "" {
			headers = append(headers, "Host: "+c.host)
		}
		a := h.ask(t, "GET", c.path, nil, headers...)
		status := 200
		if c.want == missing {
			status = 404
		}
		a.is(t, c.host+c.path, status, c.want)
	}
	if lines := h.log.lines(t, 28); lines[1]["dialect"] != "cloudio" || lines[11]["code"] != "ok" || lines[15]["code"] != "not_found" {
		t.Errorf("%v %v %v", lines[1], lines[11], lines[15])
	}
}

func TestNewMux_Refuses(t *testing.T) {
	ok := named("x")
	for what, routes := range map[string][]Route{
		"two routes take the same requests: a and b": {{Path: "/x", Handler: ok, Dialect: "a"}, {Path: "/x", Handler: ok, Dialect: "b"}},
		"/x: two routes":                       {{Host: "x.com", Path: "/x", Handler: ok}, {Host: "X.com:80", Path: "/x", Handler: ok}},
		"the path is not clean":                {{Path: "/x/../y", Handler: ok}},
		"route x: the path":                    {{Path: "x", Handler: ok}},
		"//: the path":                         {{Path: "//", Handler: ok}},
		"no handler":                           {{Path: "/x"}},
		`"*" is not an origin`:                 {{Path: "/x", Handler: ok, CORS: []string{"*"}}},
		`"null" is not an origin`:              {{Path: "/x", Handler: ok, CORS: []string{"null"}}},
		`"https://x.com/" is not an origin`:    {{Path: "/x", Handler: ok, CORS: []string{"https://x.com/"}}},
		`"https://*.x.com/y" is not an origin`: {{Path: "/x", Handler: ok, CORS: []string{"https://*.x.com/y"}}},
	} {
		if _, err := NewMux(routes); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

const (
	site1 = "https://app.example.com"
	site2 = "http://localhost:3000"
)

func TestCORS_Preflight(t *testing.T) {
	post := greet(BodyEmpty)
	h := open(t, Options{},
		Route{Path: "/off", Handler: post},
		Route{Path: "/on", Handler: post, CORS: []string{"HTTPS://app.example.com", site2}, Dialect: "senmo"},
		Route{Path: "/shared", Handler: post, CORS: []string{site1}, Dialect: "senmo"},
		Route{Path: "/shared", Handler: fails(nil), CORS: []string{site2}, Claims: hasToken, Dialect: "cloudio"},
	)
	ask := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"}
	for _, c := range []struct {
		path, origin, methods string
	}{
		{"/on", site1, "POST"}, {"/on", site2, "POST"}, {"/shared", site1, "POST"}, {"/shared", site2, "GET, HEAD, POST"},
	} {
		a := h.ask(t, "OPTIONS", c.path, nil, append(ask, "Origin: "+c.origin)...)
		if a.StatusCode != 204 || a.body != "" || a.Header.Get("Access-Control-Allow-Origin") != c.origin || a.Header.Get("Access-Control-Allow-Methods") != c.methods ||
			a.Header.Get("Access-Control-Allow-Headers") != "Authorization, Authentication, Content-Type, X-CSRF-Token" || a.Header.Get("Vary") != "Origin" ||
			a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %d %v", c.path, c.origin, a.StatusCode, a.Header)
		}
	}
	for what, headers := range map[string][]string{
		"/off":                  append(ask, "Origin: "+site1),
		"/on, another origin":   append(ask, "Origin: https://evil.example.com"),
		"/on, a longer origin":  append(ask, "Origin: "+site1+".evil.example.com"),
		"/on, another scheme":   append(ask, "Origin: http://app.example.com"),
		"/on, null":             append(ask, "Origin: null"),
		"/on, no origin":        ask,
		"/on, two origins":      append(ask, "Origin: "+site1, "Origin: "+site2),
		"/on, not the question": {"Origin: " + site1},
	} {
		path, _, _ := strings.Cut(what, ",")
		a := h.ask(t, "OPTIONS", path, nil, headers...)
		a.is(t, what, 405, `{"code":"method_not_allowed","error":"","path":"`+path+`"}`)
		if allow := a.Header.Get("Access-Control-Allow-Origin"); a.Header.Get("Allow") != "POST" || allow != "" && what != "/on, not the question" {
			t.Errorf("%s: %v", what, a.Header)
		}
	}
}

func TestCORS_Answers(t *testing.T) {
	boom := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	h := open(t, Options{},
		Route{Path: "/off", Handler: greet(BodyEmpty)},
		Route{Path: "/on", Handler: greet(BodyEmpty), CORS: []string{site1}},
		Route{Path: "/boom", Handler: boom, CORS: []string{site1}},
	)
	for _, c := range []struct {
		path, origin, body string
		status             int
		shared, vary       bool
	}{
		{"/on", site1, "", 200, true, true},
		{"/on", site1, "[]", 400, true, true},
		{"/boom", site1, "", 500, true, true},
		{"/on", "https://evil.example.com", "", 200, false, true},
		{"/on", "", "", 200, false, true},
		{"/off", site1, "", 200, false, false},
	} {
		var headers []string
		if c.origin != "" {
			headers = []string{"Origin: " + c.origin}
		}
		a := h.ask(t, "POST", c.path, strings.NewReader(c.body), headers...)
		want, exposes, vary := "", "", ""
		if c.shared {
			want, exposes = c.origin, "Retry-After"
		}
		if c.vary {
			vary = "Origin"
		}
		if a.StatusCode != c.status || a.Header.Get("Access-Control-Allow-Origin") != want || a.Header.Get("Access-Control-Expose-Headers") != exposes || a.Header.Get("Vary") != vary {
			t.Errorf("%+v: %d %v", c, a.StatusCode, a.Header)
		}
	}
}
