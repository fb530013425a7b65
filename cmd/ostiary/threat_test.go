package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/totp"
)

const wrongPass = "a long walk in the wood 7"

// code is what ada's authenticator shows, so many steps from now.
func (e *estate) code(steps int64) string { return totp.Code(e.factor, totp.Step(time.Now())+steps) }

// A code, a recovery code and a ticket that were spent stay so in the process that comes
// after a kill, and so do failed guesses: the account must wait as it did.
func TestThreat14_ReplayAfterAKill(t *testing.T) {
	e := strong(t)
	ticket := func() string {
		t.Helper()
		_, a := e.ask("POST", "/user/login", jsonOf("email", "ada", "password", diskPass))
		_, rest, _ := strings.Cut(a, `"token":"`)
		text, _, _ := strings.Cut(rest, `"`)
		return text
	}
	recovery := strings.Fields(e.run("", "mfa", "recovery", "ada"))
	code, first := e.code(1), ticket()
	if status, a := e.ask("POST", "/user/passport", jsonOf("token", first, "totp", code)); status != http.StatusOK {
		t.Fatalf("%d %s", status, a)
	}
	if status, a := e.ask("POST", "/user/passport", jsonOf("token", ticket(), "totp", recovery[0])); status != http.StatusOK {
		t.Fatalf("%d %s", status, a)
	}
	live := ticket()
	e.p.Kill()
	e.serve()
	for what, body := range map[string]string{
		"the code":                          jsonOf("token", live, "totp", code),
		"the code, and a ticket of now":     jsonOf("token", ticket(), "totp", code),
		"the recovery code":                 jsonOf("token", ticket(), "totp", recovery[0]),
		"the ticket, and another good code": jsonOf("token", first, "totp", recovery[1]),
	} {
		if status, a := e.ask("POST", "/user/passport", body); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, status, a)
		}
	}
	if status, a := e.ask("POST", "/user/passport", jsonOf("token", live, "totp", recovery[2])); status != http.StatusOK {
		t.Errorf("a ticket of before, and a code that is not spent: %d %s", status, a)
	}
}

// strong is an estate with one account, ada, that has a second factor.
func strong(t *testing.T) *estate {
	t.Helper()
	e := &estate{t: t, data: filepath.Join(t.TempDir(), "data"), tokens: map[string]string{}}
	e.serve()
	e.run(diskPass, "account", "create", "--username", "ada", "--password-stdin")
	uri, _, _ := strings.Cut(e.run("", "mfa", "enroll", "ada"), "\n")
	e.factor = secretOf(t, uri)
	e.run("", "mfa", "confirm", "ada", "--code", e.code(0))
	return e
}

// guess makes a wrong guess, and returns the status of the answer.
func guess(t *testing.T, url, name string) int {
	t.Helper()
	status, _ := login(t, url, name, wrongPass)
	return status
}

var failures = regexp.MustCompile(`"failures":(\d+)`)

// Failed guesses are on the disk before their answer: a kill between two of them makes none
// free again, for an account as for a name that nobody has.
func TestThreat16_CountersOutliveTheProcess(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	slow := []string{"--config", filepath.Join(t.TempDir(), "ostiary.toml")} // so that nobody waits for a test
	if err := os.WriteFile(slow[1], []byte("guess_account = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, data, slow...)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	for n := range 4 {
		for _, name := range []string{"ada", "nobody"} {
			if status := guess(t, p.url, name); status != http.StatusBadRequest {
				t.Fatalf("guess %d at %s: %d", n, name, status)
			}
		}
		p.Kill()
		p = serve(t, data, slow...)
	}
	for _, name := range []string{"ada", "nobody"} {
		waits := false
		for range 3 { // the wait of a second may be over: then another guess begins the next one
			if waits = guess(t, p.url, name) == http.StatusTooManyRequests; waits {
				break
			}
		}
		if !waits {
			t.Errorf("%s may go on", name)
		}
	}
}

// Two processes on one store count together what has failed.
func TestThreat16_TwoProcesses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	one := serve(t, data)
	two := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	tried := 0
	for i := range 14 {
		status := guess(t, []*process{one, two}[i%2].url, "ada")
		if status == http.StatusTooManyRequests {
			break
		}
		tried++
	}
	if tried < 5 || tried > 7 { // five are free, and the first waits are short
		t.Errorf("%d guesses were tried in a row", tried)
	}
	show := must(t, "", "account", "show", "ada", "--data", data, "--json")
	if !strings.Contains(show, fmt.Sprintf(`"failures":%d`, tried)) && failures.MatchString(show) {
		t.Errorf("%d were tried: %s", tried, show)
	}
}

// No name on the command line is taken for SQL: it is a name like others, or refused with
// one line, and nothing else changes.
func TestThreat53_CommandLine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	must(t, "", "role", "create", "reader", "--data", data)
	lists := func() (all string) {
		for _, list := range []string{"account list", "role list", "datasource list", "session list", "realm list"} {
			all += must(t, "", append(strings.Fields(list), "--json", "--data", data)...)
		}
		return all
	}
	before := lists()
	var running sync.WaitGroup
	for _, text := range []string{`' OR '1'='1`, `ada'; DROP TABLE account; --`, `x' UNION SELECT id FROM account --`, `%`} {
		for _, args := range []string{
			"account show TEXT", "account disable TEXT", "account delete TEXT", "account unlock TEXT", "account list --realm TEXT", "account rotate-secret TEXT", "account create --username ada --no-password --org TEXT",
			"account create --username new --no-password --role TEXT", "account alias TEXT --dialect nomic --subject 1", "account alias ada --dialect TEXT --subject 1", "account update TEXT --org x",
			"mfa enroll TEXT", "mfa reset TEXT", "mfa confirm TEXT --code 123456", "mfa confirm ada --code TEXT", "mfa recovery TEXT", "role create TEXT", "role delete TEXT", "role add TEXT --account ada",
			"role add reader --account TEXT", "role grant reader --datasource TEXT", "role grant TEXT --datasource x", "role revoke TEXT --datasource TEXT", "datasource create TEXT", "datasource delete TEXT",
			"session revoke TEXT", "session revoke --account TEXT", "session list --account TEXT", "audit list --account TEXT", "audit list --after TEXT", "audit list --kind TEXT", "audit list --session TEXT", "audit list --address TEXT", "budget clear --source TEXT", "realm create TEXT", "key rotate --algorithm TEXT",
		} {
			words := strings.Fields(args)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "TEXT", text)
			}
			running.Go(func() {
				out, errOut, status := command(t, "", append(words, "--data", data)...)
				if status == 0 || out != "" || strings.Count(errOut, "\n") != 1 || strings.Contains(strings.ToLower(errOut), "sql") {
					t.Errorf("%s with %q: %d %s%s", args, text, status, out, errOut)
				}
			})
		}
		running.Wait()
		if out := must(t, "", "audit", "list", "--actor", text, "--data", data, "--json"); out != "" {
			t.Errorf("events of the actor %q: %s", text, out)
		}
	}
	if after := lists(); after != before {
		t.Errorf("before\n%s\nand after\n%s", before, after)
	}
	must(t, "", "account", "update", "ada", "--display-name", `'; DROP TABLE role; --`, "--org", `' || 'x`, "--data", data)
	must(t, "", "account", "alias", "ada", "--dialect", "nomic", "--subject", `1' OR '1'='1`, "--data", data)
	show := must(t, "", "account", "show", "ada", "--json", "--data", data)
	for _, kept := range []string{`'; DROP TABLE role; --`, `' || 'x`, `1' OR '1'='1`} {
		if !strings.Contains(show, kept) {
			t.Errorf("%q is not as it was given: %s", kept, show)
		}
	}
	if status, answer := login(t, p.url, "ada", diskPass); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
}

// Bodies of a million names, or a hundred thousand levels, many at once, do not make the
// process grow.
func TestThreat58_MemoryStaysFlat(t *testing.T) {
	p := serve(t, filepath.Join(t.TempDir(), "data"))
	peak := func() int {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
		if err != nil {
			t.Skip("there is no /proc here")
		}
		m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
		kb, _ := strconv.Atoi(string(m[1]))
		return kb / 1024
	}
	for range 3 {
		_, _ = login(t, p.url, "nobody", wrongPass) // a hash takes its memory
	}
	var names bytes.Buffer
	names.WriteString(`{"x":0`)
	for i := range 1_000_000 {
		fmt.Fprintf(&names, `,"%d":0`, i)
	}
	names.WriteString("}")
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	arrays := `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	before := peak()
	var running sync.WaitGroup
	for i := range 12 {
		running.Go(func() {
			path := []string{"/v1/auth", "/user/login", "/user/passport", "/v1/auth/refreshtoken"}[i%4]
			for _, body := range []string{names.String(), deep, arrays, deep[:60_000]} {
				for _, reader := range []io.Reader{strings.NewReader(body), io.MultiReader(strings.NewReader(body))} { // the second has no length
					res, err := http.Post(p.url+path, "application/json", reader)
					if err != nil {
						continue // it was cut off while we were writing
					}
					res.Body.Close()
					if res.StatusCode != http.StatusRequestEntityTooLarge && res.StatusCode != http.StatusBadRequest {
						t.Errorf("%s: %d", path, res.StatusCode)
					}
				}
			}
		})
	}
	running.Wait()
	if after := peak(); after > before+48 {
		t.Errorf("it grew from %d MiB to %d MiB", before, after)
	}
	if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
}

// Logins that are in flight at SIGTERM are finished, all of them, and no other is begun.
func TestThreat68_DrainsLogins(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--hash-slots", "1", "--hash-wait", "1m")
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	if status, answer := login(t, p.url, "ada", diskPass); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	const many = 40 // one after the other they take a while
	body := jsonOf("username", "ada", "password", diskPass)
	conns := make([]net.Conn, many)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", strings.TrimPrefix(p.url, "http://")); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		_ = conns[i].SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conns[i], "POST /v1/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5])
	}
	idle, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for _, conn := range conns { // an answer to the first shows that the server reads
		if _, err := io.WriteString(conn, body[5:]); err != nil {
			t.Fatal(err)
		}
	}
	first, err := http.ReadResponse(bufio.NewReader(conns[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	if first.StatusCode != http.StatusOK {
		t.Fatal(first.Status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	p.waitFor(t, "msg=stopping")
	passed := 1
	for _, conn := range conns[1:] {
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("a login in flight: %v", err)
			continue
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("a login in flight: %d", res.StatusCode)
			continue
		}
		passed++
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://")); err == nil {
		t.Error("it takes connections after its end")
	}
	list := must(t, "", "session", "list", "--data", data, "--json")
	if n := strings.Count(list, "\n"); n != passed+1 {
		t.Errorf("%d sessions, %d logins were answered", n, passed+1)
	}
}

// A server that is stopped and started while clients work: what it answered before, counts
// after. Sessions live, refresh tokens go on, spent budgets stay spent.
func TestThreat68_RestartUnderLoad(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	for _, name := range []string{"ada", "bob"} {
		must(t, diskPass, "account", "create", "--data", data, "--username", name, "--password-stdin")
	}
	var url atomic.Pointer[string]
	url.Store(&p.url)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var mu sync.Mutex
	var tokens []string
	var running sync.WaitGroup
	for range 3 {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
		refresh := ""
		running.Go(func() {
			for ctx.Err() == nil {
				body, path := jsonOf("username", "ada", "password", diskPass), "/v1/auth"
				if refresh != "" {
					body, path = jsonOf("refreshtoken", refresh), "/v1/auth/refreshtoken"
				}
				status, answer, err := post(client, *url.Load()+path, body)
				if err != nil {
					time.Sleep(5 * time.Millisecond) // there is nobody just now
					continue
				}
				if status != http.StatusOK {
					t.Errorf("%s: %d %s", path, status, answer)
					return
				}
				_, rest, _ := strings.Cut(answer, `"refreshToken":"`)
				refresh, _, _ = strings.Cut(rest, `"`)
				mu.Lock()
				tokens = append(tokens, accessOf(answer))
				mu.Unlock()
			}
		})
	}
	for range 7 {
		_ = guess(t, p.url, "bob")
	}
	for range 4 {
		time.Sleep(150 * time.Millisecond)
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		p = serve(t, data)
		url.Store(&p.url)
	}
	end()
	running.Wait()
	if len(tokens) < 8 {
		t.Errorf("only %d answers", len(tokens))
	}
	for _, token := range tokens {
		if status := get(t, p.url+"/ostiary/whoami", "Authorization: Bearer "+token); status != http.StatusOK {
			t.Fatalf("a token of before: %d", status)
		}
	}
	show := must(t, "", "account", "show", "bob", "--data", data, "--json")
	if m := failures.FindStringSubmatch(show); m == nil || m[1] < "5" {
		t.Errorf("the guesses at bob are forgotten: %s", show)
	}
	t.Logf("%d answers around four restarts", len(tokens))
}
