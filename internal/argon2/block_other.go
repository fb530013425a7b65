//go:build !amd64 || purego

package argon2

// detect gives plain Go alone: there is no kernel in assembly here.
func detect() []kernel { return []kernel{generic} }

func head(out, prev, ref, old, state *block) {
	compressGeneric(out, prev, ref, old, state)
}

func tail(_, _, _, _, _, _ *block) {}
