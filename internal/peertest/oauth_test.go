package peertest

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// asked is a token, and one of the same session that is revoked.
type asked struct {
	Name   string `json:"name"`
	Token  string `json:"token"`
	Revoke string `json:"revoke"`
}

// TestOAuth_IntrospectionAndRevocation has a library of others ask about tokens of every
// dialect, and revoke them. It form-encodes even the "_" of a secret.
func TestOAuth_IntrospectionAndRevocation(t *testing.T) {
	node := tool(t, "node")
	s := start(t, "guess_source = 0\n")
	run(t, secret, s.binary, "account", "create", "--data", s.data, "--username", username,
		"--email", username+"@example.com", "--password-stdin")
	created := run(t, "", s.binary, "account", "create", "--data", s.data, "--username", "api-gate_1", "--kind", "service",
		"--role", "ostiary:introspect", "--role", "ostiary:revoke")
	var service struct{ Username, Secret string }
	if err := json.Unmarshal([]byte(created), &service); err != nil || service.Secret == "" {
		t.Fatalf("%s: %v", created, err)
	}
	tokens := s.everyDialect(t)
	input, err := json.Marshal(map[string]any{"url": s.url, "id": service.Username, "secret": service.Secret, "tokens": tokens})
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(run(t, string(input), node, "../../test/peers/ask.mjs")), "\n")
	if len(out) != len(tokens)+1 {
		t.Fatalf("%d lines for %d tokens:\n%s", len(out), len(tokens), out)
	}
	for i, line := range out[:len(tokens)] {
		var got struct {
			Name   string
			Before struct {
				Active            bool
				Username, Dialect string
				Exp               int64
			}
			After map[string]any
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if b := got.Before; got.Name != tokens[i].Name || !b.Active || b.Username != username || !strings.HasPrefix(got.Name, b.Dialect) || b.Exp == 0 {
			t.Errorf("before: %s", line)
		}
		if len(got.After) != 1 || got.After["active"] != false {
			t.Errorf("after: %s", line)
		}
	}
	if want := `{"challenge":{"scheme":"basic","parameters":{"realm":"default","charset":"UTF-8"}}}`; out[len(tokens)] != want {
		t.Errorf("a wrong secret is told %s", out[len(tokens)])
	}
}

// everyDialect signs in through all of them.
func (s *server) everyDialect(t *testing.T) []asked {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(username + ":" + secret))
	login := func(name string) string {
		return `{"` + name + `":"` + username + `","password":"` + secret + `"}`
	}
	var cloudio struct{ JWT string }
	s.post(t, "/v1/auth", "Token "+basic, "{}", &cloudio)
	var step struct{ Token string }
	s.post(t, "/user/login", "", login("email"), &step)
	var mikrocloud struct {
		Token string `json:"auth_token"`
	}
	s.post(t, "/user/passport", "", `{"totp":null,"token":"`+step.Token+`"}`, &mikrocloud)
	var nomic struct{ Token string }
	s.post(t, "/api/auth/token", "Basic "+basic, "", &nomic)
	list := []asked{
		{"cloudio", cloudio.JWT, cloudio.JWT},
		{"mikrocloud", mikrocloud.Token, mikrocloud.Token},
		{"nomic", nomic.Token, nomic.Token},
	}
	for _, kind := range []string{"access", "id", "refresh"} {
		var senmo struct {
			Tokens struct{ IDToken, AccessToken, RefreshToken string }
		}
		s.post(t, "/v1/auth", "", login("username"), &senmo)
		k := senmo.Tokens
		list = append(list, asked{"senmo " + kind, k.AccessToken, map[string]string{"access": k.AccessToken, "id": k.IDToken, "refresh": k.RefreshToken}[kind]})
	}
	return list
}
