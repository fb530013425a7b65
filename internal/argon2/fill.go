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
	var (
		state   = &f.scratch[scratchState]
		input   = &f.scratch[scratchInput]
		addrs   = &f.scratch[scratchAddrs]
		zero    = &f.scratch[scratchZero]
		indep   = pass == 0 && slice < slices/2 // argon2id: addresses that don't depend on the password
		index   = uint32(0)
		prev    *block
		current = lane*f.lane + slice*f.segment
	)
	if indep {
		*input = block{uint64(pass), uint64(lane), uint64(slice), uint64(f.total), uint64(f.time), typeID}
	}
	if pass == 0 && slice == 0 {
		index = 2 // start has written them
	}
	if slice == 0 && index == 0 {
		prev = &f.mem[current+f.lane-1]
	} else {
		prev = &f.mem[current+index-1]
	}
	for ; index < f.segment; index++ {
		random := prev[0]
		if indep {
			if index%words == 0 || index == 2 && slice == 0 {
				input[6]++
				compress(addrs, input, zero, state, false)
				compress(addrs, addrs, zero, state, false)
			}
			random = addrs[index%words]
		}
		ref := &f.mem[f.reference(random, pass, slice, lane, index)]
		out := &f.mem[current+index]
		compress(out, prev, ref, state, pass > 0)
		prev = out
	}
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
