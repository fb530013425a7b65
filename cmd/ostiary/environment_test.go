package main

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestStrayVariables(t *testing.T) {
	a := &app{Context: t.Context(), out: bufio.NewWriter(io.Discard), err: io.Discard, args: []string{"version"}}
	if _, _, err := a.parse(); err != nil {
		t.Fatal(err)
	}
	got := a.strayVariables([]string{
		"OSTIARY_LISTN=127.0.0.1:0", "OSTIARY_LISTEN=127.0.0.1:0", "OSTIARY_MASTER_KEY=x", "OSTIARY_MASTER_KEY_FILE=x", "OSTIARY_GUESS_WALL=1",
		"OSTIARY_SERVICE_HOST=10.0.0.1", "OSTIARY_PORT=tcp://10.0.0.1:80", "OSTIARY_PORT_80_TCP_ADDR=10.0.0.1", "HOME=/", "OSTIARY_GUESS_WALLS",
	})
	if want := []string{"OSTIARY_GUESS_WALLS", "OSTIARY_LISTN"}; !slices.Equal(got, want) {
		t.Errorf("stray: %v, want %v", got, want)
	}
}

// fullWriter takes nothing.
type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestRun_UnwrittenOnce: that nothing could be written is said once, however much there was.
func TestRun_UnwrittenOnce(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"serve", "--help"}} {
		var errOut strings.Builder
		if status := run(t.Context(), args, strings.NewReader(""), fullWriter{}, &errOut); status != 1 || errOut.String() != "ostiary: no space left\n" {
			t.Errorf("%q: %d %q", args, status, errOut.String())
		}
	}
}
