//go:build !linux

package argon2

type mapping struct{}

// mapBlocks has nothing but the Go heap here.
func mapBlocks(int) ([]block, *mapping) { return nil, nil }

func (*mapping) unmap() {}
