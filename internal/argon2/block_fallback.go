package argon2

func compress(out, prev, ref, state *block, xor bool) {
	compressGeneric(out, prev, ref, state, xor)
}
