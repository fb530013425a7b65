package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

func (w *world) create(n auth.NewAccount) (auth.Account, error) {
	if n.Password == "" && n.PasswordHash == "" && n.Kind != auth.KindService {
		n.NoPassword = true
	}
	a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, n, client)
	return a, err
}

func TestThreat08_Lookalikes(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"admin", "big", "kelvin", "straße", "ΣΊΣΥΦΟΣ", "Ünal", "李雷"} {
		if _, err := w.create(auth.NewAccount{Username: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{
		"adm\u0130n", "\u1d2e\u1d35\u1d33", "\u212aelvin", "\u017fteve", "admin ", " admin", "ad min", "ad\u200bmin", "ad\u00admin", "\uff41dmin",
		"ad\x00min", "ad\nmin", "\u202eadmin", "\ufb01sh", "\u212b", "e\u0301ve", "\xff", strings.Repeat("a", 256),
	} {
		_, err := w.create(auth.NewAccount{Username: name})
		if auth.CodeOf(err) != auth.CodeInvalidInput {
			t.Errorf("%q was registered: %v", name, err)
		}
		if a, err := w.svc.FindAccount(w.ctx, w.realm.ID, name); err == nil && a.Username != "kelvin" && a.Username != "admin" {
			t.Errorf("%q finds %q", name, a.Username)
		}
	}
}

func TestAccount_OneNamespace(t *testing.T) {
	w := newWorld(t)
	if _, err := w.create(auth.NewAccount{Username: "Steve", Email: "steve@example.com"}); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]auth.NewAccount{
		"same name":         {Username: "steve"},
		"same name in caps": {Username: "STEVE"},
		"same e-mail":       {Email: "steve@example.com"},
		"same e-mail, caps": {Username: "other", Email: "STEVE@EXAMPLE.COM"},
		"number taken":      {Username: "third", Number: 1},
	} {
		if _, err := w.create(n); auth.CodeOf(err) != auth.CodeConflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string]auth.NewAccount{
		"foreign e-mail as name": {Username: "x@example.com", Email: "y@example.com"},
		"e-mail as name alone":   {Username: "x@example.com"},
		"nothing":                {},
		"no domain":              {Email: "x@"},
		"two ats":                {Email: "a@b@c"},
		"negative number":        {Username: "n", Number: -1},
		"control in org":         {Username: "n", Org: "a\nb"},
		"kind":                   {Username: "n", Kind: "robot"},
	} {
		if _, err := w.create(n); auth.CodeOf(err) != auth.CodeInvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.create(auth.NewAccount{Username: "own@example.com", Email: "Own@example.com"}); err != nil {
		t.Errorf("one's own e-mail address as username: %v", err)
	}
}

func TestAccount_NumbersSkipWhatIsTaken(t *testing.T) {
	w := newWorld(t)
	want := func(name string, number, expected int64) {
		t.Helper()
		a, err := w.create(auth.NewAccount{Username: name, Number: number})
		if err != nil || a.Number != expected {
			t.Fatalf("%s: number %d, %v; want %d", name, a.Number, err, expected)
		}
	}
	want("a", 0, 1)
	want("b", 2, 2)
	want("c", 0, 3)
	want("d", 5, 5)
	want("e", 0, 4)
	a, _ := w.svc.FindAccount(w.ctx, w.realm.ID, "e")
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, a.ID, "one", "6", client); err != nil {
		t.Fatal(err)
	}
	want("f", 0, 7) // 5 is taken, and somebody goes by 6
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	want("g", 0, 8) // the counter never goes back
}

func TestAccount_Alias(t *testing.T) {
	w := newWorld(t)
	steve, john := w.account("steve"), w.account("john")
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, steve.ID, "one", "legacy-7", client); err != nil {
		t.Fatal(err)
	}
	if g := w.signIn("steve"); g.Subject != "legacy-7" {
		t.Errorf("subject %q", g.Subject)
	}
	w.wantCode(w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "one", "legacy-7", client), auth.CodeConflict)
	w.wantCode(w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "one", "1", client), auth.CodeConflict) // steve's number
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "two", "legacy-7", client); err != nil {
		t.Error(err)
	}
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, steve.ID, "one", "", client); err != nil {
		t.Fatal(err)
	}
	if g := w.signIn("steve"); g.Subject != "1" {
		t.Errorf("subject %q after the alias was removed", g.Subject)
	}
}

func TestThreat45_RecycledNames(t *testing.T) {
	w := newWorld(t)
	old := w.account("steve")
	g := w.signIn("steve")
	jwt, err := w.svc.Sign(w.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	refresh := w.refreshToken(g)
	ticket := w.ticket("steve")
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, old.ID, client); err != nil {
		t.Fatal(err)
	}
	if again := w.account("steve"); again.ID == old.ID || again.Number == old.Number {
		t.Error("an id or a number was used again")
	}
	_, err = w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: jwt})
	w.wantCode(err, auth.CodeTokenInvalid)
	_, err = w.refresh(refresh)
	w.wantCode(err, auth.CodeTokenInvalid)
	_, err = w.passport(ticket, "")
	w.wantCode(err, auth.CodeTokenInvalid)
}

func TestAccount_Update(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	w.account("john")
	name, mail, taken, yes := "stephen", "stephen@example.com", "JOHN", true
	got, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, a.ID, auth.AccountChange{Username: &name, Email: &mail, EmailVerified: &yes}, client)
	if err != nil || got.Username != name || got.Email != mail || !got.EmailVerified {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	w.signIn("stephen")
	_, err = w.svc.UpdateAccount(w.ctx, w.realm.ID, a.ID, auth.AccountChange{Username: &taken}, client)
	w.wantCode(err, auth.CodeConflict)
	w.signIn("stephen") // nothing of the refused change is left
	other := "other@example.com"
	got, err = w.svc.UpdateAccount(w.ctx, w.realm.ID, a.ID, auth.AccountChange{Email: &other}, client)
	if err != nil || got.EmailVerified {
		t.Errorf("a new address counts as verified: %+v, %v", got, err)
	}
	_, err = w.svc.UpdateAccount(w.ctx, w.realm.ID, uuid.New(), auth.AccountChange{}, client)
	w.wantCode(err, auth.CodeNotFound)
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	mine, other := w.signIn("steve"), w.signIn("steve")
	jwt, err := w.svc.Sign(w.ctx, mine, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := auth.Presented{Token: jwt}
	w.wantCode(w.svc.ChangePassword(w.ctx, w.realm.ID, p, "wrong password", "another password", client), auth.CodeBadCredentials)
	w.wantCode(w.svc.ChangePassword(w.ctx, w.realm.ID, p, goodPassword, "short", client), auth.CodeInvalidInput)
	if err := w.svc.ChangePassword(w.ctx, w.realm.ID, p, goodPassword, "another password", client); err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.Identify(w.ctx, w.realm.ID, p); err != nil {
		t.Errorf("one's own session ended: %v", err)
	}
	_, err = w.refresh(w.refreshToken(other))
	w.wantCode(err, auth.CodeTokenInvalid)
	_, err = w.svc.SignIn(w.ctx, w.one, creds("steve", goodPassword), client)
	w.wantCode(err, auth.CodeBadCredentials)
	if _, err = w.svc.SignIn(w.ctx, w.one, creds("steve", "another password"), client); err != nil {
		t.Error(err)
	}
}

func TestIdentify_LivesAndEnds(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	g := w.mustPassport(w.ticket("steve"), "")
	p := auth.Presented{Token: string(g.Bearer)}
	for range 20 { // in use, it outlives the idle time
		w.advance(time.Hour)
		if _, err := w.svc.Identify(w.ctx, w.realm.ID, p); err != nil {
			t.Fatal(err)
		}
		w.settle(g.Session.ID)
	}
	w.advance(4 * time.Hour) // but not its absolute life
	_, err := w.svc.Identify(w.ctx, w.realm.ID, p)
	w.wantCode(err, auth.CodeSessionEnded)

	g = w.mustPassport(w.ticket("steve"), "")
	p.Token = string(g.Bearer)
	w.advance(12 * time.Hour)
	_, err = w.svc.Identify(w.ctx, w.realm.ID, p)
	w.wantCode(err, auth.CodeSessionEnded)

	g = w.mustPassport(w.ticket("steve"), "")
	p.Token = string(g.Bearer)
	if err := w.svc.Logout(w.ctx, w.realm.ID, p, client); err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Identify(w.ctx, w.realm.ID, p)
	w.wantCode(err, auth.CodeSessionEnded)
	if got := w.events(audit.SessionEnded); len(got) != 1 || got[0].Detail != "logout" {
		t.Errorf("audit log: %+v", got)
	}
}

// settle waits until the last use of a session, which is noted in the background, is stored.
func (w *world) settle(id uuid.UUID) {
	w.t.Helper()
	for range 5000 {
		if rec, err := w.store.SessionByID(w.ctx, w.realm.ID, id); err == nil && rec.LastUsedAt.Equal(w.clock()) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatal("the last use was not noted")
}

func TestKey_Rotation(t *testing.T) {
	w := newWorld(t)
	w.account("steve")
	sign := func() string {
		t.Helper()
		w.advance(time.Second)
		jwt, err := w.svc.Sign(w.ctx, w.signIn("steve"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	kid := func(jwt string) string { return jwt[:strings.IndexByte(jwt, '.')] }
	fresh := func() { // another node's view, which has not seen the old keys
		time.Sleep(2100 * time.Millisecond)
	}
	first := sign()
	if _, err := w.svc.RotateKey(w.ctx, w.realm.ID, auth.KeyRotation{Algorithm: "RS256", Ahead: time.Hour, TokenLife: 2 * time.Hour}, client); err != nil {
		t.Fatal(err)
	}
	fresh()
	if kid(sign()) != kid(first) {
		t.Error("the new key signs before it has been published for its time")
	}
	w.advance(time.Hour)
	second := sign()
	if kid(second) == kid(first) {
		t.Error("the new key does not sign")
	}
	if _, err := w.svc.RotateKey(w.ctx, w.realm.ID, auth.KeyRotation{Algorithm: "RS256", Now: true}, client); err != nil {
		t.Fatal(err)
	}
	fresh()
	_, err := w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: second})
	w.wantCode(err, auth.CodeTokenInvalid)
	if _, err := w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: sign()}); err != nil {
		t.Error(err)
	}
	_, err = w.svc.RotateKey(w.ctx, w.realm.ID, auth.KeyRotation{Algorithm: "RS256", Bits: 1024}, client)
	w.wantCode(err, auth.CodeInvalidInput)
}

func TestAccount_NamesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	steve := w.account("steve")
	for _, n := range []auth.NewAccount{
		{Username: steve.ID.String()}, // it would be taken for steve
		{Username: "a:b"},             // RFC 7617: a colon ends the name
		{Email: "a:b@example.com"},
	} {
		if _, err := w.create(n); auth.CodeOf(err) != auth.CodeInvalidInput {
			t.Errorf("%+v: %v", n, err)
		}
	}
	for _, name := range []string{"1ë", "_ë", "ë_", "Zoë-", "Zoë,%", "0123456789abcdef0123456789abcdef", "שלום", "ab1"} {
		if _, err := w.create(auth.NewAccount{Username: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.create(auth.NewAccount{Email: "1müller@example.com"}); err != nil {
		t.Error(err)
	}
	if _, err := w.create(auth.NewAccount{Username: "שa1"}); auth.CodeOf(err) != auth.CodeInvalidInput {
		t.Errorf("against the Bidi Rule: %v", err)
	}
	if got, err := w.svc.FindAccount(w.ctx, w.realm.ID, steve.ID.String()); err != nil || got.ID != steve.ID {
		t.Errorf("by id: %+v, %v", got, err)
	}
}

func TestAccount_AliasOfAnother(t *testing.T) {
	w := newWorld(t)
	steve, john := w.account("steve"), w.account("john")
	w.wantCode(w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "two", steve.ID.String(), client), auth.CodeConflict)
	w.wantCode(w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "two", "x\nOstiary-Roles: admin", client), auth.CodeInvalidInput)
	for _, own := range []string{john.ID.String(), uuid.NewString()} {
		if err := w.svc.SetAlias(w.ctx, w.realm.ID, john.ID, "two", own, client); err != nil {
			t.Errorf("%s: %v", own, err)
		}
	}
}

func TestEndSessions_EndsHalfDoneLogins(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	ticket := w.ticket("steve")
	if _, err := w.svc.EndSessions(w.ctx, w.realm.ID, a.ID, "test", client); err != nil {
		t.Fatal(err)
	}
	_, err := w.passport(ticket, "")
	w.wantCode(err, auth.CodeTokenInvalid)
	w.signIn("steve")
}

// The log says how much has ended, and nothing where nothing has.
func TestEndSessions_Event(t *testing.T) {
	w := newWorld(t)
	a := w.account("steve")
	end := func(wantN int, wantDetails ...string) {
		t.Helper()
		n, err := w.svc.EndSessions(w.ctx, w.realm.ID, a.ID, "test", client)
		var details []string
		for _, e := range w.events(audit.SessionEnded) {
			details = append(details, e.Detail)
		}
		if err != nil || n != wantN || !slices.Equal(details, wantDetails) {
			t.Fatalf("%d, %v; the log has %q", n, err, details)
		}
	}
	end(0)
	w.ticket("steve")
	end(0, "test sessions=0 half_done=1")
	end(0, "test sessions=0 half_done=1") // the ticket is void
	w.signIn("steve")
	w.signIn("steve")
	w.mustPassport(w.ticket("steve"), "")
	end(3, "test sessions=0 half_done=1", "test sessions=3 half_done=0")
}

func TestIdentify_ShortIdleTime(t *testing.T) {
	w := newWorld(t)
	w.two.SessionIdle = 20 * time.Second
	w.account("steve")
	g := w.mustPassport(w.ticket("steve"), "")
	for range 10 {
		w.advance(6 * time.Second)
		if _, err := w.svc.Identify(w.ctx, w.realm.ID, auth.Presented{Token: string(g.Bearer)}); err != nil {
			t.Fatalf("a session in use ended: %v", err)
		}
		w.settle(g.Session.ID)
	}
}

func TestFloor_FollowsTheStoredHashes(t *testing.T) {
	w := newWorld(t)
	const hash = "$2b$12$abcdefghijklmnopqrstuuS7n4K1kZvJ8d4l9ZkT5sK0T9kQ0s9Uy"
	schemes := func() []string {
		t.Helper()
		list, err := w.store.HashSchemes(w.ctx, w.realm.ID)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	w.account("own") // our own hashes are no scheme to be measured
	var ids []uuid.UUID
	for _, name := range []string{"one", "two"} {
		a, err := w.create(auth.NewAccount{Username: name, PasswordHash: hash})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	if got := schemes(); len(got) != 1 || got[0] != "bcrypt$12" {
		t.Fatalf("schemes %q", got)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, ids[0], client); err != nil {
		t.Fatal(err)
	}
	if got := schemes(); len(got) != 1 {
		t.Errorf("with one left: %q", got)
	}
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, ids[1], goodPassword, client); err != nil {
		t.Fatal(err)
	}
	if got := schemes(); len(got) != 0 {
		t.Errorf("with none left: %q", got)
	}
}
