//go:build amd64 && !purego

package argon2

import "golang.org/x/sys/cpu"

// detect gives the kernels that this machine can run, the fastest last. What
// GODEBUG=cpu.avx512f=off or cpu.avx2=off takes away is not there for it, nor
// what the operating system does not save the registers of.
func detect() []kernel {
	has, kernels := &cpu.X86, []kernel{generic}
	if has.HasAVX2 {
		kernels = append(kernels, avx2)
		if has.HasAVX512F && has.HasAVX512VL && has.HasAVX512BW {
			kernels = append(kernels, avx512)
		}
	}
	return kernels
}

// head begins to compress prev and ref into out: when it returns, word 0 of out is
// right. tail must follow, with the same blocks.
func head(out, prev, ref, old, state *block) {
	switch using {
	case avx512:
		headAVX512(out, prev, ref, old, state)
	case avx2:
		headAVX2(out, prev, ref, old, state)
	default:
		compressGeneric(out, prev, ref, old, state)
	}
}

// tail finishes what head has begun, and fetches the block next from memory.
func tail(out, prev, ref, old, state, next *block) {
	switch using {
	case avx512:
		tailAVX512(out, prev, ref, old, state, next)
	case avx2:
		tailAVX2(out, prev, ref, old, state, next)
	}
}
