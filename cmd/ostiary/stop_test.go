package main

import (
	"io"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// A load balancer is told before the door closes: until then everybody is answered, and no connection is kept.
func TestThreat68_ReadinessGoesFirst(t *testing.T) {
	const delay = 4 * time.Second
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--stop-delay", delay.String())
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	type answer struct {
		status int
		again  string // Retry-After
		closes bool
	}
	get := func(path string) answer {
		t.Helper()
		res, err := http.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		return answer{res.StatusCode, res.Header.Get("Retry-After"), res.Close}
	}
	if got := get("/ostiary/readyz"); got.status != http.StatusOK || got.closes {
		t.Fatalf("before: %+v", got)
	}
	start := time.Now()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "msg=stopping")
	got := get("/ostiary/readyz")
	for range 200 {
		if got.status == http.StatusServiceUnavailable {
			break
		}
		time.Sleep(5 * time.Millisecond)
		got = get("/ostiary/readyz")
	}
	if got.status != http.StatusServiceUnavailable || got.again == "" || !got.closes {
		t.Errorf("readyz: %+v", got)
	}
	if got := get("/ostiary/healthz"); got.status != http.StatusOK || !got.closes {
		t.Errorf("healthz: %+v", got)
	}
	if status, answer := login(t, p.url, "ada", "a password of ada"); status != http.StatusOK {
		t.Errorf("a login: %d %s", status, answer)
	}
	<-p.Done
	if took := time.Since(start); p.Failed != nil || took < delay {
		t.Errorf("it ended after %s: %v", took, p.Failed)
	}
}

// TestStop_SignalledTwice: timeout signals the process, and then its group. The log of the
// database is folded in all the same.
func TestStop_SignalledTwice(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--stop-delay", "300ms")
	for range 2 {
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, "msg=stopping")
	}
	<-p.Done
	if p.Failed != nil {
		t.Errorf("it ended: %v", p.Failed)
	}
	if left, err := filepath.Glob(filepath.Join(data, "ostiary.db-*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// TestStop_SignalledAgain: who asks again, a while later, waits for nobody.
func TestStop_SignalledAgain(t *testing.T) {
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--stop-delay", "10m")
	again := time.NewTicker(signalledTwice / 4)
	defer again.Stop()
	for begun := time.Now(); ; {
		select {
		case <-p.Done:
			if status, ok := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
				t.Errorf("it ended by %v", p.Failed)
			}
			return
		case <-again.C:
			if time.Since(begun) > 20*time.Second {
				t.Fatal("it goes on")
			}
			_ = p.Cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
		}
	}
}

// TestStop_DuringAReload: a database that hangs keeps a reload waiting, and not the stop.
func TestStop_DuringAReload(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--database", pg.URL(t))
	pg.Pause(t)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // in which it is begun: nothing says so
	begun := time.Now()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "msg=stopping")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it began to stop after %s", took)
	}
	pg.Resume(t)
	select {
	case <-p.Done:
	case <-time.After(time.Minute):
		t.Error("it has not ended in a minute")
	}
}
