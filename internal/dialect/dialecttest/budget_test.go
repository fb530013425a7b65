package dialecttest_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// logins are the first steps of the four dialects.
var logins = []func(name, password string) Request{token, first, basic, login}

// proxied is a house that believes this machine what address a request is from.
var proxied = Options{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func from(address string, r Request) Request { return r.With("X-Forwarded-For", address) }

// failures are the entries of the audit log of one kind, by their detail.
func failures(t *testing.T, h *House, kind audit.Kind) map[string]int {
	t.Helper()
	events, err := h.Service.ListAudit(t.Context(), h.RealmID(Realm), auth.AuditFilter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		if e.Kind == kind {
			count[e.Detail]++
		}
	}
	return count
}

// A guesser is told to wait at the same guess, with the same words and for as long,
// whether there is an account or not, and whatever state it is in.
func TestThreat01_ThrottledAlike(t *testing.T) {
	sequence := func(ask func(name, password string) Request, name, password string) (all []Answer) {
		h := Open(t, Options{}, four...)
		for range 7 {
			a := h.Send(t, ask(name, password))
			a.Header.Del("Date")
			all = append(all, a)
		}
		h.Clock.Advance(time.Second)
		for range 2 {
			a := h.Send(t, ask(name, password))
			a.Header.Del("Date")
			all = append(all, a)
		}
		return all
	}
	for i, ask := range logins {
		want := sequence(ask, "ada", "wrong")
		if want[4].Status == http.StatusTooManyRequests || want[5].Status != http.StatusTooManyRequests ||
			want[7].Status == http.StatusTooManyRequests || want[8].Header.Get("Retry-After") != "2" {
			t.Errorf("login %d: %+v", i, want)
		}
		for name, password := range map[string]string{"nobody": "wrong", "gone": Password, "nopass": "", "robot": Password, "no\u200bname": "wrong"} {
			if got := sequence(ask, name, password); !reflect.DeepEqual(got, want) {
				t.Errorf("login %d: %q is answered\n%+v\nand a wrong password\n%+v", i, name, got, want)
			}
		}
	}
}

// Of 200 guesses at once, in whatever dialect, no more are looked at than are free.
func TestThreat03_ParallelGuesses(t *testing.T) {
	for _, name := range []string{"ada", "nobody"} {
		h := Open(t, Options{}, four...)
		_, statuses := together(t, h, 200, func(i int) Request { return logins[i%4](name, "wrong") })
		if statuses[http.StatusTooManyRequests] != 195 || statuses[http.StatusOK] != 0 {
			t.Errorf("%s: statuses %v", name, statuses)
		}
		looked := failures(t, h, audit.SignInFailed)
		if looked["wrong_password"]+looked["unknown_name"] != 5 {
			t.Errorf("%s: looked at %v", name, looked)
		}
		for _, ask := range logins {
			h.Send(t, ask(name, Password)).Is(t, name+", the right one after them", http.StatusTooManyRequests)
		}
	}
}

// One counter for each account, and for each name that none has, whatever the spelling.
func TestThreat04_SpellingsShareABudget(t *testing.T) {
	for what, names := range map[string][]string{
		"an account":        {"josé", "JOSÉ", "jose\u0301", "Jose\u0301", "ｊosé"},
		"one with e-mail":   {"ada", "Ada@Example.com", "ADA", "ada@EXAMPLE.com", "ａda"},
		"no account at all": {"nobodé", "NOBODÉ", "nobode\u0301", "Nobode\u0301", "ｎobodé"},
	} {
		h := Open(t, Options{}, four...)
		for i, name := range names {
			if a := h.Send(t, logins[i%4](name, "wrong")); a.Status == http.StatusTooManyRequests || a.Status == http.StatusOK {
				t.Errorf("%s, %q: %d %s", what, name, a.Status, a.Body)
			}
		}
		for i, name := range names {
			h.Send(t, logins[(i+1)%4](name, "wrong")).Is(t, what+", the sixth as "+name, http.StatusTooManyRequests)
		}
		h.Send(t, login("min", Password)).Is(t, "another account", http.StatusOK)
	}
}

// A stranger comes to the wall in a day, however patient, and stays behind it; the owner
// passes from where she is known, which opens it for nobody else.
func TestThreat05_Wall(t *testing.T) {
	const owner, stranger, hotel = "192.0.2.1", "198.51.100.7", "203.0.113.9"
	h := Open(t, proxied, four...)
	h.Send(t, from(owner, basic("ada", Password))).Is(t, "the owner, before", http.StatusOK)
	wait := func(a Answer) time.Duration {
		seconds, _ := strconv.Atoi(a.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second
	}
	start := h.Clock.Now()
	for i := range 100 {
		a := h.Send(t, from(stranger, logins[i%4]("ada", "wrong")))
		if a.Status == http.StatusTooManyRequests {
			if wait(a) <= 0 || wait(a) > 15*time.Minute {
				t.Fatalf("guess %d: Retry-After is %q", i, a.Header.Get("Retry-After"))
			}
			h.Clock.Advance(wait(a))
			a = h.Send(t, from(stranger, logins[i%4]("ada", "wrong")))
		}
		if a.Status == http.StatusTooManyRequests || a.Status == http.StatusOK {
			t.Fatalf("guess %d: %d %s", i, a.Status, a.Body)
		}
	}
	if took := h.Clock.Now().Sub(start); took < 20*time.Hour {
		t.Errorf("a hundred guesses in %v", took)
	}
	if spent := failures(t, h, audit.BudgetSpent); len(spent) != 2 || spent["account: 100 wrong guesses, only known sources pass until it is unlocked"] != 1 {
		t.Errorf("the audit log says %v", spent)
	}
	for range 2 {
		for i, ask := range logins {
			h.Send(t, from(stranger, ask("ada", Password))).Is(t, "the stranger", http.StatusTooManyRequests)
			h.Send(t, from(hotel, ask("ada", Password))).Is(t, "the owner, from elsewhere", http.StatusTooManyRequests)
			h.Send(t, from(owner, ask("ada", "wrong"))).Is(t, "the owner, mistyped", []int{403, 401, 403, 400}[i])
			h.Send(t, from(owner, ask("ada", Password))).Is(t, "the owner", http.StatusOK)
		}
		h.Clock.Advance(20 * 24 * time.Hour) // in which any other counter decays
	}
	h.Clock.Advance(31 * 24 * time.Hour) // in which the owner's source is forgotten
	h.Send(t, from(owner, login("ada", Password))).Is(t, "the owner, long after", http.StatusTooManyRequests)
	if err := h.Service.Unlock(t.Context(), h.RealmID(Realm), h.Account("ada").ID, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	h.Send(t, from(hotel, login("ada", Password))).Is(t, "from elsewhere, once it is unlocked", http.StatusOK)
}

// A reset opens the wall, too; and before it, a proxy that is not declared makes nobody known.
func TestThreat05_WallAndReset(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Account.Free, budgets.Account.Wall = 1, 2
	h := Open(t, Options{Budgets: &budgets}, four...)
	h.Send(t, from("192.0.2.1", login("ada", Password))).Is(t, "through a proxy that nobody declared", http.StatusOK)
	h.Send(t, login("ada", "wrong")).Is(t, "a wrong one", http.StatusBadRequest)
	h.Clock.Advance(time.Minute)
	h.Send(t, login("ada", "wrong")).Is(t, "another", http.StatusBadRequest)
	h.Clock.Advance(time.Hour)
	h.Send(t, login("ada", Password)).Is(t, "the right one", http.StatusTooManyRequests)
	if err := h.Service.SetPassword(t.Context(), h.RealmID(Realm), h.Account("ada").ID, "an entirely new password", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	h.Send(t, login("ada", "an entirely new password")).Is(t, "after the reset", http.StatusOK)
	// Now its source is known, and has a budget of its own, unless it sends what a proxy would.
	for range 4 {
		h.Send(t, from("192.0.2.1", login("ada", "wrong")))
		h.Clock.Advance(time.Minute)
	}
	h.Send(t, from("192.0.2.1", login("ada", "an entirely new password"))).Is(t, "with a forwarded header", http.StatusTooManyRequests)
	h.Send(t, login("ada", "an entirely new password")).Is(t, "without one", http.StatusOK)
}

// Whoever is at many addresses of one IPv6 network is one source, and whoever writes an IPv4
// address as IPv6 gains nothing.
func TestThreat07_Sources(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Source.Free = 4
	budgets.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	o := proxied
	o.Budgets = &budgets
	for what, c := range map[string]struct{ guess, spent, other string }{
		"IPv6":          {"2001:db8:1:2:3::N", "2001:db8:1:2:ffff::1", "2001:db8:1:3::1"},
		"IPv4":          {"198.51.100.7", "198.51.100.7", "198.51.100.8"},
		"IPv4 in IPv6":  {"::ffff:198.51.100.7", "198.51.100.7", "::ffff:198.51.100.8"},
		"with ports":    {"198.51.100.7:N", "198.51.100.7:5", "198.51.100.8:1"},
		"that is no IP": {"aN", "unknown", "198.51.100.7"},
	} {
		h := Open(t, o, four...)
		for i := range 4 {
			address := strings.ReplaceAll(c.guess, "N", strconv.Itoa(i+1))
			a := h.Send(t, from(address, logins[i](fmt.Sprintf("nobody%d", i), "wrong")))
			if a.Status == http.StatusTooManyRequests {
				t.Errorf("%s: guess %d is refused", what, i+1)
			}
		}
		h.Send(t, from(c.spent, login("ada", Password))).Is(t, what+", the same source", http.StatusTooManyRequests)
		h.Send(t, from(c.other, login("ada", Password))).Is(t, what+", another source", http.StatusOK)
		h.Clock.Advance(10 * time.Minute)
		h.Send(t, from(c.spent, login("ada", Password))).Is(t, what+", when the window is over", http.StatusOK)
	}
	h := Open(t, o, four...)
	for i := range 8 {
		if a := h.Send(t, from("192.0.2.5", login(fmt.Sprintf("nobody%d", i), "wrong"))); a.Status != http.StatusBadRequest {
			t.Errorf("an exempt source, guess %d: %d", i+1, a.Status)
		}
	}
}

// 429s, malformed requests and tokens are no guesses; a wrong code is one.
func TestBudget_WhatASourceIsChargedFor(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Source.Free, budgets.Account.Free = 4, 2
	h := Open(t, Options{Budgets: &budgets}, four...)
	for range 2 {
		h.Send(t, login("ada", "wrong")).Is(t, "a guess", http.StatusBadRequest)
	}
	for range 5 {
		h.Send(t, login("ada", "wrong")).Is(t, "a guess too many", http.StatusTooManyRequests)
		h.Send(t, JSON("/v1/auth", `{"username":1}`)).Is(t, "malformed", http.StatusBadRequest)
		h.Send(t, renew("x.y.z")).Is(t, "a token", http.StatusForbidden)
		h.Send(t, refresh("x")).Is(t, "another", http.StatusBadRequest)
		h.Send(t, passport("x", "123456")).Is(t, "a ticket", http.StatusUnauthorized)
	}
	one := ticket(t, h, "joan")
	for range 2 {
		h.Send(t, passport(one, h.Code("joan", 5))).Is(t, "a wrong code", http.StatusUnauthorized)
	}
	h.Send(t, passport(one, h.Code("joan", 0))).Is(t, "the right one", http.StatusTooManyRequests)
	h.Send(t, login("min", Password)).Is(t, "another account", http.StatusTooManyRequests)
}

// Wrong codes at once, at every door, are no more than wrong codes one after the other;
// and a right one takes none of them back.
func TestThreat15_ParallelCodes(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Account, budgets.Known, budgets.Source = NoBudgets().Account, NoBudgets().Known, NoBudgets().Source
	h := Open(t, Options{Mount: appending, Budgets: &budgets}, four...)
	requests := make([]Request, 60)
	for i := range requests {
		if requests[i] = passport(ticket(t, h, "joan"), h.Code("joan", 5)); i%2 == 0 {
			requests[i] = []func(name, password string) Request{token, basic, login}[i/2%3]("joan", Password+h.Code("joan", 5))
		}
	}
	together(t, h, len(requests), func(i int) Request { return requests[i] })
	if looked := failures(t, h, audit.FactorFailed); looked["wrong_code"] != 10 {
		t.Errorf("%v", looked)
	}
	next := ticket(t, h, "joan")
	h.Send(t, passport(next, h.Code("joan", 0))).Is(t, "the right one", http.StatusTooManyRequests)
	for d, ask := range oneStep {
		if a := h.Send(t, ask("joan", Password+h.Code("joan", 0))); a.Status == http.StatusOK || a.Status == http.StatusTooManyRequests {
			t.Errorf("%s: %d %s", d, a.Status, a.Body)
		}
	}
	h.Clock.Advance(time.Second)
	h.Send(t, passport(next, h.Code("joan", 0))).Is(t, "a second later", http.StatusOK)
	one := ticket(t, h, "joan")
	h.Send(t, passport(one, h.Code("joan", 5))).Is(t, "a wrong one after it", http.StatusUnauthorized)
	h.Send(t, passport(one, h.Code("joan", 1))).Is(t, "the right one after that", http.StatusTooManyRequests)
}

// Every spelling that is not the code's own is a wrong code.
func TestThreat17_SpellingsCount(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Account, budgets.Known, budgets.Source = NoBudgets().Account, NoBudgets().Known, NoBudgets().Source
	h := Open(t, Options{Budgets: &budgets}, four...)
	code := h.Code("joan", 0)
	for _, c := range []string{" " + code, code + " ", code + "\u00a0", "\t" + code, code + "\n", code[:5], code + "0", code[:3] + "-" + code[3:], "+" + code, "0" + code} {
		h.Send(t, passport(ticket(t, h, "joan"), c)).Is(t, c, http.StatusUnauthorized)
	}
	h.Send(t, passport(ticket(t, h, "joan"), code)).Is(t, "the code, after ten of them", http.StatusTooManyRequests)
}
