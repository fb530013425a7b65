package audit

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// before puts entries in front of a log, chained from nothing, as a forger does.
func (r *rows) before(from, to int64) {
	head := Head{Seq: from - 1}
	for range to - from + 1 {
		e := Event{ID: uuid.New(), RealmID: realm, At: noon, Kind: RealmCreated, Detail: fmt.Sprint("forged ", head.Seq+1)}
		head = e.Follow(head)
		r.events = append(r.events, e)
	}
}

// A cut leaves nothing before it, whatever of a log fits together otherwise.
func TestVerify_BeforeTheCut(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *rows)
		want []string
	}{
		{"some", func(r *rows) { r.before(1, 3) }, []string{"entries 1 to 3: before the cut: not written by the server"}},
		{"all but one", func(r *rows) { r.before(1, 19) }, []string{"entries 1 to "}}, // as far as one page of it says
		{"as many as were cut", func(r *rows) { r.before(1, 20) }, []string{"entries 1 to 20: not what was signed", "entries 1 to ", "entry 21: changed"}},
		{"from the middle on", func(r *rows) { r.before(9, 12) }, []string{"entries 1 to 8: missing", "entries 9 to 12: before the cut"}},
		{"some, and the next removed", func(r *rows) { r.before(1, 3); r.drop(21, 22) }, []string{"entries 1 to 3: before the cut", "entries 4 to 22: missing"}},
	} {
		r := newRows()
		r.cut(20)
		c.do(r)
		report, err := Verify(r.log(), nil)
		if err != nil || !like(report.Findings, c.want) {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, texts(report.Findings), c.want)
		}
		found, err := Glance(r.log(), r.points[len(r.points)-1])
		if err != nil || len(found) == 0 || found[0].What != Stray {
			t.Errorf("%s: a glance: %q, %v", c.name, texts(found), err)
		}
	}
}

// An old log that was kept, and put back before its cut, was cut for all that.
func TestVerify_WhatWasCutPutBack(t *testing.T) {
	r := newRows()
	old := slices.Clone(r.events[:20])
	r.cut(20)
	r.events = append(r.events, old...)
	if report, err := Verify(r.log(), nil); err != nil || !like(report.Findings, []string{"entries 1 to 7: before the cut"}) {
		t.Errorf("%q, %v", texts(report.Findings), err)
	}
}

// A log without anything is not that of a realm, and nor is one that begins with a login.
func TestVerify_Wiped(t *testing.T) {
	for name, r := range map[string]*rows{"empty": {}, "begun anew": {}} {
		if name != "empty" {
			e := Event{ID: uuid.New(), RealmID: realm, At: noon, Kind: SignedIn}
			next := sealKey.Append(SealedHead{Head{}, sealKey.Seal(realm, Head{})}, &e)
			r.head, r.seal, r.events = next.Head, next.Seal, []Event{e}
			r.write(3)
			r.sign(false)
		}
		want := []string{"entry 1: missing: a log begins with the creation of its realm"}
		if name != "empty" {
			want = append(want, "entries 1 to 4: the head")
		}
		report, err := Verify(r.log(), nil)
		if err != nil || !like(report.Findings, want) {
			t.Errorf("%s: %q, %v", name, texts(report.Findings), err)
		}
		if found, err := Glance(r.log(), Checkpoint{}); err != nil || len(found) == 0 || !slices.ContainsFunc(found, func(f Finding) bool { return f.What == Missing }) {
			t.Errorf("%s: a glance: %q, %v", name, texts(found), err)
		}
	}
}

// A glance sees both ends, and what was signed last.
func TestGlance(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *rows)
		want []string
	}{
		{"nothing", func(*rows) {}, nil},
		{"a cut", func(r *rows) { r.cut(20) }, nil},
		{"all cut", func(r *rows) { r.events, r.points = nil, nil; r.sign(true) }, nil},
		{"not signed yet", func(r *rows) { r.points = []Checkpoint{{}} }, nil},
		{"the middle is not looked at", func(r *rows) { r.at(25).Detail = "x" }, nil},
		{"the beginning removed", func(r *rows) { r.drop(1, 20) }, []string{"entries 1 to 20: missing"}},
		{"more than was cut", func(r *rows) { r.cut(20); r.drop(21, 30) }, []string{"entries 21 to 30: missing"}},
		{"the end removed", func(r *rows) { r.drop(55, 60) }, []string{"entry 60: missing"}},
		{"everything but the head", func(r *rows) { r.events = nil }, []string{"entry 50: missing", "entry 60: missing"}},
		{"everything but checkpoints", func(r *rows) { r.events, r.head = nil, Head{} }, []string{"entries 1 to 50: missing: they were signed"}},
		{"the end and its head", func(r *rows) { r.drop(45, 60); r.head = Head{44, r.at(44).Hash} },
			[]string{"entries 45 to 50: missing: they were signed", "entry 44: the head"}},
		{"no seal", func(r *rows) { r.seal = []byte{} }, []string{"entries 51 to 60: the head"}},
		{"written anew", func(r *rows) { r.at(45).Detail = "x"; r.rewrite(45) }, []string{"entry 50: not what its head", "entries 51 to 60: the head"}},
		{"a checkpoint of another key", func(r *rows) { r.points[4].At = noon.Add(time.Hour) }, []string{"entry 50: its checkpoint was not signed"}},
		{"a checkpoint of what is not there", func(r *rows) { r.points = append(r.points, Checkpoint{RealmID: realm, Head: Head{99, Hash{}}}) }, []string{"entry 99: its checkpoint was not signed"}},
		{"a cut that nobody signed", func(r *rows) { r.drop(1, 20); r.points = r.points[1:]; r.points[0].Cut = true }, []string{"entries 1 to 20: missing"}},
	} {
		r := newRows()
		c.do(r)
		found, err := Glance(r.log(), r.points[len(r.points)-1])
		if err != nil || !like(found, c.want) {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, texts(found), c.want)
		}
	}
}

// A log may grow, be signed and be cut between any two reads of a glance.
func TestGlance_WhileItChanges(t *testing.T) {
	for step := range 9 {
		r := newRows()
		last, l, reads := r.points[4], r.log(), 0
		change := func() Log {
			if reads++; reads == step {
				r.write(9)
				r.sign(false)
				r.cut(66)
			}
			return r.log()
		}
		l.Entries = func(after int64) ([]Event, error) { return change().Entries(after) }
		l.Checkpoints = func(after int64) ([]Checkpoint, error) { return change().Checkpoints(after) }
		if found, err := Glance(l, last); err != nil || len(found) != 0 || reads < 4 {
			t.Errorf("step %d of %d: %q, %v", step, reads, texts(found), err)
		}
	}
	failed := errors.New("on purpose")
	l := newRows().log()
	l.Checkpoints = func(int64) ([]Checkpoint, error) { return nil, failed }
	if _, err := Glance(l, Checkpoint{}); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}

// What is said about the log itself is in each report.
func TestVerify_Notes(t *testing.T) {
	r := newRows()
	e := Event{ID: uuid.New(), RealmID: realm, At: noon, Kind: AuditAdopted, Detail: "60 entries"}
	next := sealKey.Append(SealedHead{r.head, r.seal}, &e)
	r.head, r.seal, r.events = next.Head, next.Seal, append(r.events, e)
	r.write(2)
	report, err := Verify(r.log(), nil)
	if err != nil || len(report.Findings) != 0 || len(report.Notes) != 1 || report.Notes[0].Seq != 61 {
		t.Errorf("%+v, %v", report, err)
	}
}
