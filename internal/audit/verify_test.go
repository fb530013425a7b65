package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// rows is a log in memory, which the tests tamper with.
type rows struct {
	events []Event
	points []Checkpoint
	head   Head
	seal   []byte
}

var sealKey = HeadKey{1, 2, 3}

// write adds n entries as a store does.
func (r *rows) write(n int) {
	for range n {
		e := Event{ID: uuid.New(), RealmID: realm, At: noon.Add(time.Duration(r.head.Seq) * time.Second), Kind: SignedIn, Detail: fmt.Sprint("number ", r.head.Seq+1)}
		if r.head.Seq == 0 {
			e.Kind = RealmCreated
		}
		next := sealKey.Append(SealedHead{r.head, r.seal}, &e)
		r.head, r.seal = next.Head, next.Seal
		r.events = append(r.events, e)
	}
}

// sign signs the head, or says that all up to it was deleted.
func (r *rows) sign(cut bool) {
	c := Checkpoint{RealmID: realm, Head: r.head, At: noon, Cut: cut}
	c.Sign(testKey)
	r.points = append(r.points, c)
}

// at is the row of an entry.
func (r *rows) at(seq int64) *Event {
	i := slices.IndexFunc(r.events, func(e Event) bool { return e.Seq == seq })
	return &r.events[i]
}

func (r *rows) drop(first, last int64) {
	r.events = slices.DeleteFunc(r.events, func(e Event) bool { return e.Seq >= first && e.Seq <= last })
}

// rewrite recomputes the chain from an entry on, as whoever knows the format can.
func (r *rows) rewrite(from int64) {
	before := Head{}
	for i := range r.events {
		if e := &r.events[i]; e.Seq >= from {
			e.Hash = e.Sum(before.Hash)
		}
		before = Head{r.events[i].Seq, r.events[i].Hash}
	}
	r.head = before
}

func (r *rows) log() Log {
	const page = 7
	slices.SortFunc(r.events, func(a, b Event) int { return int(a.Seq - b.Seq) })
	slices.SortFunc(r.points, func(a, b Checkpoint) int { return int(a.Seq - b.Seq) })
	return Log{
		Realm: realm, Key: testKey.Public().(ed25519.PublicKey), Seal: sealKey,
		Head: func() (SealedHead, error) { return SealedHead{r.head, r.seal}, nil },
		Entries: func(after int64) ([]Event, error) {
			rest := slices.DeleteFunc(slices.Clone(r.events), func(e Event) bool { return e.Seq <= after })
			return rest[:min(page, len(rest))], nil
		},
		Checkpoints: func(after int64) ([]Checkpoint, error) {
			rest := slices.DeleteFunc(slices.Clone(r.points), func(c Checkpoint) bool { return c.Seq <= after })
			return rest[:min(2, len(rest))], nil
		},
	}
}

// newRows is a log of 60 entries, signed at 10, 20, 30, 40 and 50.
func newRows() *rows {
	r := &rows{}
	for range 5 {
		r.write(10)
		r.sign(false)
	}
	r.write(10)
	return r
}

func swap(a, b *Event) { a.Seq, b.Seq = b.Seq, a.Seq }

// What can be done to a log, and what is said of it.
func TestVerify_Findings(t *testing.T) {
	const made = "the head of the log was written by somebody else"
	changedAt := func(n int) string { return fmt.Sprintf("entry %d: changed, or the entry before was", n) }
	for _, c := range []struct {
		name   string
		tamper func(r *rows)
		want   []string
	}{
		{"nothing", func(*rows) {}, nil},
		{"a text", func(r *rows) { r.at(25).Detail = "x" }, []string{changedAt(25)}},
		{"the first", func(r *rows) { r.at(1).Actor = "x" }, []string{changedAt(1)}},
		{"the last", func(r *rows) { r.at(60).Account = realm }, []string{changedAt(60)}},
		{"a hash", func(r *rows) { r.at(25).Hash[0]++ }, []string{changedAt(25)}},
		{"a text and its hash", func(r *rows) { e := r.at(25); e.Detail = "x"; e.Hash = e.Sum(r.at(24).Hash) }, []string{changedAt(26)}},
		{"the text and hash that were signed", func(r *rows) { e := r.at(20); e.Detail = "x"; e.Hash = e.Sum(r.at(19).Hash) },
			[]string{"entries 11 to 20: not what was signed at 2026-03-01T11:00:00.123456Z", changedAt(21)}},
		{"many texts", func(r *rows) {
			for i := range int64(50) {
				r.at(i + 2).Detail = "x"
			}
		}, []string{"entries 2 to 51: changed, or the entry before was"}},
		{"one removed", func(r *rows) { r.drop(25, 25) }, []string{"entry 25: missing"}},
		{"some removed, and the next changed", func(r *rows) { r.drop(25, 27); r.at(29).Detail = "x" }, []string{"entries 25 to 27: missing", changedAt(29)}},
		{"one that was signed removed, and the next changed", func(r *rows) { r.drop(20, 20); r.at(21).Detail = "x" }, []string{"entry 20: missing", changedAt(21)}},
		{"removed and renumbered", func(r *rows) {
			r.drop(56, 56)
			for i := range r.events {
				if e := &r.events[i]; e.Seq > 56 {
					e.Seq--
				}
			}
			r.head.Seq--
		}, []string{changedAt(56), "entry 57: moved: what stands here is entry 58", "entry 58: moved: what stands here is entry 59", changedAt(59), "entries 51 to 59: " + made}},
		{"the beginning removed", func(r *rows) { r.drop(1, 20) }, []string{"entries 1 to 20: missing"}},
		{"the end removed", func(r *rows) { r.drop(55, 60) }, []string{"entries 55 to 60: missing"}},
		{"the end and its head", func(r *rows) { r.drop(45, 60); r.head = Head{44, r.at(44).Hash} }, []string{"entries 41 to 44: " + made, "entries 45 to 50: missing: they were signed at 2026-03-01T11:00:00.123456Z"}},
		{"everything", func(r *rows) { r.events, r.head = nil, Head{} }, []string{"entries 1 to 50: missing: they were signed"}},
		{"everything but the head", func(r *rows) { r.events = nil }, []string{"entries 1 to 60: missing"}},
		{"the head's hash", func(r *rows) { r.head.Hash[0]++ }, []string{"entry 60: not what the head of the log is of", "entries 51 to 60: " + made}},
		{"one added at the end", func(r *rows) { r.write(1); r.head = Head{60, r.at(60).Hash} }, []string{"entry 61: after the head of the log", "entries 51 to 61: " + made}},
		{"two swapped", func(r *rows) { swap(r.at(25), r.at(33)) }, []string{"entry 25: moved: what stands here is entry 33", "entry 33: moved: what stands here is entry 25"}},
		{"two neighbours swapped", func(r *rows) { swap(r.at(25), r.at(26)) }, []string{"entry 25: moved: what stands here is entry 26", "entry 26: moved: what stands here is entry 25"}},
		{"the texts of two swapped", func(r *rows) {
			a, b := r.at(25), r.at(33)
			swap(a, b)
			a.Hash, b.Hash = b.Hash, a.Hash
		}, []string{"entry 25: moved: what stands here is entry 33", "entry 33: moved: what stands here is entry 25"}},
		{"three in a circle", func(r *rows) {
			a, b, c := r.at(12), r.at(40), r.at(26)
			a.Seq, b.Seq, c.Seq = b.Seq, c.Seq, a.Seq
		}, []string{"entries 31 to 40: not what was signed", "entry 12: moved: what stands here is entry 26", "entry 26: moved: what stands here is entry 40", "entry 40: moved: what stands here is entry 12"}},
		{"rewritten to the end", func(r *rows) { r.at(25).Detail = "x"; r.rewrite(25) }, []string{"entries 21 to 50: not what was signed at", "entries 51 to 60: " + made}},
		{"rewritten after what is signed", func(r *rows) { r.at(55).Detail = "x"; r.rewrite(55) }, []string{"entries 51 to 60: " + made}},
		{"rewritten, with no checkpoints left after it", func(r *rows) { r.at(25).Detail = "x"; r.rewrite(25); r.points = r.points[:2] }, []string{"entries 21 to 60: " + made}},
		{"rewritten, and written on by the server", func(r *rows) { r.at(55).Detail = "x"; r.rewrite(55); r.write(3); r.sign(false) }, []string{"entries 1 to 63: " + made}},
		{"the head lost", func(r *rows) { r.head, r.seal = Head{}, nil }, []string{"entries 1 to 60: after the head of the log", "entries 51 to 60: " + made}},
		{"a checkpoint of another hash", func(r *rows) { r.points[2].Hash[0]++ }, []string{"entry 30: its checkpoint was not signed with this master key"}},
		{"a checkpoint of another realm", func(r *rows) { r.points[2].RealmID = uuid.New(); r.points[2].Sign(testKey) }, []string{"entry 30: its checkpoint was not signed"}},
		{"a checkpoint of another key", func(r *rows) { r.points[4].Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))) }, []string{"entry 50: its checkpoint was not signed"}},
		{"no checkpoints", func(r *rows) { r.points = nil }, []string{"entries 1 to 60: no checkpoint agrees"}},
		{"a cut that nobody signed", func(r *rows) { r.drop(1, 20); r.points = r.points[1:]; r.points[0].Cut = true }, []string{"entries 1 to 20: missing", "entry 20: its checkpoint was not signed"}},
		{"a cut where none was", func(r *rows) { r.drop(1, 20); r.points = r.points[1:] }, []string{"entries 1 to 20: missing"}},
	} {
		r := newRows()
		c.tamper(r)
		report, err := Verify(r.log(), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !like(report.Findings, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, texts(report.Findings), c.want)
		}
	}
}

func texts(all []Finding) (lines []string) {
	for _, f := range all {
		lines = append(lines, f.String())
	}
	return lines
}

// like compares findings by how they begin, in any order of those of one entry.
func like(got []Finding, want []string) bool {
	lines := texts(got)
	for _, w := range want {
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, w) })
		if i < 0 {
			return false
		}
		lines = slices.Delete(lines, i, i+1)
	}
	return len(lines) == 0
}

// A log that was cut begins where its cut says, and knows no more of what was before.
func TestVerify_Cut(t *testing.T) {
	r := newRows()
	r.cut(20)
	report, err := Verify(r.log(), nil)
	if err != nil || len(report.Findings) != 0 || report.First != 21 || report.Entries != 40 || report.Cut.Seq != 20 || report.Signed.Seq != 50 || report.Checkpoints != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	if n, _ := report.Unsigned(); n != 10 {
		t.Errorf("%d unsigned", n)
	}
	r.at(21).Detail = "x"
	if report, _ = Verify(r.log(), nil); !like(report.Findings, []string{"entry 21: changed"}) {
		t.Errorf("%q", texts(report.Findings))
	}
	r.drop(21, 25)
	if report, _ = Verify(r.log(), nil); !like(report.Findings, []string{"entries 21 to 25: missing"}) {
		t.Errorf("%q", texts(report.Findings))
	}
	r.events, r.points = nil, nil
	r.sign(true)
	if report, err = Verify(r.log(), nil); err != nil || len(report.Findings) != 0 || report.Entries != 0 || report.Cut.Seq != 60 {
		t.Errorf("all cut: %+v, %v", report, err)
	}
}

// An anchor finds what the database itself can't tell: a log that was made up as a whole,
// by somebody who has the master key, too, or its unsigned end.
func TestVerify_Anchor(t *testing.T) {
	anchor := func(r *rows, seq int64) *Head { return &Head{seq, r.at(seq).Hash} }
	for _, c := range []struct {
		name   string
		seq    int64
		tamper func(r *rows)
		want   []string
	}{
		{"nothing", 55, func(*rows) {}, nil},
		{"the last", 60, func(r *rows) { r.write(5) }, nil},
		{"rewritten", 58, func(r *rows) { r.at(55).Detail = "x"; r.rewrite(55) }, []string{"entries 1 to 58: not what the given head is of", "entries 51 to 60: the head"}},
		{"cut off", 58, func(r *rows) { r.drop(57, 60); r.head = Head{56, r.at(56).Hash} }, []string{"entries 51 to 56: the head", "entries 57 to 58: missing: the given head"}},
		{"deleted because of its age", 15, func(r *rows) { r.cut(20) }, []string{"entry 15: the given head can't be compared"}},
		{"the one that was cut at", 20, func(r *rows) { r.cut(20) }, nil},
	} {
		r := newRows()
		head := anchor(r, c.seq)
		c.tamper(r)
		report, err := Verify(r.log(), head)
		if err != nil || !like(report.Findings, c.want) {
			t.Errorf("%s: %v:\n got %q\nwant %q", c.name, err, texts(report.Findings), c.want)
		}
	}
	other := newRows()
	for _, seq := range []int64{20, 60} { // 20 is where it is cut
		r := newRows()
		r.cut(20)
		report, err := Verify(r.log(), anchor(other, seq))
		if err != nil || !like(report.Findings, []string{fmt.Sprintf("entries 1 to %d: not what the given head is of", seq)}) {
			t.Errorf("another log: %q, %v", texts(report.Findings), err)
		}
	}
}

// cut deletes what is old, as the server does.
func (r *rows) cut(through int64) {
	c := Checkpoint{RealmID: realm, Head: Head{through, r.at(through).Hash}, At: noon, Cut: true}
	c.Sign(testKey)
	r.drop(1, through)
	r.points = append(slices.DeleteFunc(r.points, func(p Checkpoint) bool { return p.Seq <= through }), c)
}

// While a log is read, it grows, is signed, and loses its beginning: none of that is a fault.
func TestVerify_WhileItChanges(t *testing.T) {
	for step := range 14 {
		r := newRows()
		l, reads := r.log(), 0
		entries, points := l.Entries, l.Checkpoints
		change := func() {
			if reads++; reads == step {
				r.write(9)
				r.sign(false)
				r.cut(33)
				r.write(1)
				l2 := r.log()
				entries, points = l2.Entries, l2.Checkpoints
			}
		}
		l.Entries = func(after int64) ([]Event, error) { change(); return entries(after) }
		l.Checkpoints = func(after int64) ([]Checkpoint, error) { change(); return points(after) }
		report, err := Verify(l, nil)
		if err != nil || len(report.Findings) != 0 || step > 0 && reads >= step && report.Head.Seq != 70 {
			t.Errorf("step %d of %d: %q, %v, head %d", step, reads, texts(report.Findings), err, report.Head.Seq)
		}
	}
}

func TestVerify_ReadErrors(t *testing.T) {
	failed := errors.New("on purpose")
	for name, spoil := range map[string]func(l *Log){
		"head":        func(l *Log) { l.Head = func() (SealedHead, error) { return SealedHead{}, failed } },
		"entries":     func(l *Log) { l.Entries = func(int64) ([]Event, error) { return nil, failed } },
		"checkpoints": func(l *Log) { l.Checkpoints = func(int64) ([]Checkpoint, error) { return nil, failed } },
	} {
		l := newRows().log()
		spoil(&l)
		if _, err := Verify(l, nil); !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A log of nothing but faults takes no more memory than the first of them.
func TestVerify_Bounded(t *testing.T) {
	r := &rows{}
	r.write(6000)
	r.sign(false)
	for i := range r.events {
		if i%4 == 1 {
			r.events[i].Detail = "x"
		}
	}
	report, err := Verify(r.log(), nil)
	if err != nil || len(report.Findings) != maxFindings || report.More != 500 {
		t.Errorf("%d findings and %d more, %v", len(report.Findings), report.More, err)
	}
}

func TestRecheck(t *testing.T) {
	r := newRows()
	r.at(15).Detail = "x" // before what is looked at
	if found, err := Recheck(r.log(), r.points[3].Head); err != nil || len(found) != 0 {
		t.Errorf("%q, %v", texts(found), err)
	}
	r.at(41).Detail = "x"
	r.drop(45, 45)
	if found, err := Recheck(r.log(), r.points[3].Head); err != nil || !like(found, []string{"entry 41: changed", "entry 45: missing"}) {
		t.Errorf("%q, %v", texts(found), err)
	}
	r = newRows()
	r.at(30).Detail = "x"
	r.rewrite(30) // what follows is right in itself, but not after what was signed
	if found, err := Recheck(r.log(), r.points[3].Head); err != nil || !like(found, []string{"entry 41: changed", "entries 41 to 50: not what was signed"}) {
		t.Errorf("%q, %v", texts(found), err)
	}
}
