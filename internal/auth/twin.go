package auth

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	// twinsAtOnce is how many first logins look for a twin at once, and twinLimit for how long.
	twinsAtOnce = 4
	twinLimit   = time.Minute
)

// seekTwin looks, after the first right login with a password of a source, whether another
// account of the same name has a password that the same text opens. Then both are proven to
// be one person, and merged. It happens once for each such password, and behind the answer:
// nobody can try the passwords of others by it, or see the time that it takes.
func (s *Service) seekTwin(got *checked, pass Secret, cl Client) {
	if !got.firstProof() || got.rec.Kind != KindPerson {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), twinLimit)
		defer cancel()
		var err error
		select {
		case s.twins <- struct{}{}:
			defer func() { <-s.twins }()
			err = s.joinTwin(ctx, got.rec, pass, cl)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			s.log.Info("whether another account is of the same person was not found out: an operator can merge them", "account", got.rec.ID, "err", err)
		}
	}()
}

// firstProof tells whether a password of a source was right for the first time, here or where
// it was pending.
func (c *checked) firstProof() bool {
	p := c.right
	if c.learnt != "" && c.keys == nil && c.news != nil {
		p = c.rec.sourceOf(c.guess.attempt.dialect)
	}
	return p.Source != "" && p.ProvenAt.IsZero()
}

func (s *Service) joinTwin(ctx context.Context, rec AccountRecord, pass Secret, cl Client) error {
	twins, err := s.twinsOf(ctx, rec)
	if err != nil {
		return err
	}
	for _, twin := range twins {
		right, err := s.opens(ctx, twin, pass)
		if err != nil {
			return err
		}
		if right == nil {
			continue
		}
		keep, other := keptOf(rec, twin)
		_, err = s.merge(ctx, rec.RealmID, keep, other, PreferNone, "proven", cl, func(tx Tx, p *MergePlan) error {
			if err := unchanged(p, rec, twin); err != nil {
				return err
			}
			if p.Keep.secured() || p.Other.secured() {
				return Errorf(CodeConflict, "one of them has a second factor by now")
			}
			return s.proven(ctx, tx, p, twin.ID, *right)
		})
		if CodeOf(err) != CodeConflict && CodeOf(err) != CodeNotFound { // else they stay two
			return err
		}
	}
	return nil
}

// twinsOf are the accounts with the same e-mail address as one, in any dialect: a username that
// two have says nothing, whatever their passwords are.
func (s *Service) twinsOf(ctx context.Context, rec AccountRecord) (twins []AccountRecord, err error) {
	keys, err := nameKeys("", rec.Email)
	if err != nil {
		return nil, nil //nolint:nilerr // it has no name that others could have
	}
	dialects := []Dialect{""}
	for d := range s.dialects {
		dialects = append(dialects, d)
	}
	slices.Sort(dialects)
	seen := []uuid.UUID{rec.ID}
	for _, key := range keys {
		for _, d := range dialects {
			twin, err := s.store.AccountByName(ctx, rec.RealmID, key, d)
			if CodeOf(storeError(err)) == CodeNotFound || err == nil && slices.Contains(seen, twin.ID) {
				continue
			}
			if err != nil {
				return nil, err
			}
			seen = append(seen, twin.ID)
			if nameKey(twin.Email) == key && twin.Kind == KindPerson && !twin.Disabled && twin.Elsewhere == "" && s.factorState(twin.Factor) != FactorConfirmed {
				twins = append(twins, twin)
			}
		}
	}
	return twins, nil
}

// opens returns the password of an account, of whatever source, that a text is; nil: none.
func (s *Service) opens(ctx context.Context, rec AccountRecord, pass Secret) (*SourceHash, error) {
	var tried []SourceHash
	for _, p := range rec.Passwords {
		if p.Hash != "" {
			tried = append(tried, p)
		}
	}
	if rec.PasswordHash != "" {
		tried = append(tried, SourceHash{Hash: rec.PasswordHash})
	}
	if len(tried) == 0 {
		return nil, nil
	}
	res, err := s.hasher.VerifyAny(ctx, hashesOf(tried), string(pass), false)
	if err != nil || !res.OK {
		return nil, err
	}
	return &tried[res.Which], nil
}

// keptOf says which of two accounts is kept: the one that is not apart, or the older one.
func keptOf(a, b AccountRecord) (keep, other uuid.UUID) {
	if a.Apart != "" && b.Apart == "" || (a.Apart == "") == (b.Apart == "") && slices.Compare(a.ID[:], b.ID[:]) > 0 {
		a, b = b, a
	}
	return a.ID, b.ID
}

// unchanged sees that nothing was changed since two accounts were proven to be one person's.
func unchanged(p *MergePlan, proven ...AccountRecord) error {
	for _, rec := range proven {
		for _, m := range []*MergeSide{&p.Keep, &p.Other} {
			if m.ID == rec.ID && m.Version != rec.Version {
				return &Error{Code: CodeConflict, Detail: "an account was changed meanwhile: try again", Cause: errChanged}
			}
		}
	}
	return nil
}

// proven notes that a password of a source was right.
func (s *Service) proven(ctx context.Context, tx Tx, p *MergePlan, of uuid.UUID, right SourceHash) error {
	if right.Source == "" || !right.ProvenAt.IsZero() {
		return nil
	}
	ok, err := tx.ProveSource(ctx, of, right.Source, right.Hash, right.Hash, s.now())
	if err == nil && !ok {
		err = &Error{Code: CodeConflict, Detail: "a password was changed meanwhile: try again", Cause: errChanged}
	}
	for _, m := range []*MergeSide{&p.Keep, &p.Other} {
		for i := range m.Passwords {
			if m.ID == of && m.Passwords[i].Source == right.Source {
				m.Passwords[i].ProvenAt = s.now()
			}
		}
	}
	return err
}

// Join merges the account of a name and a password in a dialect with the one of a live token:
// whoever has both is one person. Current is the password of the latter: else whoever has stolen
// the token could give himself one. A wrong password is CodeBadCredentials, and counts
// as a guess; so is that of another account with a second factor, which a password alone does not prove.
func (s *Service) Join(ctx context.Context, realm uuid.UUID, p Presented, current Secret, d Dialect, c Credentials, cl Client) error {
	return notOvertaken(func() error { return s.join(ctx, realm, p, current, d, c, cl) })
}

func (s *Service) join(ctx context.Context, realm uuid.UUID, p Presented, current Secret, d Dialect, c Credentials, cl Client) error {
	f, err := s.find(ctx, realm, p, s.anew)
	if err != nil {
		return err
	}
	s.used(f.view)
	who := f.who
	if _, known := s.dialects[d]; !known {
		return Errorf(CodeInvalidInput, "dialect: %q is none of this server's", d)
	}
	cl.token = audit.TokenTag(p.Token)
	mine, err := s.proveOwn(ctx, realm, who, current, cl)
	if err != nil {
		return err
	}
	got, err := s.check(ctx, attempt{realm: realm, dialect: d, client: cl, alone: true}, nil, c)
	if err != nil {
		return err
	}
	if got.rec.ID == who.Account {
		return Errorf(CodeConflict, "this is the account of the token itself")
	}
	keep, other := keptOf(mine, got.rec)
	if mine.Apart == got.rec.Apart {
		keep, other = mine.ID, got.rec.ID
	}
	_, err = s.merge(ctx, realm, keep, other, PreferNone, "joined", cl, func(tx Tx, p *MergePlan) error {
		if err := unchanged(p, mine, got.rec); err != nil {
			return err
		}
		ses, err := tx.SessionByID(ctx, realm, who.Session)
		if err == nil && !ses.live(s.now()) {
			err = Because(CodeSessionEnded, "session %s has ended", who.Session)
		}
		if err != nil {
			return err
		}
		return s.proven(ctx, tx, p, got.rec.ID, got.right)
	})
	if CodeOf(err) == CodeConflict {
		return &Error{Code: CodeConflict, Detail: "these accounts can't be joined by themselves: ask whoever runs this server", Cause: err}
	}
	return err
}
