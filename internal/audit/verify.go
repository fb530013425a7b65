package audit

import (
	"crypto/ed25519"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
)

// Log is a log to be verified. What is read may grow meanwhile, and lose its oldest entries
// by a cut: each function answers as it is at the moment.
type Log struct {
	Realm uuid.UUID
	Key   ed25519.PublicKey // that the checkpoints are signed with
	Seal  HeadKey           // that the head is sealed with
	Head  func() (SealedHead, error)
	// Entries and Checkpoints return some with a higher number, in order; none: there are no more.
	Entries     func(after int64) ([]Event, error)
	Checkpoints func(after int64) ([]Checkpoint, error)
}

// Finding is something that is not as the server wrote it.
type Finding struct {
	What  What   `json:"what"`
	First int64  `json:"first"` // the entries that it is about
	Last  int64  `json:"last"`
	Text  string `json:"text"`
}

// What was found.
type What string

const (
	Changed  What = "changed"  // an entry does not have the hash of its texts and of the entry before
	Missing  What = "missing"  // entries are not there
	Moved    What = "moved"    // an entry stands in the place of another
	Replaced What = "replaced" // a chain that is right in itself is not the one that was signed, or kept elsewhere
	Beyond   What = "beyond"   // entries after the head
	Stray    What = "stray"    // entries before a cut, which left none
	Unsigned What = "unsigned" // a checkpoint that the server did not sign, or none at all
	Unsealed What = "unsealed" // a head that neither the server nor a command wrote
	Hidden   What = "hidden"   // an index of the database does not have all entries
	TooOld   What = "too_old"  // the head to compare with was deleted because of its age
)

// Report is what Verify found.
type Report struct {
	Entries     int64
	First       int64 // the first entry that is there; 0: none
	Head        Head
	Cut         Checkpoint // of the entries before First, if they were deleted because of their age
	Signed      Checkpoint // the latest that agrees with the log
	Checkpoints int
	Notes       []Event   // entries about the log itself
	Findings    []Finding // by number
	More        int       // findings beyond these
}

// maxFindings bounds what a log of nothing but faults takes in memory.
const maxFindings = 1000

// Verify reads a whole log, from its first entry or its last cut to its head. With an
// anchor, a head that was kept elsewhere, the log must go through it. An error is one of
// reading; what is wrong with the log is in the report.
func Verify(l Log, anchor *Head) (*Report, error) {
	v := &verifier{log: l, anchor: anchor}
	if err := v.read(); err != nil {
		return nil, err
	}
	if err := v.end(); err != nil {
		return nil, err
	}
	v.settle()
	return &v.Report, nil
}

// Recheck reads the entries after a checkpoint alone, as Verify does, and returns what it
// finds: the server does so before it signs the next one.
func Recheck(l Log, from Head) ([]Finding, error) {
	v := &verifier{log: l, prev: from, agreed: from.Seq, asked: from.Seq}
	err := v.read()
	if err == nil {
		err = v.strays()
	}
	if err != nil {
		return nil, err
	}
	v.settle()
	return v.Findings, nil
}

type verifier struct {
	Report
	log      Log
	anchor   *Head
	met      bool         // the anchor
	sealed   bool         // the head has its seal
	begun    bool         // the first entry is that of the realm
	prev     Head         // what the next entry must follow
	agreed   int64        // the place of the last checkpoint that has been compared
	points   []Checkpoint // that were read, and not yet come to
	asked    int64        // the place of the last of them
	no       bool         // there were no more a moment ago
	suspects []suspect
}

// read reads all entries, and the head that they end in.
func (v *verifier) read() error {
	for {
		page, err := v.page()
		if err != nil || page > 0 {
			if err != nil {
				return err
			}
			continue
		}
		// Whatever the head counts is there by now, or is lost.
		head, err := v.log.Head()
		v.Head, v.sealed = head.Head, v.log.Seal.Sealed(v.log.Realm, head)
		if err != nil || head.Seq <= v.prev.Seq {
			return err
		}
		if page, err = v.page(); err != nil || page == 0 {
			return err
		}
	}
}

func (v *verifier) page() (int, error) {
	page, err := v.log.Entries(v.prev.Seq)
	v.no = false
	for i := range page {
		if err := v.entry(&page[i]); err != nil {
			return 0, err
		}
	}
	return len(page), err
}

func (v *verifier) entry(e *Event) error {
	known, err := v.gap(e.Seq)
	if err != nil {
		return err
	}
	if v.Entries++; v.First == 0 {
		v.First, v.begun = e.Seq, e.Kind == RealmCreated
	}
	if e.Kind.AboutLog() && len(v.Notes) < maxFindings {
		v.Notes = append(v.Notes, *e)
	}
	if known && e.Sum(v.prev.Hash) != e.Hash {
		v.suspect(e)
	}
	v.prev = Head{e.Seq, e.Hash}
	v.compare(v.prev)
	for {
		c, ok, err := v.point(e.Seq)
		if err != nil || !ok {
			return err
		}
		v.checkpoint(c)
	}
}

// gap sees to the entries before seq that are not there: either a cut says that they were
// deleted, or they are missing. It tells whether v.prev is what the next one must follow.
func (v *verifier) gap(seq int64) (known bool, err error) {
	if seq == v.prev.Seq+1 {
		return true, nil
	}
	points, err := v.log.Checkpoints(seq - 2) // anew: it may be of a moment ago
	if err != nil {
		return false, err
	}
	known = len(points) > 0 && points[0].Seq == seq-1 && v.signed(points[0])
	if known && points[0].Cut {
		v.cut(points[0])
		return true, nil
	}
	if v.prev.Seq == 0 { // of what was cut, and more
		first, err := v.log.Checkpoints(0)
		if err != nil {
			return false, err
		}
		if len(first) > 0 && first[0].Cut && first[0].Seq < seq && v.signed(first[0]) {
			v.cut(first[0])
		}
	}
	v.find(Missing, v.prev.Seq+1, seq-1, "missing")
	if known {
		v.prev = points[0].Head
	}
	return known, nil
}

// cut goes on after the entries that were deleted because of their age. If some before them
// have been read, they were deleted meanwhile, or strays finds them.
func (v *verifier) cut(c Checkpoint) {
	v.Cut, v.prev, v.agreed = c, c.Head, c.Seq
	v.compare(c.Head)
}

// signed tells whether a checkpoint is the server's, and of this log.
func (v *verifier) signed(c Checkpoint) bool { return c.RealmID == v.log.Realm && c.Signed(v.log.Key) }

// point is the next checkpoint up to a place. Where there are no more, it asks again with
// the next page of entries alone.
func (v *verifier) point(through int64) (c Checkpoint, ok bool, err error) {
	if len(v.points) == 0 && !v.no {
		if v.points, err = v.log.Checkpoints(v.asked); err != nil {
			return c, false, err
		}
		v.no = len(v.points) == 0
	}
	if len(v.points) == 0 || v.points[0].Seq > through {
		return c, false, nil
	}
	c, v.points = v.points[0], v.points[1:]
	v.asked = c.Seq
	return c, true, nil
}

// checkpoint compares a checkpoint with the place that has been come to.
func (v *verifier) checkpoint(c Checkpoint) {
	v.Checkpoints++
	switch {
	case !v.signed(c):
		v.find(Unsigned, c.Seq, c.Seq, textForeign)
		return
	case c.Seq < v.prev.Seq: // the entry is not there, which has been said
	case c.Hash != v.prev.Hash:
		v.find(Replaced, v.agreed+1, c.Seq, "not what was signed at "+Stamp(c.At))
		v.agreed = c.Seq
	default:
		v.Signed, v.agreed = c, c.Seq
	}
	if c.Cut {
		v.Cut = c
	}
}

// compare compares a place with the anchor.
func (v *verifier) compare(at Head) {
	if v.anchor == nil || v.anchor.Seq != at.Seq {
		return
	}
	v.met = true
	if v.anchor.Hash != at.Hash {
		v.find(Replaced, 1, at.Seq, "not what the given head is of")
	}
}

// end sees that the log ends where its head, its checkpoints and the anchor say.
func (v *verifier) end() error {
	if v.Head.Seq > v.prev.Seq { // all may have been cut
		if _, err := v.gap(v.Head.Seq + 1); err != nil {
			return err
		}
	}
	last := max(v.prev.Seq, v.Head.Seq)
	switch {
	case v.Head.Seq < v.prev.Seq:
		v.find(Beyond, v.Head.Seq+1, v.prev.Seq, "after the head of the log")
	case v.prev.Seq == v.Head.Seq && v.prev.Hash != v.Head.Hash:
		v.find(Replaced, last, last, "not what the head of the log is of")
	}
	if !v.sealed && last > 0 {
		first := v.agreed + 1
		if first > last {
			first = 1 // it was so before the last checkpoint
		}
		v.find(Unsealed, first, last, textMadeUp)
	}
	if err := v.strays(); err != nil {
		return err
	}
	if err := v.ahead(last); err != nil {
		return err
	}
	if v.Cut.Seq == 0 && (v.First == 1 && !v.begun || last == 0 && v.Checkpoints == 0) {
		v.find(Missing, 1, 1, textBegin)
	}
	if v.Entries > 0 && v.Signed.Seq == 0 && v.Cut.Seq == 0 {
		v.find(Unsigned, v.First, last, "no checkpoint agrees with the log: the server signs one when it starts, and each hour")
	}
	switch {
	case v.anchor == nil || v.met || v.anchor.Seq == 0:
	case v.anchor.Seq > last:
		v.find(Missing, last+1, v.anchor.Seq, "missing: the given head is of the last of them")
	case v.anchor.Seq < v.Cut.Seq:
		v.find(TooOld, v.anchor.Seq, v.anchor.Seq, "the given head can't be compared: its entry was deleted because of its age")
	}
	return nil
}

// ahead sees that no checkpoint is of an entry after the end, unless the log has grown.
func (v *verifier) ahead(end int64) error {
	var last Checkpoint
	for v.no = false; ; {
		c, ok, err := v.point(math.MaxInt64)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if v.Checkpoints++; !v.signed(c) {
			v.find(Unsigned, c.Seq, c.Seq, textForeign)
		} else if c.Seq > end {
			last = c
		}
	}
	now, err := v.log.Head()
	if err == nil && now.Seq < last.Seq {
		v.find(Missing, end+1, last.Seq, "missing: they were signed at "+Stamp(last.At))
	}
	return err
}

// find notes something; entries of the same kind that follow each other are one.
func (v *verifier) find(what What, first, last int64, text string) {
	if n := len(v.Findings); n > 0 {
		if f := &v.Findings[n-1]; f.What == what && f.Text == text && first == f.Last+1 {
			f.Last = last
			return
		}
	}
	if len(v.Findings) >= maxFindings {
		v.More++
		return
	}
	v.Findings = append(v.Findings, Finding{what, first, last, text})
}

// String is a finding in one line.
func (f Finding) String() string {
	if f.Last == 0 {
		return f.Text
	}
	if f.First == f.Last {
		return fmt.Sprintf("entry %d: %s", f.First, f.Text)
	}
	return fmt.Sprintf("entries %d to %d: %s", f.First, f.Last, f.Text)
}

// Unsigned counts the entries that no checkpoint covers yet, and says since when: they can
// be replaced by whoever can write the database.
func (r *Report) Unsigned() (entries int64, since time.Time) {
	last := r.Signed
	if last.Seq < r.Cut.Seq {
		last = r.Cut
	}
	return max(0, r.Head.Seq-last.Seq), last.At
}
