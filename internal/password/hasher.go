package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/ostiary/ostiary/internal/argon2"
)

// Params are the parameters of argon2id.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// Default is what new hashes are made with: 19 MiB, 2 passes, 1 lane (OWASP ASVS
// 5.0, appendix C).
var Default = Params{Memory: 19456, Time: 2, Threads: 1}

// DefaultScheme is the Scheme of the hashes that Hash makes.
const DefaultScheme = "argon2id$m=19456,t=2,p=1"

const (
	saltSize = 16 // RFC 9106, section 3.1: recommended for password hashing
	tagSize  = 32

	maxInput    = 16 << 10 // bytes of a password presented; nothing longer is ever right
	largeMemory = 64 << 10 // KiB; of the hashes that need more, one runs at a time
)

// Hasher makes and checks hashes in a bounded pool. It is safe for concurrent use.
type Hasher struct {
	pool   *pool
	large  sync.Mutex
	floors floors
}

// New makes a Hasher that hashes up to slots passwords at a time, as many as
// there are cores if slots is 0 or less. wait is how long one may wait for a slot.
func New(slots int, wait time.Duration) *Hasher {
	if slots <= 0 {
		slots = runtime.GOMAXPROCS(0)
	}
	return &Hasher{pool: newPool(slots, wait)}
}

// Observe has somebody told how busy the pool is. It is for the start, before the first hash.
func (h *Hasher) Observe(o Observer) { h.pool.observer = o }

// Stats tells how busy the pool is.
func (h *Hasher) Stats() Stats { return h.pool.stats() }

// Backlog is how long the pool will need for the passwords that wait.
func (h *Hasher) Backlog() time.Duration { return h.pool.backlog() }

// Hash makes the PHC string of a password: argon2id with the Default parameters
// over the password in NFC (NIST SP 800-63B-4, section 3.1.1.2), all of it.
// It returns *ErrBusy if there is no slot in time, and ctx.Err() if ctx ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > maxInput {
		return "", errTooLong
	}
	var phc string
	_, err := h.pool.do(ctx, func(b *argon2.Buffer) (err error) {
		phc, err = newHash(b, forms(password)[0])
		return err
	})
	return phc, err
}

// HashAlike is Hash for a password that another server is to judge, of whatever length: it
// costs what a check that fails does. It returns no hash of a password that can't be right.
func (h *Hasher) HashAlike(ctx context.Context, password string) (phc string, res Result, err error) {
	var unit time.Duration
	res.Took, err = h.pool.do(ctx, func(b *argon2.Buffer) (err error) {
		phc, unit, err = hashForms(b, forms(password))
		return err
	})
	if err != nil {
		unit = 0
	}
	res.Pace = h.pace(unit)
	if err != nil || len(password) > maxInput {
		phc = ""
	}
	return phc, res, err
}

// hashForms makes the hash of a password from the first of its forms, and does the same work for
// the others. A unit is what one of them took.
func hashForms(b *argon2.Buffer, forms [][]byte) (phc string, unit time.Duration, err error) {
	began := time.Now()
	phc, err = newHash(b, forms[0])
	for _, form := range forms[1:] {
		_, fault := newHash(b, form)
		err = errors.Join(err, fault)
	}
	return phc, time.Since(began) / time.Duration(len(forms)), err
}

func newHash(b *argon2.Buffer, password []byte) (string, error) {
	var salt [saltSize]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	tag, err := b.Key(password, salt[:], Default.Time, Default.Memory, Default.Threads, tagSize)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", Default.Memory, Default.Time, Default.Threads,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(tag)), nil
}

// Result is the outcome of a check that took place.
type Result struct {
	OK    bool
	Which int           // OK with several hashes: which of them is the password's
	Stale bool          // OK, and to be hashed anew: another format, other parameters, or not in NFC
	Fresh string        // Stale: what Hash would make, if the check has made it; else empty
	Took  time.Duration // the time in the slot, without the queue: what to compare with Floor
	// Pace is how many times longer than at rest the Default hash took that every check
	// makes: what to stretch Floor by on a busy machine. At least 1.
	Pace float64
}

// Verify checks a password against a stored hash. With an empty phc, for an
// account without a password or no account at all, it does the same work and
// says no.
//
// The password is tried in NFC, and as it came if that differs, since another
// system may have hashed it so. A check that fails costs at least one Default
// hash for each of these forms, whatever the stored format; one that is right, at least one.
//
// It returns *ErrBusy if there is no slot in time, ctx.Err() if ctx ends while
// waiting, and an error that wraps ErrUnsupported, after the same work, for a
// stored hash that Check refuses: the password can't be right, and an operator
// should hear about it.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (Result, error) {
	return h.VerifyAny(ctx, []string{phc}, password, false)
}

// VerifyAny is Verify for an account with several hashes, of which any may be the
// password's: all of them are tried in one slot, and Scheme of all is what that costs. With
// none it is Verify without one. With alike a right password costs what a wrong one does:
// for a login that may be refused for something else.
func (h *Hasher) VerifyAny(ctx context.Context, phcs []string, password string, alike bool) (res Result, err error) {
	list := make([]*stored, len(phcs)) // nil: nothing is the password of that one
	var bad error
	for i, phc := range phcs {
		if phc == "" {
			continue
		}
		s, err := parse(phc)
		bad = errors.Join(bad, err)
		if err == nil && len(password) <= maxInput {
			list[i] = s
		}
	}
	var unit time.Duration
	res.Took, err = h.pool.do(ctx, func(b *argon2.Buffer) error {
		c, err := h.check(b, list, forms(password), alike)
		res.OK, res.Which, res.Stale, unit = c.ok, c.which, c.stale, c.unit
		if c.stale {
			res.Fresh = c.fresh
		}
		return err
	})
	res.Pace = h.pace(unit)
	if err == nil && !res.OK {
		err = bad
	}
	if err != nil {
		return Result{Took: res.Took, Pace: res.Pace}, err
	}
	return res, nil
}

// checked is the outcome of a check in a slot.
type checked struct {
	ok, stale bool
	which     int
	fresh     string        // a new hash of the password, right or not; empty: none was made
	unit      time.Duration // what one Default hash took; 0 if that failed
}

// check tries the forms of a password in a slot, with each hash that is not nil, and finds the first
// that is right. It is over then, unless a right one is to cost as much as a wrong one.
//
// A Default hash comes first, a new one if none of them is such a one: what came before would be
// in the caches, and what that hash took would tell of the account and not of the machine.
func (h *Hasher) check(b *argon2.Buffer, list []*stored, forms [][]byte, alike bool) (c checked, err error) {
	own := slices.IndexFunc(list, (*stored).costsDefault)
	if own < 0 {
		c.fresh, c.unit, err = hashForms(b, forms)
	} else {
		began := time.Now()
		tried, fault := h.checkOne(b, list[own], own, forms, alike, &c)
		c.unit, err = time.Since(began)/time.Duration(tried), fault
	}
	if err != nil {
		c.unit = 0
	}
	for which, s := range list {
		if s == nil || which == own || c.ok && !alike && which > c.which {
			continue
		}
		_, fault := h.checkOne(b, s, which, forms, alike, &c)
		err = errors.Join(err, fault)
	}
	return c, err
}

// checkOne tries the forms of a password with one hash, and returns how many it has tried. Memory beyond
// a Default hash's is its own: the slot's stays as it is, so that the next one's time tells nothing of this one.
func (h *Hasher) checkOne(b *argon2.Buffer, s *stored, which int, forms [][]byte, alike bool, c *checked) (tried int, err error) {
	if s.memory > largeMemory {
		h.large.Lock()
		defer h.large.Unlock()
	}
	if s.memory > int(Default.Memory) {
		b = new(argon2.Buffer)
		defer b.Release()
	}
	for i, form := range forms {
		right, fault := s.match(b, form)
		if err = errors.Join(err, fault); right && (!c.ok || which < c.which) {
			c.ok, c.which, c.stale = true, which, i > 0 || !s.current()
		}
		if tried++; right && !alike {
			break
		}
	}
	return tried, err
}

// forms are the byte strings that a password may have been hashed as. There is at
// least one, and how many there are depends on the password alone.
func forms(password string) [][]byte {
	if len(password) > maxInput {
		return [][]byte{[]byte(password[:maxInput])} // only burnt
	}
	nfc := norm.NFC.String(password)
	if nfc == password {
		return [][]byte{[]byte(nfc)}
	}
	return [][]byte{[]byte(nfc), []byte(password)}
}

// Check tells whether phc is a hash that this server can verify, with parameters
// that do not cost it more than a few seconds or 1 GiB of memory. Its error wraps
// ErrUnsupported, says what is wrong, and does not contain the hash.
func Check(phc string) error {
	_, err := parse(phc)
	return err
}

// Scheme is the cost class of a hash, such as "argon2id$m=19456,t=2,p=1" or
// "bcrypt$12": the work of checking two hashes of one class is the same (the
// iterations of PBKDF2 and SHA-crypt are rounded up). That of several, of which VerifyAny
// tries all, is theirs with a "+" between. It is empty for a hash that Check refuses.
func Scheme(phcs ...string) string {
	var all []string
	for _, phc := range phcs {
		if s, err := parse(phc); err == nil {
			all = append(all, s.scheme())
		}
	}
	slices.Sort(all)
	return strings.Join(all, "+")
}
