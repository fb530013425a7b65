// Package argon2 computes argon2id (RFC 9106, version 0x13) in memory that the
// caller keeps and uses again.
//
// It gives the same tags as golang.org/x/crypto/argon2, with two differences: a
// Buffer is allocated once and not once a call, so that a server's memory is
// bounded by its number of buffers; and on amd64 with AVX2 or AVX-512 the
// compression function works on four words at a time.
package argon2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
)

const (
	version   = 0x13 // RFC 9106, section 3.2: the version number v
	typeID    = 2    // RFC 9106, section 3.2: the type y of argon2id
	slices    = 4    // the vertical slices of a pass (SL, "sync points")
	words     = 128  // the 64-bit words of a block
	blockSize = 8 * words
)

const (
	// MaxMemory is the most memory that a call may ask for, in KiB: 4 GiB.
	MaxMemory = 4 << 20
	// MinKeyLen is the shortest tag that RFC 9106 allows, in bytes.
	MinKeyLen = 4
	// MaxKeyLen is the longest tag that a call may ask for, in bytes. RFC 9106
	// allows more, and nobody stores more.
	MaxKeyLen = 1 << 20
)

// ErrParameter is what every error of this package wraps: a parameter that is
// out of range.
var ErrParameter = errors.New("argon2: parameter out of range")

// A block is the 1024 bytes on which argon2 works, as little-endian words.
type block = [words]uint64

// Buffer is memory for the blocks of argon2, reused from call to call. Its zero
// value is ready for use. It grows when a call needs more and never shrinks by
// itself. It is not safe for concurrent use.
//
// The memory is not wiped between calls: every block is written before it is
// read, and what a call leaves behind depends on its password. A Buffer is as
// secret as the passwords that went through it.
//
// Where the system can, the memory is beside the Go heap, so that the collector does not
// count it: it would let as much garbage pile up as there is memory in here. Nor does it
// collect it: whoever drops a Buffer calls Release before.
type Buffer struct {
	mem     []block  // the scratch blocks, then the lanes one after another
	mapping *mapping // of mem; nil if that is of the Go heap
}

var mapped atomic.Int64

// Mapped is how many bytes all buffers hold beside the Go heap.
func Mapped() int64 { return mapped.Load() }

// The scratch blocks at the start of a Buffer's memory.
const (
	scratchState      = iota // the permutation's state between its rows and its columns
	scratchInput             // the counter block of data-independent addressing
	scratchAddrs             // 128 numbers made from it
	scratchAddrsState        // and the state while they are made
	scratchZero              // always zero while a call runs
	scratchBlocks            // how many there are
)

// Key derives keyLen bytes from the password and the salt with argon2id
// (RFC 9106, version 0x13), over the given number of passes, with memoryKiB of
// memory in as many lanes as threads says. The lanes are filled one after another.
//
// Less memory than 8 KiB a lane is rounded up to that, and memory that isn't a
// multiple of 4 KiB a lane is rounded down (RFC 9106, section 3.2, step 3), so
// that a tag made with any of these parameters elsewhere verifies here.
// Parameters that are out of range are an error that wraps ErrParameter.
func (b *Buffer) Key(password, salt []byte, time, memoryKiB uint32, threads uint8, keyLen uint32) ([]byte, error) {
	return b.key(password, salt, nil, nil, time, memoryKiB, threads, keyLen)
}

// Release gives back the memory. The buffer can be used again.
func (b *Buffer) Release() {
	b.mem = nil
	if b.mapping != nil {
		b.mapping.unmap()
		b.mapping = nil
	}
}

// key is Key with the secret K and the associated data X of RFC 9106.
func (b *Buffer) key(password, salt, secret, data []byte, time, memoryKiB uint32, threads uint8, keyLen uint32) ([]byte, error) {
	switch {
	case time < 1:
		return nil, fmt.Errorf("%w: no passes", ErrParameter)
	case threads < 1:
		return nil, fmt.Errorf("%w: no threads", ErrParameter)
	case keyLen < MinKeyLen || keyLen > MaxKeyLen:
		return nil, fmt.Errorf("%w: a tag of %d bytes", ErrParameter, keyLen)
	case memoryKiB > MaxMemory || uint64(memoryKiB) > math.MaxInt/blockSize-scratchBlocks:
		return nil, fmt.Errorf("%w: %d KiB of memory", ErrParameter, memoryKiB)
	}
	for _, in := range [...][]byte{password, salt, secret, data} {
		if uint64(len(in)) > math.MaxUint32 {
			return nil, fmt.Errorf("%w: an input of %d bytes", ErrParameter, len(in))
		}
	}

	f := fill{time: time, lanes: uint32(threads)}
	f.segment = max(memoryKiB/(slices*f.lanes), 2)
	f.lane = slices * f.segment
	f.total = f.lane * f.lanes
	b.grow(int(f.total) + scratchBlocks)
	f.scratch = (*[scratchBlocks]block)(b.mem)
	f.mem = b.mem[scratchBlocks:][:f.total]

	seed := initialHash(password, salt, secret, data, time, memoryKiB, uint32(threads), keyLen)
	f.start(&seed)
	f.run()
	return f.tag(keyLen), nil
}

// grow makes room for n blocks.
func (b *Buffer) grow(n int) {
	if len(b.mem) < n {
		b.Release() // so that the old memory can go before the new comes
		if b.mem, b.mapping = mapBlocks(n); b.mapping == nil {
			b.mem = make([]block, n)
		}
	}
}

// start writes the first two blocks of each lane (RFC 9106, section 3.2, steps 3 and 4).
func (f *fill) start(seed *[seedSize]byte) {
	var raw [blockSize]byte
	for lane := range f.lanes {
		binary.LittleEndian.PutUint32(seed[hashSize+4:], lane)
		for i := range uint32(2) {
			binary.LittleEndian.PutUint32(seed[hashSize:], i)
			longHash(raw[:], seed[:])
			to := &f.mem[lane*f.lane+i]
			for w := range to {
				to[w] = binary.LittleEndian.Uint64(raw[8*w:])
			}
		}
	}
}

// tag is the hash of the last blocks of all lanes (RFC 9106, section 3.2, steps 7 and 8).
func (f *fill) tag(keyLen uint32) []byte {
	var raw [blockSize]byte
	for w := range words {
		var x uint64
		for lane := range f.lanes {
			x ^= f.mem[(lane+1)*f.lane-1][w]
		}
		binary.LittleEndian.PutUint64(raw[8*w:], x)
	}
	key := make([]byte, keyLen)
	longHash(key, raw[:])
	return key
}
