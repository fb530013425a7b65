package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Dialect names one login API, as a client sees it.
type Dialect string

// Secret is text that must not reach a log: it prints and marshals as "[secret]".
// Convert it with string(s) where its value is needed.
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal("[secret]") }

// Mount is one dialect served for one realm: the policy of a login there.
type Mount struct {
	Dialect Dialect
	Host    string // lower case, without port; empty for any
	Prefix  string // "" or "/path" before the dialect's own paths
	Realm   string
	RealmID uuid.UUID

	Issuer    string // iss, never taken from the Host header
	Audience  string // aud; empty for none
	Scope     string // scope of access tokens, for dialects that have one
	Algorithm string // RS256, ES256, or EdDSA

	AppendCode bool // take the second factor's code appended to the password
	Opaque     bool // a login of one step makes an opaque token, too

	AssertionAudience string // aud of the assertions about its sessions; empty: urn:ostiary:<realm>

	AccessTTL    time.Duration // life of an access token; 0: as its session
	SessionIdle  time.Duration // a session unused for so long ends; 0: never
	SessionMax   time.Duration // a session ends after this, used or not
	RefreshRetry time.Duration // how long a spent refresh token may be presented again

	CORSOrigins []string

	Notice Notice // of its end

	Elder Elder // whom it takes over from; nil: nobody
	Apart bool  // whom the Elder lets in by a name of an account from elsewhere gets one that is apart
	Mode  Mode  // "" is ModeOwn
	Split Split // of ModeSplit
}

// Client is who sent a request, as far as the audit log is concerned.
type Client struct {
	Address   netip.Addr
	UserAgent string
	RequestID string
	Actor     string // the operator, on the command line; empty for the account itself
	// Shared is set if the address may stand for many clients, so that it is known to no account
	// and never exempt: it is a peer's that sends forwarded headers and is no declared proxy, or
	// a declared proxy's whose headers name no one client.
	Shared bool
	// Decided is called when a refusal is certain, and only time is still to pass until
	// the answer. May be nil.
	Decided func()

	token   string  // what the audit log calls the token that the request is about
	dialect Dialect // of the request, if its entries are not said to be of one
}

// Credentials are what a login presents: a username or e-mail address, and a password.
type Credentials struct {
	Name     string
	Password Secret
}

// Presented is a token as a request carries it.
type Presented struct {
	Token string
	Bare  bool   // "Authorization: <token>", without a scheme
	CSRF  string // X-CSRF-Token
	// AnyCSRF is set by who asks about a token that was not presented to Ostiary: whoever
	// it was presented to compares the csrf.
	AnyCSRF bool
	// Found, unless it is nil, is set to the dialect of the token, once that is known to be good.
	Found *Dialect
}

// Kind tells people from services.
type Kind string

const (
	KindPerson  Kind = "person"
	KindService Kind = "service"
)

// Account is one person or one service of a realm.
type Account struct {
	ID            uuid.UUID
	RealmID       uuid.UUID
	Number        int64 // small integer of the realm, never given twice by the counter
	Kind          Kind
	Username      string
	Email         string
	EmailVerified bool
	DisplayName   string
	Org           string
	Disabled      bool
	Origin        string  // what made it: "cli", "demo", "takeover"
	Apart         Dialect // its names are good in this dialect alone; empty: in all
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Session is what a completed login opens; every token of that login belongs to it.
type Session struct {
	ID         uuid.UUID
	RealmID    uuid.UUID
	AccountID  uuid.UUID
	Dialect    Dialect
	AMR        []string  // RFC 8176
	AuthTime   time.Time // when the login was completed
	LastUsedAt time.Time
	IdleAt     time.Time // ends here unless used; zero: no idle limit
	ExpiresAt  time.Time // ends here in any case
	EndedAt    time.Time // zero while it lives
	EndReason  string
	Address    string
	UserAgent  string
	Generation int64  // of its refresh chain; 0: it has none
	Audience   string // of the mount that it was opened at: its tokens are renewed for no other
}

// Grant is a login that succeeded: what a dialect makes its answer from.
type Grant struct {
	Mount    *Mount
	Account  Account
	Session  Session
	Subject  string    // the account's name in this dialect: its alias, or the dialect's default
	IssuedAt time.Time // iat of the tokens of this answer
	Bearer   Secret    // the opaque token, where the login makes one

	Roles       []string // of the account, sorted
	Datasources []string // that the roles open, sorted
}

// FactorState is the state of an account's second factor.
type FactorState int

const (
	FactorNone      FactorState = iota
	FactorEnrolled              // started, not yet confirmed
	FactorConfirmed             // every login needs it
	FactorElsewhere             // a legacy server asks for it
)

// Pending is a login whose first step is done.
type Pending struct {
	Ticket Secret
	Factor FactorState
	QR     string // the SVG to scan, while the enrolment is not confirmed
}

// Identity is who a live token speaks for.
type Identity struct {
	Subject     string
	Account     uuid.UUID
	Username    string
	Email       string
	Org         string
	Roles       []string
	Datasources []string
	Dialect     Dialect
	Session     uuid.UUID
	AuthTime    time.Time
	AMR         []string

	asserted *atomic.Pointer[assertion]
}

// same tells whether two are one identity that has not changed.
func (i *Identity) same(j *Identity) bool {
	return i.Subject == j.Subject && i.Account == j.Account && i.Username == j.Username && i.Email == j.Email && i.Org == j.Org &&
		slices.Equal(i.Roles, j.Roles) && slices.Equal(i.Datasources, j.Datasources) &&
		i.Dialect == j.Dialect && i.Session == j.Session && i.AuthTime.Equal(j.AuthTime) && slices.Equal(i.AMR, j.AMR)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
