package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var credentialCases = []testCase{
	{"SetPassword", setPassword},
	{"KeepPassword", keepPassword},
	{"Rehash", rehash},
	{"ChangeVersion", changeVersion},
	{"Secrets", secrets},
	{"StartFactor", startFactor},
	{"UseStep", useStep},
	{"DeleteFactor", deleteFactor},
	{"RecoveryCodes", recoveryCodes},
}

func setPassword(w *world) {
	a := w.account("anna")
	w.now = w.now.Add(time.Second)
	try := func(id uuid.UUID, version int64) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.SetPassword(w.ctx, id, version, "new", w.now) })
	}
	if try(newID(), a.Version) || try(a.ID, a.Version+1) || !try(a.ID, a.Version) || try(a.ID, a.Version) {
		w.Fatal("only the account that was looked at is changed")
	}
	got := w.byID(a.ID)
	if got.PasswordHash != "new" || got.Version == a.Version || !got.UpdatedAt.Equal(w.now) {
		w.Fatalf("got %+v", got)
	}
}

func keepPassword(w *world) {
	a, b := w.account("anna"), w.account("bert")
	set := func(id uuid.UUID, hash string, n int) {
		w.in(func(tx auth.Tx) error {
			rec, err := tx.AccountByID(w.ctx, w.realm, id, "")
			if err != nil {
				return err
			}
			if err := tx.KeepPassword(w.ctx, id, n, w.now); err != nil {
				return err
			}
			_, err = tx.SetPassword(w.ctx, id, rec.Version, hash, w.now)
			return err
		})
	}
	past := func(what string, id uuid.UUID, want ...string) {
		w.Helper()
		got, err := w.store.PastPasswords(w.ctx, id)
		w.wantErr(what, err, nil)
		w.same(what, got, want)
	}
	past("before any change", a.ID)
	set(b.ID, "of bert", 3)
	for _, hash := range []string{"one", "two", "three"} {
		set(a.ID, hash, 3)
	}
	past("three changes", a.ID, "two", "one", a.PasswordHash)
	set(a.ID, "four", 3)
	past("the first is forgotten", a.ID, "three", "two", "one")
	set(a.ID, "five", 1)
	past("one is kept", a.ID, "four")
	set(a.ID, "", 3)
	set(a.ID, "six", 3)
	past("none is no password", a.ID, "five", "four")
	past("another's", b.ID, b.PasswordHash)
	set(b.ID, "of bert, again", 3)
	past("another's, who has changed less often", b.ID, "of bert", b.PasswordHash)
	set(b.ID, "none is kept", 0)
	past("none is kept", b.ID)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	past("deleted", a.ID)
	w.in(func(tx auth.Tx) error { return tx.KeepPassword(w.ctx, newID(), 3, w.now) })
}

func rehash(w *world) {
	a := w.account("anna")
	try := func(id uuid.UUID, old, hash string) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.Rehash(w.ctx, id, old, hash) })
	}
	if try(a.ID, "another", "new") || try(newID(), a.PasswordHash, "new") || !try(a.ID, a.PasswordHash, "new") || try(a.ID, a.PasswordHash, "newer") {
		w.Fatal("only the hash that was checked is replaced")
	}
	a.PasswordHash = "new"
	w.same("nothing else changes, the version too", w.byID(a.ID), a)
}

func changeVersion(w *world) {
	a := w.account("anna")
	w.now = w.now.Add(time.Second)
	w.in(func(tx auth.Tx) error { return tx.ChangeVersion(w.ctx, a.ID, w.now) })
	if got := w.byID(a.ID); got.Version == a.Version || !got.UpdatedAt.Equal(w.now) {
		w.Fatalf("got %+v", got)
	}
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.ChangeVersion(w.ctx, newID(), w.now) })
}

func secrets(w *world) {
	a, b := w.account("anna"), w.account("bert")
	one, two, theirs := newHash(), newHash(), newHash()
	lives := func(account uuid.UUID, hash [32]byte, at time.Time) bool {
		ok, err := w.store.SecretLives(w.ctx, account, hash, at)
		w.wantErr("secret", err, nil)
		return ok
	}
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, a.ID, one, w.now) })
	if !lives(a.ID, one, w.now.Add(1000*time.Hour)) || lives(b.ID, one, w.now) || lives(a.ID, two, w.now) {
		w.Fatal("a secret without an end lives for its account alone")
	}
	end := w.now.Add(time.Hour)
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, b.ID, theirs, w.now) })
	w.in(func(tx auth.Tx) error { return tx.ExpireSecrets(w.ctx, a.ID, end) })
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, a.ID, two, w.now) })
	if !lives(a.ID, one, end.Add(-time.Microsecond)) || lives(a.ID, one, end) || !lives(a.ID, two, end) || !lives(b.ID, theirs, end) {
		w.Fatal("the old secret ends with the overlap, the new one and another's do not")
	}
	w.in(func(tx auth.Tx) error { return tx.ExpireSecrets(w.ctx, a.ID, end.Add(time.Hour)) })
	if lives(a.ID, one, end) || !lives(a.ID, two, end) {
		w.Fatal("a second rotation must not lengthen the life of the first secret")
	}
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, b.ID, one, w.now) })
}

func (w *world) start(account uuid.UUID, secret byte, last int64) error {
	return w.store.InTx(w.ctx, func(tx auth.Tx) error {
		return tx.StartFactor(w.ctx, w.realm, account, auth.Factor{Secret: []byte{secret}, LastStep: last, CreatedAt: w.now})
	})
}

func (w *world) use(account uuid.UUID, step int64) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) { return tx.UseStep(w.ctx, account, step, w.now) })
}

func startFactor(w *world) {
	a := w.account("anna")
	if w.byID(a.ID).Factor != nil {
		w.Fatal("a factor from nowhere")
	}
	w.wantErr("first", w.start(a.ID, 1, 10), nil)
	w.same("first", w.byID(a.ID).Factor, &auth.Factor{Secret: []byte{1}, LastStep: 10, CreatedAt: w.now})
	w.now = w.now.Add(time.Second)
	w.wantErr("another, before it is confirmed", w.start(a.ID, 2, 0), nil)
	w.same("second", w.byID(a.ID).Factor, &auth.Factor{Secret: []byte{2}, LastStep: 0, CreatedAt: w.now})
	if !w.use(a.ID, 5) {
		w.Fatal("not confirmed")
	}
	w.wantErr("over a confirmed one", w.start(a.ID, 3, 0), auth.ErrConflict)
	w.same("confirmed", w.byID(a.ID).Factor, &auth.Factor{Secret: []byte{2}, LastStep: 5, CreatedAt: w.now, ConfirmedAt: w.now})
	named, err := w.store.AccountByName(w.ctx, w.realm, a.Username, "")
	w.wantErr("by name", err, nil)
	w.same("by name", named.Factor, w.byID(a.ID).Factor)
	w.same("by session", w.sessionByID(w.session(a.ID).ID).Account.Factor, named.Factor)
}

func useStep(w *world) {
	a := w.account("anna")
	if w.use(a.ID, 1) {
		w.Fatal("a step of no factor")
	}
	w.wantErr("start", w.start(a.ID, 1, 10), nil)
	confirmed := w.now
	for _, c := range []struct {
		step int64
		ok   bool
	}{{10, false}, {9, false}, {11, true}, {11, false}, {10, false}, {13, true}, {12, false}, {13, false}, {14, true}} {
		if got := w.use(a.ID, c.step); got != c.ok {
			w.Fatalf("step %d: %v", c.step, got)
		}
		w.now = w.now.Add(time.Second)
	}
	if f := w.byID(a.ID).Factor; f.LastStep != 14 || !f.ConfirmedAt.Equal(confirmed.Add(2*time.Second)) {
		w.Fatalf("got %+v: the first spent step confirms", f)
	}
}

func deleteFactor(w *world) {
	a, b := w.account("anna"), w.account("bert")
	remove := func() bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteFactor(w.ctx, a.ID) })
	}
	if remove() {
		w.Fatal("removed what is not there")
	}
	code := newHash()
	for _, x := range []uuid.UUID{a.ID, b.ID} {
		w.wantErr("start", w.start(x, 1, 0), nil)
		w.in(func(tx auth.Tx) error {
			return tx.ReplaceRecoveryCodes(w.ctx, w.realm, x, [][32]byte{code, newHash()}, w.now)
		})
	}
	w.use(a.ID, 1)
	if !remove() || w.byID(a.ID).Factor != nil || w.codes(a.ID) != 0 {
		w.Fatal("something is left")
	}
	if w.byID(b.ID).Factor == nil || w.codes(b.ID) != 2 {
		w.Fatal("another account lost something")
	}
	if w.yes(func(tx auth.Tx) (bool, error) { return tx.SpendRecoveryCode(w.ctx, a.ID, code, w.now) }) {
		w.Fatal("a code of a removed factor")
	}
	w.wantErr("a new one after it", w.start(a.ID, 9, 0), nil)
}

func (w *world) codes(account uuid.UUID) int {
	w.Helper()
	n, err := w.store.RecoveryCodes(w.ctx, account)
	w.wantErr("codes", err, nil)
	return n
}

func recoveryCodes(w *world) {
	a, b := w.account("anna"), w.account("bert")
	hashes := [][32]byte{newHash(), newHash(), newHash()}
	w.in(func(tx auth.Tx) error { return tx.ReplaceRecoveryCodes(w.ctx, w.realm, a.ID, hashes, w.now) })
	spend := func(account uuid.UUID, h [32]byte) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.SpendRecoveryCode(w.ctx, account, h, w.now) })
	}
	if spend(b.ID, hashes[0]) || spend(a.ID, newHash()) || !spend(a.ID, hashes[0]) || spend(a.ID, hashes[0]) || !spend(a.ID, hashes[1]) {
		w.Fatal("each code once, for its account")
	}
	if n := w.codes(a.ID); n != 1 {
		w.Fatalf("%d codes are left", n)
	}
	fresh := [][32]byte{newHash(), newHash()}
	w.in(func(tx auth.Tx) error { return tx.ReplaceRecoveryCodes(w.ctx, w.realm, a.ID, fresh, w.now) })
	if n := w.codes(a.ID); n != 2 || spend(a.ID, hashes[2]) || !spend(a.ID, fresh[1]) {
		w.Fatalf("the new codes replace all old ones (%d)", n)
	}
	w.in(func(tx auth.Tx) error { return tx.ReplaceRecoveryCodes(w.ctx, w.realm, a.ID, nil, w.now) })
	if w.codes(a.ID) != 0 {
		w.Fatal("codes are left")
	}
}
