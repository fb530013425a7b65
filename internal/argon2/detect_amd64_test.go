//go:build amd64 && !purego

package argon2

import (
	"reflect"
	"testing"

	"golang.org/x/sys/cpu"
)

// A kernel is used only where the processor has all that it needs, and then it is.
func TestDetect_WhatTheProcessorHas(t *testing.T) {
	defer func(has bool) { cpu.X86.HasAVX2 = has }(cpu.X86.HasAVX2)
	defer func(has bool) { cpu.X86.HasAVX512F = has }(cpu.X86.HasAVX512F)
	defer func(has bool) { cpu.X86.HasAVX512VL = has }(cpu.X86.HasAVX512VL)
	defer func(has bool) { cpu.X86.HasAVX512BW = has }(cpu.X86.HasAVX512BW)
	for _, c := range []struct {
		avx2, f, vl, bw bool
		want            []kernel
	}{
		{true, true, true, true, []kernel{generic, avx2, avx512}},
		{true, false, true, true, []kernel{generic, avx2}},
		{true, true, false, true, []kernel{generic, avx2}},
		{true, true, true, false, []kernel{generic, avx2}},
		{false, true, true, true, []kernel{generic}},
	} {
		cpu.X86.HasAVX2, cpu.X86.HasAVX512F, cpu.X86.HasAVX512VL, cpu.X86.HasAVX512BW = c.avx2, c.f, c.vl, c.bw
		if got := detect(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
