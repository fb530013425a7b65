package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
)

// What a store answers instead of a row. Every other error of a store is an
// *Error with CodeUnavailable (try again later) or CodeInternal (a fault of ours).
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("already in use")
)

// Store is the database. Its own methods see what is committed.
type Store interface {
	Reader
	GuessReserver
	// InTx runs fn in one transaction and commits it durably before it returns nil.
	// fn may run more than once, so it must have no effect outside of tx.
	InTx(ctx context.Context, fn func(tx Tx) error) error
	// Ping tells whether the store can answer.
	Ping(ctx context.Context) error
	// UseAuditKey says what InsertEvent is to seal the heads of logs with.
	UseAuditKey(key audit.HeadKey)
}

// Along says that a transaction is in the way of others with the same key: a store that runs
// several at once does better to run these one after the other.
func Along(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, alongKey{}, key)
}

// AlongWith is the key that Along gave; "": any may run beside it.
func AlongWith(ctx context.Context) string {
	key, _ := ctx.Value(alongKey{}).(string)
	return key
}

type alongKey struct{}

// Reader is what can be read, in a transaction or outside one.
type Reader interface {
	RealmReader
	AccountReader
	RoleReader
	FactorReader
	TicketReader
	SessionReader
	BudgetReader
	AuditReader
	ImportReader
	SourceReader
	ForeignReader
	ParityReader
	UsageReader
	MergeReader
	WritebackReader
}

// Tx is what can be read and written in a transaction.
type Tx interface {
	Reader
	RealmWriter
	AccountWriter
	RoleWriter
	CredentialWriter
	FactorWriter
	TicketWriter
	SessionWriter
	BudgetWriter
	AuditWriter
	ImportWriter
	SourceWriter
	ForeignWriter
	ParityWriter
	UsageWriter
	MergeWriter
	WritebackWriter
}

// Realm is a closed set of accounts, keys and policies.
type Realm struct {
	ID         uuid.UUID
	Name       string
	RefreshKey []byte // sealed with the master key
	CreatedAt  time.Time
}

type RealmReader interface {
	// RealmByName returns ErrNotFound for an unknown name.
	RealmByName(ctx context.Context, name string) (Realm, error)
	RealmByID(ctx context.Context, id uuid.UUID) (Realm, error)
	Realms(ctx context.Context) ([]Realm, error)
	// Keys are the signing keys of a realm, the newest first, expired ones too.
	Keys(ctx context.Context, realm uuid.UUID) ([]keyring.Record, error)
	// HashSchemes are the cost classes of the password hashes that the realm stores.
	HashSchemes(ctx context.Context, realm uuid.UUID) ([]string, error)
}

type RealmWriter interface {
	// InsertRealm makes a realm with BuiltInRoles; ErrConflict if the name is taken.
	InsertRealm(ctx context.Context, r Realm) error
	// HoldRealm holds off, until the commit, all others that hold it: for what is decided by
	// something read before. ErrNotFound if there is none.
	HoldRealm(ctx context.Context, realm uuid.UUID) error
	// SetRefreshKey replaces the key of refresh tokens, sealed. ErrNotFound if there is no such realm.
	SetRefreshKey(ctx context.Context, realm uuid.UUID, sealed []byte) error
	InsertKey(ctx context.Context, k keyring.Record) error
	// EndKey sets when a key ends.
	EndKey(ctx context.Context, id uuid.UUID, end time.Time) error
}

// AccountRecord is an account with what a login needs of it.
type AccountRecord struct {
	Account
	PasswordHash string // a PHC string; empty: no password
	// Version changes with everything that must end what was proven before:
	// the password, the second factor, disabling.
	Version     int64
	Subject     string   // the alias in the dialect that was asked for, or empty
	Factor      *Factor  // nil: none
	Roles       []string // sorted
	Datasources []string // sorted: what the roles open

	Passwords  []SourceHash // by source, sorted
	Elsewhere  Dialect      // the legacy server of this dialect asks for its second factor; empty: none does
	EnrolsHere bool         // an operator has it enrol here, and that server is not asked meanwhile
}

// NamedAccount is an account that was found by a name key.
type NamedAccount struct {
	Account
	NameKey string
}

type AccountReader interface {
	// AccountByName finds an account by the mapped form of its username or e-mail
	// address, with its subject in the dialect. The names of accounts that are apart there go
	// before the others. ErrNotFound if there is none.
	AccountByName(ctx context.Context, realm uuid.UUID, nameKey string, d Dialect) (AccountRecord, error)
	// AccountFrom is AccountByName, and tells what KnownSource does.
	AccountFrom(ctx context.Context, realm uuid.UUID, nameKey string, d Dialect, source string, since time.Time) (AccountRecord, bool, error)
	AccountByID(ctx context.Context, realm, id uuid.UUID, d Dialect) (AccountRecord, error)
	// Accounts lists by id, from the first after the given one.
	Accounts(ctx context.Context, realm, after uuid.UUID, limit int) ([]Account, error)
	// AccountsByPrefix lists the accounts that have a name key with that beginning, each once
	// by the first of them, from the first key after the given one: names that are good everywhere,
	// or, with a dialect, those of accounts that are apart there.
	AccountsByPrefix(ctx context.Context, realm uuid.UUID, d Dialect, prefix, after string, limit int) ([]NamedAccount, error)
	Aliases(ctx context.Context, account uuid.UUID) (map[Dialect]string, error)
	// PastPasswords are the hashes that KeepPassword remembered, the last first.
	PastPasswords(ctx context.Context, account uuid.UUID) ([]string, error)
	// Holdings lists accounts by id, from the first after the given one, with what they take
	// to another server; their secrets are those that live. TOTP is not set.
	Holdings(ctx context.Context, realm, after uuid.UUID, limit int, now time.Time) ([]Holding, error)
	// SecretLives tells whether the hash is a service secret of the account that has not expired.
	SecretLives(ctx context.Context, account uuid.UUID, hash [32]byte, now time.Time) (bool, error)
}

type AccountWriter interface {
	// NextNumber takes the next free number from the realm's counter.
	NextNumber(ctx context.Context, realm uuid.UUID) (int64, error)
	// RaiseNumbers has the counter go on from least, unless it is past that.
	RaiseNumbers(ctx context.Context, realm uuid.UUID, least int64) error
	// InsertAccount and UpdateAccount return ErrConflict if a name or the number is taken. The
	// names of one that is apart are good in its dialect alone. A name that UpdateAccount takes
	// away is gone, as those of a deleted account are.
	InsertAccount(ctx context.Context, a AccountRecord, nameKeys []string) error
	// UpdateAccount replaces its names by those, which are good where it is apart, or everywhere,
	// and by others.
	UpdateAccount(ctx context.Context, a Account, nameKeys []string, others ...AccountName) error
	// SetDisabled returns whether that changed anything.
	SetDisabled(ctx context.Context, realm, id uuid.UUID, disabled bool, now time.Time) (bool, error)
	// HoldAccount holds off changes of the account until the commit. ErrNotFound if there is none.
	HoldAccount(ctx context.Context, realm, id uuid.UUID) error
	// DeleteAccount removes the account with its names, credentials and sessions.
	DeleteAccount(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error)
	// SetAlias returns ErrConflict if another account has the subject; an empty subject removes the alias.
	SetAlias(ctx context.Context, realm, account uuid.UUID, d Dialect, subject string) error
	// RecordSignIn notes the login and reports whether the account is enabled and its
	// version still the one that was checked; it holds off changes until the commit.
	RecordSignIn(ctx context.Context, account uuid.UUID, version int64, now time.Time) (bool, error)
}

type RoleReader interface {
	// Roles and Datasources list by name, from the first after the given one.
	Roles(ctx context.Context, realm uuid.UUID, after string, limit int) ([]Role, error)
	Datasources(ctx context.Context, realm uuid.UUID, after string, limit int) ([]Datasource, error)
	HasRole(ctx context.Context, realm uuid.UUID, name string) (bool, error)
	HasDatasource(ctx context.Context, realm uuid.UUID, name string) (bool, error)
	// RoleAccounts lists the accounts that have a role, by id.
	RoleAccounts(ctx context.Context, realm uuid.UUID, role string, after uuid.UUID, limit int) ([]Account, error)
}

// RoleWriter writes who may do what. The bools report whether anything changed.
type RoleWriter interface {
	// InsertRole and InsertDatasource return ErrConflict if the name is taken.
	InsertRole(ctx context.Context, realm uuid.UUID, name string, now time.Time) error
	InsertDatasource(ctx context.Context, realm uuid.UUID, name string, now time.Time) error
	// DeleteRole and DeleteDatasource remove what was given with them, too, and return that: the
	// accounts that had the role, and what it opened; the roles that opened the datasource. All are
	// sorted, and none is returned to anybody else. ErrNotFound if there is none.
	DeleteRole(ctx context.Context, realm uuid.UUID, name string) (accounts []uuid.UUID, datasources []string, err error)
	DeleteDatasource(ctx context.Context, realm uuid.UUID, name string) (roles []string, err error)
	// AddRole and GrantDatasource return ErrNotFound if the realm lacks what they join, and
	// hold off its deletion until the commit. So does RemoveRole, which returns ErrNotFound if
	// there is no such account.
	AddRole(ctx context.Context, realm, account uuid.UUID, role string, now time.Time) (bool, error)
	RemoveRole(ctx context.Context, realm, account uuid.UUID, role string) (bool, error)
	GrantDatasource(ctx context.Context, realm uuid.UUID, role, datasource string, now time.Time) (bool, error)
	RevokeDatasource(ctx context.Context, realm uuid.UUID, role, datasource string) (bool, error)
}

type CredentialWriter interface {
	// SetPassword replaces the hash, whatever it was, and changes the version; it reports
	// whether that was still the given one.
	SetPassword(ctx context.Context, account uuid.UUID, version int64, hash string, now time.Time) (bool, error)
	// KeepPassword remembers the hashes that are about to be replaced, if there are any, and
	// forgets all but the last n.
	KeepPassword(ctx context.Context, account uuid.UUID, n int, now time.Time) error
	// Rehash replaces the hash old, and nothing else; it reports whether old was still there.
	Rehash(ctx context.Context, account uuid.UUID, old, hash string) (bool, error)
	// CountScheme adds to how many hashes of a cost class the realm stores.
	CountScheme(ctx context.Context, realm uuid.UUID, scheme string, add int) error
	// ChangeVersion makes everything void that was proven before.
	ChangeVersion(ctx context.Context, account uuid.UUID, now time.Time) error
	InsertSecret(ctx context.Context, realm, account uuid.UUID, hash [32]byte, now time.Time) error
	// ExpireSecrets ends the account's secrets at the given time, if they do not end earlier.
	ExpireSecrets(ctx context.Context, account uuid.UUID, at time.Time) error
}

// Factor is a TOTP second factor.
type Factor struct {
	Secret      []byte // sealed with the master key
	LastStep    int64  // codes of this step and earlier ones are spent
	CreatedAt   time.Time
	ConfirmedAt time.Time // zero: not yet confirmed
}

type FactorReader interface {
	// RecoveryCodes counts the codes that can still be used.
	RecoveryCodes(ctx context.Context, account uuid.UUID) (int, error)
}

type FactorWriter interface {
	// StartFactor puts a new unconfirmed factor in place of any unconfirmed one;
	// ErrConflict if there is a confirmed one.
	StartFactor(ctx context.Context, realm, account uuid.UUID, f Factor) error
	// UseStep spends a step: true once for each step, and never for an earlier one.
	// The first step that is spent confirms the factor.
	UseStep(ctx context.Context, account uuid.UUID, step int64, now time.Time) (bool, error)
	// DeleteFactor removes the factor and its recovery codes.
	DeleteFactor(ctx context.Context, account uuid.UUID) (bool, error)
	// ReplaceRecoveryCodes makes the given hashes the account's only codes.
	ReplaceRecoveryCodes(ctx context.Context, realm, account uuid.UUID, hashes [][32]byte, now time.Time) error
	// SpendRecoveryCode is true once for each code.
	SpendRecoveryCode(ctx context.Context, account uuid.UUID, hash [32]byte, now time.Time) (bool, error)
}

// Ticket is the proof that the first step of a login is done.
type Ticket struct {
	Hash      [32]byte // with its dialect
	RealmID   uuid.UUID
	AccountID uuid.UUID
	Version   int64 // of the account, when the password was checked
	CreatedAt time.Time
	ExpiresAt time.Time
}

type TicketReader interface {
	// TicketAccount tells whose ticket it is, alive or not. ErrNotFound if there is none.
	TicketAccount(ctx context.Context, realm uuid.UUID, hash [32]byte) (uuid.UUID, error)
	// TicketFrom is TicketAccount, and tells what KnownSource does of that account.
	TicketFrom(ctx context.Context, realm uuid.UUID, hash [32]byte, source string, since time.Time) (uuid.UUID, bool, error)
	// LiveTickets counts the account's tickets that can still complete a login: of the
	// version, and with fewer than max wrong codes.
	LiveTickets(ctx context.Context, account uuid.UUID, version int64, max int, now time.Time) (int, error)
}

type TicketWriter interface {
	InsertTicket(ctx context.Context, t Ticket) error
	// TryTicket counts an attempt in advance. ErrNotFound unless the ticket lives
	// and has had fewer than max wrong codes.
	TryTicket(ctx context.Context, realm uuid.UUID, hash [32]byte, max int, now time.Time) (Ticket, error)
	// TryTicketIn is TryTicket, and reads the ticket's account with its subject in a dialect.
	TryTicketIn(ctx context.Context, realm uuid.UUID, d Dialect, hash [32]byte, max int, now time.Time) (Ticket, AccountRecord, error)
	// ForgiveTicket takes the attempt back that TryTicket counted.
	ForgiveTicket(ctx context.Context, hash [32]byte) error
	// SpendTicket is true once for each ticket.
	SpendTicket(ctx context.Context, hash [32]byte, now time.Time) (bool, error)
}

// SessionRecord is a session with its account.
type SessionRecord struct {
	Session
	Account AccountRecord
}

// Rotation is the outcome of presenting a refresh token whose MAC is right.
type Rotation struct {
	Session Session
	Account AccountRecord
	Stolen  bool // the token was spent: the session has been ended
	Retried bool // the token was spent a moment ago: the same successor again
}

type SessionReader interface {
	// SessionByID and SessionByBearer return sessions that ended, too. ErrNotFound if there is none.
	SessionByID(ctx context.Context, realm, id uuid.UUID) (SessionRecord, error)
	SessionByBearer(ctx context.Context, realm uuid.UUID, hash [32]byte) (SessionRecord, error)
	// Sessions lists live sessions by id, from the first after the given one; uuid.Nil
	// for the account lists everybody's.
	Sessions(ctx context.Context, realm, account, after uuid.UUID, limit int, now time.Time) ([]Session, error)
}

type SessionWriter interface {
	// InsertSession stores a session; bearer is the hash of its opaque token, or nil.
	InsertSession(ctx context.Context, s Session, bearer []byte) error
	// RotateRefresh decides, in one statement, what presenting a generation at a mount
	// means, and reads the session's account with its subject in the mount's dialect.
	// ErrNotFound unless the session lives, is of the mount's realm, dialect and
	// audience, and has had that generation.
	RotateRefresh(ctx context.Context, m *Mount, id uuid.UUID, generation int64, now time.Time) (Rotation, error)
	// TouchSession notes a use and reports whether the session lives.
	TouchSession(ctx context.Context, realm, id uuid.UUID, idleAt, now time.Time) (bool, error)
	// EndSession reports whether the session was alive.
	EndSession(ctx context.Context, realm, id uuid.UUID, reason string, now time.Time) (bool, error)
	// EndSessions ends all live sessions of an account but one (uuid.Nil: all) and counts them, and
	// those that may be alive by the clock of another node;
	// no token that another server issued before, and that has no session yet, gets one.
	EndSessions(ctx context.Context, account, except uuid.UUID, reason string, now time.Time) (int, error)
}

// AuditFilter selects entries of the audit log, in their order.
type AuditFilter struct {
	After, Last  int64 // the numbers of the entry before the first, and of the last; 0: no bound
	Limit        int
	Account      uuid.UUID // uuid.Nil: any
	Session      uuid.UUID // uuid.Nil: any
	Kinds        []audit.Kind
	Actor        string
	Address      string
	Since, Until time.Time // from, and before; zero: no bound
}

type AuditReader interface {
	Events(ctx context.Context, realm uuid.UUID, f AuditFilter) ([]audit.Event, error)
	// EventSpan is the lowest and the highest number of the entries of a time: what it
	// costs grows with their number, and not with that of the others. 0, 0: there are none.
	EventSpan(ctx context.Context, realm uuid.UUID, since, until time.Time) (first, last int64, err error)
	// AuditHeads are the ends of all realms' logs.
	AuditHeads(ctx context.Context) (map[uuid.UUID]audit.Head, error)
	// Changed are the accounts of a log's entries from the one behind after to last, but for
	// those of some kinds, at most limit of them; uuid.Nil for an entry that has none.
	Changed(ctx context.Context, realm uuid.UUID, after, last int64, but []audit.Kind, limit int) ([]uuid.UUID, error)
	// AuditHead is the end of a realm's log. ErrNotFound if it has never had an entry.
	AuditHead(ctx context.Context, realm uuid.UUID) (audit.SealedHead, error)
	Checkpoints(ctx context.Context, realm uuid.UUID, after int64, limit int) ([]audit.Checkpoint, error)
	// LastCheckpoint returns ErrNotFound if there is none.
	LastCheckpoint(ctx context.Context, realm uuid.UUID) (audit.Checkpoint, error)
}

type AuditWriter interface {
	// InsertEvent stores an entry behind the realm's last one: HeadKey.Append says how. It may
	// be stored, and seen, at the end of the transaction only.
	InsertEvent(ctx context.Context, e audit.Event) error
	// Closing says that the next thing that is asked for an answer is the last that is done at
	// all, and that one event of each of these realms follows: their places may be taken with
	// the answer. Who has rows left to write must not say it: the log would wait for them.
	Closing(realms ...uuid.UUID)
	// SealAuditHead gives a head, if it is still the head, another seal.
	SealAuditHead(ctx context.Context, realm uuid.UUID, h audit.SealedHead) error
	// ResetAuditHead makes a head that of the log, and deletes the checkpoints after it.
	ResetAuditHead(ctx context.Context, realm uuid.UUID, h audit.SealedHead) error
	// InsertCheckpoint stores a checkpoint, in place of one of the same entry; one that is no
	// cut does not take the place of one that is.
	InsertCheckpoint(ctx context.Context, c audit.Checkpoint) error
	// CutEvents deletes the entries up to a number, and the checkpoints before it.
	CutEvents(ctx context.Context, realm uuid.UUID, through int64) (int, error)
}
