package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const budgetPass = "the right password of ada"

// tryLogin tries a password at senmo.
func tryLogin(t *testing.T, url, name, password string, headers ...string) int {
	t.Helper()
	status, answer, err := post(http.DefaultClient, url+"/v1/auth", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), headers...)
	if err != nil {
		t.Fatal(err)
	}
	if status >= 500 {
		t.Fatalf("%d %s", status, answer)
	}
	return status
}

// Every guess is on disk before it is answered: a process that is killed after each one has
// forgotten none, and two processes on one store count together.
func TestThreat16_CountersSurvive(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	flags := []string{"--guess-delay", "10m", "--guess-source", "9"}
	p := serve(t, data, flags...)
	for _, name := range []string{"ada", "bob"} {
		must(t, budgetPass, "account", "create", "--data", data, "--username", name, "--password-stdin")
	}
	for i := range 5 {
		if status := tryLogin(t, p.url, "ada", "wrong"); status != 400 {
			t.Fatalf("guess %d: %d", i+1, status)
		}
		p.Kill()
		p = serve(t, data, flags...)
	}
	other := serve(t, data, flags...)
	for _, url := range []string{p.url, other.url} {
		if status := tryLogin(t, url, "ada", budgetPass); status != 429 {
			t.Errorf("the right password, after five wrong ones: %d", status)
		}
	}
	for i := range 4 { // of the source: nine are free
		if status := tryLogin(t, []string{p.url, other.url}[i%2], "bob", "wrong"); status != 400 {
			t.Errorf("a guess at bob, %d: %d", i+1, status)
		}
	}
	p.Kill()
	if status := tryLogin(t, other.url, "bob", budgetPass); status != 429 {
		t.Errorf("from a source that has nine wrong ones: %d", status)
	}
	must(t, "", "budget", "clear", "--data", data, "--source", "127.0.0.1")
	must(t, "", "account", "unlock", "--data", data, "ada")
	for _, name := range []string{"ada", "bob"} {
		if status := tryLogin(t, other.url, name, budgetPass); status != 200 {
			t.Errorf("%s, once an operator has helped: %d", name, status)
		}
	}
	must(t, "", "doctor", "--data", data)
}

// A process that is killed while many guess has counted each guess that it answered.
func TestThreat16_KilledUnderLoad(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--guess-account", "1000", "--guess-source", "0", "--guess-wall", "0")
	must(t, budgetPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	var all sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for range 8 {
		all.Go(func() {
			for {
				status, _, err := post(http.DefaultClient, p.url+"/v1/auth", `{"username":"ada","password":"wrong"}`)
				if err != nil {
					return
				}
				mu.Lock()
				if status == 400 {
					answered++
				}
				if answered == 20 {
					_ = p.Cmd.Process.Kill()
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	<-p.Done
	var shown struct{ Budgets []budgetJSON }
	out := must(t, "", "account", "show", "ada", "--data", data, "--guess-account", "1000", "--guess-wall", "0", "--json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Budgets) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if n := shown.Budgets[0].Failures; n < answered || n > answered+8 {
		t.Errorf("%d were answered, %d are counted", answered, n)
	}
}

// Whatever a client on the direct link writes into forwarded headers, it is its own peer
// address that runs out of guesses and that the log shows.
func TestThreat07_SpoofedAddress(t *testing.T) {
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--guess-source", "6")
	spoofs := []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"}
	value := func(i int) string {
		address := []string{"198.51.100.%d", "::ffff:198.51.100.%d", "2001:db8::%d", "a%d"}[i%4]
		if address = fmt.Sprintf(address, i); spoofs[i%6] == "Forwarded" {
			return `for="[` + address + `]"`
		}
		return address
	}
	for i := range 6 {
		if status := tryLogin(t, p.url, fmt.Sprintf("nobody%d", i), "wrong", spoofs[i], value(i)); status != 400 {
			t.Errorf("guess %d: %d", i+1, status)
		}
	}
	for i := range 24 {
		if status := tryLogin(t, p.url, fmt.Sprintf("somebody%d", i), "wrong", spoofs[i%6], value(i)); status != 429 {
			t.Errorf("with %s: %s: %d", spoofs[i%6], value(i), status)
		}
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	log, lines := p.err.String(), 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, "msg=request") {
			lines++
			if !strings.Contains(line, " source=127.0.0.1 ") || strings.Contains(line, "198.51") || strings.Contains(line, "2001:db8") {
				t.Errorf("%s", line)
			}
		}
	}
	if lines != 30 || !strings.Contains(log, "sends forwarded headers; they are not believed") {
		t.Errorf("%d requests in\n%s", lines, log)
	}
}
