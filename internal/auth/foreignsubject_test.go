package auth_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// Accounts that come from a server which goes by numbers have theirs as an alias: tokens of
// that server are found by aliases alone.
func TestImport_NumberIsTheSubject(t *testing.T) {
	w := newWorld(t, withTwo)
	w.imports(`{"username":"ada","number":7,"source":"one","pending":true}`+"\n"+
		`{"username":"bob","number":8,"source":"one","pending":true,"aliases":{"one":"b-8"}}`+"\n"+
		`{"username":"carl","number":9,"source":"two","pending":true}`+"\n"+
		`{"username":"dora","number":10}`, auth.ImportOptions{})
	for subject, want := range map[string]string{"7": "ada", "b-8": "bob", "8": "", "9": "", "10": ""} {
		a, err := w.svc.SubjectAccount(w.ctx, w.realm.ID, "one", subject)
		if a.Username != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", subject, a.Username, err, want)
		}
	}
	if a, err := w.svc.SubjectAccount(w.ctx, w.realm.ID, "two", "9"); err == nil {
		t.Errorf("two goes by no numbers: %+v", a)
	}
}
