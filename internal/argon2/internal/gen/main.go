// Command gen writes the kernels of package argon2, for AVX2 and for AVX-512. It is a module of its own,
// so that the server does not depend on what only the generator needs.
//
// A kernel is the compression function G of RFC 9106, section 3.5. A block is
// eight rows of sixteen words: a row fills four vector registers, and so does a
// column. The last step is cut in two (see head and tail in this file), because
// word 0 of a block tells the next reference block: once it is known, that block
// can be fetched from memory while the other columns are still to do.
//
// AVX-512 is used with registers of 256 bits: there are twice as many of them as
// with AVX2, so that four rows or columns are under way at once and not two, and
// they rotate in one instruction. Registers of 512 bits gain nothing more, and
// make some processors slow down.
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

// The byte shuffles that rotate words to the right by 24 and by 16 bits with AVX2.
var masks Mem
var rot24, rot16 VecVirtual

// wide says that the kernel is that for AVX-512. AVX2's forms of move and xor
// cannot name the registers that it does not have.
var wide bool

// A part is some rows or columns, of four registers each, that are independent of
// each other, so that their instructions can take turns.
type part [][4]VecVirtual

func main() {
	ConstraintExpr("amd64,!purego")
	masks = GLOBL("rotations", RODATA|NOPTR)
	for i, q := range []uint64{
		0x0201000706050403, 0x0a09080f0e0d0c0b, 0x0201000706050403, 0x0a09080f0e0d0c0b, // by 24 bits
		0x0100070605040302, 0x09080f0e0d0c0b0a, 0x0100070605040302, 0x09080f0e0d0c0b0a, // by 16 bits
	} {
		DATA(8*i, U64(q))
	}
	kernel("AVX2", "first", 2, []int{0}, []int{1}, []int{2}, []int{3})
	wide = true
	kernel("AVX512", "first two", 4, []int{0, 1}, []int{2, 3})
	Generate()
}

// kernel writes head and tail, which work on so many rows at once, and on the given
// groups of columns at once. The head takes the first groups and the tail the others.
func kernel(name, first string, atOnce int, headGroups []int, tailGroups ...[]int) {
	begin("head"+name, "func(out, prev, ref, old, state *[128]uint64)",
		"head"+name+" permutes the rows of prev XOR ref into state, and then the "+first+" of four",
		"groups of columns, whose words of out it writes: prev XOR ref XOR old XOR the",
		"permutation. Word 0 of out is among them.")
	for r := 0; r < rows; r += atOnce {
		permuteRows(r, atOnce)
	}
	permuteColumns(headGroups)
	end()

	begin("tail"+name, "func(out, prev, ref, old, state, next *[128]uint64)",
		"tail"+name+" finishes what head"+name+" has begun with the same arguments, while next,",
		"the reference block of the next call, is on its way from memory.")
	next := Load(Param("next"), GP64())
	fetch := PREFETCHT0
	if wide {
		fetch = PREFETCHNTA // a block is hardly ever read again soon, and need not push others out of the second-level cache
	}
	for line := 0; line < blockBytes; line += lineBytes {
		fetch(Mem{Base: next, Disp: line})
	}
	for _, groups := range tailGroups {
		permuteColumns(groups)
	}
	end()
}

func begin(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
	out = Load(Param("out"), GP64())
	prev = Load(Param("prev"), GP64())
	ref = Load(Param("ref"), GP64())
	old = Load(Param("old"), GP64())
	state = Load(Param("state"), GP64())
	if !wide {
		rot24, rot16 = YMM(), YMM()
		VMOVDQU(masks, rot24)
		VMOVDQU(masks.Offset(vecBytes), rot16)
	}
}

func end() {
	VZEROUPPER()
	RET()
}

// permuteRows permutes n rows from the first. A register holds four neighbours of a
// row, so that the permutation's columns lie side by side and its diagonals come of
// rotating the registers: all but the second, since that is the last to be ready.
func permuteRows(first, n int) {
	v := make(part, n)
	at := func(n, i int) int { return (first+n)*rowBytes + i*vecBytes }
	for i := range 4 {
		for n := range v {
			v[n][i] = YMM()
			move(Mem{Base: ref, Disp: at(n, i)}, v[n][i])
			xor(Mem{Base: prev, Disp: at(n, i)}, v[n][i])
		}
	}
	quarters(v)
	for _, x := range v {
		VPERMQ(U8(0b10_01_00_11), x[0], x[0])
		VPERMQ(U8(0b01_00_11_10), x[3], x[3])
		VPERMQ(U8(0b00_11_10_01), x[2], x[2])
	}
	quarters(v)
	for _, x := range v {
		VPERMQ(U8(0b00_11_10_01), x[0], x[0])
		VPERMQ(U8(0b01_00_11_10), x[3], x[3])
		VPERMQ(U8(0b10_01_00_11), x[2], x[2])
	}
	for i := range 4 {
		for n := range v {
			move(v[n][i], Mem{Base: state, Disp: at(n, i)})
		}
	}
}

// permuteColumns permutes groups of two columns, one in the lower halves of the
// registers and one in the upper, and writes their words of the result. A register
// holds two words of either column: diagonals come of exchanging words between
// registers, again without the second.
func permuteColumns(groups []int) {
	v := make(part, 2*len(groups)) // two to a group
	at := func(n, i int) int { return (2*i+n%2)*rowBytes + groups[n/2]*vecBytes }
	for i := range 4 {
		for n := range v {
			v[n][i] = YMM()
			move(Mem{Base: state, Disp: at(n, i)}, v[n][i])
		}
	}
	quarters(v)
	for n := 0; n < len(v); n += 2 {
		x, y := &v[n], &v[n+1]
		y[0], x[0] = exchange(x[0], y[0])
		x[3], y[3] = y[3], x[3]
		x[2], y[2] = exchange(x[2], y[2])
	}
	quarters(v)
	for n := 0; n < len(v); n += 2 {
		x, y := &v[n], &v[n+1]
		x[0], y[0] = exchange(x[0], y[0])
		x[3], y[3] = y[3], x[3]
		y[2], x[2] = exchange(x[2], y[2])
	}
	for i := range 4 {
		for n := range v {
			d := at(n, i)
			xor(Mem{Base: prev, Disp: d}, v[n][i])
			xor(Mem{Base: ref, Disp: d}, v[n][i])
			xor(Mem{Base: old, Disp: d}, v[n][i])
			move(v[n][i], Mem{Base: out, Disp: d})
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

// quarters is four times the function GB of RFC 9106, section 3.6, in each of the
// independent chains.
func quarters(v part) {
	a, b, c, d := 0, 1, 2, 3
	half := func(x, y, z int, bits uint64) {
		mix(v, x, y)
		for n := range v {
			xor(v[n][x], v[n][z])
		}
		for n := range v {
			rotate(bits, v[n][z])
		}
	}
	half(a, b, d, 32)
	half(c, d, b, 24)
	half(a, b, d, 16)
	half(c, d, b, 63)
}

// mix adds to x y and twice the product of their lower halves.
func mix(v part, x, y int) {
	t := make([]VecVirtual, len(v))
	for n := range v {
		t[n] = YMM()
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

// rotate rotates the words of x to the right.
func rotate(bits uint64, x VecVirtual) {
	switch {
	case wide:
		VPRORQ(U8(bits), x, x)
	case bits == 32:
		VPSHUFD(U8(0b10_11_00_01), x, x)
	case bits == 24:
		VPSHUFB(rot24, x, x)
	case bits == 16:
		VPSHUFB(rot16, x, x)
	default: // 63 bits to the right is one to the left
		t := YMM()
		VPSRLQ(U8(63), x, t)
		VPADDQ(x, x, x)
		VPXOR(t, x, x)
	}
}

func move(from, to Op) {
	if wide {
		VMOVDQU64(from, to)
		return
	}
	VMOVDQU(from, to)
}

func xor(from Op, to VecVirtual) {
	if wide {
		VPXORQ(from, to, to)
		return
	}
	VPXOR(from, to, to)
}
