// Command gen writes the AVX2 kernel of package argon2. It is a module of its own,
// so that the server does not depend on what only the generator needs.
//
// The kernel is the compression function G of RFC 9106, section 3.5. A block is
// eight rows of sixteen words: a row fills four vector registers, and so does a
// column. The last step is cut in two (see head and tail in this file), because
// word 0 of a block tells the next reference block: once it is known, that block
// can be fetched from memory while three quarters of the columns are still to do.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	rows       = 8
	rowBytes   = 128
	vecBytes   = 32
	lineBytes  = 64
	blockBytes = rows * rowBytes
)

// The operands that both halves have in common.
var out, prev, ref, old, state Register

// The byte shuffles that rotate words to the right by 24 and by 16 bits.
var rot24, rot16 VecVirtual

func main() {
	ConstraintExpr("amd64,!purego")
	masks := GLOBL("rotations", RODATA|NOPTR)
	for i, q := range []uint64{
		0x0201000706050403, 0x0a09080f0e0d0c0b, 0x0201000706050403, 0x0a09080f0e0d0c0b, // by 24 bits
		0x0100070605040302, 0x09080f0e0d0c0b0a, 0x0100070605040302, 0x09080f0e0d0c0b0a, // by 16 bits
	} {
		DATA(8*i, U64(q))
	}

	begin("headAVX2", "func(out, prev, ref, old, state *[128]uint64)", masks,
		"headAVX2 permutes the rows of prev XOR ref into state, and then the first of four",
		"groups of columns, whose words of out it writes: prev XOR ref XOR old XOR the",
		"permutation. Word 0 of out is among them.")
	for r := 0; r < rows; r += 2 {
		permuteRows(r, r+1)
	}
	permuteColumns(0)
	end()

	begin("tailAVX2", "func(out, prev, ref, old, state, next *[128]uint64)", masks,
		"tailAVX2 finishes what headAVX2 has begun with the same arguments, while next,",
		"the reference block of the next call, is on its way from memory.")
	next := Load(Param("next"), GP64())
	for line := 0; line < blockBytes; line += lineBytes {
		PREFETCHT0(Mem{Base: next, Disp: line})
	}
	for group := 1; group < 4; group++ {
		permuteColumns(group)
	}
	end()
	Generate()
}

func begin(name, signature string, masks Mem, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
	out = Load(Param("out"), GP64())
	prev = Load(Param("prev"), GP64())
	ref = Load(Param("ref"), GP64())
	old = Load(Param("old"), GP64())
	state = Load(Param("state"), GP64())
	rot24, rot16 = YMM(), YMM()
	VMOVDQU(masks, rot24)
	VMOVDQU(masks.Offset(vecBytes), rot16)
}

func end() {
	VZEROUPPER()
	RET()
}

// permuteRows permutes two rows. A register holds four neighbours of a row, so
// that the permutation's columns lie side by side and its diagonals come of
// rotating the registers.
func permuteRows(r0, r1 int) {
	var v [2][4]VecVirtual
	for i := range 4 {
		for n, r := range []int{r0, r1} {
			v[n][i] = YMM()
			at := r*rowBytes + i*vecBytes
			VMOVDQU(Mem{Base: ref, Disp: at}, v[n][i])
			VPXOR(Mem{Base: prev, Disp: at}, v[n][i], v[n][i])
		}
	}
	quarters(v)
	for _, x := range v {
		VPERMQ(U8(0b00_11_10_01), x[1], x[1])
		VPERMQ(U8(0b01_00_11_10), x[2], x[2])
		VPERMQ(U8(0b10_01_00_11), x[3], x[3])
	}
	quarters(v)
	for _, x := range v {
		VPERMQ(U8(0b10_01_00_11), x[1], x[1])
		VPERMQ(U8(0b01_00_11_10), x[2], x[2])
		VPERMQ(U8(0b00_11_10_01), x[3], x[3])
	}
	for i := range 4 {
		for n, r := range []int{r0, r1} {
			VMOVDQU(v[n][i], Mem{Base: state, Disp: r*rowBytes + i*vecBytes})
		}
	}
}

// permuteColumns permutes two columns, one in the lower halves of the registers
// and one in the upper, and writes their words of the result. A register holds
// two words of either column: diagonals come of exchanging words between registers.
func permuteColumns(group int) {
	at := func(r int) int { return r*rowBytes + group*vecBytes }
	var v [2][4]VecVirtual
	for i := range 4 {
		for n := range 2 {
			v[n][i] = YMM()
			VMOVDQU(Mem{Base: state, Disp: at(2*i + n)}, v[n][i])
		}
	}
	quarters(v)
	v[0][1], v[1][1] = exchange(v[0][1], v[1][1])
	v[0][2], v[1][2] = v[1][2], v[0][2]
	v[1][3], v[0][3] = exchange(v[0][3], v[1][3])
	quarters(v)
	v[1][1], v[0][1] = exchange(v[0][1], v[1][1])
	v[0][2], v[1][2] = v[1][2], v[0][2]
	v[0][3], v[1][3] = exchange(v[0][3], v[1][3])
	for i := range 4 {
		for n := range 2 {
			d := at(2*i + n)
			VPXOR(Mem{Base: prev, Disp: d}, v[n][i], v[n][i])
			VPXOR(Mem{Base: ref, Disp: d}, v[n][i], v[n][i])
			VPXOR(Mem{Base: old, Disp: d}, v[n][i], v[n][i])
			VMOVDQU(v[n][i], Mem{Base: out, Disp: d})
		}
	}
}

// exchange makes, in each half, of the words (x0 x1) and (y0 y1) the words
// (x1 y0) and (y1 x0).
func exchange(x, y VecVirtual) (VecVirtual, VecVirtual) {
	xy, yx := YMM(), YMM()
	VPALIGNR(U8(8), x, y, xy)
	VPALIGNR(U8(8), y, x, yx)
	return xy, yx
}

// quarters is eight times the function GB of RFC 9106, section 3.6, in two
// independent chains.
func quarters(v [2][4]VecVirtual) {
	a, b, c, d := 0, 1, 2, 3
	mix(v, a, b)
	xor(v, d, a)
	each(v, d, func(x VecVirtual) { VPSHUFD(U8(0b10_11_00_01), x, x) }) // 32 bits
	mix(v, c, d)
	xor(v, b, c)
	each(v, b, func(x VecVirtual) { VPSHUFB(rot24, x, x) })
	mix(v, a, b)
	xor(v, d, a)
	each(v, d, func(x VecVirtual) { VPSHUFB(rot16, x, x) })
	mix(v, c, d)
	xor(v, b, c)
	each(v, b, func(x VecVirtual) { // 63 bits to the right is one to the left
		t := YMM()
		VPSRLQ(U8(63), x, t)
		VPADDQ(x, x, x)
		VPXOR(t, x, x)
	})
}

// mix adds to x y and twice the product of their lower halves.
func mix(v [2][4]VecVirtual, x, y int) {
	t := [2]VecVirtual{YMM(), YMM()}
	for n := range v {
		VPMULUDQ(v[n][x], v[n][y], t[n])
	}
	for n := range v {
		VPADDQ(v[n][y], v[n][x], v[n][x])
	}
	for n := range v {
		VPADDQ(t[n], t[n], t[n])
	}
	for n := range v {
		VPADDQ(t[n], v[n][x], v[n][x])
	}
}

func xor(v [2][4]VecVirtual, x, y int) {
	for n := range v {
		VPXOR(v[n][y], v[n][x], v[n][x])
	}
}

func each(v [2][4]VecVirtual, i int, f func(VecVirtual)) {
	for n := range v {
		f(v[n][i])
	}
}
