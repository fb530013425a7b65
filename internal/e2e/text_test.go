package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// place is somewhere in a request where a client may put any text.
type place struct {
	name  string
	loose bool // what is put there may be refused in more ways than one
	head  bool // it stands in a header as it is
	ask   func(text string) (method, path, body string, headers []string)
}

// quoted is a JSON text of the bytes as they are, however bad they are.
func quoted(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' || c < ' ' {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

// places are all that the doors read of a request. live is a header with ada's live
// token, jwt and csrf are those of cloudio, gate is what a service account sends.
func places(live, jwt, csrf, gate string) (all []place) {
	add := func(name string, ask func(text string) (method, path, body string, headers []string)) {
		all = append(all, place{name: name, ask: ask})
	}
	json := func(name, path, before, after string, headers ...string) {
		add(name, func(text string) (string, string, string, []string) {
			return "POST", path, before + quoted(text) + after, headers
		})
	}
	json("mikrocloud, email", "/user/login", `{"password":"`+pass+`","email":`, `}`)
	json("mikrocloud, password", "/user/login", `{"email":"ada","password":`, `}`)
	json("mikrocloud, token", "/user/passport", `{"totp":null,"token":`, `}`)
	json("mikrocloud, totp", "/user/passport", `{"token":"zzz","totp":`, `}`)
	json("senmo, username", "/v1/auth", `{"password":"`+pass+`","username":`, `}`)
	json("senmo, password", "/v1/auth", `{"username":"ada","password":`, `}`)
	json("senmo, refreshtoken", "/v1/auth/refreshtoken", `{"refreshtoken":`, `}`)
	json("password, current", "/ostiary/password", `{"new":"`+next+`","current":`, `}`, live)
	json("password, new", "/ostiary/password", `{"current":"zzz","new":`, `}`, live)
	for name, prefix := range map[string]string{"cloudio": "POST /v1/auth Authorization: Token ", "cloudio, other header": "POST /v1/auth Authentication: Token ",
		"nomic": "POST /api/auth/token Authorization: Basic ", "introspect": "POST /ostiary/introspect Authorization: Basic ", "revoke": "POST /ostiary/revoke Authorization: Basic "} {
		part := strings.SplitN(prefix, " ", 3)
		body, more := "", []string(nil)
		if strings.HasPrefix(part[1], "/ostiary") {
			body, more = "token=zzz", []string{form}
		}
		for what, credential := range map[string]func(text string) string{
			"name":     func(text string) string { return text + ":" + pass },
			"password": func(text string) string { return "ada:" + text },
			"all":      func(text string) string { return text },
		} {
			add(name+", "+what, func(text string) (string, string, string, []string) {
				return part[0], part[1], body, append(more, part[2]+base64.StdEncoding.EncodeToString([]byte(credential(text))))
			})
		}
	}
	for _, door := range []string{"introspect", "revoke"} {
		for _, name := range []string{"token", "token_type_hint", "csrf", "zzz"} {
			add(door+", "+name, func(text string) (string, string, string, []string) {
				more := ""
				if name != "token" {
					more = "&token=zzz"
				}
				return "POST", "/ostiary/" + door, name + "=" + url.QueryEscape(text) + more, []string{form, gate}
			})
		}
	}
	get := func(name, path string, headers ...string) {
		add(name, func(text string) (string, string, string, []string) {
			return "GET", strings.ReplaceAll(path, "TEXT", url.QueryEscape(text)), "", headers
		})
	}
	get("verify, role", "/ostiary/verify?role=TEXT", live)
	get("verify, datasource", "/ostiary/verify?datasource=TEXT", live)
	get("verify, name of a query", "/ostiary/verify?TEXT=1", live)
	get("sessions, after", "/ostiary/sessions?after=TEXT", live)
	get("sessions, after an id", "/ostiary/sessions?after="+uuid.Max.String()+"TEXT", live)
	add("session", func(text string) (string, string, string, []string) {
		return "DELETE", "/ostiary/sessions/" + url.PathEscape(text), "", []string{live}
	})
	header := func(name, path, header string, headers ...string) {
		all = append(all, place{name: name, head: true, loose: header == "X-Original-URI: ", ask: func(text string) (string, string, string, []string) {
			return "GET", path, "", append([]string{header + text}, headers...)
		}})
	}
	header("verify, Bearer", "/ostiary/verify", "Authorization: Bearer ")
	header("verify, bare", "/ostiary/verify", "Authorization: ")
	header("verify, csrf", "/ostiary/verify", "X-CSRF-Token: ", "Authorization: Bearer "+jwt)
	header("whoami, Bearer", "/ostiary/whoami", "Authorization: Bearer ", "X-CSRF-Token: "+csrf)
	for _, name := range []string{"User-Agent", "X-Forwarded-For", "Forwarded", "X-Real-IP", "Cookie", "Origin", "X-Original-URI", "X-Original-Method", "X-Request-Id", "Ostiary-Subject", "Accept", "If-None-Match"} {
		header("whoami, "+name, "/ostiary/whoami", name+": ", live)
		header("verify, "+name, "/ostiary/verify", name+": ", live)
	}
	header("jwks, If-None-Match", "/.well-known/jwks.json", "If-None-Match: ")
	add("nomic, Bearer", func(text string) (string, string, string, []string) {
		return "POST", "/api/auth/token", "", []string{"Authorization: Bearer " + base64.RawURLEncoding.EncodeToString([]byte(text))}
	})
	return all
}

// sendAll sends a text to each place, and tells what came.
func sendAll(t *testing.T, h *house, texts []string, judge func(t *testing.T, p place, text string, a answer)) {
	t.Helper()
	h.account(t, hostOne, "ada")
	k := h.all(t, hostOne, "ada")
	gate := h.gate(t, hostOne)
	loose := map[string]bool{"verify, bare": true, "password, new": true}
	var running sync.WaitGroup
	for _, p := range places("Authorization: Bearer "+k.auth, k.jwt, k.csrf, gate) {
		p.loose = p.loose || loose[p.name] || strings.HasSuffix(p.name, ", all")
		running.Go(func() {
			for _, text := range texts {
				if p.head && strings.ContainsFunc(text, unicode.IsControl) {
					continue // no client can send it
				}
				method, path, body, headers := p.ask(text)
				judge(t, p, text, h.ask(t, hostOne, method, path, body, headers...))
			}
		})
	}
	running.Wait()
}

// No text is taken for SQL: at every door, wherever a client may put one, it is answered
// as any other text that means nothing there, and changes nothing (threat 53; the names
// of the command line are in its own tests).
func TestThreat53_SQLInjection(t *testing.T) {
	h := open(t)
	texts := []string{
		"zzz", `'`, `"`, "`", `' OR '1'='1`, `' OR 1=1 --`, `ada' --`, `ada'/*`, `ada"--`, `') OR ('a'='a`, `x') OR 1=1 LIMIT 1 --`,
		`' UNION SELECT id, password_hash FROM account --`, `'; DROP TABLE account; --`, `'; UPDATE account SET disabled = 1; --`,
		`'; ATTACH DATABASE 'injected.db' AS y; --`, `' AND (SELECT count(*) FROM session) > 0 --`, `' || (SELECT name FROM realm) || '`,
		`'||zeroblob(900000000)||'`, `'; SELECT pg_sleep(30) --`, `$1`, `?1`, `:realm`, `%`, `_`, `\'; --`, `0 OR 1=1`, `-1`, `NULL`,
		"ada\x00' --", uuid.Max.String() + `' OR '1'='1`,
	}
	realm := h.realms[hostOne].ID
	count := func() (accounts, sessions, roles int) {
		a, err := h.svc.ListAccounts(t.Context(), realm, uuid.Nil, 1000)
		s, err2 := h.svc.ListSessions(t.Context(), realm, uuid.Nil, uuid.Nil, 1000)
		r, err3 := h.svc.ListRoles(t.Context(), realm, "", 1000)
		if err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
		return len(a), len(s), len(r)
	}
	var harmless sync.Map // by place
	sendAll(t, h, texts, func(t *testing.T, p place, text string, a answer) {
		got := fmt.Sprint(a.StatusCode, " ", a.body)
		if text == "zzz" {
			harmless.Store(p.name, got)
			return
		}
		want, _ := harmless.Load(p.name)
		if got != want && (!p.loose || strings.HasPrefix(got, "2")) && p.name != "verify, X-Original-URI" {
			t.Errorf("%s: %q is answered %s, but zzz %s", p.name, text, got, want)
		}
	})
	if accounts, sessions, roles := count(); accounts != 2 || sessions != 4 || roles != len(auth.BuiltInRoles) {
		t.Errorf("%d accounts, %d sessions and %d roles", accounts, sessions, roles)
	}
	h.all(t, hostOne, "ada")
}

// The name of an account can be any SQL; it is found by that name alone.
func TestThreat53_NamesThatAreSQL(t *testing.T) {
	h := open(t)
	names := []string{`o'brien`, `x';drop-table-account;--`, `'or'1'='1`, `100%`, `a_b`, `a-b`, `$1`, `"quoted"`, `back\slash`}
	for _, name := range names {
		h.account(t, hostOne, name)
	}
	for _, name := range names {
		var k tokens
		a := h.ask(t, hostOne, "POST", "/v1/auth", fields("username", name, "password", pass))
		k.access = a.text(t, "tokens", "accessToken")
		who := h.ask(t, hostOne, "GET", "/ostiary/whoami", "", "Authorization: Bearer "+k.access)
		if got := who.text(t, "username"); got != name {
			t.Errorf("%q signed in as %q", name, got)
		}
	}
	for _, name := range []string{`a%`, `%`, `a.b`, `_______`, `o''brien`} {
		if a := h.ask(t, hostOne, "POST", "/v1/auth", fields("username", name, "password", pass)); a.StatusCode != 400 {
			t.Errorf("%q: %d %s", name, a.StatusCode, a.body)
		}
	}
}

// Bytes that are no text are refused at every door, and taken for no other text.
func TestThreat13_EveryDoor(t *testing.T) {
	h := open(t)
	realm := h.realms[hostOne].ID
	_, _, err := h.svc.CreateAccount(t.Context(), realm, auth.NewAccount{Username: "replaced", Password: pass + "\ufffd"}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	sendAll(t, h, []string{"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ada\x00", "\x00", "\ufffe", "\u202eada", "\x1b[31m"}, func(t *testing.T, p place, text string, a answer) {
		started := strings.HasPrefix(p.name, "whoami, ") && p.name != "whoami, Bearer" || strings.HasPrefix(p.name, "verify, ") || strings.HasPrefix(p.name, "jwks")
		told := strings.HasPrefix(p.name, "introspect") || strings.HasPrefix(p.name, "revoke")
		if a.StatusCode >= 500 || a.StatusCode < 400 && !started && !told || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %q: %d %s", p.name, text, a.StatusCode, a.body)
		}
		if told && strings.Contains(a.body, `"active":true`) {
			t.Errorf("%s: %q: %s", p.name, text, a.body)
		}
	})
	for what, a := range map[string]answer{
		"a surrogate":          h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"replaced","password":"`+pass+`\ud800"}`),
		"another surrogate":    h.ask(t, hostOne, "POST", "/user/login", `{"email":"replaced","password":"`+pass+`\udfff"}`),
		"a byte":               h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"replaced","password":"`+pass+"\xff"+`"}`),
		"a byte in Basic":      h.ask(t, hostOne, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("replaced", pass+"\xff")),
		"a byte in a Token":    h.ask(t, hostOne, "POST", "/v1/auth", "", "Authorization: Token "+basic("replaced", pass+"\xed\xa0\x80")),
		"a cut one in Basic":   h.ask(t, hostOne, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("replaced", pass+"\xef\xbf")),
		"a NUL after the name": h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"replaced\u0000","password":"`+pass+`\ufffd"}`),
	} {
		if a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	h.ask(t, hostOne, "POST", "/v1/auth", `{"username":"replaced","password":"`+pass+`\ufffd"}`).text(t, "tokens", "accessToken")
	h.ask(t, hostOne, "POST", "/api/auth/token", "", "Authorization: Basic "+basic("replaced", pass+"\ufffd")).text(t, "token")
	for _, bad := range []string{pass + "\xff", pass + "\xed\xa0\x80"} {
		a, err := h.svc.FindAccount(t.Context(), realm, "replaced")
		if err == nil {
			err = h.svc.SetPassword(t.Context(), realm, a.ID, auth.Secret(bad), auth.Client{})
		}
		if auth.CodeOf(err) != auth.CodeInvalidInput {
			t.Errorf("the password %q: %v", bad, err)
		}
	}
}
