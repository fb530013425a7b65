package fault_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	lag    = 5 * time.Second // in which verification sees what was changed elsewhere
	recent = 8               // how many of a kind are looked at after each kill: what has survived several is left alone
)

func last[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// within waits for what may take the lag.
func within(condition func() bool) bool {
	for deadline := time.Now().Add(lag); ; time.Sleep(50 * time.Millisecond) {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// dead tells whether a session has ended. What a living one answers is clear at once after
// a start, and within the lag in a server that went on.
func (w *worker) dead(s *session) bool {
	return w.whoami(always, s.access).status == http.StatusUnauthorized
}

// I1: Every acked create, password change, enrolment, revoke is visible.
func (w *worker) ackedIsVisible(now *world) {
	for _, name := range w.accounts {
		if _, ok := now.accounts[name]; !ok {
			w.t.Errorf("I1: the account %s, which was acknowledged, is gone", name)
		}
	}
	for _, a := range []*account{w.robot, w.lodger, w.person, w.strong, w.victim} {
		row := now.accounts[a.name]
		if row.Disabled != a.disabled || !slices.Equal(row.Roles, a.roles) {
			w.t.Errorf("I1: %s is %+v, and was acknowledged as disabled=%t with %v", a.name, row, a.disabled, a.roles)
		}
		for _, s := range last(a.sessions, recent/2) {
			w.lives(a, s)
		}
	}
	if got := w.login(always, nomic, w.person.name, w.person.word); got.ok() {
		w.expect(done, entry{audit.SignedIn, w.person.id, ""})
	} else {
		w.t.Errorf("I1: the password that was set last: %s", got)
	}
	if s, _ := w.show(always, w.strong.name); s.Factor != w.strong.factor || s.Recovery != w.strong.left {
		w.t.Errorf("I1: the second factor of %s is %q with %d recovery codes, and was acknowledged as %q with %d",
			w.strong.name, s.Factor, s.Recovery, w.strong.factor, w.strong.left)
	}
}

// lives sees that a session does, with the roles of now.
func (w *worker) lives(a *account, s *session) {
	var who answer
	if !within(func() bool {
		who = w.whoami(always, s.access)
		return who.ok() && slices.Equal(texts(who.members["roles"]), a.roles)
	}) {
		w.t.Errorf("I1: a session of %s at %s, which was acknowledged with %v: %s", a.name, s.dialect, a.roles, who)
		return
	}
	if id := who.text("session"); s.id == "" {
		s.id = id
		w.expect(done, entry{audit.SignedIn, id, ""})
	} else if s.id != id {
		w.t.Errorf("I1: the session %s has become %s", s.id, id)
	}
}

func texts(list any) (out []string) {
	items, _ := list.([]any)
	for _, item := range items {
		text, _ := item.(string)
		out = append(out, text)
	}
	return out
}

// I2: Each one-time secret succeeds at most once, ever.
func (w *worker) spentStaysSpent(ctx context.Context) {
	for _, ticket := range last(w.tickets, recent) {
		if got := w.passport(always, ticket, ""); got.status != http.StatusUnauthorized {
			w.t.Errorf("I2: a spent ticket: %s", got)
		}
	}
	if w.strong.factor != "confirmed" || len(w.codes) == 0 {
		return
	}
	ticket, ok := w.ticket(ctx, w.strong)
	if !ok {
		w.t.Error("I5: no ticket")
		return
	}
	for _, code := range last(w.codes, 4) { // a ticket bears five wrong ones
		w.badCode(ctx, w.strong, ticket, code)
	}
}

// I3: After an acked revoke, disable or reset, older tokens fail within the documented lag.
func (w *worker) endedStaysEnded() {
	for _, s := range last(w.ended, recent) {
		if !within(func() bool { return w.dead(&s) }) {
			w.t.Errorf("I3: a session of %s that has ended: %s", s.dialect, w.whoami(always, s.access))
		}
		for _, token := range last(s.chain, 1) {
			if got := w.refresh(always, token); got.status != http.StatusBadRequest {
				w.t.Errorf("I3: the refresh token of a session that has ended: %s", got)
			}
		}
	}
	for _, word := range last(w.person.former, 1) {
		if got := w.login(always, senmo, w.person.name, word); got.status != refusal[senmo] {
			w.t.Errorf("I3: a password that was replaced: %s", got)
		}
	}
	if w.lodger.disabled {
		if got := w.login(always, senmo, w.lodger.name, w.lodger.word); got.status != refusal[senmo] {
			w.t.Errorf("I3: a login of an account that is disabled: %s", got)
		}
	}
}

// I4: Failure counters never fall except by success or admin act.
func (w *worker) countersStand(now *world) {
	if n := now.guesses[w.victim.id+" account"]; n != w.victim.wrong {
		w.t.Errorf("I4: %d wrong guesses count, and %d were acknowledged", n, w.victim.wrong)
	}
	if n := now.guesses[w.strong.id+" factor"]; n != w.strong.wrongCodes {
		w.t.Errorf("I4: %d wrong codes count, and %d were acknowledged", n, w.strong.wrongCodes)
	}
}

// I5: No 2xx on any auth door while the store can't answer; and no 401 for valid
// credentials, only 503. The second half is seen by each change of a worker.
func (w *worker) awayIsNoAnswer() {
	ask := map[string]answer{}
	for dialect := range refusal {
		ask[dialect] = w.login(always, dialect, w.robot.name, w.robot.word)
		ask[dialect+", a wrong password"] = w.login(always, dialect, w.person.name, "not the password of anybody")
	}
	for _, a := range []*account{w.robot, w.lodger} {
		for _, s := range a.sessions {
			if len(s.chain) > 0 {
				ask["refresh"] = w.refresh(always, s.chain[len(s.chain)-1])
			}
		}
	}
	for door, got := range ask {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			w.t.Errorf("I5: without a store, %s: %s", door, got)
		}
	}
}

// I6: Each session has one living refresh chain.
func (w *worker) oneChain(ctx context.Context) {
	for _, a := range []*account{w.robot, w.lodger} {
		for _, s := range last(a.sessions, recent/2) {
			if len(s.chain) == 0 || !w.refreshNext(ctx, s) {
				continue
			}
			w.retry(ctx, s)
		}
	}
	for _, s := range w.robot.sessions {
		if len(s.chain) > 0 {
			w.race(s)
			return
		}
	}
}

// race refreshes a session from several clients at once: all get the one successor.
func (w *worker) race(s *session) {
	const clients = 4
	token := s.chain[len(s.chain)-1]
	var all sync.WaitGroup
	got := make([]answer, clients)
	for i := range clients {
		all.Go(func() { got[i] = w.refresh(always, token) })
	}
	all.Wait()
	next := got[0].text("tokens", "refreshToken")
	for _, a := range got {
		if !a.ok() || a.text("tokens", "refreshToken") != next {
			w.t.Errorf("I6: one of %d refreshes at once: %s", clients, a)
			return
		}
	}
	s.chain, s.access = append(s.chain, next), bearer(senmo, got[0])
	tag := audit.TokenTag(token)
	w.expect(done, entry{audit.TokenRefreshed, tag, ""})
	for range clients - 1 {
		w.expect(done, entry{audit.TokenRefreshed, tag, "retry"})
	}
}

// I7: Every acked event is in the audit log exactly once; no secret is.
func (l *ledger) logIsExact() {
	l.follow()
	for e, t := range l.entries {
		if n := l.counted[e]; n < t.must || n > t.must+t.may {
			l.t.Errorf("I7: the log has %d times %s %s %q, and %d were acknowledged, %d not answered", n, e.kind, e.of, e.detail, t.must, t.may)
		}
	}
	for e, n := range l.counted {
		if l.entries[e] == nil && onlyByUs[e.kind] && e.of != "" {
			l.t.Errorf("I7: the log has %d times %s %s %q, which nobody did", n, e.kind, e.of, e.detail)
		}
	}
}

// onlyByUs are kinds of entries that the ledger has all of. A session whose answer was lost
// has a ticket or an id that nobody knows: those are told apart by their account alone.
var onlyByUs = map[audit.Kind]bool{
	audit.AccountCreated: true, audit.AccountDisabled: true, audit.AccountEnabled: true, audit.AccountUnlocked: true,
	audit.RoleAdded: true, audit.RoleRemoved: true, audit.PasswordChanged: true, audit.SessionEnded: true,
	audit.FactorEnrolled: true, audit.FactorConfirmed: true, audit.FactorReset: true,
	audit.RecoveryMade: true, audit.RecoveryUsed: true, audit.TokenRefreshed: true, audit.RefreshReused: true,
}
