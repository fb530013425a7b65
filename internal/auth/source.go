package auth

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
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

// tried are the passwords that a login in a dialect is tried with: that of its source, or
// without one the account's own, which has no source here; and those that are joined, with
// the account's own.
func (r *AccountRecord) tried(d Dialect) (list []SourceHash) {
	own, joined := false, false
	for _, p := range r.Passwords {
		own, joined = own || p.Source == d, joined || p.Joined
		if p.Hash != "" && (p.Source == d || p.Joined) {
			list = append(list, p)
		}
	}
	if r.PasswordHash != "" && (!own || joined) {
		list = append(list, SourceHash{Hash: r.PasswordHash})
	}
	return list
}

// pendingAt tells whether the password of a dialect is one that its legacy server knows, and
// this one not yet.
func (r *AccountRecord) pendingAt(d Dialect) bool {
	return slices.ContainsFunc(r.Passwords, func(p SourceHash) bool { return p.Source == d && p.Hash == "" })
}

// strangerAt tells whether the account is known by other old servers alone, none of whose passwords
// is good in a dialect: at the legacy server of that dialect its names may be another person's.
func (r *AccountRecord) strangerAt(d Dialect) bool {
	here := func(p SourceHash) bool { return p.Source == d || p.Joined }
	return r.Kind == KindPerson && !r.Disabled && r.PasswordHash == "" && len(r.Passwords) > 0 && !slices.ContainsFunc(r.Passwords, here)
}

// keepsApart tells whether who is let in by the Elder, with a name of the account, gets another one.
func (m *Mount) keepsApart(rec *AccountRecord) bool { return m.Apart && rec.strangerAt(m.Dialect) }

// schemes are the cost classes of what the account's logins are tried with, but for the one
// that every floor knows.
func (r *AccountRecord) schemes() (all []string) {
	dialects := []Dialect{""}
	for _, p := range r.Passwords {
		dialects = append(dialects, p.Source)
	}
	for _, d := range dialects {
		scheme := password.Scheme(hashesOf(r.tried(d))...)
		if scheme != "" && scheme != password.DefaultScheme && !slices.Contains(all, scheme) {
			all = append(all, scheme)
		}
	}
	slices.Sort(all) // in one order: two that lock rows can't lock each other
	return all
}

func hashesOf(list []SourceHash) (hashes []string) {
	for _, p := range list {
		hashes = append(hashes, p.Hash)
	}
	return hashes
}

// recount keeps the count of the realm's hashes by their cost, for its floor, when the
// passwords of an account change. The account must be held.
func recount(ctx context.Context, tx Tx, before, after AccountRecord) error {
	was, is := before.schemes(), after.schemes()
	for _, scheme := range slices.Compact(slices.Sorted(slices.Values(append(was, is...)))) {
		add := 0
		if slices.Contains(was, scheme) {
			add--
		}
		if slices.Contains(is, scheme) {
			add++
		}
		if add == 0 {
			continue
		}
		if err := tx.CountScheme(ctx, before.RealmID, scheme, add); err != nil {
			return err
		}
	}
	return nil
}

// changePasswords runs what changes the passwords of an account, and tells whether it has.
func changePasswords(ctx context.Context, tx Tx, realm, account uuid.UUID, fn func(before AccountRecord) (bool, error)) error {
	if err := tx.HoldAccount(ctx, realm, account); err != nil {
		return err
	}
	before, err := tx.AccountByID(ctx, realm, account, "")
	if err != nil {
		return err
	}
	changed, err := fn(before)
	if err != nil || !changed {
		return err
	}
	after, err := tx.AccountByID(ctx, realm, account, "")
	if err != nil {
		return err
	}
	return recount(ctx, tx, before, after)
}

// PendingChange says whether the legacy server of a dialect is to be asked at an account's next login there.
type PendingChange struct {
	Dialect Dialect
	Pending bool
}

func (s *Service) setPending(ctx context.Context, tx Tx, realm, id uuid.UUID, c PendingChange, cl Client) error {
	err := changePasswords(ctx, tx, realm, id, func(rec AccountRecord) (bool, error) {
		switch {
		case rec.Kind == KindService:
			return false, Errorf(CodeInvalidInput, "a service account has no password, here or elsewhere")
		case rec.Apart != "" && rec.Apart != c.Dialect:
			return false, Errorf(CodeInvalidInput, "the account is apart: its names are known in %s alone", rec.Apart)
		case c.Pending:
			return true, tx.PutSource(ctx, realm, id, SourceHash{Source: c.Dialect, CreatedAt: s.now()})
		case !rec.pendingAt(c.Dialect):
			return false, Errorf(CodeNotFound, "the account has no password that is pending in %s", c.Dialect)
		}
		return tx.DropSource(ctx, id, c.Dialect)
	})
	if err != nil {
		return err
	}
	e := s.event(realm, audit.AccountUpdated, id, cl)
	if e.Detail = "pending " + string(c.Dialect); !c.Pending {
		e.Detail = "not " + e.Detail
	}
	return tx.InsertEvent(ctx, e)
}

// SourceReader reads what a takeover decides by.
type SourceReader interface {
	// NameGone tells whether a name was that of an account which was deleted or renamed, and is
	// nobody's since: everywhere, or, of one that was apart, in a dialect.
	NameGone(ctx context.Context, realm uuid.UUID, nameKey string, d Dialect) (bool, error)
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

// goesByID are the dialects whose default subject is the account's id.
var goesByID = []Dialect{"cloudio", "mikrocloud", "senmo"}

// MayBeNumber tells whether a number, as an alias in a dialect, could be taken for that of
// the account that has it: not where accounts go by their ids. The store says the same in SQL.
func MayBeNumber(d Dialect) bool { return !slices.Contains(goesByID, d) }
