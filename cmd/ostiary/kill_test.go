package main

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/totp"
)

const (
	kills      = 15
	ledgers    = 3
	ledgerPass = "the password of every ledger"
)

// A ledger writes down what a server acknowledged to one client.
type ledger struct {
	t      *testing.T
	data   string
	client *http.Client
	plain  string // an account with a password alone
	strong string // an account with a second factor

	accounts []string // made by the command line
	access   []string // live access tokens
	tickets  []string // spent
	codes    []string // recovery codes, spent
	fresh    []string // recovery codes not yet tried
	parent   string   // the refresh token that last was given for
	last     string
	steps    int
	entries  []string // that the audit log must have once: a kind and the tag of a token
}

// What was acknowledged before a SIGKILL is there after it, what was not is whole or
// absent, and one-time values stay spent.
func TestThreat63_KillLosesNothingAcknowledged(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	flags := []string{"--guess-account", "0", "--guess-source", "0", "--guess-factor", "0"}
	p := serve(t, data, flags...)
	all := make([]*ledger, ledgers)
	for i := range all {
		all[i] = newLedger(t, data, i)
	}
	for round := range kills {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for _, l := range all {
			wg.Go(func() { l.work(p.url, stop) })
		}
		time.Sleep(time.Duration(40+rand.IntN(300)) * time.Millisecond)
		p.kill()
		close(stop)
		wg.Wait()
		p = serve(t, data, flags...)
		for _, l := range all {
			wg.Go(func() { l.audit(p.url) })
		}
		wg.Wait()
		if out, _, status := command(t, "", "audit", "verify", "--data", data); status != 0 {
			t.Errorf("audit verify: %s", out)
		}
		if t.Failed() {
			t.Fatalf("after kill %d of %d:\n%s", round+1, kills, p.err.String())
		}
	}
	steps := 0
	for _, l := range all {
		l.theft(p.url)
		steps += l.steps
	}
	must(t, "", "doctor", "--data", data)
	recorded(t, data, all)
	if steps < kills {
		t.Errorf("only %d steps were acknowledged", steps)
	}
	t.Logf("%d steps acknowledged around %d kills", steps, kills)
}

func newLedger(t *testing.T, data string, i int) *ledger {
	l := &ledger{t: t, data: data, plain: fmt.Sprintf("plain%d@example.com", i), strong: fmt.Sprintf("strong%d@example.com", i)}
	l.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	for _, email := range []string{l.plain, l.strong} {
		must(t, ledgerPass, "account", "create", "--data", data, "--email", email, "--password-stdin")
	}
	uri, _, _ := strings.Cut(must(t, "", "mfa", "enroll", l.strong, "--data", data), "\n")
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	must(t, "", "mfa", "confirm", l.strong, "--data", data, "--code", totp.Code(secret, totp.Step(time.Now())))
	l.refill()
	return l
}

func (l *ledger) refill() {
	out, _, status := command(l.t, "", "mfa", "recovery", l.strong, "--data", l.data)
	if status != 0 {
		l.t.Error("no recovery codes")
		return
	}
	l.fresh = strings.Fields(out)
}

// send returns false if there was no answer, whatever became of the request.
func (l *ledger) send(url, body string) (status int, members map[string]any, ok bool) {
	status, answer, err := post(l.client, url, body)
	if err != nil {
		return 0, nil, false
	}
	if err := json.Unmarshal([]byte(answer), &members); err != nil {
		l.t.Errorf("%s: %d: %q: %v", url, status, answer, err)
		return 0, nil, false
	}
	return status, members, true
}

// work does what clients do until the server is gone.
func (l *ledger) work(url string, stop <-chan struct{}) {
	alive := true
	for alive {
		select {
		case <-stop:
			return
		default:
		}
		switch n := rand.IntN(10); {
		case n == 0:
			alive = l.create()
		case n == 1 || l.last == "":
			alive = l.signIn(url)
		case n <= 5:
			alive = l.refresh(url)
		case n <= 7:
			alive = l.passport(url, l.plain, "")
		default:
			if len(l.fresh) == 0 {
				l.refill()
			}
			code := l.fresh[0]
			l.fresh = l.fresh[1:] // whether it was spent is known only if there is an answer
			alive = l.passport(url, l.strong, code)
		}
	}
}

// create makes an account beside the server.
func (l *ledger) create() bool {
	name := fmt.Sprintf("made-%s-%d", strings.SplitN(l.plain, "@", 2)[0], len(l.accounts))
	if _, errOut, status := command(l.t, "", "account", "create", "--data", l.data, "--username", name, "--no-password"); status != 0 {
		l.t.Errorf("account create: %s", errOut)
		return false
	}
	l.accounts = append(l.accounts, name)
	l.steps++
	return true
}

func (l *ledger) signIn(url string) bool {
	status, members, ok := l.send(url+"/v1/auth", fmt.Sprintf(`{"username":%q,"password":%q}`, l.plain, ledgerPass))
	if ok && status != http.StatusOK {
		l.t.Errorf("sign-in: %d %v", status, members)
	}
	if !ok || status != http.StatusOK {
		return false
	}
	l.parent, l.last = "", l.tokens(members)
	return true
}

// tokens writes down an answer with tokens and returns its refresh token.
func (l *ledger) tokens(members map[string]any) string {
	tokens := members["tokens"].(map[string]any)
	l.access = append(l.access, tokens["accessToken"].(string))
	l.steps++
	return tokens["refreshToken"].(string)
}

func (l *ledger) refresh(url string) bool {
	status, members, ok := l.send(url+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, l.last))
	if ok && status != http.StatusOK {
		l.t.Errorf("refresh: %d %v", status, members)
	}
	if !ok || status != http.StatusOK {
		return false
	}
	l.entries = append(l.entries, "token_refreshed "+audit.TokenTag(l.last))
	l.parent, l.last = l.last, l.tokens(members)
	return true
}

// ticket is the first step of a login at mikrocloud.
func (l *ledger) ticket(url, email string) (string, bool) {
	status, members, ok := l.send(url+"/user/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, ledgerPass))
	if ok && status != http.StatusOK {
		l.t.Errorf("login: %d %v", status, members)
	}
	if !ok || status != http.StatusOK {
		return "", false
	}
	return members["token"].(string), true
}

func (l *ledger) passport(url, email, code string) bool {
	ticket, ok := l.ticket(url, email)
	if !ok {
		return false
	}
	status, members, ok := l.send(url+"/user/passport", fmt.Sprintf(`{"token":%q,"totp":%q}`, ticket, code))
	if ok && status != http.StatusOK {
		l.t.Errorf("passport: %d %v", status, members)
	}
	if !ok || status != http.StatusOK {
		return false
	}
	l.access = append(l.access, members["auth_token"].(string))
	l.tickets = append(l.tickets, ticket)
	l.entries = append(l.entries, "password_passed "+audit.TokenTag(ticket), "signed_in "+audit.TokenTag(members["auth_token"].(string)))
	if code != "" {
		l.codes = append(l.codes, code)
	}
	l.steps++
	return true
}

// audit compares the ledger with the server that came after.
func (l *ledger) audit(url string) {
	t := l.t
	list, errOut, status := command(t, "", "account", "list", "--data", l.data, "--json")
	if status != 0 {
		t.Errorf("account list: %s", errOut)
	}
	for _, name := range l.accounts {
		if !strings.Contains(list, `"username":"`+name+`"`) {
			t.Errorf("the account %s, which was acknowledged, is gone", name)
		}
	}
	for _, token := range l.access {
		req, err := http.NewRequest(http.MethodGet, url+"/ostiary/whoami", nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := l.client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("a session that was acknowledged is gone: %d", res.StatusCode)
		}
	}
	for _, ticket := range l.tickets {
		if status, _, ok := l.send(url+"/user/passport", fmt.Sprintf(`{"token":%q,"totp":null}`, ticket)); !ok || status != http.StatusUnauthorized {
			t.Errorf("a spent ticket is answered %d", status)
		}
	}
	for _, code := range l.codes {
		ticket, ok := l.ticket(url, l.strong)
		if !ok {
			t.Error("no ticket")
			return
		}
		if status, _, ok := l.send(url+"/user/passport", fmt.Sprintf(`{"token":%q,"totp":%q}`, ticket, code)); !ok || status != http.StatusUnauthorized {
			t.Errorf("a spent recovery code is answered %d", status)
		}
	}
	l.codes, l.tickets, l.access = tail(l.codes), tail(l.tickets), tail(l.access)
	if l.last != "" {
		l.auditChain(url)
	}
}

// tail keeps the length of the test from growing with the square of its steps: what has
// survived several kills is looked at no more.
func tail(list []string) []string {
	const keep = 12
	return list[max(0, len(list)-keep):]
}

// auditChain: the token of the last answer works, whatever became of a refresh in
// flight, and presented once more it gets the same successor.
func (l *ledger) auditChain(url string) {
	if !l.refresh(url) {
		return
	}
	status, members, ok := l.send(url+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, l.parent))
	if !ok || status != http.StatusOK {
		l.t.Errorf("a retry after a lost answer: %d %v", status, members)
	} else if l.tokens(members) != l.last {
		l.t.Error("a retry got another successor")
	}
}

// recorded sees that the audit log has everything that was acknowledged, and once.
func recorded(t *testing.T, data string, all []*ledger) {
	t.Helper()
	list := must(t, "", "audit", "list", "--data", data, "--json", "--kind", "token_refreshed", "--kind", "password_passed", "--kind", "signed_in")
	count := map[string]int{}
	for line := range strings.Lines(list) {
		var e struct{ Kind, Token, Detail string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Detail != "retry" {
			count[e.Kind+" "+e.Token]++
		}
	}
	checked := 0
	for _, l := range all {
		for _, entry := range l.entries {
			if checked++; count[entry] != 1 {
				t.Errorf("the audit log has %d times: %s", count[entry], entry)
			}
		}
	}
	t.Logf("%d acknowledged entries of the audit log", checked)
}

// theft: a token that is two generations old ends the session.
func (l *ledger) theft(url string) {
	if l.last == "" && !l.signIn(url) || !l.refresh(url) {
		l.t.Error("no chain")
		return
	}
	old := l.parent
	if !l.refresh(url) {
		return
	}
	for _, token := range []string{old, l.last} {
		if status, members, ok := l.send(url+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, token)); !ok || status != http.StatusBadRequest {
			l.t.Errorf("after a theft: %d %v", status, members)
		}
	}
}

// A first start that is killed at any moment is finished by the next one.
func TestThreat63_KillDuringFirstStart(t *testing.T) {
	for range 4 {
		data := filepath.Join(t.TempDir(), "data")
		for range 6 {
			cmd := exec.Command("ostiary", "serve", "--data", data, "--listen", "127.0.0.1:0")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		p := serve(t, data)
		must(t, ledgerPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
		if status, answer := login(t, p.url, "ada", ledgerPass); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
		if out := must(t, "", "realm", "list", "--data", data, "--json"); strings.Count(out, "\n") != 1 {
			t.Errorf("realms: %s", out)
		}
		must(t, "", "doctor", "--data", data)
		p.kill()
	}
}
