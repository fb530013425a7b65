package proxytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/verify"
)

// identity are the headers of the contract, by their names in whoami.
var identity = map[string]string{
	"subject": "Ostiary-Subject", "account": "Ostiary-Account", "username": "Ostiary-Username", "email": "Ostiary-Email",
	"org": "Ostiary-Org", "roles": "Ostiary-Roles", "datasources": "Ostiary-Datasources", "dialect": "Ostiary-Dialect",
	"session": "Ostiary-Session",
}

// checkIdentity sees that an upstream was sent the identity headers of a credential, and no others. A header that is not
// there is an empty one.
func (h *house) checkIdentity(t *testing.T, got http.Header, credential http.Header) {
	t.Helper()
	who := h.whoami(t, credential)
	claims := claimsOf(t, got.Get("Ostiary-Assertion"))
	known := map[string]bool{"Ostiary-Assertion": true}
	for member, name := range identity {
		known[name] = true
		want, _ := who[member].(string)
		if list, ok := who[member].([]any); ok {
			want = shortened(list)
		}
		value, err := url.PathUnescape(got.Get(name))
		if err != nil || value != want || len(got[name]) > 1 {
			t.Errorf("%s: %q, want %q (%v)", name, got[name], want, err)
		}
		if claim, there := claims[member]; there && fmt.Sprint(claim) != fmt.Sprint(who[member]) {
			t.Errorf("the assertion has %s %v, want %v", member, claim, who[member])
		}
	}
	if claims["sub"] != who["subject"] || claims["session"] != who["session"] || claims["roles"] == nil {
		t.Errorf("the assertion says %v, want %v", claims, who)
	}
	for name := range got {
		if strings.HasPrefix(name, "Ostiary") && !known[name] {
			t.Errorf("a header too many: %s", name)
		}
	}
}

// shortened is a list as its header has it: cut at 1,024 bytes, after a name.
func shortened(list []any) string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i], _ = v.(string)
	}
	text := strings.Join(names, ",")
	for n := len(names); len(text) > 1024; n-- {
		text = fmt.Sprintf("%s,+%d", strings.Join(names[:n], ","), len(names)-n)
	}
	return text
}

// claimsOf reads a JWT; who verifies it is tested elsewhere.
func claimsOf(t *testing.T, jwt string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Errorf("the assertion is %q", jwt)
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Errorf("%v: %s", err, text)
	}
	return claims
}

// noIdentity sees that an answer to a client tells nothing that is meant for the upstream.
func noIdentity(t *testing.T, resp answer) {
	t.Helper()
	for name := range resp.Header {
		if strings.HasPrefix(strings.ToLower(name), "ostiary") {
			t.Errorf("the client was told %s: %q", name, resp.Header[name])
		}
	}
}

func TestForward_EveryDialect(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		for _, name := range []string{"ada", "nobody", "boss"} {
			for dialect, credential := range p.signIn(t, name) {
				h.upstream.take()
				body := strings.Repeat("a body that Ostiary is not sent ", 10_000)
				resp, text := ask(t, p.http, http.MethodPost, "/orders/7?x=%2e%2e%2f", body, credential)
				var got seen
				if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %s %s %v", dialect, resp.Status, text, err)
				}
				noIdentity(t, resp)
				if got.Method != http.MethodPost || got.URI != "/orders/7?x=%2e%2e%2f" || got.Body != body {
					t.Errorf("%s: the upstream got %s %s and %d bytes", dialect, got.Method, got.URI, len(got.Body))
				}
				if got.Header.Get("Ostiary-Dialect") != dialect {
					t.Errorf("%q", got.Header)
				}
				h.checkIdentity(t, got.Header, credential)
			}
		}
	})
}

func TestForward_RolesAndDatasources(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		for dialect, credential := range p.signIn(t, "boss") {
			for _, place := range []string{"/admin", "/Admin/x?role=nothing&x=%zz", "/reports/2026"} {
				resp, text := ask(t, p.http, http.MethodGet, place, "", credential)
				var got seen
				if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != http.StatusOK || got.URI != place {
					t.Fatalf("%s, %s: %s %s", dialect, place, resp.Status, text)
				}
				if roles := got.Header.Get("Ostiary-Roles"); !strings.HasPrefix(roles, "admin,") || !strings.HasSuffix(roles, ",+5") {
					t.Errorf("%s: the list of roles ends in %s", dialect, roles[max(0, len(roles)-100):])
				}
				h.checkIdentity(t, got.Header, credential)
			}
		}
	})
}

func TestForward_HTTP2(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		client := p.client("127.0.0.1", "h2")
		credential := p.signIn(t, "ada")["nomic"]
		resp, text := ask(t, client, http.MethodGet, "/", "", credential)
		var got seen
		if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("HTTP/%d %s: %s %v", resp.ProtoMajor, resp.Status, text, err)
		}
		h.checkIdentity(t, got.Header, credential)
		if resp, _ := ask(t, client, http.MethodGet, "/", "", nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a credential: %s", resp.Status)
		}
	})
}

func TestForward_Refusals(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		good := p.signIn(t, "ada")["mikrocloud"]
		h.upstream.take()
		for what, c := range map[string]struct {
			place  string
			header http.Header
			status int
		}{
			"no credential":          {"/", nil, 401},
			"a password":             {"/", http.Header{"Authorization": {"Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ=="}}, 401},
			"a token of nobody":      {"/x", http.Header{"Authorization": {"Bearer x"}}, 401},
			"two credentials":        {"/x", http.Header{"Authorization": {good.Get("Authorization"), "Bearer x"}}, 401},
			"without the role":       {"/admin/users", good, 403},
			"the same, spelled big":  {"/ADMIN/users", good, 403},
			"the same, bare":         {"/admin", good, 403},
			"without the datasource": {"/reports/2026", good, 403},
			"verify itself":          {"/ostiary/verify", nil, 401},
			"of nginx's own":         {"/_ostiary/any", nil, 401},
		} {
			resp, text := ask(t, p.http, http.MethodGet, c.place, "", c.header)
			bad := resp.StatusCode != c.status
			switch what {
			case "two credentials": // a proxy may refuse them itself
				bad = resp.StatusCode != 401 && resp.StatusCode != 400
			case "of nginx's own":
				bad = resp.StatusCode != 401 && resp.StatusCode != 404
			}
			if bad {
				t.Errorf("%s: %s %s", what, resp.Status, text)
			}
			if kept := resp.Header.Get("Cache-Control"); (resp.StatusCode == 401 || resp.StatusCode == 403) && kept != "no-store" {
				t.Errorf("%s may be kept: %q", resp.Status, kept)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode == 401 && !strings.HasPrefix(challenge, `Bearer realm="default"`) {
				t.Errorf("%s: WWW-Authenticate: %q", what, challenge)
			}
			noIdentity(t, resp)
		}
		preflight := http.Header{"Origin": {"https://x"}, "Access-Control-Request-Method": {"GET"}}
		if resp, _ := ask(t, p.http, http.MethodOptions, "/", "", preflight); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a preflight: %s", resp.Status)
		}
		// Who asks for verify gets a page of the upstream's, and no identity.
		resp, _ := ask(t, p.http, http.MethodGet, "/ostiary/verify", "", good)
		noIdentity(t, resp)
		for _, s := range h.upstream.take() {
			if s.URI != "/ostiary/verify" {
				t.Errorf("the upstream was asked for %s", s.URI)
			}
		}
		if resp, _ := ask(t, p.http, http.MethodGet, "/public/", "", nil); resp.StatusCode != http.StatusOK {
			t.Errorf("an open place: %s", resp.Status)
		}
	})
}

// TestForward_Own: what a bearer may ask of Ostiary is asked there, and what it has to say is not for the upstream.
func TestForward_Own(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		h.upstream.take()
		for _, route := range verify.Routes(nil, "", "", "default", uuid.Nil) {
			place := route.Path
			if strings.HasPrefix(route.Path, "/ostiary/verify") || route.Path == "/ostiary/introspect" || route.Path == "/ostiary/revoke" {
				continue // for servers alone
			}
			if strings.HasSuffix(place, "/") {
				place += uuid.NewString()
			}
			credential := p.signIn(t, "ada")["nomic"]
			resp, text := ask(t, p.http, http.MethodPost, place, "{}", credential)
			if all := h.upstream.take(); resp.StatusCode >= http.StatusInternalServerError || len(all) > 0 {
				t.Errorf("%s: %s %s; the upstream was asked %d times", place, resp.Status, text, len(all))
			}
		}
	})
}

// HAProxy goes on with a request whose Lua has failed: the page has a line for that.
func TestForward_LuaFails(t *testing.T) {
	h := open(t)
	p := startProxy(t, "haproxy", h.address, h.upstream.address, "local answer =", "local answer = nothing +")
	defer p.stop()
	for _, credential := range []http.Header{nil, p.signIn(t, "ada")["nomic"]} {
		h.upstream.take()
		resp, text := ask(t, p.http, http.MethodGet, "/", "", credential)
		if all := h.upstream.take(); resp.StatusCode != http.StatusServiceUnavailable || len(all) > 0 {
			t.Errorf("%s %s, asked %d times", resp.Status, text, len(all))
		}
	}
	if !strings.Contains(p.Log.String(), "runtime error") {
		t.Errorf("the Lua has not failed: %s", p.Log.String())
	}
}

// TestForward_Question sees what a proxy asks: with no body, with the original method and URI of its own making, and over
// connections that it keeps.
func TestForward_Question(t *testing.T) {
	h := open(t)
	var mu sync.Mutex
	var questions []*http.Request
	peers := map[string]bool{}
	status := http.StatusOK
	ostiary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		questions = append(questions, r)
		peers[r.RemoteAddr] = true
		w.Header().Set("Ostiary-Account", "019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21")
		w.Header().Set("Ostiary-Subject", "7")
		w.Header().Set("Set-Cookie", "of=Ostiary")
		w.WriteHeader(status)
	}))
	t.Cleanup(ostiary.Close)
	for _, running := range h.proxies {
		t.Run(running.name, func(t *testing.T) {
			p := startProxy(t, running.name, strings.TrimPrefix(ostiary.URL, "http://"), h.upstream.address)
			defer p.stop()
			questions, status = nil, http.StatusOK
			clear(peers)
			const made = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			spoofed := http.Header{
				"X-Original-Uri": {"/fine"}, "X-Original-Method": {"HEAD"}, "X-Forwarded-Uri": {"/fine"}, "X-Forwarded-Method": {"HEAD"},
				"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}, "X-Real-Ip": {"192.0.2.1"}, "Cookie": {"a=b"},
				"Authorization": {"Bearer x"}, "X-Csrf-Token": {"y"}, "X-Forwarded-Host": {"other"}, "Expect": {"100-continue"},
				"Traceparent": {made},
			}
			const asked = 20
			for range asked {
				resp, text := ask(t, p.http, http.MethodPut, "/a/b?role=admin", strings.Repeat("x", 100_000), spoofed)
				if resp.StatusCode != http.StatusOK || resp.Header.Get("Set-Cookie") != "" {
					t.Fatalf("%s %q %s\n%s", resp.Status, resp.Header, text, p.Log.Tail())
				}
			}
			ask(t, p.http, http.MethodPut, "/public/", "", spoofed)
			for _, got := range h.upstream.take() {
				for _, word := range []string{"/fine", "[HEAD]", "192.0.2.1", "[other]", made} {
					if strings.Contains(fmt.Sprint(got.Header), word) {
						t.Errorf("%s: what the client made up: %q", got.URI, got.Header)
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(questions) != asked || len(peers) > 2 {
				t.Errorf("%d questions on %d connections", len(questions), len(peers))
			}
			for _, q := range questions {
				method, uri := q.Header.Get("X-Original-Method"), q.Header.Get("X-Original-Uri")
				if p.name == "caddy" {
					method, uri = q.Header.Get("X-Forwarded-Method"), q.Header.Get("X-Forwarded-Uri")
				}
				if q.RequestURI != "/ostiary/verify" || q.ContentLength != 0 || method != http.MethodPut || uri != "/a/b?role=admin" || q.Host != site {
					t.Fatalf("%s %s for %s: %d bytes, %q", q.Method, q.RequestURI, q.Host, q.ContentLength, q.Header)
				}
				if text := fmt.Sprint(q.Header); strings.Contains(text, "/fine") || strings.Contains(text, "192.0.2.1") || strings.Contains(text, made) {
					t.Fatalf("what the client made up: %s", text)
				}
				if q.Header.Get("X-Forwarded-For") != "127.0.0.1" || q.Header.Get("Authorization") != "Bearer x" || q.Header.Get("X-Csrf-Token") != "y" {
					t.Fatalf("%q", q.Header)
				}
			}
			mu.Unlock()
			ask(t, p.http, http.MethodPost, "/v1/auth", "{}", spoofed)
			mu.Lock()
			if login := questions[len(questions)-1]; login.URL.Path != "/v1/auth" || strings.Contains(fmt.Sprint(login.Header), made) {
				t.Errorf("a login at %s: %q", login.URL, login.Header)
			}
			for _, status = range []int{500, 503, 302, 204, 404, 431} {
				mu.Unlock()
				h.upstream.take()
				resp, _ := ask(t, p.http, http.MethodGet, "/", "", nil)
				mu.Lock()
				if n := len(h.upstream.take()); status != 204 && (n > 0 || resp.StatusCode < 300) {
					t.Errorf("for %d from Ostiary: %s, and the upstream was asked %d times", status, resp.Status, n)
				}
				if status == 503 && resp.StatusCode != 503 {
					t.Errorf("503 became %s", resp.Status)
				}
			}
		})
	}
}

// TestForward_LongHeaders sees that an answer that is too long for a proxy is 503, and never half an answer.
func TestForward_LongHeaders(t *testing.T) {
	h := open(t)
	length := 0
	ostiary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range identity {
			w.Header().Set(name, "7")
		}
		w.Header().Set("Ostiary-Account", "019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21")
		w.Header().Set("Ostiary-Assertion", strings.Repeat("x", length))
	}))
	t.Cleanup(ostiary.Close)
	for _, running := range h.proxies {
		t.Run(running.name, func(t *testing.T) {
			p := startProxy(t, running.name, strings.TrimPrefix(ostiary.URL, "http://"), h.upstream.address)
			defer p.stop()
			fits := map[string]int{"nginx": 15 << 10, "caddy": 900 << 10, "haproxy": 15 << 10}[p.name]
			for _, length = range []int{4 << 10, 12 << 10, fits, fits + 1<<10, fits + 2<<10, fits + 3<<10, fits + 4<<10, 2 * fits} {
				h.upstream.take()
				body := strings.Repeat("x", 200<<10) // which fills buffers too
				if length > fits {
					body = "" // a refusal may cut it off
				}
				resp, text := ask(t, p.http, http.MethodPost, "/", body, http.Header{"Authorization": {"Bearer x"}})
				all := h.upstream.take()
				switch {
				case resp.StatusCode == http.StatusOK && len(all) == 1:
					if n := len(all[0].Header.Get("Ostiary-Assertion")); n != length || all[0].Header.Get("Ostiary-Session") != "7" {
						t.Errorf("%d bytes arrived as %d: %q", length, n, all[0].Header.Get("Ostiary-Session"))
					}
				case resp.StatusCode == http.StatusServiceUnavailable && len(all) == 0 && length > fits:
				case p.name == "caddy" && length > fits: // the limit is that of the upstream
				default:
					t.Errorf("%d bytes: %s %.300s, asked %d times", length, resp.Status, text, len(all))
				}
			}
		})
	}
}

// TestThreat7_AddressThroughProxies sees that Ostiary's log has the client's true address, whatever the client says.
func TestThreat07_AddressThroughProxies(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		client := p.client("127.0.0.2")
		for _, made := range []http.Header{
			{}, {"X-Forwarded-For": {"192.0.2.1"}}, {"Forwarded": {"for=192.0.2.1"}}, {"X-Real-Ip": {"192.0.2.1"}},
			{"X-Forwarded-For": {"192.0.2.1", "a"}, "Forwarded": {"for=unknown", "for=192.0.2.1"}}, {"X_Forwarded_For": {"192.0.2.1"}},
		} {
			for _, place := range []string{"/", "/ostiary/whoami"} {
				before := len(h.ostiary.Log.String())
				header := maps.Clone(made)
				header["Authorization"] = []string{"Bearer x"}
				ask(t, client, http.MethodGet, place, "", header)
				var line string
				for range 500 {
					if _, line, _ = strings.Cut(h.ostiary.Log.String()[before:], "msg=request"); strings.Contains(line, "source=") {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if line, _, _ = strings.Cut(line, "\n"); !strings.Contains(line+" ", "source=127.0.0.2 ") {
					t.Errorf("%s, %q is logged as %s", place, made, line)
				}
			}
		}
	})
}

// TestForward_AnotherAnswers: behind Caddy, which may mistake a connection to the upstream for one to Ostiary, a 200 that is
// not Ostiary's lets nobody pass.
func TestForward_AnotherAnswers(t *testing.T) {
	h := open(t)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(other.Close)
	p := startProxy(t, "caddy", strings.TrimPrefix(other.URL, "http://"), h.upstream.address)
	defer p.stop()
	for _, path := range []string{"/", "/admin", "/reports"} {
		resp, text := ask(t, p.http, http.MethodGet, path, "", http.Header{"Authorization": {"Bearer x"}})
		if all := h.upstream.take(); resp.StatusCode != http.StatusServiceUnavailable || len(all) != 0 {
			t.Errorf("%s: %s %s, asked %d times", path, resp.Status, text, len(all))
		}
	}
}
