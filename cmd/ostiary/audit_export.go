package main

import (
	"encoding/hex"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

type auditExport struct {
	Since moment `placeholder:"TIME" help:"From then on: a time (2026-03-01, 2026-03-01T12:00:00Z), or how long ago (24h, 7d)."`
	Until moment `placeholder:"TIME" help:"To before then."`
	After int64  `placeholder:"SEQ" help:"What came after the entry of this number."`
}

func (auditExport) Help() string {
	return `One JSON object a line: entries, each with its hash and the one before, and the checkpoints that the server signed.
docs/audit.md says how to verify them without Ostiary.

Examples:
    ostiary audit export > audit.jsonl
    ostiary audit export --since 2026-03-01 --until 2026-04-01 > march.jsonl`
}

type exportedEntry struct {
	Type  string    `json:"type"` // entry
	Realm uuid.UUID `json:"realm"`
	eventJSON
	Previous *audit.Hash `json:"previous"` // null if the entry before is missing
}

type exportedCheckpoint struct {
	Type      string     `json:"type"` // checkpoint
	Realm     uuid.UUID  `json:"realm"`
	Seq       int64      `json:"seq"`
	Hash      audit.Hash `json:"hash"`
	At        string     `json:"at"`
	Kind      string     `json:"kind"` // head or cut
	Key       string     `json:"key"`
	Signature string     `json:"signature"`
}

// exporter prints entries, and each checkpoint after its entry.
type exporter struct {
	*desk
	a      *app
	out    *json.Encoder
	last   audit.Head // that was printed, or that the first entry follows
	points []audit.Checkpoint
	asked  int64
	done   bool
}

func (c *auditExport) Run(a *app) error {
	if c.After < 0 {
		return misusef("--after: must not be negative")
	}
	return a.inRealm(func(d *desk) error {
		f := auth.AuditFilter{After: c.After}
		if !c.Since.IsZero() || !c.Until.IsZero() {
			// All between the first and the last: one that is missing there could not be told from one that was left out.
			first, last, err := d.AuditSpan(a, d.realm.ID, c.Since.Time, c.Until.Time)
			if err != nil || last == 0 {
				return err
			}
			f.After, f.Last = max(f.After, first-1), last
		}
		x := &exporter{desk: d, a: a, out: a.encoder(), asked: max(0, f.After-1)}
		return d.EachEvent(a, d.realm.ID, f, x.entry)
	})
}

func (x *exporter) entry(e audit.Event) error {
	previous := x.last.Hash
	line := exportedEntry{Type: "entry", Realm: e.RealmID, eventJSON: ofEvent(e), Previous: &previous}
	if e.Seq != x.last.Seq+1 {
		before, err := x.before(e.Seq)
		if err != nil {
			return err
		}
		line.Previous = before
	}
	if err := x.checkpoints(e.Seq - 1); err != nil {
		return err
	}
	x.last = audit.Head{Seq: e.Seq, Hash: e.Hash}
	if err := x.out.Encode(line); err != nil {
		return err
	}
	return x.checkpoints(e.Seq)
}

// before is the hash of the entry before one, or of the checkpoint that stands for it.
func (x *exporter) before(seq int64) (*audit.Hash, error) {
	events, err := x.ListAudit(x.a, x.realm.ID, auth.AuditFilter{After: seq - 2, Last: seq - 1, Limit: 1})
	if err == nil && len(events) == 1 {
		return &events[0].Hash, nil
	}
	points, err := x.AuditCheckpoints(x.a, x.realm.ID, seq-2)
	if err == nil && len(points) > 0 && points[0].Seq == seq-1 {
		return &points[0].Hash, nil
	}
	return nil, err
}

// checkpoints prints those up to an entry that have not been printed yet.
func (x *exporter) checkpoints(through int64) (err error) {
	for {
		if len(x.points) == 0 && !x.done {
			if x.points, err = x.AuditCheckpoints(x.a, x.realm.ID, x.asked); err != nil {
				return err
			}
			x.done = len(x.points) == 0
		}
		if len(x.points) == 0 || x.points[0].Seq > through {
			return nil
		}
		c := x.points[0]
		x.points, x.asked = x.points[1:], c.Seq
		line := exportedCheckpoint{"checkpoint", c.RealmID, c.Seq, c.Hash, audit.Stamp(c.At), c.Kind(),
			hex.EncodeToString(x.AuditKey()), hex.EncodeToString(c.Signature)}
		if err := x.out.Encode(line); err != nil {
			return err
		}
	}
}
