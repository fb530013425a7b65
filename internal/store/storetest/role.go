package storetest

import (
	"slices"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

var roleCases = []testCase{
	{"BuiltIn", roleBuiltIn},
	{"RoundTrip", roleRoundTrip},
	{"Datasource", datasourceRoundTrip},
	{"Member", roleMember},
	{"Grant", roleGrant},
	{"Missing", roleMissing},
	{"Realms", roleRealms},
	{"Record", roleRecord},
	{"Delete", roleDelete},
	{"DeleteDatasource", datasourceDelete},
	{"DeleteAccount", roleDeleteAccount},
	{"Pages", rolePages},
	{"Many", roleMany},
}

func (w *world) role(names ...string) {
	w.Helper()
	for _, name := range names {
		w.in(func(tx auth.Tx) error { return tx.InsertRole(w.ctx, w.realm, name, w.now) })
	}
}

func (w *world) datasource(names ...string) {
	w.Helper()
	for _, name := range names {
		w.in(func(tx auth.Tx) error { return tx.InsertDatasource(w.ctx, w.realm, name, w.now) })
	}
}

func (w *world) addRole(account uuid.UUID, role string) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) { return tx.AddRole(w.ctx, w.realm, account, role, w.now) })
}

func (w *world) grant(role, datasource string) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) { return tx.GrantDatasource(w.ctx, w.realm, role, datasource, w.now) })
}

func (w *world) deleteRole(name string) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) {
		_, _, err := tx.DeleteRole(w.ctx, w.realm, name)
		return notFound(err)
	})
}

func (w *world) deleteDatasource(name string) bool {
	w.Helper()
	return w.yes(func(tx auth.Tx) (bool, error) {
		_, err := tx.DeleteDatasource(w.ctx, w.realm, name)
		return notFound(err)
	})
}

// roles are those of a realm that not every realm has.
func (w *world) roles(realm uuid.UUID) (out []auth.Role) {
	w.Helper()
	list, err := w.store.Roles(w.ctx, realm, "", 1000)
	w.wantErr("roles", err, nil)
	for _, r := range list {
		if !slices.Contains(auth.BuiltInRoles, r.Name) {
			out = append(out, r)
		}
	}
	return out
}

func (w *world) datasources(realm uuid.UUID) []auth.Datasource {
	w.Helper()
	list, err := w.store.Datasources(w.ctx, realm, "", 1000)
	w.wantErr("datasources", err, nil)
	return list
}

func (w *world) members(role string) (out []uuid.UUID) {
	w.Helper()
	list, err := w.store.RoleAccounts(w.ctx, w.realm, role, uuid.Nil, 1000)
	w.wantErr("members", err, nil)
	for _, a := range list {
		out = append(out, a.ID)
	}
	return out
}

// access is what an account may do.
func (w *world) access(account uuid.UUID) [2][]string {
	w.Helper()
	rec := w.byID(account)
	return [2][]string{rec.Roles, rec.Datasources}
}

func roleBuiltIn(w *world) {
	list, err := w.store.Roles(w.ctx, w.realm, "", 10)
	w.wantErr("roles", err, nil)
	w.same("a new realm's roles", list, []auth.Role{
		{Name: auth.RoleIntrospect, CreatedAt: w.now}, {Name: auth.RoleRevoke, CreatedAt: w.now}})
	w.same("its datasources", w.datasources(w.realm), []auth.Datasource(nil))
}

func roleRoundTrip(w *world) {
	w.role("reader")
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertRole(w.ctx, w.realm, "reader", w.now) })
	w.same("roles", w.roles(w.realm), []auth.Role{{Name: "reader", CreatedAt: w.now}})
	for name, want := range map[string]bool{"reader": true, "Reader": false, "reade": false, "": false} {
		there, err := w.store.HasRole(w.ctx, w.realm, name)
		w.same("has "+name, []any{there, err}, []any{want, nil})
	}
	w.role("Reader") // names are compared byte by byte
	if !w.deleteRole("reader") || w.deleteRole("reader") || w.deleteRole("nobody") {
		w.Fatal("a role is deleted once")
	}
	w.same("roles", w.roles(w.realm), []auth.Role{{Name: "Reader", CreatedAt: w.now}})
	w.role("reader")
}

func datasourceRoundTrip(w *world) {
	w.datasource("sales")
	w.fails(auth.ErrConflict, func(tx auth.Tx) error { return tx.InsertDatasource(w.ctx, w.realm, "sales", w.now) })
	w.same("datasources", w.datasources(w.realm), []auth.Datasource{{Name: "sales", CreatedAt: w.now}})
	for name, want := range map[string]bool{"sales": true, "Sales": false, "": false} {
		there, err := w.store.HasDatasource(w.ctx, w.realm, name)
		w.same("has "+name, []any{there, err}, []any{want, nil})
	}
	w.role("sales") // another kind of name
	if !w.deleteDatasource("sales") || w.deleteDatasource("sales") {
		w.Fatal("a datasource is deleted once")
	}
	w.same("datasources", w.datasources(w.realm), []auth.Datasource(nil))
	w.same("roles", len(w.roles(w.realm)), 1)
}

func roleMember(w *world) {
	a, b := w.account("anna"), w.account("bert")
	w.role("reader", "writer")
	if !w.addRole(a.ID, "reader") || w.addRole(a.ID, "reader") || !w.addRole(b.ID, "reader") || !w.addRole(a.ID, "writer") {
		w.Fatal("a role is given once")
	}
	w.same("members", w.members("reader"), []uuid.UUID{a.ID, b.ID})
	w.same("roles", w.roles(w.realm), []auth.Role{
		{Name: "reader", Accounts: 2, CreatedAt: w.now}, {Name: "writer", Accounts: 1, CreatedAt: w.now}})
	remove := func(account uuid.UUID, role string) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.RemoveRole(w.ctx, w.realm, account, role) })
	}
	if !remove(a.ID, "reader") || remove(a.ID, "reader") || remove(b.ID, "writer") || remove(b.ID, "nothing") {
		w.Fatal("a role is taken once")
	}
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		_, err := tx.RemoveRole(w.ctx, w.realm, newID(), "reader")
		return err
	})
	w.same("members", w.members("reader"), []uuid.UUID{b.ID})
	w.same("access", w.access(a.ID), [2][]string{{"writer"}, nil})
	a.Roles = []string{"writer"}
	w.same("nothing else of the account", w.byID(a.ID), a)
}

func roleGrant(w *world) {
	a := w.account("anna")
	w.role("reader", "writer")
	w.datasource("sales", "parts")
	w.addRole(a.ID, "reader")
	if !w.grant("reader", "sales") || w.grant("reader", "sales") || !w.grant("reader", "parts") || !w.grant("writer", "parts") {
		w.Fatal("a datasource is granted once")
	}
	w.same("roles", w.roles(w.realm), []auth.Role{
		{Name: "reader", Datasources: []string{"parts", "sales"}, Accounts: 1, CreatedAt: w.now},
		{Name: "writer", Datasources: []string{"parts"}, CreatedAt: w.now}})
	w.same("datasources", w.datasources(w.realm), []auth.Datasource{
		{Name: "parts", Roles: []string{"reader", "writer"}, CreatedAt: w.now},
		{Name: "sales", Roles: []string{"reader"}, CreatedAt: w.now}})
	w.same("access", w.access(a.ID), [2][]string{{"reader"}, {"parts", "sales"}})
	revoke := func(role, datasource string) bool {
		return w.yes(func(tx auth.Tx) (bool, error) { return tx.RevokeDatasource(w.ctx, w.realm, role, datasource) })
	}
	if !revoke("reader", "parts") || revoke("reader", "parts") || revoke("writer", "sales") || revoke("nobody", "sales") {
		w.Fatal("a grant is revoked once")
	}
	w.same("access", w.access(a.ID), [2][]string{{"reader"}, {"sales"}})
}

// roleMissing joins what the realm lacks with what it has.
func roleMissing(w *world) {
	a := w.account("anna")
	w.role("reader")
	w.datasource("sales")
	there, other := w.realm, w.newRealm().ID
	w.realm = other
	b := w.account("bert")
	w.role("theirs")
	w.datasource("theirs")
	w.realm = there
	for _, c := range []struct {
		account uuid.UUID
		role    string
	}{{a.ID, "nobody"}, {newID(), "reader"}, {a.ID, "theirs"}, {b.ID, "reader"}, {b.ID, "theirs"}} {
		w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
			_, err := tx.AddRole(w.ctx, w.realm, c.account, c.role, w.now)
			return err
		})
	}
	for _, c := range [][2]string{{"nobody", "sales"}, {"reader", "nothing"}, {"reader", "theirs"}, {"theirs", "sales"}} {
		w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
			_, err := tx.GrantDatasource(w.ctx, w.realm, c[0], c[1], w.now)
			return err
		})
	}
	// What was refused is not there either when the names come to be.
	w.role("nobody", "theirs")
	w.datasource("nothing", "theirs")
	for _, r := range append(w.roles(there), w.roles(other)...) {
		w.same(r.Name, r, auth.Role{Name: r.Name, CreatedAt: w.now})
	}
	w.same("access", w.access(a.ID), [2][]string{})
}

// roleRealms has the same names in two realms: what happens in one is not seen in the other.
func roleRealms(w *world) {
	fill := func() auth.AccountRecord {
		a := w.account("anna")
		w.role("reader")
		w.datasource("sales")
		w.addRole(a.ID, "reader")
		w.grant("reader", "sales")
		return a
	}
	mine := w.realm
	a := fill()
	w.realm = w.newRealm().ID
	b := fill()
	theirs := w.realm
	role := auth.Role{Name: "reader", Datasources: []string{"sales"}, Accounts: 1, CreatedAt: w.now}
	source := auth.Datasource{Name: "sales", Roles: []string{"reader"}, CreatedAt: w.now}
	whole := func(realm uuid.UUID, a auth.AccountRecord) {
		w.Helper()
		w.realm = realm
		w.same("roles", w.roles(realm), []auth.Role{role})
		w.same("datasources", w.datasources(realm), []auth.Datasource{source})
		w.same("members", w.members("reader"), []uuid.UUID{a.ID})
		w.same("access", w.access(a.ID), [2][]string{{"reader"}, {"sales"}})
	}
	whole(mine, a)
	whole(theirs, b)
	w.fails(auth.ErrNotFound, func(tx auth.Tx) error {
		_, err := tx.RemoveRole(w.ctx, mine, b.ID, "reader")
		return err
	})
	whole(theirs, b)
	w.realm = mine
	w.yes(func(tx auth.Tx) (bool, error) { return tx.RevokeDatasource(w.ctx, mine, "reader", "sales") })
	whole(theirs, b)
	w.realm = mine
	w.grant("reader", "sales")
	w.deleteDatasource("sales")
	w.deleteRole("reader")
	w.same("access", w.access(a.ID), [2][]string{})
	whole(theirs, b)
}

// roleRecord: every read of an account has its roles and datasources, sorted, each once.
func roleRecord(w *world) {
	a, b := w.account("anna"), w.account("bert")
	s, hash := w.chain(a.ID), newHash()
	w.in(func(tx auth.Tx) error { return tx.InsertSession(w.ctx, s, hash[:]) })
	read := func() map[string]auth.AccountRecord {
		byName, err := w.store.AccountByName(w.ctx, w.realm, a.Username, "one")
		w.wantErr("by name", err, nil)
		byBearer, err := w.store.SessionByBearer(w.ctx, w.realm, hash)
		w.wantErr("by bearer", err, nil)
		return map[string]auth.AccountRecord{"by name": byName, "by id": w.byID(a.ID),
			"session by id": w.sessionByID(s.ID).Account, "session by bearer": byBearer.Account}
	}
	for what, rec := range read() {
		w.same(what, rec, a)
	}
	w.role("z:z", "Z", "a.b", "_", "other")
	w.datasource("9", "x-y", "X", "shared", "theirs")
	for _, pair := range [][2]string{{"z:z", "x-y"}, {"z:z", "shared"}, {"a.b", "shared"}, {"a.b", "9"}, {"_", "X"}, {"other", "theirs"}} {
		w.grant(pair[0], pair[1])
	}
	for _, role := range []string{"z:z", "_", "a.b", "Z", auth.RoleRevoke} {
		w.addRole(a.ID, role)
	}
	w.addRole(b.ID, "other")
	a.Roles = []string{"Z", "_", "a.b", auth.RoleRevoke, "z:z"}
	a.Datasources = []string{"9", "X", "shared", "x-y"}
	for what, rec := range read() {
		w.same(what, rec, a)
	}
	w.same("the other", w.access(b.ID), [2][]string{{"other"}, {"theirs"}})
}

func roleDelete(w *world) {
	a := w.account("anna")
	w.role("reader", "writer")
	w.datasource("sales")
	for _, role := range []string{"reader", "writer"} {
		w.addRole(a.ID, role)
		w.grant(role, "sales")
	}
	if !w.deleteRole("reader") {
		w.Fatal("not deleted")
	}
	w.same("access", w.access(a.ID), [2][]string{{"writer"}, {"sales"}})
	w.same("datasources", w.datasources(w.realm), []auth.Datasource{{Name: "sales", Roles: []string{"writer"}, CreatedAt: w.now}})
	w.role("reader") // a new one, with nothing of the old one
	w.same("roles", w.roles(w.realm), []auth.Role{{Name: "reader", CreatedAt: w.now},
		{Name: "writer", Datasources: []string{"sales"}, Accounts: 1, CreatedAt: w.now}})
	w.same("access", w.access(a.ID), [2][]string{{"writer"}, {"sales"}})
	w.same("members", w.members("reader"), []uuid.UUID(nil))
}

func datasourceDelete(w *world) {
	a := w.account("anna")
	w.role("reader")
	w.datasource("sales", "parts")
	w.addRole(a.ID, "reader")
	w.grant("reader", "sales")
	w.grant("reader", "parts")
	if !w.deleteDatasource("sales") {
		w.Fatal("not deleted")
	}
	w.datasource("sales")
	w.same("access", w.access(a.ID), [2][]string{{"reader"}, {"parts"}})
	w.same("roles", w.roles(w.realm), []auth.Role{{Name: "reader", Datasources: []string{"parts"}, Accounts: 1, CreatedAt: w.now}})
	w.same("datasources", w.datasources(w.realm), []auth.Datasource{
		{Name: "parts", Roles: []string{"reader"}, CreatedAt: w.now}, {Name: "sales", CreatedAt: w.now}})
}

func roleDeleteAccount(w *world) {
	a, b := w.account("anna"), w.account("bert")
	w.role("reader")
	w.addRole(a.ID, "reader")
	w.addRole(b.ID, "reader")
	w.yes(func(tx auth.Tx) (bool, error) { return tx.DeleteAccount(w.ctx, w.realm, a.ID, w.now) })
	w.same("members", w.members("reader"), []uuid.UUID{b.ID})
	w.same("counted", w.roles(w.realm)[0].Accounts, 1)
	w.same("access of a new account of that name", w.access(w.account("anna").ID), [2][]string{})
}
