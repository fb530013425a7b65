package argon2

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
)

// Nothing that is in the memory before a call may have a say in its result.
func TestBuffer_StaleMemory(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var b Buffer
		b.grow(4096 + scratchBlocks)
		for _, c := range []struct {
			time, memory uint32
			threads      uint8
		}{{1, 8, 1}, {2, 19, 1}, {1, 1024, 4}, {3, 1100, 2}, {1, 4096, 1}, {2, 2048, 3}} {
			for i := range b.mem {
				for w := range b.mem[i] {
					b.mem[i][w] = random.Uint64()
				}
			}
			want := xargon2.IDKey([]byte("password"), []byte("somesalt"), c.time, c.memory, c.threads, 32)
			got, err := b.Key([]byte("password"), []byte("somesalt"), c.time, c.memory, c.threads, 32)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%+v: got %x, %v; want %x", c, got, err, want)
			}
		}
	})
}

func TestBuffer_AllocatesOnce(t *testing.T) {
	var b Buffer
	key := func(memory uint32) {
		if _, err := b.Key([]byte("password"), []byte("somesalt"), 1, memory, 1, 32); err != nil {
			t.Fatal(err)
		}
	}
	key(1024)
	first := &b.mem[0]
	key(512)
	key(8)
	key(1024)
	if &b.mem[0] != first {
		t.Error("the memory was allocated again for a call that it was enough for")
	}
	const calls = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		key(1024)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / calls; n > 16<<10 {
		t.Errorf("a call allocates %d bytes beside its buffer", n)
	}
	key(1028)
	if len(b.mem) != 1028+scratchBlocks {
		t.Error("the memory did not grow")
	}
}

func TestBuffer_Release(t *testing.T) {
	before := Mapped()
	var b Buffer
	b.Release()
	if _, err := b.Key(nil, nil, 1, 256, 1, 32); err != nil {
		t.Fatal(err)
	}
	b.Release()
	if b.mem != nil || Mapped() != before {
		t.Error("Release kept memory")
	}
	want := xargon2.IDKey(nil, nil, 1, 256, 1, 32)
	if got, err := b.Key(nil, nil, 1, 256, 1, 32); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after Release: got %x, %v; want %x", got, err, want)
	}
}

// Buffers share nothing, so each goroutine may have its own.
func TestBuffer_OneEach(t *testing.T) {
	want := xargon2.IDKey([]byte("password"), []byte("somesalt"), 2, 256, 2, 32)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var b Buffer
			for range 5 {
				got, err := b.Key([]byte("password"), []byte("somesalt"), 2, 256, 2, 32)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %x, %v; want %x", got, err, want)
				}
			}
		})
	}
	all.Wait()
}

// The kernels in assembly are compared with the plain one block by block, also where
// the result goes over an argument and where the blocks lie across cache lines.
func TestCompress_LikeGeneric(t *testing.T) {
	t.Logf("the kernels here: %v", kernels)
	eachKernel(t, compareCompress)
}

func compareCompress(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	fresh := func() block {
		var b block
		for w := range b {
			b[w] = random.Uint64() >> (random.Uint32() % 64)
		}
		return b
	}
	for range 500 {
		var m struct {
			_                     uint64 // off the alignment
			out, prev, ref, state block
		}
		m.out, m.prev, m.ref, m.state = fresh(), fresh(), fresh(), fresh()
		prev, ref, old := m.prev, m.ref, m.out
		var want, over, state block
		compressGeneric(&want, &prev, &ref, &old, &state)
		compressGeneric(&over, &prev, &ref, &prev, &state)

		head(&m.out, &m.prev, &m.ref, &m.out, &m.state)
		if m.out[0] != want[0] {
			t.Fatal("word 0 is not ready after the head")
		}
		tail(&m.out, &m.prev, &m.ref, &m.out, &m.state, &m.prev)
		if m.out != want {
			t.Fatalf("got %x, want %x", m.out, want)
		}
		if m.prev != prev || m.ref != ref {
			t.Fatal("an argument was written over")
		}
		compress(&m.prev, &m.prev, &m.ref, &m.prev, &m.state)
		if m.prev != over {
			t.Fatalf("over an argument: got %x, want %x", m.prev, over)
		}
	}
}
