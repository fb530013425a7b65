package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/password"
)

// oldSystem is one that is told by a webhook: it takes each id once, and refuses what is
// not signed.
type oldSystem struct {
	*httptest.Server
	mu     sync.Mutex
	secret []byte
	away   bool
	asked  int
	seen   map[string]bool
	lines  []backLine
}

type backLine struct {
	ID, Event, Username string
	PasswordHash        string `json:"password_hash"`
}

func newOldSystem(t *testing.T, secret []byte) *oldSystem {
	o := &oldSystem{secret: secret, away: true, seen: map[string]bool{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *oldSystem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	id := r.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, o.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("Webhook-Timestamp"), body)
	var line backLine
	switch o.asked++; {
	case o.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), json.Unmarshal(body, &line) != nil, line.ID != id:
		w.WriteHeader(http.StatusUnauthorized)
	case !o.seen[id]:
		o.seen[id] = true
		o.lines = append(o.lines, line)
	}
}

// set says whether the system is away, and returns what it knows.
func (o *oldSystem) set(away bool) (asked int, lines []backLine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = away
	return o.asked, o.lines
}

// until waits for something, for longer than it takes another process to have its turn.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it has not come to that", what)
		}
	}
}

func writebackConfig(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ostiary.toml")
	text := "[[writeback]]\nrealm = \"default\"\nformat = \"ssha512\"\nuntil = \"" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + "\"\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func isOf(t *testing.T, hash, pass string) bool {
	t.Helper()
	stored, err := password.Foreign(hash, password.ForeignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := password.New(1, time.Minute).Verify(t.Context(), stored, pass)
	return err == nil && res.OK
}

const firstPassword, secondPassword = "a first passphrase for the old one", "a second passphrase for the old one"

func TestWriteback_File(t *testing.T) {
	data, back := t.TempDir(), filepath.Join(t.TempDir(), "back.jsonl")
	config := writebackConfig(t, fmt.Sprintf("file = %q", back))
	p := serve(t, data, "--config", config)
	p.waitFor(t, `level=WARN msg="NEW PASSWORDS LEAVE THIS SERVER: .*realm=default format=ssha512`)
	must(t, firstPassword, "account", "create", "--data", data, "--config", config, "--username", "ada", "--password-stdin")
	_, answer := login(t, p.url, "ada", firstPassword)
	var granted struct{ Tokens struct{ AccessToken string } }
	if err := json.Unmarshal([]byte(answer), &granted); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	status, answer, err := post(http.DefaultClient, p.url+"/ostiary/password", fmt.Sprintf(`{"current":%q,"new":%q}`, firstPassword, secondPassword), "Authorization", "Bearer "+granted.Tokens.AccessToken)
	if status != http.StatusNoContent || err != nil {
		t.Fatalf("%d %s, %v", status, answer, err)
	}
	var lines []backLine
	until(t, "two lines are in the file", func() bool {
		text, _ := os.ReadFile(back)
		lines = nil
		for d := json.NewDecoder(strings.NewReader(string(text))); d.More(); {
			var line backLine
			if d.Decode(&line) != nil {
				return false
			}
			lines = append(lines, line)
		}
		return len(lines) == 2
	})
	if lines[0].Event != "account_created" || lines[1].Event != "password_changed" || lines[1].Username != "ada" ||
		!isOf(t, lines[0].PasswordHash, firstPassword) || !isOf(t, lines[1].PasswordHash, secondPassword) || isOf(t, lines[1].PasswordHash, firstPassword) {
		t.Errorf("%+v", lines)
	}
	if info, err := os.Stat(back); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if strings.Contains(p.err.String(), lines[0].PasswordHash[20:]) {
		t.Error("a hash is in the log")
	}
}

// TestWriteback_OneHangs: an old system that takes long to answer keeps no other waiting.
func TestWriteback_OneHangs(t *testing.T) {
	t.Parallel()
	asked, over := make(chan struct{}, 10), make(chan struct{}, 10)
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
		over <- struct{}{}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(hangs.CloseClientConnections)
	dir, data := t.TempDir(), t.TempDir()
	secret, back := filepath.Join(dir, "secret"), filepath.Join(dir, "back.jsonl")
	if err := os.WriteFile(secret, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	config := writebackConfig(t, fmt.Sprintf("webhook = %q\nwebhook_secret_file = %q", hangs.URL, secret))
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("[[writeback]]\nrealm = \"other\"\nformat = \"ssha512\"\nuntil = %q\nfile = %q\n", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), back)
	p := serve(t, data)
	must(t, "", "realm", "create", "--data", data, "other")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, other...), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, data, "--config", config)
	must(t, firstPassword, "account", "create", "--data", data, "--config", config, "--username", "ada", "--password-stdin")
	<-asked
	must(t, firstPassword, "account", "create", "--data", data, "--config", config, "--realm", "other", "--username", "bob", "--password-stdin")
	until(t, "the other one is told", func() bool {
		text, _ := os.ReadFile(back)
		return strings.Contains(string(text), `"username":"bob"`)
	})
	select {
	case <-over:
		t.Error("it was told when the one that hangs had been given up")
	default:
	}
}

// The old system is away, and the server is killed between the commit and the delivery:
// nothing is lost, and nobody's login waits.
func TestWriteback_KilledBeforeItIsTold(t *testing.T) {
	t.Parallel() // it waits for another process's turn to end
	secret := []byte("0123456789abcdef0123456789abcdef")
	old := newOldSystem(t, secret)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	config := writebackConfig(t, fmt.Sprintf("webhook = %q\nwebhook_secret_file = %q", old.URL, file))
	p := serve(t, data, "--config", config)
	must(t, firstPassword, "account", "create", "--data", data, "--config", config, "--username", "ada", "--password-stdin")
	until(t, "the old system is asked", func() bool { asked, _ := old.set(true); return asked > 0 })
	p.waitFor(t, "level=WARN msg=\"an old system can't be told what has changed.*answered 503")
	if status, answer := login(t, p.url, "ada", firstPassword); status != http.StatusOK {
		t.Errorf("a login meanwhile: %d %s", status, answer)
	}
	must(t, secondPassword, "account", "set-password", "--data", data, "--config", config, "ada", "--password-stdin")
	p.Kill()
	must(t, "", "account", "disable", "--data", data, "--config", config, "ada")
	must(t, "", "account", "delete", "--data", data, "--config", config, "ada")

	old.set(false)
	p = serve(t, data, "--config", config)
	var lines []backLine
	until(t, "it is told all of it", func() bool { _, lines = old.set(false); return len(lines) == 4 })
	var events []string
	for _, l := range lines {
		events = append(events, l.Event)
	}
	if got := strings.Join(events, " "); got != "account_created password_changed account_disabled account_deleted" {
		t.Errorf("told: %s", got)
	}
	if !isOf(t, lines[0].PasswordHash, firstPassword) || !isOf(t, lines[1].PasswordHash, secondPassword) || lines[3].PasswordHash != "" {
		t.Errorf("%+v", lines)
	}
	until(t, "the log says so", func() bool {
		return strings.Count(must(t, "", "audit", "list", "--data", data, "--kind", "written_back", "--json"), "webhook") == 4
	})
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestWriteback_BadTargets(t *testing.T) {
	data := t.TempDir()
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	shown := filepath.Join(t.TempDir(), "shown")
	if err := os.WriteFile(shown, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, lines := range map[string]string{
		"can be read by others: set it to 0600":          fmt.Sprintf("file = %q", shown),
		"no such file or directory":                      "webhook = \"https://old.example.com/\"\nwebhook_secret_file = \"/no/secret\"",
		`writeback 1 (default): file, webhook: give one`: "",
	} {
		_, stderr, status := command(t, "", "serve", "--data", data, "--listen", "127.0.0.1:0", "--config", writebackConfig(t, lines))
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%d: %s; want %s", status, stderr, want)
		}
	}
}

// The doctor says what is in the way of telling an old system, and tells it nothing.
func TestDoctor_Writebacks(t *testing.T) {
	data, dir := filepath.Join(t.TempDir(), "data"), t.TempDir()
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"open.jsonl": 0o644, "back.jsonl": 0o600, "secret": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("c2VjcmV0IG9mIDMyIGJ5dGVzIGF0IGxlYXN0ISEhISE=\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	config := filepath.Join(dir, "ostiary.toml")
	for _, c := range []struct{ until, how, state, text, do string }{
		{later, `file = "back.jsonl"`, fine, "back.jsonl is told of new passwords until", ""},
		{later, `file = "new.jsonl"`, fine, "new.jsonl is told", ""},
		{later, `file = "none/back.jsonl"`, wrong, "none: no such file", "write there"},
		{later, `file = "open.jsonl"`, wrong, "mode 0644", "chmod 600"},
		{later, `file = "."`, wrong, "no regular file", "another file"},
		{"2026-01-01T00:00:00Z", `file = "back.jsonl"`, warn, "its time was over", "take the table out"},
		{later, "webhook = \"https://old.example.com/back?s3cret\"\nwebhook_secret_file = \"secret\"", fine, "https://old.example.com is told", ""},
		{later, "webhook = \"https://old.example.com/back\"\nwebhook_secret_file = \"none\"", wrong, "no such file", "webhook_secret_file"},
	} {
		writeConfig(t, config, fmt.Sprintf("[[writeback]]\nrealm = \"default\"\nformat = \"bcrypt\"\nuntil = %q\n%s\n", c.until, c.how))
		found, status := diagnose(t, "--data", data, "--listen", free(t), "--config", config)
		if !has(found, c.state, "writeback of realm default", c.text, c.do) || (c.state == wrong) != (status == 1) {
			t.Errorf("%s: %d %+v", c.how, status, found)
		}
	}
	if left, err := os.ReadFile(filepath.Join(dir, "new.jsonl")); err == nil {
		t.Errorf("it has made a file: %q", left)
	}
}
