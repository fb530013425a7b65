package auth

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/trace"
)

// Elder is the server that a mount takes over from, which it asks as a client of the same
// dialect. Its methods are safe for concurrent use, and end in bounded time.
type Elder interface {
	// SignIn tries a name and a password. CodeBadCredentials if the server refuses them,
	// CodeUnavailable if it can't be asked now or says nothing that can be understood.
	SignIn(ctx context.Context, c Credentials, cl Client) (*Newcomer, error)
	// Complete tries the ticket of a Newcomer, with a code of its second factor.
	// CodeFactorInvalid if the server refuses them, CodeUnavailable as above.
	Complete(ctx context.Context, ticket, code Secret, cl Client) ([]ForeignToken, error)
	// Floor is about how long refusals of the server take: no failed login at the mount is
	// answered sooner, so that the time does not tell who is asked there.
	Floor() time.Duration
}

const maxAsked = 4 << 10 // bytes of a password: no longer one is right anywhere

// asking is what the Elder of a mount may be asked about a login.
type asking struct {
	password bool // it may know the password, where this server does not
	factor   bool // it asks for the second factor, once the password is right

	answers Shadowed // it answers the client, whatever this server has found; nil: it does not
}

// forElder decides what the Elder of a mount may be asked: about a name that nobody has or had
// here, about an account whose password is pending there, and about one whose second factor
// is asked for there; or, in the shadow, about everybody. It is asked nothing about those who
// are disabled or deleted.
func (s *Service) forElder(ctx context.Context, m *Mount, rec *AccountRecord, c Credentials) (ask asking, err error) {
	if m == nil || m.Elder == nil || c.Password == "" || len(c.Password) > maxAsked {
		return ask, nil
	}
	x := m.shadowed(ctx, rec, c.Name)
	if _, ours := token.HashServiceSecret(string(c.Password)); ours {
		m.own(ctx)
		return ask, nil
	}
	if rec == nil {
		key := nameKey(c.Name)
		if _, isID := ParseID(c.Name); isID || key == "" {
			return ask, nil
		}
		gone, err := s.store.NameGone(ctx, m.RealmID, key, m.Dialect)
		if ask.password = err == nil && !gone; ask.password {
			ask.answers = x
		}
		return ask, err
	}
	if !rec.Disabled {
		ask.answers = x
	}
	if !rec.Disabled && rec.Kind == KindPerson {
		ask.password = rec.pendingAt(m.Dialect)
		ask.factor = rec.Elsewhere == m.Dialect && s.factorOf(rec) == FactorElsewhere
	}
	return ask, nil
}

// askElder has the Elder decide what this server can't: why is what this server has found, ""
// for a right password. It returns what is found then, and the kind of its entry in the log.
func (s *Service) askElder(ctx context.Context, a attempt, m *Mount, got *checked, ask asking, why string, c Credentials) (kind audit.Kind, reason string, err error) {
	kind = audit.SignInFailed
	right := why == ""
	if right && !ask.factor || !right && !ask.password {
		return kind, why, nil
	}
	if right && got.right.Source != m.Dialect {
		return kind, "", nil // it was chosen here, or is another server's: this one must not learn it
	}
	if why != "" && got.learnt == "" { // others were tried, and this is none of them
		if err := s.hashLearnt(ctx, got, c.Password); err != nil {
			return kind, "", err
		}
	}
	span := trace.Start(ctx, "ask the legacy server")
	n, err := m.Elder.SignIn(ctx, c, a.client)
	span.End()
	switch {
	case CodeOf(err) == CodeBadCredentials:
		return kind, "legacy_refused", nil
	case err != nil:
		got.guess.undone = true
		return kind, "", elderAway(err)
	}
	if why == "" {
		got.learnt = ""
	}
	if err := s.heard(m, got, n, c.Name); err != nil {
		return audit.AdoptionRefused, err.Error(), nil
	}
	return kind, "", nil
}

// hashLearnt hashes a password that an Elder may find right.
func (s *Service) hashLearnt(ctx context.Context, got *checked, p Secret) error {
	asked := time.Now()
	hash, res, err := s.hasher.HashAlike(ctx, string(p))
	if err != nil {
		return hashError(err)
	}
	got.learnt = hash
	got.queued += time.Since(asked) - res.Took
	return nil
}

// heard takes what the Elder says of a login that it lets in.
func (s *Service) heard(m *Mount, got *checked, n *Newcomer, asked string) (err error) {
	if got.rec.ID == uuid.Nil {
		got.rec, got.keys, err = s.newcomer(m, n, asked)
	} else {
		err = s.sameAs(&got.rec, m.Dialect, n, asked)
	}
	if err != nil {
		return err
	}
	got.news, got.name, got.factor = n, nameKey(asked), got.rec.Elsewhere
	switch {
	case n.Factor && s.factorState(got.rec.Factor) != FactorConfirmed:
		got.rec.Elsewhere = m.Dialect
	case got.rec.Elsewhere == m.Dialect:
		got.rec.Elsewhere = "" // it asks for none any more
	}
	return nil
}

// elderAway is for a login that needs a server which can't be asked.
func elderAway(err error) error {
	e := *AsError(err)
	if e.Code != CodeUnavailable {
		e = Error{Code: CodeUnavailable, Cause: err}
	}
	e.RetryAfter = cmp.Or(e.RetryAfter, time.Second)
	return &e
}

// Newcomer is what an Elder says of who has signed in. What it does not say is empty.
type Newcomer struct {
	Username    string
	Email       string
	DisplayName string
	Org         string
	Subject     string // what its tokens call the account
	Factor      bool   // it asks for the code of a second factor, with Ticket
	Ticket      Secret
	Tokens      []ForeignToken // that it issued
}

// ForeignToken is a token that another server issued.
type ForeignToken struct {
	Kind      ForeignKind
	Text      Secret
	ExpiresAt time.Time // zero: it does not say
}

// ForeignKind is what a foreign token is good for.
type ForeignKind string

const (
	ForeignBearer  ForeignKind = "bearer"  // an opaque access credential
	ForeignSession ForeignKind = "session" // the id of a session, which a JWT names
	ForeignRefresh ForeignKind = "refresh" // gets others
)

// Mode says who answers the logins at a mount.
type Mode string

const (
	ModeOwn    Mode = "own"    // this server; the Elder is asked for those who are not here yet
	ModeShadow Mode = "shadow" // the Elder; this server compares
	ModeSplit  Mode = "split"  // this server for some accounts, the Elder for the others
)

// Split says which accounts of a mount are answered by this server.
type Split struct {
	Percent  int             // 0 to 100, by a hash of the name key
	Accounts map[string]bool // by name key
}
