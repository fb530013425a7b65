package auth

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/trace"
)

// view is a session and its account as the store had them a moment ago. Verification
// answers from views, so that a busy token costs one read in viewLife. That a session
// has ended is never said from a view: it is read again first. A view is void as soon as
// this process changes something of the account, and as soon as the feed tells that another
// one has. While there is no feed, or it fails, a view is good for realmFresh.
type view struct {
	rec     SessionRecord
	who     *Identity
	loaded  time.Time
	mark    uint64       // of changes, before it was read
	touched atomic.Int64 // its last use that was noted, in microseconds
}

// viewKey is a session by its id, or by the hash of its opaque token.
type viewKey struct {
	realm uuid.UUID
	key   [32]byte
}

// viewLife is how old a view may be if nothing is known to have changed: what the clock
// changes is looked at each time.
const viewLife = time.Minute

// viewOf returns what read finds of a session, as it is or was a moment ago.
func (s *Service) viewOf(ctx context.Context, realm uuid.UUID, key []byte, read func() (SessionRecord, error)) (*view, error) {
	k := viewKey{realm: realm}
	copy(k.key[:], key)
	old, known := s.views.Get(k)
	holds := known && s.holds(old)
	s.observer.Viewed(holds)
	if holds {
		return old, nil
	}
	v, err := s.look(read)
	if err != nil {
		return nil, err
	}
	if known && old.who.same(v.who) {
		v.who = old.who // and keep its assertion
		v.rec.Account.Roles, v.rec.Account.Datasources = old.who.Roles, old.who.Datasources
	}
	s.views.Put(k, v, v.weight())
	return v, nil
}

// weight is about how many bytes a view takes, with the assertion that it will have: a JWT
// has most of the account again, in base64.
func (v *view) weight() int {
	n := v.rec.Account.weight()
	return n + n*4/3
}

func (r AccountRecord) weight() int {
	n := 1<<10 + len(r.Username) + len(r.Email) + len(r.DisplayName) + len(r.Org) + len(r.PasswordHash)
	for _, p := range r.Passwords {
		n += len(p.Source) + len(p.Hash) + 96
	}
	for _, names := range [...][]string{r.Roles, r.Datasources} {
		for _, name := range names {
			n += len(name) + 17 // its header, too
		}
	}
	return n
}

// look reads a session. CodeTokenInvalid or CodeSessionEnded if none can be used.
func (s *Service) look(read func() (SessionRecord, error)) (*view, error) {
	v := &view{loaded: s.now(), mark: s.feed.mark()}
	var err error
	v.rec, err = read()
	if err := s.usable(v.rec, err); err != nil {
		return nil, err
	}
	v.who = s.identity(v.rec)
	return v, nil
}

// holds tells whether a view can be answered from.
func (s *Service) holds(v *view) bool {
	now := s.now()
	age := now.Sub(v.loaded)
	known := recently(v.loaded, now) || age >= 0 && age < viewLife && s.feed.fresh()
	return known && !s.feed.since(v.rec.AccountID, v.mark) && v.rec.live(now)
}

// recently tells whether something that was read then may be used now.
func recently(then, now time.Time) bool {
	age := now.Sub(then)
	return age >= 0 && age < realmFresh
}

// changes tells which accounts are known to have been changed since a moment. Accounts share
// marks, so it may say yes too often, and never no wrongly.
type changes struct {
	count    atomic.Uint64
	everyone atomic.Uint64
	accounts [256]atomic.Uint64 // by the last byte of the id, which is random
}

// mark is the moment before something is read.
func (c *changes) mark() uint64 { return c.count.Load() }

// note says that an account has been changed, or everyone (uuid.Nil).
func (c *changes) note(account uuid.UUID) {
	last := &c.everyone
	if account != uuid.Nil {
		last = &c.accounts[account[15]]
	}
	for n := c.count.Add(1); ; {
		if before := last.Load(); before >= n || last.CompareAndSwap(before, n) {
			return
		}
	}
}

// since tells whether an account may have been changed after the mark was taken.
func (c *changes) since(account uuid.UUID, mark uint64) bool {
	return c.everyone.Load() > mark || c.accounts[account[15]].Load() > mark
}

// watched is a store that notes what is changed: whatever the audit log is told of an
// account makes the views of it void, unless its kind is one that changes none of them.
// The log is told at the end of a transaction: all those of a realm follow one another
// there, and so it is taken last, by whoever holds what else he needs.
type watched struct {
	Store
	changes  *changes
	observer Observer
}

// quiet are the events that leave sessions, names and roles as they were.
var quiet = []audit.Kind{
	audit.SignedIn, audit.PasswordPassed, audit.LegacySignedIn, audit.SignInFailed, audit.FactorFailed, audit.BudgetSpent, audit.FactorEnrolled,
	audit.RecoveryMade, audit.RecoveryUsed, audit.TokenRefreshed, audit.TokenRenewed, audit.RefreshFailed,
	audit.PasswordRehashed, audit.AccountCreated, audit.AccountUnlocked, audit.RealmCreated,
	audit.KeyCreated, audit.KeyRotated, audit.KeyExtended, audit.KeyImported, audit.TokensImported, audit.SessionAdopted, audit.BudgetCleared, audit.AccountsExported, audit.AccountsImported,
	audit.AccountAdopted, audit.AdoptionRefused, audit.PasswordLearned,
}

func (w watched) InTx(ctx context.Context, fn func(tx Tx) error) error {
	defer trace.Start(ctx, "store transaction").End()
	var noted []uuid.UUID
	var events []audit.Event
	err := w.Store.InTx(ctx, func(tx Tx) error {
		// What an earlier run noted stays: its commit may have failed in word only.
		events = nil
		if err := fn(watchedTx{tx, &noted, &events}); err != nil {
			return err
		}
		for _, e := range events {
			if err := tx.InsertEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	for _, account := range noted { // with an error, too: it may be stored all the same
		w.changes.note(account)
	}
	for i := 0; err == nil && i < len(events); i++ {
		w.observer.Audited(events[i].Kind)
	}
	return err
}

type watchedTx struct {
	Tx
	noted  *[]uuid.UUID
	events *[]audit.Event
}

func (t watchedTx) InsertEvent(_ context.Context, e audit.Event) error {
	if !slices.Contains(quiet, e.Kind) {
		*t.noted = append(*t.noted, e.Account)
	}
	*t.events = append(*t.events, e)
	return nil
}

func (t watchedTx) Closing(realms ...uuid.UUID) {
	for _, e := range *t.events {
		realms = append(realms, e.RealmID)
	}
	t.Tx.Closing(realms...)
}
