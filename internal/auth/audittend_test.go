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
	"github.com/ostiary/ostiary/internal/store"
)

// withLog has the service write its log into a buffer.
func withLog(out *bytes.Buffer) func(*auth.Options) {
	return func(o *auth.Options) { o.Log = slog.New(slog.NewTextHandler(out, nil)) }
}

func (w *world) tendAudit() (more bool) { return w.tendAuditOf(100, 1) }

func (w *world) tendAuditOf(entries, times int) (more bool) {
	w.t.Helper()
	more, err := w.svc.TendAudit(w.ctx, w.realm, entries, times)
	if err != nil {
		w.t.Fatal(err)
	}
	return more
}

// oldLog makes a hundred entries that are older than a day.
func (w *world) oldLog() {
	w.t.Helper()
	w.tx(func(tx auth.Tx) error {
		for range 98 { // with those of the realm itself, a hundred
			if err := tx.InsertEvent(w.ctx, audit.Event{ID: uuid.New(), RealmID: w.realm.ID, At: w.clock(), Kind: audit.SignedIn}); err != nil {
				return err
			}
		}
		return nil
	})
	for range 3 { // hours, so that the clock does not leap, and the log is signed
		w.advance(12 * time.Hour)
		w.tendAuditOf(0, 1)
	}
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
	for range 3 { // it is said each hour, and signed at no time
		out.Reset()
		w.advance(30 * time.Minute)
		w.tendAudit()
		if said := strings.Contains(out.String(), "level=ERROR"); said {
			t.Errorf("said again after half an hour:\n%s", out.String())
		}
		w.advance(30 * time.Minute)
		w.tendAudit()
		if n := strings.Count(out.String(), "level=ERROR"); n != 1 {
			t.Errorf("said %d times in an hour:\n%s", n, out.String())
		}
	}
	if err := w.svc.SignAudit(w.ctx, w.realm); err != nil || signed() != 3 {
		t.Errorf("%v, signed up to %d", err, signed())
	}
}

// TestTendAudit_Wiped: a process knows from its start on that there was a log.
func TestTendAudit_Wiped(t *testing.T) {
	for _, tables := range [][]string{{"audit_event", "audit_checkpoint", "audit_head"}, {"audit_event", "audit_checkpoint"}} {
		var out bytes.Buffer
		w := newWorld(t, withLog(&out))
		w.account("ada")
		if err := w.svc.WatchAudit(w.ctx); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			w.edit("DELETE FROM " + table)
		}
		if r := w.verified(); len(r.Findings) == 0 {
			t.Errorf("%q: nothing is found", tables)
		}
		w.tendAudit()
		if all := len(tables) == 3; !strings.Contains(out.String(), "is not as it was written") || all != strings.Contains(out.String(), "another one than a moment ago") {
			t.Errorf("%q:\n%s", tables, out.String())
		}
		w.signIn("ada")
		w.advance(2 * time.Hour)
		w.tendAudit()
		if r := w.verified(); len(r.Findings) == 0 || r.Signed.Seq != 0 {
			t.Errorf("%q, and written on: %+v", tables, r)
		}
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
	for i := range 14 {
		first := min(100*int64(i+1)+1, 1204)
		if more := w.tendAudit(); more != (i < 12) {
			t.Errorf("%d: more: %v", i, more)
		}
		if r := w.verified(); r.First != first || r.Cut.Seq != first-1 || len(r.Findings) != 0 {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if !strings.Contains(out.String(), "deleted because of their age") || strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("log:\n%s", out.String())
	}
	for range 2 {
		w.advance(24 * time.Hour)
		w.tendAudit()
	}
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

// commits counts transactions.
type commits struct {
	store.Observer
	n int
}

func (c *commits) StoreBatch(n int, _ time.Duration) { c.n += n }
func (c *commits) StoreCommit(time.Duration)         {}
func (c *commits) StoreRead(time.Duration)           {}
func (c *commits) StoreWaited(time.Duration)         {}

// TestTendAudit_Pieces: however many entries are cut at once, no transaction cuts more than ten,
// or so many times as many.
func TestTendAudit_Pieces(t *testing.T) {
	w := newWorld(t, once, func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.oldLog()
	c := &commits{}
	w.store.Observe(c)
	for _, piece := range []struct {
		times, commits int
		first          int64
	}{{1, 9, 46}, {2, 5, 91}} {
		c.n = 0
		w.tendAuditOf(45, piece.times)
		if r := w.verified(); r.First != piece.first || c.n != piece.commits || len(r.Findings) != 0 {
			t.Errorf("%+v: %d transactions, %+v", piece, c.n, r)
		}
	}
}

// Evidence does not go unseen with its age.
func TestTendAudit_CutOfWhatWasChanged(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.account("ada")
	w.tendAudit()
	w.edit("UPDATE audit_event SET actor = 'nobody' WHERE seq = 2")
	for range 25 {
		w.advance(time.Hour)
		w.tendAudit()
	}
	if r := w.verified(); r.Entries != 3 || len(r.Findings) != 1 || r.Cut.Seq != 0 || !strings.Contains(out.String(), `found="entry 2: changed`) {
		t.Errorf("%+v\n%s", r, out.String())
	}
}

// TestTendAudit_MadeOld: who makes entries older, so that retention deletes them, has
// changed them; also if he computes the chain anew as far as a batch goes, or to the end.
func TestTendAudit_MadeOld(t *testing.T) {
	for name, last := range map[string]int64{"not computed anew": 0, "a part": 2, "a part that was signed": 2, "all": 3} {
		var out bytes.Buffer
		w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
		w.account("ada")
		w.edit("UPDATE audit_event SET at = at - 3 * 86400 * 1000000 WHERE seq <= 2")
		signed := int64(0)
		if name == "a part that was signed" { // and no more is looked at, but for the cut
			signed = 3
			if err := w.svc.SignAudit(w.ctx, w.realm); err != nil {
				t.Fatal(err)
			}
		}
		w.edit("DELETE FROM audit_checkpoint WHERE seq <> $1", signed)
		var head audit.Head
		for _, e := range w.log(0)[:last] {
			head = e.Follow(head)
			w.edit("UPDATE audit_event SET hash = $1 WHERE seq = $2", head.Hash[:], head.Seq)
		}
		if last == 3 {
			w.edit("UPDATE audit_head SET hash = $1", head.Hash[:])
		}
		w.tendAudit()
		w.tendAudit()
		if r := w.verified(); r.Entries != 3 || r.Cut.Seq != 0 || r.Signed.Seq != signed || !strings.Contains(out.String(), "level=ERROR") {
			t.Errorf("%s: %+v\n%s", name, r, out.String())
		}
	}
}

// TestTendAudit_ForgedBeforeTheCut: young entries there would hold back what is old.
func TestTendAudit_ForgedBeforeTheCut(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.account("ada")
	for range 25 {
		w.advance(time.Hour)
		w.tendAudit()
	}
	if n := w.verified().Cut.Seq; n != 3 {
		t.Fatalf("cut at %d", n)
	}
	w.signIn("ada")
	w.edit(`INSERT INTO audit_event SELECT realm_id, 1, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash FROM audit_event`)
	w.tendAudit()
	if !strings.Contains(out.String(), `found="entry 1: before the cut: not written by the server"`) {
		t.Errorf("log:\n%s", out.String())
	}
	if n, err := w.svc.CutAudit(w.ctx, w.realm, 4, client); err != nil || n != 2 {
		t.Errorf("by command: %d, %v", n, err)
	}
	if r := w.verified(); len(r.Findings) != 0 || r.Cut.Seq != 4 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Detail, "up to 4:") ||
		!strings.HasSuffix(r.Notes[0].Detail, "with something wrong: entry 1: before the cut: not written by the server") {
		t.Errorf("%+v", r)
	}
}

// TestTendAudit_ClockLeaps: what a wrong clock makes old is not deleted at once.
func TestTendAudit_ClockLeaps(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, withLog(&out), func(o *auth.Options) { o.AuditKeep = 24 * time.Hour })
	w.account("ada")
	if err := w.svc.WatchAudit(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.advance(72 * time.Hour) // between the start and now, or while no server ran
	w.signIn("ada")
	for range 23 {
		w.tendAudit()
		w.advance(time.Hour)
	}
	if r := w.verified(); r.First != 1 || strings.Count(out.String(), "the clock is more than a day ahead") != 1 {
		t.Errorf("%+v\n%s", r, out.String())
	}
	w.advance(time.Hour)
	w.tendAudit()
	if r := w.verified(); r.First != 4 || len(r.Findings) != 0 {
		t.Errorf("a day later: %+v", r)
	}
	w.signIn("ada")
	w.advance(48 * time.Hour)
	w.tendAudit()
	w.advance(-48 * time.Hour) // the clock is put right
	w.tendAudit()
	w.advance(time.Hour)
	if w.tendAudit(); strings.Count(out.String(), "the clock is more than a day ahead") != 2 || w.verified().First != 5 {
		t.Errorf("put right:\n%s", out.String())
	}
}
