package main

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/totp"
)

const estatePass = "Tramontana-wv7-Gletscher"

// marker is a secret that was planted.
type marker struct {
	what, text string
	stored     bool   // it is in the database as it is
	raw        []byte // its bytes, which must not be there in any case
	spellings  []string
}

// found is something that an estate let out.
type found struct{ where, text string }

// estate is a real server with a secret of every kind, and all that it ever let out.
type estate struct {
	t       *testing.T
	p       *process
	data    string
	markers []marker
	traces  []found
	mu      sync.Mutex
	sent    int // requests to p that were answered
	factor  []byte
	tokens  map[string]string
	long    bool // a long text was a password
}

func newEstate(t *testing.T, flags ...string) *estate {
	e := &estate{t: t, data: filepath.Join(t.TempDir(), "data"), tokens: map[string]string{}}
	e.serve(flags...)
	for _, name := range []string{"ada", "eve", "min", "gone", "quiet"} {
		e.run(estatePass+name, "account", "create", "--username", name, "--email", name+"@example.com", "--password-stdin")
		e.plant(marker{what: "password of " + name, text: estatePass + name})
	}
	const foreign = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$J9nB4yEkqIaxmQ6J6rT1mWQo0pLkqyXxDCn2jrwYl5Q"
	e.run("", "account", "create", "--username", "foreign", "--password-hash", foreign)
	e.run("", "account", "disable", "gone")
	for _, name := range []string{"robot", "gate"} {
		args := []string{"account", "create", "--username", name, "--kind", "service"}
		if name == "gate" {
			args = append(args, "--role", "ostiary:introspect", "--role", "ostiary:revoke")
		}
		var made struct{ Secret string }
		if err := json.Unmarshal([]byte(e.run("", args...)), &made); err != nil || made.Secret == "" {
			t.Fatal(err)
		}
		e.issued("secret of "+name, made.Secret)
	}
	for _, name := range []string{"ada", "eve"} {
		uri, _, _ := strings.Cut(e.run("", "mfa", "enroll", name), "\n")
		e.factor = secretOf(t, uri)
		e.issued("second factor of "+name, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(e.factor), e.factor)
		if name == "ada" {
			e.run("", "mfa", "confirm", name, "--code", totp.Code(e.factor, totp.Step(time.Now())))
		}
	}
	for i, code := range strings.Fields(e.run("", "mfa", "recovery", "ada")) {
		e.issued(fmt.Sprintf("recovery code %d", i), code)
	}
	return e
}

// serve starts the server, or another one on the same store.
func (e *estate) serve(flags ...string) {
	e.p, e.sent = serve(e.t, e.data, flags...), 0
}

// run runs a command, and keeps what it prints.
func (e *estate) run(stdin string, args ...string) string {
	e.t.Helper()
	out, errOut, status := command(e.t, stdin, append(args, "--data", e.data)...)
	if status != 0 {
		e.t.Fatalf("ostiary %s: %d: %s", strings.Join(args, " "), status, errOut)
	}
	e.traces = append(e.traces, found{"ostiary " + strings.Join(args[:2], " "), out + errOut})
	return out
}

// ask sends a request, and keeps all of the answer.
func (e *estate) ask(method, path, body string, headers ...string) (int, string) {
	e.t.Helper()
	r, err := http.NewRequest(method, e.p.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Error(err)
		return 0, ""
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		e.t.Errorf("%s %s: %v", method, path, err)
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Error(err)
	}
	var all strings.Builder
	if err := res.Header.Write(&all); err != nil {
		e.t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent++
	e.traces = append(e.traces, found{fmt.Sprintf("answer %d of %s %.60s", res.StatusCode, method, path), all.String() + "\n" + string(text)})
	return res.StatusCode, string(text)
}

func (e *estate) plant(m marker) {
	m.spellings = m.spelled()
	e.markers = append(e.markers, m)
}

// issued plants what was let out a moment ago, where it may be this once.
func (e *estate) issued(what, secret string, raw ...[]byte) {
	e.t.Helper()
	last := &e.traces[len(e.traces)-1]
	if secret == "" || !strings.Contains(last.text, secret) {
		e.t.Fatalf("no %s in %s", what, last.text)
	}
	last.text = strings.ReplaceAll(last.text, secret, "")
	m := marker{what: what, text: secret}
	if raw != nil {
		m.raw = raw[0]
	} else if b, err := base64.StdEncoding.DecodeString(secret); err == nil {
		m.raw = b
	}
	e.plant(m)
	e.tokens[what] = secret
}

// secret is one that was planted.
func (e *estate) secret(what string) string {
	e.t.Helper()
	for _, m := range e.markers {
		if m.what == what {
			return m.text
		}
	}
	e.t.Fatalf("no %s was planted", what)
	return ""
}

// token plants members of the last answer.
func (e *estate) token(what, answer string, path ...string) string {
	e.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		e.t.Fatalf("%s: %v", answer, err)
	}
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	text, _ := v.(string)
	e.issued(what, text)
	return text
}

// signIn signs an account without a factor in everywhere, and plants what that gives.
func (e *estate) signIn(name string) {
	pass := estatePass + name
	_, a := e.ask("POST", "/v1/auth", "", "Authorization: Token "+basicOf(name, pass))
	e.token("cloudio jwt", a, "jwt")
	_, a = e.ask("POST", "/user/login", jsonOf("email", name, "password", pass))
	ticket := e.token("mikrocloud ticket", a, "token")
	_, a = e.ask("POST", "/user/passport", jsonOf("token", ticket))
	e.token("mikrocloud token", a, "auth_token")
	_, a = e.ask("POST", "/api/auth/token", "", "Authorization: Basic "+basicOf(name, pass))
	e.token("nomic jwt", a, "token")
	_, a = e.ask("POST", "/v1/auth", jsonOf("username", name, "password", pass))
	e.token("senmo id token", a, "tokens", "idToken")
	e.token("senmo access token", a, "tokens", "accessToken")
	e.token("senmo refresh token", a, "tokens", "refreshToken")
}

// plantStored plants what the store keeps, and the master key.
func (e *estate) plantStored() {
	t := e.t
	text, err := os.ReadFile(filepath.Join(e.data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(text))
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	e.plant(marker{what: "master key", text: key, raw: raw})
	if _, err := seal.Parse(key); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), e.data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	realm, err := s.RealmByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	e.plant(marker{what: "sealed refresh key", text: string(realm.RefreshKey), stored: true})
	keys, err := s.Keys(t.Context(), realm.ID)
	if err != nil || len(keys) < 2 {
		t.Fatal(keys, err)
	}
	for _, k := range keys {
		e.plant(marker{what: "sealed signing key", text: string(k.Sealed), stored: true})
	}
	accounts, err := s.Accounts(t.Context(), realm.ID, uuid.Nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		rec, err := s.AccountByID(t.Context(), realm.ID, a.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		if rec.Factor != nil {
			e.plant(marker{what: "sealed second factor", text: string(rec.Factor.Secret), stored: true})
		}
		if parts := strings.Split(rec.PasswordHash, "$"); len(parts) > 2 {
			e.plant(marker{what: "salt of " + a.Username, text: parts[len(parts)-2], stored: true})
			e.plant(marker{what: "hash of " + a.Username, text: parts[len(parts)-1], stored: true})
		}
	}
}

// database is all that the store has on its disk.
func (e *estate) database() (text string) {
	for _, name := range []string{"ostiary.db", "ostiary.db-wal"} {
		b, err := os.ReadFile(filepath.Join(e.data, name))
		if err != nil && !os.IsNotExist(err) {
			e.t.Fatal(err)
		}
		text += string(b)
	}
	return text
}

// spelled are the ways in which a secret could be written.
func (m marker) spelled() []string {
	var json2 strings.Builder
	_ = json.NewEncoder(&json2).Encode(m.text)
	list := []string{
		m.text, strings.Trim(json2.String(), "\"\n"), url.QueryEscape(m.text), url.PathEscape(m.text), hex.EncodeToString([]byte(m.text)),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(m.text)), "="), fmt.Sprintf("%q", m.text),
	}
	if strings.HasPrefix(m.what, "recovery code") {
		list = append(list, strings.ReplaceAll(m.text, "-", ""))
	}
	if parts := strings.Split(m.text, "."); len(parts) == 3 && !m.stored { // a JWT: its signature is what makes it one
		list = append(list, parts[2])
	}
	if m.raw != nil {
		list = append(list, hex.EncodeToString(m.raw), base64.RawURLEncoding.EncodeToString(m.raw), string(m.raw))
	}
	return list
}

// clean reports whatever of the planted is in a text.
func (e *estate) clean(where, text string, database bool) {
	e.t.Helper()
	for _, m := range e.markers {
		if database && m.stored {
			continue
		}
		for _, s := range m.spellings {
			if strings.Contains(text, s) {
				e.t.Errorf("the %s is in the %s: %.2000q", m.what, where, around(text, s))
				break
			}
		}
	}
}

func around(text, s string) string {
	i := strings.Index(text, s)
	return text[max(0, i-150):min(len(text), i+len(s)+150)]
}

// secretOf is the secret of an otpauth URI.
func secretOf(t *testing.T, uri string) []byte {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || len(secret) == 0 {
		t.Fatalf("%q: %v", uri, err)
	}
	return secret
}

func basicOf(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}

func jsonOf(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	text, _ := json.Marshal(m)
	return string(text)
}
