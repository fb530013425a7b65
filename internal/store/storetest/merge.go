package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

var mergeCases = []testCase{
	{"Names", mergeNames},
	{"Give", mergeGive},
	{"GiveSome", mergeGiveSome},
	{"Budgets", mergeBudgets},
	{"Apart", mergeApart},
	{"DropMerged", mergeDrop},
	{"Records", mergeRecords},
}

func (w *world) namesOf(account uuid.UUID) []auth.AccountName {
	w.Helper()
	list, err := w.store.AccountNames(w.ctx, account)
	w.wantErr("names", err, nil)
	slices.SortFunc(list, func(a, b auth.AccountName) int {
		return strings.Compare(string(a.Dialect)+"/"+a.Key, string(b.Dialect)+"/"+b.Key)
	})
	return list
}

func mergeNames(w *world) {
	a, b := w.account("anna"), w.account("bert")
	add := func(of uuid.UUID, d auth.Dialect, key string) func(tx auth.Tx) error {
		return func(tx auth.Tx) error { return tx.AddName(w.ctx, w.realm, of, auth.AccountName{Dialect: d, Key: key}) }
	}
	other := newWorld(w.T, w.store)
	for _, in := range []*world{w, other} {
		ann := in.account("ann").ID
		in.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(in.ctx, in.realm, ann, in.now) })
	}
	w.in(add(a.ID, "", "ann"))
	for in, want := range map[*world]bool{w: false, other: true} {
		gone, err := w.store.NameGone(w.ctx, in.realm, "ann", "one")
		w.same("gone, if it is not back in that realm", []any{gone, err}, []any{want, nil})
	}
	w.in(add(a.ID, "one", "bert")) // another one's name, in one dialect
	w.fails(auth.ErrConflict, add(a.ID, "", "bert"))
	w.fails(auth.ErrConflict, add(b.ID, "one", "bert"))
	w.same("names", w.namesOf(a.ID), []auth.AccountName{{Key: "ann"}, {Key: "anna"}, {Key: "anna@example.com"}, {Dialect: "one", Key: "bert"}})
	for d, want := range map[auth.Dialect]uuid.UUID{"": b.ID, "one": a.ID, "two": b.ID} {
		rec, err := w.store.AccountByName(w.ctx, w.realm, "bert", d)
		w.wantErr("by name", err, nil)
		w.same("bert in "+string(d), rec.ID, want)
		w.same("apart", rec.Apart, auth.Dialect("")) // each has a name that is good everywhere
	}
	drop := func(of uuid.UUID, n auth.AccountName) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.DropName(w.ctx, w.realm, of, n) })
	}
	w.in(add(a.ID, "one", "bertie"))
	w.in(add(a.ID, "three", "bert"))
	if drop(b.ID, auth.AccountName{Key: "ann"}) || drop(b.ID, auth.AccountName{Dialect: "one", Key: "bert"}) || !drop(a.ID, auth.AccountName{Key: "ann"}) || drop(a.ID, auth.AccountName{Key: "ann"}) || !drop(a.ID, auth.AccountName{Dialect: "one", Key: "bert"}) {
		w.Fatal("a name goes once, from whom has it")
	}
	w.same("names", w.namesOf(a.ID), []auth.AccountName{{Key: "anna"}, {Key: "anna@example.com"}, {Dialect: "one", Key: "bertie"}, {Dialect: "three", Key: "bert"}})
}

func mergeGive(w *world) {
	a, b := w.account("anna"), w.account("bert")
	mine, theirs := w.session(a.ID), w.session(b.ID)
	code, token, digest := newHash(), newHash(), newHash()
	w.in(func(tx auth.Tx) error {
		if err := tx.StartFactor(w.ctx, w.realm, b.ID, auth.Factor{Secret: []byte{1}, LastStep: 7, CreatedAt: w.now}); err != nil {
			return err
		}
		if err := tx.ReplaceRecoveryCodes(w.ctx, w.realm, b.ID, [][32]byte{code}, w.now); err != nil {
			return err
		}
		if err := tx.NoteSource(w.ctx, b.ID, "192.0.2.1", w.now); err != nil {
			return err
		}
		if err := tx.NoteImported(w.ctx, w.realm, b.ID, digest, "one", w.now); err != nil {
			return err
		}
		_, err := tx.InsertForeignToken(w.ctx, auth.ForeignRecord{RealmID: w.realm, Hash: token, AccountID: b.ID, Dialect: "one", Kind: auth.ForeignBearer, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)})
		return err
	})
	for _, pass := range []string{"the second", "the third"} { // those before are past, and one is the same text for both
		for _, of := range []auth.AccountRecord{w.byID(a.ID), w.byID(b.ID)} {
			w.in(func(tx auth.Tx) error { return tx.KeepPassword(w.ctx, of.ID, 5, w.now) })
			w.yes(func(tx auth.Tx) (bool, error) { return tx.SetPassword(w.ctx, of.ID, of.Version, pass, w.now) })
		}
	}
	past := func(of auth.AccountRecord) []string {
		hashes, err := w.store.PastPasswords(w.ctx, of.ID)
		w.wantErr("past passwords", err, nil)
		return hashes
	}
	has, err := w.store.Belongings(w.ctx, b.ID, w.now)
	w.wantErr("belongings", err, nil)
	want := auth.Belongings{
		Sessions: []uuid.UUID{theirs.ID}, Foreign: [][32]byte{token}, Imports: [][32]byte{digest},
		Sources: []auth.KnownSource{{Source: "192.0.2.1", SeenAt: w.now}}, Past: []string{b.PasswordHash, "the second"},
	}
	w.same("belongings", has, want)
	w.in(func(tx auth.Tx) error { return tx.Give(w.ctx, b.ID, a.ID, has) })
	w.same("past passwords of both", past(a), []string{"the second", b.PasswordHash, "the second", a.PasswordHash})
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.GiveFactor(w.ctx, b.ID, a.ID, []byte{2}) }) || w.yes(func(tx auth.Tx) (bool, error) { return tx.GiveFactor(w.ctx, b.ID, a.ID, []byte{3}) }) {
		w.Fatal("a factor is given once")
	}
	codes, err := w.store.RecoveryCodes(w.ctx, a.ID)
	w.same("its recovery codes", []any{codes, err}, []any{1, nil})
	ticket := newHash()
	half := w.ticket(b.ID, ticket)
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, half) })
	for _, version := range []int64{half.Version + 1, half.Version} { // that of another version is void
		w.in(func(tx auth.Tx) error { return tx.GiveTickets(w.ctx, b.ID, version, a.ID, 7, w.now) })
		t, err := w.store.TicketAccount(w.ctx, w.realm, ticket)
		w.same("the ticket's account", []any{t == a.ID, err}, []any{version == half.Version, nil})
	}
	live, err := w.store.LiveTickets(w.ctx, a.ID, 7, 5, w.now)
	w.same("live tickets", []any{live, err}, []any{1, nil})
	left, err := w.store.Belongings(w.ctx, b.ID, w.now)
	w.same("what is left", []any{left, err}, []any{auth.Belongings{}, nil})
	w.same("the sessions' account", []uuid.UUID{w.sessionByID(mine.ID).AccountID, w.sessionByID(theirs.ID).AccountID}, []uuid.UUID{a.ID, a.ID})
	if f := w.byID(a.ID).Factor; f == nil || f.Secret[0] != 2 || f.LastStep != 7 || w.byID(b.ID).Factor != nil {
		w.Fatalf("the factor: %+v", f)
	}
	r, err := w.store.ForeignToken(w.ctx, w.realm, token)
	w.same("the token's account", []any{r.AccountID, err}, []any{a.ID, nil})
	imported, err := w.store.Imported(w.ctx, w.realm, [][32]byte{digest}, false)
	w.same("the line's account", []any{imported[digest], err}, []any{a.ID, nil})
	w.in(func(tx auth.Tx) error { return tx.Give(w.ctx, a.ID, b.ID, has) }) // and back
	back, err := w.store.Belongings(w.ctx, b.ID, w.now)
	w.same("back", []any{back, err}, []any{want, nil})
	w.same("past passwords, back", [][]string{past(a), past(b)}, [][]string{{"the second", a.PasswordHash}, {"the second", b.PasswordHash}})
	w.same("whose own session stays", w.sessionByID(mine.ID).AccountID, a.ID)
}

// mergeGiveSome: what came to an account since its belongings were read stays there, and so does what is a third one's.
func mergeGiveSome(w *world) {
	a, b, c := w.account("anna"), w.account("bert"), w.account("cleo")
	has := [2]auth.Belongings{}
	for i := range has {
		s, token, digest, source := w.session(b.ID), newHash(), newHash(), "192.0.2."+string(rune('1'+i))
		w.in(func(tx auth.Tx) error {
			if err := tx.NoteSource(w.ctx, b.ID, source, w.now); err != nil {
				return err
			}
			if err := tx.NoteImported(w.ctx, w.realm, b.ID, digest, "one", w.now); err != nil {
				return err
			}
			_, err := tx.InsertForeignToken(w.ctx, auth.ForeignRecord{RealmID: w.realm, Hash: token, AccountID: b.ID, Dialect: "one", Kind: auth.ForeignBearer, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)})
			return err
		})
		has[i] = auth.Belongings{Sessions: []uuid.UUID{s.ID}, Foreign: [][32]byte{token}, Imports: [][32]byte{digest}, Sources: []auth.KnownSource{{Source: source, SeenAt: w.now}}}
	}
	theirs, ticket := w.session(c.ID), w.ticket(c.ID, newHash())
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, ticket) })
	give := has[0]
	give.Sessions = append(slices.Clone(give.Sessions), theirs.ID)
	w.in(func(tx auth.Tx) error { return tx.Give(w.ctx, b.ID, a.ID, give) })
	w.in(func(tx auth.Tx) error { return tx.GiveTickets(w.ctx, b.ID, ticket.Version, a.ID, 1, w.now) })
	for i, of := range []auth.AccountRecord{a, b} {
		got, err := w.store.Belongings(w.ctx, of.ID, w.now)
		w.same("of "+of.Username, []any{got, err}, []any{has[i], nil})
	}
	owner, err := w.store.TicketAccount(w.ctx, w.realm, ticket.Hash)
	w.same("a third one's session and ticket", []any{w.sessionByID(theirs.ID).AccountID, owner, err}, []any{c.ID, c.ID, nil})
}

func mergeBudgets(w *world) {
	a, b := newID(), newID()
	p := throttle.Policy{Free: 5, First: time.Second, Max: time.Minute, Decay: time.Hour, Wall: 100}
	charge := func(of uuid.UUID, kind auth.BudgetKind, source string, n int, at time.Time) {
		w.in(func(tx auth.Tx) error {
			for range n {
				if _, err := tx.ChargeBudget(w.ctx, auth.BudgetKey{Realm: w.realm, Kind: kind, Subject: of.String(), Source: source}, p, at); err != nil {
					return err
				}
			}
			return nil
		})
	}
	charge(a, auth.BudgetAccount, "", 3, w.now)
	charge(b, auth.BudgetAccount, "", 4, w.now.Add(time.Minute))
	charge(b, auth.BudgetKnown, "192.0.2.1", 2, w.now)
	charge(a, auth.BudgetFactor, "", 1, w.now.Add(time.Minute))
	charge(b, auth.BudgetFactor, "", 1, w.now)
	w.in(func(tx auth.Tx) error { return tx.CopyBudgets(w.ctx, w.realm, b, a) })
	for _, c := range []struct {
		of     uuid.UUID
		kind   auth.BudgetKind
		source string
		want   int
		last   time.Time // and the first
	}{{a, auth.BudgetFactor, "", 2, w.now.Add(time.Minute)}, {a, auth.BudgetAccount, "", 7, w.now.Add(time.Minute)}, {a, auth.BudgetKnown, "192.0.2.1", 2, w.now}, {b, auth.BudgetAccount, "", 4, w.now.Add(time.Minute)}} {
		s, err := w.store.Budget(w.ctx, auth.BudgetKey{Realm: w.realm, Kind: c.kind, Subject: c.of.String(), Source: c.source})
		w.same("failures", []any{s.Failures, s.FirstAt, s.LastAt, err}, []any{c.want, c.last, c.last, nil})
	}
}

// mergeApart: an account that is apart stays so where it was noted, among names in several dialects.
func mergeApart(w *world) {
	a := w.person("anna", 60)
	a.Apart = "two"
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, keysOf(a)) })
	for _, d := range []auth.Dialect{"one", "two"} {
		w.in(func(tx auth.Tx) error { return tx.NoteApart(w.ctx, w.realm, a.ID, d) })
	}
	w.in(func(tx auth.Tx) error {
		return tx.AddName(w.ctx, w.realm, a.ID, auth.AccountName{Dialect: "one", Key: "x"})
	})
	w.same("apart", w.byID(a.ID).Apart, auth.Dialect("two"))
	w.in(func(tx auth.Tx) error { return tx.AddName(w.ctx, w.realm, a.ID, auth.AccountName{Key: "y"}) })
	w.same("with a name that is good everywhere", w.byID(a.ID).Apart, auth.Dialect(""))
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, nil) })
	w.in(func(tx auth.Tx) error {
		return tx.AddName(w.ctx, w.realm, a.ID, auth.AccountName{Dialect: "one", Key: "x"})
	})
	w.same("the note went with it", w.byID(a.ID).Apart, auth.Dialect("one"))
}

func mergeDrop(w *world) {
	a, b := w.account("anna"), w.account("bert")
	w.yes(func(tx auth.Tx) (bool, error) { return tx.RecordSignIn(w.ctx, a.ID, 1, w.now) })
	at, err := w.store.SignedInAt(w.ctx, a.ID)
	w.same("signed in", []any{at, err}, []any{w.now, nil})
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.DropMerged(w.ctx, newID(), a.ID) }) || !w.yes(func(tx auth.Tx) (bool, error) { return tx.DropMerged(w.ctx, w.realm, a.ID) }) || w.yes(func(tx auth.Tx) (bool, error) { return tx.DropMerged(w.ctx, w.realm, a.ID) }) {
		w.Fatal("an account goes once, in its realm")
	}
	_, err = w.store.AccountByID(w.ctx, w.realm, a.ID, "")
	w.wantErr("by id", err, auth.ErrNotFound)
	gone, err := w.store.NameGone(w.ctx, w.realm, "anna", "one")
	w.same("whose name is not gone", []any{gone, err}, []any{false, nil})
	w.in(func(tx auth.Tx) error { return tx.AddName(w.ctx, w.realm, b.ID, auth.AccountName{Key: "anna"}) })
}

func mergeRecords(w *world) {
	a, b := w.account("anna"), w.account("bert")
	one := auth.MergeRecord{ID: newID(), RealmID: w.realm, Keep: a.ID, Other: newID(), At: w.now, Before: []byte{1, 2}}
	two := one
	two.ID, two.Other = newID(), newID()
	w.in(func(tx auth.Tx) error { return tx.InsertMerge(w.ctx, one) })
	w.in(func(tx auth.Tx) error { return tx.InsertMerge(w.ctx, two) })
	three := one
	three.ID, three.Keep, three.Other = newID(), b.ID, newID()
	w.in(func(tx auth.Tx) error { return tx.InsertMerge(w.ctx, three) })
	list, err := w.store.Merges(w.ctx, w.realm)
	w.same("all", []any{list, err}, []any{[]auth.MergeRecord{one, two, three}, nil})
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.UndoneMerge(w.ctx, two, w.now) }) || w.yes(func(tx auth.Tx) (bool, error) { return tx.UndoneMerge(w.ctx, two, w.now) }) {
		w.Fatal("a merge is undone once")
	}
	w.now = w.now.Add(time.Hour)
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.SetPassword(w.ctx, a.ID, 1, "$new", w.now) }) {
		w.Fatal("no new password")
	}
	one.ResetAt = w.now
	w.now = w.now.Add(time.Hour)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.SetPassword(w.ctx, a.ID, 2, "$newer", w.now) })
	got, err := w.store.MergeByID(w.ctx, w.realm, one.ID)
	w.same("the first new password", []any{got, err}, []any{one, nil})
	_, err = w.store.MergeByID(w.ctx, w.newRealm().ID, one.ID)
	w.wantErr("of another realm", err, auth.ErrNotFound)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	_, err = w.store.MergeByID(w.ctx, w.realm, one.ID)
	w.wantErr("of an account that was deleted", err, auth.ErrNotFound)
	got, err = w.store.MergeByID(w.ctx, w.realm, three.ID)
	w.same("another account's", []any{got, err}, []any{three, nil})
}
