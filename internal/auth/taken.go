package auth

import "context"

// taken is a conflict that the store has found, with whose it is that an account was to have:
// names by their keys, a number, or subjects. The account is not stored, or lacks just that.
func (s *Service) taken(ctx context.Context, a Account, keys []string, aliases map[Dialect]string) error {
	none := Errorf(CodeConflict, "the username, the e-mail address, the number or the subject was taken a moment ago: try again")
	im := &Importer{s: s, realm: Realm{ID: a.RealmID}}
	e := &ImportEntry{target: a.ID, number: a.Number != 0}
	e.account.Account, e.account.NameKeys, e.account.Aliases = a, keys, aliases
	f, err := im.lookUp(ctx, s.store, []*ImportEntry{e})
	if err != nil {
		return none
	}
	for _, key := range keys {
		if is, there := f.names[a.Apart][key]; there && is.ID != a.ID {
			_, what := e.account.describeName(key)
			return Errorf(CodeConflict, "%s is that of account %s", what, describe(is))
		}
	}
	if p := f.identifiers(e); p != nil {
		return Errorf(CodeConflict, "%s", p.reason)
	}
	return none
}
