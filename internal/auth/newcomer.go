package auth

import (
	"cmp"
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// takeoverNumbers are those that accounts get from the counter while a server is taken over
// whose accounts go by their numbers: it has given none of them. They fit into 32 bits.
const takeoverNumbers = 1_000_000_001

// refusedAdoption is why a login that a legacy server let in is refused here, as the audit
// log has it: what the server said can't be, or not for whom was asked.
type refusedAdoption string

func (r refusedAdoption) Error() string { return string(r) }

const (
	refusedName     refusedAdoption = "other_name"      // it names another person than who was asked for
	refusedSubject  refusedAdoption = "other_subject"   // it has another subject for the account than this server
	refusedBadName  refusedAdoption = "unusable_name"   // the name can't be one here
	refusedGone     refusedAdoption = "name_gone"       // it has a name of an account that was deleted here
	refusedUsername refusedAdoption = "username_in_use" // somebody else's, here
	refusedEmail    refusedAdoption = "email_in_use"
	refusedTaken    refusedAdoption = "subject_in_use"
)

// errOvertaken is that another login has taken over the same account meanwhile, or that it was merged
// or deleted. It says nothing of the store: the guess is tried again, and those that wait for it go on.
var errOvertaken error = reason("overtaken")

// overtaken runs a login again while others take over its account, or change it.
func overtaken[T any](login func() (T, error)) (out T, err error) {
	for range changeTries {
		if out, err = login(); !errors.Is(err, errOvertaken) {
			return out, err
		}
	}
	return out, &Error{Code: CodeUnavailable, RetryAfter: time.Second,
		Cause: errors.New("the account was changed meanwhile, again and again: try again")}
}

// notOvertaken is overtaken for what has no answer but an error.
func notOvertaken(try func() error) error {
	_, err := overtaken(func() (none struct{}, err error) { return none, try() })
	return err
}

// newcomer makes the account of somebody who is not here yet of what an Elder says.
func (s *Service) newcomer(m *Mount, n *Newcomer, asked string) (rec AccountRecord, keys []string, err error) {
	username, email := n.Username, n.Email
	if username == "" && email == "" {
		username = asked // it does not say whom it has let in
	}
	if email == "" && strings.Contains(username, "@") {
		username, email = "", username
	}
	if key := nameKey(asked); key != nameKey(username) && key != nameKey(email) {
		return rec, nil, refusedName
	}
	if keys, err = nameKeys(username, email); err != nil {
		return rec, nil, refusedBadName
	}
	if checkText("subject", n.Subject) != nil {
		return rec, nil, refusedTaken
	}
	a := NewAccount{Username: username, Email: email, Origin: OriginTakeover, Number: s.numberOf(m.Dialect, n.Subject)}
	if checkText("display name", n.DisplayName) == nil {
		a.DisplayName = n.DisplayName
	}
	if checkText("org", n.Org) == nil {
		a.Org = n.Org
	}
	if rec, err = s.newRecord(m.RealmID, a); err != nil {
		return rec, nil, refusedBadName
	}
	return rec, keys, nil
}

// numberOf is the number of an account that goes by a subject in a dialect without an alias;
// 0: there is none.
func (s *Service) numberOf(d Dialect, subject string) int64 {
	n, err := strconv.ParseInt(subject, 10, 64)
	by := s.dialects[d].Subject
	if err != nil || n <= 0 || n > math.MaxInt32 || by == nil || by(Account{Number: n}) != subject {
		return 0
	}
	return n
}

// sameAs tells whether what an Elder says can be about an account that is here: one of the
// names that it tells is the account's, or the one that was asked for, and so is the subject.
func (s *Service) sameAs(rec *AccountRecord, d Dialect, n *Newcomer, asked string) error {
	other := n.Username != "" || n.Email != ""
	for _, name := range []string{rec.Username, rec.Email, asked} {
		if key := nameKey(name); key != "" && (key == nameKey(n.Username) || key == nameKey(n.Email)) {
			other = false
		}
	}
	switch {
	case other:
		return refusedName
	case rec.Subject != "" && n.Subject != "" && rec.Subject != n.Subject:
		return refusedSubject
	}
	return nil
}

// takeOver stores what an Elder has said, in the transaction that stores the login: a new account
// with its password, or the password of one that is pending, and who asks for the second factor.
func (s *Service) takeOver(ctx context.Context, tx Tx, m *Mount, got *checked, cl Client) error {
	n := got.news
	if n == nil {
		return nil
	}
	var err error
	if got.keys != nil {
		err = s.insertNewcomer(ctx, tx, m, got, cl)
	} else if err = asAsked(ctx, tx, m, got); err == nil && got.learnt != "" {
		err = s.fillPending(ctx, tx, m, got, cl)
	}
	if err != nil {
		return err
	}
	id := got.rec.ID
	if n.Factor && s.factorOf(&got.rec) == FactorElsewhere {
		return tx.SetElsewhere(ctx, m.RealmID, id, m.Dialect, false, s.now())
	}
	if got.factor == m.Dialect && got.rec.Elsewhere == "" {
		dropped, err := tx.DropElsewhere(ctx, id)
		if err != nil || !dropped {
			return err
		}
		e := s.event(m.RealmID, audit.FactorReset, id, cl)
		e.Dialect, e.Detail = string(m.Dialect), "no_longer_asked_for"
		return tx.InsertEvent(ctx, e)
	}
	return nil
}

// asAsked sees that the second factor is still asked for where it was when the Elder was asked, and
// stays so: another login, or an operator, may have changed that. Then the login begins anew.
func asAsked(ctx context.Context, tx Tx, m *Mount, got *checked) error {
	if err := tx.HoldAccount(ctx, m.RealmID, got.rec.ID); err != nil {
		return err
	}
	now, err := tx.AccountByID(ctx, m.RealmID, got.rec.ID, m.Dialect)
	if err == nil && (now.Elsewhere != got.factor || now.EnrolsHere != got.rec.EnrolsHere) {
		err = errOvertaken
	}
	return err
}

// insertNewcomer makes the account. What is found in use now may have come since the Elder
// was asked: if it is the name, the login begins anew.
func (s *Service) insertNewcomer(ctx context.Context, tx Tx, m *Mount, got *checked, cl Client) error {
	rec, now := &got.rec, s.now()
	if err := tx.HoldRealm(ctx, m.RealmID); err != nil { // one after the other: what is read stays so
		return err
	}
	apart, err := s.namesFree(ctx, tx, m, got)
	if err != nil {
		return err
	}
	if rec.Apart = ""; apart {
		rec.Apart = m.Dialect
	}
	if rec.Number, err = s.newcomerNumber(ctx, tx, m, got.news.Subject); err != nil {
		return err
	}
	if err := tx.InsertAccount(ctx, *rec, got.keys); err != nil {
		return err
	}
	p := SourceHash{Source: m.Dialect, Hash: got.learnt, CreatedAt: now, ProvenAt: now}
	if err := tx.PutSource(ctx, m.RealmID, rec.ID, p); err != nil {
		return err
	}
	if err := s.takeGuesses(ctx, tx, *rec, got.keys); err != nil {
		return err
	}
	e := s.event(m.RealmID, audit.AccountAdopted, rec.ID, cl)
	e.Dialect = string(m.Dialect)
	if err := s.adoptSubject(ctx, tx, m, got, cl); err != nil {
		return err
	}
	var detail []string
	if rec.Apart != "" {
		detail = append(detail, "apart")
	}
	if rec.Elsewhere != "" {
		detail = append(detail, "factor_elsewhere")
	}
	e.Detail = strings.Join(detail, " ")
	return tx.InsertEvent(ctx, e)
}

// takeGuesses has the guesses that were made at the names of a newcomer count for the account.
func (s *Service) takeGuesses(ctx context.Context, tx Tx, rec AccountRecord, names []string) error {
	for _, name := range names {
		if err := tx.CopyBudgets(ctx, rec.RealmID, s.unknownName(name), rec.ID); err != nil {
			return err
		}
		if err := tx.ClearBudgets(ctx, rec.RealmID, s.unknownName(name).String(), ""); err != nil {
			return err
		}
	}
	return nil
}

// newcomerNumber is the number that the account has at the Elder, if its dialect goes by
// numbers, or one that no such server of the realm will have given.
func (s *Service) newcomerNumber(ctx context.Context, tx Tx, m *Mount, subject string) (int64, error) {
	if n := s.numberOf(m.Dialect, subject); n > 0 {
		taken, err := tx.NumberTaken(ctx, m.RealmID, n)
		if err == nil && taken {
			err = refusedTaken
		}
		return n, err
	}
	for _, o := range s.mounts {
		if o.RealmID == m.RealmID && o.Elder != nil && s.numberOf(o.Dialect, "1") == 1 {
			if err := tx.RaiseNumbers(ctx, m.RealmID, takeoverNumbers); err != nil {
				return 0, err
			}
		}
	}
	return tx.NextNumber(ctx, m.RealmID)
}

// namesFree sees that the names of a newcomer are nobody's, first the one that was asked about.
// If the mount has that, they may be those of accounts from elsewhere, and the newcomer is apart.
func (s *Service) namesFree(ctx context.Context, tx Tx, m *Mount, got *checked) (apart bool, err error) {
	for _, key := range append([]string{got.name}, got.keys...) {
		gone, err := tx.NameGone(ctx, m.RealmID, key, m.Dialect)
		if err != nil {
			return false, err
		}
		if gone {
			return false, refusedGone
		}
		holder, err := tx.AccountByName(ctx, m.RealmID, key, m.Dialect)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return false, err
		case m.keepsApart(&holder):
			apart = true
			if taken, err := tx.NamesTaken(ctx, m.RealmID, m.Dialect, []string{key}); err != nil || len(taken) > 0 { // by an import
				return false, cmp.Or(err, refusedFor(key))
			}
		case key == got.name:
			return false, errOvertaken
		default:
			return false, refusedFor(key)
		}
	}
	return apart, nil
}

// refusedFor is why somebody is refused whose name is another one's.
func refusedFor(key string) error {
	if strings.Contains(key, "@") {
		return refusedEmail
	}
	return refusedUsername
}

// adoptSubject gives the account the subject that it has at the Elder: as an alias, even if it
// goes by that anyway, since tokens of the Elder's are found by aliases alone.
func (s *Service) adoptSubject(ctx context.Context, tx Tx, m *Mount, got *checked, cl Client) error {
	subject := got.news.Subject
	if subject == "" {
		return nil
	}
	are, err := tx.Aliases(ctx, got.rec.ID) // got may be of a run of this transaction that came to nothing
	if err != nil || are[m.Dialect] == subject {
		return err
	}
	err = tx.SetAlias(ctx, m.RealmID, got.rec.ID, m.Dialect, subject)
	if errors.Is(err, ErrConflict) {
		return refusedTaken
	}
	if err != nil {
		return err
	}
	got.rec.Subject = subject
	e := s.event(m.RealmID, audit.AliasSet, got.rec.ID, cl)
	e.Dialect, e.Detail = string(m.Dialect), strconv.Quote(subject)
	return tx.InsertEvent(ctx, e)
}

// fillPending stores the password that the Elder has found right, in place of none or of
// another one.
func (s *Service) fillPending(ctx context.Context, tx Tx, m *Mount, got *checked, cl Client) error {
	id, was := got.rec.ID, got.rec.sourceOf(m.Dialect)
	err := changePasswords(ctx, tx, m.RealmID, id, func(AccountRecord) (bool, error) {
		filled, err := tx.ProveSource(ctx, id, m.Dialect, was.Hash, got.learnt, s.now())
		if err == nil && !filled {
			err = errOvertaken
		}
		return filled, err
	})
	if err != nil {
		return err
	}
	if err := s.adoptSubject(ctx, tx, m, got, cl); err != nil {
		return err
	}
	e := s.event(m.RealmID, audit.PasswordLearned, id, cl)
	e.Dialect, e.Detail = string(m.Dialect), "pending"
	if was.Hash != "" {
		e.Detail = "other"
	}
	return tx.InsertEvent(ctx, e)
}

// notAdopted ends a login whose transaction was given up for what an Elder has said; nil: it
// was not for that.
func (s *Service) notAdopted(ctx context.Context, a attempt, got *checked, err error) error {
	if why, ok := errors.AsType[refusedAdoption](err); ok {
		return s.fail(ctx, a, got, audit.AdoptionRefused, string(why))
	}
	if got.news != nil && (errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound)) {
		return errOvertaken
	}
	return nil
}

// account is the account that an entry about a failed login has: none, if it is not stored.
func (c *checked) account() uuid.UUID {
	if c.keys != nil {
		return uuid.Nil
	}
	return c.rec.ID
}
