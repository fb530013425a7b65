package argon2

import "math/bits"

// A kernel is one way to compute the compression function.
type kernel int

const (
	generic kernel = iota
	avx2
	avx512
)

func (k kernel) String() string { return [...]string{"generic", "AVX2", "AVX512"}[k] }

// kernels are those that this machine can run, and using is the fastest of them.
// The tests set the others.
var (
	kernels = detect()
	using   = kernels[len(kernels)-1]
)

// compressGeneric is the compression function G (RFC 9106, section 3.5) in plain
// Go: out becomes G(prev, ref) XOR old. Out may be one of the others.
func compressGeneric(out, prev, ref, old, state *block) {
	for i := range state {
		state[i] = prev[i] ^ ref[i]
	}
	for i := 0; i < words; i += 16 {
		permute(state, i, 2) // a row of eight registers
	}
	for i := 0; i < 16; i += 2 {
		permute(state, i, 16) // a column of eight registers
	}
	for i := range out {
		out[i] = prev[i] ^ ref[i] ^ old[i] ^ state[i]
	}
}

// permute is the permutation P (RFC 9106, section 3.6) over eight registers of
// two words each, the first of them at the given word, each so many words after
// the one before.
func permute(b *block, first, stride int) {
	r0, r1, r2, r3 := first, first+stride, first+2*stride, first+3*stride
	r4, r5, r6, r7 := first+4*stride, first+5*stride, first+6*stride, first+7*stride
	v0, v1, v2, v3 := b[r0], b[r0+1], b[r1], b[r1+1]
	v4, v5, v6, v7 := b[r2], b[r2+1], b[r3], b[r3+1]
	v8, v9, v10, v11 := b[r4], b[r4+1], b[r5], b[r5+1]
	v12, v13, v14, v15 := b[r6], b[r6+1], b[r7], b[r7+1]

	v0, v4, v8, v12 = half(v0, v4, v8, v12, 32, 24)
	v0, v4, v8, v12 = half(v0, v4, v8, v12, 16, 63)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, 32, 24)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, 16, 63)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, 32, 24)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, 16, 63)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, 32, 24)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, 16, 63)

	v0, v5, v10, v15 = half(v0, v5, v10, v15, 32, 24)
	v0, v5, v10, v15 = half(v0, v5, v10, v15, 16, 63)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, 32, 24)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, 16, 63)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, 32, 24)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, 16, 63)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, 32, 24)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, 16, 63)

	b[r0], b[r0+1], b[r1], b[r1+1] = v0, v1, v2, v3
	b[r2], b[r2+1], b[r3], b[r3+1] = v4, v5, v6, v7
	b[r4], b[r4+1], b[r5], b[r5+1] = v8, v9, v10, v11
	b[r6], b[r6+1], b[r7], b[r7+1] = v12, v13, v14, v15
}

// half is half of the function GB (RFC 9106, section 3.6): the two halves are the
// same but for what they rotate by. It is small enough to be inlined, and GB is not.
func half(a, b, c, d uint64, r1, r2 int) (uint64, uint64, uint64, uint64) {
	a += b + 2*uint64(uint32(a))*uint64(uint32(b))
	d = bits.RotateLeft64(d^a, -r1)
	c += d + 2*uint64(uint32(c))*uint64(uint32(d))
	b = bits.RotateLeft64(b^c, -r2)
	return a, b, c, d
}
