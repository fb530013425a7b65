package dialecttest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

func recovery(t *testing.T, h *House) []string {
	t.Helper()
	codes, err := h.Service.NewRecoveryCodes(t.Context(), h.RealmID(Realm), h.Account("joan").ID, auth.Client{})
	if err != nil || len(codes) != 10 {
		t.Fatalf("%v, %v", codes, err)
	}
	return codes
}

// No dialect is a way round the second factor: what the dialects that have no step for
// it make of a password, and of one with a code after it.
func TestFactor_OneStep(t *testing.T) {
	const no, yes = false, true
	for d, ask := range oneStep {
		for _, mode := range []string{"refuse", "append"} {
			for _, c := range []struct {
				name           string
				refuse, append bool // does it pass in this mode?
				password       func(h *House) string
			}{
				{"ada", yes, yes, func(*House) string { return Password }},
				{"ada", no, no, func(*House) string { return Password + "123456" }},
				{"robot", yes, yes, func(h *House) string { return h.Secret }},
				{"robot", no, no, func(h *House) string { return h.Secret + "123456" }},
				// Until it is confirmed, an enrolment changes nothing here.
				{"eve", yes, yes, func(*House) string { return Password }},
				{"eve", no, no, func(h *House) string { return Password + h.Code("eve", 0) }},
				// Once it is, nobody gets in without a code.
				{"joan", no, no, func(*House) string { return Password }},
				{"joan", no, yes, func(h *House) string { return Password + h.Code("joan", 0) }},
				{"joan", no, yes, func(h *House) string { return Password + h.Code("joan", 1) }},
				{"joan", no, yes, func(h *House) string { return Password + h.Code("joan", -1) }},
				{"joan", no, no, func(h *House) string { return Password + h.Code("joan", 2) }},
				{"joan", no, no, func(h *House) string { return Password + h.Code("joan", -2) }},
				{"joan", no, no, func(h *House) string { return Password + " " + h.Code("joan", 0) }},
				{"joan", no, no, func(h *House) string { return Password + h.Code("joan", 0) + " " }},
				{"joan", no, no, func(h *House) string { return Password + h.Code("joan", 0)[:5] }},
				{"joan", no, no, func(h *House) string { return h.Code("joan", 0) + Password }},
				{"joan", no, no, func(h *House) string { return h.Code("joan", 0) }},
				{"joan", no, no, func(h *House) string { return "wrong" + h.Code("joan", 0) }},
				{"joan", no, no, func(h *House) string { return Password + h.Code("eve", 0) }},
				{"joan", no, no, func(h *House) string { return Password + recovery(t, h)[0] }},
			} {
				o := Options{}
				want := c.refuse
				if mode == "append" {
					o.Mount, want = appending, c.append
				}
				h := Open(t, o, four...)
				password := c.password(h)
				if a := h.Send(t, ask(c.name, password)); (a.Status == http.StatusOK) != want {
					t.Errorf("%s, %s: %s with %q: %d %s", d, mode, c.name, strings.Replace(password, Password, "PASSWORD", 1), a.Status, a.Body)
				}
				if state, err := h.Service.Factor(t.Context(), h.RealmID(Realm), h.Account("eve").ID); err != nil || state != auth.FactorEnrolled {
					t.Errorf("eve's factor is %v, %v", state, err)
				}
			}
		}
	}
}

// A code is not spent by a wrong password, nor by a mount that takes none.
func TestFactor_SpentWithPasswordOnly(t *testing.T) {
	for d, ask := range oneStep {
		h := Open(t, Options{Mount: func(m *auth.Mount) { m.AppendCode = m.Dialect == "senmo" }}, four...)
		code := h.Code("joan", 0)
		if a := h.Send(t, ask("joan", "wrong"+code)); a.Status == http.StatusOK {
			t.Errorf("%s: a wrong password passed", d)
		}
		if d != "senmo" {
			if a := h.Send(t, ask("joan", Password+code)); a.Status == http.StatusOK {
				t.Errorf("%s: a code passed where none is taken", d)
			}
		}
		h.Send(t, login("joan", Password+code)).Is(t, string(d)+", then senmo", http.StatusOK)
	}
}

// The session says how it was proven (RFC 8176).
func TestFactor_AMR(t *testing.T) {
	h := Open(t, Options{Mount: appending}, four...)
	codes := recovery(t, h)
	for want, bearer := range map[string]string{
		"pwd":         h.Send(t, passport(ticket(t, h, "ada"), "")).Text(t, "auth_token"),
		"pwd otp mfa": h.Send(t, passport(ticket(t, h, "joan"), h.Code("joan", 0))).Text(t, "auth_token"),
		"pwd mfa":     h.Send(t, passport(ticket(t, h, "joan"), codes[0])).Text(t, "auth_token"),
	} {
		who, err := h.Service.Identify(t.Context(), h.RealmID(Realm), auth.Presented{Token: bearer})
		if err != nil || strings.Join(who.AMR, " ") != want {
			t.Errorf("amr is %q, want %q (%v)", who.AMR, want, err)
		}
	}
	appended := h.Send(t, login("joan", Password+h.Code("joan", 1))).Text(t, "tokens.accessToken")
	who, err := h.Service.Identify(t.Context(), h.RealmID(Realm), auth.Presented{Token: appended})
	if err != nil || strings.Join(who.AMR, " ") != "pwd otp mfa" {
		t.Errorf("appended: %q, %v", who.AMR, err)
	}
}

// Confirming a factor ends the sessions that were opened without it, in every dialect,
// and resetting one those that were opened with it.
func TestFactor_ConfirmAndResetEndSessions(t *testing.T) {
	h := Open(t, Options{}, four...)
	before := access(t, h, "min")
	realm, id := h.RealmID(Realm), h.Account("min").ID
	if _, err := h.Service.EnrollFactor(t.Context(), realm, id, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for d, p := range before {
		if code := identify(t, h, p); code != "" {
			t.Errorf("%s, enrolled: %s", d, code)
		}
	}
	if err := h.Service.ResetFactor(t.Context(), realm, id, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	for d, p := range before {
		if code := identify(t, h, p); code != auth.CodeSessionEnded {
			t.Errorf("%s, reset: %q", d, code)
		}
	}
	// eve's sessions of the one-step dialects end when she confirms at passport.
	one := h.Send(t, login("eve", Password))
	two := h.Send(t, basic("eve", Password)).Text(t, "token")
	bearer := h.Send(t, passport(ticket(t, h, "eve"), h.Code("eve", 0))).Text(t, "auth_token")
	if code := identify(t, h, auth.Presented{Token: bearer}); code != "" {
		t.Errorf("the session that confirmed: %s", code)
	}
	h.Send(t, refresh(one.Text(t, "tokens.refreshToken"))).Is(t, "refresh", http.StatusBadRequest)
	h.Send(t, renew(two)).Is(t, "renewal", http.StatusForbidden)
}

func TestFactor_RecoveryCodes(t *testing.T) {
	h := Open(t, Options{Mount: appending}, four...)
	old := recovery(t, h)
	codes := recovery(t, h)
	pass := func(code string) Answer { return h.Send(t, passport(ticket(t, h, "joan"), code)) }
	pass(old[0]).Is(t, "one that was replaced", http.StatusUnauthorized)
	pass(codes[0]).Is(t, "the first", http.StatusOK)
	pass(codes[0]).Is(t, "the first again", http.StatusUnauthorized)
	pass(strings.ToLower(strings.ReplaceAll(codes[1], "-", ""))).Is(t, "in another spelling", http.StatusOK)
	pass(codes[1]).Is(t, "the same in its own", http.StatusUnauthorized)
	pass(codes[2]+" ").Is(t, "with a space", http.StatusUnauthorized)
	pass(codes[2]).Is(t, "without", http.StatusOK)
	h.Send(t, passport(ticket(t, h, "eve"), codes[3])).Is(t, "another account's", http.StatusUnauthorized)
	h.Send(t, passport(ticket(t, h, "joan"), h.Code("joan", 0))).Is(t, "a code, after all", http.StatusOK)
}

// Wrong codes are counted across tickets, sessions and dialects.
func TestThreat15_FactorBudget(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Account, budgets.Known, budgets.Source = NoBudgets().Account, NoBudgets().Known, NoBudgets().Source
	h := Open(t, Options{Mount: appending, Budgets: &budgets}, four...)
	for range 2 {
		one := ticket(t, h, "joan")
		for range 2 {
			h.Send(t, passport(one, h.Code("joan", 5))).Is(t, "a wrong code", http.StatusUnauthorized)
		}
	}
	for range 2 {
		h.Send(t, token("joan", Password+h.Code("joan", 5))).Is(t, "appended", http.StatusForbidden)
		h.Send(t, basic("joan", Password+h.Code("joan", 5))).Is(t, "appended", http.StatusForbidden)
		h.Send(t, login("joan", Password+h.Code("joan", 5))).Is(t, "appended", http.StatusBadRequest)
	}
	h.Send(t, login("joan", Password+h.Code("joan", 0))).Is(t, "the right code, after ten wrong ones", http.StatusBadRequest)
	next := ticket(t, h, "joan")
	h.Send(t, passport(next, h.Code("joan", 0))).Is(t, "at passport", http.StatusTooManyRequests)
	h.Clock.Advance(time.Minute)
	h.Send(t, passport(next, h.Code("joan", 0))).Is(t, "later", http.StatusOK)
}

// The spelling of a code is one: nothing is trimmed or read in another alphabet.
func TestThreat17_CodeSpelling(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	code := h.Code("joan", 0)
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	for _, c := range []string{
		" " + code, code + " ", code + "\u00a0", code + "\n", code[:3] + " " + code[3:], code[:3] + "-" + code[3:], code[:5], code + "0", "+" + code, wide,
	} {
		h.Send(t, passport(ticket(t, h, "joan"), c)).Is(t, c, http.StatusUnauthorized)
	}
	one := ticket(t, h, "joan")
	for _, body := range []string{code, `["` + code + `"]`, `{"totp":"` + code + `"}`, `true`} {
		h.Send(t, JSON("/user/passport", `{"totp":`+body+`,"token":"`+one+`"}`)).Is(t, body, http.StatusBadRequest)
	}
	h.Send(t, passport(one, code)).Is(t, "as it is", http.StatusOK)
}
