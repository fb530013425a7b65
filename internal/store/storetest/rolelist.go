package storetest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// rolePages pages through all lists: every name once, in the order of their bytes.
func rolePages(w *world) {
	names := []string{"-", "0", "A", "Z", "_", "a", "a-", "a.", "aa", "b", "z"}
	w.role(names...)
	w.datasource(names...)
	var want []uuid.UUID
	for _, a := range w.accounts(len(names)) {
		w.addRole(a.ID, "a")
		want = append(want, a.ID)
	}
	for _, name := range names {
		w.grant("a", name)
		w.grant(name, "a")
	}
	slices.SortFunc(want, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	for _, size := range []int{1, 3, 100} {
		roles := pages(w, size, "", func(after string) ([]auth.Role, error) { return w.store.Roles(w.ctx, w.realm, after, size) },
			func(r auth.Role) string { return r.Name })
		all := append(slices.Clone(names), auth.BuiltInRoles...)
		slices.Sort(all)
		w.same("roles", roles, all)
		w.same("datasources", pages(w, size, "", func(after string) ([]auth.Datasource, error) {
			return w.store.Datasources(w.ctx, w.realm, after, size)
		}, func(d auth.Datasource) string { return d.Name }), names)
		w.same("members", pages(w, size, uuid.Nil, func(after uuid.UUID) ([]auth.Account, error) {
			return w.store.RoleAccounts(w.ctx, w.realm, "a", after, size)
		}, func(a auth.Account) uuid.UUID { return a.ID }), want)
	}
	w.in(func(tx auth.Tx) error {
		opened, err := tx.DeleteDatasource(w.ctx, w.realm, "a")
		w.same("what opened a datasource", opened, names)
		return err
	})
	w.in(func(tx auth.Tx) error {
		members, opens, err := tx.DeleteRole(w.ctx, w.realm, "a")
		w.same("what a role opened", opens, slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "a" }))
		w.same("who had it", members, want)
		return err
	})
}

// pages reads all pages of a list and returns the keys that they are ordered by.
func pages[T, K any](w *world, size int, after K, read func(after K) ([]T, error), key func(T) K) (keys []K) {
	w.Helper()
	for {
		page, err := read(after)
		w.wantErr("a page", err, nil)
		if len(page) > size {
			w.Fatalf("a page of %d has %d", size, len(page))
		}
		if len(page) == 0 {
			return keys
		}
		for _, v := range page {
			keys = append(keys, key(v))
		}
		after = keys[len(keys)-1]
	}
}

// roleMany opens 1,000 datasources by several roles, each datasource by two of them.
func roleMany(w *world) {
	a := w.account("anna")
	const roles, sources = 10, 1000
	var want auth.AccountRecord
	w.in(func(tx auth.Tx) error {
		want = a
		for i := range roles {
			name := fmt.Sprintf("role-%d", i)
			want.Roles = append(want.Roles, name)
			if err := tx.InsertRole(w.ctx, w.realm, name, w.now); err != nil {
				return err
			}
			if _, err := tx.AddRole(w.ctx, w.realm, a.ID, name, w.now); err != nil {
				return err
			}
		}
		for i := range sources {
			name := fmt.Sprintf("a-datasource-with-a-name-as-long-as-names-can-be:%015d", i)
			want.Datasources = append(want.Datasources, name)
			if err := tx.InsertDatasource(w.ctx, w.realm, name, w.now); err != nil {
				return err
			}
			for _, role := range []int{i % roles, (i + 1) % roles} {
				if _, err := tx.GrantDatasource(w.ctx, w.realm, want.Roles[role], name, w.now); err != nil {
					return err
				}
			}
		}
		return nil
	})
	w.same("the length of names", len(want.Datasources[0]), 64)
	w.same("by id", w.byID(a.ID), want)
	w.same("of a session", w.sessionByID(w.session(a.ID).ID).Account, want)
	if got := w.roles(w.realm)[0].Datasources; len(got) != 2*sources/roles || !slices.IsSorted(got) {
		w.Fatalf("a role has %d datasources", len(got))
	}
}
