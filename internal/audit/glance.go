package audit

const (
	textBegin   = "missing: a log begins with the creation of its realm"
	textForeign = "its checkpoint was not signed with this master key"
	textMadeUp  = "the head of the log was written by somebody else: they may have been made up"
)

// strays finds entries before a cut that are still there: it deletes them all, in the same
// transaction, so that nobody but a forger has written them.
func (v *verifier) strays() error {
	if v.Cut.Seq == 0 {
		return nil
	}
	page, err := v.log.Entries(0)
	if err != nil || len(page) == 0 || page[0].Seq > v.Cut.Seq {
		return err
	}
	last := page[0].Seq
	for _, e := range page {
		if e.Seq <= v.Cut.Seq {
			last = e.Seq
		}
	}
	v.find(Stray, page[0].Seq, last, "before the cut: not written by the server")
	return nil
}

// Glance looks at both ends of a log and at its last checkpoint, whatever its size: enough
// to see that it is still there and goes on, and no more. What is read may change meanwhile.
func Glance(l Log, last Checkpoint) ([]Finding, error) {
	v := &verifier{log: l}
	head, err := l.Head()
	if err != nil {
		return nil, err
	}
	if last.Seq > 0 && !v.signed(last) {
		v.find(Unsigned, last.Seq, last.Seq, textForeign)
		last = Checkpoint{}
	}
	switch {
	case head.Seq == 0 && last.Seq == 0:
		v.find(Missing, 1, 1, textBegin)
		return v.Findings, nil
	case head.Seq < last.Seq:
		v.find(Missing, head.Seq+1, last.Seq, "missing: they were signed at "+Stamp(last.At))
	}
	if head.Seq > 0 && !l.Seal.Sealed(l.Realm, head) {
		v.find(Unsealed, min(last.Seq, head.Seq-1)+1, head.Seq, textMadeUp)
	}
	if err := v.begins(); err != nil {
		return nil, err
	}
	for _, at := range []Head{last.Head, head.Head} {
		if at.Seq > 0 && at.Seq <= head.Seq {
			if err := v.stands(at); err != nil {
				return nil, err
			}
		}
	}
	return v.Findings, nil
}

// begins sees that a log begins with its realm, or behind its cut.
func (v *verifier) begins() error {
	if err := v.oldest(); err != nil {
		return err
	}
	if err := v.strays(); err != nil {
		return err
	}
	page, err := v.log.Entries(0)
	if err != nil || len(page) == 0 {
		return err
	}
	first := page[0]
	if err := v.oldest(); err != nil { // again: it may be cut meanwhile
		return err
	}
	switch {
	case first.Seq == 1 && first.Kind != RealmCreated:
		v.find(Missing, 1, 1, textBegin)
	case first.Seq > v.Cut.Seq+1:
		v.find(Missing, v.Cut.Seq+1, first.Seq-1, "missing")
	}
	return nil
}

// oldest looks for the cut, which leaves no checkpoint before it.
func (v *verifier) oldest() error {
	points, err := v.log.Checkpoints(0)
	if err == nil && len(points) > 0 && points[0].Cut && v.signed(points[0]) {
		v.Cut = points[0]
	}
	return err
}

// stands sees that the log goes through a place, unless it has been cut there.
func (v *verifier) stands(at Head) error {
	page, err := v.log.Entries(at.Seq - 1)
	if err != nil {
		return err
	}
	if len(page) > 0 && page[0].Seq == at.Seq {
		if page[0].Hash != at.Hash {
			v.find(Replaced, at.Seq, at.Seq, "not what its head or checkpoint is of")
		}
		return nil
	}
	if err := v.oldest(); err != nil {
		return err
	}
	if v.Cut.Seq < at.Seq {
		v.find(Missing, at.Seq, at.Seq, "missing")
	}
	return nil
}
