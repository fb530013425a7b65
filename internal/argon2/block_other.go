//go:build !amd64 || purego

package argon2

// useAVX2 is false where there is no kernel in assembly.
var useAVX2 = false

func head(out, prev, ref, old, state *block) {
	compressGeneric(out, prev, ref, old, state)
}

func tail(_, _, _, _, _, _ *block) {}
