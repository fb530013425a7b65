package dialecttest_test

import (
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	. "github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// Guess after guess, up to the wall and beyond: whether there is such an account, and in what
// state, shows neither in the answers nor in when the next guess is allowed. Each dialect
// guesses in its turn.
func TestThreat01_WaitsLookAlike(t *testing.T) {
	budgets := auth.DefaultBudgets()
	budgets.Source = NoBudgets().Source
	low := budgets
	low.Account.Wall, low.Account.Max, low.Account.Decay = 12, 4*time.Second, time.Hour
	for what, b := range map[string]auth.Budgets{"growing": budgets, "to the wall": low} {
		t.Run(what, func(t *testing.T) { waitsLookAlike(t, Open(t, Options{Budgets: &b}, four...), b.Account.Wall) })
	}
}

func waitsLookAlike(t *testing.T, h *House, wall int) {
	doors := []func(name, password string) Request{token, first, basic, login}
	names := []string{"nobody", "ada", "gone", "nopass", "robot", "joan", "nobody@example.com"}
	waits, tried := 0, 0
	for step := range 36 {
		answers := make([]Answer, len(names))
		var running sync.WaitGroup
		for i, name := range names {
			running.Go(func() { answers[i] = h.Send(t, doors[step%4](name, "a wrong guess "+strconv.Itoa(step))) })
		}
		running.Wait()
		want := answers[0]
		for i, a := range answers {
			a.Header.Del("Date")
			if a.Status != want.Status || a.Body != want.Body || !reflect.DeepEqual(a.Header, want.Header) {
				t.Fatalf("guess %d at %s: %d %v %s, but at nobody %d %v %s", step, names[i], a.Status, a.Header, a.Body, want.Status, want.Header, want.Body)
			}
		}
		if want.Status != http.StatusTooManyRequests {
			tried++
			continue
		}
		waits++
		seconds, err := strconv.Atoi(want.Header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 900 {
			t.Fatalf("guess %d: Retry-After is %q", step, want.Header.Get("Retry-After"))
		}
		h.Clock.Advance(time.Duration(seconds) * time.Second)
	}
	if waits < 10 || tried > wall {
		t.Errorf("%d guesses were tried, and %d had to wait", tried, waits)
	}
}
