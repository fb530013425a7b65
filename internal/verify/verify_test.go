package verify

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

func TestVerify_Identity(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	if err := h.svc.SetAlias(t.Context(), h.one.ID, a.ID, opaque, "käse, 7", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for d, subject := range map[auth.Dialect]string{plain: "nada", paired: a.ID.String(), opaque: "k%C3%A4se%2C 7"} {
		g := h.login(t, "one/"+string(d), "ada@example.com")
		headers := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
		want := map[string]string{
			"Ostiary-Subject": subject, "Ostiary-Account": a.ID.String(), "Ostiary-Username": "ada",
			"Ostiary-Email": "ada@example.com", "Ostiary-Org": "%C3%84rzte%2C 100%25", "Ostiary-Roles": "", "Ostiary-Datasources": "",
			"Ostiary-Dialect": string(d), "Ostiary-Session": g.Session.ID.String(),
		}
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"} {
			for _, path := range []string{"/ostiary/verify", "/ostiary/verify?", "/ostiary/verify/", "/ostiary/verify/a/b%2Fc//d?role=x&%zz&../..", "/ostiary/verify/?datasource="} {
				what := string(d) + " " + method + " " + path
				r := h.ask(t, method, path, "", headers...)
				if r.StatusCode != 200 || r.body != "" || r.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %d %q", what, r.StatusCode, r.body)
				}
				for name, value := range want {
					if got := r.Header[name]; len(got) != 1 || got[0] != value {
						t.Errorf("%s: %s is %q, want %q", what, name, got, value)
					}
				}
			}
		}
	}
}

func TestVerify_BodyUnread(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	for what, body := range map[string]string{"not JSON": "{", "large": strings.Repeat("x", 200<<10)} {
		r := h.ask(t, "POST", "/ostiary/verify", body, bearer, "Content-Type: image/png")
		if r.StatusCode != 200 {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.body)
		}
	}
}

func TestVerify_Requirements(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	for _, query := range []string{
		"role=admin", "role=", "role", "datasource=d", "datasource=", "role=a&role=b", "role=a&datasource=d",
		"role=%zz", "role=a;b", "%", "roles=admin", "x=1", "=", "Role=a", "role=a%00", "role=ostiary%3Aintrospect",
	} {
		r := h.ask(t, "GET", "/ostiary/verify?"+query, "", bearer)
		r.problem(t, query, http.StatusForbidden, auth.CodeForbidden)
		if got := r.Header.Get("WWW-Authenticate"); got != `Bearer realm="one", error="insufficient_scope"` {
			t.Errorf("%s: challenge %s", query, got)
		}
		// Whoever is not known learns nothing of the query.
		h.ask(t, "GET", "/ostiary/verify?"+query, "").refused(t, query+" without a token", challengeNone)
	}
}

func TestMeets_AllMustHold(t *testing.T) {
	who := &auth.Identity{Roles: []string{"a", "b:c"}, Datasources: []string{"d"}}
	for query, want := range map[string]bool{
		"role=a": true, "role=b%3Ac": true, "role=b:c&role=a&datasource=d": true, "role=a&role=a": true,
		"role=d": false, "role=a&role=x": false, "role=a&role=": false, "datasource=a": false, "role=a&datasource=": false,
		"role=A": false, "role=a,b:c": false, "role=a&x": false, "role=a+": false,
	} {
		if err := meets(who, query); (err == nil) != want {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestVerify_CredentialsRefused(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	jwt := h.token(t, g)
	secret := h.token(t, h.login(t, "one/opaque", "ada"))
	two := h.login(t, "one/paired", "ada")
	pair := h.token(t, two)
	basic := base64.StdEncoding.EncodeToString([]byte("ada:" + pass))
	none := map[string][]string{
		"nothing":             nil,
		"an empty header":     {"Authorization: "},
		"a cookie":            {"Cookie: token=" + secret + "; Authorization=Bearer " + secret},
		"another header":      {"X-Forwarded-Authorization: Bearer " + secret},
		"Authentication":      {"Authentication: Bearer " + secret},
		"a method override":   {"X-HTTP-Method-Override: GET", "X-Original-Authorization: Bearer " + secret},
		"identity headers":    {"Ostiary-Subject: ada", "Ostiary-Account: " + g.Account.ID.String()},
		"a csrf without jwt":  {"X-CSRF-Token: " + csrfOf(two)},
		"a session as cookie": {"Cookie: session=" + g.Session.ID.String()},
		// RFC 6750 section 3.1: another way to authenticate is as none.
		"Basic with the password": {"Authorization: Basic " + basic},
		"Token with the password": {"Authorization: Token " + basic},
		"Basic with a token":      {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(secret+":"))},
		"Basic alone":             {"Authorization: Basic"},
		"another scheme":          {"Authorization: Negotiate " + secret},
	}
	for what, headers := range none {
		h.ask(t, "GET", "/ostiary/verify", "", headers...).refused(t, what, challengeNone)
		h.ask(t, "GET", "/ostiary/whoami?access_token="+secret, "access_token="+secret, headers...).refused(t, what+" at whoami", challengeNone)
		h.ask(t, "POST", "/ostiary/logout?token="+secret, "", headers...).refused(t, what+" at logout", challengeNone)
	}
	invalid := map[string][]string{
		"Bearer alone":              {"Authorization: Bearer"},
		"Bearer twice":              {"Authorization: Bearer Bearer " + secret},
		"two tokens":                {"Authorization: Bearer " + secret + " " + secret},
		"a list":                    {"Authorization: Bearer " + secret + ", Bearer " + jwt},
		"a tab":                     {"Authorization: Bearer\t" + secret},
		"two headers":               {"Authorization: Bearer " + secret, "Authorization: Bearer " + secret},
		"Basic and Bearer":          {"Authorization: Basic " + basic, "Authorization: Bearer " + secret},
		"Authentication differs":    {"Authorization: Bearer " + secret, "Authentication: Bearer " + jwt},
		"an opaque token bare":      {"Authorization: " + secret},
		"a jwt of plain bare":       {"Authorization: " + jwt},
		"paired without csrf":       {"Authorization: Bearer " + pair},
		"paired, empty csrf":        {"Authorization: Bearer " + pair, "X-CSRF-Token: "},
		"paired, wrong csrf":        {"Authorization: Bearer " + pair, "X-CSRF-Token: csrf-" + g.Session.ID.String()},
		"paired, two csrfs":         {"Authorization: Bearer " + pair, "X-CSRF-Token: " + csrfOf(two), "X-CSRF-Token: " + csrfOf(two)},
		"paired, csrf as a cookie":  {"Authorization: Bearer " + pair, "Cookie: X-CSRF-Token=" + csrfOf(two)},
		"paired, csrf in upper":     {"Authorization: Bearer " + pair, "X-CSRF-Token: " + strings.ToUpper(csrfOf(two))},
		"paired bare without csrf":  {"Authorization: " + pair},
		"unpadded opaque token":     {"Authorization: Bearer " + strings.TrimRight(secret, "=")},
		"base64url of opaque token": {"Authorization: Bearer " + strings.NewReplacer("+", "-", "/", "_").Replace(secret) + "x"},
		"an unknown opaque token":   {"Authorization: Bearer " + base64.StdEncoding.EncodeToString(make([]byte, 32))},
		"the session's id":          {"Authorization: Bearer " + g.Session.ID.String()},
		"the account's id":          {"Authorization: Bearer " + g.Account.ID.String()},
		"null":                      {"Authorization: Bearer null"},
	}
	for what, headers := range invalid {
		challenge, two := challengeInvalid, strings.Contains(what, "two headers") || strings.Contains(what, " and ") || strings.Contains(what, "differs")
		switch {
		case two:
			challenge = challengeTwo
		case strings.HasPrefix(what, "paired"):
			challenge = challengePair
		}
		h.ask(t, "GET", "/ostiary/verify", "", headers...).refused(t, what, challenge)
		for _, door := range []string{"GET /ostiary/whoami", "POST /ostiary/logout"} {
			method, path, _ := strings.Cut(door, " ")
			r := h.ask(t, method, path, "", headers...)
			if two {
				r.problem(t, what+" at "+door, http.StatusBadRequest, auth.CodeInvalidInput)
			} else {
				r.refused(t, what+" at "+door, challenge)
			}
		}
	}
	for what, headers := range map[string][]string{
		"Bearer": {"Authorization: Bearer " + secret}, "bEARER": {"Authorization: bEARER   " + jwt},
		"the same twice over": {"Authorization: Bearer " + secret, "Authentication: Bearer " + secret},
		"paired":              {"Authorization: Bearer " + pair, "X-CSRF-Token: " + csrfOf(two)},
		"paired, bare":        {"Authorization: " + pair, "X-CSRF-Token: " + csrfOf(two)},
	} {
		if r := h.ask(t, "GET", "/ostiary/verify", "", headers...); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.body)
		}
	}
}

func TestWhoami_Identity(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	r := h.ask(t, "GET", "/ostiary/whoami", "", "Authorization: Bearer "+h.token(t, g))
	want, _ := json.Marshal(g.Session.AuthTime.Unix())
	text := `{"subject":"nada","account":"` + a.ID.String() + `","username":"ada","email":"ada@example.com","org":"Ärzte, 100%",` +
		`"roles":[],"datasources":[],"dialect":"plain","session":"` + g.Session.ID.String() + `","auth_time":` + string(want) + `,"amr":["pwd"]}`
	if r.StatusCode != 200 || r.body != text || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v\n%s\n%s", r.StatusCode, r.Header, r.body, text)
	}
	for method, path := range map[string]string{"POST": "/ostiary/whoami", "GET": "/ostiary/logout", "PUT": "/ostiary/password", "DELETE": "/.well-known/jwks.json"} {
		r := h.ask(t, method, path, "")
		r.problem(t, method+path, http.StatusMethodNotAllowed, auth.CodeMethodNotAllowed)
		if r.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", method, path)
		}
	}
}

func TestLogout_EndsTheSession(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	for _, d := range []auth.Dialect{plain, paired, opaque} {
		g, other := h.login(t, "one/"+string(d), "ada"), h.login(t, "one/plain", "ada")
		refresh, err := h.svc.RefreshToken(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		headers := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
		if r := h.ask(t, "POST", "/ostiary/logout", "anything", headers...); r.StatusCode != 204 || r.body != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", d, r.StatusCode, r.body)
		}
		for door, method := range map[string]string{"verify": "GET", "whoami": "GET", "logout": "POST"} {
			h.ask(t, method, "/ostiary/"+door, "", headers...).problem(t, string(d)+" "+door, http.StatusUnauthorized, auth.CodeSessionEnded)
		}
		if _, err := h.svc.Refresh(t.Context(), g.Mount, refresh, auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: the refresh token: %v", d, err)
		}
		if r := h.ask(t, "GET", "/ostiary/verify", "", "Authorization: Bearer "+h.token(t, other)); r.StatusCode != 200 {
			t.Errorf("%s: the other session: %d", d, r.StatusCode)
		}
	}
}

func TestJWKS_PublicKeys(t *testing.T) {
	h := build(t)
	var kids []string
	for host, realm := range map[string]auth.Realm{"": h.one, hostTwo: h.two} {
		headers := []string{"X: y"}
		if host != "" {
			headers = append(headers, "Host: "+host)
		}
		r := h.ask(t, "GET", "/.well-known/jwks.json", "", headers...)
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal([]byte(r.body), &set); err != nil || len(set.Keys) != 2 || r.StatusCode != 200 {
			t.Fatalf("%d %s: %v", r.StatusCode, r.body, err)
		}
		if r.Header.Get("Cache-Control") != "public, max-age=300" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", r.Header)
		}
		keys, err := h.svc.ListKeys(t.Context(), realm.ID)
		if err != nil || len(keys) != 2 {
			t.Fatal(keys, err)
		}
		for _, key := range set.Keys {
			if key["kid"] != keys[0].Kid && key["kid"] != keys[1].Kid {
				t.Errorf("%s: %s is not the realm's", host, key["kid"])
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
				if _, there := key[private]; there {
					t.Errorf("private member %s", private)
				}
			}
			kids = append(kids, key["kid"])
		}
	}
	slices.Sort(kids)
	if len(slices.Compact(kids)) != 4 {
		t.Errorf("two realms, not four keys: %v", kids)
	}
}

func TestHealth_StoreAway(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	g := h.login(t, "one/plain", "ada")
	headers := map[string]string{"jwt": "Authorization: Bearer " + h.token(t, g), "opaque": "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))}
	for _, path := range []string{"/ostiary/healthz", "/ostiary/readyz"} {
		if r := h.ask(t, "GET", path, "", "Host: nobody.example.com"); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	for what, header := range headers {
		if r := h.ask(t, "GET", "/ostiary/verify", "", header); r.StatusCode != 200 {
			t.Errorf("%s: %d", what, r.StatusCode)
		}
	}
	h.store.Close()
	time.Sleep(2100 * time.Millisecond)  // the realm's keys are read again after two seconds
	h.clock.add(2100 * time.Millisecond) // and so are sessions
	if r := h.ask(t, "GET", "/ostiary/healthz", ""); r.StatusCode != 200 {
		t.Errorf("healthz: %d", r.StatusCode)
	}
	ready := h.ask(t, "GET", "/ostiary/readyz", "")
	ready.problem(t, "readyz", http.StatusServiceUnavailable, auth.CodeUnavailable)
	for what, header := range headers {
		for door, method := range map[string]string{"verify": "GET", "verify/x": "PUT", "whoami": "GET", "logout": "POST"} {
			r := h.ask(t, method, "/ostiary/"+door, "", header)
			r.problem(t, what+" at "+door, http.StatusServiceUnavailable, auth.CodeUnavailable)
			if r.Header.Get("Retry-After") == "" {
				t.Errorf("%s at %s: no Retry-After", what, door)
			}
		}
	}
	// What is no credential in any state of the store is still told so.
	h.ask(t, "GET", "/ostiary/verify", "").refused(t, "nothing", challengeNone)
}

func TestHeaderText_Decodes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "ada": "ada", "a b": "a b", " a ": "%20a%20", " ": "%20", "a,b": "a%2Cb", "100%": "100%25",
		"ä": "%C3%A4", "\r\nX: y": "%0D%0AX: y", "\x7f\x00": "%7F%00", "\xff": "%FF", `"<>;=`: `"<>;=`,
	} {
		if got := headerText(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := headerList([]string{"a,b", "c", "ö"}); got != "a%2Cb,c,%C3%B6" {
		t.Error(got)
	}
}

func FuzzHeaderText(f *testing.F) {
	for _, seed := range []string{"", "ada", " ä,%\r\n\x00\x7f\xff "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded := headerText(text)
		for _, c := range []byte(encoded) {
			if c < ' ' || c > '~' || c == ',' {
				t.Fatalf("%q in %q", c, encoded)
			}
		}
		if strings.TrimSpace(encoded) != encoded {
			t.Fatalf("%q loses its spaces", encoded)
		}
		if back, err := url.PathUnescape(encoded); err != nil || back != text {
			t.Fatalf("%q became %q: %v", text, back, err)
		}
	})
}

func FuzzPresented(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "bearer  a b", "x.y.z", "Basic YTpi", "Token", "Bearer"} {
		f.Add(seed, "csrf", false)
	}
	f.Fuzz(func(t *testing.T, value, csrf string, twice bool) {
		h := http.Header{"Authorization": {value}, "X-Csrf-Token": {csrf}}
		if twice {
			h["X-Csrf-Token"] = []string{csrf, csrf}
		}
		p, err := presented(h)
		if err != nil {
			if code := auth.CodeOf(err); p != (auth.Presented{}) || code != auth.CodeTokenMissing && code != auth.CodeTokenInvalid {
				t.Fatalf("%q: %+v %v", value, p, err)
			}
			return
		}
		if p.Token == "" || !strings.Contains(value, p.Token) || p.Bare && strings.Contains(p.Token, " ") {
			t.Fatalf("%q: %+v", value, p)
		}
		if lower := strings.ToLower(strings.TrimLeft(value, " \t")); !p.Bare && !strings.HasPrefix(lower, "bearer ") {
			t.Fatalf("%q: taken as Bearer", value)
		}
		if want := csrf; twice && p.CSRF != "" || !twice && p.CSRF != want {
			t.Fatalf("csrf %q", p.CSRF)
		}
	})
}

func TestVerify_TimeLimits(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	jwt, secret := h.login(t, "one/plain", "ada"), h.login(t, "one/opaque", "ada")
	early := h.sign(t, jwt, token.Claims{"token_use": "access", "nbf": h.clock.Now().Unix() + 120})
	h.ask(t, "GET", "/ostiary/verify", "", "Authorization: Bearer "+early).refused(t, "not yet good", challengeInvalid)
	bearer := "Authorization: Bearer " + h.token(t, jwt)
	for _, c := range []struct {
		wait        time.Duration
		jwt, opaque int
		reached     string
	}{
		{0, 200, 200, "the login"},
		{time.Hour - time.Second, 200, 200, "a second before exp"},
		{time.Second, 401, 200, "exp"},
		{11*time.Hour - time.Second, 401, 200, "a second before the idle limit"},
		{13 * time.Hour, 401, 401, "the end of the session"},
	} {
		h.clock.add(c.wait)
		a, b := h.ask(t, "GET", "/ostiary/verify", "", bearer), h.ask(t, "GET", "/ostiary/verify", "", "Authorization: Bearer "+string(secret.Bearer))
		if a.StatusCode != c.jwt || b.StatusCode != c.opaque {
			t.Errorf("%s: %d %d", c.reached, a.StatusCode, b.StatusCode)
		}
		time.Sleep(50 * time.Millisecond) // the use is noted in the background
	}
}
