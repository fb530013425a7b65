package storetest

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

// text is a value with all its exported fields. What has a head in it would marshal as that head alone.
func text(v any) string {
	switch of := v.(type) {
	case audit.SealedHead:
		v = []any{of.Head, hex.EncodeToString(of.Seal)}
	case audit.Checkpoint:
		v = []any{of.RealmID, of.Head, of.At, of.Cut, of.Signature}
	case []audit.Checkpoint:
		var all []string
		for _, c := range of {
			all = append(all, text(c))
		}
		v = all
	}
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

var realmCases = []testCase{
	{"RoundTrip", realmRoundTrip},
	{"NameTaken", realmNameTaken},
	{"Keys", keysRoundTrip},
	{"KeysDuplicate", keysDuplicate},
	{"EndKey", endKey},
	{"SetRefreshKey", setRefreshKey},
	{"KeysOnce", keysOnce},
	{"HashSchemes", hashSchemes},
}

func realmRoundTrip(w *world) {
	r := w.newRealm()
	byName, err := w.store.RealmByName(w.ctx, r.Name)
	w.wantErr("by name", err, nil)
	w.same("by name", byName, r)
	byID, err := w.store.RealmByID(w.ctx, r.ID)
	w.wantErr("by id", err, nil)
	w.same("by id", byID, r)
	all, err := w.store.Realms(w.ctx)
	w.wantErr("all", err, nil)
	if !slices.ContainsFunc(all, func(x auth.Realm) bool { return x.ID == r.ID }) {
		w.Fatal("the list lacks the realm")
	}
	_, err = w.store.RealmByName(w.ctx, "nobody")
	w.wantErr("unknown name", err, auth.ErrNotFound)
	_, err = w.store.RealmByName(w.ctx, "")
	w.wantErr("no name", err, auth.ErrNotFound)
	_, err = w.store.RealmByID(w.ctx, newID())
	w.wantErr("unknown id", err, auth.ErrNotFound)
}

func realmNameTaken(w *world) {
	r := w.newRealm()
	again := r
	again.ID = newID()
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertRealm(w.ctx, again) })
	_, err := w.store.RealmByID(w.ctx, again.ID)
	w.wantErr("the second one", err, auth.ErrNotFound)
}

func (w *world) key(realm uuid.UUID, algorithm string) keyring.Record {
	w.Helper()
	id := newID()
	k := keyring.Record{ID: id, RealmID: realm, Kid: "kid-" + id.String(), Algorithm: algorithm, Sealed: []byte("sealed\x00"),
		Public: []byte{0x30, 0}, SignsFrom: w.now.Add(time.Hour), CreatedAt: w.now}
	w.in(func(tx auth.Tx) error { return tx.InsertKey(w.ctx, k) })
	return k
}

func (w *world) keys() []keyring.Record {
	w.Helper()
	keys, err := w.store.Keys(w.ctx, w.realm)
	w.wantErr("keys", err, nil)
	return keys
}

func keysRoundTrip(w *world) {
	if got := w.keys(); len(got) != 0 {
		w.Fatalf("a new realm has keys: %v", got)
	}
	first, second := w.key(w.realm, "RS256"), w.key(w.realm, "EdDSA")
	w.key(w.newRealm().ID, "RS256") // another realm's
	w.same("keys, the newest first", w.keys(), []keyring.Record{second, first})
}

func keysDuplicate(w *world) {
	k := w.key(w.realm, "RS256")
	k.ID = newID()
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertKey(w.ctx, k) })
}

func endKey(w *world) {
	first, second := w.key(w.realm, "RS256"), w.key(w.realm, "RS256")
	soon, later := w.now.Add(time.Hour), w.now.Add(2*time.Hour)
	for _, end := range []time.Time{later, soon, later} { // earlier or later: the core decides
		w.in(func(tx auth.Tx) error { return tx.EndKey(w.ctx, first.ID, end) })
		first.ExpiresAt = end
		w.same("keys", w.keys(), []keyring.Record{second, first})
	}
	w.in(func(tx auth.Tx) error { return tx.EndKey(w.ctx, newID(), soon) })
	w.same("keys after one that is not there", w.keys(), []keyring.Record{second, first})
}

// keysOnce holds what rotation rests on: of transactions that each look for a key, and
// make one if there is none, one makes it.
func keysOnce(w *world) {
	made := w.raceTx(8, func(tx auth.Tx, _ int) (bool, error) {
		if err := tx.HoldRealm(w.ctx, w.realm); err != nil {
			return false, err
		}
		keys, err := tx.Keys(w.ctx, w.realm)
		if err != nil || len(keys) > 0 {
			return false, err
		}
		id := newID()
		return true, tx.InsertKey(w.ctx, keyring.Record{ID: id, RealmID: w.realm, Kid: id.String(), Algorithm: "ES256",
			Sealed: []byte{1}, Public: []byte{2}, SignsFrom: w.now, CreatedAt: w.now})
	})
	if keys := w.keys(); made != 1 || len(keys) != 1 {
		w.Fatalf("%d made a key, and there are %d", made, len(keys))
	}
}

func hashSchemes(w *world) {
	count := func(scheme string, add int) {
		w.in(func(tx auth.Tx) error { return tx.CountScheme(w.ctx, w.realm, scheme, add) })
	}
	count("b", 1)
	count("a", 1)
	count("b", 1)
	count("c", 1)
	count("b", -1) // one is left
	count("c", -1) // none is
	got, err := w.store.HashSchemes(w.ctx, w.realm)
	w.wantErr("schemes", err, nil)
	slices.Sort(got)
	w.same("schemes", got, []string{"a", "b"})
	none, err := w.store.HashSchemes(w.ctx, w.newRealm().ID)
	if err != nil || len(none) != 0 {
		w.Fatalf("another realm has %v, %v", none, err)
	}
}

func setRefreshKey(w *world) {
	other := w.newRealm()
	w.in(func(tx auth.Tx) error { return tx.SetRefreshKey(w.ctx, w.realm, []byte("another")) })
	r, err := w.store.RealmByID(w.ctx, w.realm)
	w.wantErr("the realm", err, nil)
	w.same("its key", r.RefreshKey, []byte("another"))
	r, err = w.store.RealmByID(w.ctx, other.ID)
	w.wantErr("another realm", err, nil)
	w.same("its key", r.RefreshKey, other.RefreshKey)
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error { return tx.SetRefreshKey(w.ctx, newID(), []byte("x")) })
}
