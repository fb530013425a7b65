package fault_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/totp"
)

// shown is what "account show --json" says.
type shown struct {
	accountRow
	Factor   string `json:"mfa"`
	Recovery int    `json:"recovery_codes"`
	Budgets  []struct {
		Kind     string
		Failures int
	}
}

// show asks the command line for an account; false: there is none.
func (w *worker) show(ctx context.Context, name string) (s shown, ok bool) {
	out, _, err := w.site.command(ctx, "", "account", "show", name, "--json")
	if err != nil {
		if !strings.Contains(err.Error(), "there is no account") {
			w.t.Error(err)
		}
		return s, false
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		w.t.Error(err)
	}
	return s, true
}

// failures is a counter of wrong guesses.
func (w *worker) failures(ctx context.Context, a *account, kind string) int {
	s, _ := w.show(ctx, a.name)
	for _, b := range s.Budgets {
		if b.Kind == kind {
			return b.Failures
		}
	}
	return 0
}

// end ends a session in one of the ways there are.
func (w *worker) end(ctx context.Context, a *account, s *session) bool {
	if s.id == "" {
		who := w.whoami(always, s.access)
		if s.id = who.text("session"); s.id == "" {
			if who.outcome() == refused {
				w.t.Errorf("I1: a session that was acknowledged is gone: %s", who)
			}
			return who.ok()
		}
	}
	var got answer
	how, reason := w.request(&got, func() answer { return w.ask(always, "POST", "/ostiary/logout", "", s.access...) }), "logout"
	switch w.rng.IntN(4) {
	case 1:
		how, reason = w.request(&got, func() answer {
			return w.ask(always, "DELETE", "/ostiary/sessions/"+s.id, "", s.access...)
		}), "ended_by_owner"
	case 2:
		how, reason = w.command("", "session", "revoke", s.id), "revoked"
	case 3:
		if len(s.chain) == 0 {
			break
		}
		form := "token=" + s.chain[len(s.chain)-1]
		how, reason = w.request(&got, func() answer {
			return w.ask(always, "POST", "/ostiary/revoke", form,
				"Authorization: Basic "+basic(w.robot.name, w.robot.word), "Content-Type: application/x-www-form-urlencoded")
		}), "revoked"
	}
	return w.make(ctx, change{
		what:    "the end of a session: " + reason,
		ask:     how,
		seen:    func(context.Context) outcome { return is(w.dead(s)) },
		made:    func() { w.over(a, s) },
		entries: func() []entry { return []entry{{audit.SessionEnded, s.id, reason}} },
	})
}

func (w *worker) createAccount(ctx context.Context) bool {
	w.names++
	name := fmt.Sprintf("%s-made-%d", w.name, w.names)
	var id string
	return w.make(ctx, change{
		what: "a new account",
		ask:  w.command("", "account", "create", "--username", name, "--no-password"),
		seen: func(ctx context.Context) outcome {
			s, ok := w.show(ctx, name)
			id = s.ID
			return is(ok)
		},
		made: func() {
			w.accounts = append(w.accounts, name)
			if id == "" {
				var row accountRow
				if err := json.Unmarshal([]byte(w.printed), &row); err != nil {
					w.t.Error(err)
				}
				id = row.ID
			}
		},
		entries: func() []entry { return []entry{{audit.AccountCreated, id, "person"}} },
	})
}

// changeRole gives the lodger a role, or takes it.
func (w *worker) changeRole(ctx context.Context) bool {
	a, role := w.lodger, w.role(w.rng.IntN(roles))
	has := slices.Contains(a.roles, role)
	verb, kind := "add", audit.RoleAdded
	if has {
		verb, kind = "remove", audit.RoleRemoved
	}
	return w.make(ctx, change{
		what: "a role, " + verb,
		ask:  w.command("", "role", verb, role, "--account", a.name),
		seen: func(ctx context.Context) outcome {
			s, _ := w.show(ctx, a.name)
			return is(slices.Contains(s.Roles, role) != has)
		},
		made: func() {
			if has {
				a.roles = slices.DeleteFunc(a.roles, func(r string) bool { return r == role })
			} else {
				a.roles = append(a.roles, role)
				slices.Sort(a.roles)
			}
		},
		entries: func() []entry { return []entry{{kind, a.id, role}} },
	})
}

func (w *worker) unlock(ctx context.Context) bool {
	v := w.victim
	if v.wrong == 0 {
		return w.guess(ctx)
	}
	return w.make(ctx, change{
		what:    "account unlock",
		ask:     w.command("", "account", "unlock", v.name),
		seen:    func(ctx context.Context) outcome { return is(w.failures(ctx, v, "account") == 0) },
		made:    func() { v.wrong = 0 },
		entries: func() []entry { return []entry{{audit.AccountUnlocked, v.id, ""}} },
	})
}

// disable disables the lodger, or enables it.
func (w *worker) disable(ctx context.Context) bool {
	a := w.lodger
	verb, kind, to := "disable", audit.AccountDisabled, true
	if a.disabled {
		verb, kind, to = "enable", audit.AccountEnabled, false
	}
	return w.make(ctx, change{
		what: "account " + verb,
		ask:  w.command("", "account", verb, a.name),
		seen: func(ctx context.Context) outcome {
			s, _ := w.show(ctx, a.name)
			return is(s.Disabled == to)
		},
		made: func() {
			if a.disabled = to; to {
				w.over(a, slices.Clone(a.sessions)...)
			}
		},
		entries: func() []entry { return []entry{{kind, a.id, ""}} },
	})
}

// changePassword changes the person's password: by himself, if he has a session.
func (w *worker) changePassword(ctx context.Context) bool {
	a, next := w.person, w.password()
	w.secret(next)
	kept := a.pick(w.rng)
	how, reason := w.command(next, "account", "set-password", a.name, "--password-stdin"), "password_reset"
	if kept != nil && w.rng.IntN(2) == 0 {
		var got answer
		how, reason = w.request(&got, func() answer {
			return w.ask(always, "POST", "/ostiary/password", jsonOf("current", a.word, "new", next), kept.access...)
		}), "password_changed"
	} else {
		kept = nil
	}
	if !w.make(ctx, change{
		what: "a password: " + reason,
		ask:  how,
		seen: func(context.Context) outcome {
			got := w.login(always, nomic, a.name, next)
			if got.ok() {
				w.expect(done, entry{audit.SignedIn, a.id, ""})
			}
			return is(got.ok())
		},
		made: func() {
			a.former, a.word = append(a.former, a.word), next
			w.over(a, slices.DeleteFunc(slices.Clone(a.sessions), func(s *session) bool { return s == kept })...)
		},
		entries: func() []entry { return []entry{{audit.PasswordChanged, a.id, reason}} },
	}) {
		return false
	}
	return w.signIn(ctx, a, senmo)
}

// second does something with the second factor: enrols it, confirms it, uses it, gets it
// wrong, or removes it.
func (w *worker) second(ctx context.Context) bool {
	a := w.strong
	switch {
	case a.factor == "none":
		return w.enrol(ctx, a)
	case a.factor == "enrolled":
		return w.confirm(ctx, a)
	case len(a.recovery) < 3:
		return w.newRecovery(ctx, a)
	}
	switch w.rng.IntN(8) {
	case 0:
		return w.resetFactor(ctx, a)
	case 1:
		return w.wrongCode(ctx, a)
	case 2, 3:
		if code, ok := w.code(a); ok {
			return w.twoSteps(ctx, a, code)
		}
		fallthrough
	default:
		return w.twoSteps(ctx, a, a.recovery[w.rng.IntN(len(a.recovery))])
	}
}

// code is one that was not used, of a step that stays good for half a minute.
func (w *worker) code(a *account) (string, bool) {
	now := unixStep()
	step := max(a.step+1, now)
	if step > now+1 {
		return "", false
	}
	a.step = step
	return totp.Code(a.totp, step), true
}

func (w *worker) enrol(ctx context.Context, a *account) bool {
	return w.make(ctx, change{
		what: "mfa enroll",
		ask:  w.command("", "mfa", "enroll", a.name),
		seen: func(ctx context.Context) outcome {
			if s, _ := w.show(ctx, a.name); s.Factor != "enrolled" {
				return refused
			}
			w.printed = w.site.must("", "mfa", "enroll", a.name) // the same one again
			return done
		},
		made: func() {
			uri, _, _ := strings.Cut(w.printed, "\n")
			u, err := url.Parse(uri)
			if err != nil {
				w.t.Error(err)
				return
			}
			secret := u.Query().Get("secret")
			w.secret(secret)
			if a.totp, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret); err != nil {
				w.t.Error(err)
			}
			a.factor, a.step = "enrolled", 0
		},
		entries: func() []entry { return []entry{{audit.FactorEnrolled, a.id, ""}} },
	})
}

// confirm confirms an enrolment: by command, or by a login.
func (w *worker) confirm(ctx context.Context, a *account) bool {
	code, ok := w.code(a)
	if !ok {
		return true
	}
	if w.rng.IntN(2) == 0 {
		return w.twoSteps(ctx, a, code)
	}
	return w.make(ctx, change{
		what: "mfa confirm",
		ask:  w.command("", "mfa", "confirm", a.name, "--code", code),
		seen: func(ctx context.Context) outcome {
			s, _ := w.show(ctx, a.name)
			return is(s.Factor == "confirmed")
		},
		made: func() {
			a.factor = "confirmed"
			w.codes = append(w.codes, code)
			w.over(a, slices.Clone(a.sessions)...)
		},
		entries: func() []entry { return []entry{{audit.FactorConfirmed, a.id, ""}} },
	})
}

func (w *worker) newRecovery(ctx context.Context, a *account) bool {
	void, left := a.recovery, a.left
	return w.make(ctx, change{
		what: "mfa recovery",
		ask:  w.command("", "mfa", "recovery", a.name),
		seen: func(ctx context.Context) outcome {
			if s, _ := w.show(ctx, a.name); s.Recovery <= left {
				return refused
			}
			w.printed = w.site.must("", "mfa", "recovery", a.name) // nobody has seen the others
			w.expect(done, entry{audit.RecoveryMade, a.id, ""})
			return done
		},
		made: func() {
			w.codes = append(w.codes, void...)
			a.recovery, a.left = strings.Fields(w.printed), 10
		},
		entries: func() []entry { return []entry{{audit.RecoveryMade, a.id, ""}} },
	})
}

func (w *worker) resetFactor(ctx context.Context, a *account) bool {
	return w.make(ctx, change{
		what: "mfa reset",
		ask:  w.command("", "mfa", "reset", a.name),
		seen: func(ctx context.Context) outcome {
			s, _ := w.show(ctx, a.name)
			return is(s.Factor == "none")
		},
		made: func() {
			w.codes = append(w.codes, a.recovery...)
			a.factor, a.recovery, a.left, a.wrongCodes = "none", nil, 0, 0
			w.over(a, slices.Clone(a.sessions)...)
		},
		entries: func() []entry { return []entry{{audit.FactorReset, a.id, ""}} },
	})
}

// wrongCode is a code that is none.
func (w *worker) wrongCode(ctx context.Context, a *account) bool {
	ticket, ok := w.ticket(ctx, a)
	return ok && w.badCode(ctx, a, ticket, w.never(a))
}

// badCode presents a code that must not pass, and is counted as wrong.
func (w *worker) badCode(ctx context.Context, a *account, ticket, code string) bool {
	return w.make(ctx, change{
		what:    "a wrong code",
		rule:    "I2: a code that is spent, void or none was not refused",
		ask:     w.wrong(http.StatusUnauthorized, func() answer { return w.passport(always, ticket, code) }),
		seen:    func(ctx context.Context) outcome { return is(w.failures(ctx, a, "factor") > a.wrongCodes) },
		made:    func() { a.wrongCodes++ },
		entries: func() []entry { return []entry{{audit.FactorFailed, a.id, "wrong_code"}} },
	})
}

// never is a code of no step near now.
func (w *worker) never(a *account) string {
	for {
		code := fmt.Sprintf("%06d", w.rng.IntN(1e6))
		near := false
		for step := unixStep() - 3; step <= unixStep()+3; step++ {
			near = near || totp.Code(a.totp, step) == code
		}
		if !near {
			return code
		}
	}
}
