package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var usageCases = []testCase{
	{"Add", usageAdd},
	{"Room", usageRoom},
	{"Race", usageRace},
	{"Delete", usageDelete},
	{"States", usageStates},
	{"SchemeCounts", usageSchemeCounts},
}

func (w *world) addUsage(u auth.Usage, room int) {
	w.Helper()
	w.in(func(tx auth.Tx) error { return tx.AddUsage(w.ctx, w.realm, u, room) })
}

// usages are all of the realm, read in pages.
func (w *world) usages(size int) (all []auth.Usage) {
	w.Helper()
	for after := (auth.Usage{}); ; {
		page, err := w.store.Usage(w.ctx, w.realm, after, size)
		w.wantErr("usage", err, nil)
		if len(page) == 0 {
			return all
		}
		if len(page) > size {
			w.Fatalf("a page of %d", len(page))
		}
		all = append(all, page...)
		after = page[len(page)-1]
	}
}

func usageAdd(w *world) {
	other := w.newRealm().ID
	one := auth.Usage{Day: 20513, Dialect: "one", What: "signed_in", Client: "curl/8", Source: "192.0.2.1", Requests: 2, Last: w.now}
	again := one
	again.Requests, again.Last = 5, w.now.Add(-time.Hour) // a node whose counts come late
	w.addUsage(one, 10)
	w.addUsage(again, 10)
	var want []auth.Usage
	one.Requests = 7
	want = append(want, one)
	for i, change := range []func(*auth.Usage){
		func(u *auth.Usage) { u.Source = "2001:db8::/64" },
		func(u *auth.Usage) { u.Client, u.Source = "élan", "" },
		func(u *auth.Usage) { u.What = "zzz" },
		func(u *auth.Usage) { u.Dialect = "two" },
		func(u *auth.Usage) { u.Day++ },
	} {
		u := want[0]
		change(&u)
		u.Requests = int64(i) + 1
		w.addUsage(u, 10)
		want = append(want, u)
	}
	w.in(func(tx auth.Tx) error { return tx.AddUsage(w.ctx, other, one, 10) })
	w.same("in pages of 2", w.usages(2), want)
	w.same("in one", w.usages(100), want)
	later, err := w.store.Usage(w.ctx, w.realm, auth.Usage{Day: 20514}, 100)
	w.wantErr("from a day on", err, nil)
	w.same("from a day on", later, want[5:])
	one.Last = w.now.Add(time.Minute)
	w.addUsage(one, 10)
	w.same("the last time", w.usages(100)[0].Last, one.Last)
}

// usageRoom adds what there is no room for to the others.
func usageRoom(w *world) {
	u := auth.Usage{Day: 1, Dialect: "one", What: "refused", Source: "192.0.2.1", Requests: 1, Last: w.now}
	for i := range 6 {
		u.Client = fmt.Sprint("client", i)
		w.addUsage(u, 3)
	}
	u.Client = "client1" // is there, and counted on
	w.addUsage(u, 3)
	u.What, u.Client = "signed_in", "client9" // has room of its own
	w.addUsage(u, 3)
	var got []string
	for _, u := range w.usages(100) {
		got = append(got, fmt.Sprint(u.What, " ", u.Client, " ", u.Source, " ", u.Requests))
	}
	w.same("counts", got, []string{
		"refused (other) (other) 3", "refused client0 192.0.2.1 1", "refused client1 192.0.2.1 2", "refused client2 192.0.2.1 1",
		"signed_in client9 192.0.2.1 1",
	})
}

// usageRace adds from several nodes at once.
func usageRace(w *world) {
	u := auth.Usage{Day: 1, Dialect: "one", What: "signed_in", Client: "curl/8", Source: "192.0.2.1", Requests: 3, Last: w.now}
	w.raceTx(8, func(tx auth.Tx, _ int) (bool, error) { return true, tx.AddUsage(w.ctx, w.realm, u, 10) })
	u.Requests = 24
	w.same("counts", w.usages(10), []auth.Usage{u})
}

func usageDelete(w *world) {
	for day := range int64(5) {
		w.addUsage(auth.Usage{Day: day, Dialect: "one", What: "signed_in", Requests: 1, Last: w.now}, 10)
	}
	deleted := func(before int64, limit int) (n int) {
		w.in(func(tx auth.Tx) (err error) {
			n, err = tx.DeleteUsage(w.ctx, w.realm, before, limit)
			return err
		})
		return n
	}
	if a, b, c := deleted(3, 2), deleted(3, 2), deleted(3, 2); a != 2 || b != 1 || c != 0 {
		w.Fatalf("deleted %d, %d, %d", a, b, c)
	}
	if left := w.usages(10); len(left) != 2 || left[0].Day != 3 {
		w.Fatalf("left: %+v", left)
	}
}

func usageStates(w *world) {
	var accounts []auth.AccountRecord
	for i, origin := range []string{"", auth.OriginImport, auth.OriginTakeover, auth.OriginImport, ""} {
		a := w.person(fmt.Sprint("user", i), int64(i))
		a.Origin = origin
		w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, keysOf(a)) })
		accounts = append(accounts, a)
		if i%2 == 0 {
			w.yes(func(tx auth.Tx) (bool, error) { return tx.RecordSignIn(w.ctx, a.ID, a.Version, w.now) })
		}
		if i == 3 {
			w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, w.realm, a.ID, true, w.now) })
		}
	}
	w.in(func(tx auth.Tx) error {
		return errors.Join(
			tx.SetElsewhere(w.ctx, w.realm, accounts[0].ID, "one", true, w.now),
			tx.PutSource(w.ctx, w.realm, accounts[0].ID, auth.SourceHash{Source: "one", CreatedAt: w.now}),
			tx.PutSource(w.ctx, w.realm, accounts[1].ID, auth.SourceHash{Source: "one", CreatedAt: w.now}),
			tx.PutSource(w.ctx, w.realm, accounts[1].ID, auth.SourceHash{Source: "two", Hash: "$x$", CreatedAt: w.now}),
			tx.PutSource(w.ctx, w.realm, accounts[2].ID, auth.SourceHash{Source: "one", CreatedAt: w.now}),
			tx.PutSource(w.ctx, w.realm, accounts[3].ID, auth.SourceHash{Source: "one", CreatedAt: w.now}))
	})
	for _, page := range []struct {
		after, last uuid.UUID
		want        auth.AccountStates
	}{
		{uuid.Nil, accounts[2].ID, auth.AccountStates{Accounts: 3, SignedIn: 2, Imported: 1, Adopted: 1, Elsewhere: 1}},
		{accounts[2].ID, accounts[4].ID, auth.AccountStates{Accounts: 2, SignedIn: 1, Imported: 1, Disabled: 1}},
		{accounts[4].ID, accounts[4].ID, auth.AccountStates{}},
	} {
		n, last, err := w.store.States(w.ctx, w.realm, page.after, 3)
		w.wantErr("states", err, nil)
		w.same("states", n, page.want)
		w.same("the last of them", last, page.last)
	}
	pending, err := w.store.PendingPasswords(w.ctx, w.realm, accounts[0].ID, accounts[2].ID)
	w.wantErr("passwords to be asked for", err, nil)
	w.same("passwords to be asked for", pending, []auth.Dialect{"one", "one"})
}

func usageSchemeCounts(w *world) {
	for scheme, n := range map[string]int{"bcrypt$10": 3, "md5crypt+sha512": 2, "gone": 0} {
		w.in(func(tx auth.Tx) error { return tx.CountScheme(w.ctx, w.realm, scheme, n) })
	}
	got, err := w.store.SchemeCounts(w.ctx, w.realm)
	w.wantErr("scheme counts", err, nil)
	w.same("scheme counts", got, map[string]int{"bcrypt$10": 3, "md5crypt+sha512": 2})
}
