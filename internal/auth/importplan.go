package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// lineFate is what becomes of a line.
type lineFate int

const (
	lineNew       lineFate = iota + 1 // an account is made
	lineApart                         // one is made that is good in the dialect of its source alone
	lineChanged                       // the account that an earlier line made is updated
	lineUnchanged                     // it was imported before
	lineDone                          // it is new, and was stored by a commit that was thought to be lost
)

// asNumber is a subject that a dialect could take for the number of an account.
func asNumber(subject string) (int64, bool) {
	n, err := strconv.ParseInt(subject, 10, 64)
	return n, err == nil
}

// findings are what a realm has of that which lines ask for.
type findings struct {
	imported map[[32]byte]uuid.UUID
	names    map[Dialect]map[string]Account // "": those that are good in every dialect
	gone     map[Dialect]map[string]bool
	numbers  map[int64]uuid.UUID
	subjects map[string][]TakenSubject
	ids      map[uuid.UUID]bool // that are accounts'
	from     map[uuid.UUID][]Dialect
	sources  map[uuid.UUID][]Dialect // of the passwords of some accounts
}

// lookUp finds what lines ask for, a table at a time.
func (im *Importer) lookUp(ctx context.Context, r Reader, entries []*ImportEntry) (*findings, error) {
	f := &findings{names: map[Dialect]map[string]Account{}, subjects: map[string][]TakenSubject{}, ids: map[uuid.UUID]bool{}}
	var digests [][32]byte
	for _, e := range entries {
		if e.problem == nil {
			digests = append(digests, e.account.Digest)
		}
	}
	var err error
	if f.imported, err = r.Imported(ctx, im.realm.ID, digests, im.o.RestoreDeleted); err != nil {
		return nil, err
	}
	a := asked{names: map[Dialect][]string{}}
	for _, e := range entries {
		if _, there := f.imported[e.account.Digest]; e.problem == nil && !there {
			a.add(&e.account, e.number)
		}
	}
	if err := im.find(ctx, r, f, &a); err != nil || a.found == 0 {
		return f, err
	}
	// Another import may have stored some of these lines meanwhile: who sees what it did sees them now.
	now, err := r.Imported(ctx, im.realm.ID, digests, im.o.RestoreDeleted)
	maps.Copy(f.imported, now)
	return f, err
}

// asked are the values that lines ask for.
type asked struct {
	names    map[Dialect][]string
	apart    []string // names of those that are apart
	numbers  []int64
	subjects []string
	ids      []uuid.UUID

	found int // of them, somebody's
}

func (q *asked) add(a *ImportedAccount, number bool) {
	for _, d := range slices.Compact(slices.Sorted(slices.Values([]Dialect{"", a.Source, a.Apart}))) {
		q.names[d] = append(q.names[d], a.NameKeys...)
		for _, n := range a.Names {
			q.names[d] = append(q.names[d], n.Key)
		}
	}
	for _, n := range a.Names {
		q.names[n.Dialect] = append(q.names[n.Dialect], n.Key)
	}
	if a.Apart != "" {
		q.apart = append(q.apart, a.NameKeys...)
	}
	if number {
		q.numbers = append(q.numbers, a.Number)
		q.subjects = append(q.subjects, strconv.FormatInt(a.Number, 10))
	}
	for _, subject := range a.Aliases {
		q.subjects = append(q.subjects, subject)
		if n, ok := asNumber(subject); ok {
			q.numbers = append(q.numbers, n)
		}
		if id, ok := ParseID(subject); ok {
			q.ids = append(q.ids, id)
		}
	}
}

func (im *Importer) find(ctx context.Context, r Reader, f *findings, q *asked) (err error) {
	var holders, adopted, merged []uuid.UUID // merged: perhaps
	for d, keys := range q.names {
		if f.names[d], err = r.NamesTaken(ctx, im.realm.ID, d, keys); err != nil {
			return err
		}
		for _, a := range f.names[d] {
			holders = append(holders, a.ID)
			if a.Origin == OriginTakeover { // by a login there
				adopted = append(adopted, a.ID)
			}
		}
	}
	if f.from, err = r.ImportedFrom(ctx, holders); err != nil {
		return err
	}
	for _, key := range q.apart {
		if a, taken := f.names[""][key]; taken {
			merged = append(merged, a.ID)
		}
	}
	f.sources = map[uuid.UUID][]Dialect{}
	for _, a := range slices.Concat(adopted, merged) {
		rec, err := r.AccountByID(ctx, im.realm.ID, a, "")
		if err != nil {
			return notThere(err)
		}
		for _, p := range rec.Passwords {
			f.sources[a] = append(f.sources[a], p.Source)
		}
	}
	for _, a := range adopted {
		f.from[a] = append(f.from[a], f.sources[a]...)
	}
	f.gone = map[Dialect]map[string]bool{}
	for d, keys := range q.names {
		if f.gone[d], err = r.NamesGone(ctx, im.realm.ID, d, keys); err != nil {
			return err
		}
	}
	if f.numbers, err = r.NumbersTaken(ctx, im.realm.ID, q.numbers); err != nil {
		return err
	}
	taken, err := r.SubjectsTaken(ctx, im.realm.ID, q.subjects)
	for _, t := range taken {
		f.subjects[t.Subject] = append(f.subjects[t.Subject], t)
	}
	q.found = len(holders) + len(f.numbers) + len(taken)
	for _, id := range q.ids {
		if err != nil {
			return err
		}
		if _, err = r.AccountByID(ctx, im.realm.ID, id, ""); err == nil {
			f.ids[id] = true
		} else if errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return err
}

// decide tells what is to become of a line, by what is there already.
func (im *Importer) decide(e *ImportEntry, f *findings) (lineFate, *importProblem) {
	a := &e.account
	fate := lineNew
	if a.Apart != "" {
		fate = lineApart
	}
	if f == nil {
		return fate, nil
	}
	if id, there := f.imported[a.Digest]; there {
		e.target = id
		return lineUnchanged, nil
	}
	if is, ok := f.before(a); ok {
		if !im.o.Update {
			return 0, &importProblem{kind: "changed", account: is.ID, reason: "account " + describe(is) + " came from the same source, and differs: --update changes it to what the line says"}
		}
		e.target = is.ID
		if problem := f.otherNames(a, is); problem != nil {
			return 0, problem
		}
		return lineChanged, f.identifiers(e)
	}
	problem := f.nameProblem(a)
	if problem != nil && a.Apart == "" && a.Source != "" && im.o.Apart {
		fate, a.Apart = lineApart, a.Source
		problem = f.nameProblem(a)
	}
	if problem != nil {
		return 0, problem
	}
	a.Restored = im.o.RestoreDeleted
	gone := func(n AccountName) bool {
		return f.gone[""][n.Key] || f.gone[n.Dialect][n.Key] || f.gone[a.Source][n.Key]
	}
	if !a.Restored && slices.ContainsFunc(a.AllNames(), gone) {
		return 0, &importProblem{kind: "deleted", reason: "the account of this name was deleted here; --restore-deleted makes it again"}
	}
	return fate, f.identifiers(e)
}

// before is the account that an earlier line of the same source made of the same person: the
// one that has its names.
func (f *findings) before(a *ImportedAccount) (is Account, ok bool) {
	for _, d := range []Dialect{cmp.Or(a.Apart, a.Source), ""} {
		for _, key := range a.NameKeys {
			holder, taken := f.names[d][key]
			if !taken || d != "" && holder.Apart != d || d == "" && a.Apart != "" && !slices.Contains(f.sources[holder.ID], a.Apart) {
				continue // of one that is apart: it has not been merged into that
			}
			if was := nameKey(holder.Username); was != "" && a.Username != "" && was != nameKey(a.Username) {
				return is, false // it may be somebody else with the same e-mail address
			}
			if !slices.Contains(f.from[holder.ID], a.Source) || ok && holder.ID != is.ID {
				return is, false
			}
			is, ok = holder, true
		}
		if ok {
			return is, true
		}
	}
	return is, false
}

// nameProblem says whose the names of a line are.
func (f *findings) nameProblem(a *ImportedAccount) *importProblem {
	email, username := nameKey(a.Email), nameKey(a.Username)
	if is, taken := f.names[a.Apart][email]; taken && a.Email != "" {
		if other := nameKey(is.Username); other != "" && username != "" && other != username && nameKey(is.Email) == email {
			return &importProblem{kind: "people", account: is.ID, reason: "the e-mail address is that of account " + describe(is) + ", whose username is another: the same e-mail, different people?"}
		}
		return &importProblem{kind: "email", account: is.ID, reason: "the e-mail address is that of account " + describe(is)}
	}
	if is, taken := f.names[a.Apart][username]; taken && a.Username != "" {
		return &importProblem{kind: "username", account: is.ID, reason: "the username is that of account " + describe(is)}
	}
	return f.otherNames(a, a.Account)
}

// otherNames says whose the names beside username and e-mail address are, if not those of the
// account that gets them.
func (f *findings) otherNames(a *ImportedAccount, gets Account) *importProblem {
	for _, n := range a.Names {
		if is, taken := f.names[cmp.Or(n.Dialect, gets.Apart)][n.Key]; taken && is.ID != gets.ID {
			kind, what := a.describeName(n.Key)
			return &importProblem{kind: kind, account: is.ID, reason: what + " is that of account " + describe(is)}
		}
	}
	return nil
}

// describeName is the kind of the problem that a name of a line is somebody else's, and how it
// is called.
func (a *ImportedAccount) describeName(key string) (kind, what string) {
	switch key {
	case nameKey(a.Email):
		return "email", "the e-mail address"
	case nameKey(a.Username):
		return "username", "the username"
	}
	if strings.Contains(key, "@") {
		return "email", fmt.Sprintf("the name %q", key)
	}
	return "username", fmt.Sprintf("the name %q", key)
}

// describe names an account for an operator.
func describe(a Account) string {
	switch {
	case a.Username != "" && a.Email != "":
		return fmt.Sprintf("%s (%q, %q)", a.ID, a.Username, a.Email)
	case a.Username != "":
		return fmt.Sprintf("%s (%q)", a.ID, a.Username)
	}
	return fmt.Sprintf("%s (%q)", a.ID, a.Email)
}

// identifiers sees that the number and the subjects of a line are nobody else's.
func (f *findings) identifiers(e *ImportEntry) *importProblem {
	a := &e.account
	other := func(id uuid.UUID) bool { return id != e.target }
	if e.number {
		if id, taken := f.numbers[a.Number]; taken && other(id) {
			return &importProblem{kind: "number", account: id, reason: fmt.Sprintf("the number %d is that of account %s", a.Number, id)}
		}
		for _, t := range f.subjects[strconv.FormatInt(a.Number, 10)] {
			if other(t.Account) && MayBeNumber(t.Dialect) {
				return &importProblem{kind: "number", account: t.Account, reason: fmt.Sprintf("account %s goes by the number %d in %s", t.Account, a.Number, t.Dialect)}
			}
		}
	}
	for d, subject := range a.Aliases {
		n, numeric := asNumber(subject)
		numeric = numeric && MayBeNumber(d)
		for _, t := range f.subjects[subject] {
			if other(t.Account) && (t.Dialect == d || numeric && MayBeNumber(t.Dialect)) {
				return &importProblem{kind: "alias", account: t.Account, reason: fmt.Sprintf("account %s has the subject %q in %s", t.Account, subject, t.Dialect)}
			}
		}
		if id, taken := f.numbers[n]; numeric && taken && other(id) {
			return &importProblem{kind: "alias", account: id, reason: fmt.Sprintf("the subject %q in %s is the number of account %s: ostiary account update --number gives that another one", subject, d, id)}
		}
		if id, ok := ParseID(subject); ok && f.ids[id] && other(id) {
			return &importProblem{kind: "alias", account: id, reason: fmt.Sprintf("the subject %q in %s is the id of another account", subject, d)}
		}
	}
	return nil
}
