package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// claims are those of a JWT, unverified.
func claims(t *testing.T, jwt string) map[string]any {
	t.Helper()
	raw, err := b64.DecodeString(strings.Split(jwt+"..", ".")[1])
	var object map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &object)
	}
	if err != nil {
		t.Fatalf("%q: %v", jwt, err)
	}
	return object
}

// Nothing that a token or an answer says comes from the name that a client called the
// server by.
func TestThreat46_HostIsNotBelieved(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	const evil = "evil.example.net"
	before := h.all(t, hostOne, "ada")
	forged := []string{"X-Forwarded-Host: " + evil, "X-Forwarded-Proto: https", "Forwarded: host=" + evil, "X-Original-Host: " + evil, "X-Host: " + evil, "Origin: https://" + evil, "Referer: https://" + evil}
	for _, host := range []string{evil, evil + ":8443", hostOne + ".evil.example.net"} {
		for name, ask := range map[string]func() (answer, string){
			"cloudio": func() (answer, string) {
				a := h.ask(t, host, "POST", "/v1/auth", "", append(forged, "Authorization: Token "+basic("ada", pass))...)
				return a, a.text(t, "jwt")
			},
			"nomic": func() (answer, string) {
				a := h.ask(t, host, "POST", "/api/auth/token", "", append(forged, "Authorization: Basic "+basic("ada", pass))...)
				return a, a.text(t, "token")
			},
			"senmo": func() (answer, string) {
				a := h.ask(t, host, "POST", "/v1/auth", fields("username", "ada", "password", pass), forged...)
				return a, a.text(t, "tokens", "idToken")
			},
			"assertion": func() (answer, string) {
				a := h.ask(t, host, "GET", "/ostiary/verify", "", append(forged, before.bearers()["mikrocloud"]...)...)
				return a, a.Header.Get("Ostiary-Assertion")
			},
		} {
			a, jwt := ask()
			got := claims(t, jwt)
			was := map[string]string{"cloudio": before.jwt, "nomic": before.nomic, "senmo": before.id, "assertion": jwt}[name]
			if want := claims(t, was); got["iss"] != want["iss"] || mustJSON(got["aud"]) != mustJSON(want["aud"]) || strings.Contains(mustJSON(got), "evil") {
				t.Errorf("%s, asked as %s: %v", name, host, got)
			}
			for _, values := range a.Header {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("%s: %v", name, a.Header)
				}
			}
		}
		a := h.ask(t, host, "GET", "/ostiary/openapi.json", "", forged...)
		if strings.Contains(a.body, "evil") {
			t.Error("the description names the host")
		}
	}
}

// Every answer of every door says not to be sniffed, what it is, and nothing of who made
// it; what is about credentials is kept by nobody, and none sets a cookie or redirects.
func TestHeaders_EveryAnswer(t *testing.T) {
	h := open(t)
	seen := map[int]bool{}
	judge := func(t *testing.T, what string, a answer) {
		t.Helper()
		public := strings.HasSuffix(a.Request.URL.Path, "/jwks.json") || strings.HasSuffix(a.Request.URL.Path, "/openapi.json")
		noStore := a.Header.Get("Cache-Control") == "no-store"
		if !noStore && (!public || a.StatusCode != 200) || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Server") != "" || a.Header.Get("X-Powered-By") != "" ||
			a.Header.Get("Set-Cookie") != "" || a.Header.Get("Location") != "" || (a.body != "") != (a.Header.Get("Content-Type") != "") {
			t.Errorf("%s: %d %v %q", what, a.StatusCode, a.Header, a.body)
		}
		for _, tell := range []string{"goroutine", ".go:", "sqlite", "SQLITE", "panic", "github.com", "no such"} {
			if strings.Contains(a.body, tell) && !public {
				t.Errorf("%s: %s in %s", what, tell, a.body)
			}
		}
	}
	sendAll(t, h, []string{"zzz"}, func(t *testing.T, p place, _ string, a answer) { judge(t, p.name, a) })
	k := h.all(t, hostOne, "ada")
	live := k.bearers()["mikrocloud"]
	for _, path := range []string{
		"/v1/auth", "/v1/auth/refreshtoken", "/user/login", "/user/passport", "/api/auth/token", "/ostiary/verify", "/ostiary/whoami", "/ostiary/sessions", "/ostiary/sessions/x", "/ostiary/password",
		"/ostiary/introspect", "/ostiary/revoke", "/ostiary/healthz", "/ostiary/readyz", "/ostiary/openapi.json", "/.well-known/jwks.json", "/", "/nothing", "/ostiary/", "/ostiary/nothing", "/v1/auth/", "/ostiary/logout",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if path == "/ostiary/logout" && method == "POST" || path == "/ostiary/sessions" && method == "DELETE" {
				continue // the session is needed
			}
			for _, body := range []string{"", "{", strings.Repeat("x", 70<<10)} {
				if body != "" && (method == "HEAD" || method == "TRACE") {
					continue
				}
				a := h.ask(t, hostOne, method, path, body, append([]string{"Content-Type: text/plain"}, live...)...)
				if method == "HEAD" {
					a.body = a.Header.Get("Content-Type")
				}
				judge(t, method+" "+path, a)
				seen[a.StatusCode] = true
				if a.StatusCode == http.StatusMethodNotAllowed && a.Header.Get("Allow") == "" {
					t.Errorf("%s %s: 405 without Allow", method, path)
				}
				if method == "TRACE" && a.StatusCode < 400 && !strings.HasPrefix(path, "/ostiary/verify") {
					t.Errorf("TRACE %s: %d", path, a.StatusCode)
				}
			}
		}
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 413, 415} {
		if !seen[status] {
			t.Errorf("no answer was a %d", status)
		}
	}
}
