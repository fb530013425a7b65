package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// SourceHash is a password that an account brought from a server that is taken over: it
// is good in the dialect of its source alone, unless it is joined.
type SourceHash struct {
	Source    Dialect
	Hash      string // empty: pending, the legacy server of the dialect knows it
	Joined    bool   // good in the other dialects, too
	CreatedAt time.Time
	ProvenAt  time.Time // of the first login with it here; zero: none yet
}

// SourceReader reads what a takeover decides by.
type SourceReader interface {
	// NameGone tells whether a name was that of an account which was deleted or renamed, and is
	// nobody's since.
	NameGone(ctx context.Context, realm uuid.UUID, nameKey string) (bool, error)
	// NumberTaken tells whether an account has a number, or goes by it in a dialect.
	NumberTaken(ctx context.Context, realm uuid.UUID, n int64) (bool, error)
	// TicketRelay returns ErrNotFound if a ticket has none.
	TicketRelay(ctx context.Context, realm uuid.UUID, hash [32]byte) (sealed []byte, err error)
}

// SourceWriter writes the passwords of sources. The bools report whether anything changed.
type SourceWriter interface {
	// PutSource stores a password in place of that of the same source.
	PutSource(ctx context.Context, realm, account uuid.UUID, p SourceHash) error
	// ProveSource replaces the hash old of a source (empty: pending), and notes that somebody
	// has signed in with it; it reports whether old was still there.
	ProveSource(ctx context.Context, account uuid.UUID, d Dialect, old, hash string, now time.Time) (bool, error)
	JoinSource(ctx context.Context, account uuid.UUID, d Dialect, joined bool) (bool, error)
	DropSource(ctx context.Context, account uuid.UUID, d Dialect) (bool, error)
	// DropSources removes all, and counts them.
	DropSources(ctx context.Context, account uuid.UUID) (int, error)
	// SetElsewhere notes that the legacy server of a dialect asks for the account's second
	// factor; with enrols it is not asked while an enrolment here is under way.
	SetElsewhere(ctx context.Context, realm, account uuid.UUID, d Dialect, enrols bool, now time.Time) error
	DropElsewhere(ctx context.Context, account uuid.UUID) (bool, error)
	// InsertTicketRelay stores what a legacy server gave for a ticket of ours, sealed.
	InsertTicketRelay(ctx context.Context, t Ticket, sealed []byte) error
}
