package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/recent"
)

const (
	// adoptingMost is how many tokens of others become sessions at once: logins have the
	// database, too.
	adoptingMost = 16
	// adoptBurst tokens of an account may become sessions at once, and one more each
	// adoptEvery: whoever has old tokens made without end does not fill the disk here.
	adoptBurst = 600
	adoptEvery = time.Second
)

// admit gives a token of another server its session: once for each token, whoever else does
// so at the same time, here or on another node. known tells that its record is stored.
func (s *Service) admit(ctx context.Context, t *foreignToken, r ForeignRecord, known bool) (SessionRecord, error) {
	if err := s.mayAdopt(ctx, s.store, r, nil); err != nil {
		return SessionRecord{}, err // and nothing is written, however often it comes
	}
	leave, err := s.adopting.enter(ctx, r.RealmID, r.Hash, r.AccountID, s.now())
	if err != nil {
		return SessionRecord{}, err
	}
	defer leave()
	if now, err := s.store.ForeignToken(ctx, r.RealmID, r.Hash); err == nil && now.Session != uuid.Nil {
		return s.store.SessionByID(ctx, r.RealmID, now.Session) // by whom we have waited for
	}
	ses := s.sessionFor(t, r)
	r.Session, r.SpentAt = ses.ID, s.now()
	var bearer []byte
	if r.Kind == ForeignBearer {
		bearer = r.Hash[:]
	}
	along := r.AccountID
	if t.key != nil {
		along, r.Key = t.key.ID, t.key.ID
	}
	var first bool
	err = s.store.InTx(Along(ctx, along.String()), func(tx Tx) error {
		err := s.mayAdopt(ctx, tx, r, tx.HoldAccount)
		if err == nil && t.key != nil {
			err = s.holdKey(ctx, tx, t)
		}
		if err != nil {
			return err
		}
		if known {
			first, err = tx.SpendForeignToken(ctx, r.RealmID, r.Hash, ses.ID, r.Key, r.SpentAt)
		} else {
			first, err = tx.InsertForeignToken(ctx, r)
		}
		if err != nil || !first {
			return err
		}
		if err := tx.InsertSession(ctx, ses, bearer); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.adopted(t, r, Client{}))
	})
	if err != nil {
		return SessionRecord{}, err
	}
	if !first {
		if r, err = s.store.ForeignToken(ctx, r.RealmID, r.Hash); err != nil {
			return SessionRecord{}, err
		}
	}
	return s.store.SessionByID(ctx, r.RealmID, r.Session)
}

// holdKey sees that a key has not been ended since it was read.
func (s *Service) holdKey(ctx context.Context, tx Tx, t *foreignToken) error {
	lives, err := tx.HoldForeignKey(ctx, t.realm, t.key.ID, s.now())
	if err == nil && !lives {
		err = Because(CodeTokenInvalid, "the foreign key %s has ended", t.key.Name())
	}
	return err
}

// sessionFor is the session that a token becomes. It is not known how its login was proven.
// It has no refresh chain, and ends with the token at the latest.
func (s *Service) sessionFor(t *foreignToken, r ForeignRecord) Session {
	now, m := s.now(), t.mount
	ses := Session{
		ID: newID(), RealmID: r.RealmID, AccountID: r.AccountID, Dialect: m.Dialect, Audience: m.Audience,
		AuthTime: r.CreatedAt, LastUsedAt: now, IdleAt: idleAt(now, m.SessionIdle), ExpiresAt: now.Add(m.SessionMax),
	}
	if r.ExpiresAt.Before(ses.ExpiresAt) {
		ses.ExpiresAt = r.ExpiresAt
	}
	// The token is remembered for as long as it is good: its key may be imported once more.
	if t.key != nil && t.key.ExpiresAt.Before(ses.ExpiresAt) {
		ses.ExpiresAt = t.key.ExpiresAt
	}
	if at := t.claims.Time("auth_time"); !at.IsZero() && at.Before(ses.AuthTime) {
		ses.AuthTime = at
	}
	if ses.AuthTime.After(now) {
		ses.AuthTime = now
	}
	return ses
}

// mayAdopt tells whether a token may become a session. With hold it holds off changes of its
// account until the commit: what ends all sessions either comes before, and is seen, or sees
// this one.
func (s *Service) mayAdopt(ctx context.Context, tx Reader, r ForeignRecord, hold func(ctx context.Context, realm, id uuid.UUID) error) (err error) {
	if hold != nil {
		err = hold(ctx, r.RealmID, r.AccountID)
	}
	var rec AccountRecord
	if err == nil {
		rec, err = tx.AccountByID(ctx, r.RealmID, r.AccountID, r.Dialect)
	}
	if errors.Is(err, ErrNotFound) {
		return barred("its account is gone")
	}
	if err != nil {
		return err
	}
	if rec.Disabled {
		return barred("account %s is disabled", rec.ID)
	}
	cutoff, err := tx.SessionCutoff(ctx, r.RealmID, r.AccountID)
	if err != nil {
		return err
	}
	if r.CreatedAt.Before(cutoff) {
		return Because(CodeSessionEnded, "issued before %s, when all sessions of account %s were ended", cutoff.Format(time.RFC3339), rec.ID)
	}
	if r.Kind == foreignJWT && !cutoff.IsZero() && rec.sourceOf(r.Dialect).Source == "" {
		own, err := tx.SessionCutoff(ctx, uuid.Nil, r.AccountID) // and not the realm's, which a restore sets
		if err != nil {
			return err
		}
		if !own.IsZero() {
			return Because(CodeTokenInvalid, "all sessions of account %s were ended at %s, and %s does not know its password any more", rec.ID, own.Format(time.RFC3339), r.Dialect)
		}
	}
	// What was issued before is older than the factor. What others sign later asked for none. When
	// an opaque token was issued is not known: it was imported by an operator, whose word it is.
	if r.Kind == foreignJWT && s.factorState(rec.Factor) == FactorConfirmed && !r.CreatedAt.Before(rec.Factor.ConfirmedAt.Truncate(time.Second)) {
		return Because(CodeTokenInvalid, "issued when account %s had a second factor here, by a server that did not ask for it", rec.ID)
	}
	return nil
}

// errBarred is why a token of another server is refused, and that server is not asked either.
var errBarred = errors.New("barred here")

func barred(cause string, args ...any) error {
	return Because(CodeTokenInvalid, "%w: "+cause, append([]any{errBarred}, args...)...)
}

func (s *Service) adopted(t *foreignToken, r ForeignRecord, cl Client) audit.Event {
	cl.token = audit.TokenTag(t.text)
	e := s.event(r.RealmID, audit.SessionAdopted, r.AccountID, cl)
	e.Session, e.Dialect, e.Detail = r.Session, string(r.Dialect), string(r.Kind)
	if t.key != nil {
		e.Detail += " " + t.key.Name()
	}
	return e
}

// adopting bounds how many tokens of others become sessions.
type adopting struct {
	slots chan struct{}

	mu       sync.Mutex
	flights  map[viewKey]chan struct{} // the tokens that become sessions now
	accounts recent.Map[uuid.UUID, *bucket]
}

func newAdopting() *adopting {
	return &adopting{slots: make(chan struct{}, adoptingMost), flights: map[viewKey]chan struct{}{}}
}

// bucket is how many an account may have yet.
type bucket struct {
	left int
	at   time.Time // when left was right
}

// enter waits until nobody else is at the same token, and for a place. CodeUnavailable if
// the account has had too many of late.
func (a *adopting) enter(ctx context.Context, realm uuid.UUID, hash [32]byte, account uuid.UUID, now time.Time) (leave func(), err error) {
	late := func() error { return &Error{Code: CodeUnavailable, RetryAfter: time.Second, Cause: ctx.Err()} }
	key := viewKey{realm, hash}
	flight := make(chan struct{})
	if other := a.begin(key, flight); other != nil {
		select {
		case <-other:
			return func() {}, nil // it is done; or it has failed, and then there is no harm in trying beside others
		case <-ctx.Done():
			return nil, late()
		}
	}
	done := func() { a.end(key, flight) }
	if !a.take(account, now) {
		done()
		return nil, &Error{Code: CodeUnavailable, RetryAfter: adoptEvery,
			Cause: fmt.Errorf("too many tokens of account %s that another server issued are new here: see who has so many made", account)}
	}
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots; done() }, nil
	case <-ctx.Done():
		done()
		return nil, late()
	}
}

// begin takes a token, or returns what tells when whoever has it is done.
func (a *adopting) begin(key viewKey, flight chan struct{}) (other chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if other, there := a.flights[key]; there {
		return other
	}
	a.flights[key] = flight
	return nil
}

func (a *adopting) end(key viewKey, flight chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.flights, key)
	close(flight)
}

func (a *adopting) take(account uuid.UUID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, known := a.accounts.Get(account)
	if !known {
		b = &bucket{left: adoptBurst, at: now}
		a.accounts.Put(account, b, 1)
	}
	if more := int(now.Sub(b.at) / adoptEvery); more > 0 {
		b.left, b.at = min(adoptBurst, b.left+more), now
	} else if now.Before(b.at) { // the clock was set back
		b.at = now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}
