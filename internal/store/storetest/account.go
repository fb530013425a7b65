package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var accountCases = []testCase{
	{"RoundTrip", accountRoundTrip},
	{"Extremes", accountExtremes},
	{"OtherRealm", accountOtherRealm},
	{"Taken", accountTaken},
	{"Update", accountUpdate},
	{"List", accountList},
	{"Prefix", accountPrefix},
	{"PrefixApart", accountPrefixApart},
	{"Number", accountNumber},
	{"NumberSkips", accountNumberSkips},
	{"Alias", accountAlias},
	{"AliasTaken", accountAliasTaken},
	{"Disable", accountDisable},
	{"Delete", accountDelete},
	{"RecordSignIn", accountRecordSignIn},
	{"Holdings", accountHoldings},
}

func (w *world) byID(id uuid.UUID) auth.AccountRecord {
	w.Helper()
	rec, err := w.store.AccountByID(w.ctx, w.realm, id, "")
	w.wantErr("account by id", err, nil)
	return rec
}

func accountRoundTrip(w *world) {
	a := w.account("anna")
	w.same("by id", w.byID(a.ID), a)
	for _, key := range keysOf(a) {
		rec, err := w.store.AccountByName(w.ctx, w.realm, key, "one")
		w.wantErr(key, err, nil)
		w.same(key, rec, a)
	}
	_, err := w.store.AccountByName(w.ctx, w.realm, "nobody", "one")
	w.wantErr("unknown name", err, auth.ErrNotFound)
	_, err = w.store.AccountByName(w.ctx, w.realm, "ANNA", "one")
	w.wantErr("keys are compared byte by byte", err, auth.ErrNotFound)
	_, err = w.store.AccountByID(w.ctx, w.realm, newID(), "one")
	w.wantErr("unknown id", err, auth.ErrNotFound)
}

// accountExtremes stores what a column could mangle.
func accountExtremes(w *world) {
	a := w.person("x", math.MaxInt64)
	a.Username, a.Email, a.DisplayName, a.Org = "", "", "🦊 '\"\\ %_ \u202e x", " padded "
	a.EmailVerified, a.Disabled, a.Kind, a.PasswordHash = false, true, auth.KindService, ""
	a.CreatedAt = time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC)
	a.UpdatedAt = time.Time{}
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, []string{"🦊"}) })
	rec, err := w.store.AccountByName(w.ctx, w.realm, "🦊", "")
	w.wantErr("by name", err, nil)
	w.same("by name", rec, a)
}

func accountOtherRealm(w *world) {
	a := w.account("anna")
	other := w.newRealm().ID
	_, err := w.store.AccountByID(w.ctx, other, a.ID, "")
	w.wantErr("by id", err, auth.ErrNotFound)
	_, err = w.store.AccountByName(w.ctx, other, a.Username, "")
	w.wantErr("by name", err, auth.ErrNotFound)
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		b := a.Account
		b.RealmID = other
		return tx.UpdateAccount(w.ctx, b, []string{"elsewhere"})
	})
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.SetAlias(w.ctx, other, a.ID, "one", "x") })
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, other, a.ID, true, w.now) }) {
		w.Fatal("disabled from another realm")
	}
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, other, a.ID, w.now) }) {
		w.Fatal("deleted from another realm")
	}
	w.same("the account", w.byID(a.ID), a)
	b := w.person("anna", a.Number) // the same names and number in another realm are free
	b.RealmID = other
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, b, keysOf(b)) })
}

func accountTaken(w *world) {
	a := w.account("anna")
	cases := []struct {
		name   string
		number int64
		keys   []string
	}{
		{"username", 100, []string{a.Username, "free@example.com"}},
		{"address", 101, []string{"free", a.Email}},
		{"another's address as username", 102, []string{a.Email}},
		{"number", a.Number, []string{"free", "free@example.com"}},
	}
	for _, c := range cases {
		b := w.person("free", c.number)
		w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, b, c.keys) })
		_, err := w.store.AccountByID(w.ctx, w.realm, b.ID, "")
		w.wantErr(c.name+": the account that failed", err, auth.ErrNotFound)
		_, err = w.store.AccountByName(w.ctx, w.realm, "free", "")
		w.wantErr(c.name+": the name of what failed", err, auth.ErrNotFound)
	}
	b := w.account("bert")
	for _, c := range cases {
		change := b.Account
		if c.name == "number" {
			change.Number = c.number
		}
		w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, change, c.keys) })
		w.same(c.name+": after an update that failed", w.byID(b.ID), b)
		rec, err := w.store.AccountByName(w.ctx, w.realm, b.Username, "")
		w.wantErr(c.name+": the name after an update that failed", err, nil)
		w.same(c.name, rec.ID, b.ID)
	}
}

func accountUpdate(w *world) {
	a := w.account("anna")
	a.Username, a.Email, a.EmailVerified, a.DisplayName, a.Org, a.Number = "ann", "ann@example.com", false, "Ann", "", 77
	a.UpdatedAt = w.now.Add(time.Minute)
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, a.Account, keysOf(a)) })
	w.same("updated", w.byID(a.ID), a)
	_, err := w.store.AccountByName(w.ctx, w.realm, "anna", "")
	w.wantErr("the old name", err, auth.ErrNotFound)
	_, err = w.store.AccountByName(w.ctx, w.realm, "ann", "")
	w.wantErr("the new name", err, nil)
	w.in(func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, a.Account, keysOf(a)) }) // its own names are free
	gone := w.person("gone", 5000)
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.UpdateAccount(w.ctx, gone.Account, keysOf(gone)) })
}

func accountList(w *world) {
	var want []uuid.UUID
	for _, a := range w.accounts(5) {
		want = append(want, a.ID)
	}
	slices.SortFunc(want, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var got []uuid.UUID
	for after := uuid.Nil; ; {
		page, err := w.store.Accounts(w.ctx, w.realm, after, 2)
		w.wantErr("list", err, nil)
		if len(page) == 0 {
			break
		}
		if len(page) > 2 {
			w.Fatalf("a page of %d", len(page))
		}
		for _, a := range page {
			got = append(got, a.ID)
		}
		after = page[len(page)-1].ID
	}
	w.same("pages", got, want)
}

// accountPrefix finds accounts by the beginning of any of their names, byte by byte.
func accountPrefix(w *world) {
	add := func(username, email string) string {
		a := w.person(username, 0)
		a.Email = email
		w.in(func(tx auth.Tx) (err error) {
			if a.Number, err = tx.NextNumber(w.ctx, w.realm); err != nil {
				return err
			}
			return tx.InsertAccount(w.ctx, a, keysOf(a))
		})
		return username
	}
	ad, ada, adb := add("ad", "x@example.com"), add("ada", "ada@example.com"), add("adb", "y@example.com")
	umlaut, last := add("adä", "ad\ud7ff@example.com"), add("ad\uffee", "z@example.com")
	mail, ae, zoe := add("bert", "ad-bert@example.com"), add("ae", "ada-of-ae@example.com"), add("Zoe", "zoe@example.com")
	other := w.person("ada", 9)
	other.RealmID = w.newRealm().ID
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, other, keysOf(other)) })
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"ad", []string{ad, mail, ada, ae, adb, umlaut, last}},
		{"ada", []string{ada, ae}},
		{"ada@", []string{ada}},
		{"ada-of-ae@example.com", []string{ae}},
		{"ad\u00e4", []string{umlaut}},
		{"ad\ud7ff", []string{umlaut}}, // the last before the surrogates
		{"ad\U0010ffff", nil},
		{"\U0010ffff", nil},
		{"%", nil}, {"_", nil}, {"AD", nil},
		{"Z", []string{zoe}},
		{"x", []string{ad}},
	} {
		for _, size := range []int{1, 2, 100} {
			var got []string
			for after := ""; len(got) <= len(c.want); {
				page, err := w.store.AccountsByPrefix(w.ctx, w.realm, "", c.prefix, after, size)
				w.wantErr(c.prefix, err, nil)
				if len(page) == 0 {
					break
				}
				if len(page) > size {
					w.Fatalf("%q: a page of %d, not %d", c.prefix, len(page), size)
				}
				for _, a := range page {
					got = append(got, a.Username)
				}
				after = page[len(page)-1].NameKey
			}
			w.same(c.prefix, got, c.want)
		}
	}
}

// accountPrefixApart finds accounts that are apart in the dialect of the name, each once.
func accountPrefixApart(w *world) {
	w.account("anna")
	a, b, c, d := w.person("anna", 90), w.person("annabel", 91), w.person("annz", 92), w.person("bea", 93)
	a.Apart, b.Apart, c.Apart, d.Apart = "two", "one", "two", "two"
	c.Email = "aaa@example.com" // before the prefix
	for _, rec := range []auth.AccountRecord{a, b, c, d} {
		w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, rec, keysOf(rec)) })
	}
	w.in(func(tx auth.Tx) error {
		return tx.AddName(w.ctx, w.realm, a.ID, auth.AccountName{Dialect: "one", Key: "anne"})
	})
	for d, want := range map[auth.Dialect][]string{"one": {"annabel", "anne"}, "two": {"anna", "annz"}, "three": nil} {
		for _, size := range []int{1, 10} {
			var got []string
			for after := ""; ; {
				page, err := w.store.AccountsByPrefix(w.ctx, w.realm, d, "ann", after, size)
				w.wantErr("page", err, nil)
				for _, found := range page {
					got, after = append(got, found.NameKey), found.NameKey
				}
				if len(page) < size {
					break
				}
			}
			w.same("apart in "+string(d), got, want)
		}
	}
}

func (w *world) number() (n int64) {
	w.Helper()
	w.in(func(tx auth.Tx) (err error) {
		n, err = tx.NextNumber(w.ctx, w.realm)
		return err
	})
	return n
}

func accountNumber(w *world) {
	if a, b := w.number(), w.number(); a != 1 || b != 2 {
		w.Fatalf("the first numbers are %d and %d", a, b)
	}
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		_, err := tx.NextNumber(w.ctx, newID())
		return err
	})
}

func accountNumberSkips(w *world) {
	a := w.person("anna", 1)
	w.in(func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, keysOf(a)) })
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "one", "2") })
	if n := w.number(); n != 3 {
		w.Fatalf("got %d: 1 is given, and 2 is an alias", n)
	}
	// One account may go by its own number, nobody by another's.
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "two", "1") })
	b := w.account("bert")
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, "two", "1") })
	// Where accounts go by their ids, a number is only a text.
	for _, d := range []auth.Dialect{"cloudio", "mikrocloud", "senmo"} {
		w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, d, "1") })
	}
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, "senmo", "5") })
	if n := w.number(); n != 5 {
		w.Fatalf("got %d, though 5 is no number in senmo", n)
	}
	c := w.person("carl", 2)
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, c, keysOf(c)) })
}

func accountAlias(w *world) {
	a := w.account("anna")
	set := func(d auth.Dialect, subject string) {
		w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, d, subject) })
	}
	set("one", "first")
	set("one", "uno")
	set("two", "dos")
	got, err := w.store.Aliases(w.ctx, a.ID)
	w.wantErr("aliases", err, nil)
	w.same("aliases", got, map[auth.Dialect]string{"one": "uno", "two": "dos"})
	for d, want := range map[auth.Dialect]string{"one": "uno", "two": "dos", "three": "", "": ""} {
		rec, err := w.store.AccountByID(w.ctx, w.realm, a.ID, d)
		w.wantErr("by id", err, nil)
		named, err := w.store.AccountByName(w.ctx, w.realm, a.Username, d)
		w.wantErr("by name", err, nil)
		w.same("subjects in "+string(d), []string{rec.Subject, named.Subject}, []string{want, want})
	}
	w.same("the subject of a session", w.sessionByID(w.session(a.ID).ID).Account.Subject, "uno")
	set("one", "")
	got, err = w.store.Aliases(w.ctx, a.ID)
	w.wantErr("aliases", err, nil)
	w.same("aliases", got, map[auth.Dialect]string{"two": "dos"})
	none, err := w.store.Aliases(w.ctx, newID())
	if err != nil || none == nil || len(none) != 0 {
		w.Fatalf("of nobody: %v, %v", none, err)
	}
}

func accountAliasTaken(w *world) {
	a, b := w.account("anna"), w.account("bert")
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "one", "x") })
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, "one", "y") })
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, "one", "x") })
	got, err := w.store.Aliases(w.ctx, b.ID)
	w.wantErr("aliases", err, nil)
	w.same("the alias before the conflict", got, map[auth.Dialect]string{"one": "y"})
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, b.ID, "two", "x") })
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, newID(), "one", "z") })
}

func accountDisable(w *world) {
	a := w.account("anna")
	for _, c := range []struct{ to, changed bool }{{false, false}, {true, true}, {true, false}, {false, true}} {
		w.now = w.now.Add(time.Second)
		before := w.byID(a.ID)
		got := w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, w.realm, a.ID, c.to, w.now) })
		after := w.byID(a.ID)
		if got != c.changed || after.Disabled != c.to || (after.Version != before.Version) != c.changed || after.UpdatedAt.Equal(w.now) != c.changed {
			w.Fatalf("to %v: changed %v; %+v, then %+v", c.to, got, before, after)
		}
	}
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, w.realm, newID(), true, w.now) }) {
		w.Fatal("disabled nobody")
	}
}

func accountDelete(w *world) {
	a, b := w.account("anna"), w.account("bert")
	secret, ticket := newHash(), newHash()
	for _, x := range []auth.AccountRecord{a, b} {
		w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, x.ID, "one", "alias "+x.Username) })
		w.in(func(tx auth.Tx) error {
			return tx.StartFactor(w.ctx, w.realm, x.ID, auth.Factor{Secret: []byte{1}, CreatedAt: w.now})
		})
		w.in(func(tx auth.Tx) error {
			return tx.ReplaceRecoveryCodes(w.ctx, w.realm, x.ID, [][32]byte{newHash()}, w.now)
		})
	}
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, a.ID, secret, w.now) })
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, w.ticket(a.ID, ticket)) })
	w.in(func(tx auth.Tx) error { return tx.NoteSource(w.ctx, a.ID, "192.0.2.1", w.now) })
	mine, theirs := w.session(a.ID), w.session(b.ID)
	if !w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) }) {
		w.Fatal("not deleted")
	}
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) }) {
		w.Fatal("deleted twice")
	}
	_, err := w.store.AccountByID(w.ctx, w.realm, a.ID, "")
	w.wantErr("account", err, auth.ErrNotFound)
	_, err = w.store.SessionByID(w.ctx, w.realm, mine.ID)
	w.wantErr("session", err, auth.ErrNotFound)
	_, err = w.store.TicketAccount(w.ctx, w.realm, ticket)
	w.wantErr("ticket", err, auth.ErrNotFound)
	lives, err := w.store.SecretLives(w.ctx, a.ID, secret, w.now)
	w.same("secret", []any{lives, err}, []any{false, nil})
	known, err := w.store.KnownSource(w.ctx, a.ID, "192.0.2.1", w.now)
	w.same("source", []any{known, err}, []any{false, nil})
	codes, err := w.store.RecoveryCodes(w.ctx, a.ID)
	w.same("codes", []any{codes, err}, []any{0, nil})

	// The names are free again, and nothing of the old account is in the new one.
	again := w.account("anna")
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, again.ID, "two", "alias anna") })
	w.same("the new account", w.byID(again.ID), again)
	other := w.byID(b.ID)
	if other.Factor == nil || w.sessionByID(theirs.ID).ID != theirs.ID {
		w.Fatal("another account lost something")
	}
}

func accountRecordSignIn(w *world) {
	a := w.account("anna")
	record := func(id uuid.UUID, version int64) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.RecordSignIn(w.ctx, id, version, w.now) })
	}
	if !record(a.ID, 1) || record(a.ID, 0) || record(a.ID, 2) || record(newID(), 1) {
		w.Fatal("the version that was checked is what counts")
	}
	w.same("the account", w.byID(a.ID), a)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, w.realm, a.ID, true, w.now) })
	if v := w.byID(a.ID).Version; record(a.ID, v) || record(a.ID, 1) {
		w.Fatal("a disabled account signed in")
	}
	w.yes(func(tx auth.Tx) (bool, error) { return tx.SetDisabled(w.ctx, w.realm, a.ID, false, w.now) })
	if record(a.ID, 1) || !record(a.ID, w.byID(a.ID).Version) {
		w.Fatal("what was proven before disabling still holds")
	}
}
