package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// TestServe_DatabaseFilledUnderIt: while a server runs, nobody fills its database. One that
// stood still meanwhile, as if it had been killed, serves what is there then, by itself: until
// it does all are told to come again, and nothing is written of the realm that is gone.
func TestServe_DatabaseFilledUnderIt(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	t.Setenv("OSTIARY_MASTER_KEY", base64.StdEncoding.EncodeToString(key))
	from := filepath.Join(t.TempDir(), "from")
	if err := serve(t, from).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, diskPass, "account", "create", "--data", from, "--username", "ada", "--password-stdin")
	file := filepath.Join(t.TempDir(), "backup")
	must(t, "", "backup", file, "--data", from)
	for _, c := range []struct {
		engine, how string
	}{{"sqlite", "restore"}, {"pgx", "restore"}, {"pgx", "copy"}} {
		t.Run(c.engine+" "+c.how, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			url, dsn := "sqlite:"+filepath.Join(data, "ostiary.db"), "file:"+filepath.Join(data, "ostiary.db")+"?_pragma=busy_timeout(10000)"
			if c.engine == "pgx" {
				url = pgtest.URL(t)
				dsn = url
			}
			p := serve(t, data, "--database", url)
			db, err := sql.Open(c.engine, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			p.waitForLease(t, db)
			fill := []string{"restore", file, "--data", data, "--database", url}
			if c.how == "copy" {
				fill = []string{"database", "copy", "--from", "sqlite:" + filepath.Join(from, "ostiary.db"), "--to", url}
			}
			if _, errOut, status := command(t, "", fill...); status != 1 || !strings.Contains(errOut, "a server (ostiary serve) runs on the store") {
				t.Fatalf("beside a server: %d %s", status, errOut)
			}
			_ = p.Cmd.Process.Signal(syscall.SIGSTOP)
			if _, err := db.Exec("DELETE FROM lease"); err != nil { // its time is over
				t.Fatal(err)
			}
			must(t, "", fill...)
			_ = p.Cmd.Process.Signal(syscall.SIGCONT)
			for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				status, answer := login(t, p.url, "ada", diskPass)
				if status == http.StatusOK {
					break
				}
				if status != http.StatusServiceUnavailable || time.Since(began) > time.Minute {
					t.Fatalf("%s after: %d %s\n%s", time.Since(began), status, answer, p.err.String())
				}
			}
			p.waitFor(t, "the database was read anew")
			if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusOK {
				t.Errorf("readiness %d", status)
			}
			for _, table := range []string{"audit_event", "audit_head", "audit_checkpoint", "guess_budget", "signing_key", "session"} {
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM " + table + " WHERE realm_id NOT IN (SELECT id FROM realm)").Scan(&n); err != nil || n != 0 {
					t.Errorf("%s: %d rows of no realm: %v", table, n, err)
				}
			}
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitForLease waits until a server has its turns.
func (p *process) waitForLease(t *testing.T, db *sql.DB) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM lease").Scan(&n); err == nil && n > 1 {
			return
		}
	}
	t.Fatalf("no turns in a minute: %s", p.err.String())
}

// TestServe_WaitsForTheDatabase: a database that is away when a server starts is waited for.
// Meanwhile the server says that it lives, and is of no use.
func TestServe_WaitsForTheDatabase(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	url := pg.URL(t)
	pg.Stop(t, syscall.SIGQUIT)
	p, err := begin(context.Background(), t.TempDir(), nil, "--data", filepath.Join(t.TempDir(), "data"), "--database", url, "--admin-listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	p.waitFor(t, "the database does not answer: it is asked again each second.*see whether it runs")
	admin := "http://" + regexp.MustCompile(`"serving metrics" address=(\S+)`).FindStringSubmatch(p.err.String())[1]
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 503} {
		if status := get(t, admin+path); status != want {
			t.Errorf("%s of the metrics: %d", path, status)
		}
	}
	p.url = "http://" + regexp.MustCompile(`not ready" address=(\S+)`).FindStringSubmatch(p.err.String())[1]
	for path, want := range map[string]int{"/ostiary/healthz": 200, "/ostiary/readyz": 503, "/ostiary/whoami": 503, "/nowhere": 503} {
		if status := get(t, p.url+path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	// Each client is told so in the shape that it knows.
	for path, shape := range map[string]string{
		"/api/auth/token": `{"timestamp":.*"status":503,.*"path":"/api/auth/token"}`, "/user/login": `{"message":"Service Unavailable"}`, "//user/login": `{"type":"about:blank".*}`,
		"/v1/auth": `{"statusCode":503,.*}`,
	} {
		resp, err := http.Post(p.url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !regexp.MustCompile("^"+shape+"\n?$").Match(answer) {
			t.Errorf("%s: %s %s", path, resp.Status, answer)
		}
	}
	_ = p.Cmd.Process.Signal(syscall.SIGHUP) // ends nothing, and is heeded later
	pg.Run(t)
	p.waitFor(t, "msg=serving")
	p.waitFor(t, "configuration reloaded")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200} {
		if status := get(t, admin+path); status != want {
			t.Errorf("%s of the metrics: %d", path, status)
		}
	}
	if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusOK {
		t.Errorf("readiness %d", status)
	}
	if n := strings.Count(p.err.String(), "does not answer"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

// TestServe_ClosedAsItsMountsSay: while the database is away, pages of the origins of a mount can read
// that, and a declared route says it in its own words. Who came by plain HTTP is counted from then on.
func TestServe_ClosedAsItsMountsSay(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	url := pg.URL(t)
	pg.Stop(t, syscall.SIGQUIT)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ostiary.toml": "[[mount]]\ndialect = \"nomic\"\ncors_origins = [\"https://app.example.com\"]\n[[mount]]\ndefinition = \"acme.toml\"\n",
		"acme.toml": `name = "acme"
[[route]]
path = "/acme/login"
body = "json"
flow = "sign_in"
username = { member = "user" }
password = { member = "password" }
[route.answer]
json = '{"token": "${bearer}"}'
[[route.error]]
codes = "unavailable"
json = '{"later": "${status}"}'
[[error]]
codes = "*"
json = '{"no": "${status}"}'
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := certificate(t, 100*day)
	p, err := begin(context.Background(), t.TempDir(), nil, "--data", filepath.Join(t.TempDir(), "data"), "--database", url, "--config", filepath.Join(dir, "ostiary.toml"),
		"--tls-cert", cert, "--tls-key", key, "--http-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	p.waitFor(t, "not ready")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a certificate of this test's
	ask := func(method, path string) (reply, string) {
		t.Helper()
		r, err := http.NewRequest(method, "https://"+regexp.MustCompile(`not ready" address=(\S+)`).FindStringSubmatch(p.err.String())[1]+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return reply{res.StatusCode, res.Header}, string(body)
	}
	for _, c := range []struct {
		method, path string
		status       int
		body, origin string
	}{
		{"OPTIONS", "/api/auth/token", 204, "", "https://app.example.com"}, {"POST", "/api/auth/token", 503, `"status":503`, "https://app.example.com"},
		{"POST", "/acme/login", 503, `{"later":503}`, ""},
	} {
		if res, body := ask(c.method, c.path); res.StatusCode != c.status || !strings.Contains(body, c.body) || res.Header.Get("Access-Control-Allow-Origin") != c.origin {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, res.StatusCode, res.Header, body)
		}
	}
	pg.Run(t)
	p.waitFor(t, "msg=serving")
	said := func(what string) string {
		return regexp.MustCompile(what + `" address=(\S+)`).FindStringSubmatch(p.err.String())[1]
	}
	if status := get(t, "http://"+said("refusing plain HTTP")+"/v1/auth"); status != http.StatusForbidden {
		t.Errorf("plain HTTP: %d", status)
	}
	res, err := http.Get("http://" + said("serving metrics") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), `ostiary_http_refused_total{reason="plain_http"} 1`) {
		t.Errorf("who came by plain HTTP is not counted: %v", err)
	}
}

// TestServe_DatabaseRefuses: what no wait helps against ends a start, with what to do.
func TestServe_DatabaseRefuses(t *testing.T) {
	url, _ := neturl.Parse(pgtest.URL(t))
	as := func(user string) string {
		u := *url
		u.User = neturl.UserPassword(user, user)
		return u.String()
	}
	db, err := sql.Open("pgx", url.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	data := filepath.Join(t.TempDir(), "data")
	refused := func(what, url, want string) {
		t.Helper()
		if _, errOut, status := command(t, "", "serve", "--listen", "127.0.0.1:0", "--data", data, "--database", url); status != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%s: %d %s", what, status, errOut)
		}
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("REVOKE CREATE ON SCHEMA public FROM pg_database_owner")
	refused("a user that may make no tables", url.String(), "GRANT CREATE ON SCHEMA public")
	exec("GRANT CREATE ON SCHEMA public TO pg_database_owner")
	if err := serve(t, data, "--database", url.String()).Stop(); err != nil {
		t.Fatal(err)
	}
	exec("REVOKE INSERT ON account FROM current_user")
	refused("a user that may not write", url.String(), "may not read and write account: ")
	refused("no such user", as("nobody_here"), "refuses the user")
	refused("no such database", strings.Replace(url.String(), url.Path, "/nowhere", 1), "can't be opened")
}

// TestRestore_TwoAtOnce: of two restores into one database one does it all, and the other says why not.
func TestRestore_TwoAtOnce(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	t.Setenv("OSTIARY_MASTER_KEY", base64.StdEncoding.EncodeToString(key))
	from, url := filepath.Join(t.TempDir(), "from"), pgtest.URL(t)
	if err := serve(t, from).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, diskPass, "account", "create", "--data", from, "--username", "ada", "--password-stdin")
	file := filepath.Join(t.TempDir(), "backup")
	must(t, "", "backup", file, "--data", from)
	said := make(chan string, 2)
	for range 2 {
		go func() {
			out, _ := exec.Command("ostiary", "restore", file, "--database", url).CombinedOutput()
			said <- string(out)
		}()
	}
	both := <-said + <-said
	if strings.Count(both, "epoch 1") != 1 || !strings.Contains(both, "has accounts: give a database that has none") {
		t.Errorf("%s", both)
	}
}
