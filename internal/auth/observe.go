package auth

import (
	"errors"

	"github.com/ostiary/ostiary/internal/audit"
)

// Observer is told what the core does, for an operator's metrics: no name, no token, no
// address. Its methods return at once, and are safe for concurrent use.
type Observer interface {
	// Login is told of each step of a login: OutcomeSignedIn, OutcomePassed, or why not, in
	// the words of the audit log, or else by a Code.
	Login(d Dialect, outcome string)
	// Refreshed is told of each refresh token that was presented: one of the outcomes
	// OutcomeRotated, OutcomeRetried and OutcomeStolen, or a Code.
	Refreshed(d Dialect, outcome string)
	// Verified, Introspected and Revoked are told with which Code it ended; "": well.
	Verified(code Code)
	Introspected(code Code)
	Revoked(code Code)
	// Viewed is told whether a session was known already, or was read from the store.
	Viewed(known bool)
	// Throttled is told of each guess that was refused by a budget.
	Throttled(kind BudgetKind)
	// Reserving is told of each guess that begins (1) or ends (-1) to ask for its place in a budget.
	Reserving(n int)
	// Audited is told of each entry of the audit log that was stored.
	Audited(kind audit.Kind)
}

// What became of a login, or of a refresh token, when it went well; and of a theft.
const (
	OutcomeSignedIn = "signed_in"
	OutcomePassed   = "password_passed"
	OutcomeRotated  = "rotated"
	OutcomeRetried  = "retried"
	OutcomeStolen   = "stolen"
)

// reason is why a login failed, as the audit log has it: one of a few words.
type reason string

func (r reason) Error() string { return string(r) }

// outcome is what became of a login.
func outcome(well string, err error) string {
	if err == nil {
		return well
	}
	code := CodeOf(err)
	if why, ok := errors.AsType[reason](err); ok && code != CodeUnavailable && code != CodeInternal {
		return string(why)
	}
	return string(code)
}

// refreshOutcome is what became of a refresh token.
func refreshOutcome(rot Rotation, err error) string {
	switch {
	case CodeOf(err) == CodeTokenReused:
		return OutcomeStolen
	case err != nil:
		return string(CodeOf(err))
	case rot.Retried:
		return OutcomeRetried
	}
	return OutcomeRotated
}

// nobody observes.
type nobody struct{}

func (nobody) Login(Dialect, string)     {}
func (nobody) Refreshed(Dialect, string) {}
func (nobody) Verified(Code)             {}
func (nobody) Introspected(Code)         {}
func (nobody) Revoked(Code)              {}
func (nobody) Viewed(bool)               {}
func (nobody) Throttled(BudgetKind)      {}
func (nobody) Reserving(int)             {}
func (nobody) Audited(audit.Kind)        {}
