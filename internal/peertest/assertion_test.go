package peertest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// upstream is a server behind a proxy: test/peers/assert.mjs, as long as it is asked.
type upstream struct {
	in  *json.Encoder
	out *bufio.Scanner
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, "node"), "../../test/peers/assert.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	u := &upstream{json.NewEncoder(in), bufio.NewScanner(out)}
	u.out.Buffer(nil, 1<<20)
	return u
}

// verdict is what jose says of a JWT.
type verdict struct {
	Claims  map[string]any
	Kid     string
	Refused string
	Fetched int // so far
}

func (u *upstream) say(t *testing.T, line any) (v verdict) {
	t.Helper()
	if err := u.in.Encode(line); err != nil {
		t.Fatal(err)
	}
	if !u.out.Scan() {
		t.Fatal(u.out.Err())
	}
	if err := json.Unmarshal(u.out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// later lets the keys that it has grow old.
func (u *upstream) later(t *testing.T, d time.Duration) {
	t.Helper()
	u.say(t, map[string]any{"later": d.Seconds()})
}

type expected struct {
	JWKS     string `json:"jwks"`
	Issuer   string `json:"issuer,omitempty"`
	Audience string `json:"audience,omitempty"`
	Typ      string `json:"typ"`
	Token    string `json:"token"`
}

func (s *server) assertion(dialect, token string) expected {
	return expected{s.url + "/.well-known/jwks.json", "urn:ostiary:default:" + dialect, "urn:ostiary:default", "at+jwt", token}
}

// assertions signs in through every dialect, and returns what verification vouches for. It
// returns senmo's access token, too.
func (s *server) assertions(t *testing.T) (all map[string]string, access string) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(username + ":" + secret))
	var cloudio struct{ JWT, CSRF string }
	s.post(t, "/v1/auth", "Token "+basic, "{}", &cloudio)
	var mikrocloud struct {
		Token  string
		Bearer string `json:"auth_token"`
	}
	s.post(t, "/user/login", "", `{"email":"`+username+`","password":"`+secret+`"}`, &mikrocloud)
	s.post(t, "/user/passport", "", `{"token":"`+mikrocloud.Token+`","totp":null}`, &mikrocloud)
	var nomic struct{ Token string }
	s.post(t, "/api/auth/token", "Basic "+basic, "", &nomic)
	var senmo struct{ Tokens struct{ AccessToken string } }
	s.post(t, "/v1/auth", "", `{"username":"`+username+`","password":"`+secret+`"}`, &senmo)
	return map[string]string{
		"cloudio":    s.vouched(t, cloudio.JWT, cloudio.CSRF),
		"mikrocloud": s.vouched(t, mikrocloud.Bearer, ""),
		"nomic":      s.vouched(t, nomic.Token, ""),
		"senmo":      s.vouched(t, senmo.Tokens.AccessToken, ""),
	}, senmo.Tokens.AccessToken
}

func (s *server) vouched(t *testing.T, token, csrf string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/ostiary/verify", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if csrf != "" {
		req.Header.Set("X-CSRF-Token", csrf)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return resp.Header.Get("Ostiary-Assertion")
}

// good checks that the upstream takes assertions, and tells the key that signed them and
// how often keys were fetched so far.
func (u *upstream) good(t *testing.T, s *server, when string, all map[string]string) (last verdict) {
	t.Helper()
	for dialect, token := range all {
		last = u.say(t, s.assertion(dialect, token))
		if last.Refused != "" || last.Claims["dialect"] != dialect || last.Claims["username"] != username {
			t.Errorf("%s, %s: %+v", when, dialect, last)
		}
	}
	return last
}

// refuses checks that an assertion is refused for want of its key.
func (u *upstream) refuses(t *testing.T, s *server, when string, all map[string]string) {
	t.Helper()
	for dialect, token := range all {
		if v := u.say(t, s.assertion(dialect, token)); v.Refused != "ERR_JWKS_NO_MATCHING_KEY" {
			t.Errorf("%s, %s: %+v", when, dialect, v)
		}
	}
}

// A server that verifies assertions with jose as it comes meets no key that it does not
// know in a rotation, and forgets one that was found out.
func TestThreat34_AssertionsThroughARotation(t *testing.T) {
	u := startUpstream(t)
	s := start(t, "")
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", username, "--password-stdin")
	before, _ := s.assertions(t)
	old := u.good(t, s, "before", before)
	if old.Fetched != 1 {
		t.Errorf("%d requests for one set of keys", old.Fetched)
	}
	run(t, "", s.binary, "key", "rotate", "--data", s.data, "--algorithm", "ES256", "--ahead", "6s")
	// The new key is out for longer than jose keeps a set: it fetches it in time.
	u.later(t, 11*time.Minute)
	time.Sleep(3 * time.Second) // until which a server may publish what a command has made
	seen := u.good(t, s, "published", before)
	if seen.Fetched != 2 || seen.Kid != old.Kid {
		t.Errorf("%+v after %+v", seen, old)
	}
	var after map[string]string
	for deadline := time.Now().Add(20 * time.Second); ; {
		after, _ = s.assertions(t)
		now := u.good(t, s, "while it is replaced", after)
		if now.Fetched != 2 {
			t.Errorf("the keys were fetched anew: %+v", now)
		}
		if now.Kid != old.Kid {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new key does not sign")
		}
	}
	u.good(t, s, "replaced", before)

	run(t, "", s.binary, "key", "rotate", "--data", s.data, "--algorithm", "ES256", "--now")
	u.good(t, s, "from the set that it has", after)
	time.Sleep(3 * time.Second)
	newest, _ := s.assertions(t)
	u.later(t, 11*time.Minute)
	u.refuses(t, s, "found out", before)
	u.refuses(t, s, "found out", after)
	u.good(t, s, "the newest", newest)
	u.say(t, map[string]any{"forget": true})
	u.refuses(t, s, "found out, a new process", after)
	u.good(t, s, "the newest, a new process", newest)
}

// An assertion is no access token of senmo, nor is that an assertion, though one key signs
// both for one issuer.
func TestThreat30_AssertionAndAccessToken(t *testing.T) {
	u := startUpstream(t)
	s := start(t, "[[mount]]\ndialect = \"cloudio\"\n[[mount]]\ndialect = \"mikrocloud\"\n[[mount]]\ndialect = \"nomic\"\n[[mount]]\ndialect = \"senmo\"\nalgorithm = \"ES256\"\n")
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", username, "--password-stdin")
	all, access := s.assertions(t)
	as := func(typ, token string) verdict {
		t.Helper()
		e := s.assertion("senmo", token)
		e.Typ, e.Audience = typ, "" // an access token has none
		return u.say(t, e)
	}
	for name, v := range map[string]verdict{"an assertion": as("at+jwt", all["senmo"]), "an access token": as("JWT", access)} {
		if v.Refused != "" || v.Claims["sub"] == "" {
			t.Errorf("%s as itself: %+v", name, v)
		}
	}
	for name, v := range map[string]verdict{"an assertion": as("JWT", all["senmo"]), "an access token": as("at+jwt", access)} {
		if v.Refused != "ERR_JWT_CLAIM_VALIDATION_FAILED typ" {
			t.Errorf("%s as the other: %+v", name, v)
		}
	}
}
