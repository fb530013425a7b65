package verify

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/token"
)

// view is how old what a node says of an account may be.
const viewTime = 2 * time.Second

// TestThreat40_StaleViews: what one node changes shows there at once, and at another one
// when its views are two seconds old.
func TestThreat40_StaleViews(t *testing.T) {
	h := build(t)
	other := h.node(t)
	ctx, realm, none := t.Context(), h.one.ID, auth.Client{}
	for what, c := range map[string]struct {
		change func(a auth.Account, g *auth.Grant) error
		gone   bool // or else the role "admin", or its datasource alone, is
	}{
		"logout": {func(_ auth.Account, g *auth.Grant) error {
			r := h.ask(t, "POST", "/ostiary/logout", "", "Authorization: Bearer "+h.token(t, g))
			if r.StatusCode != 204 {
				return fmt.Errorf("%d %s", r.StatusCode, r.body)
			}
			return nil
		}, true},
		"its session revoked": {func(_ auth.Account, g *auth.Grant) error {
			return h.svc.EndSession(ctx, realm, g.Session.ID, "test", none)
		}, true},
		"its token revoked": {func(_ auth.Account, g *auth.Grant) error { return h.svc.Revoke(ctx, realm, h.token(t, g), none) }, true},
		"its sessions ended": {func(a auth.Account, _ *auth.Grant) error {
			_, err := h.svc.EndSessions(ctx, realm, a.ID, "test", none)
			return err
		}, true},
		"disabled":     {func(a auth.Account, _ *auth.Grant) error { return h.svc.SetDisabled(ctx, realm, a.ID, true, none) }, true},
		"deleted":      {func(a auth.Account, _ *auth.Grant) error { return h.svc.DeleteAccount(ctx, realm, a.ID, none) }, true},
		"its password": {func(a auth.Account, _ *auth.Grant) error { return h.svc.SetPassword(ctx, realm, a.ID, pass, none) }, true},
		"role removed": {func(a auth.Account, _ *auth.Grant) error { return h.svc.RemoveRole(ctx, realm, a.ID, a.Org, none) }, false},
		"role deleted": {func(a auth.Account, _ *auth.Grant) error { return h.svc.DeleteRole(ctx, realm, a.Org, none) }, false},
		"grant revoked": {func(a auth.Account, _ *auth.Grant) error {
			return h.svc.RevokeDatasource(ctx, realm, a.Org, a.Org, none)
		}, false},
		"datasource deleted": {func(a auth.Account, _ *auth.Grant) error {
			return h.svc.DeleteDatasource(ctx, realm, a.Org, none)
		}, false},
	} {
		for _, d := range []auth.Dialect{plain, opaque} {
			name := strings.ReplaceAll(what, " ", "-") + "-" + string(d)
			a := h.account(t, "one", name)
			h.equip(t, a, name, name)
			a.Org = name
			g := h.login(t, "one/"+string(d), name)
			bearer := "Authorization: Bearer " + h.token(t, g)
			for _, node := range []*house{h, other} {
				node.shows(t, what+" before", bearer, name, name)
			}
			if err := c.change(a, g); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			after := func(node *house, where string) {
				if c.gone {
					for _, door := range bearerDoors[:3] {
						method, path, _ := strings.Cut(door, " ")
						node.ask(t, method, path, "", bearer).refused(t, what+" "+where+" "+door, challengeInvalid)
					}
					return
				}
				role := name
				if strings.HasPrefix(what, "role") {
					role = ""
				}
				node.shows(t, what+" "+where, bearer, role, "")
			}
			after(h, "at the same node")
			h.clock.add(viewTime - time.Millisecond)
			if !c.gone { // that the store is not asked each time
				other.shows(t, what+" a moment later at the other node", bearer, name, name)
			}
			h.clock.add(time.Millisecond)
			after(other, "at the other node")
		}
	}
}

// shows checks that all that tells of an identity tells of the same role and datasource.
func (h *house) shows(t *testing.T, what, bearer, role, datasource string) {
	t.Helper()
	r, assertion := h.verdict(t, bearer)
	if got := r.Header.Get("Ostiary-Roles") + " " + r.Header.Get("Ostiary-Datasources"); got != role+" "+datasource {
		t.Errorf("%s: verify says %s", what, got)
	}
	_, claims := h.opened(t, assertion)
	if got := fmt.Sprintf("[%s] [%s]", role, datasource); fmt.Sprint(claims["roles"], " ", claims["datasources"]) != got {
		t.Errorf("%s: the assertion says %v", what, claims)
	}
	list := func(name string) string {
		if name == "" {
			return "[]"
		}
		return `["` + name + `"]`
	}
	who := h.ask(t, "GET", "/ostiary/whoami", "", bearer)
	if want := `"roles":` + list(role) + `,"datasources":` + list(datasource); !strings.Contains(who.body, want) {
		t.Errorf("%s: whoami says %s", what, who.body)
	}
	for query, has := range map[string]string{"role": role, "datasource": datasource} {
		want := 200
		if has == "" {
			want, has = 403, "admin"
		}
		if r := h.ask(t, "GET", "/ostiary/verify?"+query+"="+has, "", bearer); r.StatusCode != want {
			t.Errorf("%s: %s: %d", what, query, r.StatusCode)
		}
	}
}

// TestThreat38_DisabledUser: once an account is disabled, every kind of token of it is
// refused at every door: at once here, in two seconds elsewhere, and where something
// is changed, at once there, too.
func TestThreat38_DisabledUser(t *testing.T) {
	h := build(t)
	other := h.node(t)
	a := h.account(t, "one", "ada")
	var credentials [][]string
	var refreshes []auth.Secret
	for _, d := range []auth.Dialect{plain, paired, opaque} {
		g := h.login(t, "one/"+string(d), "ada")
		credentials = append(credentials, []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)})
		refresh, err := h.svc.RefreshToken(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		refreshes = append(refreshes, refresh)
	}
	p, err := h.svc.BeginSignIn(t.Context(), h.mounts["one/opaque"], auth.Credentials{Name: "ada", Password: pass}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []*house{h, other} {
		for _, c := range credentials {
			node.verdict(t, c...)
		}
	}
	if err := h.svc.SetDisabled(t.Context(), h.one.ID, a.ID, true, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	everywhere := func(node *house, doors []string) {
		t.Helper()
		for _, c := range credentials {
			for _, door := range doors {
				method, path, _ := strings.Cut(door, " ")
				node.ask(t, method, path, `{"current":"`+pass+`","new":"another horse battery"}`, c...).refused(t, door, challengeInvalid)
			}
		}
		for i, d := range []auth.Dialect{plain, paired, opaque} {
			if _, err := node.svc.Refresh(t.Context(), node.mounts["one/"+string(d)], refreshes[i], auth.Client{}); auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("refresh of %s: %v", d, err)
			}
		}
		if _, err := node.svc.CompleteSignIn(t.Context(), node.mounts["one/opaque"], p.Ticket, "", auth.Client{}); auth.CodeOf(err) == "" {
			t.Error("the ticket is good")
		}
	}
	everywhere(h, bearerDoors)
	everywhere(other, []string{"POST /ostiary/logout", "POST /ostiary/password", "DELETE /ostiary/sessions", "DELETE /ostiary/sessions/" + a.ID.String()})
	h.clock.add(viewTime)
	everywhere(other, bearerDoors)
	// Enabled again, nothing comes back.
	if err := h.svc.SetDisabled(t.Context(), h.one.ID, a.ID, false, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	everywhere(h, bearerDoors)
	everywhere(other, bearerDoors)
}

// TestThreat35_ViewBoundaries: no view outlives the token, the idle limit or the end of
// its session, by a microsecond.
func TestThreat35_ViewBoundaries(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	for what, c := range map[string]struct {
		mount     string
		idle, max time.Duration
		life      time.Duration // of the credential
	}{
		"exp":                {"one/plain", 12 * time.Hour, 24 * time.Hour, time.Hour},
		"idle":               {"one/opaque", 10 * time.Minute, 24 * time.Hour, 10 * time.Minute},
		"absolute":           {"one/opaque", 0, time.Hour, time.Hour},
		"absolute before it": {"one/plain", 0, 30 * time.Minute, 30 * time.Minute},
	} {
		m := h.mounts[c.mount]
		m.SessionIdle, m.SessionMax = c.idle, c.max
		for _, before := range []time.Duration{time.Microsecond, time.Second, viewTime + time.Second} {
			h.clock.add(time.Duration(h.clock.Now().Nanosecond()) * -1) // exp is in whole seconds
			g := h.login(t, c.mount, "ada")
			bearer := "Authorization: Bearer " + h.token(t, g)
			h.clock.add(c.life - before)
			if what == "idle" { // the last use is written, and counts from now on
				h.verdict(t, bearer)
				h.touched(t, g, h.clock.Now())
				h.clock.add(c.life - before)
				if r := h.ask(t, "GET", "/ostiary/verify", "", bearer); r.StatusCode != 200 {
					t.Errorf("%s: after a use, %s before: %d", what, before, r.StatusCode)
				}
				continue
			}
			h.verdict(t, bearer)
			h.clock.add(before - time.Microsecond)
			h.verdict(t, bearer)
			h.clock.add(time.Microsecond)
			for _, door := range bearerDoors[:3] {
				method, path, _ := strings.Cut(door, " ")
				h.ask(t, method, path, "", bearer).refused(t, what, challengeInvalid)
			}
		}
	}
	// Unused, a session ends when its idle time is over, whoever looked at it.
	m := h.mounts["one/opaque"]
	m.SessionIdle, m.SessionMax = 10*time.Minute, time.Hour
	g := h.login(t, "one/opaque", "ada")
	bearer := "Authorization: Bearer " + h.token(t, g)
	h.clock.add(time.Minute - time.Microsecond) // too early to be noted
	h.verdict(t, bearer)
	h.clock.add(9 * time.Minute)
	h.clock.add(time.Microsecond)
	h.ask(t, "GET", "/ostiary/verify", "", bearer).refused(t, "idle", challengeInvalid)
	// The claims of a token are looked at each time, too.
	plainly := h.login(t, "one/plain", "ada")
	now := h.clock.Now()
	for exp, status := range map[int64]int{now.Unix() + 1: 200, now.Unix(): 401, now.Unix() - 1: 401} {
		jwt := h.sign(t, plainly, token.Claims{"token_use": "access", "exp": exp})
		if r := h.ask(t, "GET", "/ostiary/verify", "", "Authorization: Bearer "+jwt); r.StatusCode != status {
			t.Errorf("exp %d at %v: %d", exp, now, r.StatusCode)
		}
	}
}

// touched waits until a session's last use is what it should be, since it is noted in the
// background.
func (h *house) touched(t testing.TB, g *auth.Grant, want time.Time) {
	t.Helper()
	var got time.Time
	for range 2000 {
		rec, err := h.store.SessionByID(context.WithoutCancel(t.Context()), g.Session.RealmID, g.Session.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got = rec.LastUsedAt; got.Equal(want.Truncate(time.Microsecond)) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("last used at %v, want %v", got, want)
}

// TestLogout_NoLaterVerdict: what begins after a logout was answered is never 200, while
// others ask as fast as they can.
func TestLogout_NoLaterVerdict(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	for range 20 {
		g := h.login(t, "one/opaque", "ada")
		bearer := "Authorization: Bearer " + h.token(t, g)
		out := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for after := 0; after < 3; {
					began := false
					select {
					case <-out:
						began = true
						after++
					default:
					}
					if r := h.ask(t, "GET", "/ostiary/verify", "", bearer); r.StatusCode != 401 && (began || r.StatusCode != 200) {
						t.Errorf("%d, after the logout: %v", r.StatusCode, began)
					}
				}
			})
		}
		if r := h.ask(t, "POST", "/ostiary/logout", "", bearer); r.StatusCode != 204 {
			t.Errorf("logout: %d", r.StatusCode)
		}
		close(out)
		wg.Wait()
	}
}

// What is issued in the last second of a session is good in what is left of it.
func TestThreat35_LastSecondOfSession(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	m := h.mounts["one/plain"]
	m.SessionMax = time.Minute + 900*time.Millisecond // from a whole second on
	g := h.login(t, "one/plain", "ada")
	refresh, err := h.svc.RefreshToken(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Minute + 100*time.Millisecond)
	if g, err = h.svc.Refresh(t.Context(), m, refresh, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	bearer := "Authorization: Bearer " + h.token(t, g)
	h.verdict(t, bearer)
	h.clock.add(800 * time.Millisecond)
	h.ask(t, "GET", "/ostiary/verify", "", bearer).refused(t, "after it", challengeInvalid)
}
