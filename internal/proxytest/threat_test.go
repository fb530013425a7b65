package proxytest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// spellings are those of a header that some upstream takes for the header itself.
func spellings(name string) []string {
	under := strings.ReplaceAll(name, "-", "_")
	return []string{
		name, strings.ToLower(name), strings.ToUpper(name), under, strings.ToLower(under), strings.ToUpper(under), strings.ReplaceAll(name, "-", "."),
		strings.ReplaceAll(name, "-", "~"), strings.ToLower(name[:1]) + strings.ToUpper(name[1:7]) + name[7:],
	}
}

var names = []string{
	"Ostiary-Subject", "Ostiary-Account", "Ostiary-Username", "Ostiary-Email", "Ostiary-Org", "Ostiary-Roles",
	"Ostiary-Datasources", "Ostiary-Dialect", "Ostiary-Session", "Ostiary-Assertion",
}

// forged are requests' headers, each a way to claim an identity.
func forged(p *proxy) (all []http.Header) {
	claim := append(names[:len(names):len(names)], "Ostiary")
	if p.name != "nginx" { // which can't drop names that it is not told
		claim = append(claim, "Ostiary-Other")
	}
	for i := range spellings(names[0]) {
		one, two := http.Header{}, http.Header{}
		for _, name := range claim {
			one[spellings(name)[i]] = []string{"evil"}
			two[spellings(name)[i]] = []string{"evil", "evil2"}
		}
		all = append(all, one, two)
	}
	for _, name := range spellings("X-Forwarded-For") {
		all = append(all, http.Header{name: {"evil"}})
	}
	mixed := http.Header{}
	for i, name := range claim {
		of := spellings(name)
		mixed[of[i%len(of)]], mixed[of[(i+1)%len(of)]] = []string{""}, []string{"evil"}
	}
	return append(all, mixed)
}

func TestThreat51_IdentityHeaderInjection(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		clients := map[string]*http.Client{"HTTP/1.1": p.http, "HTTP/2": p.client("127.0.0.1", "h2")}
		credentials := map[string]http.Header{"": {}, "ada": p.signIn(t, "ada")["nomic"], "nobody": p.signIn(t, "nobody")["mikrocloud"]}
		for protocol, client := range clients {
			for who, credential := range credentials {
				for _, place := range []string{"/", "/public/"} {
					for _, header := range forged(p) {
						for name, values := range credential {
							header[name] = values
						}
						h.upstream.take()
						resp, text := ask(t, client, http.MethodGet, place, "", header)
						all := h.upstream.take()
						if place == "/" && who == "" {
							if len(all) > 0 || resp.StatusCode != 401 && resp.StatusCode != 400 {
								t.Errorf("%s, %q: %s %s", protocol, header, resp.Status, text)
							}
							continue
						}
						if len(all) == 0 && resp.StatusCode == http.StatusBadRequest {
							continue // refused as a whole
						}
						if len(all) != 1 {
							t.Fatalf("%s, %q: %s %s", protocol, header, resp.Status, text)
						}
						unforged(t, all[0])
						if place == "/" {
							h.checkIdentity(t, all[0].Header, credential)
						} else if len(who) > 0 && all[0].Header.Get("Ostiary-Subject") != "" {
							t.Errorf("an identity in an open place: %q", all[0].Header)
						}
					}
				}
			}
		}
	})
}

// unforged sees that nothing of a claim reached an upstream, however it reads headers.
func unforged(t *testing.T, got seen) {
	t.Helper()
	for name, value := range got.CGI {
		if strings.HasPrefix(name, "OSTIARY") && strings.Contains(value, "evil") {
			t.Errorf("got through: %s: %q", name, got.Header)
		}
	}
	if from := got.CGI["X_FORWARDED_FOR"]; from != "127.0.0.1" {
		t.Errorf("the upstream takes the client for %s", from)
	}
	if hop := strings.ToLower(got.CGI["CONNECTION"]); strings.Contains(hop, "ostiary") {
		t.Errorf("the next hop is told to drop %s", hop)
	}
}

// What no client library would send.
func TestThreat51_RawHeaders(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		credential := p.signIn(t, "ada")["nomic"]
		for what, lines := range map[string]string{
			"a space before the colon": "Ostiary-Subject : evil\r\n",
			"a tab before the colon":   "Ostiary-Subject\t: evil\r\n",
			"a folded line":            "X: a\r\n Ostiary-Subject: evil\r\n",
			"a bare CR":                "X: a\rOstiary-Subject: evil\r\n",
			"a bare LF":                "X: a\nOstiary-Subject: evil\r\n",
			"a NUL":                    "Ostiary-Subject\x00: evil\r\n",
			"named as hop by hop":      "Connection: Ostiary-Subject, Ostiary-Roles, X-Forwarded-For\r\nOstiary-Subject: evil\r\n",
			"its own hop alone":        "Connection: Ostiary-Subject\r\nConnection: Ostiary-Account\r\n",
			"a trailer":                "Transfer-Encoding: chunked\r\nTrailer: Ostiary-Subject\r\n\r\n1\r\nx\r\n0\r\nOstiary-Subject: evil\r\nOstiary_Roles: evil\r\n",
		} {
			for _, place := range []string{"/", "/public/"} {
				h.upstream.take()
				answer := p.raw(t, "POST "+place+" HTTP/1.1\r\nHost: "+site+"\r\nConnection: close\r\nAuthorization: "+credential.Get("Authorization")+"\r\n"+lines+"\r\n", 5*time.Second)
				for _, got := range h.upstream.take() {
					unforged(t, got)
					if len(got.Trailer["Ostiary-Subject"]) > 0 && p.name != "haproxy" { // whose page says so
						t.Errorf("%s: trailers got through: %q", what, got.Trailer)
					}
					if place == "/" {
						h.checkIdentity(t, got.Header, credential)
					}
					if t.Failed() {
						t.Fatalf("%s: %s", what, answer)
					}
				}
			}
		}
	})
}

// TestThreat31_HostThroughProxies: by the Host Ostiary chooses the realm, so that none but the app's own gets through.
func TestThreat31_HostThroughProxies(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		good := "Authorization: " + p.signIn(t, "ada")["nomic"].Get("Authorization") + "\r\nConnection: close\r\n"
		h.upstream.take()
		for _, place := range []string{"/", "/public/", "/admin", "/ostiary/whoami"} {
			for _, request := range []string{
				place + " HTTP/1.1\r\nHost: partner.example.com\r\n", place + " HTTP/1.1\r\nHost: app.example.com.partner.example.com:443\r\n",
				"https://partner.example.com" + place + " HTTP/1.1\r\nHost: partner.example.com\r\n",
				"https://partner.example.com" + place + " HTTP/1.1\r\nHost: " + site + "\r\n",
				place + " HTTP/1.1\r\nHost: " + site + "\r\nHost: partner.example.com\r\n",
				place + " HTTP/1.1\r\nHost: \r\n", place + " HTTP/1.0\r\n",
			} {
				answer := p.raw(t, "GET "+request+good+"\r\n", 5*time.Second)
				_, body, _ := strings.Cut(answer, "\r\n\r\n")
				if p.name == "caddy" && strings.Contains(answer, " 200 ") && body == "" {
					continue // it serves no such site
				}
				if !strings.Contains(answer, " 421 ") && !strings.Contains(answer, " 400 ") {
					t.Errorf("%q: %s", request, answer)
				}
			}
		}
		for _, got := range h.upstream.take() {
			t.Errorf("the upstream was asked for %s: %q", got.URI, got.Header)
		}
		for _, host := range []string{"App.example.com", site + ":443"} {
			if answer := p.raw(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+good+"\r\n", 5*time.Second); !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Errorf("%s: %s", host, answer)
			}
		}
	})
}

// confusing are URIs that a proxy, Ostiary and an upstream may take for different places.
var confusing = strings.Fields(`
	/secret //secret ///secret /./secret /secret/ /secret/. /secret/public/ /secret/../secret /secret%2f..%2fpublic/ /secret;/public/ /secret;.css
	/secret#/public/ /secret%23/public/ /secret?/public/ /secret?skip=/public/ /secret?skip /secret%3f/public/ /%73ecret /%2573ecret /SECRET /secret%20 /secret%00
	/public/../secret /public/..%2fsecret /public/..%2Fsecret /public/%2e%2e/secret /public/%2E%2E/secret /public/.%2e/secret /public/%2e./secret
	/public/%2e%2e%2fsecret /public%2f..%2fsecret /public/%252e%252e/secret /public/..%252fsecret /public/%25252e%25252e/secret /public/%252e%252e%252fsecret
	/public/..;/secret /public/..;x=y/secret /public/;/../secret /public/..%3b/secret /public/..\secret /public/..%5csecret /public\..\secret /public/..%255csecret
	/public//../secret /public/x//../../secret /public/./../secret /public/%00/../secret /public/..%00/secret /public#/../../secret /public/#/../secret /public/..#/secret
	/public/%c0%ae%c0%ae/secret /public/..%c0%afsecret /public/%uff0e%uff0e/secret /public/..%u2215secret /public/%%32%65%%32%65/secret /public/%2/../secret
	/%70ublic/../secret /PUBLIC/../secret /public /public/..
	/ostiary/verify /ostiary/verify/ /ostiary/verify/public/ /ostiary/%76erify /ostiary//verify /ostiary/sessions/..%2fverify /ostiary/sessions/../verify /ostiary/sessions/%2e%2e/verify
	/ostiary/whoami/../verify /OSTIARY/VERIFY /_ostiary/any /_ostiary/admin /_ostiary/ /v1/auth/../../secret /v1/auth/..%2f..%2fsecret /v1/auth%2f..%2f..%2fsecret
	/user/login;/secret /ostiary/sessions/../../secret /ostiary/sessions/x/..%2f..%2f..%2fsecret /v1/auth/ /v1/authx
	/admin /admin/ //admin /./admin /x/../admin /x/..%2fadmin /x/%2e%2e/admin /Admin /ADMIN/x /%61dmin /%2561dmin /ad%6Din/x /admin%2fx /admin;x /;/admin /admin;/x /x;/../admin
	/admin%00 /admin%2e /admin? /admin?role=admin /admin#x /x#/../admin /x\..\admin /x%5c..%5cadmin /public/..%2fadmin /public/%2e%2e/admin /public/%252e%252e/admin /admin%20/x /%2fadmin /%5cadmin
	http://app.example.com/secret http://other/secret http://app.example.com/public/../secret http://app.example.com/public/..%2fsecret https://app.example.com//admin http:///admin
	public/../secret secret * ?/public/ #/public/ \secret .. . %2fsecret
`)

func TestThreat52_URIConfusion(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		ada := "Authorization: " + p.signIn(t, "ada")["nomic"].Get("Authorization") + "\r\n"
		for what, c := range map[string]struct {
			method, headers string
			mayPass         func(uri string) bool
		}{
			"a health checker": {"HEAD", "User-Agent: kube-probe/1.30\r\nX-Forwarded-Uri: /public/\r\nX-Original-URL: /public/\r\nX-Rewrite-Url: /public/\r\n", isOpen},
			"without the role": {"GET", ada, func(uri string) bool { return !strings.HasPrefix(worst(uri), "/admin") }},
		} {
			h.upstream.take()
			var wg sync.WaitGroup
			free := make(chan struct{}, 4)
			for _, uri := range confusing {
				free <- struct{}{}
				wg.Go(func() {
					defer func() { <-free }()
					answer := p.raw(t, c.method+" "+uri+" HTTP/1.1\r\nHost: "+site+"\r\n"+c.headers+"Connection: close\r\n\r\n", 5*time.Second)
					if strings.Contains(strings.ToLower(answer), "\nostiary-") || strings.Contains(answer, "Referenced") {
						t.Errorf("%s, %s: the client was told who it is: %s", what, uri, answer)
					}
					if strings.HasPrefix(answer, "HTTP/1.1 5") && !strings.HasPrefix(answer, "HTTP/1.1 501") {
						t.Errorf("%s, %s: %s", what, uri, answer)
					}
				})
			}
			wg.Wait()
			all := h.upstream.take()
			if len(all) == 0 {
				t.Errorf("%s: nothing passed at all", what)
			}
			for _, got := range all {
				if !c.mayPass(got.URI) {
					t.Errorf("%s: the upstream was asked for %s", what, got.URI)
				}
			}
		}
	})
}

const second = "GET /secret HTTP/1.1\r\nHost: " + site + "\r\nX-Smuggled: yes\r\n\r\n"

// smuggling are rests of requests, after their first headers, that some readers end sooner than others.
var smuggling = map[string]string{
	"a length and chunks":       "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
	"chunks and a length":       "Transfer-Encoding: chunked\r\nContent-Length: 150\r\n\r\n0\r\n\r\n" + second,
	"two lengths":               "Content-Length: 0\r\nContent-Length: 90\r\n\r\n" + second,
	"two lengths, the long one": "Content-Length: 90\r\nContent-Length: 0\r\n\r\n" + second,
	"a list of lengths":         "Content-Length: 0, 90\r\n\r\n" + second,
	"a signed length":           "Content-Length: +0\r\n\r\n" + second,
	"a length in hex":           "Content-Length: 0x5a\r\n\r\n" + second,
	"an underscore":             "Content_Length: 0\r\nTransfer_Encoding: chunked\r\nContent-Length: 90\r\n\r\n" + second,
	"a body of GET":             "Content-Length: 90\r\n\r\n" + second,
	"an unknown encoding":       "Transfer-Encoding: xchunked\r\nContent-Length: 90\r\n\r\n" + second,
	"a space before the colon":  "Transfer-Encoding : chunked\r\nContent-Length: 90\r\n\r\n0\r\n\r\n" + second,
	"a vertical tab":            "Transfer-Encoding: \x0bchunked\r\nContent-Length: 90\r\n\r\n0\r\n\r\n" + second,
	"two encodings":             "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second,
	"an encoding twice":         "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + second,
	"a folded encoding":         "Transfer-Encoding:\r\n chunked\r\nContent-Length: 90\r\n\r\n0\r\n\r\n" + second,
	"a bare LF in a chunk":      "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n" + "54\r\n" + "0\r\n\r\n" + second,
	"a bare LF after a size":    "Transfer-Encoding: chunked\r\n\r\n2\nxx\r\n0\r\n\r\n" + second,
	"a chunk that is too long":  "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx\r\n0\r\n\r\n" + second,
	"a signed chunk":            "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n" + second,
	"a bare LF for an end":      "X: y\n\n" + second,
	"a bare CR":                 "X: y\r\r\n" + second,
	"an upgrade":                "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n" + second,
	"two hosts":                 "Host: other\r\n\r\n" + second,
	"an expectation":            "Expect: 100-continue\r\nContent-Length: 90\r\n\r\n" + second,
	"HTTP/0.9 behind it":        "Content-Length: 0\r\n\r\nGET /secret\r\n\r\n",
}

// pipelined are those that a proxy may take for two requests, since nobody reads them in another way: the second is
// answered too, but not with 2xx. Caddy goes by the chunks wherever there are both, and so takes all of them for two.
var pipelined = map[string]bool{"an upgrade": true, "a bare LF for an end": true, "a bare LF after a size": true, "HTTP/0.9 behind it": true}

func TestThreat59_Smuggling(t *testing.T) {
	h := open(t)
	h.each(t, func(t *testing.T, p *proxy) {
		good := "Authorization: " + p.signIn(t, "ada")["nomic"].Get("Authorization") + "\r\n"
		h.upstream.take()
		var wg sync.WaitGroup
		for what, rest := range smuggling {
			for _, first := range []string{
				"POST /public/ HTTP/1.1\r\nHost: " + site + "\r\n", "GET / HTTP/1.1\r\nHost: " + site + "\r\n" + good,
				"POST /v1/auth HTTP/1.1\r\nHost: " + site + "\r\n", "GET / HTTP/1.1\r\nHost: " + site + "\r\n",
			} {
				wg.Go(func() {
					answer := p.raw(t, first+rest, 500*time.Millisecond)
					if strings.Count(answer, "HTTP/1.1 2") > 1 || strings.Contains(answer, "X-Smuggled") && !strings.Contains(answer, `"Body":"GET /secret`) {
						t.Errorf("%s: %s", what, answer)
					}
					if n := strings.Count(answer, "HTTP/1.1 ") - strings.Count(answer, "HTTP/1.1 100"); n > 1 && !pipelined[what] && p.name != "caddy" {
						t.Errorf("%s: %d answers: %s", what, n, answer)
					}
				})
			}
		}
		for _, two := range []string{good + "Authorization: Bearer x\r\n", "Authorization: Bearer x\r\n" + good, "authorization: Basic YTpi\r\n" + good, good + "Authentication: Bearer x\r\n"} {
			wg.Go(func() {
				answer := p.raw(t, "GET /two HTTP/1.1\r\nHost: "+site+"\r\n"+two+"Connection: close\r\n\r\n", 5*time.Second)
				if !strings.HasPrefix(answer, "HTTP/1.1 40") {
					t.Errorf("two credentials: %s", answer)
				}
			})
		}
		wg.Wait()
		for _, got := range h.upstream.take() {
			if worst(got.URI) != "/" && !isOpen(got.URI) || got.Header.Get("X-Smuggled") != "" || strings.Contains(strings.ToLower(got.Header.Get("Upgrade")), "h2c") {
				t.Errorf("the upstream got %s %s %q", got.Method, got.URI, got.Header)
			}
		}
		// No connection between the proxy and the upstream is out of step.
		for range 20 {
			resp, text := ask(t, p.http, http.MethodGet, "/public/after", "", nil)
			var got seen
			if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != http.StatusOK || got.URI != "/public/after" {
				t.Fatalf("%s %s %v", resp.Status, text, err)
			}
		}
	})
}

// raw sends some bytes, which need not be a request, and gives all that comes back until the end, or for a while.
func (p *proxy) raw(t *testing.T, text string, while time.Duration) string {
	conn, err := p.dial("127.0.0.1")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(while))
	if _, err := io.WriteString(conn, text); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
