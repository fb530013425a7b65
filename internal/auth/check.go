package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/token"
	"github.com/ostiary/ostiary/internal/totp"
	"github.com/ostiary/ostiary/internal/trace"
)

// attempt is the setting of one check of a password.
type attempt struct {
	realm   uuid.UUID
	dialect Dialect
	client  Client
	elder   Elder     // of the mount; nil: none is asked
	began   time.Time // before anything of the account was looked for; zero: not yet
	// codeLater: the second factor's code has a step of its own, so that it does not follow the password.
	codeLater bool
	// alone: the password is to prove the account by itself, which that of an account with a second factor does not.
	alone bool
}

// checked is what the check of a password found. It is returned if the password was right, here or for the Elder that answers.
type checked struct {
	rec   AccountRecord
	guess *guess     // held until the login is stored; the caller must leave it
	code  string     // what followed the password, if the mount takes codes there
	right SourceHash // the hash that is the password's; of no source: the account's own
	stale Secret     // the password, if its hash should be made anew
	fresh string     // that hash, if it is there already

	shadow *inShadow // it answers the client, and has let the login in; nil: this server answers
	news   *Newcomer // what the Elder said, if it was asked and let the login in
	name   string    // the key of the name that it was asked about
	factor Dialect   // whose legacy server asked for the second factor when the account was read, or ""
	learnt string    // the hash of a password that it alone has found right
	keys   []string  // of the names of an account that is not stored yet

	secret string // what the audit log calls the service secret that was right, or ""

	began  time.Time     // the first thing that depends on the account
	queued time.Duration // the wait for a turn at hashing, which tells nothing of the account
	given  Secret        // as the client sent it; the floor is for it
	pace   float64       // of the floor, for a machine as busy as it was; 0: nothing was hashed
}

// check verifies a name and a password. Unknown, wrong, disabled and missing are one
// error, CodeBadCredentials, with the same cost and no sooner than the realm's floor.
func (s *Service) check(ctx context.Context, a attempt, m *Mount, c Credentials) (*checked, error) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	rec, known, err := s.accountNamed(ctx, a, c.Name)
	if err != nil {
		return nil, storeError(err)
	}
	return s.checkRecord(ctx, a, rec, known, c, m)
}

// accountNamed reads the account of a name, nil if there is none, and whether it has signed in from the client's
// source before. It is a function of its own so that what it reads is not on the stack while a hash is waited for.
func (s *Service) accountNamed(ctx context.Context, a attempt, name string) (rec *AccountRecord, known bool, err error) {
	defer trace.Start(ctx, "read account").End()
	found, known, err := s.store.AccountFrom(ctx, a.realm, nameKey(name), a.dialect, sourceOf(a.client.Address), s.knownSince())
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, known, nil
	case err != nil:
		return nil, false, err
	}
	return &found, known, nil
}

// checkRecord verifies the password for an account, or for none (rec is nil), that may have
// signed in from the client's source before: then that source is known. With a
// mount, the guess stays reserved and the caller leaves it; without one it is over.
func (s *Service) checkRecord(ctx context.Context, a attempt, rec *AccountRecord, known bool, c Credentials, m *Mount) (*checked, error) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	counted := rec
	if m != nil && m.Elder != nil && rec != nil && rec.strangerAt(m.Dialect) {
		known = false // there the name may be another person's, whose guesses no login of this one's clears
		if m.Apart {
			rec = nil // and here it is nobody's yet
		}
	}
	got := &checked{began: a.began, given: c.Password}
	g, err := s.enter(ctx, a, counted, known, nameOrRaw(c.Name))
	if CodeOf(err) == CodeThrottled {
		s.waitFloor(ctx, a, got) // what was read of the account until here took its time
	}
	if err != nil {
		return nil, storeError(err)
	}
	got.guess = g
	if rec != nil {
		got.rec = *rec
	}
	pass := string(c.Password)
	if hash, ok := token.HashServiceSecret(pass); ok {
		a.client.token = audit.TagOf(hash)
		got.secret = a.client.token
	}
	if rec != nil && m != nil && m.AppendCode && !a.codeLater && s.factorState(rec.Factor) == FactorConfirmed {
		pass, got.code = splitCode(pass)
	}
	ask, err := s.forElder(ctx, m, rec, c)
	if err != nil {
		g.undone = unavailable(err)
		g.leave()
		return nil, storeError(err)
	}
	kind, reason := audit.SignInFailed, ""
	reason, err = s.verify(ctx, a, got, rec != nil, ask, pass)
	ctx, cancel := unhurried(ctx)
	defer cancel()
	switch {
	case err != nil:
	case ask.answers != nil:
		reason, err = s.askShadowed(ctx, a, m, got, ask.answers, reason, c)
	default:
		kind, reason, err = s.askElder(ctx, a, m, got, ask, reason, Credentials{c.Name, Secret(pass)})
	}
	if err != nil {
		g.leave()
		return nil, err
	}
	if reason == "" && a.alone && !s.without(&got.rec) {
		kind, reason = audit.FactorFailed, "factor_required"
	}
	if reason != "" {
		return nil, s.fail(ctx, a, got, kind, reason)
	}
	if m == nil {
		g.leave()
	}
	return got, nil
}

// nameOrRaw is what an unknown name is counted under.
func nameOrRaw(name string) string {
	if key := nameKey(name); key != "" {
		return key
	}
	return name
}

// splitCode takes a code off the end of a password. The password may end in other
// digits, so the code is exactly the last six.
func splitCode(pass string) (password, code string) {
	cut := len(pass) - totp.Digits
	if cut < 0 || strings.Trim(pass[cut:], "0123456789") != "" {
		return pass, ""
	}
	return pass[:cut], pass[cut:]
}

// verify returns why the password is refused, or "" if it is right. The secret that
// is presented, not the account, chooses the fast check of service secrets.
func (s *Service) verify(ctx context.Context, a attempt, got *checked, exists bool, ask asking, pass string) (reason string, err error) {
	rec := &got.rec
	if hash, ok := token.HashServiceSecret(pass); ok {
		if !exists || rec.Kind != KindService {
			return "wrong_secret", nil
		}
		lives, err := s.store.SecretLives(ctx, rec.ID, hash, s.now())
		if err != nil {
			return "", storeError(err)
		}
		if !lives {
			return "wrong_secret", nil
		}
	} else {
		asked := time.Now()
		tried := rec.tried(a.dialect)
		if rec.Disabled {
			tried = nil // no password is right, at no other cost than where there is none
		}
		alike := rec.Factor != nil || rec.Elsewhere != "" // it may be refused for its code
		var res password.Result
		if len(tried) == 0 && ask.password {
			got.learnt, res, err = s.hasher.HashAlike(ctx, pass)
		} else {
			res, err = s.hasher.VerifyAny(ctx, hashesOf(tried), pass, alike)
		}
		got.queued, got.pace = time.Since(asked)-res.Took, res.Pace
		switch {
		case errors.Is(err, password.ErrUnsupported):
			s.log.Error("a stored password hash can't be read: a reset of the password ends that", "account", rec.ID, "err", err)
			return "unreadable_hash", nil
		case err != nil:
			return "", hashError(err)
		case !exists:
			return "unknown_name", nil
		case rec.Disabled:
			return "disabled", nil
		case len(tried) == 0 && rec.pendingAt(a.dialect):
			return "password_pending", nil
		case len(tried) == 0:
			return "no_password", nil
		case !res.OK:
			return "wrong_password", nil
		}
		got.right = tried[res.Which]
		if res.Stale {
			got.stale, got.fresh = Secret(pass), res.Fresh
		}
	}
	if rec.Disabled {
		return "disabled", nil
	}
	return "", nil
}

// fail records a failed login, charges the guess, and answers not before the floor.
// Why is for the audit log alone; the client learns CodeBadCredentials.
func (s *Service) fail(ctx context.Context, a attempt, got *checked, kind audit.Kind, why string) error {
	ctx, cancel := counting(ctx)
	defer cancel()
	e := s.event(a.realm, kind, got.account(), a.client)
	e.Dialect, e.Detail = string(a.dialect), why
	err := got.guess.inTx(ctx, func(tx Tx) error {
		if err := tx.InsertEvent(ctx, e); err != nil {
			return err
		}
		return got.guess.charge(ctx, tx)
	})
	got.guess.leave()
	if err != nil {
		return storeError(err)
	}
	s.waitFloor(ctx, a, got)
	return &Error{Code: CodeBadCredentials, Cause: reason(why)}
}

// Warm measures what failed logins of a realm will wait for, before there is a load that
// would make it look longer.
func (s *Service) Warm(ctx context.Context, realm uuid.UUID) {
	s.hasher.Floor(s.schemesOf(ctx, realm))
}

// schemesOf are those of a realm's hashes: if they can't be read, as they were, since that must not show in the time.
func (s *Service) schemesOf(ctx context.Context, realm uuid.UUID) []string {
	st, err := s.state(ctx, realm)
	if err == nil {
		return st.schemes
	}
	if v, ok := s.realms.Load(realm); ok {
		return v.(*realmState).schemes
	}
	return nil
}

// waitFloor waits until a failed check has taken as long as the slowest one that the
// realm can make, so that the time says nothing about the account. What the store did for
// it counts too: an account that is known costs more queries than one that is not.
func (s *Service) waitFloor(ctx context.Context, a attempt, got *checked) {
	floor := s.hasher.FloorOf(s.schemesOf(ctx, a.realm), string(got.given), got.pace)
	if a.elder != nil { // whether it was asked or not
		floor += a.elder.Floor()
	}
	wait := time.NewTimer(floor - (time.Since(got.began) - got.queued))
	defer wait.Stop()
	defer trace.Start(ctx, "hold the answer back").End()
	if a.client.Decided != nil {
		a.client.Decided()
	}
	<-wait.C // whoever has closed his side of the connection may still read the answer
}
