package auth

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/password"
)

// Used is what a request at a dialect's route came to: one of a few words.
type Used uint32

const (
	UsedUnknown   Used = iota
	UsedSignedIn       // a login was completed
	UsedPassed         // the first of its two steps was
	UsedAdopted        // it was, by the word of the server that the mount takes over from
	UsedRefreshed      // a refresh token was spent
	UsedRenewed        // an access token got another one
	UsedRelayed        // the server that the mount takes over from has answered
	UsedRefused        // a credential was refused, or was one too many
	UsedFailed         // nothing came of it: not understood, or no answer could be had
	UsedBrownout       // it came while the mount was meant to be away
)

var usedWords = [...]string{"", "signed_in", OutcomePassed, "adopted", "refreshed", "renewed", "relayed", "refused", "failed", "brownout"}

func (u Used) String() string { return usedWords[u] }

// Good tells whether who sent the request had something that is good here.
func (u Used) Good() bool { return u >= UsedSignedIn && u <= UsedRelayed }

// UsedBox holds what a request came to. The first word stands: who knows best says it first.
type UsedBox struct{ word atomic.Uint32 }

// Word is what was said; UsedUnknown: nothing.
func (b *UsedBox) Word() Used { return Used(b.word.Load()) }

// UsedKey is the key of a request's *UsedBox in its context.
type UsedKey struct{}

// Use says what the request came to that ctx belongs to.
func Use(ctx context.Context, what Used) {
	if b, _ := ctx.Value(UsedKey{}).(*UsedBox); b != nil {
		b.word.CompareAndSwap(0, uint32(what))
	}
}

// use says it of what went well.
func use(ctx context.Context, what Used, err error) {
	if err == nil {
		Use(ctx, what)
	}
}

// SourceOf is how an address is counted: IPv6 by its /64.
func SourceOf(a netip.Addr) string { return sourceOf(a) }

// Usage is how often something was used on a day.
type Usage struct {
	Day      int64 // since 1970, in UTC
	Dialect  Dialect
	What     string
	Client   string // product and version, as its User-Agent says
	Source   string // a network address
	Requests int64
	Last     time.Time
}

// UsageOther is the client and the source of what there was no room for.
const UsageOther = "(other)"

// DayOf is the day of a time, in UTC.
func DayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// DayTime is when a day begins.
func DayTime(day int64) time.Time { return time.Unix(day*24*60*60, 0).UTC() }

type UsageReader interface {
	// Usage lists a realm's counts by day, dialect, what, client and source, from the first
	// after the given one.
	Usage(ctx context.Context, realm uuid.UUID, after Usage, limit int) ([]Usage, error)
	// States counts so many accounts, from the first after the given id, and returns the id of
	// the last of them; the given one, if there is none.
	States(ctx context.Context, realm, after uuid.UUID, limit int) (n AccountStates, last uuid.UUID, err error)
	// PendingPasswords lists the source of each password of accounts, from the first after one
	// id to another, that is still to be asked for there.
	PendingPasswords(ctx context.Context, realm, after, last uuid.UUID) ([]Dialect, error)
	// SchemeCounts are how many hashes the realm stores of each cost class but the default.
	SchemeCounts(ctx context.Context, realm uuid.UUID) (map[string]int, error)
}

type UsageWriter interface {
	// AddUsage adds to a count. One that is new, where there are already so many of the same
	// day, dialect and what, is added to UsageOther.
	AddUsage(ctx context.Context, realm uuid.UUID, u Usage, room int) error
	// DeleteUsage deletes counts of the days before one.
	DeleteUsage(ctx context.Context, realm uuid.UUID, before int64, limit int) (int, error)
}

// AccountStates is how far so many accounts have come in a takeover.
type AccountStates struct{ Accounts, SignedIn, Imported, Adopted, Elsewhere, Disabled int }

// Takeover is how far the accounts of a realm have come.
type Takeover struct {
	Accounts  int             `json:"accounts"`
	SignedIn  int             `json:"signed_in"` // here, at least once
	Never     int             `json:"never"`
	Imported  int             `json:"imported"`
	Adopted   int             `json:"adopted"`
	Pending   map[Dialect]int `json:"pending"` // by the source that knows their password
	Foreign   int             `json:"foreign_hash"`
	Elsewhere int             `json:"factor_elsewhere"` // a legacy server asks for their second factor
	Disabled  int             `json:"disabled"`
}

func (t *Takeover) add(n AccountStates) {
	t.Accounts += n.Accounts
	t.SignedIn += n.SignedIn
	t.Never += n.Accounts - n.SignedIn
	t.Imported += n.Imported
	t.Adopted += n.Adopted
	t.Elsewhere += n.Elsewhere
	t.Disabled += n.Disabled
}

// What an account's Origin is in a takeover.
const (
	OriginImport   = "import"
	OriginTakeover = "takeover"
)

// statePage is how many accounts are counted at a time: a few milliseconds.
const statePage = 2000

// TakeoverOf counts a realm's accounts. It reads all of them, a page at a time, with a pause
// between two.
func (s *Service) TakeoverOf(ctx context.Context, realm uuid.UUID, pause time.Duration) (t Takeover, err error) {
	t.Pending = map[Dialect]int{}
	schemes, err := s.store.SchemeCounts(ctx, realm)
	if err != nil {
		return t, storeError(err)
	}
	for scheme, n := range schemes {
		if foreign(scheme) {
			t.Foreign += n
		}
	}
	for after := uuid.Nil; ; {
		n, last, err := s.store.States(ctx, realm, after, statePage)
		if err != nil || last == after {
			return t, storeError(err)
		}
		pending, err := s.store.PendingPasswords(ctx, realm, after, last)
		if err != nil {
			return t, storeError(err)
		}
		t.add(n)
		for _, dialect := range pending {
			t.Pending[dialect]++
		}
		after = last
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// foreign tells whether a cost class, or one of several of an account, is not that of hashes
// made here.
func foreign(scheme string) bool {
	for one := range strings.SplitSeq(scheme, "+") {
		if one != "" && one != password.DefaultScheme {
			return true
		}
	}
	return false
}

// UsageSince calls fn with the counts of a realm from a day on, in their order.
func (s *Service) UsageSince(ctx context.Context, realm uuid.UUID, day int64, fn func(Usage) error) error {
	for after := (Usage{Day: day}); ; {
		page, err := s.store.Usage(ctx, realm, after, statePage)
		if err != nil || len(page) == 0 {
			return storeError(err)
		}
		for _, u := range page {
			if err := fn(u); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}
