package main

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/legacy/legacytest"
	"github.com/ostiary/ostiary/internal/totp"
)

// sent counts what an old server was asked meanwhile.
func (o *takeover) sent(dialect string, fn func()) int {
	o.Helper()
	_, before := o.relays[dialect].last()
	fn()
	_, after := o.relays[dialect].last()
	return after - before
}

// An old server that says neither yes nor no has not answered: the client gets 503 in the
// dialect's shape, nothing is charged, and nothing that it said gets through.
func TestShadow_Faults(t *testing.T) {
	t.Parallel()
	o := takeOver(t, "mode = \"shadow\"\nlegacy_timeout = \"500ms\"", []legacytest.Account{adaThere, bobThere}, "senmo")
	old := o.relays["senmo"].old
	for _, fault := range []string{"hang", "reset", "cut", "garbage", "html", "forbidden", "empty", "types", "two", "huge", "redirect", "throttle", "error", "down"} {
		if res, text := o.signIn("senmo", "ada", oldPass); res.StatusCode != http.StatusOK { // it closes the breaker, too
			t.Fatalf("before %s: %d %s", fault, res.StatusCode, text)
		}
		old.Fault(t, fault)
		res, text := o.signIn("senmo", "ada", oldPass)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || memberOf(t, text, "statusMessage") != "Service Unavailable" || res.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v %.300s", fault, res.StatusCode, res.Header, text)
		}
		old.Fault(t, "")
	}
	old.Fault(t, "other")
	res, text := o.signIn("senmo", "ada", oldPass)
	if last, _ := o.relays["senmo"].last(); res.StatusCode != http.StatusOK || text != last.body {
		t.Errorf("somebody else's tokens: %d %s", res.StatusCode, text)
	}
	for range 6 {
		old.Fault(t, "down")
		_, _ = o.signIn("senmo", "ada", oldPass)
	}
	old.Fault(t, "")
	if n := o.sent("senmo", func() { res, _ = o.signIn("senmo", "ada", oldPass) }); n != 0 || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a server that has failed six times in a row was asked %d times: %d", n, res.StatusCode)
	}
	for range 600 {
		if res, _ = o.signIn("senmo", "ada", oldPass); res.StatusCode == http.StatusOK {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if res.StatusCode != http.StatusOK {
		t.Errorf("a server that works again is not asked: %d", res.StatusCode)
	}
	if list := must(t, "", "budget", "list", "--json", "--all", "--data", o.data); list != "" {
		t.Errorf("charged: %s", list)
	}
	if n := o.audited("adoption_refused", "other_"); n != 1 {
		t.Errorf("%d answers about somebody else are in the audit log", n)
	}
	rows, _, report := o.parity()
	if rows["senmo /v1/auth unavailable "] < 20 {
		t.Errorf("the report has %s", report)
	}
}

// What must not be sent is answered here.
func TestShadow_NeverSent(t *testing.T) {
	t.Parallel()
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{adaThere}, "senmo")
	res, text := o.signIn("senmo", "ada", oldPass)
	if res.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	token := jsonOf("refreshtoken", memberOf(t, text, "tokens", "refreshToken"))
	refused := func(what string, want int, ask func() (*reply, string)) {
		t.Helper()
		var res *reply
		var text string
		if n := o.sent("senmo", func() { res, text = ask() }); n != 0 || res.StatusCode != want {
			t.Errorf("%s: the old server was asked %d times, and the answer is %d %s", what, n, res.StatusCode, text)
		}
	}
	right := func() (*reply, string) { return o.signIn("senmo", "ada", oldPass) }
	must(t, "", "account", "disable", "ada", "--data", o.data)
	refused("a disabled account", http.StatusBadRequest, right)
	refresh := func() (*reply, string) { return o.post("/v1/auth/refreshtoken", token, "") }
	refused("the refresh token of a disabled account", http.StatusBadRequest, refresh)
	must(t, "", "account", "enable", "ada", "--data", o.data)
	refused("the refresh token of a session that was ended", http.StatusBadRequest, refresh)
	must(t, "", "account", "delete", "ada", "--data", o.data)
	refused("a deleted account", http.StatusBadRequest, right)
	for _, name := range []string{"a da", "ada\u200b", " ada", ""} {
		refused("a name that is none", http.StatusBadRequest, func() (*reply, string) { return o.signIn("senmo", name, "guess") })
	}
	for what, body := range map[string]string{
		"two passwords":          `{"username":"eve","password":"a","password":"b"}`,
		"two names":              `{"username":"eve","password":"a","email":"ada"}`,
		"a password spelled big": `{"username":"eve","password":"a","Password":"b"}`,
		"a code, not documented": `{"username":"eve","password":"a","otp":"123456"}`,
	} {
		refused(what, http.StatusBadRequest, func() (*reply, string) { return o.post("/v1/auth", body, "") })
	}
	refused("a body in another encoding", http.StatusUnsupportedMediaType, func() (*reply, string) {
		return o.post("/v1/auth", `{"username":"eve","password":"a"}`, "", "Content-Encoding", "deflate")
	})
	rows, _, report := o.parity()
	if rows["senmo /v1/auth unreadable invalid_input"] != 4 || rows["senmo /v1/auth unreadable unsupported_type"] != 1 || rows["senmo /v1/auth refused bad_credentials"] != 6 {
		t.Errorf("the report has %s", report)
	}
}

// The report finds what an operator has to know before the cut-over; and what the old server
// lets in alone has no session here.
func TestShadow_Verdicts(t *testing.T) {
	t.Parallel()
	text32 := func(secret []byte) string {
		return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	}
	right, wrong := bytes.Repeat([]byte("r"), 20), bytes.Repeat([]byte("w"), 20)
	there := func(name, subject, secret string) legacytest.Account {
		return legacytest.Account{Username: name, Email: name + "@example.com", Password: oldPass, DisplayName: name, Org: "acme", Subject: subject, TOTP: secret}
	}
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{
		there("bob", "21", text32(right)), there("cyd", "22", text32(right)), there("dan", "23", ""), there("eve", "24", ""), there("fay", "25", text32(right)),
	}, fourDialects...)
	lines := ""
	for _, a := range []map[string]any{
		{"username": "bob", "source": "mikrocloud", "pending": true, "totp_secret": text32(wrong)},
		{"username": "cyd", "source": "mikrocloud", "pending": true, "totp_secret": text32(right)},
		{"username": "dan", "source": "senmo", "password_hash": "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$J9nB4yEkqIaxmQ6J6rT1mWQo0pLkqyXxDCn2jrwYl5Q"},
		{"username": "eve", "source": "senmo", "pending": true},
	} {
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		lines += string(line) + "\n"
	}
	must(t, lines, "account", "import", "-", "--data", o.data)
	passport := func(name, code string) (int, string) {
		t.Helper()
		res, text := o.signIn("mikrocloud", name, oldPass)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", name, res.StatusCode, text)
		}
		res, text = o.post("/user/passport", jsonOf("totp", code, "token", memberOf(t, text, "token")), "")
		if res.StatusCode != http.StatusOK {
			return res.StatusCode, ""
		}
		return res.StatusCode, memberOf(t, text, "auth_token")
	}
	code := func() string { return totp.Code(right, totp.Step(time.Now())) }
	for name, good := range map[string]int{"bob": http.StatusUnauthorized, "cyd": http.StatusOK, "fay": http.StatusOK} {
		status, token := passport(name, code())
		if status != http.StatusOK || verifies(t, o.p.url, token) != good {
			t.Errorf("%s: %d, and the token is answered %d here, not %d", name, status, verifies(t, o.p.url, token), good)
		}
	}
	if status, _ := passport("cyd", "000000"); status != http.StatusUnauthorized {
		t.Errorf("a wrong code: %d", status)
	}
	for _, name := range []string{"dan", "eve"} {
		if res, text := o.signIn("senmo", name, oldPass); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", name, res.StatusCode, text)
		}
	}
	must(t, "Nordföhn-q8-Karwendel", "account", "set-password", "eve", "--password-stdin", "--data", o.data)
	res, text := o.signIn("senmo", "eve", oldPass) // which the old server still lets in
	if res.StatusCode != http.StatusOK {
		t.Fatalf("eve: %d %s", res.StatusCode, text)
	}
	leaked := memberOf(t, text, "tokens", "refreshToken")
	o.relays["nomic"].alter(func(p *passing) { p.status = http.StatusCreated })
	o.relays["cloudio"].alter(func(p *passing) {
		p.body = strings.Replace(p.body, `"orgUid":"acme"`, `"orgUid":null`, 1)
		p.header.Set("Set-Cookie", "lb=1")
	})
	for _, d := range []string{"nomic", "cloudio"} {
		o.relays[d].old.Set(t, legacytest.Setting{Accounts: []legacytest.Account{there("gus."+d, "300", "")}})
		if res, text := o.signIn(d, "gus."+d, oldPass); res.StatusCode/100 != 2 {
			t.Fatalf("%s: %d %s", d, res.StatusCode, text)
		}
	}
	o.mode(`mode = "own"`)
	if res, text := o.post("/v1/auth/refreshtoken", jsonOf("refreshtoken", leaked), ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a token for a password that was reset here is good after the cut-over: %d %s", res.StatusCode, text)
	}
	if res, text := o.signIn("senmo", "eve", oldPass); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a password that was reset here is good after the cut-over: %d %s", res.StatusCode, text)
	}
	if res, text := o.signIn("senmo", "dan", oldPass); res.StatusCode != http.StatusOK {
		t.Errorf("a password that was learned is not good after the cut-over: %d %s", res.StatusCode, text)
	}
	_, text = o.signIn("mikrocloud", "fay", oldPass)
	res, _ = o.post("/user/passport", `{"totp":null,"token":"`+memberOf(t, text, "token")+`"}`, "")
	if !strings.Contains(text, `"mfa_enabled":true`) || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a second factor that the old server asks for is none after the cut-over: %s, %d", text, res.StatusCode)
	}
	for _, kind := range []struct{ kind, detail string }{{"legacy_signed_in", "wrong_code"}, {"legacy_signed_in", "wrong_password"}, {"password_learned", "other"}, {"factor_failed", "legacy_refused"}} {
		if o.audited(kind.kind, kind.detail) == 0 {
			t.Errorf("%s %s is not in the audit log", kind.kind, kind.detail)
		}
	}
	rows, verdict, report := o.parity()
	for _, want := range []string{
		"mikrocloud /user/passport verdict accepted there, wrong_code here", "mikrocloud /user/passport same ", "mikrocloud /user/login learned password_pending",
		"senmo /v1/auth learned wrong_password", "senmo /v1/auth verdict accepted there, wrong_password here",
		"nomic /api/auth/token status 201 there, 200 here", "cloudio /v1/auth type orgUid: null there, string here", "cloudio /v1/auth header Set-Cookie",
	} {
		if rows[want] == 0 {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if verdict.Safe {
		t.Errorf("the verdict is %+v", verdict)
	}
	o.clean(report, oldPass, leaked)
}

// Codes are guessed at under the budget of the account's second factor, whether or not the
// ticket was given through this server.
func TestShadow_GuessedCodes(t *testing.T) {
	t.Parallel()
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(bytes.Repeat([]byte("r"), 20))
	account := adaThere
	account.TOTP = secret
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{account}, "mikrocloud")
	guess := func(n int, ticket func() string) (sent int) {
		return o.sent("mikrocloud", func() {
			for range n {
				if res, text := o.post("/user/passport", jsonOf("totp", "000000", "token", ticket()), ""); res.StatusCode == http.StatusOK {
					t.Errorf("a wrong code: %s", text)
				}
			}
		})
	}
	_, text, err := post(http.DefaultClient, o.relays["mikrocloud"].old.URL+"/user/login", jsonOf("email", "ada", "password", oldPass))
	if err != nil {
		t.Fatal(err)
	}
	direct := memberOf(t, text, "token")
	if n := guess(20, func() string { return direct }); n > 11 {
		t.Errorf("the old server has seen %d codes with a ticket that it gave itself", n)
	}
	tickets := 0
	n := guess(24, func() string {
		res, text := o.signIn("mikrocloud", "ada", oldPass)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("login: %d %s", res.StatusCode, text)
		}
		tickets++
		return memberOf(t, text, "token")
	})
	if n-tickets > 11 {
		t.Errorf("the old server has seen %d codes with tickets that went through", n-tickets)
	}
}

// A ticket of the old server, which asks for no code, is no way round a second factor that is
// confirmed here, once the mount is ours.
func TestShadow_TicketAndFactor(t *testing.T) {
	t.Parallel()
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{bobThere}, "mikrocloud")
	o.signIn("mikrocloud", "bob", oldPass+"bob") // is here from now on
	uri, _, _ := strings.Cut(must(t, "", "mfa", "enroll", "bob", "--data", o.data, "--config", o.config), "\n")
	must(t, "", "mfa", "confirm", "bob", "--code", totp.Code(secretOf(t, uri), totp.Step(time.Now())), "--data", o.data, "--config", o.config)
	_, text := o.signIn("mikrocloud", "bob", oldPass+"bob")
	ticket := memberOf(t, text, "token")
	o.mode(`mode = "own"`)
	if res, text := o.post("/user/passport", `{"totp":"000000","token":"`+ticket+`"}`, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

// Going over, back, and over again is one setting each time, and no client is logged out:
// a token is answered by whoever issued it, and at the end by Ostiary.
func TestSplit_BackAndForth(t *testing.T) {
	t.Parallel()
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{adaThere, bobThere}, "senmo", "mikrocloud")
	signIn := func(name, password string, there bool) (access, refresh string) {
		t.Helper()
		var text string
		n := o.sent("senmo", func() { _, text = o.signIn("senmo", name, password) })
		if (n > 0) != there {
			t.Errorf("%s signs in: the old server was asked %d times", name, n)
		}
		return memberOf(t, text, "tokens", "accessToken"), memberOf(t, text, "tokens", "refreshToken")
	}
	refresh := func(what, token string, there bool) string {
		t.Helper()
		var res *reply
		var text string
		n := o.sent("senmo", func() { res, text = o.post("/v1/auth/refreshtoken", jsonOf("refreshtoken", token), "") })
		if res.StatusCode != http.StatusOK || (n > 0) != there {
			t.Fatalf("%s: %d %s, the old server was asked %d times", what, res.StatusCode, text, n)
		}
		return memberOf(t, text, "tokens", "refreshToken")
	}
	_, theirs := signIn("ada", oldPass, true)
	_, direct := signIn("ada", oldPass, true)
	_, once := signIn("ada", oldPass, true)
	once = refresh("an old token", once, true)
	_, text, err := post(http.DefaultClient, o.relays["senmo"].old.URL+"/v1/auth", jsonOf("username", "ada", "password", oldPass))
	if err != nil {
		t.Fatal(err)
	}
	past := refresh("a token from before the shadow", memberOf(t, text, "tokens", "refreshToken"), true)
	_, text = o.signIn("mikrocloud", "bob", oldPass+"bob")
	ticket := memberOf(t, text, "token")

	o.mode("mode = \"split\"\nsplit_accounts = [\"ada@example.com\"]")
	access, ours := signIn("ada", oldPass, false)
	signIn("bob", oldPass+"bob", true)
	signIn("bob@example.com", oldPass+"bob", true)
	theirs = refresh("an old token, with split", theirs, true)
	ours = refresh("a token of ours, with split", ours, false)
	res, text := o.post("/user/passport", `{"totp":null,"token":"`+ticket+`"}`, "")
	if last, _ := o.relays["mikrocloud"].last(); res.StatusCode != http.StatusOK || text != last.body {
		t.Errorf("a ticket from before: %d %s", res.StatusCode, text)
	}
	opaque := memberOf(t, text, "auth_token")

	o.mode(`mode = "shadow"`)
	ours = refresh("a token of ours, back in the shadow", ours, false)
	theirs = refresh("an old token, back in the shadow", theirs, true)
	_, text = o.signIn("mikrocloud", "bob", oldPass+"bob")
	ticket = memberOf(t, text, "token")

	o.mode(`mode = "own"`)
	theirs = refresh("an old token after the cut-over", theirs, false)
	for _, old := range []string{direct, once, past} {
		refresh("another old token after the cut-over", old, false)
	}
	ours = refresh("a token of ours after the cut-over", ours, false)
	if res, text := o.post("/user/passport", `{"totp":null,"token":"`+ticket+`"}`, ""); res.StatusCode != http.StatusOK {
		t.Errorf("a ticket of the old server after the cut-over: %d %s", res.StatusCode, text)
	}
	_, text = o.signIn("mikrocloud", "bob", oldPass+"bob")
	ticket = memberOf(t, text, "token")

	o.mode(`mode = "shadow"`)
	n := o.sent("mikrocloud", func() { res, text = o.post("/user/passport", `{"totp":null,"token":"`+ticket+`"}`, "") })
	if res.StatusCode != http.StatusOK || n != 0 {
		t.Errorf("a ticket of ours, back in the shadow: %d %s, the old server was asked %d times", res.StatusCode, text, n)
	}
	refresh("what an old token became, back in the shadow", theirs, false)
	refresh("a token of ours, back in the shadow again", ours, false)
	for what, token := range map[string]string{"an access token of ours": access, "an opaque token of the old server": opaque} {
		if status := verifies(t, o.p.url, token); status != http.StatusOK {
			t.Errorf("%s: %d", what, status)
		}
	}
}
