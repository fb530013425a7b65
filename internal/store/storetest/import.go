package storetest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var importCases = []testCase{
	{"Insert", importInsert},
	{"Many", importMany},
	{"Apart", importApart},
	{"Taken", importTaken},
	{"Role", importRole},
	{"Gone", importGone},
	{"Numbers", importNumbers},
	{"Skip", importSkip},
	{"Note", importNote},
	{"Elsewhere", importElsewhere},
	{"OtherRealm", importOtherRealm},
}

// imported is an account that is not stored yet, with its two names and a line.
func (w *world) imported(name string, number int64) auth.ImportedAccount {
	a := auth.ImportedAccount{AccountRecord: w.person(name, number), Digest: sha256.Sum256([]byte(name))}
	a.Origin, a.NameKeys = auth.OriginImport, keysOf(a.AccountRecord)
	return a
}

func (w *world) importAll(accounts ...auth.ImportedAccount) {
	w.Helper()
	w.in(func(tx auth.Tx) error { return tx.InsertAccounts(w.ctx, w.realm, pointers(accounts), w.now) })
}

func pointers(accounts []auth.ImportedAccount) (out []*auth.ImportedAccount) {
	for i := range accounts {
		out = append(out, &accounts[i])
	}
	return out
}

// importInsert stores an account that has everything.
func importInsert(w *world) {
	w.in(func(tx auth.Tx) error { return tx.InsertRole(w.ctx, w.realm, "clerk", w.now) })
	a := w.imported("anna", 7)
	a.Source, a.Roles, a.Aliases = "one", []string{"clerk"}, map[auth.Dialect]string{"one": "old 7", "two": "7"}
	a.Disabled, a.DisplayName = true, "🦊 '\"\\ %_"
	a.Passwords = []auth.SourceHash{
		{Source: "one", Hash: "$plain$one", Joined: true, CreatedAt: w.now, ProvenAt: w.now.Add(-time.Hour)},
		{Source: "two", CreatedAt: w.now},
	}
	a.Factor = &auth.Factor{Secret: []byte{1, 2, 3}, LastStep: 55, CreatedAt: w.now, ConfirmedAt: w.now}
	a.RecoveryCodes = [][32]byte{{1}, {2}}
	a.PastPasswords = []string{"last", "first"}
	a.Secrets = []auth.ServiceSecret{{Hash: newHash()}}
	a.Names = []auth.AccountName{{Key: "annie"}, {Dialect: "two", Key: "ann"}}
	w.importAll(a)
	list := w.holdings(uuid.Nil, 10)
	if len(list) != 1 {
		w.Fatalf("%d accounts", len(list))
	}
	got, want := list[0], a.AccountRecord
	want.Datasources, got.Datasources = nil, nil
	w.same("the account", got.AccountRecord, want)
	w.same("its names", got.Names, append(everywhere(append(a.NameKeys, "annie")...), a.Names[1]))
	w.same("its subjects", got.Aliases, a.Aliases)
	w.same("its codes", got.RecoveryCodes, a.RecoveryCodes)
	w.same("its past passwords", got.PastPasswords, a.PastPasswords)
	w.same("its secrets", got.Secrets, a.Secrets)
	there, err := w.store.Imported(w.ctx, w.realm, [][32]byte{a.Digest, {9}}, false)
	w.wantErr("imported", err, nil)
	w.same("its line", there, map[[32]byte]uuid.UUID{a.Digest: a.ID})
	from, err := w.store.ImportedFrom(w.ctx, []uuid.UUID{a.ID, newID()})
	w.wantErr("imported from", err, nil)
	w.same("its source", from, map[uuid.UUID][]auth.Dialect{a.ID: {"one"}})
}

// importMany stores and looks up more than one statement holds.
func importMany(w *world) {
	untouched, err := w.store.Untouched(w.ctx, w.realm)
	w.wantErr("untouched", err, nil)
	w.same("untouched", untouched, true)
	const n = 600
	var all []auth.ImportedAccount
	var names, subjects []string
	var numbers []int64
	var digests [][32]byte
	var ids []uuid.UUID
	for i := range n {
		a := w.imported("user"+strconv.Itoa(i), int64(i+1))
		a.Aliases = map[auth.Dialect]string{"one": "s" + strconv.Itoa(i)}
		all = append(all, a)
		names, subjects, numbers = append(names, a.NameKeys...), append(subjects, a.Aliases["one"]), append(numbers, a.Number)
		digests, ids = append(digests, a.Digest), append(ids, a.ID)
	}
	w.importAll(all...)
	untouched, err = w.store.Untouched(w.ctx, w.realm)
	w.wantErr("touched", err, nil)
	w.same("touched", untouched, false)
	taken, err := w.store.NamesTaken(w.ctx, w.realm, "", append(names, "nobody"))
	w.wantErr("names", err, nil)
	subs, err := w.store.SubjectsTaken(w.ctx, w.realm, append(subjects, "none"))
	w.wantErr("subjects", err, nil)
	nums, err := w.store.NumbersTaken(w.ctx, w.realm, append(numbers, 5000))
	w.wantErr("numbers", err, nil)
	lines, err := w.store.Imported(w.ctx, w.realm, append(digests, [32]byte{1}), false)
	w.wantErr("lines", err, nil)
	from, err := w.store.ImportedFrom(w.ctx, ids)
	w.wantErr("sources", err, nil)
	if len(taken) != 2*n || len(subs) != n || len(nums) != n || len(lines) != n || len(from) != n {
		w.Fatalf("%d names, %d subjects, %d numbers, %d lines, %d sources", len(taken), len(subs), len(nums), len(lines), len(from))
	}
	for _, a := range all {
		if taken[a.Username].ID != a.ID || taken[a.Email].ID != a.ID || nums[a.Number] != a.ID || lines[a.Digest] != a.ID {
			w.Fatalf("%s is somebody else", a.Username)
		}
	}
	w.same("an account by its name", taken[all[3].Username], all[3].Account)
}

// importApart stores accounts whose names are good in one dialect alone.
func importApart(w *world) {
	a := w.account("anna")
	b := w.imported("anna", 77)
	b.Apart = "one"
	w.importAll(b)
	for d, want := range map[auth.Dialect]uuid.UUID{"one": b.ID, "two": a.ID, "": a.ID} {
		rec, err := w.store.AccountByName(w.ctx, w.realm, "anna", d)
		w.wantErr(string(d), err, nil)
		w.same(string(d), rec.ID, want)
	}
	taken, err := w.store.NamesTaken(w.ctx, w.realm, "one", []string{"anna", "bert"})
	w.wantErr("names", err, nil)
	if len(taken) != 1 || taken["anna"].ID != b.ID || taken["anna"].Apart != "one" {
		w.Fatalf("got %+v", taken)
	}
	again := w.imported("anna", 78)
	again.Apart = "one"
	w.fails(auth.ErrConflict, func(tx auth.Tx) error {
		return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&again}, w.now)
	})
}

// importTaken has one account of two be in the way: neither is stored.
func importTaken(w *world) {
	first := w.imported("anna", 1)
	first.Aliases = map[auth.Dialect]string{"one": "old"}
	w.importAll(first)
	for name, change := range map[string]func(a *auth.ImportedAccount){
		"name":    func(a *auth.ImportedAccount) { a.NameKeys = []string{"anna"} },
		"number":  func(a *auth.ImportedAccount) { a.Number = 1 },
		"subject": func(a *auth.ImportedAccount) { a.Aliases = map[auth.Dialect]string{"one": "old"} },
		"line":    func(a *auth.ImportedAccount) { a.Digest = first.Digest },
		"id":      func(a *auth.ImportedAccount) { a.ID = first.ID },
	} {
		free, bad := w.imported("free", 50), w.imported("bad", 51)
		change(&bad)
		w.fails(auth.ErrConflict, func(tx auth.Tx) error {
			return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&free, &bad}, w.now)
		})
		// One that runs alone is rolled back as the others are.
		err := w.store.InTx(auth.Alone(w.ctx), func(tx auth.Tx) error {
			return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&free, &bad}, w.now)
		})
		w.wantErr(name+", alone", err, auth.ErrConflict)
		_, err = w.store.AccountByName(w.ctx, w.realm, "free", "")
		w.wantErr(name, err, auth.ErrNotFound)
	}
	if list := w.holdings(uuid.Nil, 10); len(list) != 1 {
		w.Fatalf("%d accounts", len(list))
	}
}

func importRole(w *world) {
	a := w.imported("anna", 1)
	a.Roles = []string{"nothing"}
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&a}, w.now)
	})
}

// importGone takes the names of a deleted account again, which are gone no more.
func importGone(w *world) {
	a := w.imported("anna", 1)
	w.importAll(a)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	gone, err := w.store.NamesGone(w.ctx, w.realm, "", []string{"anna", "bert", "anna@example.com"})
	w.wantErr("gone", err, nil)
	w.same("gone", gone, map[string]bool{"anna": true, "anna@example.com": true})
	there, err := w.store.Imported(w.ctx, w.realm, [][32]byte{a.Digest}, false)
	w.wantErr("the line", err, nil)
	w.same("the line of a deleted account", there[a.Digest], a.ID)
	there, err = w.store.Imported(w.ctx, w.realm, [][32]byte{a.Digest}, true)
	w.wantErr("the line", err, nil)
	w.same("those that are there", there, map[[32]byte]uuid.UUID{})
	untouched, err := w.store.Untouched(w.ctx, w.realm)
	w.wantErr("untouched", err, nil)
	w.same("untouched", untouched, false)
	b := w.imported("anna", 2)
	b.Digest, b.Restored = [32]byte{7}, true
	w.importAll(b)
	gone, err = w.store.NamesGone(w.ctx, w.realm, "", a.NameKeys)
	w.wantErr("back", err, nil)
	w.same("back", gone, map[string]bool{})
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, b.ID, w.now) })
	c := w.imported("anna", 3)
	c.Digest = b.Digest
	w.fails(auth.ErrConflict, func(tx auth.Tx) error {
		return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&c}, w.now)
	})
	c.Restored = true
	w.importAll(c)
	there, err = w.store.Imported(w.ctx, w.realm, [][32]byte{b.Digest}, true)
	w.wantErr("the same line", err, nil)
	w.same("the same line again", there, map[[32]byte]uuid.UUID{b.Digest: c.ID})
	apart := w.imported("bert", 5)
	apart.Apart = "two"
	w.importAll(apart)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, apart.ID, w.now) })
	goneAt := func(d auth.Dialect) bool {
		gone, err := w.store.NamesGone(w.ctx, w.realm, d, []string{"bert"})
		w.wantErr("gone there", err, nil)
		return gone["bert"]
	}
	w.same("a name that was good in one dialect is gone there", []bool{goneAt(""), goneAt("one"), goneAt("two")}, []bool{false, false, true})
	apart.ID, apart.Restored, apart.Number = newID(), true, 6
	w.importAll(apart)
	w.same("and back", goneAt("two"), false)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, apart.ID, w.now) })
	w.in(func(tx auth.Tx) error { return tx.NoteImported(w.ctx, w.realm, c.ID, apart.Digest, "two", w.now) })
	w.in(func(tx auth.Tx) error { return tx.NoteImported(w.ctx, w.realm, newID(), b.Digest, "two", w.now) })
	there, err = w.store.Imported(w.ctx, w.realm, [][32]byte{apart.Digest, b.Digest}, true)
	w.wantErr("lines", err, nil)
	w.same("a line is that of another account when its own is deleted", there, map[[32]byte]uuid.UUID{apart.Digest: c.ID, b.Digest: c.ID})
	d := w.imported("dora", 4) // the line is that of an account which is there
	d.Digest, d.Restored = b.Digest, true
	w.fails(auth.ErrConflict, func(tx auth.Tx) error {
		return tx.InsertAccounts(w.ctx, w.realm, []*auth.ImportedAccount{&d}, w.now)
	})
}

func importNumbers(w *world) {
	var first, second int64
	w.in(func(tx auth.Tx) (err error) {
		if first, err = tx.TakeNumbers(w.ctx, w.realm, 100); err == nil {
			second, err = tx.TakeNumbers(w.ctx, w.realm, 1)
		}
		return err
	})
	w.same("the first", []int64{first, second}, []int64{1, 101})
	w.same("the next account's", w.account("anna").Number, int64(102))
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		_, err := tx.TakeNumbers(w.ctx, newID(), 1)
		return err
	})
}

// importSkip moves the counter over numbers that were brought along.
func importSkip(w *world) {
	var all []auth.ImportedAccount
	for i := range 1500 {
		n := int64(i + 1)
		if i >= 1200 {
			n++ // 1201 is nobody's
		}
		all = append(all, w.imported("user"+strconv.Itoa(i), n))
	}
	w.importAll(all...)
	w.in(func(tx auth.Tx) error { return tx.SkipNumbers(w.ctx, w.realm) })
	w.in(func(tx auth.Tx) error { return tx.SkipNumbers(w.ctx, w.realm) })
	w.same("in the gap", w.account("anna").Number, int64(1201))
	w.same("behind all, though nobody skipped", w.account("bert").Number, int64(1502))
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.SkipNumbers(w.ctx, newID()) })
}

func importNote(w *world) {
	a := w.account("anna")
	for _, source := range []auth.Dialect{"one", "two", "one"} {
		w.in(func(tx auth.Tx) error {
			return tx.NoteImported(w.ctx, w.realm, a.ID, sha256.Sum256([]byte(source)), source, w.now)
		})
	}
	from, err := w.store.ImportedFrom(w.ctx, []uuid.UUID{a.ID})
	w.wantErr("sources", err, nil)
	slices.Sort(from[a.ID])
	w.same("sources", from[a.ID], []auth.Dialect{"one", "two"})
}

func importOtherRealm(w *world) {
	a := w.imported("anna", 1)
	a.Aliases = map[auth.Dialect]string{"one": "old"}
	w.importAll(a)
	other := newWorld(w.T, w.store)
	names, err := w.store.NamesTaken(w.ctx, other.realm, "", a.NameKeys)
	w.wantErr("names", err, nil)
	numbers, err := w.store.NumbersTaken(w.ctx, other.realm, []int64{1})
	w.wantErr("numbers", err, nil)
	subjects, err := w.store.SubjectsTaken(w.ctx, other.realm, []string{"old"})
	w.wantErr("subjects", err, nil)
	lines, err := w.store.Imported(w.ctx, other.realm, [][32]byte{a.Digest}, false)
	w.wantErr("lines", err, nil)
	if found := len(names) + len(numbers) + len(subjects) + len(lines); found > 0 {
		w.Fatal(fmt.Sprint(names, numbers, subjects, lines))
	}
	b := a
	b.AccountRecord = other.person("anna", 1)
	other.importAll(b)
}

// importElsewhere stores whose server asks for the second factor of those who have none here.
func importElsewhere(w *world) {
	a, b, c := w.imported("anna", 1), w.imported("bert", 2), w.imported("cleo", 3)
	factor := &auth.Factor{Secret: []byte{1}, CreatedAt: w.now}
	a.Elsewhere, b.Elsewhere, c.Elsewhere = "one", "two", "two"
	b.Factor = factor
	c.Factor = &auth.Factor{Secret: []byte{1}, CreatedAt: w.now, ConfirmedAt: w.now}
	w.importAll(a, b, c)
	c.Elsewhere = ""
	for _, want := range []auth.ImportedAccount{a, b, c} {
		w.same(want.Username, w.byID(want.ID), want.AccountRecord)
	}
}
