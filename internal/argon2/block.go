package argon2

import "math/bits"

// compressGeneric is the compression function G (RFC 9106, section 3.5) in plain
// Go: out becomes G(prev, ref), or is XORed with it. The blocks may be the same.
func compressGeneric(out, prev, ref, state *block, xor bool) {
	for i := range state {
		state[i] = prev[i] ^ ref[i]
	}
	for i := 0; i < words; i += 16 {
		permute(state, i, 2) // a row of eight registers
	}
	for i := 0; i < 16; i += 2 {
		permute(state, i, 16) // a column of eight registers
	}
	if xor {
		for i := range out {
			out[i] ^= prev[i] ^ ref[i] ^ state[i]
		}
	} else {
		for i := range out {
			out[i] = prev[i] ^ ref[i] ^ state[i]
		}
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

	v0, v4, v8, v12 = quarter(v0, v4, v8, v12)
	v1, v5, v9, v13 = quarter(v1, v5, v9, v13)
	v2, v6, v10, v14 = quarter(v2, v6, v10, v14)
	v3, v7, v11, v15 = quarter(v3, v7, v11, v15)

	v0, v5, v10, v15 = quarter(v0, v5, v10, v15)
	v1, v6, v11, v12 = quarter(v1, v6, v11, v12)
	v2, v7, v8, v13 = quarter(v2, v7, v8, v13)
	v3, v4, v9, v14 = quarter(v3, v4, v9, v14)

	b[r0], b[r0+1], b[r1], b[r1+1] = v0, v1, v2, v3
	b[r2], b[r2+1], b[r3], b[r3+1] = v4, v5, v6, v7
	b[r4], b[r4+1], b[r5], b[r5+1] = v8, v9, v10, v11
	b[r6], b[r6+1], b[r7], b[r7+1] = v12, v13, v14, v15
}

// quarter is the function GB (RFC 9106, section 3.6).
func quarter(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a = mix(a, b)
	d = bits.RotateLeft64(d^a, -32)
	c = mix(c, d)
	b = bits.RotateLeft64(b^c, -24)
	a = mix(a, b)
	d = bits.RotateLeft64(d^a, -16)
	c = mix(c, d)
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}

func mix(x, y uint64) uint64 {
	return x + y + 2*uint64(uint32(x))*uint64(uint32(y))
}
