package auth_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// TestCutAudit: an operator goes on behind what is wrong, whatever it is, and the log says so.
func TestCutAudit(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      []string
		through int64
		code    auth.Code
	}{
		{"changed", []string{"UPDATE audit_event SET actor = 'x' WHERE seq = 2"}, 2, ""},
		{"missing", []string{"DELETE FROM audit_event WHERE seq = 2"}, 3, ""},
		{"no such entry", nil, 9, auth.CodeNotFound},
		{"nothing wrong", nil, 2, auth.CodeConflict},
		{"no such entry any more", []string{"DELETE FROM audit_event WHERE seq = 2"}, 2, auth.CodeNotFound},
		{"no seal", []string{"UPDATE audit_head SET seal = x''"}, 5, ""},
		{"no seal, and not all", []string{"UPDATE audit_head SET seal = x''"}, 4, auth.CodeConflict},
		{"the end removed", []string{"DELETE FROM audit_event WHERE seq = 5", "UPDATE audit_head SET seq = 4"}, 4, ""},
		{"the head lost", []string{"DELETE FROM audit_head"}, 5, auth.CodeNotFound},
	} {
		var out bytes.Buffer
		w := newWorld(t, withLog(&out))
		w.account("ada")
		w.signIn("ada")
		w.signIn("ada")
		if err := w.svc.SignAudit(w.ctx, w.realm); err != nil {
			t.Fatal(err)
		}
		for _, q := range c.do {
			w.edit(q)
		}
		before := w.verified().Entries
		_, err := w.svc.CutAudit(w.ctx, w.realm, c.through, client)
		if auth.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.code != "" {
			if n := w.verified().Entries; n != before {
				t.Errorf("%s: refused, and %d of %d entries are there", c.name, n, before)
			}
			continue
		}
		w.tendAudit()
		w.signIn("ada")
		if r := w.verified(); len(r.Findings) != 0 || r.Cut.Seq != c.through || len(r.Notes) != 1 || r.Notes[0].Kind != audit.AuditCut || strings.Contains(out.String(), "ERROR") {
			t.Errorf("%s: %+v\n%s", c.name, r, out.String())
		}
	}
}

// TestAdoptAudit: a log without a seal that was never signed is an older version's, and is
// taken over, once, which it says for ever. Any other is not.
func TestAdoptAudit(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      []string
		adopted bool
	}{
		{"an older version's", []string{"UPDATE audit_head SET seal = x''", "DELETE FROM audit_checkpoint"}, true},
		{"that was signed", []string{"UPDATE audit_head SET seal = x''"}, false},
		{"with another seal", []string{"UPDATE audit_head SET seal = x'01'", "DELETE FROM audit_checkpoint"}, false},
		{"with a broken one", []string{"UPDATE audit_head SET seal = zeroblob(32)", "DELETE FROM audit_checkpoint"}, false},
		{"a good one", nil, false},
		{"none", []string{"DELETE FROM audit_head", "DELETE FROM audit_checkpoint"}, false},
	} {
		var out bytes.Buffer
		w := newWorld(t, withLog(&out))
		w.account("ada")
		for _, q := range c.do {
			w.edit(q)
		}
		before := len(w.verified().Findings)
		for range 2 {
			if err := w.svc.AdoptAudit(w.ctx, client); err != nil {
				t.Fatal(err)
			}
		}
		r := w.verified()
		if c.adopted {
			if err := w.svc.SignAudit(w.ctx, w.realm); err != nil {
				t.Fatal(err)
			}
			w.signIn("ada")
			if r = w.verified(); len(r.Findings) != 0 || r.Signed.Seq != 4 {
				t.Errorf("%s: %+v", c.name, r)
			}
		} else if len(r.Findings) != before || r.Entries != 3 {
			t.Errorf("%s: %+v", c.name, r)
		}
		if c.adopted != (len(r.Notes) == 1) || c.adopted != strings.Contains(out.String(), "taken over") {
			t.Errorf("%s: %v\n%s", c.name, r.Notes, out.String())
		}
	}
}

// TestCutAudit_RefusedWhole: of a long log, of which much is deleted at a time, a cut that is refused deletes nothing.
func TestCutAudit_RefusedWhole(t *testing.T) {
	w := newWorld(t)
	w.longLog()
	w.edit("UPDATE audit_head SET seal = x''")
	for through, code := range map[int64]auth.Code{2500: auth.CodeNotFound, 240: auth.CodeConflict} {
		_, err := w.svc.CutAudit(w.ctx, w.realm, through, client)
		w.wantCode(err, code)
		if n := w.verified().Entries; n < 250 {
			t.Fatalf("%d: %d entries are left", through, n)
		}
	}
}

// longLog writes 250 entries: more than two transactions of a cut delete.
func (w *world) longLog() {
	w.t.Helper()
	err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		for range 250 {
			if err := tx.InsertEvent(w.ctx, audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: w.realm.ID, Kind: audit.SignedIn, At: w.clock()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestCutAudit_Interrupted: what has deleted the entries in which something was wrong is in the log, also if it came no further.
func TestCutAudit_Interrupted(t *testing.T) {
	w := newWorld(t)
	w.longLog()
	w.edit("UPDATE audit_event SET actor = 'x' WHERE seq = 20")
	w.edit("CREATE TRIGGER stop BEFORE DELETE ON audit_event WHEN OLD.seq > 100 BEGIN SELECT RAISE(ABORT, 'stop'); END")
	if n, err := w.svc.CutAudit(w.ctx, w.realm, 220, client); n != 100 || err == nil {
		t.Fatalf("%d entries deleted, %v", n, err)
	}
	w.edit("DROP TRIGGER stop")
	r := w.verified()
	if len(r.Findings) != 0 || len(r.Notes) != 1 || r.Notes[0].Kind != audit.AuditCut || !strings.HasPrefix(r.Notes[0].Detail, "up to 220:") {
		t.Errorf("%+v", r)
	}
}
