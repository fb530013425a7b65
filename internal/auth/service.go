// Package auth is the core of Ostiary: accounts, logins, sessions, tokens, second
// factors and guess budgets, the same for every dialect.
//
// The path of a login, in the order of its calls: SignIn (or BeginSignIn and CompleteSignIn) in
// signin.go; check reads the account, reserves a guess (guess.go) and verifies the password
// (check.go); then, in one transaction, useCode spends the second factor's code (factor.go), takeOver
// stores what was learnt of the account (newcomer.go), and openSession opens the session
// (session.go); the dialect has its tokens made by Sign (mint.go). Only where a mount takes over from
// another server are forElder and askElder (takeover.go) or askShadowed (shadowlogin.go) more than
// a look at that.
package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/recent"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/throttle"
	"github.com/ostiary/ostiary/internal/token"
)

// Acceptor is a dialect's word on which of its JWTs is an access credential, as a
// request presents it: nil if it is one. The detail of an *Error is for the client.
type Acceptor func(claims token.Claims, p Presented) error

// Rules are what the core needs to know of a dialect.
type Rules struct {
	Accept  Acceptor             // nil: every JWT of the dialect is an access credential
	Subject func(Account) string // an account's subject without an alias; nil: its id
	// Audience is the claim of an access credential that holds its mount's audience;
	// "" is aud (RFC 7519, section 4.1.3).
	Audience string
	// Session is the claim of an access credential that names the session of the server that
	// issued it; "": none does. Such a JWT is one with another credential beside it.
	Session string
	Refresh bool // it has refresh tokens
}

// Options are what a Service is made of.
type Options struct {
	Store      Store
	Master     seal.Key
	Hasher     *password.Hasher
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: slog.Default
	Mounts     []*Mount         // whose tokens are good; none on the command line
	Dialects   map[Dialect]Rules
	Budgets    *Budgets      // nil: DefaultBudgets
	Keys       *KeyPolicy    // nil: DefaultKeyPolicy
	AuditKeep  time.Duration // entries of the audit log that are older are deleted by TendAudit; 0: none
	TOTPIssuer string        // who the authenticator app says the code is for; "" is "Ostiary"
	// Passwords are the rules for new ones, by the realm's name; where there are none, those of NIST.
	Passwords map[string]password.Rules
	// Writebacks are the windows in which old systems are told of new passwords, by the realm's name.
	Writebacks map[string]Writeback
	// Gate is shared by services that count the same guesses, one after the other; nil: its own.
	Gate *throttle.Gate
	// Shared counts the guesses in flight of all nodes; nil: there is no other one.
	Shared Reserver
	// Watch is shared by services that tend the same logs, one after the other; nil: its own.
	Watch *AuditWatch
	// Feed is shared likewise, and told by its poll what other processes change; nil: its own.
	Feed *Feed
	// Observer is told what happens; nil: nobody is.
	Observer Observer
}

// Service is the core. It is safe for concurrent use.
type Service struct {
	store    Store
	master   seal.Key
	nameKey  []byte // of unknownName
	hasher   *password.Hasher
	now      func() time.Time
	log      *slog.Logger
	mounts   []*Mount
	dialects map[Dialect]Rules
	budgets  Budgets
	keys     KeyPolicy
	issuer   string

	auditKeep time.Duration
	watch     *AuditWatch
	observer  Observer
	passwords map[string]password.Rules

	writebacks map[string]Writeback

	gate    *throttle.Gate
	shared  Reserver
	realms  sync.Map // uuid.UUID → *realmState
	jwts    token.Verifier
	feed    *Feed
	views   recent.Map[viewKey, *view]
	callers recent.Map[[32]byte, *caller]
	noted   recent.Map[string, time.Time]
	// refusals are when budgets have refused a guess.
	refusals recent.Map[string, time.Time]
	touch    chan struct{}
	adopting *adopting
	twins    chan struct{} // places for those who look for one
	learned  atomic.Bool   // a token that another server issued, by this process
	readying sync.Mutex
	ping     *ping // that is under way, of readying
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		master: o.Master, hasher: o.Hasher, now: o.Now, log: o.Log,
		mounts: o.Mounts, dialects: o.Dialects, budgets: DefaultBudgets(), keys: DefaultKeyPolicy(), issuer: o.TOTPIssuer, auditKeep: o.AuditKeep, passwords: o.Passwords, writebacks: o.Writebacks,
		gate: cmp.Or(o.Gate, throttle.NewGate()), shared: o.Shared, touch: make(chan struct{}, 64), adopting: newAdopting(), twins: make(chan struct{}, twinsAtOnce),
		watch: cmp.Or(o.Watch, NewAuditWatch()), observer: cmp.Or[Observer](o.Observer, nobody{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.feed = o.Feed; s.feed == nil {
		s.feed = NewFeed(s.now)
	}
	s.store = watched{o.Store, &s.feed.changes, s.observer}
	if o.Store != nil {
		s.nameKey = s.master.Derive("names that nobody has")
		o.Store.UseAuditKey(s.headKey())
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if o.Budgets != nil {
		s.budgets = *o.Budgets
	}
	if o.Keys != nil {
		s.keys = *o.Keys
	}
	if s.issuer == "" {
		s.issuer = "Ostiary"
	}
	return s
}

// readyWithin is how long it may take to tell: whoever asks gives up soon, and has others to ask.
const readyWithin = 2 * time.Second

// Ready tells whether the service can answer: CodeUnavailable if not. Those who ask at the same
// time share one question to the store.
func (s *Service) Ready(ctx context.Context) error {
	s.readying.Lock()
	p := s.ping
	if p == nil {
		p = &ping{done: make(chan struct{})}
		s.ping = p
		go s.pingOnce(p)
	}
	s.readying.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done(): // what a store has begun, it ends
		return &Error{Code: CodeUnavailable, RetryAfter: time.Second, Cause: fmt.Errorf("the store has not answered for %s: %w", readyWithin, ctx.Err())}
	}
}

// ping is a question to the store, and its answer when it is done.
type ping struct {
	done chan struct{}
	err  error
}

func (s *Service) pingOnce(p *ping) {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	err := s.store.Ping(ctx)
	if err == nil && s.shared != nil {
		err = s.shared.Ping(ctx)
	}
	s.readying.Lock()
	s.ping = nil
	s.readying.Unlock()
	p.err = storeError(err)
	close(p.done)
}

// change runs fn in one transaction and maps what the store says.
func (s *Service) change(ctx context.Context, fn func(tx Tx) error) error {
	return storeError(s.store.InTx(ctx, fn))
}

// storeError maps what a store answers to the taxonomy.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOvertaken):
		return err // for overtaken, which tries again
	case errors.Is(err, ErrNotFound):
		return &Error{Code: CodeNotFound, Cause: err}
	case errors.Is(err, ErrConflict):
		return &Error{Code: CodeConflict, Detail: "already in use", Cause: err}
	}
	return AsError(err)
}

// event starts an audit event; newID gives it its place in time.
func (s *Service) event(realm uuid.UUID, kind audit.Kind, account uuid.UUID, cl Client) audit.Event {
	e := audit.Event{
		ID: newID(), RealmID: realm, At: s.now(), Kind: kind, Account: account,
		Dialect: string(cl.dialect), RequestID: cl.RequestID, Actor: cl.Actor, Token: cl.token,
	}
	if cl.Address.IsValid() {
		e.Address = cl.Address.Unmap().String()
	}
	return e
}

// newID makes a UUIDv7 (RFC 9562, section 5.7). It panics if the system has no
// randomness left, in which case nothing here is safe to go on.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
