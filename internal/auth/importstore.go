package auth

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// ImportedAccount is a new account with the rows of all tables that an import fills. Its version
// is 1, its origin OriginImport, and all begins when it is stored.
type ImportedAccount struct {
	AccountRecord               // with its Factor, sealed, its Roles and its Passwords
	NameKeys      []string      // of its names; if it is apart, they are good there alone
	Names         []AccountName // beside those, each once and sorted
	Restored      bool          // deleted accounts may have had its names, and be of the same line
	Aliases       map[Dialect]string
	PastPasswords []string   // hashes, the last first
	RecoveryCodes [][32]byte // hashes
	Secrets       []ServiceSecret
	Digest        [32]byte // of its line
	Source        Dialect  // of its line, or ""
}

// TakenSubject is a subject that an account has in a dialect.
type TakenSubject struct {
	Dialect Dialect
	Subject string
	Account uuid.UUID
}

// ImportReader looks many things up at once.
type ImportReader interface {
	// Untouched tells whether a realm has never had an account.
	Untouched(ctx context.Context, realm uuid.UUID) (bool, error)
	// Imported are the accounts of lines that were imported, by the digests of the lines; if
	// there is set, those alone that have not been deleted since.
	Imported(ctx context.Context, realm uuid.UUID, digests [][32]byte, there bool) (map[[32]byte]uuid.UUID, error)
	// ImportedFrom are the sources of all lines that accounts were imported from.
	ImportedFrom(ctx context.Context, accounts []uuid.UUID) (map[uuid.UUID][]Dialect, error)
	// NamesTaken are the accounts that have names, by their keys: those that are good in every
	// dialect, or, if one is given, in that alone.
	NamesTaken(ctx context.Context, realm uuid.UUID, d Dialect, keys []string) (map[string]Account, error)
	// NamesGone are those of the keys that deleted accounts had: everywhere, or in one dialect alone.
	NamesGone(ctx context.Context, realm uuid.UUID, d Dialect, keys []string) (map[string]bool, error)
	// NumbersTaken are the accounts that have numbers.
	NumbersTaken(ctx context.Context, realm uuid.UUID, numbers []int64) (map[int64]uuid.UUID, error)
	// SubjectsTaken are those of the subjects that accounts have in any dialect.
	SubjectsTaken(ctx context.Context, realm uuid.UUID, subjects []string) ([]TakenSubject, error)
}

// ImportWriter writes many accounts at once.
type ImportWriter interface {
	// TakeNumbers takes n numbers from the realm's counter, and returns the first. They may
	// be somebody's already.
	TakeNumbers(ctx context.Context, realm uuid.UUID, n int) (first int64, err error)
	// SkipNumbers moves the counter to a number that no account has.
	SkipNumbers(ctx context.Context, realm uuid.UUID) error
	// InsertAccounts returns ErrConflict if anything of any is taken, and ErrNotFound if the
	// realm lacks a role; then the transaction is to be given up. The caller holds the realm, and
	// has seen that no number is another account's subject.
	InsertAccounts(ctx context.Context, realm uuid.UUID, accounts []*ImportedAccount, now time.Time) error
	// NoteImported notes that a line was imported into an account that is there, unless it is
	// noted of another one that is.
	NoteImported(ctx context.Context, realm, account uuid.UUID, digest [32]byte, source Dialect, now time.Time) error
}

// Alone says that a transaction writes so much that a store does better to run no other in it.
func Alone(ctx context.Context) context.Context { return context.WithValue(ctx, aloneKey{}, true) }

// IsAlone tells whether Alone was said.
func IsAlone(ctx context.Context) bool { return ctx.Value(aloneKey{}) != nil }

type aloneKey struct{}
