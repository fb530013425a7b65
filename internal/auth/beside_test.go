package auth_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// node is a world on PostgreSQL, where transactions run at the same time.
type node struct {
	*world
	db *sql.DB
}

func newNode(t *testing.T, options ...func(*auth.Options)) node {
	t.Helper()
	url := pgtest.URL(t)
	st, err := store.CreatePostgres(t.Context(), url, 0)
	w := newWorldIn(t, st, err, append([]func(*auth.Options){once}, options...))
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return node{w, db}
}

// beside runs second while a transaction has done what first does, and commits that when
// second waits for it, or has not waited at all.
func (n node) beside(first func(tx auth.Tx) error, second func()) {
	n.t.Helper()
	inside, over, stored := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		stored <- n.store.InTx(auth.Alone(n.ctx), func(tx auth.Tx) error {
			err := first(tx)
			close(inside)
			for waiting := 0; waiting == 0 && err == nil; time.Sleep(time.Millisecond) {
				select {
				case <-over:
					return nil
				default:
				}
				err = n.db.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
			}
			return err
		})
	}()
	<-inside
	second()
	close(over)
	if err := <-stored; err != nil {
		n.t.Fatal(err)
	}
}

// A login that is being stored while its account changes is right if its password still is.
func TestBeside_LoginAndChange(t *testing.T) {
	n := newNode(t)
	ada, bob := n.account("ada"), n.account("bob")
	n.beside(func(tx auth.Tx) error { return tx.ChangeVersion(n.ctx, ada.ID, n.clock()) }, func() {
		if _, err := n.svc.SignIn(n.ctx, n.one, creds("ada", goodPassword), client); err != nil {
			t.Errorf("a right password: %v", err)
		}
	})
	n.beside(func(tx auth.Tx) error {
		_, err := tx.SetDisabled(n.ctx, n.realm.ID, bob.ID, true, n.clock())
		return err
	}, func() {
		_, err := n.svc.SignIn(n.ctx, n.one, creds("bob", goodPassword), client)
		n.wantCode(err, auth.CodeBadCredentials)
	})
	if got := n.details(audit.SignInFailed); len(got) != 1 || got[0] != "disabled" {
		t.Errorf("the log has %q", got)
	}
}

// A login that is being stored while an import disables its account leaves no session.
func TestBeside_LoginAndImport(t *testing.T) {
	n := newNode(t)
	n.imports(`{"username":"ada"}`, auth.ImportOptions{})
	rec, err := n.store.AccountByName(n.ctx, n.realm.ID, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	n.beside(func(tx auth.Tx) error {
		if _, err := tx.RecordSignIn(n.ctx, rec.ID, rec.Version, n.now); err != nil {
			return err
		}
		return tx.InsertSession(n.ctx, auth.Session{
			ID: uuid.Must(uuid.NewV7()), RealmID: n.realm.ID, AccountID: rec.ID, Dialect: "one", Generation: 1,
			AuthTime: n.now, LastUsedAt: n.now, ExpiresAt: n.now.Add(time.Hour),
		}, nil)
	}, func() { n.imports(`{"username":"ada","disabled":true}`, auth.ImportOptions{Update: true}) })
	live, err := n.store.Sessions(n.ctx, n.realm.ID, rec.ID, uuid.Nil, 100, n.now)
	if err != nil || len(live) != 0 {
		t.Errorf("%d sessions of an account that is disabled: %v", len(live), err)
	}
}

// A name that an account gets by a merge is there after an update of the account that has begun before.
func TestBeside_MergeAndUpdate(t *testing.T) {
	n := newNode(t)
	a := n.account("ada")
	n.beside(func(tx auth.Tx) error {
		if err := tx.HoldRealm(n.ctx, n.realm.ID); err != nil {
			return err
		}
		if err := tx.HoldAccount(n.ctx, n.realm.ID, a.ID); err != nil {
			return err
		}
		return tx.AddName(n.ctx, n.realm.ID, a.ID, auth.AccountName{Key: "ada.l"})
	}, func() {
		org := "other"
		if _, err := n.svc.UpdateAccount(n.ctx, n.realm.ID, a.ID, auth.AccountChange{Org: &org}, client); err != nil {
			t.Error(err)
		}
	})
	if rec, err := n.store.AccountByName(n.ctx, n.realm.ID, "ada.l", ""); err != nil || rec.ID != a.ID || rec.Org != "other" {
		t.Errorf("got %+v, %v", rec.Account, err)
	}
}

// Of two new secrets of a service, the one that came first ends.
func TestBeside_TwoSecrets(t *testing.T) {
	n := newNode(t)
	a, _, err := n.svc.CreateAccount(n.ctx, n.realm.ID, auth.NewAccount{Username: "robot", Kind: auth.KindService}, client)
	if err != nil {
		t.Fatal(err)
	}
	hash := [32]byte{1}
	n.beside(func(tx auth.Tx) error {
		if err := tx.HoldAccount(n.ctx, n.realm.ID, a.ID); err != nil {
			return err
		}
		return tx.InsertSecret(n.ctx, n.realm.ID, a.ID, hash, n.now)
	}, func() {
		if _, err := n.svc.RotateSecret(n.ctx, n.realm.ID, a.ID, 0, client); err != nil {
			t.Error(err)
		}
	})
	if lives, err := n.store.SecretLives(n.ctx, a.ID, hash, n.now.Add(time.Second)); err != nil || lives {
		t.Errorf("the first one lives: %v, %v", lives, err)
	}
}

// Recovery codes that are made while their factor is reset are void.
func TestBeside_CodesAndReset(t *testing.T) {
	n := newNode(t)
	a := n.account("ada")
	n.enroll(a)
	n.beside(func(tx auth.Tx) error {
		if err := tx.HoldAccount(n.ctx, n.realm.ID, a.ID); err != nil {
			return err
		}
		return tx.ReplaceRecoveryCodes(n.ctx, n.realm.ID, a.ID, [][32]byte{{1}}, n.now)
	}, func() {
		if err := n.svc.ResetFactor(n.ctx, n.realm.ID, a.ID, client); err != nil {
			t.Error(err)
		}
	})
	if left, err := n.store.RecoveryCodes(n.ctx, a.ID); err != nil || left != 0 {
		t.Errorf("%d codes of no factor: %v", left, err)
	}
}

// Of two enrolments at once, both show the code of the first.
func TestBeside_TwoEnrolments(t *testing.T) {
	n := newNode(t)
	a := n.account("ada")
	n.beside(func(tx auth.Tx) error {
		if err := tx.HoldAccount(n.ctx, n.realm.ID, a.ID); err != nil {
			return err
		}
		return tx.StartFactor(n.ctx, n.realm.ID, a.ID, auth.Factor{Secret: []byte("first"), CreatedAt: n.now})
	}, func() {
		_, _ = n.svc.EnrollFactor(n.ctx, n.realm.ID, a.ID, client) // which can't open this one
	})
	if rec, err := n.store.AccountByID(n.ctx, n.realm.ID, a.ID, ""); err != nil || rec.Factor == nil || string(rec.Factor.Secret) != "first" {
		t.Errorf("got %+v, %v", rec.Factor, err)
	}
}

// Of two cuts of the audit log, the shorter one changes nothing if it comes too late.
func TestBeside_TwoCuts(t *testing.T) {
	n := newNode(t, func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	n.oldLog()
	n.beside(func(tx auth.Tx) error {
		if _, err := tx.CutEvents(n.ctx, n.realm.ID, 60); err != nil {
			return err
		}
		return tx.InsertCheckpoint(n.ctx, audit.Checkpoint{RealmID: n.realm.ID, Head: audit.Head{Seq: 60}, At: n.clock(), Cut: true, Signature: []byte{0}})
	}, func() { n.tendAuditOf(5, 1) })
	list, err := n.svc.AuditCheckpoints(n.ctx, n.realm.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Cut && c.Seq != 60 {
			t.Errorf("a checkpoint of a cut up to %d, which came too late", c.Seq)
		}
	}
}

// has gives an account a role, which it makes.
func (n node) has(a auth.Account, role string) {
	n.t.Helper()
	err := n.svc.CreateRole(n.ctx, n.realm.ID, role, client)
	if err == nil {
		err = n.svc.AddRole(n.ctx, n.realm.ID, a.ID, role, client)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// A role that is taken from an account while that is merged into another one is not that one's either.
func TestBeside_RoleAndMerge(t *testing.T) {
	n := newNode(t)
	keep, other := n.account("ada"), n.account("lovelace")
	n.has(other, "admin")
	n.beside(func(tx auth.Tx) error {
		_, err := tx.RemoveRole(n.ctx, n.realm.ID, other.ID, "admin")
		return err
	}, func() {
		if _, err := n.svc.Merge(n.ctx, n.realm.ID, keep.ID, other.ID, auth.PreferKeep, client); err != nil {
			t.Error(err)
		}
	})
	if roles, _, err := n.svc.Access(n.ctx, n.realm.ID, keep.ID); err != nil || len(roles) != 0 {
		t.Errorf("the account that was kept has the roles %q: %v", roles, err)
	}
}

// endsOnce takes something away that depends on a role while the role is deleted: the audit log has that once.
func (n node) endsOnce(entry audit.Event, take func(tx auth.Tx) (bool, error)) {
	n.t.Helper()
	entry.ID, entry.RealmID, entry.At = uuid.Must(uuid.NewV7()), n.realm.ID, n.now
	n.beside(func(tx auth.Tx) error {
		taken, err := take(tx)
		if err != nil || !taken {
			return err
		}
		return tx.InsertEvent(n.ctx, entry)
	}, func() {
		if err := n.svc.DeleteRole(n.ctx, n.realm.ID, "reader", client); err != nil {
			n.t.Error(err)
		}
	})
	if got := n.details(entry.Kind); len(got) != 1 {
		n.t.Errorf("%d entries: %q", len(got), got)
	}
}

// What an account loses with its role is in the audit log once.
func TestBeside_RoleAndMember(t *testing.T) {
	n := newNode(t)
	a := n.account("ada")
	n.has(a, "reader")
	n.endsOnce(audit.Event{Kind: audit.RoleRemoved, Account: a.ID, Detail: "reader"}, func(tx auth.Tx) (bool, error) {
		return tx.RemoveRole(n.ctx, n.realm.ID, a.ID, "reader")
	})
}

// opens has a role open a datasource, which it makes.
func (n node) opens(role, datasource string) {
	n.t.Helper()
	err := n.svc.CreateDatasource(n.ctx, n.realm.ID, datasource, client)
	if err == nil {
		err = n.svc.GrantDatasource(n.ctx, n.realm.ID, role, datasource, client)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// What a role opened no longer is in the audit log once.
func TestBeside_GrantAndRole(t *testing.T) {
	n := newNode(t)
	n.has(n.account("ada"), "reader")
	n.opens("reader", "sales")
	n.endsOnce(audit.Event{Kind: audit.DatasourceRevoked, Detail: "reader sales"}, func(tx auth.Tx) (bool, error) {
		return tx.RevokeDatasource(n.ctx, n.realm.ID, "reader", "sales")
	})
}

// So is a grant that ends at both ends.
func TestBeside_DatasourceAndRole(t *testing.T) {
	n := newNode(t)
	n.has(n.account("ada"), "reader")
	n.opens("reader", "sales")
	n.endsOnce(audit.Event{Kind: audit.DatasourceRevoked, Detail: "reader sales"}, func(tx auth.Tx) (bool, error) {
		roles, err := tx.DeleteDatasource(n.ctx, n.realm.ID, "sales")
		return len(roles) == 1, err
	})
}

// Who was deleted with all that he had loses no role after that.
func TestBeside_AccountAndRole(t *testing.T) {
	n := newNode(t)
	a := n.account("ada")
	n.has(a, "reader")
	n.endsOnce(audit.Event{Kind: audit.AccountDeleted, Account: a.ID}, func(tx auth.Tx) (bool, error) {
		return tx.DeleteAccount(n.ctx, n.realm.ID, a.ID, n.now)
	})
	if got := n.details(audit.RoleRemoved); len(got) != 0 {
		t.Errorf("the roles %q were taken from nobody", got)
	}
}

// What is used again just as it is about to be deleted for its age stays: a guess that was counted, and a source that signed in.
func TestBeside_SweepAndUse(t *testing.T) {
	n := newNode(t)
	a, b := n.account("ada"), auth.DefaultBudgets()
	k := auth.BudgetKey{Realm: n.realm.ID, Kind: auth.BudgetAccount, Subject: a.ID.String()}
	charge := func(at time.Time) func(tx auth.Tx) error {
		return func(tx auth.Tx) error {
			_, err := tx.ChargeBudget(n.ctx, k, b.Account, at)
			return err
		}
	}
	note := func(at time.Time) func(tx auth.Tx) error {
		return func(tx auth.Tx) error {
			if err := tx.NoteSource(n.ctx, a.ID, "192.0.2.1", at); err != nil {
				return err
			}
			return tx.HoldAccount(n.ctx, n.realm.ID, a.ID) // with which the other is sent
		}
	}
	at := n.now
	for name, use := range map[string]func(at time.Time) func(tx auth.Tx) error{"guess": charge, "source": note} {
		if err := n.store.InTx(n.ctx, use(at)); err != nil {
			t.Fatal(err)
		}
		at = at.Add(10 * 365 * 24 * time.Hour)
		n.beside(use(at), func() {
			if _, err := n.store.Sweep(n.ctx, at, 100, 1, b); err != nil {
				t.Error(err)
			}
		})
		known, err := n.store.KnownSource(n.ctx, a.ID, "192.0.2.1", at)
		s, failed := n.store.Budget(n.ctx, k)
		if err != nil || failed != nil || known != (name == "source") || s.Failures != 1 && name == "guess" {
			t.Errorf("%s: known %v, %d wrong guesses, %v, %v", name, known, s.Failures, err, failed)
		}
	}
}

// An enrolment that begins while an import changes its account stays the one whose code was shown.
func TestBeside_EnrolmentAndImport(t *testing.T) {
	n := newNode(t)
	n.imports(`{"username":"ada","source":"one"}`, auth.ImportOptions{})
	rec, err := n.store.AccountByName(n.ctx, n.realm.ID, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	n.beside(func(tx auth.Tx) error {
		if err := tx.HoldAccount(n.ctx, n.realm.ID, rec.ID); err != nil {
			return err
		}
		return tx.StartFactor(n.ctx, n.realm.ID, rec.ID, auth.Factor{Secret: []byte("shown"), CreatedAt: n.now})
	}, func() {
		n.imports(`{"username":"ada","source":"one","totp_enrolment":"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}`, auth.ImportOptions{Update: true})
	})
	if rec, err = n.store.AccountByID(n.ctx, n.realm.ID, rec.ID, ""); err != nil || rec.Factor == nil || string(rec.Factor.Secret) != "shown" {
		t.Errorf("got %+v, %v", rec.Factor, err)
	}
}

// An account that is deleted while an import changes it is one that was deleted, and not the end of the import.
func TestBeside_DeletionAndImport(t *testing.T) {
	n := newNode(t)
	n.imports(`{"username":"ada","source":"one"}`, auth.ImportOptions{})
	rec, err := n.store.AccountByName(n.ctx, n.realm.ID, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	n.beside(func(tx auth.Tx) error {
		_, err := tx.DeleteAccount(n.ctx, n.realm.ID, rec.ID, n.now)
		return err
	}, func() {
		_, problems, err := n.run(`{"username":"ada","source":"one","org":"other"}`, auth.ImportOptions{Update: true, Partly: true}, 100)
		if err != nil || len(problems) != 1 || problems[0].Kind != "deleted" {
			t.Errorf("problems %+v, %v", problems, err)
		}
	})
}
