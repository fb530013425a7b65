package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// hangsUp ends a client's context as soon as a slot takes his password.
type hangsUp struct{ end context.CancelFunc }

func (h *hangsUp) HashWaited(time.Duration) { h.end() }
func (*hangsUp) Hashed(time.Duration)       {}
func (*hangsUp) HashRefused()               {}

// TestThreat02_HangingUp: whoever closes his side of the connection while his password is hashed is counted and waits
// like anybody, and gets in if it was right: net/http ends the context then, and still sends the answer.
func TestThreat02_HangingUp(t *testing.T) {
	var hasher *password.Hasher
	observer := &hangsUp{func() {}}
	w := newWorld(t, withBudgets, func(o *auth.Options) {
		hasher = o.Hasher
		hasher.Observe(observer)
	})
	w.account("steve")
	w.svc.Warm(w.ctx, w.realm.ID)
	floor := hasher.Floor(nil)
	signIn := func(name string, password auth.Secret) error {
		var ctx context.Context
		ctx, observer.end = context.WithCancel(w.ctx)
		defer observer.end()
		began := time.Now()
		_, err := w.svc.SignIn(ctx, w.one, auth.Credentials{Name: name, Password: password}, client)
		if took := time.Since(began); err != nil && took < floor {
			t.Errorf("%s: refused in %v, the floor is %v", name, took, floor)
		}
		return err
	}
	for _, name := range []string{"steve", "nobody"} {
		for range 5 {
			w.wantCode(signIn(name, "a wrong password"), auth.CodeBadCredentials)
		}
		w.wantCode(signIn(name, "a wrong password"), auth.CodeThrottled)
	}
	w.account("ada")
	if err := signIn("ada", goodPassword); err != nil {
		t.Error(err)
	}
}

// TestLogin_TimeOver: what became of a login is not stored after its request's time, which whoever asked may have counted too.
func TestLogin_TimeOver(t *testing.T) {
	observer := &hangsUp{func() {}}
	w := newWorld(t, func(o *auth.Options) { o.Hasher.Observe(observer) })
	w.account("ada")
	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	observer.end = func() { <-ctx.Done() }
	_, err := w.svc.SignIn(ctx, w.one, auth.Credentials{Name: "ada", Password: goodPassword}, client)
	w.wantCode(err, auth.CodeUnavailable)
}

// TestThreat03_TimeOver: a wrong guess whose hash took all of its request's time is counted and recorded like any.
func TestThreat03_TimeOver(t *testing.T) {
	observer := &hangsUp{func() {}}
	w := newWorld(t, withBudgets, func(o *auth.Options) { o.Hasher.Observe(observer) })
	w.account("ada")
	for _, name := range []string{"ada", "nobody"} {
		for range 5 {
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
			observer.end = func() { <-ctx.Done() }
			_, err := w.svc.SignIn(ctx, w.one, auth.Credentials{Name: name, Password: "a wrong password"}, client)
			cancel()
			w.wantCode(err, auth.CodeBadCredentials)
		}
		observer.end = func() {}
		_, err := w.svc.SignIn(w.ctx, w.one, auth.Credentials{Name: name, Password: "a wrong password"}, client)
		w.wantCode(err, auth.CodeThrottled)
	}
}

// TestThreat02_RealmUnread: the floor holds also while what is known of the realm can't be read.
func TestThreat02_RealmUnread(t *testing.T) {
	var options auth.Options
	w := newWorld(t, func(o *auth.Options) { options = *o })
	w.svc = auth.New(options) // which has read nothing yet
	w.edit("UPDATE realm SET refresh_key = x'00'")
	floor := options.Hasher.Floor(nil)
	for range 8 { // a hash that was slow would hide it
		began := time.Now()
		_, err := w.svc.SignIn(w.ctx, w.one, auth.Credentials{Name: uuid.NewString(), Password: "a wrong password"}, client)
		if took := time.Since(began); auth.CodeOf(err) != auth.CodeBadCredentials || took < floor {
			t.Errorf("%v after %v, the floor is %v", err, took, floor)
		}
	}
}
