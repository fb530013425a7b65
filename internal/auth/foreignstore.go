package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
)

// foreignJWT is the kind of a JWT that was seen: it has its session.
const foreignJWT ForeignKind = "jwt"

// ForeignRecord is a token that another server issued, as it is stored.
type ForeignRecord struct {
	RealmID   uuid.UUID
	Hash      [32]byte // SHA-256 of its text; of a JWT, of what is signed
	AccountID uuid.UUID
	Dialect   Dialect
	Kind      ForeignKind
	Session   uuid.UUID // that it belongs to here; uuid.Nil: none yet
	Key       uuid.UUID // of a JWT: the foreign key that has signed it
	CreatedAt time.Time // when it was issued, or learned, if that is not known
	ExpiresAt time.Time
	SpentAt   time.Time // when it got its session; zero: not yet. Without a session: it is void
}

type ForeignReader interface {
	// ForeignToken returns ErrNotFound if a realm has none with the hash.
	ForeignToken(ctx context.Context, realm uuid.UUID, hash [32]byte) (ForeignRecord, error)
	// AnyForeignToken tells whether there is one that has not expired, in any realm.
	AnyForeignToken(ctx context.Context, now time.Time) (bool, error)
	// SessionCutoff is before when no token of an account that another server issued is good;
	// zero: there is no such time.
	SessionCutoff(ctx context.Context, realm, account uuid.UUID) (time.Time, error)
	// AccountBySubject finds the account that has an alias, AccountByNumber the one that has a
	// number. ErrNotFound if there is none.
	AccountBySubject(ctx context.Context, realm uuid.UUID, d Dialect, subject string) (AccountRecord, error)
	AccountByNumber(ctx context.Context, realm uuid.UUID, number int64, d Dialect) (AccountRecord, error)
	// SubjectGone is when the last account that had a subject in a dialect, or had it as its
	// number, was deleted; zero: none was.
	SubjectGone(ctx context.Context, realm uuid.UUID, d Dialect, subject string) (time.Time, error)
	// ForeignKeys are the keys of others that a realm takes tokens of, expired ones too.
	ForeignKeys(ctx context.Context, realm uuid.UUID) ([]keyring.Foreign, error)
}

// ForeignWriter writes what is known of the tokens of others. The bools report whether
// anything changed.
type ForeignWriter interface {
	// InsertForeignToken stores a token, unless there is one with the hash.
	InsertForeignToken(ctx context.Context, r ForeignRecord) (bool, error)
	// LearnForeignToken stores one with its session, in place of one with the same hash, if
	// that is of the same account, dialect and kind.
	LearnForeignToken(ctx context.Context, r ForeignRecord) (bool, error)
	// SpendForeignToken gives a token its session (uuid.Nil: none, it is void), and the key that
	// it came with (or none): true once for each token that has no session.
	SpendForeignToken(ctx context.Context, realm uuid.UUID, hash [32]byte, session, key uuid.UUID, now time.Time) (bool, error)
	// RotateForeign is RotateRefresh for the tokens of others that belong to a session: each of
	// them is the one before the chain's first.
	RotateForeign(ctx context.Context, m *Mount, session uuid.UUID, now time.Time) (Rotation, error)
	// ExtendSession is TouchSession, and puts the end of the session off, if that is earlier.
	ExtendSession(ctx context.Context, realm, id uuid.UUID, idleAt, expiresAt, now time.Time) (bool, error)
	// CutSessions sets what SessionCutoff tells; an account that is the realm stands for all.
	CutSessions(ctx context.Context, realm, account uuid.UUID, now time.Time) error
	// NoteSubjectGone notes what SubjectGone tells; "" is the dialect of a number.
	NoteSubjectGone(ctx context.Context, realm uuid.UUID, d Dialect, subject string, now time.Time) error
	InsertForeignKey(ctx context.Context, k keyring.Foreign) error
	// HoldForeignKey holds off the end of a key until the commit, and reports whether it lives.
	HoldForeignKey(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error)
	// EndForeignKey ends a key that has not ended, and EndKeySessions the live sessions of the
	// tokens that it has signed, which it counts.
	EndForeignKey(ctx context.Context, realm, id uuid.UUID, now time.Time) (bool, error)
	EndKeySessions(ctx context.Context, realm, key uuid.UUID, reason string, now time.Time) (int, error)
}
