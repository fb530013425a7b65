package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/legacy/legacytest"
)

const oldPass = "Mistral-kp3-Zugspitze"

// passing is one exchange between Ostiary and an old server.
type passing struct {
	path, sent string
	asked      http.Header
	status     int
	header     http.Header
	body       string
}

// relay stands before an old server, and keeps what goes by.
type relay struct {
	*httptest.Server
	old    *legacytest.Server
	mu     sync.Mutex
	all    []passing
	change func(p *passing) // of an answer; nil: nothing
}

func newRelay(t *testing.T, old *legacytest.Server) *relay {
	r := &relay{old: old}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		sent, _ := io.ReadAll(in.Body)
		out, err := http.NewRequestWithContext(in.Context(), in.Method, old.URL+in.URL.RequestURI(), strings.NewReader(string(sent)))
		if err != nil {
			panic(err)
		}
		out.Header = in.Header.Clone()
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		p := passing{in.URL.RequestURI(), string(sent), in.Header, res.StatusCode, res.Header, string(body)}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.change != nil {
			r.change(&p)
		}
		r.all = append(r.all, p)
		for name, values := range p.header {
			if name != "Content-Length" && name != "Connection" && name != "Keep-Alive" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(p.status)
		_, _ = io.WriteString(w, p.body)
	}))
	t.Cleanup(r.Close)
	return r
}

// last is the last exchange, and how many there were.
func (r *relay) last() (p passing, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n = len(r.all); n > 0 {
		p = r.all[n-1]
	}
	return p, n
}

func (r *relay) alter(change func(p *passing)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = change
}

// takeover is a server whose mounts take over from old ones.
type takeover struct {
	*testing.T
	p            *process
	data, config string
	relays       map[string]*relay
}

func takeOver(t *testing.T, mount string, accounts []legacytest.Account, dialects ...string) *takeover {
	o := &takeover{T: t, data: filepath.Join(t.TempDir(), "data"), config: filepath.Join(t.TempDir(), "ostiary.toml"), relays: map[string]*relay{}}
	for _, d := range dialects {
		o.relays[d] = newRelay(t, legacytest.Start(t, d, accounts))
	}
	o.write(mount)
	o.p = serve(t, o.data, "--config", o.config, "--log-level", "debug")
	return o
}

// write writes the configuration: settings of every mount.
func (o *takeover) write(mount string) {
	o.Helper()
	var text strings.Builder
	for d, r := range o.relays {
		fmt.Fprintf(&text, "[[mount]]\ndialect = %q\nlegacy = %q\n%s\n", d, r.URL, mount)
	}
	if err := os.WriteFile(o.config, []byte(text.String()), 0o600); err != nil {
		o.Fatal(err)
	}
}

// mode has the server take other settings.
func (o *takeover) mode(mount string) {
	o.Helper()
	before := strings.Count(o.p.err.String(), "configuration reloaded")
	o.write(mount)
	_ = o.p.Cmd.Process.Signal(syscall.SIGHUP)
	for range 3000 {
		if strings.Count(o.p.err.String(), "configuration reloaded") > before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	o.Fatalf("not reloaded:\n%s", o.p.err.String())
}

// reply is the beginning of an answer.
type reply struct {
	StatusCode int
	Header     http.Header
}

// post sends a body, with a credential in Authorization if there is one.
func (o *takeover) post(path, body, credential string, more ...string) (*reply, string) {
	o.Helper()
	r, err := http.NewRequest(http.MethodPost, o.p.url+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("User-Agent", "old-client/1.2")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		o.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		o.Fatal(err)
	}
	return &reply{res.StatusCode, res.Header}, string(text)
}

// signIn is the one login of a dialect in one step, or the first of mikrocloud's two.
func (o *takeover) signIn(dialect, name, password string) (*reply, string) {
	o.Helper()
	switch dialect {
	case "cloudio":
		return o.post("/v1/auth", "{}", "Token "+basicOf(name, password))
	case "nomic":
		return o.post("/api/auth/token", "", "Basic "+basicOf(name, password))
	case "mikrocloud":
		return o.post("/user/login", jsonOf("email", name, "password", password), "")
	}
	return o.post("/v1/auth", jsonOf("username", name, "password", password), "")
}

// parity is the report, once the server has stored what it counted: it ends for that.
func (o *takeover) parity() (rows map[string]int64, verdict parityVerdict, text string) {
	o.Helper()
	if err := o.p.Stop(); err != nil {
		o.Fatal(err)
	}
	text, why, status := command(o, "", "parity", "--json", "--data", o.data)
	rows = map[string]int64{}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines[:len(lines)-1] {
		var row parityJSON
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			o.Fatal(err)
		}
		rows[strings.Join([]string{row.Dialect, row.Route, string(row.Kind), row.Detail}, " ")] += row.Requests
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &verdict); err != nil {
		o.Fatal(err)
	}
	if verdict.Safe != (status == 0) || verdict.Safe != (why == "") || !verdict.Safe && !strings.Contains(why, verdict.Why) {
		o.Errorf("status %d, %q, and the verdict is %+v", status, why, verdict)
	}
	return rows, verdict, text
}

// audited counts the entries of a kind and detail.
func (o *takeover) audited(kind, detail string) (n int) {
	o.Helper()
	for line := range strings.Lines(must(o, "", "audit", "list", "--kind", kind, "--json", "--data", o.data)) {
		var e struct{ Detail string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			o.Fatal(err)
		}
		if strings.HasPrefix(e.Detail, detail) {
			n++
		}
	}
	return n
}

// clean sees that nothing of the secrets is in what the server has kept and said. It has
// ended.
func (o *takeover) clean(report string, secrets ...string) {
	o.Helper()
	texts := map[string]string{
		"log": o.p.err.String(), "report": report, "audit log": must(o, "", "audit", "list", "--json", "--data", o.data),
	}
	files, err := os.ReadDir(o.data)
	if err != nil {
		o.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(o.data, f.Name()))
		if err != nil {
			o.Fatal(err)
		}
		texts[f.Name()] = string(b)
	}
	for d, r := range o.relays {
		for _, issued := range r.old.State(o).Issued {
			for _, text := range []string{issued.Token, issued.JWT, issued.CSRF, issued.ID, issued.Access} {
				if text != "" {
					secrets = append(secrets, text)
				}
			}
		}
		if len(secrets) < 3 {
			o.Errorf("%s: %d secrets", d, len(secrets))
		}
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				o.Errorf("%.20s… is in the %s: %.300q", secret, where, around(text, secret))
			}
		}
	}
}

var (
	adaThere = legacytest.Account{Username: "ada", Email: "ada@example.com", Password: oldPass, DisplayName: "Ada L", Org: "acme", Subject: "17"}
	bobThere = legacytest.Account{Username: "bob", Email: "bob@example.com", Password: oldPass + "bob", DisplayName: "Bob", Org: "acme", Subject: "18"}
)

var fourDialects = []string{"cloudio", "mikrocloud", "nomic", "senmo"}

// A shadowed client sees what the old server said, to the byte, and the old server what the
// client has sent: a refusal, a login, and what follows it.
func TestShadow_ByteForByte(t *testing.T) {
	t.Parallel()
	var accounts []legacytest.Account
	for i, d := range fourDialects {
		accounts = append(accounts, legacytest.Account{Username: "ada." + d, Email: d + "@example.com", Password: oldPass, DisplayName: "Ada L", Subject: fmt.Sprint(1000 + i)})
	}
	o := takeOver(t, `mode = "shadow"`, accounts, fourDialects...)
	compare := func(dialect, what string, res *reply, text string) passing {
		t.Helper()
		p, n := o.relays[dialect].last()
		if n == 0 {
			t.Fatalf("%s: %s: nothing was asked: %d %s", dialect, what, res.StatusCode, text)
		}
		if res.StatusCode != p.status || text != p.body {
			t.Errorf("%s: %s: got %d %s, the old server said %d %s", dialect, what, res.StatusCode, text, p.status, p.body)
		}
		for name, values := range p.header {
			if name != "Connection" && name != "Keep-Alive" && fmt.Sprint(res.Header[name]) != fmt.Sprint(values) {
				t.Errorf("%s: %s: %s is %q, the old server said %q", dialect, what, name, res.Header[name], values)
			}
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: %s: Cache-Control is %q", dialect, what, got)
		}
		for name := range res.Header {
			if p.header[name] == nil && name != "X-Content-Type-Options" && name != "Cache-Control" {
				t.Errorf("%s: %s: %s is ours", dialect, what, name)
			}
		}
		if agent := p.asked.Get("User-Agent"); agent != "old-client/1.2" {
			t.Errorf("%s: %s: sent on as %q", dialect, what, agent)
		}
		return p
	}
	for _, d := range fourDialects {
		name := "ada." + d
		o.relays[d].alter(func(p *passing) { p.header["X-Old"] = []string{"a", "b"} })
		res, text := o.signIn(d, name, "a wrong password")
		compare(d, "a wrong password", res, text)
		o.relays[d].alter(nil)
		res, text = o.signIn(d, "nobody", oldPass)
		compare(d, "an unknown name", res, text)
		res, text = o.signIn(d, name, oldPass)
		p := compare(d, "a login", res, text)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", d, res.StatusCode, text)
		}
		switch d {
		case "mikrocloud":
			if want := jsonOf("email", name, "password", oldPass); p.sent != want {
				t.Errorf("sent on: %s, want %s", p.sent, want)
			}
			ticket := memberOf(t, text, "token")
			res, text = o.post("/user/passport", `{"totp":null,"token":"`+ticket+`"}`, "")
			compare(d, "passport", res, text)
			if got := verifies(t, o.p.url, memberOf(t, text, "auth_token")); got != http.StatusOK {
				t.Errorf("the old server's token is answered %d here", got)
			}
			res, text = o.post("/user/passport", `{"totp":null,"token":"`+ticket+`"}`, "")
			compare(d, "passport once more", res, text)
		case "nomic":
			res, text = o.post("/api/auth/token", "", "Bearer "+memberOf(t, text, "token"))
			compare(d, "renewal", res, text)
			res, text = o.post("/api/auth/token", "", "Bearer a.b.c")
			compare(d, "a token that is none", res, text)
		case "senmo":
			res, text = o.post("/v1/auth/refreshtoken", jsonOf("refreshtoken", memberOf(t, text, "tokens", "refreshToken")), "")
			compare(d, "refresh", res, text)
			res, text = o.post("/v1/auth/refreshtoken", jsonOf("refreshtoken", "garbage"), "")
			compare(d, "a refresh token that is none", res, text)
		}
	}
	rows, verdict, text := o.parity()
	o.clean(text, oldPass, "a wrong password")
	shown := regexp.MustCompile(`msg="the legacy server answers otherwise" request_id=(\w+) dialect=senmo route=/v1/auth kind=header detail=X-Old`).FindAllStringSubmatch(o.p.err.String(), -1)
	if len(shown) != 1 || !strings.Contains(o.p.err.String(), "msg=request request_id="+shown[0][1]) {
		t.Errorf("the log shows %v", shown)
	}
	for _, want := range []string{
		"senmo /v1/auth missing tokens.idToken.claims.cognito:username", "cloudio /v1/auth value jwt.header.alg", "cloudio /v1/auth learned unknown_name",
		"mikrocloud /user/login same ", "mikrocloud /user/passport same ", "nomic /api/auth/token different ", "senmo /v1/auth header X-Old",
	} {
		if rows[want] == 0 {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if verdict.Safe || verdict.Compared < 15 || verdict.Differed == 0 {
		t.Errorf("the verdict is %+v", verdict)
	}
}

// Whoever guesses through a shadowed mount gets no further than at any other: the old server
// sees what the budgets let through, and each of these guesses is in the audit log.
func TestShadow_Budgets(t *testing.T) {
	t.Parallel()
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{adaThere}, "senmo")
	guess := func(n int, name func(i int) string) (throttled int) {
		var running sync.WaitGroup
		var mu sync.Mutex
		next := make(chan int)
		for range 16 {
			running.Go(func() {
				for i := range next {
					res, _ := o.signIn("senmo", name(i), fmt.Sprintf("guess %d", i))
					mu.Lock()
					if res.StatusCode == http.StatusTooManyRequests {
						throttled++
					}
					mu.Unlock()
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		running.Wait()
		return throttled
	}
	refused := guess(200, func(int) string { return "ada" })
	_, seen := o.relays["senmo"].last()
	if seen > 8 || refused < 190 {
		t.Errorf("of 200 guesses the old server has seen %d, and %d were refused", seen, refused)
	}
	guess(200, func(i int) string { return fmt.Sprintf("name%d", i) })
	_, seen = o.relays["senmo"].last()
	if seen > 60 {
		t.Errorf("of guesses at many names the old server has seen %d", seen)
	}
	if n := o.audited("sign_in_failed", "legacy_refused"); n != seen {
		t.Errorf("%d guesses were sent, and %d are in the audit log", seen, n)
	}
	rows, _, text := o.parity()
	if rows["senmo /v1/auth refused throttled"] < 300 || rows["senmo /v1/auth same "] != int64(seen) {
		t.Errorf("the report has %s", text)
	}
}
