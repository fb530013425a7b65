package verify

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// TestThreat41_SessionFixation: each login has a session and tokens of its own, whatever
// the client brings along, and what has ended is not brought back by one.
func TestThreat41_SessionFixation(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	planted := uuid.Must(uuid.NewV7()).String()
	brought := []string{
		"Cookie: session=" + planted + "; Ostiary-Session=" + planted + "; __Host-session=" + planted,
		"Ostiary-Session: " + planted, "X-Session-Id: " + planted, "X-CSRF-Token: csrf-" + planted,
	}
	seen := map[string]bool{planted: true}
	for _, d := range []auth.Dialect{plain, paired, opaque, plain, paired, opaque} {
		g := h.login(t, "one/"+string(d), "ada")
		own := []string{"Authorization: Bearer " + h.token(t, g)}
		bring := brought
		if d == paired {
			own, bring = append(own, "X-CSRF-Token: "+csrfOf(g)), brought[:3]
		}
		r, _ := h.verdict(t, append(own, bring...)...)
		if s := r.Header.Get("Ostiary-Session"); seen[s] || s != g.Session.ID.String() || r.Header["Set-Cookie"] != nil {
			t.Errorf("%s: session %s, %v", d, s, r.Header)
		}
		for _, text := range []string{g.Session.ID.String(), own[0]} {
			if seen[text] {
				t.Errorf("%s came twice", text)
			}
			seen[text] = true
		}
		if r := h.ask(t, "POST", "/ostiary/logout", "", append(own, bring...)...); r.StatusCode != 204 {
			t.Errorf("logout: %d", r.StatusCode)
		}
		h.login(t, "one/"+string(d), "ada")
		h.ask(t, "GET", "/ostiary/verify", "", append(own, bring...)...).refused(t, "ended", challengeInvalid)
	}
	h.ask(t, "GET", "/ostiary/verify", "", brought...).refused(t, "planted", challengeNone)
	h.ask(t, "GET", "/ostiary/verify", "", append(brought, "Authorization: Bearer "+planted)...).refused(t, "planted", challengeInvalid)
}

// TestThreat42_CSRF: a token that has a csrf is nothing without its own one, once, in
// its header; at every door, and however the rest of the request looks.
func TestThreat42_CSRF(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	h.account(t, "one", "bob")
	a, b := h.login(t, "one/paired", "ada"), h.login(t, "one/paired", "bob")
	second := h.login(t, "one/paired", "ada")
	bearer := "Authorization: Bearer " + h.token(t, a)
	own := csrfOf(a)
	const name = "X-CSRF-Token: "
	for what, headers := range map[string][]string{
		"absent": {}, "empty": {name}, "a space": {name + " "}, "another account's": {name + csrfOf(b)}, "another session's": {name + csrfOf(second)},
		"twice": {name + own, name + own}, "with another": {name + own, name + csrfOf(b)}, "a list": {name + own + ", " + own}, "first of a list": {name + own + ","},
		"cut": {name + own[:len(own)-1]}, "longer": {name + own + "x"}, "in upper case": {name + strings.ToUpper(own)}, "quoted": {name + `"` + own + `"`}, "null": {name + "null"},
		"in a cookie": {"Cookie: X-CSRF-Token=" + own + "; csrf=" + own}, "under another name": {"X-XSRF-Token: " + own, "CSRF: " + own, "X_CSRF_Token: " + own},
		"with Origin null": {"Origin: null"}, "of a form": {"Content-Type: text/plain", "Origin: https://evil.example.com"}, "with a method override": {"X-HTTP-Method-Override: GET", "X-Method-Override: GET"},
		"same site, says the browser": {"Sec-Fetch-Site: same-origin"},
	} {
		for _, door := range bearerDoors {
			method, path, _ := strings.Cut(door, " ")
			body := fmt.Sprintf(`{"csrf":%q,"current":%q,"new":"another horse battery"}`, own, pass)
			if strings.Contains(path, "password") && len(headers) > 0 && strings.HasPrefix(headers[0], "Content-Type") {
				continue // that is 415
			}
			h.ask(t, method, path+"?csrf="+own+"&X-CSRF-Token="+own, body, append(headers, bearer)...).refused(t, what+" at "+door, challengePair)
		}
	}
	// A token without a csrf is not good with an empty one: empty is not equal to empty.
	for _, csrf := range []any{"", nil, 1, []string{""}} {
		jwt := h.sign(t, a, map[string]any{"csrf": csrf})
		for _, headers := range [][]string{{}, {name}, {name + "1"}, {name + "null"}} {
			h.ask(t, "GET", "/ostiary/verify", "", append(headers, "Authorization: Bearer "+jwt)...).refused(t, fmt.Sprint(csrf, headers), challengePair)
		}
	}
	// The name of the header has no case.
	for _, spelling := range []string{"x-csrf-token", "X-CSRF-TOKEN", "x-cSrF-tOkEn"} {
		r := h.raw(t, "GET /ostiary/verify HTTP/1.1\r\nHost: x\r\n"+bearer+"\r\n"+spelling+": "+own+"\r\n\r\n")
		if r.StatusCode != 200 || r.Header.Get("Ostiary-Username") != "ada" {
			t.Errorf("%s: %d", spelling, r.StatusCode)
		}
	}
	// Another dialect's token does not become one with a csrf, nor less of one.
	plainly := "Authorization: Bearer " + h.token(t, h.login(t, "one/plain", "bob"))
	if r, _ := h.verdict(t, plainly, name+own); r.Header.Get("Ostiary-Username") != "bob" {
		t.Errorf("%v", r.Header)
	}
}

// TestThreat50_MalformedCookies: nothing that a client puts into its headers, short of a
// credential, is ever answered with 2xx, nor takes long.
func TestThreat50_MalformedCookies(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/paired", "ada")
	jwt, secret := h.token(t, g), h.token(t, h.login(t, "one/opaque", "ada"))
	random := rand.New(rand.NewPCG(50, 1))
	count := 10_000
	if testing.Short() {
		count = 1000
	}
	var conn net.Conn
	var r *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	statuses := map[int]int{}
	start, slowest := time.Now(), time.Duration(0)
	for i := range count {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", h.addr); err != nil {
				t.Fatal(err)
			}
			r = bufio.NewReader(conn)
		}
		text := "GET /ostiary/verify HTTP/1.1\r\nHost: x\r\n" + hostile(random, jwt, secret) + "\r\n\r\n"
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		asked := time.Now()
		_, _ = io.WriteString(conn, text) // a server that refuses need not read to the end
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%d: %q: %v", i, text, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		slowest = max(slowest, time.Since(asked))
		statuses[response.StatusCode]++
		if s := response.StatusCode; s != 400 && s != 401 && s != 431 {
			t.Fatalf("%d: %q: %d", i, text, s)
		}
		if response.Close {
			conn.Close()
			conn = nil
		}
	}
	t.Logf("%v in %v, the slowest in %v", statuses, time.Since(start), slowest)
	if statuses[401] < count/4 || slowest > 5*time.Second {
		t.Errorf("%v, the slowest in %v", statuses, slowest)
	}
	h.verdict(t, "Authorization: Bearer "+secret) // and nothing was ended by it
	h.verdict(t, "Authorization: Bearer "+jwt, "X-CSRF-Token: "+csrfOf(g))
}

// hostile makes headers in which good tokens stand where they are none, or broken.
func hostile(random *rand.Rand, jwt, secret string) string {
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	noise := func(n int) string { // of what net/http lets pass
		b := make([]byte, random.IntN(n))
		for i := range b {
			b[i] = byte(' ' + random.IntN(256-' '))
		}
		return strings.ReplaceAll(string(b), "\x7f", "\t")
	}
	broken := func(text string) string {
		b := []byte(text)
		b[random.IntN(len(b))] ^= byte(1 << random.IntN(5))
		return pick(string(b), text[:random.IntN(len(text))], text+noise(9)+"x", noise(9)+"x"+text)
	}
	var headers []string
	for range 1 + random.IntN(4) {
		token := pick(jwt, secret, noise(300), broken(jwt), broken(secret))
		headers = append(headers, pick(
			"Cookie: "+pick("session", "Authorization", "token", "auth_token", "__Host-session", noise(20))+"="+pick(token, `"`+token+`"`, "Bearer "+token),
			"Cookie: "+noise(3000), "Cookie:"+strings.Repeat(pick("a=b; ", ";", "=", ","), random.IntN(800)),
			"Cookie: a="+token+"; a="+token, pick("X-CSRF-Token: ", "Ostiary-Subject: ", "Ostiary-Account: ", "X-Forwarded-User: ", "Ostiary-Assertion: ")+token,
			"Authorization_: Bearer "+token, "Proxy-Authorization: Bearer "+token, "X-Original-URI: "+noise(50),
			"X-Original-Authorization: Bearer "+token, "A: "+noise(100),
		))
	}
	if random.IntN(10) == 0 {
		headers = append(headers, pick(noise(30)+": x", noise(100), "Cookie: \x00", " folded", "Cookie"))
	}
	if random.IntN(3) == 0 {
		headers = append(headers, "Authorization: "+pick("", "Bearer ", "Basic ", "Token ", "Bearer Bearer ", noise(9)+" ")+broken(pick(jwt, secret)))
	}
	return strings.Join(headers, "\r\n")
}

// TestThreat51_IdentityHeaderInjection: what a client sends under the names of the
// answer's headers never comes back in it, however it is spelled.
func TestThreat51_IdentityHeaderInjection(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	var sent []string
	for _, name := range identityHeaders {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), name + "-", "X-" + name} {
			sent = append(sent, spelling+": evil", spelling+": evil2")
		}
	}
	sent = append(sent, "Remote-User: evil", "X-Forwarded-User: evil", "Connection: keep-alive, Ostiary-Subject", "Trailer: Ostiary-Roles", "X-Original-URI: /?evil", "Ostiary-Evil: evil")
	all := strings.Join(sent, "\r\n")
	for _, target := range []string{"/ostiary/verify", "/ostiary/verify/a?evil", "/ostiary/verify?role=evil", "/ostiary/whoami", "/ostiary/verify/.."} {
		for _, credential := range []string{bearer, "A: b", "Authorization: Bearer x"} {
			r := h.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\n"+all+"\r\n"+credential+"\r\n\r\n")
			if r.StatusCode != 200 && r.StatusCode != 401 && r.StatusCode != 403 || strings.Contains(r.body, "evil") {
				t.Errorf("%s: %d %s", target, r.StatusCode, r.body)
			}
			found := 0
			for name, values := range r.Header {
				if strings.Contains(strings.Join(values, "\n"), "evil") || len(values) > 1 {
					t.Errorf("%s: %s: %q", target, name, values)
				}
				if strings.HasPrefix(name, "Ostiary") {
					found++
				}
			}
			verdict := r.StatusCode == 200 && strings.Contains(target, "verify")
			if verdict && found != len(identityHeaders) || !verdict && found != 0 {
				t.Errorf("%s: %d with %d headers of ours", target, r.StatusCode, found)
			}
			for _, name := range identityHeaders { // the empty ones too, or the client's stay
				if verdict && len(r.Header[name]) != 1 {
					t.Errorf("%s: %s is %q", target, name, r.Header[name])
				}
			}
		}
	}
}
