package main

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jwtOf makes a JWT as the old server of a seed does; key is an *rsa.PrivateKey or a secret.
func jwtOf(t *testing.T, header string, claims any, key any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	var signature []byte
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sum := sha256.Sum256([]byte(signed))
		if signature, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:]); err != nil {
			t.Fatal(err)
		}
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// A cut-over with what the four old servers have issued, in the shapes of their documents:
// nobody is logged out, what can be renewed is renewed into ours, and a logout is one.
func TestTokens_CutOver(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	s := serve(t, data)
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) string { return must(t, "", append(args, "--data", data)...) }
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	run("account", "alias", "ada", "--dialect", "nomic", "--subject", "77")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	run("key", "import", file("old.pem", string(publicPEM(t, key))), "--verify-only", "--dialect", "nomic", "--issuer", "NomicGameManager.Api", "--until", until)
	const secret = "a shared secret of the old cloudio"
	run("key", "import", "--secret-file", file("secret", secret+"\n"), "--algorithm", "HS256", "--dialect", "cloudio", "--until", "30d")
	sum := sha256.Sum256([]byte("an-opaque-refresh-token"))
	lines := fmt.Sprintf(`{"dialect":"mikrocloud","kind":"bearer","token":"RjhVb-an-old-auth-token-sqGRs=","account":"ada","expires_at":%[1]q}
{"dialect":"cloudio","kind":"session","token":"e5f5593b-3b19-4be0-921b-2c4fd3528425","account":"ada","expires_at":%[1]q}

{"dialect":"senmo","kind":"refresh","sha256":"%[2]x","account":"ada","expires_at":%[1]q}
`, until, sum)
	tokens := file("tokens.jsonl", lines)
	if got := run("token", "import", tokens, "--dry-run"); got != `{"dry_run":true,"imported":0,"lines":3}`+"\n" {
		t.Error(got)
	}
	if got := run("token", "import", tokens); got != `{"dry_run":false,"imported":3,"lines":3}`+"\n" {
		t.Error(got)
	}
	csv := "kind,dialect,subject,sha256,expires_at\nbearer,nomic,77," + base64.StdEncoding.EncodeToString(sum[:]) + "," + until + "\n"
	out, errOut, status := command(t, "\ufeff"+csv, "token", "import", "-", "--format", "csv", "--data", data)
	if status != 1 || !strings.Contains(errOut, "line 2: the token is there already, as that of another account, dialect or kind") {
		t.Error(out, errOut, status)
	}
	if got := run("token", "import", tokens); got != `{"dry_run":false,"imported":0,"lines":3}`+"\n" {
		t.Errorf("again: %s", got)
	}

	now := time.Now().Unix()
	nomic := jwtOf(t, `{"typ":"JWT","alg":"RS256"}`, map[string]any{"sub": "77", "iss": "NomicGameManager.Api", "exp": now + 7200, "iat": now - 5}, key)
	cloudio := jwtOf(t, `{"typ":"JWT","alg":"HS256"}`, map[string]any{
		"session": "e5f5593b-3b19-4be0-921b-2c4fd3528425", "csrf": "29f567c3", "org_uid": "cloudio"}, []byte(secret))
	ask := func(method, path, token string, headers ...string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequest(method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(res.Body)
		return res.StatusCode, text.String(), res.Header
	}
	csrf := []string{"X-CSRF-Token", "29f567c3"}
	for name, c := range map[string]struct {
		token   string
		headers []string
		subject string
	}{
		"nomic": {"Bearer " + nomic, nil, "77"}, "mikrocloud": {"Bearer RjhVb-an-old-auth-token-sqGRs=", nil, ""},
		"cloudio": {"Bearer " + cloudio, csrf, ""}, "cloudio, bare": {cloudio, csrf, ""},
	} {
		var code int
		var header http.Header
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // verification lags
			if code, _, header = ask("GET", "/ostiary/verify", c.token, c.headers...); code == http.StatusOK || time.Now().After(deadline) {
				break
			}
		}
		if dialect, _, _ := strings.Cut(name, ","); code != http.StatusOK || header.Get("Ostiary-Username") != "ada" || header.Get("Ostiary-Dialect") != dialect ||
			c.subject != "" && header.Get("Ostiary-Subject") != c.subject {
			t.Errorf("%s: %d %v", name, code, header)
		}
	}
	if code, _, _ := ask("GET", "/ostiary/verify", "Bearer "+cloudio); code != http.StatusUnauthorized {
		t.Errorf("cloudio without its csrf: %d", code)
	}

	// Renewals are ours.
	code, answer, _ := ask("POST", "/api/auth/token", "Bearer "+nomic)
	var renewed struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &renewed); err != nil || code != http.StatusOK || signedBy(t, renewed.Token) == "" {
		t.Fatal(code, answer)
	}
	refresh := func(token string) (int, string) {
		t.Helper()
		code, answer, err := post(http.DefaultClient, s.url+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, token))
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Tokens struct{ RefreshToken string } }
		_ = json.Unmarshal([]byte(answer), &got)
		return code, got.Tokens.RefreshToken
	}
	code, next := refresh("an-opaque-refresh-token")
	again, same := refresh("an-opaque-refresh-token")
	if code != http.StatusOK || again != http.StatusOK || next == "" || next != same {
		t.Errorf("%d %d, the same: %v", code, again, next == same)
	}
	if code, _ := refresh(next); code != http.StatusOK {
		t.Errorf("the successor: %d", code)
	}
	if code, _ := refresh("an-opaque-refresh-token"); code != http.StatusBadRequest {
		t.Errorf("the old one, when its successor is used: %d", code)
	}

	// A logout by the old token ends what it was renewed into.
	if code, _, _ := ask("POST", "/ostiary/logout", "Bearer "+nomic); code != http.StatusNoContent {
		t.Errorf("logout: %d", code)
	}
	for _, token := range []string{nomic, renewed.Token} {
		if code, _, _ := ask("GET", "/ostiary/verify", "Bearer "+token); code != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", code)
		}
	}
	list := run("session", "list", "--json")
	for _, dialect := range []string{"mikrocloud", "cloudio"} {
		if strings.Count(list, `"dialect":"`+dialect+`"`) != 1 {
			t.Errorf("%s in %s", dialect, list)
		}
	}
	jwks, _, _ := ask("GET", "/.well-known/jwks.json", "")
	if _, text, _ := ask("GET", "/.well-known/jwks.json", ""); jwks != http.StatusOK || strings.Contains(text, `"oct"`) || strings.Contains(text, "HS256") ||
		strings.Contains(text, base64.RawURLEncoding.EncodeToString([]byte(secret))) || !strings.Contains(text, base64.RawURLEncoding.EncodeToString(key.N.Bytes())) {
		t.Errorf("%d %s", jwks, text)
	}

	// A key that was found out.
	keys := run("key", "list", "--json")
	if strings.Count(keys, `"state":"verify-only"`) != 2 || strings.Contains(keys, secret) {
		t.Error(keys)
	}
	for line := range strings.Lines(keys) {
		var k keyJSON
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		if k.ID != nil && k.Dialect == "cloudio" {
			if got := run("key", "end", k.ID.String()); !strings.Contains(got, `"state":"expired"`) || !strings.Contains(got, `"sessions":1`) {
				t.Error(got)
			}
		}
	}
	until2 := time.Now().Add(10 * time.Second)
	for code = 0; time.Now().Before(until2); time.Sleep(100 * time.Millisecond) {
		if code, _, _ = ask("GET", "/ostiary/verify", cloudio, csrf...); code == http.StatusUnauthorized {
			break
		}
	}
	if code != http.StatusUnauthorized {
		t.Errorf("after its key was ended: %d", code)
	}

	// A restore ends all that was issued before it.
	unseen := jwtOf(t, `{"typ":"JWT","alg":"RS256"}`, map[string]any{"sub": "77", "iss": "NomicGameManager.Api", "exp": now + 7200, "iat": now - 4}, key)
	backup := filepath.Join(dir, "a.backup")
	run("backup", backup)
	restored := filepath.Join(dir, "restored")
	if err := os.MkdirAll(restored, 0o700); err != nil {
		t.Fatal(err)
	}
	master, err := os.ReadFile(filepath.Join(data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(restored, "master.key"), master, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "restore", backup, "--data", restored)
	s = serve(t, restored)
	for name, token := range map[string]string{"seen": nomic, "unseen": unseen, "opaque": "RjhVb-an-old-auth-token-sqGRs="} {
		if code, _, _ := ask("GET", "/ostiary/verify", "Bearer "+token); code != http.StatusUnauthorized {
			t.Errorf("%s, after a restore: %d", name, code)
		}
	}
	issued := time.Now().Unix() + 1
	later := jwtOf(t, `{"typ":"JWT","alg":"RS256"}`, map[string]any{"sub": "77", "iss": "NomicGameManager.Api", "exp": issued + 7200, "iat": issued}, key)
	if code, text, _ := ask("GET", "/ostiary/verify", "Bearer "+later); code != http.StatusOK {
		t.Errorf("issued after the restore: %d %s", code, text)
	}
}

// What is no token, no key, or can't be meant so.
func TestTokens_Misuse(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	files := map[string][]byte{
		"public.pem": publicPEM(t, key), "small.pem": publicPEM(t, small), "private.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"private.jwk": []byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}`), "oct.jwk": []byte(`{"kty":"oct","k":"AQAB"}`), "short": []byte("too short\n"), "garbage": []byte("garbage"),
		"long": []byte(strings.Repeat("x", 64)), "enc.jwk": []byte(`{"keys":[{"kty":"EC","crv":"P-256","use":"enc","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	nomic := []string{"--verify-only", "--dialect", "nomic", "--issuer", "x", "--until", until}
	secret := []string{"--algorithm", "HS256", "--dialect", "cloudio", "--until", until}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{append([]string{at("public.pem")}, nomic[1:]...), 2, "say --verify-only"},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "nomic", "--until", until), 2, "--issuer: say the iss"},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "mikrocloud", "--issuer", "x", "--until", until), 2, "opaque"},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "nomic", "--issuer", "x", "--until", "2020-01-01"), 2, "--until: 2020-01-01"},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "nomic", "--issuer", "x", "--until", "2999-01-01"), 2, "--until: 2999-01-01"},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "nomic", "--issuer", "x", "--until", "400d"), 2, "--until: "},
		{append([]string{at("public.pem")}, "--verify-only", "--dialect", "nomic", "--issuer", "x", "--until", "soon"), 2, "how long until then"},
		{append([]string{at("public.pem"), "--algorithm", "HS256"}, nomic...), 2, "a public key is none"},
		{append([]string{at("public.pem"), "--algorithm", "ES256"}, nomic...), 1, "unsupported key"},
		{append([]string{at("small.pem")}, nomic...), 1, "weak key"},
		{append([]string{at("private.pem")}, nomic...), 1, "this is a private key"},
		{append([]string{at("private.jwk")}, nomic...), 1, "this is a private key"},
		{append([]string{at("oct.jwk")}, nomic...), 1, "--secret-file"},
		{append([]string{at("garbage")}, nomic...), 1, "neither a public key"},
		{append([]string{at("enc.jwk")}, nomic...), 1, "1 keys of"},
		{append([]string{"--secret-file", at("short")}, secret...), 1, "has 9 bytes, and a secret of HS256 needs 32"},
		{append([]string{"--secret-file", at("public.pem")}, secret...), 1, "anybody could sign"},
		{append([]string{"--secret-file", at("long")}, secret[2:]...), 2, "say --algorithm HS256"},
		{append([]string{at("public.pem"), "--secret-file", at("long")}, secret...), 2, "or --secret-file"},
	} {
		_, errOut, status := command(t, "", append(append([]string{"key", "import"}, c.args...), "--data", data)...)
		if status != c.status || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: %d %s", c.args, status, errOut)
		}
	}
	if _, errOut, status := command(t, "", append([]string{"key", "import", "--weak", "--secret-file", at("short"), "--data", data}, secret...)...); status != 0 || !strings.Contains(errOut, "warning") {
		t.Errorf("%d %s", status, errOut)
	}
	must(t, "", append([]string{"key", "import", at("public.pem"), "--kid", "old", "--data", data}, nomic...)...)
	if _, errOut, status := command(t, "", append([]string{"key", "import", at("public.pem"), "--kid", "old", "--audience", "other", "--data", data}, nomic...)...); status != 1 || !strings.Contains(errOut, "the kid old is that of another key") {
		t.Errorf("%d %s", status, errOut)
	}
	lines := map[string]string{
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":%q}`:                        "",
		`{"dialect":"nomic","kind":"bearer","token":"short","account":"ada","expires_at":%q}`:                                   "token: it must be 16 to",
		`{"dialect":"nomic","kind":"bearer","token":"0123456789 abcdef","account":"ada","expires_at":%q}`:                       "visible ASCII",
		`{"dialect":"nomic","kind":"bearer","account":"ada","expires_at":%q}`:                                                   "give token or sha256",
		`{"dialect":"nomic","kind":"bearer","sha256":"abcd","account":"ada","expires_at":%q}`:                                   "sha256: it must be 32 bytes",
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","expires_at":%q}`:                                        "give account or subject",
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","account":"bob","expires_at":%q}`:                        `there is no account "bob"`,
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","subject":"9","expires_at":%q}`:                          `no account has the subject "9" in nomic`,
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":"tomorrow","issued_at":%q}`: "expires_at: ",
		`{"dialect":"nomic","kind":"refresh","token":"0123456789abcdef","account":"ada","expires_at":%q}`:                       "nomic has no refresh tokens",
		`{"dialect":"cloudio","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":%q}`:                      "cloudio has no opaque bearers",
		`{"dialect":"other","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":%q}`:                        `dialect: "other"`,
		`{"dialect":"nomic","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":%q,"x":1}`:                  `"x" is no member`,
		`{"dialect":"nomic","dialect":"senmo","kind":"bearer","token":"0123456789abcdef","account":"ada","expires_at":%q}`:      "twice",
		`{"dialect":"nomic","kind":7,"token":"0123456789abcdef","account":"ada","expires_at":%q}`:                               `"kind"`,
		"{\"dialect\":\"nomic\",\"kind\":\"bearer\",\"token\":\"\xff\",\"account\":\"ada\",\"expires_at\":%q}":                  "UTF-8",
		strings.Repeat(" ", 2<<20) + "%q": "longer than 1 MiB",
	}
	for line, want := range lines {
		out, errOut, status := command(t, "\n"+fmt.Sprintf(line, until)+"\n", "token", "import", "-", "--dry-run", "--data", data)
		if (want == "") != (status == 0) || want != "" && (!strings.Contains(errOut, "line 2: ") || !strings.Contains(errOut, want)) {
			t.Errorf("%.200s: %d %s %s", line, status, out, errOut)
		}
	}
	if _, errOut, status := command(t, "kind,kind\n", "token", "import", "-", "--format", "csv", "--data", data); status != 1 || !strings.Contains(errOut, "line 1") {
		t.Errorf("%d %s", status, errOut)
	}
}
