package audit

import (
	"crypto/ed25519"
	"time"

	"github.com/google/uuid"
)

// A Checkpoint is what the server signs now and then: at that time, the log had this head.
// Its key is derived from the master key, which is not in the database, so that whoever can
// write the database alone can't make up another log that ends in the same checkpoint.
type Checkpoint struct {
	RealmID uuid.UUID
	Head
	At time.Time
	// Cut says that the entries up to this one were deleted because of their age. Nothing
	// else allows a log to begin later than with its first entry.
	Cut       bool
	Signature []byte
}

const checkpointLabel = "ostiary audit checkpoint v1"

// KeyLabel is what the seed of the checkpoints' key is derived from the master key by.
const KeyLabel = "audit checkpoint"

// Kind is how a checkpoint's kind is signed and exported.
func (c Checkpoint) Kind() string {
	if c.Cut {
		return "cut"
	}
	return "head"
}

// text is what is signed: netstrings, as of an entry.
func (c Checkpoint) text() []byte {
	b := netstring(nil, checkpointLabel)
	b = netID(b, c.RealmID)
	b = netstring(b, c.String())
	b = netstring(b, Stamp(c.At))
	return netstring(b, c.Kind())
}

// Sign signs a checkpoint (RFC 8032, Ed25519).
func (c *Checkpoint) Sign(key ed25519.PrivateKey) {
	c.At = c.At.UTC().Truncate(time.Microsecond)
	c.Signature = ed25519.Sign(key, c.text())
}

// Signed tells whether the key signed exactly this.
func (c Checkpoint) Signed(key ed25519.PublicKey) bool {
	return ed25519.Verify(key, c.text(), c.Signature)
}
