package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	logBuffer = 256 << 10   // bytes of lines that wait to be written
	logFlush  = time.Second // how long the end of the process waits for them
)

// logWriter writes lines that have been handed to it, in their order, and keeps nobody
// waiting: whoever reads standard error may have stopped to read, or have gone away. What
// does not fit into its buffer is dropped, and counted in a line of its own once there
// is room again.
type logWriter struct {
	out   io.Writer
	lost  func(out io.Writer, lines int) error // writes the line that counts those that were dropped
	wake  chan struct{}
	flush chan chan struct{}

	mu      sync.Mutex
	waiting []byte
	dropped int
}

func newLogWriter(out io.Writer, lost func(out io.Writer, lines int) error) *logWriter {
	w := &logWriter{out: out, lost: lost, wake: make(chan struct{}, 1), flush: make(chan chan struct{})}
	go w.run()
	return w
}

// Write takes whole lines. It never fails.
func (w *logWriter) Write(lines []byte) (int, error) {
	w.mu.Lock()
	if w.dropped > 0 || len(w.waiting)+len(lines) > logBuffer { // once one is dropped, so are those after it
		w.dropped += bytes.Count(lines, newline)
	} else {
		w.waiting = append(w.waiting, lines...)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(lines), nil
}

// Flush waits until what was written is out, but no longer than the given time.
func (w *logWriter) Flush(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	done := make(chan struct{})
	select {
	case w.flush <- done:
	case <-timer.C:
		return
	}
	select {
	case <-done:
	case <-timer.C:
	}
}

var newline = []byte{'\n'}

func (w *logWriter) run() {
	var spare []byte
	for {
		select {
		case <-w.wake:
			spare = w.empty(spare)
		case done := <-w.flush:
			spare = w.empty(spare)
			close(done)
		}
	}
}

// empty writes what waits; spare is the buffer for what comes meanwhile.
func (w *logWriter) empty(spare []byte) []byte {
	for {
		w.mu.Lock()
		lines, dropped := w.waiting, w.dropped
		w.waiting, w.dropped = spare[:0], 0
		w.mu.Unlock()
		if spare = lines; len(lines) == 0 && dropped == 0 {
			return spare
		}
		if err := w.write(lines, dropped); err != nil { // such as a full disk, which may have room again later
			return spare
		}
	}
}

// write writes lines, and then how many were dropped after them. What could not be
// written is dropped too.
func (w *logWriter) write(lines []byte, dropped int) error {
	n, err := 0, error(nil)
	if len(lines) > 0 {
		n, err = w.out.Write(lines)
	}
	if err == nil && dropped > 0 {
		err = w.lost(w.out, dropped)
	}
	if err != nil {
		w.mu.Lock()
		w.dropped += dropped + bytes.Count(lines[n:], newline)
		w.mu.Unlock()
	}
	return err
}
