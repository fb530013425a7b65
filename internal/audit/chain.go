package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The log of a realm is a chain: each entry has a hash of its own texts and of the hash
// before it, so that none can be changed, removed or moved without changing every hash
// after it. What is hashed are the texts that an export shows, each as a netstring (its
// length in bytes, a colon, the text, a comma), so that anybody can hash them again:
//
//	"ostiary audit v1", the hash before (64 hexadecimal digits; zeros for the first entry),
//	realm, seq, id, at, kind, account, session, dialect, address, request_id, actor, token, detail
//
// Ids are in lower case with hyphens, or empty; at is as Stamp writes it.
const entryLabel = "ostiary audit v1"

// Hash is the SHA-256 of an entry and of the hash before it.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes a hash as hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Follow gives an event its place after a head, and returns the new head. Its texts are
// cleaned of what not every database and every reader keeps as it is.
func (e *Event) Follow(h Head) Head {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, text := range []*string{&e.Dialect, &e.Address, &e.RequestID, &e.Actor, &e.Token, &e.Detail} {
		*text = clean(*text)
	}
	e.Seq = h.Seq + 1
	e.Hash = e.Sum(h.Hash)
	return Head{e.Seq, e.Hash}
}

func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Sum is the hash that an entry must have after the given one.
func (e *Event) Sum(before Hash) Hash {
	b := make([]byte, 0, 512)
	b = netstring(b, entryLabel)
	b = append(b, "64:"...)
	b = hex.AppendEncode(b, before[:])
	b = append(b, ',')
	b = netID(b, e.RealmID)
	b = netstring(b, strconv.FormatInt(e.Seq, 10))
	b = netID(b, e.ID)
	b = netstring(b, Stamp(e.At))
	b = netstring(b, string(e.Kind))
	b = netID(b, e.Account)
	b = netID(b, e.Session)
	for _, text := range [...]string{e.Dialect, e.Address, e.RequestID, e.Actor, e.Token, e.Detail} {
		b = netstring(b, text)
	}
	return sha256.Sum256(b)
}

func netstring(b []byte, text string) []byte {
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, ':')
	b = append(b, text...)
	return append(b, ',')
}

func netID(b []byte, id uuid.UUID) []byte {
	if id == uuid.Nil {
		return append(b, "0:,"...)
	}
	b = append(b, "36:"...)
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return append(b, ',')
}

// Stamp is a time as it is hashed and exported: RFC 3339 in UTC with six digits of seconds.
func Stamp(t time.Time) string {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 { // in a row that nobody here wrote
		return fmt.Sprintf("%d us", t.UnixMicro())
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
