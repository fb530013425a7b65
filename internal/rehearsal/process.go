package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs beside this one.
type process struct {
	name  string
	log   journal
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
}

// journal gathers what a process prints, while it runs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// launch starts a program, and waits until it has printed what it is asked for: the groups.
func launch(name string, cmd *exec.Cmd, until *regexp.Regexp) (*process, []string, error) {
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended, its state says
		close(p.ended)
	}()
	found, err := p.await(until, 0)
	if err != nil {
		p.kill()
	}
	return p, found, err
}

// await waits for a line behind a place in the journal.
func (p *process) await(line *regexp.Regexp, from int) ([]string, error) {
	for range 6000 {
		if found := line.FindStringSubmatch(p.log.String()[from:]); found != nil {
			return found, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s has ended: %s", p.name, strings.TrimSpace(p.log.String()[from:]))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("%s does not say %s: %s", p.name, line, strings.TrimSpace(p.log.String()[from:]))
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // that it has ended already is well
	<-p.ended
}

// stop ends it as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(40 * time.Second):
		p.kill()
		return errors.New(p.name + " does not stop")
	}
}
