package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

// gate is a reader of the log that can stop to read, or fail.
type gate struct {
	processtest.Log
	open   chan struct{}
	broken error
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	if g.broken != nil {
		return 0, g.broken
	}
	return g.Log.Write(p)
}

func countLost(out io.Writer, lines int) error {
	_, err := fmt.Fprintf(out, "lost %d\n", lines)
	return err
}

func TestLogWriter_DropsAndCounts(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	w := newLogWriter(g, countLost)
	const lines = 3 * logBuffer / 100
	start := time.Now()
	for i := range lines {
		fmt.Fprintf(w, "%06d%s\n", i, strings.Repeat("x", 93))
	}
	w.Flush(50 * time.Millisecond)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("writing and flushing took %s", took)
	}
	close(g.open)
	w.Flush(10 * time.Second)
	fmt.Fprintf(w, "%06d\n", lines)
	w.Flush(10 * time.Second)
	next, lost := 0, 0
	for line := range strings.Lines(g.String()) {
		n := 0
		if _, err := fmt.Sscanf(line, "lost %d", &n); err == nil {
			lost += n
			next += n
		} else if _, err := fmt.Sscanf(line, "%06d", &n); err != nil || n != next {
			t.Fatalf("%d expected: %q", next, line)
		} else {
			next++
		}
	}
	if next != lines+1 || lost == 0 || lost >= lines {
		t.Errorf("%d lines told of, %d dropped", next, lost)
	}
}

func TestLogWriter_CountsWhatFailed(t *testing.T) {
	g := &gate{open: make(chan struct{}), broken: io.ErrShortWrite}
	close(g.open)
	w := newLogWriter(g, countLost)
	fmt.Fprint(w, "one\ntwo\n")
	w.Flush(time.Second)
	done := make(chan struct{})
	w.flush <- done // the writer rests between two, and so does the test
	<-done
	g.broken = nil
	w.Flush(time.Second)
	fmt.Fprint(w, "three\n")
	w.Flush(time.Second)
	if got := g.String(); got != "lost 2\nthree\n" {
		t.Errorf("%q", got)
	}
}

// piped starts a server whose standard error is a pipe that the test reads, or does not.
func piped(t *testing.T, data string) (cmd *exec.Cmd, log *os.File, url string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd = exec.Command("ostiary", "serve", "--listen", "127.0.0.1:0", "--data", data)
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	var text bytes.Buffer
	for one := make([]byte, 1); ; {
		if n, err := r.Read(one); n == 0 || err != nil {
			t.Fatalf("%v: %s", err, text.String())
		}
		text.Write(one)
		if m := processtest.Serving.FindStringSubmatch(text.String()); m != nil {
			return cmd, r, "http://" + m[1]
		}
	}
}

// stopIn ends a server and sees that it does so in time.
func stopIn(t *testing.T, cmd *exec.Cmd, limit time.Duration) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(limit):
		t.Errorf("not ended in %s", limit)
		_ = cmd.Process.Kill()
		if err := <-ended; err != nil {
			t.Logf("after SIGKILL: %v", err)
		}
	}
}

func TestServe_ReaderOfTheLogLeaves(t *testing.T) {
	cmd, log, url := piped(t, filepath.Join(t.TempDir(), "data"))
	log.Close()
	for range 20 {
		healthy(t, url)
	}
	stopIn(t, cmd, 10*time.Second)
}

func TestServe_ReaderOfTheLogIsStuck(t *testing.T) {
	cmd, log, url := piped(t, filepath.Join(t.TempDir(), "data"))
	// More than the pipe and the buffer hold: each request is a line with its path.
	path := "/ostiary/verify" + strings.Repeat("/xxxxxxxxx", 24)
	for range (logBuffer + 128<<10) / 300 {
		res, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	healthy(t, url)
	// When it reads again, it learns how much it has missed.
	read := make(chan string)
	go func() {
		var text bytes.Buffer
		buffer := make([]byte, 32<<10)
		for !strings.Contains(text.String(), "msg=stopped") {
			n, err := log.Read(buffer)
			text.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		read <- text.String()
	}()
	time.Sleep(200 * time.Millisecond)
	stopIn(t, cmd, 10*time.Second)
	if text := <-read; !regexp.MustCompile(`level=WARN msg="lines of the log were dropped: .*" lines=\d+\n`).MatchString(text) {
		t.Errorf("%.2000s", text)
	}
}

// Nobody reads the log any more, and the server ends at once all the same.
func TestServe_StuckLogDoesNotHoldTheEnd(t *testing.T) {
	cmd, _, url := piped(t, filepath.Join(t.TempDir(), "data"))
	path := "/ostiary/verify" + strings.Repeat("/xxxxxxxxx", 24)
	for range (100 << 10) / 300 {
		res, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	stopIn(t, cmd, logFlush+5*time.Second)
}

var client = &http.Client{Timeout: 10 * time.Second}

func healthy(t *testing.T, url string) {
	t.Helper()
	res, err := client.Get(url + "/ostiary/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %d", res.StatusCode)
	}
}

// What is said before a failed start comes out in its order, and before the process ends.
func TestServe_ErrorsInOrder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, errOut, status := command(t, "", "serve", "--data", data, "--listen", taken.Addr().String())
	lines := strings.Split(strings.TrimSuffix(errOut, "\n"), "\n")
	if status != 1 || len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.HasPrefix(lines[1], "ostiary: listen tcp") {
		t.Errorf("%d: %s", status, errOut)
	}
}
