//go:build amd64 && !purego

package argon2

import "golang.org/x/sys/cpu"

// useAVX2 tells which kernel is used. The tests turn it off and on.
var useAVX2 = cpu.X86.HasAVX2

// head begins to compress prev and ref into out: when it returns, word 0 of out is
// right. tail must follow, with the same blocks.
func head(out, prev, ref, old, state *block) {
	if useAVX2 {
		headAVX2(out, prev, ref, old, state)
		return
	}
	compressGeneric(out, prev, ref, old, state)
}

// tail finishes what head has begun, and fetches the block next from memory.
func tail(out, prev, ref, old, state, next *block) {
	if useAVX2 {
		tailAVX2(out, prev, ref, old, state, next)
	}
}
