package e2e_test

import (
	"bufio"
	"encoding/base32"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/totp"
)

// enroll confirms a second factor, and returns the code of the step after.
func (h *house) enroll(t *testing.T, id uuid.UUID) (code string) {
	t.Helper()
	realm := h.realms[hostOne].ID
	uri, err := h.svc.EnrollFactor(t.Context(), realm, id, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	step := totp.Step(time.Now())
	if err := h.svc.ConfirmFactor(t.Context(), realm, id, auth.Secret(totp.Code(secret, step)), auth.Client{}); err != nil {
		t.Fatal(err)
	}
	return totp.Code(secret, step+1)
}

// What the first of two steps gives is good for the second alone.
func TestThreat20_TicketIsNoBearer(t *testing.T) {
	h := open(t)
	h.hire(t)
	code := h.enroll(t, h.account(t, hostOne, "ada"))
	h.account(t, hostTwo, "ada")
	var k tokens
	h.ticket(t, hostOne, "ada", &k)
	everywhere := func(when string) {
		for _, bare := range []bool{false, true} {
			for _, d := range slots { // at passport, too: no code is there
				for _, host := range []string{hostOne, hostTwo} {
					c := &shown{token: k.ticket, bare: bare, name: "ada"}
					if a := d.ask(t, h, host, c); outcome(a) != d.shut && !d.forAnyone() {
						t.Errorf("%s, bare %v, at %s of %s: %d %s", when, bare, d.name, host, a.StatusCode, a.body)
					}
				}
			}
		}
	}
	everywhere("alive")
	for what, a := range map[string]answer{
		"cloudio": h.ask(t, hostOne, "POST", "/v1/auth", "", "Authorization: Token "+basic("ada", k.ticket)),
		"nomic":   h.ask(t, hostOne, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("ada", k.ticket)),
		"senmo":   h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"ada","password":"`+k.ticket+`"}`),
		"code":    h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"ada","password":"`+pass+code+`"}`),
	} {
		if a.StatusCode < 400 {
			t.Errorf("%s: %d", what, a.StatusCode)
		}
	}
	passport := `{"totp":"` + code + `","token":"` + k.ticket + `"}`
	if a := h.ask(t, hostTwo, "POST", "/user/passport", passport); a.StatusCode != 401 {
		t.Errorf("passport of the other realm: %d", a.StatusCode)
	}
	k.auth = h.ask(t, hostOne, "POST", "/user/passport", passport).text(t, "auth_token")
	a := h.ask(t, hostOne, "GET", "/ostiary/whoami", "", k.bearers()["mikrocloud"]...)
	if !strings.Contains(a.body, `"amr":["pwd","otp","mfa"]`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	everywhere("spent")
}

// A realm's names, ids and headers do not open another's doors either.
func TestThreat31_Realms(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	h.account(t, hostTwo, "ada")
	k := h.all(t, hostOne, "ada")
	for name, headers := range k.bearers() {
		for _, more := range [][]string{
			nil, {"X-Forwarded-Host: " + hostOne}, {"Forwarded: host=" + hostOne}, {"X-Original-Host: " + hostOne}, {"X-Realm: one"}, {"X-Forwarded-Prefix: /one"},
		} {
			a := h.ask(t, hostTwo, "GET", "/ostiary/verify", "", append(more, headers...)...)
			if want := `Bearer realm="two", error="invalid_token"`; a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != want {
				t.Errorf("%s %v: %d %v", name, more, a.StatusCode, a.Header)
			}
		}
		for _, host := range []string{hostOne, "anything.example.com", "two.example.com.evil.example.com", "127.0.0.1"} {
			if a := h.ask(t, host, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 200 {
				t.Errorf("%s at %s: %d", name, host, a.StatusCode)
			}
		}
	}
	one, two := h.ask(t, hostOne, "GET", "/.well-known/jwks.json", ""), h.ask(t, hostTwo, "GET", "/.well-known/jwks.json", "")
	if one.body == two.body || one.StatusCode != 200 {
		t.Error("two realms, one key set")
	}
}

// No identifier that a client brings along ever becomes valid, and each step of a login
// gives another one (session fixation).
func TestThreat41_PlantedSession(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	seen := map[string]bool{}
	planted := uuid.Must(uuid.NewV7()).String()
	opaque := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	plant := []string{
		"Cookie: sessionId=" + planted + "; session=" + planted + "; auth_token=" + opaque + "; token=" + opaque + "; JSESSIONID=" + planted,
		"X-CSRF-Token: " + planted, "X-Session-Id: " + planted,
	}
	login := func(path, body string, headers ...string) answer {
		return h.ask(t, hostOne, "POST", path+"?sessionId="+planted+"&token="+url.QueryEscape(opaque), body, append(headers, plant...)...)
	}
	for range 3 {
		var k tokens
		a := login("/v1/auth", `{}`, "Authorization: Token "+basic("ada", pass))
		k.session, k.csrf, k.jwt = a.text(t, "sessionId"), a.text(t, "csrf"), a.text(t, "jwt")
		k.ticket = login("/user/login", `{"email":"ada","password":"`+pass+`","token":"`+opaque+`"}`).text(t, "token")
		k.auth = login("/user/passport", `{"token":"`+k.ticket+`","auth_token":"`+opaque+`"}`).text(t, "auth_token")
		k.nomic = login("/api/auth/token", "", "Authorization: Basic "+basic("ada", pass)).text(t, "token")
		k.access = login("/v1/auth", `{"username":"ada","password":"`+pass+`","session":"`+planted+`"}`).text(t, "tokens", "accessToken")
		for _, text := range []string{planted, opaque, k.session, k.csrf, k.jwt, k.ticket, k.auth, k.nomic, k.access} {
			if seen[text] && text != planted && text != opaque {
				t.Errorf("%s came twice", text)
			}
			seen[text] = true
		}
		for name, headers := range k.bearers() {
			session := h.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...).Header.Get("Ostiary-Session")
			if session == "" || session == planted || seen[session] && session != k.session {
				t.Errorf("%s: session %q", name, session)
			}
			if !strings.HasPrefix(name, "cloudio") {
				seen[session] = true
			}
		}
	}
	for _, token := range []string{planted, opaque} {
		for _, header := range []string{"Authorization: Bearer " + token, "Authorization: " + token, "Cookie: session=" + token} {
			if a := h.ask(t, hostOne, "GET", "/ostiary/verify", "", append(plant, header)...); a.StatusCode != 401 {
				t.Errorf("what was planted is good: %s: %d", header, a.StatusCode)
			}
		}
	}
	if a := h.ask(t, hostOne, "POST", "/v1/auth", "{}", append(plant, "Authorization: Token "+basic("ada", pass))...); a.Header.Get("Set-Cookie") != "" {
		t.Error("a cookie")
	}
}

// What ends an account's sessions ends every token of every dialect with the next request.
func TestThreat38_EndsAtOnce(t *testing.T) {
	h := open(t)
	h.hire(t)
	realm := h.realms[hostOne].ID
	none := auth.Client{}
	for what, end := range map[string]func(id uuid.UUID) error{
		"disabled":       func(id uuid.UUID) error { return h.svc.SetDisabled(t.Context(), realm, id, true, none) },
		"deleted":        func(id uuid.UUID) error { return h.svc.DeleteAccount(t.Context(), realm, id, none) },
		"password reset": func(id uuid.UUID) error { return h.svc.SetPassword(t.Context(), realm, id, next, none) },
		"sessions ended": func(id uuid.UUID) error {
			_, err := h.svc.EndSessions(t.Context(), realm, id, "test", none)
			return err
		},
		"disabled and enabled again": func(id uuid.UUID) error {
			if err := h.svc.SetDisabled(t.Context(), realm, id, true, none); err != nil {
				return err
			}
			return h.svc.SetDisabled(t.Context(), realm, id, false, none)
		},
	} {
		name := strings.ReplaceAll(what, " ", "")
		id := h.account(t, hostOne, name)
		k := h.all(t, hostOne, name)
		h.ticket(t, hostOne, name, k)
		for dialect, headers := range k.bearers() {
			for range 2 { // that signatures were verified before must not matter
				if a := h.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 200 {
					t.Fatalf("%s: %s: %d", what, dialect, a.StatusCode)
				}
			}
		}
		if err := end(id); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for dialect, headers := range k.bearers() {
			for _, d := range slots[:slices.IndexFunc(slots, func(d slot) bool { return d.name == "refresh" })] {
				token, schemed := strings.CutPrefix(strings.TrimPrefix(headers[0], "Authorization: "), "Bearer ")
				c := &shown{token: token, csrf: k.csrf, bare: !schemed, name: name}
				if a := d.ask(t, h, hostOne, c); outcome(a) != d.shut {
					t.Errorf("%s: %s at %s: %d %s", what, dialect, d.name, a.StatusCode, a.body)
				}
			}
		}
		refused := map[string]answer{"refresh": h.ask(t, hostOne, "POST", "/v1/auth/refreshtoken", fields("refreshtoken", k.refresh))}
		if what != "sessions ended" { // which is about sessions, and a ticket is none yet
			refused["passport"] = h.ask(t, hostOne, "POST", "/user/passport", fields("token", k.ticket))
		}
		for door, a := range refused {
			if a.StatusCode < 400 {
				t.Errorf("%s: %s: %d %s", what, door, a.StatusCode, a.body)
			}
		}
	}
}

// A name that is used again is another account.
func TestThreat45_RecycledName(t *testing.T) {
	h := open(t)
	first := h.account(t, hostOne, "ada")
	k := h.all(t, hostOne, "ada")
	if err := h.svc.DeleteAccount(t.Context(), h.realms[hostOne].ID, first, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	second := h.account(t, hostOne, "ada")
	var fresh tokens
	h.nomic(t, hostOne, "ada", &fresh)
	for dialect, headers := range k.bearers() {
		if a := h.ask(t, hostOne, "GET", "/ostiary/verify", "", headers...); a.StatusCode != 401 {
			t.Errorf("%s: %d", dialect, a.StatusCode)
		}
	}
	a := h.ask(t, hostOne, "GET", "/ostiary/verify", "", fresh.bearers()["nomic"]...)
	if first == second || a.Header.Get("Ostiary-Account") != second.String() {
		t.Errorf("%s after %s: %v", second, first, a.Header)
	}
}

func TestThreat59_DoubledCredentials(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	k := h.all(t, hostOne, "ada")
	raw := func(headers ...string) int {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "GET /ostiary/verify HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", hostOne, strings.Join(headers, "\r\n"))
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	good := "Authorization: Bearer " + k.auth
	for what, c := range map[string]struct {
		headers []string
		status  int
	}{
		"one":              {[]string{good}, 200},
		"one, odd case":    {[]string{"aUTHORIZATION: bEARER " + k.auth}, 200},
		"the same twice":   {[]string{good, good}, 401},
		"two tokens":       {[]string{good, "Authorization: Bearer " + k.nomic}, 401},
		"Basic and Bearer": {[]string{"Authorization: Basic " + basic("ada", pass), good}, 401},
		"odd case":         {[]string{good, "AUTHORIZATION: Bearer " + k.nomic}, 401},
		"Authentication":   {[]string{good, "Authentication: Token " + basic("ada", pass)}, 401},
		"underscore":       {[]string{"Authorization_: x", good}, 200},
		"a folded line":    {[]string{"Authorization: Bearer", " " + k.auth}, 200},
		"a space before":   {[]string{"Authorization : Bearer " + k.auth}, 400},
		"two lengths":      {[]string{good, "Content-Length: 1", "Content-Length: 2"}, 400},
		"two hosts":        {[]string{good, "Host: " + hostTwo}, 400},
		"a bare CR":        {[]string{good + "\rX: y"}, 400},
	} {
		if got := raw(c.headers...); got != c.status {
			t.Errorf("%s: %d, want %d", what, got, c.status)
		}
	}
}
