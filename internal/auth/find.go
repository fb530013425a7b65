package auth

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// FindAccount finds an account by its username, its e-mail address or its id. CodeConflict if
// several have the name, which can be where one is kept apart.
func (s *Service) FindAccount(ctx context.Context, realm uuid.UUID, name string) (Account, error) {
	found, missing := s.FindAccountAt(ctx, realm, "", name)
	if _, ok := ParseID(name); ok || missing != nil && CodeOf(missing) != CodeNotFound {
		return found, missing
	}
	var all []Account
	if missing == nil {
		all = append(all, found)
	}
	for _, d := range slices.Sorted(maps.Keys(s.dialects)) {
		a, err := s.FindAccountAt(ctx, realm, d, name)
		switch {
		case CodeOf(err) == CodeNotFound:
		case err != nil:
			return Account{}, err
		case !slices.ContainsFunc(all, func(b Account) bool { return b.ID == a.ID }):
			all = append(all, a)
		}
	}
	switch len(all) {
	case 0:
		return Account{}, missing
	case 1:
		return all[0], nil
	}
	var which []string
	for _, a := range all {
		text := a.ID.String()
		if a.Apart != "" {
			text += " (apart, in " + string(a.Apart) + ")"
		}
		which = append(which, text)
	}
	return Account{}, Errorf(CodeConflict, "%d accounts are called %q: give the id of one: %s", len(all), name, strings.Join(which, ", "))
}

// FindAccountAt is FindAccount, and finds as logins in a dialect do: an account that is kept
// apart there goes before others of the name.
func (s *Service) FindAccountAt(ctx context.Context, realm uuid.UUID, d Dialect, name string) (Account, error) {
	var rec AccountRecord
	var err error
	if id, ok := ParseID(name); ok {
		rec, err = s.store.AccountByID(ctx, realm, id, d)
	} else {
		rec, err = s.store.AccountByName(ctx, realm, nameKey(name), d)
	}
	if errors.Is(err, ErrNotFound) {
		return Account{}, Errorf(CodeNotFound, "there is no account %q%s", name, inRealm(ctx, s.store, realm))
	}
	return rec.Account, storeError(err)
}

// OtherNames are those that an account has beside its username and its address, as they are
// compared, with the dialect where one is good in that alone.
func (s *Service) OtherNames(ctx context.Context, a Account) ([]string, error) {
	names, err := s.store.AccountNames(ctx, a.ID)
	if err != nil {
		return nil, storeError(err)
	}
	names = besides(a, names)
	others := []string{}
	for _, n := range names {
		if n.Dialect != "" {
			n.Key += " (in " + string(n.Dialect) + ")"
		}
		others = append(others, n.Key)
	}
	slices.Sort(others)
	return others, nil
}

// besides are the names that an account has by a merge.
func besides(a Account, names []AccountName) []AccountName {
	own, _ := nameKeys(a.Username, a.Email)
	return slices.DeleteFunc(slices.Clone(names), func(n AccountName) bool { return n.Dialect == a.Apart && slices.Contains(own, n.Key) })
}
