package auth_test

import (
	"context"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// unlucky is a store that takes a large transaction back when all of it is done, as one that has come
// into another's way. Then that is done.
type unlucky struct {
	auth.Store
	other func()
}

func (s *unlucky) InTx(ctx context.Context, fn func(auth.Tx) error) error {
	other := s.other
	if other == nil || !auth.IsAlone(ctx) {
		return s.Store.InTx(ctx, fn)
	}
	s.other = nil
	err := s.Store.InTx(ctx, func(tx auth.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return &auth.Error{Code: auth.CodeUnavailable}
	})
	other()
	return err
}

// TestImport_TriedAgain: of an account that was in a line's way, and is called otherwise when the line is tried
// again, nothing is left in the line.
func TestImport_TriedAgain(t *testing.T) {
	for name, c := range map[string]struct{ before, line, problem string }{
		"another's name":   {`{"username":"ada","source":"one"}`, `{"username":"ada","source":"two"}`, ""},
		"its own, changed": {`{"username":"ada","source":"two","number":7,"org":"acme"}`, `{"username":"ada","source":"two","number":7}`, "number"},
	} {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, newWorld worldMaker) {
				st := &unlucky{}
				w := newWorld(t, func(o *auth.Options) {
					st.Store, o.Store = o.Store, st
					o.Dialects["two"] = auth.Rules{}
				})
				im, err := w.svc.NewImporter(w.ctx, w.realm, auth.ImportOptions{Apart: true, Update: true, RestoreDeleted: true, Partly: true}, client)
				if err != nil {
					t.Fatal(err)
				}
				lines := importLines(c.line)
				if _, err := im.Check(w.ctx, prepare(im, lines, 1)[0]); err != nil {
					t.Fatal(err)
				}
				if err := im.Begin(w.ctx); err != nil {
					t.Fatal(err)
				}
				w.imports(c.before, auth.ImportOptions{})
				was, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
				if err != nil {
					t.Fatal(err)
				}
				st.other = func() {
					eve := "eve"
					if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, was.ID, auth.AccountChange{Username: &eve}, client); err != nil {
						t.Error(err)
					}
				}
				problems, err := im.Add(w.ctx, prepare(im, lines, 1)[0])
				if err != nil || st.other != nil {
					t.Fatalf("%v, and the first try came to nothing: %v", err, st.other == nil)
				}
				if c.problem != "" {
					if len(problems) != 1 || problems[0].Kind != c.problem || problems[0].Account != was.ID {
						t.Errorf("problems %+v", problems)
					}
					return
				}
				is, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
				if err != nil || is.Apart != "" || im.Apart != 0 || im.New != 1 {
					t.Errorf("%+v, %+v, %v", is, im.ImportCounts, err)
				}
			})
		})
	}
}
