package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

var foreignCases = []testCase{
	{"Tokens", foreignTokens},
	{"Learn", foreignLearn},
	{"Spend", foreignSpend},
	{"SpendRace", foreignSpendRace},
	{"Rotate", foreignRotate},
	{"RotateRace", foreignRotateRace},
	{"Extend", foreignExtend},
	{"Cutoff", foreignCutoff},
	{"Subject", foreignSubject},
	{"Keys", foreignKeys},
	{"Gone", foreignGone},
}

func (w *world) foreign(account uuid.UUID, kind auth.ForeignKind) auth.ForeignRecord {
	return auth.ForeignRecord{
		RealmID: w.realm, Hash: newHash(), AccountID: account, Dialect: "one", Kind: kind,
		CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}
}

func (w *world) insertForeign(r auth.ForeignRecord) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) { return tx.InsertForeignToken(w.ctx, r) })
}

func (w *world) foreignToken(r auth.ForeignRecord) auth.ForeignRecord {
	w.Helper()
	got, err := w.store.ForeignToken(w.ctx, r.RealmID, r.Hash)
	w.wantErr("foreign token", err, nil)
	return got
}

func foreignTokens(w *world) {
	a := w.account("anna")
	r := w.foreign(a.ID, auth.ForeignBearer)
	full := w.foreign(a.ID, "jwt")
	full.Session, full.Key, full.SpentAt = newID(), newID(), w.now.Add(time.Second)
	if !w.insertForeign(r) || w.insertForeign(r) || !w.insertForeign(full) {
		w.Fatal("each is inserted once")
	}
	w.same("bearer", w.foreignToken(r), r)
	w.same("jwt", w.foreignToken(full), full)
	other := r
	other.RealmID = w.newRealm().ID
	_, err := w.store.ForeignToken(w.ctx, other.RealmID, r.Hash)
	w.wantErr("in another realm", err, auth.ErrNotFound)
	if !w.insertForeign(other) {
		w.Fatal("a realm keeps another from a token")
	}
	_, err = w.store.ForeignToken(w.ctx, w.realm, newHash())
	w.wantErr("unknown", err, auth.ErrNotFound)
	any, err := w.store.AnyForeignToken(w.ctx, w.now)
	w.wantErr("any", err, nil)
	later, err := w.store.AnyForeignToken(w.ctx, w.now.Add(100*365*24*time.Hour))
	w.wantErr("any, later", err, nil)
	if !any || later {
		w.Fatalf("any: %v, in a hundred years: %v", any, later)
	}
}

func foreignLearn(w *world) {
	a, b := w.account("anna"), w.account("bert")
	learn := func(r auth.ForeignRecord) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.LearnForeignToken(w.ctx, r) })
	}
	r := w.foreign(a.ID, auth.ForeignBearer)
	r.Session, r.SpentAt = newID(), w.now
	if !learn(r) {
		w.Fatal("not learned")
	}
	next := r
	next.Session, next.ExpiresAt = newID(), w.now.Add(2*time.Hour)
	if !learn(next) {
		w.Fatal("a later login has it no more")
	}
	w.same("the last session", w.foreignToken(r), next)
	for name, change := range map[string]func(*auth.ForeignRecord){
		"another's":          func(r *auth.ForeignRecord) { r.AccountID = b.ID },
		"of another dialect": func(r *auth.ForeignRecord) { r.Dialect = "two" },
		"of another kind":    func(r *auth.ForeignRecord) { r.Kind = auth.ForeignRefresh },
	} {
		c := next
		change(&c)
		c.Session = newID()
		if learn(c) {
			w.Errorf("one that is %s was taken over", name)
		}
	}
	w.same("still", w.foreignToken(r), next)
}

func foreignSpend(w *world) {
	a, key := w.account("anna"), newID()
	spend := func(r auth.ForeignRecord, session uuid.UUID, at time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) {
			return tx.SpendForeignToken(w.ctx, r.RealmID, r.Hash, session, key, at)
		})
	}
	r := w.foreign(a.ID, auth.ForeignBearer)
	w.insertForeign(r)
	session := newID()
	elsewhere := r
	elsewhere.RealmID = w.newRealm().ID
	if spend(elsewhere, session, w.now) || spend(r, session, r.ExpiresAt) || !spend(r, session, w.now) || spend(r, newID(), w.now) || spend(r, uuid.Nil, w.now) {
		w.Fatal("a token is spent once, in its realm, before it ends")
	}
	r.Session, r.Key, r.SpentAt = session, key, w.now
	w.same("spent", w.foreignToken(r), r)
	void := w.foreign(a.ID, auth.ForeignRefresh)
	w.insertForeign(void)
	if !spend(void, uuid.Nil, w.now) || spend(void, session, w.now) {
		w.Fatal("a void token got a session")
	}
}

func foreignSpendRace(w *world) {
	r := w.foreign(w.account("anna").ID, auth.ForeignRefresh)
	w.insertForeign(r)
	if n := w.raceTx(8, func(tx auth.Tx, _ int) (bool, error) {
		return tx.SpendForeignToken(w.ctx, w.realm, r.Hash, newID(), uuid.Nil, w.now)
	}); n != 1 {
		w.Fatalf("spent %d times", n)
	}
	again := w.foreign(r.AccountID, "jwt")
	if n := w.raceTx(8, func(tx auth.Tx, _ int) (bool, error) { return tx.InsertForeignToken(w.ctx, again) }); n != 1 {
		w.Fatalf("inserted %d times", n)
	}
}

func (w *world) rotateForeign(id uuid.UUID, retry time.Duration, now time.Time) (r auth.Rotation, err error) {
	m := &auth.Mount{RealmID: w.realm, Dialect: "one", Audience: "app", RefreshRetry: retry, SessionIdle: time.Hour}
	err = w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
		r, err = tx.RotateForeign(w.ctx, m, id, now)
		return err
	})
	return r, err
}

func foreignRotate(w *world) {
	a := w.account("anna")
	const retry = time.Minute
	for name, c := range map[string]struct {
		after           time.Duration
		used            bool
		retry           time.Duration
		stolen, retried bool
	}{
		"at once":               {0, false, retry, false, true},
		"in time":               {retry, false, retry, false, true},
		"late":                  {retry + time.Microsecond, false, retry, true, false},
		"on another clock":      {-time.Second, false, retry, false, true},
		"on a clock far behind": {-retry - time.Microsecond, false, retry, true, false},
		"the successor is used": {0, true, retry, true, false},
		"without a retry time":  {0, false, 0, true, false},
	} {
		s := w.session(a.ID)
		r, err := w.rotateForeign(s.ID, c.retry, w.now)
		if err != nil || r.Stolen || r.Retried || r.Session.Generation != 1 || !r.Session.LastUsedAt.Equal(w.now) {
			w.Fatalf("%s: first: %+v, %v", name, r, err)
		}
		if c.used {
			_, err := w.rotate(s.ID, 1, c.retry, time.Hour, w.now)
			w.wantErr("the successor", err, nil)
		}
		r, err = w.rotateForeign(s.ID, c.retry, w.now.Add(c.after))
		if err != nil || r.Stolen != c.stolen || r.Retried != c.retried {
			w.Fatalf("%s: again: %+v, %v", name, r, err)
		}
		w.same(name+": the answer is what is stored", r.Session, w.sessionByID(s.ID).Session)
		_, err = w.rotate(s.ID, r.Session.Generation, c.retry, time.Hour, w.now)
		if c.stolen {
			w.wantErr(name+": the chain", err, auth.ErrNotFound)
		} else {
			w.wantErr(name+": the chain", err, nil)
		}
	}
	chainless := w.session(a.ID, func(s *auth.Session) { s.Generation = 0 })
	_, err := w.rotateForeign(chainless.ID, retry, w.now)
	w.wantErr("without a chain", err, auth.ErrNotFound)
	for name, change := range map[string]func(s *auth.Session){
		"audience": func(s *auth.Session) { s.Audience = "other" }, "dialect": func(s *auth.Session) { s.Dialect = "two" },
	} {
		_, err = w.rotateForeign(w.session(a.ID, change).ID, retry, w.now)
		w.wantErr("of another "+name, err, auth.ErrNotFound)
	}
	_, err = newWorld(w.T, w.store).rotateForeign(w.session(a.ID).ID, retry, w.now)
	w.wantErr("of another realm", err, auth.ErrNotFound)
	for name, d := range w.dying(a.ID) {
		_, err := w.rotateForeign(d.s.ID, retry, d.at)
		w.wantErr(name, err, auth.ErrNotFound)
	}
}

func foreignRotateRace(w *world) {
	s := w.session(w.account("anna").ID)
	if n := w.race(8, func(int) (bool, error) {
		r, err := w.rotateForeign(s.ID, time.Minute, w.now)
		return err == nil && !r.Stolen && r.Session.Generation == 1, err
	}); n != 8 {
		w.Fatalf("%d of 8 got the successor", n)
	}
}

func foreignExtend(w *world) {
	a := w.account("anna")
	s, other := w.session(a.ID), w.session(a.ID)
	extend := func(realm uuid.UUID, end time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) {
			return tx.ExtendSession(w.ctx, realm, s.ID, time.Time{}, end, w.now.Add(time.Minute))
		})
	}
	if extend(newID(), s.ExpiresAt) || !extend(w.realm, s.ExpiresAt.Add(-time.Hour)) {
		w.Fatal("not touched, or in another realm")
	}
	s.IdleAt, s.LastUsedAt = time.Time{}, w.now.Add(time.Minute)
	w.same("an earlier end", w.sessionByID(s.ID).Session, s)
	s.ExpiresAt = s.ExpiresAt.Add(time.Hour)
	extend(w.realm, s.ExpiresAt)
	w.same("a later end", w.sessionByID(s.ID).Session, s)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.EndSession(w.ctx, w.realm, s.ID, "x", w.now) })
	if extend(w.realm, s.ExpiresAt.Add(time.Hour)) {
		w.Fatal("an ended session came back to life")
	}
	w.same("another session", w.sessionByID(other.ID).Session, other)
}

func foreignCutoff(w *world) {
	a, b := w.account("anna"), w.account("bert")
	cutoff := func(account uuid.UUID) time.Time {
		w.Helper()
		at, err := w.store.SessionCutoff(w.ctx, w.realm, account)
		w.wantErr("cutoff", err, nil)
		return at
	}
	end := func(except uuid.UUID, at time.Time) {
		w.Helper()
		w.in(func(tx auth.Tx) error {
			_, err := tx.EndSessions(w.ctx, a.ID, except, "x", at)
			return err
		})
	}
	w.same("none", cutoff(a.ID), time.Time{})
	end(uuid.Nil, w.now)
	end(newID(), w.now.Add(-time.Hour))
	w.same("the last", cutoff(a.ID), w.now)
	end(newID(), w.now.Add(time.Second)) // all but one session are all that are to come
	w.same("but one", cutoff(a.ID), w.now.Add(time.Second))
	w.same("another's", cutoff(b.ID), time.Time{})
	for _, at := range []time.Duration{time.Hour, time.Minute} { // the later one stays
		w.in(func(tx auth.Tx) error { return tx.CutSessions(w.ctx, w.realm, w.realm, w.now.Add(at)) })
	}
	w.same("all of the realm", cutoff(b.ID), w.now.Add(time.Hour))
	w.in(func(tx auth.Tx) error {
		_, err := tx.EndSessions(w.ctx, newID(), uuid.Nil, "x", w.now)
		return err
	})
}

func foreignSubject(w *world) {
	a := w.account("anna")
	w.in(func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, a.ID, "one", "old-1") })
	want := a
	want.Subject = "old-1"
	got, err := w.store.AccountBySubject(w.ctx, w.realm, "one", "old-1")
	w.wantErr("by alias", err, nil)
	w.same("by alias", got, want)
	got, err = w.store.AccountByNumber(w.ctx, w.realm, a.Number, "one")
	w.wantErr("by number", err, nil)
	w.same("by number", got, want)
	other := w.newRealm().ID
	for name, find := range map[string]func() (auth.AccountRecord, error){
		"alias of another dialect":  func() (auth.AccountRecord, error) { return w.store.AccountBySubject(w.ctx, w.realm, "two", "old-1") },
		"alias of another realm":    func() (auth.AccountRecord, error) { return w.store.AccountBySubject(w.ctx, other, "one", "old-1") },
		"another alias":             func() (auth.AccountRecord, error) { return w.store.AccountBySubject(w.ctx, w.realm, "one", "OLD-1") },
		"number of another realm":   func() (auth.AccountRecord, error) { return w.store.AccountByNumber(w.ctx, other, a.Number, "one") },
		"another number":            func() (auth.AccountRecord, error) { return w.store.AccountByNumber(w.ctx, w.realm, a.Number+9, "one") },
		"a number that is no alias": func() (auth.AccountRecord, error) { return w.store.AccountBySubject(w.ctx, w.realm, "one", "1") },
	} {
		_, err := find()
		w.wantErr(name, err, auth.ErrNotFound)
	}
	gone := func(d auth.Dialect, subject string) time.Time {
		w.Helper()
		at, err := w.store.SubjectGone(w.ctx, w.realm, d, subject)
		w.wantErr("gone", err, nil)
		return at
	}
	w.in(func(tx auth.Tx) error { return tx.NoteSubjectGone(w.ctx, w.realm, "one", "old-1", w.now) })
	w.in(func(tx auth.Tx) error { return tx.NoteSubjectGone(w.ctx, w.realm, "", "7", w.now.Add(time.Hour)) })
	w.same("gone", []time.Time{gone("one", "old-1"), gone("two", "old-1"), gone("one", "7"), gone("one", "8")},
		[]time.Time{w.now, {}, w.now.Add(time.Hour), {}})
	at, err := w.store.SubjectGone(w.ctx, other, "one", "old-1")
	w.same("gone in another realm", []any{at, err}, []any{time.Time{}, nil})
	if named, err := w.store.NameGone(w.ctx, w.realm, "old-1", "one"); err != nil || named {
		w.Fatalf("a subject is a name: %v, %v", named, err)
	}
}

func foreignKeys(w *world) {
	a := w.account("anna")
	k := keyring.Foreign{
		ID: newID(), RealmID: w.realm, Kid: "old", Algorithm: "RS256", Dialect: "one", Issuer: "https://old.example.com", Audience: "app",
		Public: []byte{1, 2}, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}
	secret := keyring.Foreign{
		ID: newID(), RealmID: w.realm, Algorithm: "HS256", Dialect: "one", Sealed: []byte{3}, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}
	for _, k := range []keyring.Foreign{k, secret} {
		w.in(func(tx auth.Tx) error { return tx.InsertForeignKey(w.ctx, k) })
	}
	list := func(realm uuid.UUID) []keyring.Foreign {
		w.Helper()
		keys, err := w.store.ForeignKeys(w.ctx, realm)
		w.wantErr("keys", err, nil)
		return keys
	}
	w.same("keys", list(w.realm), []keyring.Foreign{secret, k})
	if n := len(list(w.newRealm().ID)); n != 0 {
		w.Fatalf("%d keys in another realm", n)
	}
	s, theirs := w.session(a.ID), w.session(a.ID)
	for _, r := range []auth.ForeignRecord{
		{RealmID: w.realm, Hash: newHash(), AccountID: a.ID, Dialect: "one", Kind: "jwt", Session: s.ID, Key: k.ID, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
		{RealmID: w.realm, Hash: newHash(), AccountID: a.ID, Dialect: "one", Kind: "jwt", Session: theirs.ID, Key: secret.ID, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
	} {
		w.insertForeign(r)
	}
	ended := func(realm, id uuid.UUID) (n int) {
		w.in(func(tx auth.Tx) (err error) {
			n, err = tx.EndKeySessions(w.ctx, realm, id, "key_ended", w.now)
			return err
		})
		return n
	}
	end := func(realm, id uuid.UUID) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.EndForeignKey(w.ctx, realm, id, w.now) })
	}
	lives := func(realm, id uuid.UUID, at time.Time) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.HoldForeignKey(w.ctx, realm, id, at) })
	}
	if !lives(w.realm, k.ID, w.now) || lives(newID(), k.ID, w.now) || lives(w.realm, newID(), w.now) || lives(w.realm, k.ID, k.ExpiresAt) {
		w.Fatal("a key lives in its realm, until its end")
	}
	if end(newID(), k.ID) || !end(w.realm, k.ID) || end(w.realm, k.ID) {
		w.Fatal("a key ends once, in its realm")
	}
	if lives(w.realm, k.ID, w.now) || !lives(w.realm, secret.ID, w.now) {
		w.Fatal("a key that has ended lives by another one")
	}
	if ended(newID(), k.ID) != 0 || ended(w.realm, k.ID) != 1 || ended(w.realm, k.ID) != 0 {
		w.Fatal("its sessions end once, in its realm")
	}
	if w.sessionByID(s.ID).EndReason != "key_ended" || !w.sessionByID(theirs.ID).EndedAt.IsZero() {
		w.Fatal("another key's sessions ended")
	}
}

func foreignGone(w *world) {
	a := w.account("anna")
	r := w.foreign(a.ID, auth.ForeignBearer)
	w.insertForeign(r)
	w.in(func(tx auth.Tx) error {
		if _, err := tx.EndSessions(w.ctx, a.ID, uuid.Nil, "x", w.now); err != nil {
			return err
		}
		_, err := tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now)
		return err
	})
	_, err := w.store.ForeignToken(w.ctx, w.realm, r.Hash)
	w.wantErr("a deleted account's token", err, auth.ErrNotFound)
	cutoff, err := w.store.SessionCutoff(w.ctx, w.realm, a.ID)
	w.wantErr("its cutoff", err, nil)
	w.same("its cutoff", cutoff, time.Time{})
}
