package storetest

import (
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

var auditCases = []testCase{
	{"RoundTrip", auditRoundTrip},
	{"Filter", auditFilter},
}

func (w *world) event(kind audit.Kind, account uuid.UUID) audit.Event {
	w.Helper()
	e := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: kind, Account: account}
	w.in(func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, e) })
	return e
}

func (w *world) events(f auth.AuditFilter) []audit.Event {
	w.Helper()
	if f.Limit == 0 {
		f.Limit = 100
	}
	got, err := w.store.Events(w.ctx, w.realm, f)
	w.wantErr("events", err, nil)
	return got
}

func auditRoundTrip(w *world) {
	full := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.SignedIn, Account: newID(), Session: newID(),
		Dialect: "one", Address: "2001:db8::1", RequestID: "r", Actor: "operator", Detail: "so \"it\" is"}
	bare := audit.Event{ID: newID(), RealmID: w.realm, At: w.now, Kind: audit.RealmCreated}
	w.in(func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, bare) })
	w.in(func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, full) })
	w.same("by id, which is by time", w.events(auth.AuditFilter{}), []audit.Event{full, bare})
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertEvent(w.ctx, full) })
	w.realm = w.newRealm().ID
	w.same("another realm", len(w.events(auth.AuditFilter{})), 0)
}

func auditFilter(w *world) {
	a, b := newID(), newID()
	one := w.event(audit.SignedIn, a)
	two := w.event(audit.SignInFailed, a)
	three := w.event(audit.SignedIn, b)
	four := w.event(audit.SignedIn, a)
	for _, c := range []struct {
		name string
		f    auth.AuditFilter
		want []audit.Event
	}{
		{"all", auth.AuditFilter{}, []audit.Event{one, two, three, four}},
		{"page", auth.AuditFilter{After: one.ID, Limit: 2}, []audit.Event{two, three}},
		{"account", auth.AuditFilter{Account: a}, []audit.Event{one, two, four}},
		{"kind", auth.AuditFilter{Kind: audit.SignedIn}, []audit.Event{one, three, four}},
		{"both", auth.AuditFilter{Account: a, Kind: audit.SignedIn}, []audit.Event{one, four}},
		{"both, a page", auth.AuditFilter{Account: a, Kind: audit.SignedIn, After: one.ID, Limit: 1}, []audit.Event{four}},
	} {
		w.same(c.name, w.events(c.f), c.want)
	}
}
