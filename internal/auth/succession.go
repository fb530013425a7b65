package auth

import (
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
)

// succession is from when a new key signs, and when others of its algorithm end.
//
// Of the keys that sign by now, the one that began latest does. Each key is given its
// end once, by the first rotation after it: a token's life after its successor begins.
// So an end never comes before the last token of its key has ended.
type succession struct {
	from time.Time
	ends map[uuid.UUID]time.Time
	now  bool // the others are refused at once
}

// succeed lets a new key follow the others of its algorithm.
func succeed(keys []keyring.Record, now, from time.Time, life time.Duration) succession {
	next := succession{from: from, ends: map[uuid.UUID]time.Time{}}
	for _, k := range keys {
		switch {
		case !alive(k, now) || k.SignsFrom.Before(from):
		case k.SignsFrom.After(now.Add(clockSkew)):
			// It waits, and would take over from the newer one. No node signs with it yet.
			next.ends[k.ID] = now
		case !k.SignsFrom.Before(next.from):
			// Some node may sign with it any moment: it does so before the new one does.
			next.from = k.SignsFrom.Add(time.Microsecond)
		}
	}
	for _, k := range keys {
		if _, waited := next.ends[k.ID]; !waited && k.ExpiresAt.IsZero() {
			// Another node may sign with it until it has read of the new one.
			next.ends[k.ID] = next.from.Add(life + 2*realmFresh)
		}
	}
	return next
}

// replace lets a new key stand in for the others, which are refused from now on: also where it is not
// that late yet, by a clock that is behind.
func replace(keys []keyring.Record, now time.Time) succession {
	everywhere := now.Add(-clockSkew)
	next := succession{from: everywhere, ends: map[uuid.UUID]time.Time{}, now: true}
	for _, k := range keys {
		if alive(k, everywhere) {
			next.ends[k.ID] = everywhere
		}
	}
	return next
}

// earlyEnds are planned ends that come before a token's life after the successor
// began, and where they should be. A key that was refused at once had its end when its
// successor began, or earlier: it stays where it is.
func earlyEnds(keys []keyring.Record, now time.Time, life time.Duration) map[uuid.UUID]time.Time {
	ends := map[uuid.UUID]time.Time{}
	for _, k := range keys {
		if !k.ExpiresAt.After(now.Add(clockSkew)) { // none, or as good as there
			continue
		}
		next := successor(keys, k)
		if end := next.Add(life + 2*realmFresh); !next.IsZero() && k.ExpiresAt.After(next) && k.ExpiresAt.Before(end) {
			ends[k.ID] = end
		}
	}
	return ends
}

// successor is when the first of the keys began that sign after k; zero if there is none.
func successor(keys []keyring.Record, k keyring.Record) (began time.Time) {
	for _, other := range keys {
		signs := other.ExpiresAt.IsZero() || other.ExpiresAt.After(other.SignsFrom)
		if signs && other.SignsFrom.After(k.SignsFrom) && (began.IsZero() || other.SignsFrom.Before(began)) {
			began = other.SignsFrom
		}
	}
	return began
}

func alive(k keyring.Record, now time.Time) bool {
	return k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt)
}

// newest is the key that signs latest, of those that live.
func newest(keys []keyring.Record, now time.Time) (last keyring.Record) {
	for _, k := range keys {
		if alive(k, now) && k.SignsFrom.After(last.SignsFrom) {
			last = k
		}
	}
	return last
}

// likeBits is the size of the latest RSA key, or the next one that can be made.
func likeBits(keys []keyring.Record) int {
	last := newest(keys, time.Time{})
	for _, bits := range []int{2048, 3072} {
		if last.Bits() <= bits {
			return bits
		}
	}
	return 4096
}
