package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Head is the end of a log, or a place in it: the entry's number and its hash.
type Head struct {
	Seq  int64
	Hash Hash
}

// String is "SEQ:HASH", to be kept elsewhere and compared later.
func (h Head) String() string { return strconv.FormatInt(h.Seq, 10) + ":" + h.Hash.String() }

// MarshalText writes a head as String does.
func (h Head) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// ErrHead says that a text is no head.
var ErrHead = errors.New(`it is "SEQ:HASH", as audit verify prints it: a number, a colon, and 64 hexadecimal digits`)

// ParseHead reads what Head.String wrote, and nothing else.
func ParseHead(text string) (h Head, err error) {
	seq, sum, ok := strings.Cut(text, ":")
	if !ok || len(sum) != hex.EncodedLen(len(h.Hash)) {
		return Head{}, ErrHead
	}
	if h.Seq, err = strconv.ParseInt(seq, 10, 64); err != nil || h.Seq < 0 {
		return Head{}, ErrHead
	}
	if _, err = hex.Decode(h.Hash[:], []byte(sum)); err != nil || h.String() != text {
		return Head{}, ErrHead
	}
	return h, nil
}

// HeadKey is what the head of each log is sealed with, at every entry. It is derived from
// the master key, so that whoever can write the database alone can't give a log another end:
// not that of a chain that he has computed anew, at any rate.
type HeadKey [32]byte

// HeadKeyLabel is what a HeadKey is derived from the master key by.
const HeadKeyLabel = "audit head"

// Format keeps the key out of what is printed.
func (HeadKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// SealedHead is the head of a realm's log, as it is stored.
type SealedHead struct {
	Head
	Seal []byte
}

// Seal makes the seal of a head: HMAC-SHA256.
func (k HeadKey) Seal(realm uuid.UUID, h Head) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(netstring(netID(netstring(nil, "ostiary audit head v1"), realm), h.String()))
	return mac.Sum(nil)
}

// Sealed tells whether a head has the key's seal.
func (k HeadKey) Sealed(realm uuid.UUID, h SealedHead) bool {
	return hmac.Equal(h.Seal, k.Seal(realm, h.Head))
}

// Broken is the seal of a head that was once found without a right one: it stays so.
var Broken = make([]byte, sha256.Size)

// Append gives events their places behind a head, and returns the new head. It has a seal
// only if the one before had: what was made up is not made good by what comes after it. A
// log begins with its realm: one that begins with something else was removed.
func (k HeadKey) Append(before SealedHead, events ...*Event) SealedHead {
	if len(events) == 0 {
		return before
	}
	realm := events[0].RealmID
	sealed := k.Sealed(realm, before)
	if before.Seq == 0 {
		sealed = events[0].Kind == RealmCreated
	}
	next := SealedHead{before.Head, Broken}
	for _, e := range events {
		next.Head = e.Follow(next.Head)
	}
	if sealed {
		next.Seal = k.Seal(realm, next.Head)
	}
	return next
}
