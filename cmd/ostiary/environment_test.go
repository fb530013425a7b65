package main

import (
	"bufio"
	"io"
	"slices"
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
