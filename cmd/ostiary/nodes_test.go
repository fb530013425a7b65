package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// nodesOf starts two nodes on a database, with a data directory each and one master key, as
// the command line has it, too.
func nodesOf(t *testing.T, url string, args ...string) (a, b *process) {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	t.Setenv("OSTIARY_DATABASE", url)
	t.Setenv("OSTIARY_MASTER_KEY", base64.StdEncoding.EncodeToString(key))
	a, b = nodeOf(t, args...), nodeOf(t, args...)
	must(t, diskPass, "account", "create", "--username", "ada", "--password-stdin")
	return a, b
}

// nodeOf starts one more of them.
func nodeOf(t *testing.T, args ...string) *process {
	t.Helper()
	return serve(t, filepath.Join(t.TempDir(), "data"), append([]string{"--database", os.Getenv("OSTIARY_DATABASE")}, args...)...)
}

// patient has a wait that no test outlasts.
var patient = []string{"--guess-delay", "10m", "--guess-delay-max", "10m"}

// Two nodes count failures together, and a node that is killed between two of them takes
// none with it.
func TestThreat16_TwoNodes(t *testing.T) {
	a, b := nodesOf(t, pgtest.URL(t), patient...)
	for n, node := range []*process{a, b, a} {
		if status := guess(t, node.url, "ada"); status != http.StatusBadRequest {
			t.Fatalf("guess %d: %d", n, status)
		}
	}
	a.Kill()
	for n := range 2 {
		if status := guess(t, b.url, "ada"); status != http.StatusBadRequest {
			t.Fatalf("guess %d: %d", 3+n, status)
		}
	}
	a = nodeOf(t, patient...)
	for _, node := range []*process{a, b} {
		if status := guess(t, node.url, "ada"); status != http.StatusTooManyRequests {
			t.Errorf("the sixth guess: %d", status)
		}
	}
}

// within polls a node until it gives an answer, which it must within five seconds.
func within(t *testing.T, what string, node *process, path, token string, want int) {
	t.Helper()
	start := time.Now()
	for {
		status := get(t, node.url+path, "Authorization: Bearer "+token)
		took := time.Since(start)
		switch {
		case status == want:
			t.Logf("%s: after %s", what, took.Round(10*time.Millisecond))
			return
		case took > 5*time.Second:
			t.Errorf("%s: %d after %s", what, status, took)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *process) token(t *testing.T, name string) string {
	t.Helper()
	status, answer := login(t, p.url, name, diskPass)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	return accessOf(answer)
}

// What one node, or a command, changes shows at another node within five seconds, though
// that one is asked all the time.
func TestThreat40_TwoNodes(t *testing.T) {
	a, b := nodesOf(t, pgtest.URL(t))
	must(t, "", "role", "create", "admin")
	for _, c := range []struct {
		what   string
		path   string
		change func(name, token string)
		want   int
	}{
		{"a logout at the other node", "/ostiary/whoami", func(_, token string) {
			if status, answer, err := post(http.DefaultClient, a.url+"/ostiary/logout", "", "Authorization", "Bearer "+token); err != nil || status != http.StatusNoContent {
				t.Fatal(status, answer, err)
			}
		}, http.StatusUnauthorized},
		{"a revocation", "/ostiary/whoami", func(name, _ string) { must(t, "", "session", "revoke", "--account", name) }, http.StatusUnauthorized},
		{"an account that is disabled", "/ostiary/whoami", func(name, _ string) { must(t, "", "account", "disable", name) }, http.StatusUnauthorized},
		{"a role", "/ostiary/verify?role=admin", func(name, _ string) { must(t, "", "role", "remove", "admin", "--account", name) }, http.StatusForbidden},
		{"keys that others may know", "/ostiary/whoami", func(string, string) { must(t, "", "key", "rotate", "--now") }, http.StatusUnauthorized},
	} {
		name := strings.ReplaceAll(c.what, " ", "-")
		must(t, diskPass, "account", "create", "--username", name, "--password-stdin", "--role", "admin")
		token := a.token(t, name)
		for until := time.Now().Add(2500 * time.Millisecond); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			if status := get(t, b.url+c.path, "Authorization: Bearer "+token); status != http.StatusOK {
				t.Fatalf("%s: before it: %d", c.what, status)
			}
		}
		c.change(name, token)
		within(t, c.what, b, c.path, token, c.want)
	}
}

// While the database is away, what ends a session is 503 at each door, and ends none; when
// it is back, the same request ends it at all nodes.
func TestThreat39_TwoNodes(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Durable: true})
	a, b := nodesOf(t, server.URL(t))
	var service struct{ Secret string }
	if err := json.Unmarshal([]byte(must(t, "", "account", "create", "--kind", "service", "--username", "gate", "--role", "ostiary:revoke")), &service); err != nil || service.Secret == "" {
		t.Fatal(err)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("gate:"+service.Secret))
	one, two := a.token(t, "ada"), a.token(t, "ada")
	ends := func(what string, want int, token, path, body string, headers ...string) {
		t.Helper()
		for _, node := range []*process{a, b} {
			req, err := http.NewRequest(http.MethodPost, node.url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want || want == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d, Retry-After %q", what, res.StatusCode, res.Header.Get("Retry-After"))
			}
			if want < 300 {
				within(t, what, a, "/ostiary/whoami", token, http.StatusUnauthorized)
				within(t, what, b, "/ostiary/whoami", token, http.StatusUnauthorized)
				return
			}
		}
	}
	revoke := func(want int) {
		t.Helper()
		ends("a revocation", want, two, "/ostiary/revoke", "token="+two, "Authorization", basic, "Content-Type", "application/x-www-form-urlencoded")
	}
	server.Stop(t, syscall.SIGQUIT)
	ends("a logout", http.StatusServiceUnavailable, one, "/ostiary/logout", "", "Authorization", "Bearer "+one)
	revoke(http.StatusServiceUnavailable)
	server.Run(t)
	for _, token := range []string{one, two} {
		within(t, "no session has ended", b, "/ostiary/whoami", token, http.StatusOK)
	}
	ends("a logout", http.StatusNoContent, one, "/ostiary/logout", "", "Authorization", "Bearer "+one)
	revoke(http.StatusOK)
}

// What a killed node had reserved is forgotten within a minute: it takes that long, so it is
// a test of make fault.
func TestServe_KilledInTheMiddleOfGuesses(t *testing.T) {
	if os.Getenv("TEST_FAULT") == "" {
		t.Skip("make fault runs it")
	}
	url := pgtest.URL(t)
	a, b := nodesOf(t, url, append(patient, "--hash-slots", "1")...)
	st, err := store.OpenPostgres(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	realm, err := st.RealmByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	ada, err := st.AccountByName(t.Context(), realm.ID, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	reserved := func() (n int) {
		k := auth.BudgetKey{Realm: realm.ID, Kind: auth.BudgetKnown, Subject: ada.ID.String(), Source: "127.0.0.1"}
		got, err := st.ReserveGuesses(t.Context(), []auth.BudgetKey{k}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		n = got[0].Running - 1
		if err := st.InTx(t.Context(), func(tx auth.Tx) error { return tx.EndGuess(t.Context(), k, got[0].Slot) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	a.token(t, "ada") // from now on this machine is a source that the account knows
	var guesses sync.WaitGroup
	for range 20 {
		guesses.Go(func() {
			for err := error(nil); err == nil; {
				_, _, err = post(http.DefaultClient, a.url+"/v1/auth", jsonOf("username", "ada", "password", diskPass))
			}
		})
	}
	for start := time.Now(); reserved() < 3; {
		if time.Since(start) > 30*time.Second {
			t.Fatal("no guesses are in flight")
		}
	}
	a.Kill()
	guesses.Wait()
	left, killed := reserved(), time.Now()
	if left == 0 {
		t.Fatal("nothing was left behind")
	}
	for reserved() > 0 {
		if time.Since(killed) > time.Minute+5*time.Second {
			t.Fatalf("%d are reserved after %s", reserved(), time.Since(killed))
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Logf("%d reservations were forgotten after %s", left, time.Since(killed).Round(time.Second))
	if status, answer := login(t, b.url, "ada", diskPass); status != http.StatusOK {
		t.Errorf("the other node: %d %s", status, answer)
	}
}

// Without its Redis a node lets nobody guess, says so, and goes on when it is back; what is
// no guess goes on meanwhile.
func TestServe_RedisAway(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("TEST_PEERS") != "" {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	address := pgtest.FreeAddress(t)
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--guess-redis", "redis://"+address)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	says := func(state, text string) {
		t.Helper()
		if found, _ := diagnose(t, "--data", data, "--guess-redis", "redis://"+address); !has(found, state, "redis", text, "") {
			t.Errorf("doctor: %+v", found)
		}
	}
	away := func() {
		t.Helper()
		says(wrong, "does not answer as it should")
		if status, answer := login(t, p.url, "ada", diskPass); status != http.StatusServiceUnavailable {
			t.Errorf("a login: %d %s", status, answer)
		}
		if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("readyz: %d", status)
		}
		if status := get(t, p.url+"/ostiary/healthz"); status != http.StatusOK {
			t.Errorf("healthz: %d", status)
		}
		p.waitFor(t, "the Redis of guess_redis, "+address+", does not answer as it should: bring it back")
	}
	away()
	redis := exec.Command(path, "--port", address[strings.LastIndex(address, ":")+1:], "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { _ = redis.Process.Kill(); _ = redis.Wait() })
	defer stop()
	for start := time.Now(); get(t, p.url+"/ostiary/readyz") != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("not back in ten seconds")
		}
	}
	token := p.token(t, "ada")
	says(fine, address+" counts guesses")
	stop()
	away()
	if status := get(t, p.url+"/ostiary/whoami", "Authorization: Bearer "+token); status != http.StatusOK {
		t.Errorf("a session: %d", status)
	}
	show := must(t, "", "account", "show", "ada", "--data", data, "--json")
	if failures.MatchString(show) {
		t.Errorf("a failure was counted: %s", show)
	}
}
