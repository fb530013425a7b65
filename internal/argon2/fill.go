package argon2

// fill is one computation over a Buffer's memory.
type fill struct {
	scratch *[scratchBlocks]block
	mem     []block // the lanes, one after another
	time    uint32  // passes
	lanes   uint32
	lane    uint32 // blocks in a lane
	segment uint32 // blocks in a segment: a lane's part of a slice
	total   uint32 // blocks in all lanes
}

// run makes all passes (RFC 9106, section 3.2, steps 5 and 6). Within a slice the
// lanes do not depend on each other, so one after another is as right as in parallel.
func (f *fill) run() {
	f.scratch[scratchZero] = block{}
	for pass := range f.time {
		for slice := range uint32(slices) {
			for lane := range f.lanes {
				f.fillSegment(pass, slice, lane)
			}
		}
	}
}

// fillSegment writes the blocks of one segment, each from the block before it and
// a reference block. The first pass overwrites what is there and the later ones
// XOR into it, so no pass reads what an earlier computation has left.
func (f *fill) fillSegment(pass, slice, lane uint32) {
	state, addrs, zero := &f.scratch[scratchState], &f.scratch[scratchAddrs], &f.scratch[scratchZero]
	first := lane*f.lane + slice*f.segment
	last := first - 1
	if slice == 0 {
		last += f.lane
	}
	index, prev := uint32(0), &f.mem[last]
	if pass == 0 && slice == 0 {
		index, prev = 2, &f.mem[first+1] // start has written two
	}
	// The first half of argon2id's first pass takes its addresses from a counter,
	// so that they don't depend on the password, and the rest from the block before.
	independent := pass == 0 && slice < slices/2
	random := prev[0]
	if independent {
		f.addresses(slice, lane, 0)
		random = addrs[index]
	}
	ref := &f.mem[f.reference(random, pass, slice, lane, index)]
	for index < f.segment {
		out := &f.mem[first+index]
		old := out
		if pass == 0 {
			old = zero
		}
		head(out, prev, ref, old, state)

		// Word 0 is there: find the next reference block, so that the tail can fetch it.
		index++
		next := ref
		if index < f.segment {
			random = out[0]
			if independent {
				if index%words == 0 {
					f.addresses(slice, lane, index/words)
				}
				random = addrs[index%words]
			}
			next = &f.mem[f.reference(random, pass, slice, lane, index)]
		}
		tail(out, prev, ref, old, state, next)
		prev, ref = out, next
	}
}

// addresses makes the nth 128 numbers of data-independent addressing in a segment
// of the first pass (RFC 9106, section 3.4.1.2). It has a state of its own, since it
// comes between the head and the tail of another block.
func (f *fill) addresses(slice, lane, n uint32) {
	input, addrs := &f.scratch[scratchInput], &f.scratch[scratchAddrs]
	state, zero := &f.scratch[scratchAddrsState], &f.scratch[scratchZero]
	*input = block{0, uint64(lane), uint64(slice), uint64(f.total), uint64(f.time), typeID, uint64(n) + 1}
	compress(addrs, input, zero, zero, state)
	compress(addrs, addrs, zero, zero, state)
}

// compress is head and tail at once: out becomes G(prev, ref) XOR old.
func compress(out, prev, ref, old, state *block) {
	head(out, prev, ref, old, state)
	tail(out, prev, ref, old, state, ref)
}

// reference is the index of the reference block (RFC 9106, section 3.4.2).
func (f *fill) reference(random uint64, pass, slice, lane, index uint32) uint32 {
	refLane := uint32(random>>32) % f.lanes
	if pass == 0 && slice == 0 {
		refLane = lane
	}
	// The window: how many blocks there are to choose from, and the oldest of them.
	size, oldest := (slices-1)*f.segment, (slice+1)%slices*f.segment
	if pass == 0 {
		size, oldest = slice*f.segment, 0
	}
	if refLane == lane {
		size += index - 1 // this segment too, without the block before this one
	} else if index == 0 {
		size-- // the last block of the other lane's segment is left out
	}
	x := (random & 0xffffffff) * (random & 0xffffffff) >> 32
	y := uint64(size) * x >> 32
	z := oldest + size - 1 - uint32(y)
	if z >= f.lane {
		z -= f.lane
	}
	return refLane*f.lane + z
}
