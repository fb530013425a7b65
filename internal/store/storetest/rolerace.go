package storetest

import (
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/auth"
)

// raceAddRole: of many who give an account a role, one changes something.
func raceAddRole(w *world) {
	a := w.account("anna")
	w.role("reader")
	n := w.raceTx(racers, func(tx auth.Tx, _ int) (bool, error) { return tx.AddRole(w.ctx, w.realm, a.ID, "reader", w.now) })
	w.same("added", n, 1)
	w.same("members", len(w.members("reader")), 1)
}

// raceRoleAndMember gives a role to accounts while it is deleted: none has it after that.
func raceRoleAndMember(w *world) {
	people := w.accounts(8)
	w.datasource("sales")
	for range 10 {
		w.role("reader")
		w.grant("reader", "sales")
		w.race(len(people)+1, func(i int) (bool, error) {
			return notFound(w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
				if i == len(people) {
					_, _, err = tx.DeleteRole(w.ctx, w.realm, "reader")
				} else {
					_, err = tx.AddRole(w.ctx, w.realm, people[i].ID, "reader", w.now)
				}
				return err
			}))
		})
		for _, a := range people {
			w.same("access", w.access(a.ID), [2][]string{})
		}
	}
	w.role("reader")
	w.same("roles", w.roles(w.realm), []auth.Role{{Name: "reader", CreatedAt: w.now}})
}

// raceAccountAndRole gives roles to an account while it is deleted.
func raceAccountAndRole(w *world) {
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("role%d", i))
	}
	w.role(names...)
	for round := range 10 {
		a := w.account(fmt.Sprintf("user%d", round))
		w.race(len(names)+1, func(i int) (bool, error) {
			return notFound(w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
				if i == len(names) {
					_, err = tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now)
				} else {
					_, err = tx.AddRole(w.ctx, w.realm, a.ID, names[i], w.now)
				}
				return err
			}))
		})
	}
	for _, r := range w.roles(w.realm) {
		w.same(r.Name, r.Accounts, 0)
	}
}

// raceGrant grants datasources to roles while one of each is deleted.
func raceGrant(w *world) {
	w.role("reader", "writer")
	w.datasource("sales", "parts")
	pairs := [][2]string{{"reader", "sales"}, {"reader", "parts"}, {"writer", "sales"}, {"writer", "parts"}}
	for range 10 {
		w.race(3*len(pairs)+2, func(i int) (bool, error) {
			return notFound(w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
				switch i {
				case 3 * len(pairs):
					_, _, err = tx.DeleteRole(w.ctx, w.realm, "reader")
				case 3*len(pairs) + 1:
					_, err = tx.DeleteDatasource(w.ctx, w.realm, "sales")
				default:
					p := pairs[i%len(pairs)]
					_, err = tx.GrantDatasource(w.ctx, w.realm, p[0], p[1], w.now)
				}
				return err
			}))
		})
		w.role("reader")
		w.datasource("sales")
		i := slices.IndexFunc(w.roles(w.realm), func(r auth.Role) bool { return r.Name == "reader" })
		w.same("the new role", w.roles(w.realm)[i], auth.Role{Name: "reader", CreatedAt: w.now})
		w.same("what the other role opens", w.roles(w.realm)[1-i].Datasources, []string{"parts"})
	}
}
