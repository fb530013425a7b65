package argon2

import (
	"syscall"
	"unsafe"
)

// hugePage is what the processor maps at once where it can.
const hugePage = 2 << 20

// mapping is memory beside the Go heap.
type mapping struct {
	all  []byte
	size int // that is used
}

// mapBlocks asks the system for zeroed memory of n blocks, in huge pages if it has them.
// nil if it has none to give.
func mapBlocks(n int) ([]block, *mapping) {
	size := n * blockSize
	all, err := syscall.Mmap(-1, 0, size+hugePage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(all)))
	mem := all[-start&(hugePage-1):][:size]
	_ = syscall.Madvise(mem, syscall.MADV_HUGEPAGE) // only a wish
	mapped.Add(int64(size))
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(mem))), n), &mapping{all, size}
}

// unmap gives the memory back. Nothing may use it any more.
func (m *mapping) unmap() {
	_ = syscall.Munmap(m.all)
	mapped.Add(-int64(m.size))
}
