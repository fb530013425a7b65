package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// oldKeys is a house that takes the tokens of all sorts of keys, and an account.
func oldKeys(t *testing.T) (*oldHouse, []byte) {
	t.Helper()
	h := newOldHouse(t, newWorld)
	h.account("steve")
	h.importKey(numbered, "old")
	secret := []byte("an old secret of at least 32 bytes")
	until := h.clock().Add(24 * time.Hour)
	h.importKeys(auth.NewForeignKeys{Dialect: numbered, Issuer: oldIssuer, Until: until, Secret: secret, Kid: "hs"})
	h.importKeys(auth.NewForeignKeys{Dialect: numbered, Issuer: oldIssuer, Until: until, Secret: append([]byte("un"), secret...)})
	return h, secret
}

// refused sees that a token is, and that nothing came of it.
func (h *oldHouse) refused(name, tok string) {
	h.t.Helper()
	if who, err := h.identify(tok); auth.CodeOf(err) != auth.CodeTokenInvalid {
		h.t.Errorf("%s: %+v, %v", name, who, err)
	}
}

func TestThreat23_ForeignNone(t *testing.T) {
	h, _ := oldKeys(t)
	for _, alg := range []string{"none", "None", "nOnE", "", "HS256"} {
		for _, kid := range []string{"old", "hs", ""} {
			header := map[string]any{"typ": "JWT", "alg": alg, "kid": kid}
			if kid == "" {
				delete(header, "kid")
			}
			unsigned := jws(t, header, h.claims("1"), nil)
			h.refused(alg+" "+kid, unsigned)
			h.refused(alg+" "+kid+", two parts", strings.TrimSuffix(unsigned, "."))
			h.refused(alg+" "+kid+", an empty key", jws(t, header, h.claims("1"), []byte{}))
		}
	}
	h.mustIdentify(h.old("1"))
}

func TestThreat24_ForeignKeyConfusion(t *testing.T) {
	h, secret := oldKeys(t)
	der, err := x509.MarshalPKIXPublicKey(h.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pkcs1 := x509.MarshalPKCS1PublicKey(&h.rsa.PublicKey)
	n := base64.RawURLEncoding.EncodeToString(h.rsa.N.Bytes())
	published, _, err := h.svc.JWKS(h.ctx, h.realm.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"PEM": text, "PEM, trimmed": []byte(strings.TrimSpace(string(text))), "PEM, with a newline before": append([]byte("\n"), text...),
		"DER": der, "PKCS #1": pkcs1, "PEM of PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"n": h.rsa.N.Bytes(), "n as text": []byte(n), "the JWK": []byte(`{"kty":"RSA","n":"` + n + `","e":"AQAB"}`), "the JWKS": published,
	} {
		for _, header := range []map[string]any{
			{"typ": "JWT", "alg": "HS256", "kid": "old"}, {"typ": "JWT", "alg": "HS256"}, {"typ": "JWT", "alg": "HS256", "kid": "hs"}, {"alg": "HS512", "kid": "old"},
		} {
			h.refused(name, jws(t, header, h.claims("1"), key))
		}
	}
	// Keys of one name, algorithm or dialect under those of another.
	h.refused("the secret, by the key's name", jws(t, map[string]any{"alg": "HS256", "kid": "old"}, h.claims("1"), secret))
	h.refused("the secret, without its name", jws(t, map[string]any{"alg": "HS256"}, h.claims("1"), secret))
	h.refused("the key, by the secret's name", jws(t, map[string]any{"alg": "RS256", "kid": "hs"}, h.claims("1"), h.rsa))
	h.refused("the key, without its name", jws(t, map[string]any{"alg": "RS256"}, h.claims("1"), h.rsa))
	h.refused("the key, as another algorithm", jws(t, map[string]any{"alg": "PS256", "kid": "old"}, h.claims("1"), h.rsa))
	h.mustIdentify(jws(t, map[string]any{"alg": "HS256", "kid": "hs"}, h.claims("1"), secret))
	h.mustIdentify(jws(t, map[string]any{"alg": "HS256"}, h.claims("1"), append([]byte("un"), secret...)))
	if strings.Contains(string(published), "HS256") || strings.Contains(string(published), `"oct"`) || !strings.Contains(string(published), n) {
		t.Errorf("published: %s", published)
	}
}

func TestThreat25_ForeignHeaderBringsAKey(t *testing.T) {
	h, _ := oldKeys(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan struct{}, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			asked <- struct{}{}
		}
	}()
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := mine.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "old"}
	url := "http://" + listener.Addr().String() + "/jwks"
	for name, extra := range map[string]map[string]any{
		"jwk": {"jwk": jwk}, "jku": {"jku": url}, "x5u": {"x5u": url}, "x5c": {"x5c": []string{"AAAA"}},
	} {
		for _, alg := range []string{"ES256", "RS256"} {
			header := map[string]any{"typ": "JWT", "alg": alg, "kid": "old"}
			for k, v := range extra {
				header[k] = v
			}
			h.refused(name, jws(t, header, h.claims("1"), mine))
		}
		// Not even beside the right signature.
		header := map[string]any{"typ": "JWT", "alg": "RS256", "kid": "old"}
		for k, v := range extra {
			header[k] = v
		}
		h.refused(name+", signed", jws(t, header, h.claims("1"), h.rsa))
	}
	select {
	case <-asked:
		t.Error("a key was fetched")
	default:
	}
}

func TestThreat26_ForeignKid(t *testing.T) {
	h, secret := oldKeys(t)
	for _, kid := range []any{"", "../../dev/null", "' UNION SELECT 'x", "old\x00", "OLD", "old ", strings.Repeat("x", 8<<10), nil, 1, []string{"old"}} {
		for _, key := range []any{h.rsa, secret, []byte{}} {
			alg := "HS256"
			if key == any(h.rsa) {
				alg = "RS256"
			}
			h.refused("kid", jws(t, map[string]any{"typ": "JWT", "alg": alg, "kid": kid}, h.claims("1"), key))
		}
	}
	// Nor is a key taken whose kid moves a cursor, or turns what a terminal shows.
	for _, kid := range []string{"a\nb", "a\x7f", "a\u009b2J", "a\u202eb", "a\u200bb", "a\u2028b", "a\xff", strings.Repeat("x", 256)} {
		_, err := h.svc.ImportKeys(h.ctx, h.realm.ID, auth.NewForeignKeys{
			Dialect: numbered, Issuer: "another", Until: h.clock().Add(time.Hour), Secret: []byte("another old secret of 32 bytes and more"), Kid: kid,
		}, client)
		if auth.CodeOf(err) != auth.CodeInvalidInput {
			t.Errorf("kid %q: %v", kid, err)
		}
	}
	// A kid of ours can't be taken, nor one that is there.
	own, err := h.svc.ListKeys(h.ctx, h.realm.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{own[0].Kid, "old", "hs"} {
		for _, n := range []auth.NewForeignKeys{
			{Keys: []keyring.PublicKey{{Kid: kid, Algorithm: "RS256", Key: h.rsa.Public()}}}, {Secret: []byte("another old secret of 32 bytes and more"), Kid: kid},
		} {
			n.Dialect, n.Issuer, n.Until = numbered, "another", h.clock().Add(time.Hour)
			_, err := h.svc.ImportKeys(h.ctx, h.realm.ID, n, client)
			h.wantCode(err, auth.CodeConflict)
		}
	}
}

func TestThreat27_ForeignSpellings(t *testing.T) {
	h, _ := oldKeys(t)
	jwt := h.old("1")
	for name, tok := range map[string]string{
		"cut": jwt[:len(jwt)-1], "longer": jwt + "A", "newline": jwt + "\n", "padded": jwt + "==", "a space": " " + jwt,
		"newline inside": jwt[:len(jwt)-4] + "\n" + jwt[len(jwt)-4:], "four parts": jwt + ".",
	} {
		h.refused(name, tok)
	}
	for c := range strings.SplitSeq("A B C D E F G H I J K L M N O P Q R S T U V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 - _", " ") {
		if last := jwt[:len(jwt)-1] + c; last != jwt {
			h.refused("another last character", last)
		}
	}
	h.mustIdentify(jwt)
}

func TestThreat28_ForeignDates(t *testing.T) {
	h, _ := oldKeys(t)
	now := h.clock().Unix()
	for name, c := range map[string]token.Claims{
		"no exp": {"exp": nil}, "no iat": {"iat": nil}, "exp as text": {"exp": "9999999999"}, "exp -1": {"exp": -1}, "exp too far": {"exp": json.Number("1e400")},
		"exp now": {"exp": now}, "exp true": {"exp": true}, "iat as text": {"iat": "1"}, "iat ahead": {"iat": now + 120}, "nbf ahead": {"nbf": now + 120},
		"nbf as text": {"nbf": "0"}, "exp a list": {"exp": []int64{now + 60}}, "exp null": {"exp": json.RawMessage("null")},
	} {
		h.refused(name, h.old("1", c))
	}
	h.refused("two of a name", jws(t, map[string]any{"typ": "JWT", "alg": "RS256", "kid": "old"},
		`{"sub":"1","sub":"1","iss":"`+oldIssuer+`","iat":1,"exp":9999999999}`, h.rsa))
	h.refused("no object", jws(t, map[string]any{"typ": "JWT", "alg": "RS256", "kid": "old"}, `["sub"]`, h.rsa))
	for _, extra := range []map[string]any{{"crit": []string{"exp"}}, {"b64": false}, {"zip": "DEF"}, {"cty": "JWT"}, {"typ": "at"}, {"typ": "JWE"}} {
		header := map[string]any{"alg": "RS256", "kid": "old", "typ": "JWT"}
		for k, v := range extra {
			header[k] = v
		}
		h.refused("header", jws(t, header, h.claims("1"), h.rsa))
	}
	h.mustIdentify(h.old("1", token.Claims{"iat": now + 30, "exp": now + 90, "nbf": now + 30}))
}

func TestThreat29_ForeignAudienceAndIssuer(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	h.importKeys(auth.NewForeignKeys{
		Dialect: numbered, Issuer: oldIssuer, Audience: "app", Until: h.clock().Add(time.Hour), Keys: []keyring.PublicKey{{Kid: "old", Algorithm: "RS256", Key: h.rsa.Public()}},
	})
	for name, c := range map[string]token.Claims{
		"none": {}, "empty": {"aud": ""}, "another": {"aud": "ap"}, "longer": {"aud": "app2"}, "in other case": {"aud": "App"}, "two": {"aud": []string{"app", "other"}},
		"a number": {"aud": 1}, "an empty list": {"aud": []string{}}, "another claim": {"client_id": "app"},
		"another issuer": {"aud": "app", "iss": oldIssuer + "/"}, "no issuer": {"aud": "app", "iss": nil}, "a list of issuers": {"aud": "app", "iss": []string{oldIssuer}},
		"our issuer": {"aud": "app", "iss": h.mounts[numbered].Issuer},
	} {
		h.refused(name, h.old("1", c))
	}
	h.mustIdentify(h.old("1", token.Claims{"aud": "app"}))
	h.mustIdentify(h.old("1", token.Claims{"aud": []string{"app"}}))
}

// A key is for one dialect: what it signs is nothing at the doors of the others.
func TestThreat30_ForeignDoors(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	if err := h.svc.SetAlias(h.ctx, h.realm.ID, a.ID, refreshed, a.ID.String(), client); err != nil {
		t.Fatal(err)
	}
	h.importKey(refreshed, "old")
	id, access := h.old(a.ID.String(), token.Claims{"token_use": "id"}), h.old(a.ID.String(), token.Claims{"token_use": "access"})
	h.refused("an id token", id)
	h.refused("a number, where it is the id", h.old("1", token.Claims{"token_use": "access"}))
	for d, m := range h.mounts {
		if d == refreshed {
			continue
		}
		if _, err := h.svc.Renew(h.ctx, m, auth.Presented{Token: access}, client); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: %v", d, err)
		}
	}
	if who := h.mustIdentify(access); who.Dialect != refreshed {
		t.Errorf("%+v", who)
	}
	refresh := h.importTokens(refreshed, auth.ForeignRefresh, a.ID)
	session := h.importTokens(paired, auth.ForeignSession, a.ID)
	bearer := h.importTokens(opaque, auth.ForeignBearer, a.ID)
	for _, tok := range []string{refresh, session} {
		h.refused("not a bearer", tok)
	}
	for _, tok := range []string{access, session, bearer} {
		_, _, err := h.refresh(tok)
		h.wantCode(err, auth.CodeTokenInvalid)
	}
	_, err := h.svc.CompleteSignIn(h.ctx, h.mounts[opaque], auth.Secret(bearer), "", client)
	h.wantCode(err, auth.CodeTokenInvalid)
	// Revoking an id token that opens nothing changes nothing.
	if err := h.svc.Revoke(h.ctx, h.realm.ID, id, client); err != nil {
		t.Error(err)
	}
	// A session of an access token has no refresh chain.
	who := h.mustIdentify(access)
	forged := h.refreshToken(&auth.Grant{Mount: h.mounts[refreshed], Session: auth.Session{ID: who.Session, RealmID: h.realm.ID, Generation: 0}})
	_, _, err = h.refresh(string(forged))
	h.wantCode(err, auth.CodeTokenInvalid)
}

// A key of one realm is nothing in another, and neither is a token that is known there.
func TestThreat31_ForeignRealms(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	other, err := h.svc.CreateRealm(h.ctx, "other", client)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.svc.CreateAccount(h.ctx, other.ID, auth.NewAccount{Username: "steve", NoPassword: true}, client); err != nil {
		t.Fatal(err)
	}
	for _, tok := range []string{h.old("1"), h.importTokens(opaque, auth.ForeignBearer, a.ID)} {
		if _, err := h.svc.Identify(h.ctx, other.ID, auth.Presented{Token: tok}); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("at the other realm: %v", err)
		}
		if err := h.svc.Revoke(h.ctx, other.ID, tok, client); err != nil {
			t.Error(err)
		}
		h.mustIdentify(tok)
	}
	_, _, err = h.svc.EndForeignKey(h.ctx, other.ID, "old", client)
	h.wantCode(err, auth.CodeNotFound)
}

func TestThreat32_ForeignSizes(t *testing.T) {
	h, _ := oldKeys(t)
	long := h.old("1", token.Claims{"x": strings.Repeat("x", token.MaxSize)})
	for name, tok := range map[string]string{
		"dots": strings.Repeat(".", 1<<20), "five parts": "a.b.c.d.e", "long": long, "an opaque of a megabyte": strings.Repeat("x", 1<<20),
		"deep": jws(t, map[string]any{"typ": "JWT", "alg": "RS256", "kid": "old"}, strings.Repeat("[", 5000)+strings.Repeat("]", 5000), h.rsa),
	} {
		began := time.Now()
		h.refused(name, tok)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: %s", name, took)
		}
	}
}

// Whatever the clock, a token is good from its iat, but for the leeway, until its exp.
func TestThreat35_ForeignBoundaries(t *testing.T) {
	h, _ := oldKeys(t)
	now := h.clock().Unix()
	jwt := h.old("1", token.Claims{"exp": now + 10})
	h.advance(9 * time.Second)
	h.mustIdentify(jwt)
	h.advance(time.Second)
	h.refused("at its exp", jwt)
	h.mustIdentify(h.old("1", token.Claims{"iat": h.clock().Unix() + 60}))
	h.refused("beyond the leeway", h.old("1", token.Claims{"iat": h.clock().Unix() + 61}))
	h.advance(24 * time.Hour) // the secrets have ended, and the key has not
	h.mustIdentify(h.old("1"))
}
