package dialecttest_test

import (
	"net/http"
	"testing"

	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// Of 100 parallel refreshes of one token all succeed with one successor, and one chain lives.
func TestThreat36_RefreshRace(t *testing.T) {
	h := Open(t, Options{}, four...)
	one := h.Send(t, login("ada", Password)).Text(t, "tokens.refreshToken")
	answers, statuses := together(t, h, 100, func(int) Request { return refresh(one) })
	if statuses[http.StatusOK] != 100 {
		t.Fatalf("statuses %v", statuses)
	}
	two := answers[0].Text(t, "tokens.refreshToken")
	access := map[string]bool{}
	for _, a := range answers {
		if got := a.Text(t, "tokens.refreshToken"); got != two || got == one {
			t.Errorf("the successor %q beside %q", got, two)
		}
		access[a.Text(t, "tokens.accessToken")] = true
	}
	if len(access) != 100 {
		t.Errorf("%d access tokens", len(access))
	}
	sessions, err := h.Service.ListSessions(t.Context(), h.RealmID(Realm), h.Account("ada").ID, [16]byte{}, 10)
	if err != nil || len(sessions) != 1 || sessions[0].Generation != 2 {
		t.Errorf("sessions %+v, %v", sessions, err)
	}
	three := h.Send(t, refresh(two)).Text(t, "tokens.refreshToken")
	h.Send(t, refresh(one)).Is(t, "the spent token, once its successor was used", http.StatusBadRequest)
	h.Send(t, refresh(three)).Is(t, "the chain after the theft", http.StatusBadRequest)
}

// A race between the honest client and a thief ends with one chain at the most.
func TestThreat36_RefreshRaceOfGenerations(t *testing.T) {
	h := Open(t, Options{}, four...)
	one := h.Send(t, login("ada", Password)).Text(t, "tokens.refreshToken")
	two := h.Send(t, refresh(one)).Text(t, "tokens.refreshToken")
	answers, _ := together(t, h, 50, func(i int) Request { return refresh([]string{one, two}[i%2]) })
	living := map[string]bool{}
	for _, a := range answers {
		if a.Status == http.StatusOK {
			living[a.Text(t, "tokens.refreshToken")] = true
		}
	}
	alive := 0
	for token := range living {
		if h.Send(t, refresh(token)).Status == http.StatusOK {
			alive++
		}
	}
	if alive > 1 {
		t.Errorf("%d chains live", alive)
	}
}

// A TOTP code passes once, wherever it is presented 50 times at once.
func TestThreat14_TOTPReplay(t *testing.T) {
	appended := []func(name, password string) Request{token, basic, login}
	t.Run("appended", func(t *testing.T) {
		h := Open(t, Options{Mount: appending, Budgets: NoBudgets()}, four...)
		code := h.Code("joan", 0)
		answers, _ := together(t, h, 50, func(i int) Request { return appended[i%3]("joan", Password+code) })
		once(t, "50 logins", answers)
		for i, ask := range appended {
			if a := h.Send(t, ask("joan", Password+code)); a.Status == http.StatusOK {
				t.Errorf("once more, %d: %s", i, a.Body)
			}
		}
		h.Send(t, passport(ticket(t, h, "joan"), code)).Is(t, "once more at passport", http.StatusUnauthorized)
	})
	t.Run("passport", func(t *testing.T) {
		h := Open(t, Options{Budgets: NoBudgets()}, four...)
		requests := make([]Request, 50)
		for i := range requests {
			requests[i] = passport(ticket(t, h, "joan"), h.Code("joan", 0))
		}
		answers, _ := together(t, h, 50, func(i int) Request { return requests[i] })
		once(t, "50 tickets", answers)
	})
	t.Run("both", func(t *testing.T) {
		h := Open(t, Options{Mount: appending, Budgets: NoBudgets()}, four...)
		code := h.Code("joan", 0)
		requests := make([]Request, 20)
		for i := range requests {
			if requests[i] = passport(ticket(t, h, "joan"), code); i%2 == 0 {
				requests[i] = appended[i%3]("joan", Password+code)
			}
		}
		answers, _ := together(t, h, len(requests), func(i int) Request { return requests[i] })
		once(t, "logins and passports", answers)
	})
	t.Run("earlier step", func(t *testing.T) {
		h := Open(t, Options{Mount: appending, Budgets: NoBudgets()}, four...)
		earlier, code := h.Code("joan", -1), h.Code("joan", 0)
		h.Send(t, login("joan", Password+code)).Is(t, "the current code", http.StatusOK)
		h.Send(t, login("joan", Password+earlier)).Is(t, "an earlier one after it", http.StatusBadRequest)
		h.Send(t, passport(ticket(t, h, "joan"), earlier)).Is(t, "at passport", http.StatusUnauthorized)
		h.Send(t, basic("joan", Password+h.Code("joan", 1))).Is(t, "the next", http.StatusOK)
	})
	t.Run("confirming", func(t *testing.T) {
		h := Open(t, Options{Budgets: NoBudgets()}, four...)
		requests := make([]Request, 20)
		for i := range requests {
			requests[i] = passport(ticket(t, h, "eve"), h.Code("eve", int64(i%2)))
		}
		answers, _ := together(t, h, len(requests), func(i int) Request { return requests[i] })
		once(t, "20 first codes", answers)
	})
}

// A ticket passes once.
func TestThreat14_TicketRace(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	for _, name := range []string{"ada", "joan"} {
		code := ""
		if name == "joan" {
			code = h.Code(name, 0)
		}
		r := passport(ticket(t, h, name), code)
		answers, _ := together(t, h, 50, func(int) Request { return r })
		once(t, name, answers)
	}
}

// A recovery code passes once, with 50 tickets or with one, and a TOTP code beside it
// does not make it two.
func TestThreat18_RecoveryCodeRace(t *testing.T) {
	h := Open(t, Options{Budgets: NoBudgets()}, four...)
	codes := recovery(t, h)
	requests := make([]Request, 50)
	for i := range requests {
		requests[i] = passport(ticket(t, h, "joan"), codes[0])
	}
	answers, _ := together(t, h, 50, func(i int) Request { return requests[i] })
	once(t, "50 tickets", answers)
	r := passport(ticket(t, h, "joan"), codes[1])
	answers, _ = together(t, h, 20, func(int) Request { return r })
	once(t, "one ticket", answers)
	one := ticket(t, h, "joan")
	either := []Request{passport(one, codes[2]), passport(one, h.Code("joan", 0))}
	answers, _ = together(t, h, 20, func(i int) Request { return either[i%2] })
	once(t, "a recovery code and a TOTP code", answers)
}

// Parallel honest logins pass, in whatever dialect, though five failures are the limit.
func TestThreat05_ParallelHonestLogins(t *testing.T) {
	h := Open(t, Options{}, four...)
	ask := []func(name, password string) Request{token, first, basic, login}
	_, statuses := together(t, h, 52, func(i int) Request { return ask[i%4]("ada", Password) })
	if statuses[http.StatusOK] != 52 {
		t.Errorf("statuses %v", statuses)
	}
}
