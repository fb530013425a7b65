package auth

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/token"
)

// NewAccount says what an account is to be.
type NewAccount struct {
	Username      string
	Email         string
	EmailVerified bool
	DisplayName   string
	Org           string
	Kind          Kind  // "" is KindPerson
	Number        int64 // 0: the next of the realm's counter
	Origin        string
	Roles         []string

	// One of these, for a person:
	Password     Secret
	PasswordHash string // a PHC string or another that password.Foreign takes without options
	NoPassword   bool
}

// CreateAccount makes an account. A service gets a generated secret, which is
// returned this once. CodeConflict if a name or the number is taken.
func (s *Service) CreateAccount(ctx context.Context, realm uuid.UUID, n NewAccount, cl Client) (Account, Secret, error) {
	rec, err := s.newRecord(realm, n)
	if err != nil {
		return Account{}, "", err
	}
	keys, err := nameKeys(n.Username, n.Email)
	if err != nil {
		return Account{}, "", err
	}
	first, err := s.firstHash(ctx, rec, n)
	if err != nil {
		return Account{}, "", err
	}
	rec.PasswordHash = first.hash
	var secret string
	var hash [32]byte
	if rec.Kind == KindService {
		secret, hash = token.NewServiceSecret()
	}
	err = s.change(ctx, func(tx Tx) error {
		if n.Number == 0 {
			if rec.Number, err = tx.NextNumber(ctx, realm); err != nil {
				return err
			}
		}
		if err := tx.InsertAccount(ctx, rec, keys); err != nil {
			return err
		}
		if err := recount(ctx, tx, AccountRecord{Account: rec.Account}, rec); err != nil {
			return err
		}
		if err := first.old.tell(ctx, tx, rec.Account, backCreated, first.oldHash); err != nil {
			return err
		}
		if secret != "" {
			if err := tx.InsertSecret(ctx, realm, rec.ID, hash, s.now()); err != nil {
				return err
			}
		}
		e := s.event(realm, audit.AccountCreated, rec.ID, cl)
		e.Detail = string(rec.Kind)
		if secret != "" {
			e.Token = audit.TagOf(hash)
		}
		if err := tx.InsertEvent(ctx, e); err != nil {
			return err
		}
		return s.firstRoles(ctx, tx, realm, rec.ID, n.Roles, cl)
	})
	if CodeOf(err) == CodeConflict {
		return Account{}, "", s.taken(ctx, rec.Account, keys, nil)
	}
	return rec.Account, Secret(secret), err
}

func (s *Service) firstRoles(ctx context.Context, tx Tx, realm, account uuid.UUID, roles []string, cl Client) error {
	for _, role := range slices.Compact(slices.Sorted(slices.Values(roles))) { // in one order: two that lock rows can't lock each other
		if _, err := addRole(ctx, tx, realm, account, role, s.now()); err != nil {
			return err
		}
		e := s.event(realm, audit.RoleAdded, account, cl)
		e.Detail = role
		if err := tx.InsertEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) newRecord(realm uuid.UUID, n NewAccount) (AccountRecord, error) {
	now := s.now()
	a := Account{
		ID: newID(), RealmID: realm, Number: n.Number, Kind: n.Kind, Username: n.Username, Email: n.Email,
		EmailVerified: n.EmailVerified, DisplayName: n.DisplayName, Org: n.Org, Origin: n.Origin,
		CreatedAt: now, UpdatedAt: now,
	}
	if a.Kind == "" {
		a.Kind = KindPerson
	}
	if a.Kind != KindPerson && a.Kind != KindService {
		return AccountRecord{}, Errorf(CodeInvalidInput, "kind %q: it is person or service", n.Kind)
	}
	return AccountRecord{Account: a, Version: 1}, checkTexts(a)
}

func checkTexts(a Account) error {
	if err := checkText("display name", a.DisplayName); err != nil {
		return err
	}
	if a.Number < 0 {
		return Errorf(CodeInvalidInput, "number %d: it must be positive", a.Number)
	}
	return checkText("org", a.Org)
}

func checkText(what, text string) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxName {
		return Errorf(CodeInvalidInput, "%s: it must be UTF-8 of at most %d characters", what, maxName)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(CodeInvalidInput, "%s: control characters can't stand in it", what)
	}
	return nil
}

func (s *Service) firstHash(ctx context.Context, rec AccountRecord, n NewAccount) (*chosen, error) {
	given := 0
	for _, set := range []bool{n.Password != "", n.PasswordHash != "", n.NoPassword} {
		if set {
			given++
		}
	}
	switch {
	case n.Kind == KindService && given > 0:
		return nil, Errorf(CodeInvalidInput, "a service account has a generated secret and no password")
	case n.Kind == KindService, n.NoPassword && given == 1:
		return &chosen{}, nil
	case given != 1:
		return nil, Errorf(CodeInvalidInput, "give a password, or a password hash, or say that there is none")
	case n.PasswordHash != "":
		hash, err := password.Foreign(n.PasswordHash, password.ForeignOptions{})
		if err != nil {
			return nil, Errorf(CodeInvalidInput, "password hash: %v", err)
		}
		return &chosen{hash: hash}, nil
	}
	return s.choose(ctx, rec, "", n.Password)
}

// ListAccounts lists a realm's accounts by id, from the first after the given one.
func (s *Service) ListAccounts(ctx context.Context, realm, after uuid.UUID, limit int) ([]Account, error) {
	list, err := s.store.Accounts(ctx, realm, after, limit)
	return list, storeError(err)
}

// EachByPrefix calls fn with a realm's accounts whose username or e-mail address begins with a text,
// compared as names are: in the order of these names, and then those that are apart.
func (s *Service) EachByPrefix(ctx context.Context, realm uuid.UUID, prefix string, fn func(Account) error) error {
	key, err := prefixKey(prefix)
	if err != nil {
		return err
	}
	apart := map[uuid.UUID]bool{} // in several dialects, by a merge
	for _, d := range slices.Concat([]Dialect{""}, slices.Sorted(maps.Keys(s.dialects))) {
		for after := ""; ; {
			page, err := s.store.AccountsByPrefix(ctx, realm, d, key, after, prefixPage)
			if err != nil {
				return storeError(err)
			}
			for _, a := range page {
				if after = a.NameKey; apart[a.ID] {
					continue
				}
				if d != "" {
					apart[a.ID] = true
				}
				if err := fn(a.Account); err != nil {
					return err
				}
			}
			if len(page) < prefixPage {
				break
			}
		}
	}
	return nil
}

const prefixPage = 500

// AccountChange says what is to change; nil leaves a field as it is.
type AccountChange struct {
	Username, Email, DisplayName, Org *string
	EmailVerified                     *bool
	Number                            *int64
}

// UpdateAccount changes an account's names, and which legacy servers are to be asked for its
// password, all of it or nothing. CodeConflict if a name or the number is taken.
func (s *Service) UpdateAccount(ctx context.Context, realm, id uuid.UUID, c AccountChange, cl Client, pending ...PendingChange) (a Account, err error) {
	err = s.change(ctx, func(tx Tx) error {
		if err := holdBoth(ctx, tx, realm, id, id); err != nil { // a merge may be at it
			return err
		}
		rec, err := tx.AccountByID(ctx, realm, id, "")
		if err != nil {
			return err
		}
		if a = rec.Account; c != (AccountChange{}) {
			if a, err = s.updateAccount(ctx, tx, a, c, cl); err != nil {
				return err
			}
		}
		for _, p := range pending {
			if err := s.setPending(ctx, tx, realm, id, p, cl); err != nil {
				return err
			}
		}
		return nil
	})
	if CodeOf(err) == CodeConflict {
		keys, _ := nameKeys(a.Username, a.Email)
		err = s.taken(ctx, a, keys, nil)
	}
	return a, err
}

func (s *Service) updateAccount(ctx context.Context, tx Tx, was Account, c AccountChange, cl Client) (Account, error) {
	a := was
	if c.Email != nil && *c.Email != a.Email {
		a.EmailVerified = false // what was verified is another address
	}
	set(&a.Username, c.Username)
	set(&a.Email, c.Email)
	set(&a.DisplayName, c.DisplayName)
	set(&a.Org, c.Org)
	set(&a.EmailVerified, c.EmailVerified)
	set(&a.Number, c.Number)
	a.UpdatedAt = s.now()
	if err := checkTexts(a); err != nil {
		return a, err
	}
	keys, err := nameKeys(a.Username, a.Email)
	if err != nil {
		return a, err
	}
	if err := hidesNobody(ctx, tx, a, keys); err != nil {
		return a, err
	}
	if err := updateNames(ctx, tx, was, a, keys); err != nil {
		return a, err
	}
	e := s.event(a.RealmID, audit.AccountUpdated, a.ID, cl)
	e.Detail = strings.Join(changedFields(was, a), " ")
	return a, tx.InsertEvent(ctx, e)
}

// hidesNobody sees that an account which is apart takes no name by which somebody else signs in where it
// is: that one would not be found there any more.
func hidesNobody(ctx context.Context, tx Tx, is Account, keys []string) error {
	if is.Apart == "" {
		return nil
	}
	has, err := tx.AccountNames(ctx, is.ID)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if slices.Contains(has, AccountName{Dialect: is.Apart, Key: key}) {
			continue
		}
		rec, err := tx.AccountByName(ctx, is.RealmID, key, is.Apart)
		if err == nil && rec.ID != is.ID && !rec.strangerAt(is.Apart) {
			return Errorf(CodeInvalidInput, "%q: account %s signs in by it in %s, too", key, describe(rec.Account), is.Apart)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// changedFields names what an update changes. The values are for the log no more than
// those that an account begins with.
func changedFields(was, is Account) (names []string) {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"username", was.Username == is.Username}, {"email", was.Email == is.Email}, {"email_verified", was.EmailVerified == is.EmailVerified},
		{"display_name", was.DisplayName == is.DisplayName}, {"org", was.Org == is.Org}, {"number", was.Number == is.Number},
	} {
		if !f.same {
			names = append(names, f.name)
		}
	}
	return names
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// SetDisabled disables an account, which ends its sessions, or enables it again. CodeNotFound if there is none.
func (s *Service) SetDisabled(ctx context.Context, realm, id uuid.UUID, disabled bool, cl Client) error {
	kind, event := audit.AccountEnabled, backEnabled
	if disabled {
		kind, event = audit.AccountDisabled, backDisabled
	}
	old, err := s.oldSystem(ctx, realm)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx Tx) error {
		changed, err := tx.SetDisabled(ctx, realm, id, disabled, s.now())
		if err == nil && !changed { // it is so already; or it is no more, and its person may have another account, by a merge
			_, err = tx.AccountByID(ctx, realm, id, "")
		}
		if err != nil || !changed {
			return noAccount(err, id)
		}
		if disabled {
			if _, err := tx.EndSessions(ctx, id, uuid.Nil, "account_disabled", s.now()); err != nil {
				return err
			}
		}
		if old != nil {
			rec, err := tx.AccountByID(ctx, realm, id, "")
			if err != nil {
				return err
			}
			if err := old.tell(ctx, tx, rec.Account, event, ""); err != nil {
				return err
			}
		}
		return tx.InsertEvent(ctx, s.event(realm, kind, id, cl))
	})
}

// DeleteAccount removes an account with its credentials and sessions. Its id is never used again.
func (s *Service) DeleteAccount(ctx context.Context, realm, id uuid.UUID, cl Client) error {
	old, err := s.oldSystem(ctx, realm)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, id); err != nil {
			return err
		}
		rec, err := tx.AccountByID(ctx, realm, id, "")
		if err != nil {
			return err
		}
		if err := old.tell(ctx, tx, rec.Account, backDeleted, ""); err != nil {
			return err
		}
		if err := forgetSubjects(ctx, tx, rec.Account, s.now()); err != nil {
			return err
		}
		if _, err := tx.DeleteAccount(ctx, realm, id, s.now()); err != nil {
			return err
		}
		if err := recount(ctx, tx, rec, AccountRecord{}); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, s.event(realm, audit.AccountDeleted, id, cl))
	})
}

// SetAlias gives an account its subject in a dialect; "" removes it.
func (s *Service) SetAlias(ctx context.Context, realm, id uuid.UUID, d Dialect, subject string, cl Client) error {
	if err := checkText("subject", subject); err != nil {
		return err
	}
	err := s.change(ctx, func(tx Tx) error {
		if err := tx.HoldAccount(ctx, realm, id); err != nil { // it may be deleted at the same time
			return err
		}
		if err := tx.SetAlias(ctx, realm, id, d, subject); err != nil {
			return err
		}
		e := s.event(realm, audit.AliasSet, id, cl)
		e.Dialect, e.Detail = string(d), strconv.Quote(subject)
		return tx.InsertEvent(ctx, e)
	})
	if CodeOf(err) == CodeConflict {
		err = s.taken(ctx, Account{ID: id, RealmID: realm}, nil, map[Dialect]string{d: subject})
	}
	return err
}

// Aliases returns an account's subjects by dialect, where they were set.
func (s *Service) Aliases(ctx context.Context, account uuid.UUID) (map[Dialect]string, error) {
	a, err := s.store.Aliases(ctx, account)
	return a, storeError(err)
}
