package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

type backLine struct {
	ID, At, Event, Realm, Account, Username, Email, Org string
	Number                                              int64
	DisplayName                                         string `json:"display_name"`
	Subject                                             map[string]string
	PasswordHash                                        string `json:"password_hash"`
}

// told takes the lines that wait, in the order of their account, as told.
func (w *world) told() (lines []backLine) {
	w.t.Helper()
	for {
		due, err := w.svc.WaitingWritebacks(w.ctx, w.realm.ID, 100)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(due) == 0 {
			return lines
		}
		for _, d := range due {
			var line backLine
			if err := json.Unmarshal(d.Line, &line); err != nil || d.Fault != nil || line.Event != d.Event || line.ID != d.ID.String() || strings.Contains(string(d.Line), "\n") {
				w.t.Fatalf("%s: %v, %v", d.Line, err, d.Fault)
			}
			lines = append(lines, line)
		}
		for range 2 { // the second time is another process's
			if err := w.svc.WrittenBack(w.ctx, due, "file", auth.Client{Actor: "server"}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// events are those of some lines.
func events(lines []backLine) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Event)
	}
	return strings.Join(all, " ")
}

func withWriteback(format string) func(*auth.Options) {
	return func(o *auth.Options) {
		o.Writebacks = map[string]auth.Writeback{"default": {Format: format, Until: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}}
	}
}

func (w *world) hashedAs(hash, pass string) bool {
	w.t.Helper()
	stored, err := password.Foreign(hash, password.ForeignOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := password.New(1, 20*time.Second).Verify(w.ctx, stored, pass)
	return res.OK && err == nil
}

func TestWriteback_TellsWhatIsChosen(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t, withWriteback("ssha512"))
		const second, third = "another long passphrase of hers", "and a third one that she likes"
		a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: "ada", Email: "ada@example.com", DisplayName: "Ada", Org: "acme", Password: goodPassword}, client)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.svc.SetAlias(w.ctx, w.realm.ID, a.ID, "one", "legacy-17", client); err != nil {
			t.Fatal(err)
		}
		if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, second, client); err != nil {
			t.Fatal(err)
		}
		g, err := w.svc.SignIn(w.ctx, w.one, creds("ada", second), client)
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := w.svc.Sign(w.ctx, g, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.svc.ChangePassword(w.ctx, w.realm.ID, auth.Presented{Token: jwt}, second, third, client); err != nil {
			t.Fatal(err)
		}
		for _, disabled := range []bool{true, true, false} {
			if err := w.svc.SetDisabled(w.ctx, w.realm.ID, a.ID, disabled, client); err != nil {
				t.Fatal(err)
			}
		}
		if n, oldest, err := w.svc.WritebackBacklog(w.ctx, w.realm.ID); n != 5 || !oldest.Equal(w.clock()) || err != nil {
			t.Errorf("%d lines wait since %v: %v", n, oldest, err)
		}
		if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client); err != nil {
			t.Fatal(err)
		}
		lines := w.told()
		if got := events(lines); got != "account_created password_changed password_changed account_disabled account_enabled account_deleted" {
			t.Fatalf("told: %s", got)
		}
		for i, pass := range []string{goodPassword, second, third} {
			if !strings.HasPrefix(lines[i].PasswordHash, "{SSHA512}") || !w.hashedAs(lines[i].PasswordHash, pass) || w.hashedAs(lines[i].PasswordHash, pass+"x") {
				t.Errorf("%s has another hash", lines[i].Event)
			}
		}
		for _, l := range lines {
			if l.Account != a.ID.String() || l.Username != "ada" || l.Email != "ada@example.com" || l.DisplayName != "Ada" || l.Org != "acme" || l.Realm != "default" || l.Number != a.Number ||
				l.At != "2026-03-01T12:00:00Z" || strings.Contains(l.Event, "account_d") && l.PasswordHash != "" || l.Event != "account_created" && l.Subject["one"] != "legacy-17" {
				t.Errorf("%+v", l)
			}
		}
		entries, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Kinds: []audit.Kind{audit.WrittenBack}, Limit: 20})
		if err != nil || len(entries) != 6 || entries[1].Detail != "password_changed file" || entries[1].Account != a.ID || entries[1].Actor != "server" {
			t.Errorf("entries: %+v, %v", entries, err)
		}
	})
}

// What others have hashed, and the secrets of services, are nobody's to be told.
func TestWriteback_TellsNothingElse(t *testing.T) {
	w := newWorld(t, withWriteback("ssha512"))
	for _, n := range []auth.NewAccount{
		{Username: "brought", PasswordHash: "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."}, {Username: "none", NoPassword: true}, {Username: "robot", Kind: auth.KindService},
	} {
		a, secret, err := w.svc.CreateAccount(w.ctx, w.realm.ID, n, client)
		if err != nil {
			t.Fatal(err)
		}
		if secret != "" {
			_, err = w.svc.RotateSecret(w.ctx, w.realm.ID, a.ID, 0, client)
		} else if n.PasswordHash != "" {
			_, err = w.svc.SignIn(w.ctx, w.one, creds(n.Username, "correct horse battery staple"), client)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other, err := w.svc.CreateRealm(w.ctx, "other", client)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.svc.CreateAccount(w.ctx, other.ID, auth.NewAccount{Username: "eve", Password: goodPassword}, client); err != nil {
		t.Fatal(err)
	}
	for _, realm := range []auth.Realm{w.realm, other} {
		if n, _, err := w.svc.WritebackBacklog(w.ctx, realm.ID); n > 0 || err != nil {
			t.Errorf("%d lines wait in %s: %v", n, realm.Name, err)
		}
	}
}

// A refused password is told to nobody, and neither is one after the window; what was
// stored before is.
func TestWriteback_Window(t *testing.T) {
	w := newWorld(t, withWriteback("ssha512"))
	a := w.account("ada")
	w.wantCode(w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "short", client), auth.CodeInvalidInput)
	w.advance(31 * 24 * time.Hour)
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, a.ID, "another long passphrase of hers", client); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	if got := events(w.told()); got != "account_created" {
		t.Errorf("told: %s", got)
	}
}

// A line that is refused waits for longer each time, with those behind it, and no others.
func TestWriteback_Refused(t *testing.T) {
	w := newWorld(t, withWriteback("ssha512"))
	a := w.account("ada")
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, a.ID, true, client); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		due, err := w.svc.WaitingWritebacks(w.ctx, w.realm.ID, 10)
		if err != nil || len(due) != 1 || due[0].Event != "account_created" || due[0].Tries != i {
			t.Fatalf("due: %+v, %v", due, err)
		}
		next, err := w.svc.WritebackRefused(w.ctx, due[0])
		if want := min(time.Minute<<i, time.Hour); err != nil || next.Sub(w.clock()) != want {
			t.Errorf("the %d. wait is %v, want %v: %v", i, next.Sub(w.clock()), want, err)
		}
		w.advance(next.Sub(w.clock()) - time.Second)
		if due, err := w.svc.WaitingWritebacks(w.ctx, w.realm.ID, 10); len(due) > 0 || err != nil {
			t.Fatalf("due already: %+v, %v", due, err)
		}
		w.advance(time.Second)
	}
	if got := events(w.told()); got != "account_created account_disabled" {
		t.Errorf("told: %s", got)
	}
}

func TestWriteback_AtRest(t *testing.T) {
	w := newWorld(t, withWriteback("ssha512"))
	w.account("ada")
	all, err := w.store.Writebacks(w.ctx, w.realm.ID, w.clock(), 10)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if s := string(all[0].Sealed); strings.Contains(s, "SSHA512") || strings.Contains(s, "ada") {
		t.Errorf("a line is not sealed: %q", s)
	}
	moved := all[0]
	moved.ID = w.realm.ID
	if err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		moved.AccountID = w.realm.ID
		return tx.InsertWriteback(w.ctx, moved)
	}); err != nil {
		t.Fatal(err)
	}
	due, err := w.svc.WaitingWritebacks(w.ctx, w.realm.ID, 10)
	faults := 0
	for _, d := range due {
		if d.Fault != nil {
			faults++
		}
	}
	if err != nil || len(due) != 2 || faults != 1 {
		t.Errorf("a line under another id opens: %+v, %v", due, err)
	}
}
