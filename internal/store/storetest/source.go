package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var sourceCases = []testCase{
	{"Passwords", sourcePasswords},
	{"From", sourceFrom},
	{"Prove", sourceProve},
	{"Kept", sourceKept},
	{"Apart", sourceApart},
	{"NameGone", sourceNameGone},
	{"NumberTaken", sourceNumberTaken},
	{"RaiseNumbers", sourceRaiseNumbers},
	{"Elsewhere", sourceElsewhere},
	{"TicketRelay", sourceTicketRelay},
	{"Delete", sourceDelete},
}

// put stores a password of a source.
func (w *world) put(account uuid.UUID, p auth.SourceHash) auth.SourceHash {
	w.Helper()
	w.in(func(tx auth.Tx) error { return tx.PutSource(w.ctx, w.realm, account, p) })
	return p
}

func (w *world) source(d auth.Dialect, hash string) auth.SourceHash {
	return auth.SourceHash{Source: d, Hash: hash, CreatedAt: w.now}
}

// sourcePasswords reads them with the account, however that is found.
func sourcePasswords(w *world) {
	a, b := w.account("anna"), w.account("bert")
	pending := w.put(a.ID, w.source("two", ""))
	joined := auth.SourceHash{Source: "one", Hash: "$x$ of one", Joined: true, CreatedAt: w.now, ProvenAt: w.now.Add(time.Hour)}
	w.put(a.ID, w.source("one", "an earlier one"))
	w.put(a.ID, joined)
	a.Passwords = []auth.SourceHash{joined, pending}
	w.same("by id", w.byID(a.ID), a)
	named, err := w.store.AccountByName(w.ctx, w.realm, a.Email, "two")
	w.wantErr("by name", err, nil)
	w.same("by name", named, a)
	from, _, err := w.store.AccountFrom(w.ctx, w.realm, a.Username, "one", "192.0.2.1", w.now)
	w.wantErr("by name, from somewhere", err, nil)
	w.same("by name, from somewhere", from, a)
	w.same("of a session", w.sessionByID(w.session(a.ID).ID).Account, a)
	w.same("held", w.holdings(uuid.Nil, 1)[0].Passwords, a.Passwords)
	w.same("another's", w.byID(b.ID), b)

	w.yes(func(tx auth.Tx) (bool, error) { return tx.JoinSource(w.ctx, a.ID, "one", false) })
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.JoinSource(w.ctx, a.ID, "one", false) }) {
		w.Fatal("parted twice")
	}
	joined.Joined = false
	w.same("parted", w.byID(a.ID).Passwords, []auth.SourceHash{joined, pending})
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.DropSource(w.ctx, a.ID, "one") }) ||
		w.yes(func(tx auth.Tx) (bool, error) { return tx.DropSource(w.ctx, a.ID, "one") }) {
		w.Fatal("one is dropped once")
	}
	w.same("one is left", w.byID(a.ID).Passwords, []auth.SourceHash{pending})
	w.put(a.ID, joined)
	w.put(b.ID, joined)
	w.in(func(tx auth.Tx) error {
		n, err := tx.DropSources(w.ctx, a.ID)
		w.same("dropped", n, 2)
		return err
	})
	w.same("none is left", len(w.byID(a.ID).Passwords), 0)
	w.same("another's is", len(w.byID(b.ID).Passwords), 1)
}

// sourceFrom: where somebody comes from is known of him alone, and for a time.
func sourceFrom(w *world) {
	a, b := w.account("anna"), w.account("bert")
	w.in(func(tx auth.Tx) error { return tx.NoteSource(w.ctx, a.ID, "192.0.2.1", w.now) })
	for _, c := range []struct {
		who, source string
		since       time.Time
		known       bool
	}{{a.Username, "192.0.2.1", w.now, true}, {a.Username, "192.0.2.1", w.now.Add(time.Second), false}, {a.Username, "192.0.2.2", w.now, false}, {b.Username, "192.0.2.1", w.now, false}} {
		_, known, err := w.store.AccountFrom(w.ctx, w.realm, c.who, "one", c.source, c.since)
		w.same(c.who+" from "+c.source, []any{known, err}, []any{c.known, nil})
	}
}

func sourceProve(w *world) {
	a := w.account("anna")
	pending, other := w.put(a.ID, w.source("one", "")), w.put(a.ID, w.source("two", ""))
	later := w.now.Add(time.Minute)
	try := func(old, hash string, at time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.ProveSource(w.ctx, a.ID, "one", old, hash, at) })
	}
	if try("another", "new", later) || !try("", "new", later) || try("", "newer", later) {
		w.Fatal("only the hash that was there is replaced")
	}
	pending.Hash, pending.ProvenAt = "new", later
	a.Passwords = []auth.SourceHash{pending, other}
	w.same("nothing else changes", w.byID(a.ID), a)
	b := w.account("bert")
	w.put(b.ID, w.source("one", ""))
	if yes := w.raceTx(8, func(tx auth.Tx, i int) (bool, error) {
		return tx.ProveSource(w.ctx, b.ID, "one", "", "hash "+string(rune('a'+i)), later)
	}); yes != 1 {
		w.Fatalf("a pending password was filled %d times", yes)
	}
}

// sourceKept: the passwords of sources are remembered as that of the account is.
func sourceKept(w *world) {
	a := w.account("anna")
	w.put(a.ID, w.source("one", "of one"))
	w.put(a.ID, w.source("two", ""))
	w.put(a.ID, w.source("zoo", "of zoo"))
	w.in(func(tx auth.Tx) error { return tx.KeepPassword(w.ctx, a.ID, 3, w.now) })
	past, err := w.store.PastPasswords(w.ctx, a.ID)
	w.wantErr("past", err, nil)
	w.same("past", past, []string{a.PasswordHash, "of zoo", "of one"})
	w.in(func(tx auth.Tx) error { return tx.KeepPassword(w.ctx, a.ID, 2, w.now) })
	past, err = w.store.PastPasswords(w.ctx, a.ID)
	w.wantErr("the last two", err, nil)
	w.same("the last two", past, []string{a.PasswordHash, "of zoo"})
}

// sourceApart: the names of an account that is apart are another's in every other dialect.
func sourceApart(w *world) {
	a := w.account("anna")
	b := w.person("anna", 0)
	b.Apart = "two"
	w.in(func(tx auth.Tx) (err error) {
		if b.Number, err = tx.NextNumber(w.ctx, w.realm); err != nil {
			return err
		}
		return tx.InsertAccount(w.ctx, b, keysOf(b))
	})
	for d, want := range map[auth.Dialect]auth.AccountRecord{"one": a, "two": b, "": a} {
		for _, key := range keysOf(a) {
			got, err := w.store.AccountByName(w.ctx, w.realm, key, d)
			w.wantErr("by name", err, nil)
			w.same("by name at "+string(d), got, want)
			got, _, err = w.store.AccountFrom(w.ctx, w.realm, key, d, "192.0.2.1", w.now)
			w.wantErr("from somewhere", err, nil)
			w.same("from somewhere at "+string(d), got, want)
		}
	}
	w.same("by id", w.byID(b.ID), b)
	all, err := w.store.Accounts(w.ctx, w.realm, uuid.Nil, 10)
	w.wantErr("list", err, nil)
	w.same("list", all, []auth.Account{a.Account, b.Account})
	c := w.person("anna", 77)
	c.Apart = "two"
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, c, keysOf(c)) })

	b.Username, b.UpdatedAt = "bert", w.now.Add(time.Hour)
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, b.Account, []string{"bert"}) })
	w.same("renamed", w.byID(b.ID), b)
	got, err := w.store.AccountByName(w.ctx, w.realm, "anna", "two")
	w.wantErr("the name is free there", err, nil)
	w.same("the name is free there", got.ID, a.ID)
	_, err = w.store.AccountByName(w.ctx, w.realm, "bert", "one")
	w.wantErr("the new name elsewhere", err, auth.ErrNotFound)
}

// gone tells whether a name is gone in the dialect "two".
func (w *world) gone(name string) bool {
	w.Helper()
	gone, err := w.store.NameGone(w.ctx, w.realm, name, "two")
	w.wantErr(name, err, nil)
	return gone
}

func sourceNameGone(w *world) {
	a, b := w.account("anna"), w.account("bert")
	if w.gone("anna") || w.gone("nobody") {
		w.Fatal("gone before it is deleted")
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	if !w.gone("anna") || !w.gone("anna@example.com") || w.gone("bert") {
		w.Fatal("the names of the account that was deleted are gone, and no others")
	}
	if other := newWorld(w.T, w.store); other.gone("anna") {
		w.Fatal("gone in another realm")
	}
	w.account("anna")
	if w.gone("anna") || w.gone("anna@example.com") {
		w.Fatal("gone, and somebody has it")
	}
	b.Username = "bertha"
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, b.Account, keysOf(b)) })
	if !w.gone("bert") || w.gone("bertha") || w.gone("bert@example.com") {
		w.Fatal("what was renamed away is gone, and what stays is not")
	}
	b.Username = "bert"
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, b.Account, keysOf(b)) })
	if w.gone("bert") || !w.gone("bertha") {
		w.Fatal("what was taken again is not gone")
	}
	c := w.person("cleo", 99)
	c.Apart = "two"
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, c, []string{"cleo", "bertha"}) })
	if !w.gone("bertha") {
		w.Fatal("a name of an account that is apart is nobody's elsewhere")
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, c.ID, w.now) })
	if !w.gone("cleo") {
		w.Fatal("the name of an account that was apart is gone, too")
	}
	if elsewhere, err := w.store.NameGone(w.ctx, w.realm, "cleo", "one"); err != nil || elsewhere {
		w.Fatalf("in another dialect it was nobody's: %v", err)
	}
	e := w.account("cleo") // everywhere else
	if !w.gone("cleo") {
		w.Fatal("who has the name elsewhere does not bring back who was deleted")
	}
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, e.Account, keysOf(e)) })
	if !w.gone("cleo") {
		w.Fatal("nor does a change of that one")
	}
}

func sourceNumberTaken(w *world) {
	a := w.account("anna")
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "one", "4711") })
	for n, want := range map[int64]bool{a.Number: true, 4711: true, 4712: false} {
		taken, err := w.store.NumberTaken(w.ctx, w.realm, n)
		w.wantErr("taken", err, nil)
		w.same("taken", taken, want)
	}
}

func sourceRaiseNumbers(w *world) {
	a, other := w.account("anna"), newWorld(w.T, w.store)
	for _, least := range []int64{1000, 5} {
		w.in(func(tx auth.Tx) error { return tx.RaiseNumbers(w.ctx, w.realm, least) })
	}
	b, c := w.account("bert"), w.account("cleo")
	w.same("numbers", []int64{a.Number, b.Number, c.Number}, []int64{1, 1000, 1001})
	w.same("another realm's", other.account("anna").Number, int64(1))
}

func sourceElsewhere(w *world) {
	a, b := w.account("anna"), w.account("bert")
	set := func(d auth.Dialect, enrols bool) {
		w.Helper()
		w.in(func(tx auth.Tx) error { return tx.SetElsewhere(w.ctx, w.realm, a.ID, d, enrols, w.now) })
		a.Elsewhere, a.EnrolsHere = d, enrols
		w.same("elsewhere", w.byID(a.ID), a)
	}
	set("one", false)
	set("one", true)
	set("two", false)
	w.same("another's", w.byID(b.ID), b)
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.DropElsewhere(w.ctx, a.ID) }) ||
		w.yes(func(tx auth.Tx) (bool, error) { return tx.DropElsewhere(w.ctx, a.ID) }) {
		w.Fatal("it is dropped once")
	}
	a.Elsewhere = ""
	w.same("dropped", w.byID(a.ID), a)
}

func sourceTicketRelay(w *world) {
	t := w.newTicket()
	_, err := w.store.TicketRelay(w.ctx, w.realm, t.Hash)
	w.wantErr("none yet", err, auth.ErrNotFound)
	w.in(func(tx auth.Tx) error { return tx.InsertTicketRelay(w.ctx, t, []byte{1, 0, 255}) })
	sealed, err := w.store.TicketRelay(w.ctx, w.realm, t.Hash)
	w.wantErr("relay", err, nil)
	w.same("relay", sealed, []byte{1, 0, 255})
	_, err = w.store.TicketRelay(w.ctx, newWorld(w.T, w.store).realm, t.Hash)
	w.wantErr("in another realm", err, auth.ErrNotFound)
}

// sourceDelete: what an account brought goes with it.
func sourceDelete(w *world) {
	a, b := w.account("anna"), w.account("bert")
	for _, id := range []uuid.UUID{a.ID, b.ID} {
		w.put(id, w.source("one", "of one"))
		w.in(func(tx auth.Tx) error { return tx.SetElsewhere(w.ctx, w.realm, id, "one", false, w.now) })
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.DropSource(w.ctx, a.ID, "one") }) ||
		w.yes(func(tx auth.Tx) (bool, error) { return tx.DropElsewhere(w.ctx, a.ID) }) {
		w.Fatal("something of the account was left")
	}
	got := w.byID(b.ID)
	w.same("another's", []any{len(got.Passwords), got.Elsewhere}, []any{1, "one"})
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.HoldAccount(w.ctx, w.realm, a.ID) })
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.HoldAccount(w.ctx, newID(), b.ID) })
	w.in(func(tx auth.Tx) error { return tx.HoldAccount(w.ctx, w.realm, b.ID) })
}
