package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// buildFlags and buildEnv are those of "make build".
var (
	buildFlags = []string{"build", "-trimpath", "-tags=nopgxregisterdefaulttypes", "-ldflags=-s -w"}
	buildEnv   = "CGO_ENABLED=0"
)

// build makes a binary of a package in a module's directory, as "make build" does.
func build(ctx context.Context, module, pkg, binary string) error {
	progress("building %s", filepath.Base(binary))
	cmd := exec.CommandContext(ctx, "go", append(buildFlags, "-o", binary, pkg)...)
	cmd.Dir, cmd.Env, cmd.Stderr = module, append(os.Environ(), buildEnv), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", filepath.Base(binary), err)
	}
	return nil
}

// process is a server under test: a binary, and at times a process.
type process struct {
	binary  string
	args    []string
	address string
	ready   string // the path that answers 200 when it serves
	counter string // the URL that tells how often it has allocated memory
	log     *os.File

	*exec.Cmd            // nil: it does not run
	ended     chan error // what the process ended with
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// start starts the process, and returns how long it took until it answered that it is ready.
func (p *process) start(ctx context.Context) (took time.Duration, err error) {
	p.Cmd = exec.CommandContext(ctx, p.binary, p.args...)
	p.Env = environment()
	p.Stdout, p.Stderr = p.log, p.log
	begin := time.Now()
	if err := p.Start(); err != nil {
		p.Cmd = nil
		return 0, err
	}
	p.ended = make(chan error, 1)
	go func(running *exec.Cmd, ended chan<- error) { ended <- running.Wait() }(p.Cmd, p.ended)
	for time.Since(begin) < 20*time.Second && ctx.Err() == nil {
		c, err := dial(ctx, p.address)
		if err != nil { // nobody listens yet: connecting is refused at once
			select {
			case err := <-p.ended:
				p.Cmd = nil
				return 0, p.failed(fmt.Sprintf("the server has ended (%v)", err))
			case <-time.After(200 * time.Microsecond):
			}
			continue
		}
		_, err = c.ok(get(p.address, p.ready, ""))
		took = time.Since(begin)
		return took, errors.Join(err, c.conn.Close())
	}
	return 0, p.failed("the server does not answer")
}

// stop ends the process as an operator does, and waits for it.
func (p *process) stop() error {
	if p.Cmd == nil {
		return nil
	}
	running := p.Cmd
	p.Cmd = nil
	if err := running.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	// The last signature of a long log may take ten seconds.
	kill := time.AfterFunc(30*time.Second, func() { _ = running.Process.Kill() })
	defer kill.Stop()
	return <-p.ended
}

// failed is an error with the end of the server's log.
func (p *process) failed(what string) error {
	text, _ := os.ReadFile(p.log.Name())
	return fmt.Errorf("%s; its log ends with:\n%s", what, text[max(0, len(text)-2000):])
}

// environment is ours, without settings for Ostiary.
func environment() (list []string) {
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OSTIARY_") {
			list = append(list, setting)
		}
	}
	return list
}

// resident is the process's memory in RAM, in MB.
func (p *process) resident() (float64, error) { return residentOf(p.Process.Pid) }

func residentOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(text, []byte("\nVmRSS:"))
	value, _, _ := bytes.Cut(rest, []byte(" kB"))
	kib, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if !found || err != nil {
		return 0, fmt.Errorf("no VmRSS of a process: %w", err)
	}
	return float64(kib) * 1024 / 1e6, nil
}

// size is the binary's, in MB.
func (p *process) size() (float64, error) {
	info, err := os.Stat(p.binary)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / 1e6, nil
}

// target is where a process under test is asked, and what it spends is seen.
type target struct {
	address string
	pid     int
	counter string
}

func (p *process) target() target { return target{p.address, p.Process.Pid, p.counter} }

// measured gives a row what is known of the process that does its work.
func (r *row) measured(at target) {
	r.pid, r.mallocs = at.pid, mallocsOf(at.counter)
}

const (
	mallocsName = "go_memstats_mallocs_total" // as the Go collector of Prometheus has it
	mallocsPath = "/mallocs"
)

// mallocsOf asks a process how often it has allocated memory, but for answering that:
// what one answer takes is asked for at first, when there is nothing else to do.
func mallocsOf(url string) func() (float64, error) {
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}
	var asked, each float64
	return func() (float64, error) {
		if asked == 0 {
			first, err := readMallocs(plain, url)
			if err != nil {
				return 0, err
			}
			second, err := readMallocs(plain, url)
			if err != nil {
				return 0, err
			}
			each = second - first
		}
		asked++
		n, err := readMallocs(plain, url)
		return n - asked*each, err
	}
}

func readMallocs(c *http.Client, url string) (float64, error) {
	answer, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, mallocsName+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(number), 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", url, mallocsName)
}
