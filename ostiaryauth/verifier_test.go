package ostiaryauth

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func wantIdentity() Identity {
	return Identity{
		Subject: "ada-1", Account: "0190d5e8-7b1c-7d3e-8f00-00000000ada0", Username: "ada", Email: "ada@example.com", Org: "acme",
		Roles: []string{"analyst", "reader"}, Datasources: []string{"sales"}, Dialect: "mikrocloud", Session: session.String(),
		AuthTime: noon.Add(-time.Minute), AMR: []string{"pwd", "otp"},
	}
}

// Every kind, signed by every algorithm, through real servers on both sides.
func TestHandler_EveryKind(t *testing.T) {
	p := newPeer(t)
	direct, behind := guarded(t, p.verifier(t)), guarded(t, p.verifier(t, asserted))
	whole := wantIdentity()
	whole.Issuer, whole.Email = "urn:ostiary:default:mikrocloud", ""
	senmo := Identity{
		Subject: "ada-1", Username: "ada", Roles: whole.Roles, Datasources: whole.Datasources, Dialect: "senmo",
		Session: session.String(), AuthTime: whole.AuthTime, Issuer: senmoIs,
	}
	nomic := Identity{Subject: "7", Dialect: "nomic", Session: session.String(), Issuer: nomicIs}
	cloudio := Identity{Subject: "ada-2", Org: "acme", Dialect: "cloudio", Session: session.String(), Issuer: cloudioIs}
	for _, k := range p.key {
		check := func(what, url string, want Identity, headers ...string) {
			t.Helper()
			var got Identity
			a := get(t, url, headers...)
			if err := json.Unmarshal([]byte(a.body), &got); a.StatusCode != http.StatusOK || err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %d %s, want %+v", k.alg, what, a.StatusCode, a.body, want)
			}
		}
		bearer := func(claims map[string]any) string { return "Authorization: Bearer " + k.sign(t, "JWT", claims) }
		check("assertion", behind, whole, AssertionHeader+": "+k.sign(t, "at+jwt", assertionClaims()))
		check("senmo", direct, senmo, bearer(senmoClaims()))
		check("nomic", direct, nomic, bearer(nomicClaims()))
		check("cloudio", direct, cloudio, bearer(cloudioClaims()), "X-Csrf-Token: "+csrf)
		check("cloudio, bare", direct, cloudio, strings.Replace(bearer(cloudioClaims()), "Bearer ", "", 1), "X-Csrf-Token: "+csrf)
		check("another case", direct, senmo, strings.Replace(bearer(senmoClaims()), "Bearer ", "bEARER  ", 1))
	}
	a := get(t, direct, "Authorization: Bearer "+p.opaque(mikrocloudAnswer()))
	var got Identity
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || !reflect.DeepEqual(got, wantIdentity()) {
		t.Errorf("mikrocloud: %d %s", a.StatusCode, a.body)
	}
	if n := p.fetches(); n != 2 {
		t.Errorf("the keys were fetched %d times by two verifiers", n)
	}
}

func TestHandler_Refusals(t *testing.T) {
	p := newPeer(t)
	direct := guarded(t, p.verifier(t))
	good := "Authorization: Bearer " + p.key["RS256"].sign(t, "JWT", senmoClaims())
	const none, bad = `Bearer realm="ostiary"`, `Bearer realm="ostiary", error="invalid_token"`
	for _, c := range []struct {
		what, challenge string
		headers         []string
	}{
		{"nothing", none, nil},
		{"Basic", none, []string{"Authorization: Basic YWRhOnNlY3JldA=="}},
		{"Token", none, []string{"Authorization: Token YWRhOnNlY3JldA=="}},
		{"an empty header", none, []string{"Authorization: "}},
		{"a cookie", none, []string{"Cookie: token=" + strings.TrimPrefix(good, "Authorization: Bearer ")}},
		{"Authentication alone", none, []string{strings.Replace(good, "Authorization", "Authentication", 1)}},
		{"Bearer without a token", bad, []string{"Authorization: Bearer"}},
		{"two headers", bad, []string{good, "Authorization: Basic YWRhOnNlY3JldA=="}},
		{"the same twice", bad, []string{good, good}},
		{"Authentication that differs", bad, []string{good, "Authentication: Bearer x"}},
		{"Authentication twice", bad, []string{good, strings.Replace(good, "Authorization", "Authentication", 1), strings.Replace(good, "Authorization", "Authentication", 1)}},
		{"two tokens in one", bad, []string{good + ", " + strings.TrimPrefix(good, "Authorization: ")}},
		{"a bare token of senmo", bad, []string{strings.Replace(good, "Bearer ", "", 1)}},
		{"an unknown opaque token", bad, []string{"Authorization: Bearer " + strings.Repeat("A", 43) + "="}},
		{"an opaque token of two spellings", bad, []string{"Authorization: Bearer " + strings.Repeat("A", 42) + "B="}},
		{"an opaque token, bare", none, []string{"Authorization: " + p.opaque(mikrocloudAnswer())}},
		{"an assertion's header", none, []string{AssertionHeader + ": " + p.key["ES256"].sign(t, "at+jwt", assertionClaims())}},
	} {
		a := get(t, direct, c.headers...)
		if a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q %s", c.what, a.StatusCode, a.Header.Get("WWW-Authenticate"), a.body)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: %v %s", c.what, a.Header, a.body)
		}
	}
	if a := get(t, direct, good, strings.Replace(good, "Authorization", "Authentication", 1)); a.StatusCode != http.StatusOK {
		t.Errorf("the same credential in both headers: %d", a.StatusCode)
	}
	if a := get(t, direct+"?access_token="+strings.TrimPrefix(good, "Authorization: Bearer ")); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token in the query: %d", a.StatusCode)
	}
}

// Where one kind is accepted, no other is.
func TestVerify_NothingThatIsNotConfigured(t *testing.T) {
	p := newPeer(t)
	k := p.key["RS256"]
	tokens := map[string]string{
		"cloudio": k.sign(t, "JWT", cloudioClaims()), "nomic": k.sign(t, "JWT", nomicClaims()), "senmo": k.sign(t, "JWT", senmoClaims()),
		"mikrocloud": p.opaque(mikrocloudAnswer()),
	}
	kinds := map[string]Credential{"cloudio": allKinds()[0], "mikrocloud": allKinds()[1], "nomic": allKinds()[2], "senmo": allKinds()[3]}
	for accepted, kind := range kinds {
		v := p.verifier(t, func(c *Config) { c.Accept = []Credential{kind} })
		for dialect, token := range tokens {
			_, err := verify(v, "Authorization: Bearer "+token, "X-CSRF-Token: "+csrf)
			if (err == nil) != (dialect == accepted) || err != nil && !isInvalid(err) {
				t.Errorf("%s where %s is accepted: %v", dialect, accepted, err)
			}
		}
	}
	// Another issuer, that of another realm or mount.
	v := p.verifier(t)
	for _, claims := range []map[string]any{senmoClaims(), nomicClaims(), cloudioClaims()} {
		for _, iss := range []any{nil, "", "urn:ostiary:other:senmo", claims["iss"].(string) + "/", strings.ToUpper(claims["iss"].(string)), []string{claims["iss"].(string)}, 1} {
			refused(t, v, "iss "+text(iss), k.sign(t, "JWT", with(claims, map[string]any{"iss": iss})), "iss: ")
		}
	}
}

// Two of a kind, as of two mounts.
func TestVerify_TwoOfAKind(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t, func(c *Config) {
		c.Accept = []Credential{Senmo{senmoIs, "one"}, Senmo{senmoIs, "two"}, Nomic{nomicIs, "game"}}
	})
	for client, good := range map[string]bool{"one": true, "two": true, "three": false} {
		token := p.key["EdDSA"].sign(t, "JWT", with(senmoClaims(), map[string]any{"client_id": client}))
		if _, err := verify(v, "Authorization: Bearer "+token); (err == nil) != good {
			t.Errorf("client_id %s: %v", client, err)
		}
	}
}

// All dialects of a server may have one issuer.
func TestVerify_OneIssuer(t *testing.T) {
	p := newPeer(t)
	const iss = "https://login.example.com"
	v := p.verifier(t, func(c *Config) {
		c.Accept = []Credential{Nomic{iss, ""}, Nomic{iss, "ostiary"}, Cloudio{iss}, Senmo{iss, "ostiary"}}
	})
	same := map[string]any{"iss": iss}
	for dialect, claims := range map[string]map[string]any{"cloudio": cloudioClaims(), "nomic": nomicClaims(), "senmo": senmoClaims()} {
		i, err := verify(v, "Authorization: Bearer "+p.key["RS256"].sign(t, "JWT", with(claims, same)), "X-CSRF-Token: "+csrf)
		if err != nil || i.Dialect != dialect {
			t.Errorf("%s: %+v, %v", dialect, i, err)
		}
	}
	refused(t, v, "an id token", p.key["RS256"].sign(t, "JWT", with(idClaims(), same)), "")
}

func TestVerify_CSRF(t *testing.T) {
	p := newPeer(t)
	v := p.verifier(t)
	token := p.key["RS256"].sign(t, "JWT", cloudioClaims())
	for _, scheme := range []string{"Bearer ", ""} {
		for _, headers := range [][]string{
			{}, {"X-CSRF-Token: "}, {"X-CSRF-Token: " + csrf[:35]}, {"X-CSRF-Token: " + csrf + "0"}, {"X-CSRF-Token: " + strings.ToUpper(csrf)},
			{"X-CSRF-Token: " + csrf, "X-CSRF-Token: " + csrf}, {"X_CSRF_Token: " + csrf},
		} {
			if i, err := verify(v, append(headers, "Authorization: "+scheme+token)...); !isInvalid(err) {
				t.Errorf("%q%q: %v, %v", scheme, headers, i, err)
			}
		}
	}
	for _, none := range []any{nil, "", 1, []string{""}} {
		refused(t, v, "csrf "+text(none), p.key["RS256"].sign(t, "JWT", with(cloudioClaims(), map[string]any{"csrf": none})), "not a jwt of cloudio")
	}
}

func TestVerify_ClaimsOfOtherTypes(t *testing.T) {
	p := newPeer(t)
	v, behind := p.verifier(t), p.verifier(t, asserted)
	for _, more := range []map[string]any{
		{"sub": nil}, {"sub": ""}, {"sub": 7}, {"roles": "admin"}, {"roles": []any{"a", 1}}, {"roles": map[string]any{"a": 1}},
		{"datasources": true}, {"auth_time": "now"}, {"auth_time": -1}, {"omitted": "roles"},
	} {
		refused(t, v, text(more), p.key["ES256"].sign(t, "JWT", with(senmoClaims(), more)), "")
		if i, err := verify(behind, AssertionHeader+": "+p.key["ES256"].sign(t, "at+jwt", with(assertionClaims(), more))); !isInvalid(err) {
			t.Errorf("assertion with %v: %v, %v", more, i, err)
		}
	}
	for _, more := range []map[string]any{
		{"aud": nil}, {"aud": "urn:ostiary:other"}, {"iss": "urn:ostiary:other:mikrocloud"}, {"iss": "urn:ostiary:default"}, {"iss": "urn:ostiary:default:senmo"},
		{"iss": "urn:ostiary:default:", "dialect": ""}, {"dialect": nil}, {"client_id": nil}, {"jti": nil}, {"account": nil}, {"session": nil},
	} {
		if i, err := verify(behind, AssertionHeader+": "+p.key["ES256"].sign(t, "at+jwt", with(assertionClaims(), more))); !isInvalid(err) {
			t.Errorf("assertion with %v: %v, %v", more, i, err)
		}
	}
}

// A senmo token that left a list out is asked about, if there is somebody to ask.
func TestVerify_Omitted(t *testing.T) {
	p := newPeer(t)
	short := p.key["RS256"].sign(t, "JWT", with(senmoClaims(), map[string]any{"roles": nil, "omitted": []string{"roles"}}))
	full := everything("senmo")
	p.set(func() { p.live[short] = with(full, map[string]any{"active": true, "iss": senmoIs}) })
	alone := p.verifier(t, func(c *Config) { c.Accept, c.Introspection = allKinds()[3:], nil })
	i, err := verify(alone, "Authorization: Bearer "+short)
	if err != nil || i.HasRole("analyst") || !reflect.DeepEqual(i.Omitted, []string{"roles"}) {
		t.Errorf("%+v, %v", i, err)
	}
	asking := p.verifier(t)
	if i, err = verify(asking, "Authorization: Bearer "+short); err != nil || !i.HasRole("analyst") || i.Omitted != nil || i.Account == "" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err = verify(asking, "Authorization: Bearer "+p.key["RS256"].sign(t, "JWT", senmoClaims())); err != nil || p.count("/ostiary/introspect") != 1 {
		t.Errorf("%v; %d questions", err, p.count("/ostiary/introspect"))
	}
}
