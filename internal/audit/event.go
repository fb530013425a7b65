// Package audit is the vocabulary of what the audit log records. The log is the
// table audit_event; every entry is written in the transaction of what it records.
package audit

import (
	"time"

	"github.com/google/uuid"
)

// Kind names what happened.
type Kind string

const (
	SignedIn        Kind = "signed_in"        // a session was opened
	PasswordPassed  Kind = "password_passed"  // first of two steps; a ticket was issued
	SignInFailed    Kind = "sign_in_failed"   // Detail says why
	FactorFailed    Kind = "factor_failed"    // a wrong, spent or missing code
	FactorEnrolled  Kind = "factor_enrolled"  // an enrolment was started
	FactorConfirmed Kind = "factor_confirmed" // the first right code came
	FactorReset     Kind = "factor_reset"
	RecoveryMade    Kind = "recovery_codes_made"
	RecoveryUsed    Kind = "recovery_code_used"

	TokenRefreshed Kind = "token_refreshed"
	TokenRenewed   Kind = "token_renewed"
	RefreshFailed  Kind = "refresh_failed"
	RefreshReused  Kind = "refresh_token_reused" // a theft: the session was ended
	SessionEnded   Kind = "session_ended"

	RealmCreated     Kind = "realm_created"
	AccountCreated   Kind = "account_created"
	AccountUpdated   Kind = "account_updated"
	AccountDisabled  Kind = "account_disabled"
	AccountEnabled   Kind = "account_enabled"
	AccountDeleted   Kind = "account_deleted"
	AccountUnlocked  Kind = "account_unlocked"
	BudgetSpent      Kind = "budget_spent"   // from now on guesses have to wait
	BudgetCleared    Kind = "budget_cleared" // of a source
	PasswordChanged  Kind = "password_changed"
	PasswordRehashed Kind = "password_rehashed"
	SecretRotated    Kind = "secret_rotated"
	AliasSet         Kind = "alias_set"
	KeyCreated       Kind = "key_created"
	KeyRotated       Kind = "key_rotated"

	RoleCreated       Kind = "role_created"
	RoleDeleted       Kind = "role_deleted"
	RoleAdded         Kind = "role_added"   // to an account
	RoleRemoved       Kind = "role_removed" // from an account
	DatasourceCreated Kind = "datasource_created"
	DatasourceDeleted Kind = "datasource_deleted"
	DatasourceGranted Kind = "datasource_granted" // to a role
	DatasourceRevoked Kind = "datasource_revoked" // from a role
)

// Event is one entry of the audit log. It never holds a secret or a whole token.
type Event struct {
	ID        uuid.UUID // version 7: entries sort by time
	RealmID   uuid.UUID
	At        time.Time
	Kind      Kind
	Account   uuid.UUID // uuid.Nil if there is none
	Session   uuid.UUID // uuid.Nil if there is none
	Dialect   string
	Address   string // the client's network address
	RequestID string
	Actor     string // the operator on the command line; empty for the account itself
	Detail    string // a reason or a name
}
