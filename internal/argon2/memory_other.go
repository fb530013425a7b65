//go:build !linux

package argon2

import "runtime"

type mapping struct{}

// mapBlocks has nothing but the Go heap here.
func mapBlocks(int) ([]block, *mapping) { return nil, nil }

func (*mapping) unmap() {}

func (*mapping) unmapWith(*Buffer) (c runtime.Cleanup) { return c }
