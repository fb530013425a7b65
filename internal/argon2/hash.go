package argon2

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2b"
)

const (
	hashSize = blake2b.Size
	seedSize = hashSize + 8 // H_0, then the two numbers that tell the first blocks apart
)

// initialHash is H_0 (RFC 9106, section 3.2, step 1), with room for two more
// numbers behind it.
func initialHash(password, salt, secret, data []byte, time, memory, threads, keyLen uint32) (seed [seedSize]byte) {
	h := newHash(hashSize)
	numbers := make([]byte, 0, 7*4)
	for _, n := range [...]uint32{threads, keyLen, memory, time, version, typeID} {
		numbers = binary.LittleEndian.AppendUint32(numbers, n)
	}
	for _, in := range [...][]byte{password, salt, secret, data} {
		h.Write(binary.LittleEndian.AppendUint32(numbers, uint32(len(in))))
		h.Write(in)
		numbers = numbers[:0]
	}
	h.Sum(seed[:0])
	return seed
}

// longHash fills out with H'(in), the hash of variable length (RFC 9106, section 3.3).
func longHash(out, in []byte) {
	h := newHash(min(len(out), hashSize))
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(out))))
	h.Write(in)
	if len(out) <= hashSize {
		h.Sum(out[:0])
		return
	}
	var v [hashSize]byte
	h.Sum(v[:0])
	for {
		copy(out, v[:hashSize/2])
		out = out[hashSize/2:]
		if len(out) < hashSize {
			h = newHash(len(out))
		}
		h.Reset()
		h.Write(v[:])
		if len(out) <= hashSize {
			h.Sum(out[:0])
			return
		}
		h.Sum(v[:0])
	}
}

// newHash is BLAKE2b with a digest of 1 to 64 bytes.
func newHash(size int) hash.Hash {
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic(err) // the callers' sizes are all in range
	}
	return h
}
