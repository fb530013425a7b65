package verify

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
)

var clearURIs = []string{
	"", "*", "/", "/?", "/a", "/a/", "/a/b.html", "/a.b/.well-known/x", "/.git", "/..a", "/a..", "/...", "/a/.../b", "/-", "/~ada", "/a;v=1/b", "/;a",
	"/a%20b", "/a+b", "/%C3%A4", "/ä", "/%E6%97%A5%E6%9C%AC", "/100%25", "/100%2525", "/%25", "/a%25b/c",
	"/api/v4/projects/group%2Fproject/files/docs%2Fread.me", "/a%2fb", "/o/folder%2F", "/DOMAIN%5Cada", "/C%23", "/what%3F",
	"/a//b", "/a//", "/s3//x", "/proxy/https://example.com/x", "/a:b@c", "/a?b=../..", "/?..%2f..%2f", "/a?x#y", `/a?\`, "/a?%zz%", "/a??", "/a?b\x7f",
	"/a%2e", "/a%2Eb", "/a.%2Fb", "/(a)'b'!$&,=", "/[a]|{b}^`\"<>", "/%61dmin", "/a%2520b",
}

var oddURIs = []string{
	"a", "a/b", "?", "?a", "http://example.com/a", "example.com/a", "../a", "**", "*a", " /a",
	"/.", "/..", "/./", "/../", "/a/..", "/a/.", "/a/../b", "/a/./b", "/a/..?x", "/../../etc/passwd", "/a/b/../../c",
	"/%2e", "/%2E%2e/a", "/a/.%2e/b", "/a/%2e%2E", "/a/%2e/b", "/a/%2e./b",
	"/a/..%2fb", "/a%2f../b", "/a%2F..", "/a%2f..%2fb", "/..%2f", "/a/..%5cb", "/a%5c..%5Cb", "/a%2f.%2fb", "/a%5c.", "/%2e%2e%2f",
	"/a/..;/b", "/a/..;x=y/b", "/..;", "/a/.;/b", "/a/..%3b/b", "/a/%2e%2e;/b", "/a/%2e%2e%3bx/b",
	`/a\b`, `/a\..\b`, `\a`, `/\a`, "/a#b", "/a#?b", "/#", "/a#/../b", "//", "//a", "//evil.example.com/admin", "///a", "/%2Fa", "/%2fevil.example.com/a", "/%5Ca",
	"/a%00", "/a%00.html", "/%0d%0aX:y", "/a%0Ab", "/a%7f", "/a%09", "/a%1fb", "/a b", "/a\tb", "/a\x7fb", "/a\x00b", "/ ",
	"/%", "/a%", "/a%2", "/a%zz", "/a%2g", "/%%32e", "/%u002e", "/%u002e%u002e/a", "/a%c0%ae%c0%ae/b", "/%c0%afb", "/%e0%80%ae", "/%ff", "/\xff", "/\xc0\xae",
	"/%252e%252e/a", "/a/%252e", "/a%252Fb", "/a%255cb", "/a%2500", "/a%250a", "/..%252fb", "/%25252e", "/%2525252e", "/%25%32%65", "/a%25%32%46b", "/a%2525252525",
	"/%25%25%32%65", "/%25%25332e", "/%25252525252525",
}

// TestThreat52_URIConfusion: an original URI that servers could take for two different
// ones opens to nobody, by whatever header the proxy sends it, and says no more to those
// without a token than any other one.
func TestThreat52_URIConfusion(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	for _, uri := range clearURIs {
		if odd(uri) {
			t.Errorf("%q is odd", uri)
		}
	}
	for _, uri := range oddURIs {
		if !odd(uri) {
			t.Errorf("%q is clear", uri)
		}
	}
	for _, name := range []string{"X-Original-URI", "X-Forwarded-Uri", "x-original-uri"} {
		for uri, status := range map[string]int{
			"/a%2Fb//c?..": 200, "": 200, "*": 200, "/a/..%2fb": 403, "/a#b": 403, "/%252e%252e/a": 403, `/a\b`: 403, "/a/..;/b": 403, "http://x/a": 403,
		} {
			r := h.ask(t, "GET", "/ostiary/verify", "", bearer, name+": "+uri)
			if r.StatusCode != status {
				t.Errorf("%s: %s: %d %s", name, uri, r.StatusCode, r.body)
			}
			if status == 403 {
				r.problem(t, uri, http.StatusForbidden, auth.CodeForbidden)
				h.ask(t, "GET", "/ostiary/verify", "", name+": "+uri).refused(t, uri, challengeNone)
				h.ask(t, "GET", "/ostiary/verify", "", name+": "+uri, "Authorization: Bearer x").refused(t, uri, challengeInvalid)
			}
		}
	}
	// Where two speak, both must be clear; one that speaks twice is not.
	for status, headers := range map[int][]string{
		200: {"X-Original-URI: /a", "X-Forwarded-Uri: /b"},
		403: {"X-Original-URI: /a", "X-Forwarded-Uri: /b/.."},
		-1:  {"X-Original-URI: /a", "X-Original-URI: /a"},
	} {
		if r := h.ask(t, "GET", "/ostiary/verify", "", append(headers, bearer)...); r.StatusCode != max(status, -status*403) {
			t.Errorf("%v: %d", headers, r.StatusCode)
		}
	}
	// Nothing else of a request makes it pass: no name of a health checker, no query, no method.
	for _, headers := range [][]string{
		{"User-Agent: GoogleHC/1.0"}, {"User-Agent: kube-probe/1.30"}, {"X-Original-URI: /ostiary/healthz"}, {"X-Original-URI: /a?skip"}, {"X-Original-Method: OPTIONS"},
	} {
		h.ask(t, "GET", "/ostiary/verify?skip", "", headers...).refused(t, headers[0], challengeNone)
		h.ask(t, "OPTIONS", "/ostiary/verify/ostiary/healthz?skip", "", headers...).refused(t, headers[0], challengeNone)
	}
}

// What a proxy appends is sent raw, since clients of this language would clean it.
func TestThreat52_AppendedPath(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	for target, status := range map[string]int{
		"/ostiary/verify": 200, "/ostiary/verify/": 200, "/ostiary/verify/a/b%2Fc?../..": 200, "/ostiary/verify/a%20b//ä": 200, "/ostiary/verify/100%25": 200,
		"/ostiary/verify/ostiary/verify/a": 200, "http://x/ostiary/verify/a": 200,
		"/ostiary/verify/a/..": 403, "/ostiary/verify/../a": 403, "/ostiary/verify/a/%2e%2e/b": 403, "/ostiary/verify//a": 403, "/ostiary/verify/a#b": 403, `/ostiary/verify/a\b`: 403,
		"/ostiary/verify/a%00": 403, "/ostiary/verify/a/..;/b?x": 403, "/ostiary/verify/%252e": 403,
		"/ostiary/verify/..%2fa": 403, "/ostiary/verify%2f..": 404, "/ostiary/verify/%zz": 400,
	} {
		if got := h.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\n"+bearer+"\r\n\r\n"); got.StatusCode != status {
			t.Errorf("%s: %d, want %d: %s", target, got.StatusCode, status, got.body)
		}
	}
}

// A slash too many in a rule opens no door: what a proxy that names the URI asks for is heeded.
func TestVerify_QueryBehindASlash(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	h.equip(t, a, "reader", "sales")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	for _, header := range []string{"X-Original-URI: /a", "X-Forwarded-Uri: /a", "X-Original-URI: "} {
		for query, status := range map[string]int{
			"?role=admin": 403, "?role=reader&datasource=costs": 403, "?rule=x": 403, "?role=reader&datasource=sales": 200, "?": 200, "": 200,
		} {
			for _, place := range []string{"/ostiary/verify", "/ostiary/verify/", "/ostiary/verify/x"} {
				if r := h.ask(t, "GET", place+query, "", bearer, header); r.StatusCode != status {
					t.Errorf("%s%s, %s: %d, want %d", place, query, header, r.StatusCode, status)
				}
			}
		}
	}
	for _, place := range []string{"/ostiary/verify/?role=admin", "/ostiary/verify/a?role=admin&x=%zz"} { // as Envoy asks
		if r := h.ask(t, "GET", place, "", bearer); r.StatusCode != 200 {
			t.Errorf("%s: %d", place, r.StatusCode)
		}
	}
}

func FuzzOdd(f *testing.F) {
	for _, uri := range append(clearURIs, oddURIs...) {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if odd(uri) || uri == "" || uri == "*" {
			return
		}
		sent, _, _ := strings.Cut(uri, "?")
		decoded, err := url.PathUnescape(sent)
		if err != nil || !utf8.ValidString(decoded) {
			t.Fatalf("%q does not decode: %v", uri, err)
		}
		if u, err := url.ParseRequestURI(sent); err != nil || u.Host != "" || u.Fragment != "" || u.Path != decoded {
			t.Fatalf("%q is read as %+v: %v", uri, u, err)
		}
		// Whoever decodes, takes backslashes for slashes, drops parameters, and resolves
		// dots, in whatever order, finds the same names, as many as were sent.
		texts := []string{sent, decoded}
		for range 3 { // and whoever decodes again what decodes
			if again, err := url.PathUnescape(texts[len(texts)-1]); err == nil {
				texts = append(texts, again)
			}
		}
		for _, text := range texts {
			if strings.ContainsAny(text, "\x00\r\n\t\x7f") {
				t.Fatalf("%q has a control as %q", uri, text)
			}
			text = strings.ReplaceAll(text, `\`, "/")
			var names []string
			for name := range strings.FieldsFuncSeq(text, isSlash) {
				name, _, _ = strings.Cut(name, ";")
				names = append(names, name+"_")
				if name == "." || name == ".." {
					t.Fatalf("%q has dots as %q", uri, text)
				}
			}
			if joined := "/" + strings.Join(names, "/"); path.Clean(joined) != joined {
				t.Fatalf("%q is cleaned to %q", uri, path.Clean(joined))
			}
		}
		if slashes(texts[1]) != slashes(texts[len(texts)-1]) {
			t.Fatalf("%q gets slashes when it is decoded again", uri)
		}
	})
}

func slashes(s string) int { return strings.Count(s, "/") + strings.Count(s, `\`) }

// requestLog is a log that can be read while it is written.
type requestLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *requestLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// next waits for a line and takes it, since it is written after the answer.
func (l *requestLog) next(t testing.TB) string {
	t.Helper()
	for range 2000 {
		l.mu.Lock()
		line, err := l.text.ReadString('\n')
		l.mu.Unlock()
		if err == nil {
			return line
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no line")
	return ""
}

func TestVerify_OriginalInTheLog(t *testing.T) {
	h := build(t)
	log := new(requestLog)
	h.serve(t, Routes(h.svc, "", "/p", "one", h.one.ID), slog.New(slog.NewTextHandler(log, nil)))
	long := strings.Repeat("/aaaaaaaaa", 500)
	for _, c := range []struct {
		target  string
		headers []string
		want    string // "-" for nothing
	}{
		{"/p/ostiary/verify", nil, "-"},
		{"/p/ostiary/verify", []string{"X-Original-Method: PUT", "X-Original-URI: /a%20b?token=s3cret"}, "original_method=PUT original_path=/a%20b\n"},
		{"/p/ostiary/verify", []string{"X-Forwarded-Method: PATCH", "X-Forwarded-Uri: /b?token=s3cret"}, "original_method=PATCH original_path=/b\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: /a", "X-Forwarded-Method: PATCH", "X-Forwarded-Uri: /b"}, "original_path=/a\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: "}, "-"},
		{"/p/ostiary/verify", []string{"X-Original-Method: PUT"}, "-"},
		{"/p/ostiary/verify/c/%2e%2e?token=s3cret", []string{"X-Original-URI: /a"}, "original_method=GET original_path=/c/%2e%2e\n"},
		{"/p/ostiary/verify", []string{"X-Original-Method: " + strings.Repeat("M", 99), "X-Original-URI: " + long}, "original_method=MMMMMMMMMMMMMMMM… original_path=" + long[:256] + "…\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: /\u202e\x9b31m"}, `original_path="/\\u202e`},
		{"/p/ostiary/verify", []string{"X-Original-URI: http://ada:s3cret@example.com/a/b?token=s3cret"}, "original_path=/a/b\n"},
		{"/p/ostiary/verify", []string{"X-Forwarded-Uri: HTTPS://ada:s3cret@example.com"}, "original_path=/\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: http://ada:s3cret/s3cret@example.com/a"}, "original_path=/a\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: ada:s3cret@example.com:443"}, "original_path=/\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: http://example.com/a:b"}, "original_path=/a:b\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: /a:b@c"}, "original_path=/a:b@c\n"},
		{"/p/ostiary/verify", []string{"X-Original-URI: ../a"}, "original_path=../a\n"},
		{"/p/ostiary/verify", []string{"X-Original-Method: PUT", "X-Original-URI: /a", "Authorization: Bearer a", "Authorization: Bearer b"},
			"original_method=PUT original_path=/a cause=\"two credentials in one request\"\n"},
		{"/p/ostiary/whoami", []string{"X-Original-URI: /a"}, "-"},
	} {
		h.raw(t, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(c.headers, "A: b"), "\r\n")+"\r\n\r\n")
		line := log.next(t)
		if strings.Contains(line, "s3cret") || c.want == "-" && strings.Contains(line, "original_") || c.want != "-" && !strings.Contains(line, c.want) {
			t.Errorf("%v: %q, want %q", c.headers, line, c.want)
		}
	}
}

// A refusal's line says whose credential it was and what it lacks, a success which dialect
// it was of. The client reads less.
func TestVerify_CauseInTheLog(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	log := new(requestLog)
	h.serve(t, Routes(h.svc, "", "", "one", h.one.ID), slog.New(slog.NewTextHandler(log, nil)))
	caller := basic("robot", h.service(t, "one", "robot").secret)
	for _, c := range []struct{ method, target, credential, want string }{
		{"GET", "/ostiary/verify", bearer, `status=200 code=ok duration=\S+ dialect=opaque source`},
		{"GET", "/ostiary/whoami", bearer, `status=200 code=ok duration=\S+ dialect=opaque source`},
		{"GET", "/ostiary/verify?role=admin", bearer, `status=403 .* dialect=opaque .*cause="account [0-9a-f-]{36} \(ada\) lacks the role \\"admin\\""`},
		{"GET", "/ostiary/verify?datasource=sales", bearer, `cause="account [0-9a-f-]{36} \(ada\) lacks the datasource \\"sales\\""`},
		{"GET", "/ostiary/verify?group=x", bearer, `status=403 .* cause="the query asks for something else than role and datasource"`},
		{"POST", "/ostiary/introspect", caller, `status=403 .* cause="service account [0-9a-f-]{36} \(robot\) lacks the role ostiary:introspect"`},
		{"POST", "/ostiary/revoke", caller, `status=403 .* cause="service account [0-9a-f-]{36} \(robot\) lacks the role ostiary:revoke"`},
	} {
		const body = "token=x"
		r := h.ask(t, c.method, c.target, body, c.credential, "Content-Type: application/x-www-form-urlencoded")
		if line := log.next(t); !regexp.MustCompile(c.want).MatchString(line) {
			t.Errorf("%s %s: logged %s", c.method, c.target, line)
		}
		if r.StatusCode != 200 && strings.Contains(r.body, "ada") || strings.Contains(r.body, "robot") {
			t.Errorf("%s %s: %s", c.method, c.target, r.body)
		}
	}
}

// The line of each endpoint that takes a token says which dialect it is of.
func TestLog_DialectOfTheCredential(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	log := new(requestLog)
	h.serve(t, Routes(h.svc, "", "", "one", h.one.ID), slog.New(slog.NewTextHandler(log, nil)))
	for _, c := range []struct{ method, target, body string }{
		{"GET", "/ostiary/verify", ""},
		{"GET", "/ostiary/whoami", ""},
		{"GET", "/ostiary/sessions", ""},
		{"DELETE", "/ostiary/sessions/00000000-0000-0000-0000-000000000000", ""},
		{"DELETE", "/ostiary/sessions", ""},
		{"POST", "/ostiary/password", `{"current":"not the one","new":"Tramontana-wv7-Gletscher"}`},
		{"POST", "/ostiary/logout", ""},
	} {
		for _, d := range []auth.Dialect{plain, opaque} {
			h.ask(t, c.method, c.target, c.body, "Authorization: Bearer "+h.token(t, h.login(t, "one/"+string(d), "ada")))
			if line := log.next(t); !strings.Contains(line, " dialect="+string(d)+" ") {
				t.Errorf("%s %s: %s", c.method, c.target, line)
			}
		}
		h.ask(t, c.method, c.target, c.body, "Authorization: Bearer x")
		if line := log.next(t); !strings.Contains(line, ` dialect="" `) {
			t.Errorf("%s %s without a good one: %s", c.method, c.target, line)
		}
	}
}
