package unmap

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// residentProgram is how many kilobytes of the program's code and constants are mapped.
func residentProgram(t *testing.T) (kilobytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ranges() {
		_, part, found := strings.Cut("\n"+string(text), fmt.Sprintf("\n%08x-%08x ", r.start, r.end))
		_, rss, _ := strings.Cut(part, "\nRss:")
		n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rss, "kB", 2)[0]))
		if !found || err != nil {
			t.Fatalf("no resident pages of %x: %v", r, err)
		}
		kilobytes += n
	}
	return kilobytes
}

func TestProgram_LeavesWhatIsInUse(t *testing.T) {
	before := residentProgram(t)
	Program()
	if after := residentProgram(t); before == 0 || after >= before {
		t.Errorf("%d kB of the program were mapped, and %d kB are", before, after)
	}
}

// A position-independent program goes on: what was relocated at its start is not in its file.
func TestProgram_PositionIndependent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pie")
	build := exec.Command("go", "build", "-buildmode=pie", "-o", path, "./testdata/pie")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // else it needs a C linker
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Type != elf.ET_DYN {
		t.Fatalf("it is of type %v", file.Type)
	}
	out, err := exec.Command(path).CombinedOutput()
	if want := "unexpected EOF *os.File func(io.Writer, io.Reader) (int64, error) [\"a\" \"b\"]\n"; err != nil || string(out) != want {
		t.Errorf("%v: %.500s", err, out)
	}
}
