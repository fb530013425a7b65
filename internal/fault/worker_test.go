package fault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/totp"
)

// worker is a client with accounts of its own, so that it knows what they must be like.
type worker struct {
	*ledger
	*client
	name    string
	rng     *rand.Rand
	names   int     // that were given
	printed string  // by the last command
	lost    *change // that had no answer

	robot  *account // a service: its secret is no work to check
	lodger *account // a service, disabled and enabled, with roles that come and go
	person *account // whose password changes
	strong *account // with a second factor
	victim *account // at whom others guess

	accounts []string  // all names that were acknowledged
	tickets  []string  // spent
	codes    []string  // spent or void, of the strong account's factor
	ended    []session // sessions that have ended, the latest
}

// account is what is known of one.
type account struct {
	name, id string
	word     string   // the password, or a service's secret
	former   []string // passwords
	disabled bool
	roles    []string
	sessions []*session // that live
	wrong    int        // guesses at the password

	factor     string // none, enrolled, confirmed
	totp       []byte
	step       int64    // the last that was spent
	recovery   []string // codes that were not used
	left       int      // codes that the server has
	wrongCodes int
}

// session is one that was opened.
type session struct {
	dialect string
	id      string
	access  []string // headers
	chain   []string // refresh tokens, the living one last
}

const roles = 3 // of each worker

func (l *ledger) hire(i int) *worker {
	w := &worker{ledger: l, client: newClient(), name: fmt.Sprintf("w%d", i), rng: dice(uint64(i))}
	create := func(name, stdin string, args ...string) *account {
		name = w.name + "-" + name
		out := l.site.must(stdin, append([]string{"account", "create", "--username", name}, args...)...)
		var row struct{ ID, Secret string }
		if err := json.Unmarshal([]byte(out), &row); err != nil {
			l.t.Fatal(err)
		}
		w.accounts = append(w.accounts, name)
		a := &account{name: name, id: row.ID, word: stdin, factor: "none"}
		kind := "person"
		if row.Secret != "" {
			a.word, kind = row.Secret, "service"
		}
		l.expect(done, entry{audit.AccountCreated, a.id, kind})
		return a
	}
	w.robot = create("robot", "", "--kind", "service", "--role", "ostiary:revoke")
	l.expect(done, entry{audit.RoleAdded, w.robot.id, "ostiary:revoke"})
	w.robot.roles = []string{"ostiary:revoke"}
	w.lodger = create("lodger", "", "--kind", "service")
	w.person = create("person", w.password(), "--password-stdin")
	w.strong = create("strong", w.password(), "--password-stdin", "--email", w.name+"-strong@example.com")
	w.victim = create("victim", "", "--kind", "service")
	for i := range roles {
		l.site.must("", "role", "create", w.role(i))
	}
	return w
}

func (w *worker) role(i int) string { return fmt.Sprintf("%s-role-%d", w.name, i) }

func (w *worker) password() string {
	return fmt.Sprintf("marble %08x lantern %08x water", w.rng.Uint32(), w.rng.Uint32())
}

// work does what clients do until the server is gone. Commands end with ctx.
func (w *worker) work(ctx context.Context, stop <-chan struct{}) {
	for alive := true; alive; {
		select {
		case <-stop:
			return
		default:
			alive = w.step(ctx)
		}
	}
}

// step makes one change; false if it had no answer.
func (w *worker) step(ctx context.Context) bool {
	a := w.robot
	if w.rng.IntN(3) == 0 && !w.lodger.disabled {
		a = w.lodger
	}
	ses := a.pick(w.rng)
	switch n := w.rng.IntN(100); {
	case ses == nil || n < 8:
		return w.signIn(ctx, a, []string{cloudio, nomic, senmo}[w.rng.IntN(3)])
	case n < 15:
		return w.twoSteps(ctx, a, "")
	case n < 45:
		return w.refreshNext(ctx, a.chained(w.rng, 1))
	case n < 52:
		return w.retry(ctx, a.chained(w.rng, 2))
	case n < 55:
		return w.theft(ctx, a.chained(w.rng, 3))
	case n < 62:
		return w.end(ctx, a, ses)
	case n < 66:
		return w.createAccount(ctx)
	case n < 72:
		return w.changeRole(ctx)
	case n < 77:
		return w.guess(ctx)
	case n < 78:
		return w.unlock(ctx)
	case n < 82:
		return w.changePassword(ctx)
	case n < 86:
		return w.disable(ctx)
	default:
		return w.second(ctx)
	}
}

func (a *account) pick(rng *rand.Rand) *session {
	if len(a.sessions) == 0 {
		return nil
	}
	return a.sessions[rng.IntN(len(a.sessions))]
}

// chained is a session that has had so many refresh tokens, or the nearest that there is.
func (a *account) chained(rng *rand.Rand, n int) *session {
	for ; n > 0; n-- {
		list := slices.DeleteFunc(slices.Clone(a.sessions), func(s *session) bool { return len(s.chain) < n })
		if list = last(list, 3); len(list) > 0 {
			return list[rng.IntN(len(list))]
		}
	}
	return a.pick(rng)
}

// request is a change that a client asks for; its answer is left in got.
func (w *worker) request(got *answer, send func() answer) func(context.Context) (outcome, string) {
	return func(context.Context) (outcome, string) {
		*got = send()
		return got.outcome(), got.String()
	}
}

// wrong is request for what must be refused, with this status.
func (w *worker) wrong(status int, send func() answer) func(context.Context) (outcome, string) {
	return func(context.Context) (outcome, string) {
		switch got := send(); {
		case got.status == status:
			return done, ""
		case got.outcome() == lost:
			return lost, ""
		default:
			return refused, "answered " + got.String()
		}
	}
}

// HTTP requests are not cancelled with the commands: the server's end ends them.
var always = context.Background()

func (w *worker) signIn(ctx context.Context, a *account, dialect string) bool {
	var got answer
	return w.make(ctx, change{
		what:    "a login of " + a.name + " at " + dialect,
		ask:     w.request(&got, func() answer { return w.login(always, dialect, a.name, a.word) }),
		made:    func() { w.opened(a, dialect, got) },
		entries: func() []entry { return []entry{{audit.SignedIn, a.id, ""}} },
	})
}

// opened writes down a session.
func (w *worker) opened(a *account, dialect string, got answer) {
	s := &session{dialect: dialect, access: bearer(dialect, got)}
	if token := got.text("tokens", "refreshToken"); token != "" {
		s.chain = []string{token}
		w.secret(token)
	}
	w.secret(strings.TrimPrefix(s.access[0], "Authorization: Bearer "))
	a.sessions = append(a.sessions, s)
}

// twoSteps is a login at mikrocloud. A code of the second factor is spent with the ticket.
func (w *worker) twoSteps(ctx context.Context, a *account, code string) bool {
	ticket, ok := w.ticket(ctx, a)
	if !ok {
		return false
	}
	return w.redeem(ctx, a, ticket, code)
}

func (w *worker) ticket(ctx context.Context, a *account) (ticket string, ok bool) {
	var got answer
	ok = w.make(ctx, change{
		what:    "the first step of " + a.name,
		ask:     w.request(&got, func() answer { return w.login(always, mikrocloud, a.name, a.word) }),
		made:    func() { w.secret(got.text("token")) },
		entries: func() []entry { return []entry{{audit.PasswordPassed, audit.TokenTag(got.text("token")), ""}} },
	})
	return got.text("token"), ok
}

// redeem is the second step. A code of an enrolment confirms it.
func (w *worker) redeem(ctx context.Context, a *account, ticket, code string) bool {
	var got answer
	confirms, before, sent := a.factor == "enrolled", slices.Clone(a.sessions), time.Now()
	send := func() answer { return w.passport(always, ticket, code) }
	return w.make(ctx, change{
		what: "the second step of " + a.name,
		ask:  w.request(&got, send),
		// Sent again, it is done now, or was done before: it is spent in either case.
		seen: func(ctx context.Context) outcome {
			got = send()
			switch {
			case got.ok():
				return done
			case got.status != http.StatusUnauthorized:
				w.t.Errorf("I2: a passport that had no answer, again: %s", got)
			case time.Since(sent) > totp.Period-5*time.Second && len(code) == totp.Digits: // the code may be of a time that is over
				s, _ := w.show(ctx, a.name)
				a.factor, a.wrongCodes = s.Factor, w.failures(ctx, a, "factor")
				return lost
			}
			return done
		},
		made: func() {
			w.tickets = append(w.tickets, ticket)
			if code != "" {
				w.spent(a, code)
			}
			if confirms {
				a.factor = "confirmed"
				w.over(a, before...)
			}
			if got.ok() {
				w.opened(a, mikrocloud, got)
			}
		},
		entries: func() []entry {
			list := []entry{{audit.SignedIn, a.id, ""}}
			switch {
			case confirms:
				list = append(list, entry{audit.FactorConfirmed, a.id, ""})
			case len(code) > totp.Digits:
				list = append(list, entry{audit.RecoveryUsed, a.id, ""})
			}
			return list
		},
	})
}

// spent writes down a code of the second factor that was used.
func (w *worker) spent(a *account, code string) {
	w.codes = append(w.codes, code)
	if len(code) > totp.Digits {
		w.secret(code)
		a.left--
		a.recovery = slices.DeleteFunc(a.recovery, func(c string) bool { return c == code })
	}
}

func (w *worker) refreshNext(ctx context.Context, s *session) bool {
	if len(s.chain) == 0 {
		return w.signIn(ctx, w.owner(s), senmo)
	}
	var got answer
	last := s.chain[len(s.chain)-1]
	send := func() answer { return w.refresh(always, last) }
	return w.make(ctx, change{
		what: "a refresh",
		ask:  w.request(&got, send),
		// The same token again gets the successor, whether that was made before or is now.
		seen: func(context.Context) outcome {
			if got = send(); !got.ok() {
				w.t.Errorf("I6: a refresh that had no answer, again: %s", got)
				return refused
			}
			w.expect(lost, entry{audit.TokenRefreshed, audit.TokenTag(last), "retry"})
			return done
		},
		made: func() {
			s.chain, s.access = append(s.chain, got.text("tokens", "refreshToken")), bearer(senmo, got)
			w.secret(s.chain[len(s.chain)-1])
		},
		entries: func() []entry { return []entry{{audit.TokenRefreshed, audit.TokenTag(last), ""}} },
	})
}

// retry presents the token before the last again, as a client does that lost the answer.
func (w *worker) retry(ctx context.Context, s *session) bool {
	if len(s.chain) < 2 {
		return w.refreshNext(ctx, s)
	}
	var got answer
	parent, last := s.chain[len(s.chain)-2], s.chain[len(s.chain)-1]
	return w.make(ctx, change{
		what: "a refresh, again",
		ask:  w.request(&got, func() answer { return w.refresh(always, parent) }),
		made: func() {
			if got.text("tokens", "refreshToken") != last {
				w.t.Error("I6: a retry got another successor")
			}
		},
		entries: func() []entry { return []entry{{audit.TokenRefreshed, audit.TokenTag(parent), "retry"}} },
	})
}

// theft presents a token two generations old, which ends the session.
func (w *worker) theft(ctx context.Context, s *session) bool {
	if len(s.chain) < 3 {
		return w.refreshNext(ctx, s)
	}
	old := s.chain[len(s.chain)-3]
	return w.make(ctx, change{
		what:    "a stolen token",
		rule:    "I6: a token two generations old was not refused",
		ask:     w.wrong(http.StatusBadRequest, func() answer { return w.refresh(always, old) }),
		seen:    func(context.Context) outcome { return is(w.dead(s)) },
		made:    func() { w.over(w.owner(s), s) },
		entries: func() []entry { return []entry{{audit.RefreshReused, audit.TokenTag(old), ""}} },
	})
}

func (w *worker) owner(s *session) *account {
	for _, a := range []*account{w.robot, w.lodger, w.person, w.strong} {
		if slices.Contains(a.sessions, s) {
			return a
		}
	}
	return w.robot
}

// over writes down that sessions have ended.
func (w *worker) over(a *account, list ...*session) {
	for _, s := range list {
		w.ended = append(w.ended, *s)
	}
	a.sessions = slices.DeleteFunc(a.sessions, func(s *session) bool { return slices.Contains(list, s) })
}

// guess is a wrong one at somebody's password.
func (w *worker) guess(ctx context.Context) bool {
	v := w.victim
	return w.make(ctx, change{
		what: "a wrong guess",
		rule: "I4: a wrong guess was not refused as one",
		ask: w.wrong(refusal[senmo], func() answer {
			return w.login(always, senmo, v.name, fmt.Sprintf("ostsvc_%042xA", w.rng.Uint64()))
		}),
		seen:    func(ctx context.Context) outcome { return is(w.failures(ctx, v, "account") > v.wrong) },
		made:    func() { v.wrong++ },
		entries: func() []entry { return []entry{{audit.SignInFailed, v.id, "wrong_secret"}} },
	})
}

// unixStep is the current step of the second factor.
func unixStep() int64 { return totp.Step(time.Now()) }
