package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// AccountName is a name that finds an account.
type AccountName struct {
	Dialect Dialect // that it is good in; empty: in all
	Key     string
}

// MergeRecord is a merge of two accounts, as it is stored.
type MergeRecord struct {
	ID       uuid.UUID // version 7
	RealmID  uuid.UUID
	Keep     uuid.UUID
	Other    uuid.UUID
	At       time.Time
	ResetAt  time.Time // of the first new password of the account that was kept; zero: none yet
	UndoneAt time.Time // zero: not
	Before   []byte    // mergeBefore, sealed
}

// Belongings are rows of an account that can be given to another one.
type Belongings struct {
	Sessions []uuid.UUID // that live
	Foreign  [][32]byte  // tokens that others issued
	Imports  [][32]byte  // digests of lines that it was imported from
	Sources  []KnownSource
	Past     []string // hashes of past passwords, the first first
}

// KnownSource is a source that an account was signed in from.
type KnownSource struct {
	Source string
	SeenAt time.Time
}

type MergeReader interface {
	AccountNames(ctx context.Context, account uuid.UUID) ([]AccountName, error)
	Belongings(ctx context.Context, account uuid.UUID, now time.Time) (Belongings, error)
	// SignedInAt is when somebody has signed in with the account last; zero: nobody has.
	SignedInAt(ctx context.Context, account uuid.UUID) (time.Time, error)
	// MergeByID returns ErrNotFound if there is none.
	MergeByID(ctx context.Context, realm, id uuid.UUID) (MergeRecord, error)
	// Merges lists all of a realm by id.
	Merges(ctx context.Context, realm uuid.UUID) ([]MergeRecord, error)
}

type MergeWriter interface {
	// AddName returns ErrConflict if another account has the name there.
	AddName(ctx context.Context, realm, account uuid.UUID, n AccountName) error
	// NoteApart says where the own names of an account are good that is apart and gets others.
	NoteApart(ctx context.Context, realm, account uuid.UUID, d Dialect) error
	DropName(ctx context.Context, realm, account uuid.UUID, n AccountName) (bool, error)
	// Give gives rows that one account still has to another one. A source that both are known
	// from is one of the other then.
	Give(ctx context.Context, from, to uuid.UUID, b Belongings) error
	// GiveTickets gives the tickets of an account's version to another one, as those of its version.
	GiveTickets(ctx context.Context, from uuid.UUID, version int64, to uuid.UUID, as int64, now time.Time) error
	// GiveFactor gives a second factor to an account that has none, sealed for it, and the recovery
	// codes that stand in for it.
	GiveFactor(ctx context.Context, from, to uuid.UUID, sealed []byte) (bool, error)
	// CopyBudgets adds the wrong guesses that are counted for an account, or a name, to those for another one.
	CopyBudgets(ctx context.Context, realm, from, to uuid.UUID) error
	// DropMerged removes an account of which another one has become: nothing of it is gone.
	DropMerged(ctx context.Context, realm, id uuid.UUID) (bool, error)
	InsertMerge(ctx context.Context, m MergeRecord) error
	// ResetMerges notes that an account has a new password, with those of its merges that know of none yet.
	ResetMerges(ctx context.Context, kept uuid.UUID, now time.Time) error
	// UndoneMerge is true once for each merge.
	UndoneMerge(ctx context.Context, m MergeRecord, now time.Time) (bool, error)
}
