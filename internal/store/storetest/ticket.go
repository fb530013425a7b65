package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var ticketCases = []testCase{
	{"RoundTrip", ticketRoundTrip},
	{"From", ticketFrom},
	{"Limit", ticketLimit},
	{"Forgive", ticketForgive},
	{"Expiry", ticketExpiry},
	{"Spend", ticketSpend},
	{"Live", ticketLive},
}

func (w *world) ticket(account uuid.UUID, hash [32]byte) auth.Ticket {
	return auth.Ticket{Hash: hash, RealmID: w.realm, AccountID: account, Version: 7, CreatedAt: w.now, ExpiresAt: w.now.Add(5 * time.Minute)}
}

// newTicket stores a ticket of a new account.
func (w *world) newTicket() auth.Ticket {
	w.Helper()
	t := w.ticket(w.account("anna").ID, newHash())
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, t) })
	return t
}

// try tries a ticket in a transaction of its own.
func (w *world) try(hash [32]byte, max int, at time.Time) (t auth.Ticket, err error) {
	err = w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
		t, err = tx.TryTicket(w.ctx, w.realm, hash, max, at)
		return err
	})
	return t, err
}

func (w *world) spend(hash [32]byte) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) { return tx.SpendTicket(w.ctx, hash, w.now) })
}

// ticketLive counts the tickets that TryTicket would take.
func ticketLive(w *world) {
	t := w.newTicket()
	live := func(account uuid.UUID, version int64, max int, at time.Time, want int) {
		w.Helper()
		n, err := w.store.LiveTickets(w.ctx, account, version, max, at)
		w.wantErr("live tickets", err, nil)
		w.same("live tickets", n, want)
	}
	live(t.AccountID, t.Version, 1, w.now, 1)
	live(newID(), t.Version, 1, w.now, 0)
	live(t.AccountID, t.Version+1, 1, w.now, 0)
	live(t.AccountID, t.Version, 1, t.ExpiresAt, 0)
	_, err := w.try(t.Hash, 1, w.now)
	w.wantErr("try", err, nil)
	live(t.AccountID, t.Version, 1, w.now, 0)
	live(t.AccountID, t.Version, 2, w.now, 1)
	w.spend(t.Hash)
	live(t.AccountID, t.Version, 2, w.now, 0)
}

func ticketRoundTrip(w *world) {
	theirs := w.ticket(w.account("bert").ID, newHash())
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, theirs) })
	t := w.newTicket()
	got, err := w.try(t.Hash, 5, w.now)
	w.wantErr("try", err, nil)
	w.same("ticket", got, t)
	for _, of := range []auth.Ticket{t, theirs} {
		var record auth.AccountRecord
		w.in(func(tx auth.Tx) (err error) {
			got, record, err = tx.TryTicketIn(w.ctx, w.realm, "one", of.Hash, 5, w.now)
			return err
		})
		w.same("ticket and account", []any{got, record.ID}, []any{of, of.AccountID})
	}
	owner, err := w.store.TicketAccount(w.ctx, w.realm, t.Hash)
	w.wantErr("owner", err, nil)
	w.same("owner", owner, t.AccountID)
	_, err = w.store.TicketAccount(w.ctx, w.realm, newHash())
	w.wantErr("no such ticket", err, auth.ErrNotFound)
	_, err = w.store.TicketAccount(w.ctx, w.newRealm().ID, t.Hash)
	w.wantErr("another realm", err, auth.ErrNotFound)
	_, err = w.try(newHash(), 5, w.now)
	w.wantErr("no such ticket", err, auth.ErrNotFound)
	w.realm = w.newRealm().ID
	_, err = w.try(t.Hash, 5, w.now)
	w.wantErr("another realm", err, auth.ErrNotFound)
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, t) })
}

// ticketFrom: the source counts for the ticket's account alone, and from the given time on.
func ticketFrom(w *world) {
	t, other := w.newTicket(), w.ticket(w.account("bert").ID, newHash())
	w.in(func(tx auth.Tx) error { return tx.InsertTicket(w.ctx, other) })
	from := func(hash [32]byte, source string, since time.Time, known bool) {
		w.Helper()
		owner, got, err := w.store.TicketFrom(w.ctx, w.realm, hash, source, since)
		w.wantErr(source, err, nil)
		if owner == uuid.Nil || got != known {
			w.Errorf("%s: known %t to %s", source, got, owner)
		}
	}
	from(t.Hash, "192.0.2.1", w.now, false)
	w.in(func(tx auth.Tx) error { return tx.NoteSource(w.ctx, t.AccountID, "192.0.2.1", w.now) })
	from(t.Hash, "192.0.2.1", w.now, true)
	from(t.Hash, "192.0.2.1", w.now.Add(time.Second), false)
	from(t.Hash, "192.0.2.2", w.now, false)
	from(other.Hash, "192.0.2.1", w.now, false)
	owner, _, err := w.store.TicketFrom(w.ctx, w.realm, t.Hash, "192.0.2.1", w.now)
	w.wantErr("owner", err, nil)
	w.same("owner", owner, t.AccountID)
	_, _, err = w.store.TicketFrom(w.ctx, w.realm, newHash(), "192.0.2.1", w.now)
	w.wantErr("no such ticket", err, auth.ErrNotFound)
	_, _, err = w.store.TicketFrom(w.ctx, newWorld(w.T, w.store).realm, t.Hash, "192.0.2.1", w.now)
	w.wantErr("another realm", err, auth.ErrNotFound)
}

func ticketLimit(w *world) {
	t := w.newTicket()
	for range 3 {
		_, err := w.try(t.Hash, 3, w.now)
		w.wantErr("within the limit", err, nil)
	}
	_, err := w.try(t.Hash, 3, w.now)
	w.wantErr("over the limit", err, auth.ErrNotFound)
	owner, err := w.store.TicketAccount(w.ctx, w.realm, t.Hash)
	w.wantErr("the owner of a dead ticket", err, nil)
	w.same("the owner of a dead ticket", owner, t.AccountID)
}

func ticketForgive(w *world) {
	t := w.newTicket()
	forgive := func() { w.in(func(tx auth.Tx) error { return tx.ForgiveTicket(w.ctx, t.Hash) }) }
	forgive() // nothing to take back
	for range 10 {
		_, err := w.try(t.Hash, 1, w.now)
		w.wantErr("forgiven", err, nil)
		forgive()
	}
	_, err := w.try(t.Hash, 1, w.now)
	w.wantErr("the last one", err, nil)
	_, err = w.try(t.Hash, 1, w.now)
	w.wantErr("not forgiven", err, auth.ErrNotFound)
	w.in(func(tx auth.Tx) error { return tx.ForgiveTicket(w.ctx, newHash()) })
}

func ticketExpiry(w *world) {
	t := w.newTicket()
	_, err := w.try(t.Hash, 5, t.ExpiresAt.Add(-time.Microsecond))
	w.wantErr("at its last moment", err, nil)
	_, err = w.try(t.Hash, 5, t.ExpiresAt)
	w.wantErr("expired", err, auth.ErrNotFound)
}

func ticketSpend(w *world) {
	t := w.newTicket()
	if w.spend(newHash()) || !w.spend(t.Hash) || w.spend(t.Hash) {
		w.Fatal("once for each ticket")
	}
	_, err := w.try(t.Hash, 5, w.now)
	w.wantErr("spent", err, auth.ErrNotFound)
}
