package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) holdings(after uuid.UUID, limit int) []auth.Holding {
	w.Helper()
	list, err := w.store.Holdings(w.ctx, w.realm, after, limit, w.now)
	w.wantErr("holdings", err, nil)
	return list
}

// everywhere are names that are good in every dialect.
func everywhere(keys ...string) (names []auth.AccountName) {
	for _, key := range slices.Sorted(slices.Values(keys)) {
		names = append(names, auth.AccountName{Key: key})
	}
	return names
}

// accountHoldings has an account with everything between two that have nothing.
func accountHoldings(w *world) {
	a, b, c := w.account("anna"), w.account("bert"), w.account("cleo")
	spent, one, two, live, over := newHash(), newHash(), newHash(), newHash(), newHash()
	w.in(func(tx auth.Tx) error {
		for _, hash := range []string{"first", "second"} {
			rec, err := tx.AccountByID(w.ctx, w.realm, b.ID, "")
			if err != nil {
				return err
			}
			if err := tx.KeepPassword(w.ctx, b.ID, 5, w.now); err != nil {
				return err
			}
			if _, err := tx.SetPassword(w.ctx, b.ID, rec.Version, hash, w.now); err != nil {
				return err
			}
		}
		for _, role := range []string{"zoo", "admin"} {
			if err := tx.InsertRole(w.ctx, w.realm, role, w.now); err != nil {
				return err
			}
			if _, err := tx.AddRole(w.ctx, w.realm, b.ID, role, w.now); err != nil {
				return err
			}
		}
		if err := tx.SetAlias(w.ctx, w.realm, b.ID, "one", "old id 7"); err != nil {
			return err
		}
		if err := tx.SetAlias(w.ctx, w.realm, b.ID, "two", "ünï"); err != nil {
			return err
		}
		for _, n := range []auth.AccountName{{Dialect: "two", Key: "bertie"}, {Key: "albert"}} {
			if err := tx.AddName(w.ctx, w.realm, b.ID, n); err != nil {
				return err
			}
		}
		return tx.ReplaceRecoveryCodes(w.ctx, w.realm, b.ID, [][32]byte{spent, one, two}, w.now)
	})
	w.wantErr("factor", w.start(b.ID, 9, 77), nil)
	w.yes(func(tx auth.Tx) (bool, error) { return tx.SpendRecoveryCode(w.ctx, b.ID, spent, w.now) })
	end := w.now.Add(time.Hour)
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, b.ID, over, w.now) })
	w.in(func(tx auth.Tx) error { return tx.ExpireSecrets(w.ctx, b.ID, w.now) })
	w.in(func(tx auth.Tx) error { return tx.InsertSecret(w.ctx, w.realm, b.ID, live, w.now) })
	w.in(func(tx auth.Tx) error { return tx.ExpireSecrets(w.ctx, b.ID, end) })

	bare := func(rec auth.AccountRecord) auth.Holding {
		return auth.Holding{AccountRecord: rec, Names: everywhere(keysOf(rec)...), Aliases: map[auth.Dialect]string{}}
	}
	codes := [][32]byte{one, two}
	slices.SortFunc(codes, func(x, y [32]byte) int { return slices.Compare(x[:], y[:]) })
	full := auth.Holding{
		AccountRecord: w.byID(b.ID), Names: append(everywhere("albert", "bert", "bert@example.com"), auth.AccountName{Dialect: "two", Key: "bertie"}), Aliases: map[auth.Dialect]string{"one": "old id 7", "two": "ünï"},
		PastPasswords: []string{"first", b.PasswordHash}, RecoveryCodes: codes,
		Secrets: []auth.ServiceSecret{{Hash: live, ExpiresAt: end}},
	}
	if full.Factor == nil || len(full.Roles) != 2 || full.PasswordHash != "second" {
		w.Fatalf("got %+v", full)
	}
	w.same("all", w.holdings(uuid.Nil, 10), []auth.Holding{bare(a), full, bare(c)})
	w.same("the first", w.holdings(uuid.Nil, 1), []auth.Holding{bare(a)})
	w.same("the next", w.holdings(a.ID, 1), []auth.Holding{full})
	w.same("the last", w.holdings(b.ID, 5), []auth.Holding{bare(c)})
	if rest := w.holdings(c.ID, 5); len(rest) != 0 {
		w.Fatalf("after the last: %v", rest)
	}
	other := newWorld(w.T, w.store)
	if list := other.holdings(uuid.Nil, 5); len(list) != 0 {
		w.Fatalf("of another realm: %v", list)
	}
}
