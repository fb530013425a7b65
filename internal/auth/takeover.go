package auth

import (
	"context"
	"time"
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
