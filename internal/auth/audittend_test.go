package auth_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

// withLog has the service write its log into a buffer.
func withLog(out *bytes.Buffer) func(*auth.Options) {
	return func(o *auth.Options) { o.Log = slog.New(slog.NewTextHandler(out, nil)) }
}

func (w *world) tendAudit() (more bool) {
	w.t.Helper()
	more, err := w.svc.TendAudit(w.ctx, w.realm)
	if err != nil {
		w.t.Fatal(err)
	}
	return more
}

func (w *world) verified() *audit.Report {
	w.t.Helper()
	r, err := w.svc.VerifyAudit(w.ctx, w.realm.ID, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// edit changes the database behind the server's back.
func (w *world) edit(query string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.store.Info().Path)
	if err == nil {
		_, err = db.ExecContext(w.ctx, query, args...)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestTendAudit_Signs: each hour in which the log has grown, and what is not as it was
// written is said in the log of the server.
func TestTendAudit_Signs(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out))
	w.account("ada")
	signed := func() int64 { return w.verified().Signed.Seq }
	if n := signed(); n != 2 {
		t.Fatalf("a new realm is signed up to %d", n)
	}
	w.tendAudit()
	if n := signed(); n != 2 {
		t.Errorf("signed again up to %d", n)
	}
	w.advance(time.Hour)
	w.tendAudit()
	if n := signed(); n != 3 || !strings.Contains(out.String(), `msg="the audit log was signed" realm=default head=3:`) {
		t.Errorf("after an hour: up to %d\n%s", n, out.String())
	}
	w.advance(2 * time.Hour)
	w.tendAudit()
	if r := w.verified(); r.Signed.Seq != 3 || r.Checkpoints != 2 || len(r.Findings) != 0 {
		t.Errorf("with nothing new: %+v", r)
	}
	w.signIn("ada")
	w.signIn("ada")
	w.edit("UPDATE audit_event SET address = '198.51.100.1' WHERE seq = 4")
	w.advance(time.Hour)
	out.Reset()
	w.tendAudit()
	if !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), "entry 4: changed") {
		t.Errorf("a change that was not seen:\n%s", out.String())
	}
	if err := w.svc.SignAudit(w.ctx, w.realm); err != nil || signed() != 5 {
		t.Errorf("%v, signed up to %d", err, signed())
	}
}

// TestTendAudit_GoesBack: head, entries and checkpoints of an hour ago are right in
// themselves. The server that has seen more says so.
func TestTendAudit_GoesBack(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out))
	w.account("ada")
	old, err := w.store.AuditHead(w.ctx, w.realm.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.signIn("ada")
	w.tendAudit()
	w.edit("DELETE FROM audit_event WHERE seq > 3")
	w.edit("UPDATE audit_head SET seq = 3, hash = $1, seal = $2", old.Hash[:], old.Seal)
	if r := w.verified(); len(r.Findings) != 0 {
		t.Fatalf("%v", r.Findings)
	}
	for range 2 {
		w.signIn("ada") // to the same number, with another hash
		out.Reset()
		w.tendAudit()
		if said := strings.Contains(out.String(), "another one than a moment ago"); said != (w.log(0)[len(w.log(0))-1].Seq == 4) {
			t.Errorf("said: %v\n%s", said, out.String())
		}
	}
}

// TestTendAudit_Cut: what is older than is to be kept goes, in batches, and the log stays
// provable: its new beginning is signed, and no other beginning is believed.
func TestTendAudit_Cut(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.account("ada")
	err := w.store.InTx(w.ctx, func(tx auth.Tx) error {
		for range 1200 {
			e := audit.Event{ID: uuid.New(), RealmID: w.realm.ID, At: w.clock(), Kind: audit.SignedIn}
			if err := tx.InsertEvent(w.ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.advance(23 * time.Hour)
	w.signIn("ada") // 1204
	if w.tendAudit() || w.verified().First != 1 {
		t.Error("something was cut too early")
	}
	w.advance(61 * time.Minute)
	for i, first := range []int64{501, 1001, 1204, 1204} {
		if more := w.tendAudit(); more != (i < 2) {
			t.Errorf("%d: more: %v", i, more)
		}
		if r := w.verified(); r.First != first || r.Cut.Seq != first-1 || len(r.Findings) != 0 {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if !strings.Contains(out.String(), "deleted because of their age") || strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("log:\n%s", out.String())
	}
	w.advance(48 * time.Hour)
	w.tendAudit()
	if r := w.verified(); r.Entries != 0 || r.Head.Seq != 1204 || len(r.Findings) != 0 {
		t.Errorf("all of it: %+v", r)
	}
	w.signIn("ada")
	w.signIn("ada")
	if r := w.verified(); r.First != 1205 || len(r.Findings) != 0 {
		t.Errorf("and after: %+v", r)
	}
	w.edit("DELETE FROM audit_event WHERE seq = 1205")
	if r := w.verified(); len(r.Findings) != 1 || r.Findings[0].What != audit.Missing {
		t.Errorf("cut by hand: %v", r.Findings)
	}
	w.edit("UPDATE audit_checkpoint SET seq = 1205")
	if r := w.verified(); len(r.Findings) < 2 {
		t.Errorf("with a cut by hand: %v", r.Findings)
	}
}

// Evidence does not go unseen with its age.
func TestTendAudit_CutOfWhatWasChanged(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.account("ada")
	w.tendAudit()
	w.edit("UPDATE audit_event SET actor = 'nobody' WHERE seq = 2")
	w.advance(25 * time.Hour)
	w.tendAudit()
	if r := w.verified(); r.Entries != 0 || len(r.Findings) != 0 || !strings.Contains(out.String(), `found="entry 2: changed`) {
		t.Errorf("%+v\n%s", r, out.String())
	}
}

// TestAdoptAudit: a log without a seal is an older version's, and is taken over by a start,
// once. Any other wrong seal is none.
func TestAdoptAudit(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out))
	w.account("ada")
	for _, c := range []struct {
		seal     []byte
		findings int
	}{{[]byte{}, 0}, {[]byte{1}, 1}, {audit.Broken, 1}} {
		w.edit("UPDATE audit_head SET seal = $1", c.seal)
		if r := w.verified(); len(r.Findings) != 1 || r.Findings[0].What != audit.Unsealed {
			t.Errorf("seal %x: %v", c.seal, r.Findings)
		}
		out.Reset()
		if err := w.svc.AdoptAudit(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.signIn("ada")
		if r := w.verified(); len(r.Findings) != c.findings || (c.findings == 0) != strings.Contains(out.String(), "taken over") {
			t.Errorf("seal %x: %v\n%s", c.seal, r.Findings, out.String())
		}
	}
}
