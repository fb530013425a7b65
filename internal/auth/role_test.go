package auth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// accessWorld is a world whose audit log is looked at after each change.
type accessWorld struct {
	*world
	seen int // how many entries were looked at
}

func newAccessWorld(t *testing.T) *accessWorld {
	t.Helper()
	return &accessWorld{world: newWorld(t)}
}

var operator = auth.Client{Actor: "operator", RequestID: "r7"}

// accessKinds are the entries that a change of roles or datasources leaves.
var accessKinds = []audit.Kind{audit.RoleCreated, audit.RoleDeleted, audit.RoleAdded, audit.RoleRemoved,
	audit.DatasourceCreated, audit.DatasourceDeleted, audit.DatasourceGranted, audit.DatasourceRevoked}

// accessEvents are a realm's entries of those kinds, oldest first.
func (w *accessWorld) accessEvents(realm uuid.UUID) (out []audit.Event) {
	w.t.Helper()
	list, err := w.svc.ListAudit(w.ctx, realm, auth.AuditFilter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(e audit.Event) bool { return !slices.Contains(accessKinds, e.Kind) })
}

// done fails unless a change succeeds and leaves exactly the given entry, or none for "".
func (w *accessWorld) done(err error, kind audit.Kind, account uuid.UUID, detail string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	all := w.accessEvents(w.realm.ID)
	fresh := all[w.seen:]
	w.seen = len(all)
	if kind == "" {
		if len(fresh) != 0 {
			w.t.Fatalf("what changed nothing left %+v", fresh)
		}
		return
	}
	if len(fresh) != 1 {
		w.t.Fatalf("%d entries, want one %s", len(fresh), kind)
	}
	e := fresh[0]
	if e.Kind != kind || e.Account != account || e.Detail != detail || e.Actor != operator.Actor || e.RequestID != operator.RequestID ||
		!e.At.Equal(w.clock()) || e.RealmID != w.realm.ID {
		w.t.Fatalf("got the entry %+v, want %s of %s, %q", e, kind, account, detail)
	}
}

// refused fails unless a change fails with the code, says why, and leaves no entry.
func (w *accessWorld) refused(err error, code auth.Code, says string) {
	w.t.Helper()
	w.wantCode(err, code)
	if detail := auth.AsError(err).Detail; !strings.Contains(detail, says) {
		w.t.Fatalf("it says %q, want %q", detail, says)
	}
	w.done(nil, "", uuid.Nil, "")
}

func TestRole_Changes(t *testing.T) {
	w := newAccessWorld(t)
	realm, a := w.realm.ID, w.account("steve")
	none, s := uuid.Nil, w.svc
	w.done(s.CreateRole(w.ctx, realm, "reader", operator), audit.RoleCreated, none, "reader")
	w.refused(s.CreateRole(w.ctx, realm, "reader", operator), auth.CodeConflict, `the role "reader" exists`)
	w.done(s.CreateDatasource(w.ctx, realm, "sales", operator), audit.DatasourceCreated, none, "sales")
	w.refused(s.CreateDatasource(w.ctx, realm, "sales", operator), auth.CodeConflict, `the datasource "sales" exists`)

	w.done(s.AddRole(w.ctx, realm, a.ID, "reader", operator), audit.RoleAdded, a.ID, "reader")
	w.done(s.AddRole(w.ctx, realm, a.ID, "reader", operator), "", none, "")
	w.done(s.GrantDatasource(w.ctx, realm, "reader", "sales", operator), audit.DatasourceGranted, none, "reader sales")
	w.done(s.GrantDatasource(w.ctx, realm, "reader", "sales", operator), "", none, "")
	w.wantAccess(a, "reader", "sales")

	w.done(s.RevokeDatasource(w.ctx, realm, "reader", "sales", operator), audit.DatasourceRevoked, none, "reader sales")
	w.done(s.RevokeDatasource(w.ctx, realm, "reader", "sales", operator), "", none, "")
	w.wantAccess(a, "reader", "")
	w.done(s.RemoveRole(w.ctx, realm, a.ID, "reader", operator), audit.RoleRemoved, a.ID, "reader")
	w.done(s.RemoveRole(w.ctx, realm, a.ID, "reader", operator), "", none, "")
	w.wantAccess(a, "", "")

	w.done(s.DeleteDatasource(w.ctx, realm, "sales", operator), audit.DatasourceDeleted, none, "sales")
	w.refused(s.DeleteDatasource(w.ctx, realm, "sales", operator), auth.CodeNotFound, `there is no datasource "sales"`)
	w.done(s.DeleteRole(w.ctx, realm, "reader", operator), audit.RoleDeleted, none, "reader")
	w.refused(s.DeleteRole(w.ctx, realm, "reader", operator), auth.CodeNotFound, `there is no role "reader"`)
}

// wantAccess compares an account's roles and datasources, each with spaces between them.
func (w *accessWorld) wantAccess(a auth.Account, roles, datasources string) {
	w.t.Helper()
	r, d, err := w.svc.Access(w.ctx, a.RealmID, a.ID)
	if err != nil || strings.Join(r, " ") != roles || strings.Join(d, " ") != datasources {
		w.t.Fatalf("roles %q, datasources %q, %v; want %q, %q", r, d, err, roles, datasources)
	}
}

func TestRole_Names(t *testing.T) {
	w := newAccessWorld(t)
	for _, name := range []string{"", strings.Repeat("a", 65), "a b", "ä", "a,b", "a+b", "a\n", "\x00", "a/b", "\xff", `a"b`, "+1"} {
		w.refused(w.svc.CreateRole(w.ctx, w.realm.ID, name, operator), auth.CodeInvalidInput, "use letters, digits")
		w.refused(w.svc.CreateDatasource(w.ctx, w.realm.ID, name, operator), auth.CodeInvalidInput, "use letters, digits")
	}
	for _, name := range []string{"a", strings.Repeat("a", 64), "A.b_c:d-0", "-", "ostiary", "ostiaryx:other"} {
		w.done(w.svc.CreateRole(w.ctx, w.realm.ID, name, operator), audit.RoleCreated, uuid.Nil, name)
		w.done(w.svc.CreateDatasource(w.ctx, w.realm.ID, name, operator), audit.DatasourceCreated, uuid.Nil, name)
	}
}

// TestRole_BuiltIn: every realm has them, from the start and for good.
func TestRole_BuiltIn(t *testing.T) {
	w := newAccessWorld(t)
	a := w.account("robot")
	for _, name := range auth.BuiltInRoles {
		w.done(w.svc.CreateRole(w.ctx, w.realm.ID, name, operator), "", uuid.Nil, "")
		w.refused(w.svc.DeleteRole(w.ctx, w.realm.ID, name, operator), auth.CodeInvalidInput, "the server's own")
		w.done(w.svc.AddRole(w.ctx, w.realm.ID, a.ID, name, operator), audit.RoleAdded, a.ID, name)
		w.done(w.svc.RemoveRole(w.ctx, w.realm.ID, a.ID, name, operator), audit.RoleRemoved, a.ID, name)
	}
	for _, name := range []string{"ostiary:other", "ostiary:", "ostiary:introspect:x", "Ostiary:introspect", "OSTIARY:x"} {
		w.refused(w.svc.CreateRole(w.ctx, w.realm.ID, name, operator), auth.CodeInvalidInput, "the server's own")
	}
	list, err := w.svc.ListRoles(w.ctx, w.realm.ID, "", 10)
	if err != nil || len(list) != 2 || list[0].Name != auth.RoleIntrospect || list[1].Name != auth.RoleRevoke {
		t.Fatalf("got %+v, %v", list, err)
	}
}

func TestRole_Missing(t *testing.T) {
	w := newAccessWorld(t)
	realm, a, s := w.realm.ID, w.account("steve"), w.svc
	w.done(s.CreateRole(w.ctx, realm, "reader", operator), audit.RoleCreated, uuid.Nil, "reader")
	w.done(s.CreateDatasource(w.ctx, realm, "sales", operator), audit.DatasourceCreated, uuid.Nil, "sales")
	const role, source = `there is no role "nobody"`, `there is no datasource "nothing"`
	for _, c := range []struct {
		err  error
		says string
	}{
		{s.AddRole(w.ctx, realm, a.ID, "nobody", operator), role},
		{s.RemoveRole(w.ctx, realm, a.ID, "nobody", operator), role},
		{s.GrantDatasource(w.ctx, realm, "nobody", "sales", operator), role},
		{s.RevokeDatasource(w.ctx, realm, "nobody", "sales", operator), role},
		{s.GrantDatasource(w.ctx, realm, "reader", "nothing", operator), source},
		{s.RevokeDatasource(w.ctx, realm, "reader", "nothing", operator), source},
		{s.AddRole(w.ctx, realm, uuid.MustParse(testNobody), "reader", operator), "there is no account " + testNobody},
	} {
		w.refused(c.err, auth.CodeNotFound, c.says)
	}
	// What a role that is not there was not given, one of that name does not have later.
	w.done(s.CreateRole(w.ctx, realm, "nobody", operator), audit.RoleCreated, uuid.Nil, "nobody")
	w.wantAccess(a, "", "")
}

const testNobody = "0190f0f0-0000-7000-8000-000000000001"

func TestRole_OfNewAccount(t *testing.T) {
	w := newAccessWorld(t)
	realm, s := w.realm.ID, w.svc
	w.done(s.CreateRole(w.ctx, realm, "reader", operator), audit.RoleCreated, uuid.Nil, "reader")
	n := auth.NewAccount{Username: "robot", Kind: auth.KindService, Roles: []string{"reader", auth.RoleIntrospect, "reader"}}
	a, secret, err := s.CreateAccount(w.ctx, realm, n, operator)
	if err != nil || secret == "" {
		t.Fatal(err)
	}
	w.wantAccess(a, "ostiary:introspect reader", "")
	var got []string
	for _, e := range w.accessEvents(realm)[w.seen:] {
		if e.Kind != audit.RoleAdded || e.Account != a.ID || e.Actor != operator.Actor {
			t.Errorf("got %+v", e)
		}
		got = append(got, e.Detail)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != "ostiary:introspect reader" {
		t.Errorf("entries of %q", got)
	}
	w.seen += len(got)

	n = auth.NewAccount{Username: "steve", NoPassword: true, Roles: []string{"reader", "nobody"}}
	_, _, err = s.CreateAccount(w.ctx, realm, n, operator)
	w.refused(err, auth.CodeNotFound, `there is no role "nobody"`)
	_, err = s.FindAccount(w.ctx, realm, "steve")
	w.wantCode(err, auth.CodeNotFound)
	if list, err := s.RoleAccounts(w.ctx, realm, "reader", uuid.Nil, 10); err != nil || len(list) != 1 || list[0].ID != a.ID {
		t.Errorf("the role is had by %+v, %v", list, err)
	}
	n.Roles = nil
	if next, _, err := s.CreateAccount(w.ctx, realm, n, operator); err != nil || next.Number != a.Number+1 {
		t.Errorf("what was refused took a number: %d, %v", next.Number, err)
	}
}

// Whoever loses something by a deletion has an entry of it, by whoever deleted.
func TestRole_DeletionIsRecorded(t *testing.T) {
	w := newAccessWorld(t)
	realm, s := w.realm.ID, w.svc
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"reader", "writer"} {
		must(s.CreateRole(w.ctx, realm, name, operator))
	}
	for _, name := range []string{"parts", "sales"} {
		must(s.CreateDatasource(w.ctx, realm, name, operator))
		must(s.GrantDatasource(w.ctx, realm, "reader", name, operator))
	}
	must(s.GrantDatasource(w.ctx, realm, "writer", "sales", operator))
	var want []string
	must(w.store.InTx(w.ctx, func(tx auth.Tx) error { // more than are read at a time
		want = nil
		for i := range 501 {
			rec := auth.AccountRecord{Account: auth.Account{ID: uuid.Must(uuid.NewV7()), RealmID: realm, Number: int64(i + 1), Kind: auth.KindPerson}}
			if err := tx.InsertAccount(w.ctx, rec, nil); err != nil {
				return err
			}
			if _, err := tx.AddRole(w.ctx, realm, rec.ID, "reader", w.clock()); err != nil {
				return err
			}
			want = append(want, "role_removed "+rec.ID.String()+" reader")
		}
		return nil
	}))
	fresh := func(err error) (got []string) {
		t.Helper()
		must(err)
		all := w.accessEvents(realm)
		for _, e := range all[w.seen:] {
			if e.Actor != operator.Actor || e.RequestID != operator.RequestID {
				t.Errorf("by somebody else: %+v", e)
			}
			got = append(got, string(e.Kind)+" "+e.Account.String()+" "+e.Detail)
		}
		w.seen = len(all)
		return got
	}
	fresh(nil)
	none := uuid.Nil.String()
	want = append(want, "datasource_revoked "+none+" reader parts", "datasource_revoked "+none+" reader sales", "role_deleted "+none+" reader")
	if got := fresh(s.DeleteRole(w.ctx, realm, "reader", operator)); !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d, the last %q", len(got), len(want), got[max(0, len(got)-4):])
	}
	want = []string{"datasource_revoked " + none + " writer sales", "datasource_deleted " + none + " sales"}
	if got := fresh(s.DeleteDatasource(w.ctx, realm, "sales", operator)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestThreat45_RecycledAccess(t *testing.T) {
	w := newAccessWorld(t)
	realm, a, s := w.realm.ID, w.account("steve"), w.svc
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	must(s.CreateRole(w.ctx, realm, "reader", operator), s.CreateDatasource(w.ctx, realm, "sales", operator),
		s.AddRole(w.ctx, realm, a.ID, "reader", operator), s.GrantDatasource(w.ctx, realm, "reader", "sales", operator))
	w.wantAccess(a, "reader", "sales")
	must(s.DeleteDatasource(w.ctx, realm, "sales", operator), s.CreateDatasource(w.ctx, realm, "sales", operator))
	w.wantAccess(a, "reader", "")
	must(s.GrantDatasource(w.ctx, realm, "reader", "sales", operator),
		s.DeleteRole(w.ctx, realm, "reader", operator), s.CreateRole(w.ctx, realm, "reader", operator))
	w.wantAccess(a, "", "")
	must(s.AddRole(w.ctx, realm, a.ID, "reader", operator))
	w.wantAccess(a, "reader", "") // and the role opens nothing
	must(s.DeleteAccount(w.ctx, realm, a.ID, operator))
	w.wantAccess(w.account("steve"), "", "")
	list, err := s.ListRoles(w.ctx, realm, "p", 1)
	if err != nil || len(list) != 1 || list[0].Name != "reader" || list[0].Accounts != 0 || list[0].Datasources != nil {
		t.Errorf("got %+v, %v", list, err)
	}
}

// TestThreat54_AccessOfOtherRealm: what is another realm's is as if it were nowhere.
func TestThreat54_AccessOfOtherRealm(t *testing.T) {
	w := newAccessWorld(t)
	s, a := w.svc, w.account("steve")
	other, err := s.CreateRealm(w.ctx, "other", operator)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.CreateAccount(w.ctx, other.ID, auth.NewAccount{Username: "steve", NoPassword: true}, operator)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.CreateRole(w.ctx, other.ID, "theirs", operator), s.CreateDatasource(w.ctx, other.ID, "vault", operator),
		s.GrantDatasource(w.ctx, other.ID, "theirs", "vault", operator), s.AddRole(w.ctx, other.ID, b.ID, "theirs", operator),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := len(w.accessEvents(other.ID))
	mine := w.realm.ID
	w.done(s.CreateRole(w.ctx, mine, "mine", operator), audit.RoleCreated, uuid.Nil, "mine")
	nobody := uuid.MustParse(testNobody)
	alike := strings.NewReplacer("theirs", "absent", "vault", "absent", b.ID.String(), testNobody)
	for _, c := range []struct{ foreign, absent error }{
		{s.AddRole(w.ctx, mine, a.ID, "theirs", operator), s.AddRole(w.ctx, mine, a.ID, "absent", operator)},
		{s.AddRole(w.ctx, mine, b.ID, "mine", operator), s.AddRole(w.ctx, mine, nobody, "mine", operator)},
		{s.RemoveRole(w.ctx, mine, b.ID, "theirs", operator), s.RemoveRole(w.ctx, mine, b.ID, "absent", operator)},
		{s.DeleteRole(w.ctx, mine, "theirs", operator), s.DeleteRole(w.ctx, mine, "absent", operator)},
		{s.DeleteDatasource(w.ctx, mine, "vault", operator), s.DeleteDatasource(w.ctx, mine, "absent", operator)},
		{s.GrantDatasource(w.ctx, mine, "mine", "vault", operator), s.GrantDatasource(w.ctx, mine, "mine", "absent", operator)},
		{s.RevokeDatasource(w.ctx, mine, "theirs", "vault", operator), s.RevokeDatasource(w.ctx, mine, "absent", "vault", operator)},
		{accessError(s.Access(w.ctx, mine, b.ID)), accessError(s.Access(w.ctx, mine, nobody))},
	} {
		w.refused(c.foreign, auth.CodeNotFound, "")
		w.refused(c.absent, auth.CodeNotFound, "")
		if got, want := auth.AsError(c.foreign).Detail, auth.AsError(c.absent).Detail; alike.Replace(got) != want {
			t.Errorf("%q for what is foreign, %q for what is absent", got, want)
		}
	}
	// The names are free here, and lead to nothing there.
	w.done(s.CreateRole(w.ctx, mine, "theirs", operator), audit.RoleCreated, uuid.Nil, "theirs")
	w.done(s.AddRole(w.ctx, mine, a.ID, "theirs", operator), audit.RoleAdded, a.ID, "theirs")
	w.refused(s.RemoveRole(w.ctx, mine, b.ID, "theirs", operator), auth.CodeNotFound, "there is no account "+b.ID.String())
	w.wantAccess(a, "theirs", "")
	err = s.DeleteRole(w.ctx, mine, "theirs", operator)
	w.seen++ // that a loses it
	w.done(err, audit.RoleDeleted, uuid.Nil, "theirs")
	w.wantAccess(b, "theirs", "vault")
	if list, err := s.ListDatasources(w.ctx, mine, "", 10); err != nil || len(list) != 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	if got := len(w.accessEvents(other.ID)); got != before {
		t.Errorf("the other realm has %d new entries", got-before)
	}
}

func accessError(_, _ []string, err error) error { return err }
