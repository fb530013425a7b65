// Package audit is the vocabulary of what the audit log records, and the chain of hashes
// that keeps it from being rewritten (chain.go). The log is the table audit_event; every
// entry is written in the transaction of what it records.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
)

// Kind names what happened.
type Kind string

const (
	SignedIn        Kind = "signed_in"        // a session was opened
	PasswordPassed  Kind = "password_passed"  // first of two steps; a ticket was issued
	LegacySignedIn  Kind = "legacy_signed_in" // a legacy server has let in whom this one does not; Detail says why
	SignInFailed    Kind = "sign_in_failed"   // Detail says why
	FactorFailed    Kind = "factor_failed"    // a wrong, spent or missing code
	BudgetSpent     Kind = "budget_spent"     // from now on guesses have to wait
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
	SessionAdopted Kind = "session_adopted" // a token that another server issued was seen first

	RealmCreated     Kind = "realm_created"
	AccountCreated   Kind = "account_created"
	AccountAdopted   Kind = "account_adopted"  // from a legacy server
	AdoptionRefused  Kind = "adoption_refused" // Detail says why
	AccountUpdated   Kind = "account_updated"
	AccountDisabled  Kind = "account_disabled"
	AccountEnabled   Kind = "account_enabled"
	AccountDeleted   Kind = "account_deleted"
	AccountUnlocked  Kind = "account_unlocked"
	AccountsMerged   Kind = "accounts_merged" // Detail names the other one
	MergeUndone      Kind = "merge_undone"
	AccountsExported Kind = "accounts_exported"
	AccountsImported Kind = "accounts_imported"
	BudgetCleared    Kind = "budget_cleared" // of a source, or a name
	PasswordChanged  Kind = "password_changed"
	PasswordRehashed Kind = "password_rehashed"
	PasswordLearned  Kind = "password_learned" // from a legacy server
	WrittenBack      Kind = "written_back"     // an old system was told
	SecretRotated    Kind = "secret_rotated"
	AliasSet         Kind = "alias_set"
	KeyCreated       Kind = "key_created"
	KeyRotated       Kind = "key_rotated"
	KeyExtended      Kind = "key_extended" // its end was put off
	KeyImported      Kind = "key_imported" // of another server, for verification
	KeyEnded         Kind = "key_ended"    // one of these
	TokensImported   Kind = "tokens_imported"

	RoleCreated       Kind = "role_created"
	RoleDeleted       Kind = "role_deleted"
	RoleAdded         Kind = "role_added"   // to an account
	RoleRemoved       Kind = "role_removed" // from an account
	DatasourceCreated Kind = "datasource_created"
	DatasourceDeleted Kind = "datasource_deleted"
	DatasourceGranted Kind = "datasource_granted" // to a role
	DatasourceRevoked Kind = "datasource_revoked" // from a role

	StoreRestored Kind = "store_restored" // from a backup

	AuditAdopted Kind = "audit_adopted" // the log of an older version was taken over as it was
	AuditCut     Kind = "audit_cut"     // entries were deleted by command
)

// AboutLog tells whether entries of a kind are about the log itself.
func (k Kind) AboutLog() bool { return k == AuditAdopted || k == AuditCut }

// Kinds are all kinds, in the order of docs/audit.md.
var Kinds = []Kind{
	SignedIn, PasswordPassed, LegacySignedIn, SignInFailed, FactorFailed, BudgetSpent, FactorEnrolled, FactorConfirmed, FactorReset, RecoveryMade, RecoveryUsed,
	TokenRefreshed, TokenRenewed, RefreshFailed, RefreshReused, SessionEnded, SessionAdopted,
	RealmCreated, AccountCreated, AccountAdopted, AdoptionRefused, AccountUpdated, AccountDisabled, AccountEnabled, AccountDeleted, AccountUnlocked, AccountsMerged, MergeUndone, AccountsExported, AccountsImported, BudgetCleared,
	PasswordChanged, PasswordRehashed, PasswordLearned, WrittenBack, SecretRotated, AliasSet, KeyCreated, KeyRotated, KeyExtended, KeyImported, KeyEnded, TokensImported,
	RoleCreated, RoleDeleted, RoleAdded, RoleRemoved, DatasourceCreated, DatasourceDeleted, DatasourceGranted, DatasourceRevoked,
	StoreRestored, AuditAdopted, AuditCut,
}

// Event is one entry of the audit log. It never holds a secret or a whole token.
type Event struct {
	ID        uuid.UUID // version 7
	RealmID   uuid.UUID
	Seq       int64 // its place in the realm's log: 1, 2, 3…; set when it is stored
	At        time.Time
	Kind      Kind
	Account   uuid.UUID // uuid.Nil if there is none
	Session   uuid.UUID // uuid.Nil if there is none
	Dialect   string
	Address   string // the client's network address
	RequestID string
	Actor     string // the operator on the command line; empty for the account itself
	Token     string // what TokenTag makes of the token concerned; empty if there is none
	Detail    string // a reason or a name
	Hash      Hash   // of the entry and of all before it; set when it is stored
}

// TokenTag is how the log names a token, or a service's secret: by the first eight
// hexadecimal digits of the SHA-256 of its text. Passwords and codes, which can be guessed,
// must never be named so.
func TokenTag(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return TagOf(sum)
}

// TagOf is TokenTag of a token whose hash is known.
func TagOf(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:4]) }
