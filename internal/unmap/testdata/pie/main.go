// Command pie uses what a position-independent program relocates at its start, before and
// after its pages were given back.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/ostiary/ostiary/internal/unmap"
)

var all = map[string]any{"error": io.ErrUnexpectedEOF, "file": os.Stdout, "function": io.Copy, "text": []string{"a", "b"}}

func main() {
	look()
	unmap.Program()
	fmt.Println(look())
}

// look goes through tables of types and methods, by reflection, interfaces and the collector.
func look() string {
	runtime.GC()
	text := fmt.Sprintf("%v %T %T %q", all["error"], all["file"], all["function"], all["text"])
	if w, ok := all["file"].(io.Writer); !ok || errors.Is(all["error"].(error), io.EOF) || w == nil {
		return "lost"
	}
	return text
}
