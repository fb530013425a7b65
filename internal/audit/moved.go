package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// maxSuspects bounds how many entries are tried in each other's places: that takes the
// third power of their number.
const maxSuspects = 24

// suspect is an entry whose hash is not that of its texts after the entry before it.
type suspect struct {
	Event
	before Hash // the hash of the entry before it, as it stands there
}

const textChanged = "changed, or the entry before was"

func (v *verifier) suspect(e *Event) {
	if len(v.suspects) < maxSuspects {
		v.suspects = append(v.suspects, suspect{*e, v.prev.Hash})
	} else {
		v.find(Changed, e.Seq, e.Seq, textChanged)
	}
}

// settle says what became of the suspects, and puts the findings in order. An entry that
// was moved is right in another one's place. The entry after it then is right in its own,
// once it is known what it follows.
func (v *verifier) settle() {
	hashes := v.hashes()
	var right []suspect
	before := len(v.Findings) + v.More
	for _, s := range v.suspects {
		switch place := v.place(s, hashes); place {
		case 0:
			v.find(Changed, s.Seq, s.Seq, textChanged)
		case s.Seq:
			right = append(right, s)
		default:
			v.find(Moved, s.Seq, s.Seq, fmt.Sprintf("moved: what stands here is entry %d", place))
		}
	}
	if len(v.Findings)+v.More == before { // then nothing explains them
		for _, s := range right {
			v.find(Changed, s.Seq, s.Seq, textChanged)
		}
	}
	all := v.Findings
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.First, b.First) })
	v.Findings = all[:0]
	for _, f := range all {
		v.find(f.What, f.First, f.Last, f.Text)
	}
}

// hashes are those that a suspect may have followed.
func (v *verifier) hashes() (all []Hash) {
	for _, s := range v.suspects {
		all = append(all, s.before, s.Hash, s.Sum(s.before))
	}
	slices.SortFunc(all, func(a, b Hash) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(all)
}

// place is where a suspect is right: its own place, if it follows another hash than the one
// before it, or that of another suspect; 0: nowhere.
func (v *verifier) place(s suspect, hashes []Hash) int64 {
	e := s.Event
	for _, other := range v.suspects {
		e.Seq = other.Seq
		for _, h := range hashes {
			if sum := e.Sum(h); sum == s.Hash || sum == other.Hash && other.Seq != s.Seq {
				return e.Seq
			}
		}
	}
	return 0
}
