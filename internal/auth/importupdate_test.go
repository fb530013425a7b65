package auth_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// TestImport_DisablesBesideLogin: a login that is being stored while an import disables its account
// leaves no session.
func TestImport_DisablesBesideLogin(t *testing.T) {
	url := pgtest.URL(t)
	st, err := store.CreatePostgres(t.Context(), url, 0)
	w := newWorldIn(t, st, err, []func(*auth.Options){once})
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w.imports(`{"username":"ada"}`, auth.ImportOptions{})
	rec, err := st.AccountByName(w.ctx, w.realm.ID, "ada", "")
	if err != nil {
		t.Fatal(err)
	}
	inside, stored := make(chan struct{}), make(chan error)
	go func() {
		stored <- st.InTx(auth.Alone(w.ctx), func(tx auth.Tx) error {
			if _, err := tx.RecordSignIn(w.ctx, rec.ID, rec.Version, w.now); err != nil {
				return err
			}
			err := tx.InsertSession(w.ctx, auth.Session{
				ID: uuid.Must(uuid.NewV7()), RealmID: w.realm.ID, AccountID: rec.ID, Dialect: "one", Generation: 1,
				AuthTime: w.now, LastUsedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
			}, nil)
			close(inside)
			for waiting := 0; waiting == 0 && err == nil; time.Sleep(time.Millisecond) {
				err = db.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
			}
			return err
		})
	}()
	<-inside
	w.imports(`{"username":"ada","disabled":true}`, auth.ImportOptions{Update: true})
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	live, err := st.Sessions(w.ctx, w.realm.ID, rec.ID, uuid.Nil, 100, w.now)
	if err != nil || len(live) != 0 {
		t.Errorf("%d sessions of an account that is disabled: %v", len(live), err)
	}
}
