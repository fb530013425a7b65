package verify

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

var doors = []string{"introspect", "revoke"}

// events are what the audit log of a realm holds.
func (h *house) events(t testing.TB, f auth.AuditFilter) []audit.Event {
	t.Helper()
	f.Limit = 10_000
	list, err := h.svc.ListAudit(t.Context(), h.one.ID, f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (h *house) guesses(t testing.TB, account uuid.UUID) (n int) {
	t.Helper()
	list, err := h.svc.BudgetOf(t.Context(), h.one.ID, account)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		n += b.Failures
	}
	return n
}

// formEncoded is a text as some clients encode it: all but letters and digits.
func formEncoded(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

func TestCaller_Readings(t *testing.T) {
	h := build(t)
	a, secret, err := h.svc.CreateAccount(t.Context(), h.one.ID, auth.NewAccount{
		Username: "gate-1", Email: "gate+1@example.com", Kind: auth.KindService,
	}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	h.give(t, "one", a.ID, auth.RoleIntrospect)
	s := string(secret)
	for what, pair := range map[string][2]string{
		"raw":                   {"gate-1", s},
		"another case":          {"GATE-1", s},
		"an address":            {"gate+1@example.com", s},
		"all encoded":           {formEncoded("gate-1"), formEncoded(s)},
		"an address, encoded":   {formEncoded("gate+1@example.com"), formEncoded(s)},
		"the name encoded":      {url.QueryEscape("gate+1@example.com"), s},
		"as encodeURIComponent": {"gate%2B1%40example.com", s},
		"the secret encoded":    {"gate-1", formEncoded(s)},
	} {
		h.ask(t, "POST", "/ostiary/introspect", "token=x", basic(pair[0], pair[1]), formType).is(t, what, 200, dead)
	}
	unpadded := strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("gate-1:"+s)), "=")
	h.ask(t, "POST", "/ostiary/introspect", "token=x", "Authorization: bASIC  "+unpadded).is(t, "unpadded, without a type", 200, dead)
	if n := h.guesses(t, a.ID); n != 0 || len(h.events(t, auth.AuditFilter{Kinds: []audit.Kind{audit.SignInFailed}})) != 0 {
		t.Errorf("%d guesses", n)
	}
}

func TestCaller_Refused(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	tok := h.token(t, h.login(t, "one/opaque", "ada"))
	form := url.Values{"token": {tok}}.Encode()
	foreign := h.service(t, "two", "gate", auth.RoleIntrospect, auth.RoleRevoke)
	for _, door := range doors {
		for what, header := range map[string]string{
			"nothing":               "X: y",
			"Basic alone":           "Authorization: Basic",
			"no base64":             "Authorization: Basic !!",
			"no colon":              "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("gate")),
			"the token as Bearer":   "Authorization: Bearer " + tok,
			"the secret as Bearer":  "Authorization: Bearer " + gate.secret,
			"the secret bare":       "Authorization: " + gate.secret,
			"Token":                 strings.Replace(basic("gate", gate.secret), "Basic", "Token", 1),
			"Authentication":        strings.Replace(basic("gate", gate.secret), "Authorization", "Authentication", 1),
			"no secret":             basic("gate", ""),
			"the token as secret":   basic("gate", tok),
			"the token as name":     basic(tok, ""),
			"a secret in lower":     basic("gate", strings.ToLower(gate.secret)),
			"a secret and more":     basic("gate", gate.secret+"x"),
			"encoded twice":         basic("gate", formEncoded(formEncoded(gate.secret))),
			"another realm's":       basic("gate", foreign.secret),
			"another name":          basic("ada", gate.secret),
			"no name":               basic("", gate.secret),
			"an unknown name":       basic("nobody", gate.secret),
			"the account's id":      basic(gate.ID.String(), gate.secret),
			"a name with a newline": basic("gate\n", gate.secret),
		} {
			h.ask(t, "POST", "/ostiary/"+door, form, header, formType).noCaller(t, door+", "+what)
		}
		// The other realm's is good there, and sees nothing of this one.
		a := h.ask(t, "POST", "/ostiary/"+door, form, basic("gate", foreign.secret), formType, "Host: "+hostTwo)
		want := map[string]string{"introspect": dead, "revoke": ""}[door]
		a.is(t, "the other realm's", 200, want)
		h.ask(t, "POST", "/ostiary/"+door, form, basic("gate", gate.secret), formType, "Host: "+hostTwo).
			problem(t, "this realm's there", 401, auth.CodeBadCredentials)
	}
	if a := h.ask(t, "GET", "/ostiary/whoami", "", "Authorization: Bearer "+tok); a.StatusCode != 200 {
		t.Errorf("the session was ended: %d", a.StatusCode)
	}
}

func TestCaller_Roles(t *testing.T) {
	h := build(t)
	for role, door := range map[string]string{auth.RoleIntrospect: "introspect", auth.RoleRevoke: "revoke"} {
		c := h.service(t, "one", "only-"+door, role)
		none := h.service(t, "one", "not-"+door)
		for _, other := range []string{"OSTIARY:" + strings.ToUpper(door), "Ostiary:" + door, door, "ostiary" + door} {
			// One that looks like the server's own can't be made any more.
			insert := func(tx auth.Tx) error { return tx.InsertRole(t.Context(), h.one.ID, other, h.clock.Now()) }
			if err := h.store.InTx(t.Context(), insert); err != nil {
				t.Fatal(err)
			}
			h.give(t, "one", none.ID, other)
		}
		for _, d := range doors {
			a := h.call(t, c, d, "x")
			if d == door {
				a.is(t, role, 200, map[string]string{"introspect": dead, "revoke": ""}[d])
			} else {
				a.problem(t, role+" at "+d, 403, auth.CodeForbidden)
			}
			a = h.call(t, none, d, "x")
			a.problem(t, "roles like "+role+" at "+d, 403, auth.CodeForbidden)
			if !strings.HasSuffix(a.body, `,"error":"unauthorized_client"}`) || a.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s %v", a.body, a.Header)
			}
		}
	}
}

// A person's password opens neither door: it would do so without the second factor. It is
// refused without a hash, and is no guess.
func TestCaller_PasswordUnseen(t *testing.T) {
	h := build(t)
	ada, bob := h.account(t, "one", "ada"), h.account(t, "one", "bob")
	h.give(t, "one", ada.ID, auth.RoleIntrospect)
	h.give(t, "one", ada.ID, auth.RoleRevoke)
	fastest := func(n int, do func()) time.Duration {
		best := time.Hour
		for range n {
			began := time.Now()
			do()
			best = min(best, time.Since(began))
		}
		return best
	}
	hash := fastest(5, func() { h.login(t, "one/plain", "ada") })
	before := len(h.events(t, auth.AuditFilter{}))
	for _, door := range doors {
		for _, pair := range [][2]string{{"ada", pass}, {"bob", pass}, {"ada", "wrong horse battery"}, {"nobody", pass}, {"ada@example.com", pass}} {
			took := fastest(10, func() {
				h.ask(t, "POST", "/ostiary/"+door, "token=x", basic(pair[0], pair[1]), formType).noCaller(t, door+" "+pair[0])
			})
			if took > hash/2 {
				t.Errorf("%s %v: %v, a hash takes %v", door, pair, took, hash)
			}
		}
	}
	if n := h.guesses(t, ada.ID) + h.guesses(t, bob.ID); n != 0 || len(h.events(t, auth.AuditFilter{})) != before {
		t.Errorf("%d guesses, %d events", n, len(h.events(t, auth.AuditFilter{}))-before)
	}
}

func TestCaller_WrongSecretIsAGuess(t *testing.T) {
	h := build(t)
	gate, robot := h.gate(t), h.service(t, "one", "robot")
	for i := range 7 {
		door := doors[i%2]
		wrong := caller{gate.Account, robot.secret}
		if i%3 == 2 {
			wrong.secret = formEncoded(wrong.secret)
		}
		a := h.call(t, wrong, door, "x")
		if i < 5 {
			a.noCaller(t, door)
			continue
		}
		a.problem(t, door, 429, auth.CodeThrottled)
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("%v", a.Header)
		}
		break
	}
	failed := h.events(t, auth.AuditFilter{Kinds: []audit.Kind{audit.SignInFailed}})
	if len(failed) != 5 || h.guesses(t, gate.ID) == 0 {
		t.Fatalf("%d events, %d guesses", len(failed), h.guesses(t, gate.ID))
	}
	if e := failed[0]; e.Account != gate.ID || e.Detail != "wrong_secret" || e.Address != "127.0.0.1" || e.Actor != "" {
		t.Errorf("%+v", e)
	}
	// It keeps nobody out who has the right one.
	h.call(t, gate, "introspect", "x").is(t, "the right one", 200, dead)
}

func TestCaller_NoWrites(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	h.account(t, "one", "ada")
	tok := h.token(t, h.login(t, "one/opaque", "ada"))
	row := func() auth.AccountRecord {
		rec, err := h.store.AccountByID(t.Context(), h.one.ID, gate.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	events, before := h.events(t, auth.AuditFilter{}), row()
	for range 100 {
		h.clock.add(300 * time.Millisecond) // so that what is remembered is asked for again
		if a := h.call(t, gate, "introspect", tok); !strings.HasPrefix(a.body, `{"active":true,`) {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		h.call(t, gate, "revoke", "x").is(t, "unknown", 200, "")
	}
	after := row()
	if before.Version != after.Version || !before.UpdatedAt.Equal(after.UpdatedAt) || !slices.Equal(events, h.events(t, auth.AuditFilter{})) {
		t.Errorf("%+v, then %+v", before, after)
	}
	if list, err := h.svc.ListSessions(t.Context(), h.one.ID, gate.ID, uuid.Nil, 10); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// What this process changes of a service account counts with the next request.
func TestCaller_ChangesCountAtOnce(t *testing.T) {
	h := build(t)
	none := auth.Client{}
	for what, change := range map[string]func(c caller) error{
		"disabled": func(c caller) error { return h.svc.SetDisabled(t.Context(), h.one.ID, c.ID, true, none) },
		"deleted":  func(c caller) error { return h.svc.DeleteAccount(t.Context(), h.one.ID, c.ID, none) },
		"rotated": func(c caller) error {
			_, err := h.svc.RotateSecret(t.Context(), h.one.ID, c.ID, 0, none)
			return err
		},
		"renamed": func(c caller) error {
			name := "other"
			_, err := h.svc.UpdateAccount(t.Context(), h.one.ID, c.ID, auth.AccountChange{Username: &name}, none)
			return err
		},
	} {
		c := h.service(t, "one", "gate-"+what, auth.RoleIntrospect)
		h.call(t, c, "introspect", "x").is(t, what+", before", 200, dead)
		if err := change(c); err != nil {
			t.Fatal(err)
		}
		h.call(t, c, "introspect", "x").noCaller(t, what)
	}
	c := h.service(t, "one", "gate")
	h.call(t, c, "introspect", "x").problem(t, "no role yet", 403, auth.CodeForbidden)
	h.give(t, "one", c.ID, auth.RoleIntrospect)
	h.call(t, c, "introspect", "x").is(t, "with the role", 200, dead)
	if err := h.svc.RemoveRole(t.Context(), h.one.ID, c.ID, auth.RoleIntrospect, none); err != nil {
		t.Fatal(err)
	}
	h.call(t, c, "introspect", "x").problem(t, "no role any more", 403, auth.CodeForbidden)
	// With an overlap the old secret stays good so long.
	c = h.service(t, "one", "overlap", auth.RoleIntrospect)
	secret, err := h.svc.RotateSecret(t.Context(), h.one.ID, c.ID, time.Hour, none)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{c.secret, string(secret)} {
		h.call(t, caller{c.Account, s}, "introspect", "x").is(t, "overlap", 200, dead)
	}
	h.clock.add(time.Hour + time.Second)
	h.call(t, c, "introspect", "x").noCaller(t, "after the overlap")
	h.call(t, caller{c.Account, string(secret)}, "introspect", "x").is(t, "the new one", 200, dead)
}

// What another process changes shows in two seconds: here it goes past the service.
func TestThreat40_CallerIsForgotten(t *testing.T) {
	h := build(t)
	for what, change := range map[string]func(tx auth.Tx, c caller) error{
		"disabled": func(tx auth.Tx, c caller) error {
			_, err := tx.SetDisabled(t.Context(), h.one.ID, c.ID, true, h.clock.Now())
			return err
		},
		"rotated": func(tx auth.Tx, c caller) error { return tx.ExpireSecrets(t.Context(), c.ID, h.clock.Now()) },
		"role removed": func(tx auth.Tx, c caller) error {
			_, err := tx.RemoveRole(t.Context(), h.one.ID, c.ID, auth.RoleIntrospect)
			return err
		},
	} {
		c := h.service(t, "one", "gate-"+strings.ReplaceAll(what, " ", ""), auth.RoleIntrospect)
		h.call(t, c, "introspect", "x").is(t, what+", before", 200, dead)
		if err := h.store.InTx(t.Context(), func(tx auth.Tx) error { return change(tx, c) }); err != nil {
			t.Fatal(err)
		}
		h.clock.add(2*time.Second - time.Millisecond)
		h.call(t, c, "introspect", "x").is(t, what+", remembered", 200, dead)
		h.clock.add(time.Millisecond)
		if a := h.call(t, c, "introspect", "x"); what == "role removed" {
			a.problem(t, what, 403, auth.CodeForbidden)
		} else {
			a.noCaller(t, what)
		}
	}
}

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// No answer and no line of the log has a secret or the token that was asked about.
func TestThreat56_IntrospectionKeepsSecrets(t *testing.T) {
	h := build(t)
	var log journal
	h.serve(t, Routes(h.svc, "", "", "one", h.one.ID), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	gate, bare := h.gate(t), h.service(t, "one", "bare")
	h.account(t, "one", "ada")
	g := h.login(t, "one/opaque", "ada")
	refresh, err := h.svc.RefreshToken(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	jwt := h.token(t, h.login(t, "one/plain", "ada"))
	secrets := []string{gate.secret, bare.secret, string(g.Bearer), string(refresh), jwt, pass}
	var answers []string
	for _, door := range doors {
		for _, tok := range secrets {
			for _, c := range []caller{gate, bare, {gate.Account, bare.secret}, {gate.Account, pass}, {bare.Account, tok}} {
				a := h.call(t, c, door, tok)
				answers = append(answers, a.body)
				for _, values := range a.Header {
					answers = append(answers, values...)
				}
			}
			a := h.ask(t, "POST", "/ostiary/"+door+"?token="+tok, "token="+tok+"&token=%zz"+tok, basic("gate", gate.secret), formType)
			answers = append(answers, a.body)
		}
	}
	for _, text := range append(answers, log.String()) {
		for _, secret := range secrets {
			for _, spelled := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte("gate:" + secret))} {
				if strings.Contains(text, spelled) {
					t.Fatalf("%s in %s", secret, text)
				}
			}
		}
	}
	if !strings.Contains(log.String(), "/ostiary/introspect") {
		t.Error("nothing was logged")
	}
}

// What can't be a service's secret is malformed: it is no guess, and no entry, with which
// anybody could fill the disk.
func TestCaller_NoSecretIsNoGuess(t *testing.T) {
	h := build(t)
	gate := h.gate(t)
	before := len(h.events(t, auth.AuditFilter{}))
	for _, door := range doors {
		for _, pass := range []string{"", "a password", gate.secret + "x", strings.ToUpper(gate.secret)} {
			h.ask(t, "POST", "/ostiary/"+door, "token=x", basic("gate", pass), formType).noCaller(t, door+" with "+pass)
		}
	}
	if n, entries := h.guesses(t, gate.ID), len(h.events(t, auth.AuditFilter{}))-before; n != 0 || entries != 0 {
		t.Errorf("%d guesses, %d entries", n, entries)
	}
}
