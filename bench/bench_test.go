package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What is measured must be what "make build" makes.
func TestBuild_AsMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\nbuild:")
	_, recipe, _ = strings.Cut(recipe, "\n\t")
	recipe, _, _ = strings.Cut(recipe, "\n")
	want := buildEnv + " go " + strings.ReplaceAll(strings.Join(buildFlags, " "), "-ldflags=-s -w", `-ldflags="-s -w"`) + " -o bin/ostiary ./cmd/ostiary"
	if recipe != want {
		t.Errorf("make build is\n%s\nand the benchmark builds\n%s", recipe, want)
	}
}

func TestClient_Answers(t *testing.T) {
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/echo":
			w.Header()["Content-Type"] = []string{"application/json"}
			_, _ = w.Write([]byte(`{"authorization":"` + r.Header.Get("Authorization") + `","body":"` + string(body) + `"}`))
		case "/large":
			w.Header()["Content-Length"] = []string{"100000"}
			_, _ = w.Write(make([]byte, 100000))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer peer.Close()
	address := peer.Listener.Addr().String()
	c, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	for range 2 { // on one connection
		body, err := c.ok(get(address, "/echo", "abc"))
		if token, fault := field(body, "authorization"); err != nil || fault != nil || string(token) != "Bearer abc" {
			t.Fatalf("%s %v %v", body, err, fault)
		}
		body, err = c.ok(post(address, "/echo", "hello"))
		if text, fault := field(body, "body"); err != nil || fault != nil || string(text) != "hello" {
			t.Fatalf("%s %v %v", body, err, fault)
		}
		if body, err := c.ok(get(address, "/large", "")); err != nil || len(body) != 100000 {
			t.Fatal(len(body), err)
		}
		if status, body, err := c.do(get(address, "/none", "")); status != 204 || len(body) != 0 || err != nil {
			t.Fatal(status, body, err)
		}
		if _, err := c.ok(get(address, "/other", "")); err == nil || !strings.Contains(err.Error(), "GET /other answers 418: no") {
			t.Fatal(err)
		}
	}
	if _, err := field([]byte(`{"a":"b`), "a"); err == nil {
		t.Error("half a member was found")
	}
}

func TestClient_NotUnderstood(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":   "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
		"no status": "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
		"no length": "HTTP/1.1 200 OK\r\n\r\n",
		"bad":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"words":     "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			peer := httptest.NewUnstartedServer(nil)
			defer peer.Close()
			go func() {
				conn, err := peer.Listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = io.WriteString(conn, answer)
			}()
			c, err := dial(t.Context(), peer.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			if status, body, err := c.do(get("x", "/", "")); !errors.Is(err, errAnswer) {
				t.Errorf("%d %q %v", status, body, err)
			}
		})
	}
}

func TestRow_CountsAndCompares(t *testing.T) {
	var calls atomic.Int64
	work := func() error { calls.Add(1); time.Sleep(time.Millisecond); return nil }
	limit := &row{name: "limit", unit: "/s", workers: []worker{work, work}}
	r := &row{name: "work", unit: "/s", workers: []worker{work}, limit: limit, share: 0.5}
	if err := interleave(t.Context(), []*row{limit, r}, 3, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	counted := limit.sum.done + r.sum.done
	if counted != len(limit.sum.latency)+len(r.sum.latency) || counted == 0 || int64(counted) >= calls.Load() {
		t.Errorf("%d of %d operations counted: all but those of the warm-up should be", counted, calls.Load())
	}
	if r.quantile(0.5) < time.Millisecond || r.quantile(0.99) < r.quantile(0.5) || r.rate() > 1000 {
		t.Error(r.line())
	}
	if list := r.sum.latency; !slices.IsSorted(list) || r.quantile(1) != list[len(list)-1] {
		t.Error("the last quantile is not the longest latency")
	}
	r.other, r.others = limit, 0.25
	if least := limit.rate() / 4; r.bound() != least {
		t.Errorf("the lower of two limits is %v, and not %v", least, r.bound())
	}
	if l := r.line(); l.limit == "" || !strings.HasSuffix(l.ratio, " %") || l.processor != "" {
		t.Error(l)
	}
}

func TestRow_StopsAtTheFirstFault(t *testing.T) {
	fault := errors.New("fault")
	r := &row{name: "work", workers: []worker{func() error { return fault }}}
	if err := r.measure(t.Context(), time.Hour); !errors.Is(err, fault) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault)
	r = &row{name: "work", workers: []worker{func() error { return nil }}}
	if err := r.measure(ctx, time.Hour); !errors.Is(err, fault) {
		t.Error(err)
	}
}

// A queue has its length before anything is counted, so that the first ones' short waits are not.
func TestRow_CountsWhatWaitsItsTurn(t *testing.T) {
	turn := make(chan struct{}, 1)
	work := func() error {
		turn <- struct{}{}
		time.Sleep(40 * time.Millisecond)
		<-turn
		return nil
	}
	r := &row{name: "queue", unit: "/s", workers: []worker{work, work, work, work}}
	if err := r.measure(t.Context(), 400*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if least := r.quantile(0); r.sum.done == 0 || least < 120*time.Millisecond {
		t.Errorf("of %d operations of four that take turns of 40 ms, one is said to have taken %v", r.sum.done, least)
	}
}

// A server that refuses for overload is told of, and the run goes on.
func TestRow_TellsOfRefusals(t *testing.T) {
	var n int
	r := &row{name: "work", unit: "/s", workers: []worker{func() error {
		if n++; n == 2 {
			return errRefused
		}
		time.Sleep(time.Millisecond)
		return nil
	}}}
	err := r.measure(t.Context(), 200*time.Millisecond)
	if l := r.line(); err != nil || r.sum.done == 0 || !strings.HasSuffix(l.measured, " /s, **1 refused**") {
		t.Error(l, err)
	}
}

func TestTable_Markdown(t *testing.T) {
	var out strings.Builder
	var b table
	b.value("memory", "MB", 19.44, 25)
	b.value("start", "ms", 25.1, 20)
	limit := &row{unit: "/s", sum: sample{done: 200, took: time.Second}}
	sum := sample{done: 250, took: 2 * time.Second, processor: 10 * time.Millisecond, mallocs: 1000, latency: []time.Duration{time.Millisecond, time.Millisecond, 3 * time.Millisecond}}
	mallocs := func() (float64, error) { return 0, nil }
	b.add(&row{name: "verify", unit: "/s", pid: 1, sum: sum, limit: limit, share: 1, mallocs: mallocs, aim: aim{ratio: 0.6, rate: 130, spread: 2, like: limit}})
	if err := b.write(&out); err != nil {
		t.Fatal(err)
	}
	want := `| what   | measured |  limit | ratio | aim                                                                               |     CPU | mallocs |     p50 |     p99 |   p99.9 |
| ---    |     ---: |   ---: |  ---: | ---                                                                               |    ---: |    ---: |    ---: |    ---: |    ---: |
| memory |  19.4 MB |        |       | < 25.0 MB: met                                                                    |         |         |         |         |         |
| start  |  25.1 ms |        |       | < 20.0 ms: **missed**                                                             |         |         |         |         |         |
| verify |   125 /s | 200 /s |  62 % | ≥ 60 %: met, ≥ 130 /s: **missed**, as many: **missed**, p99 ≤ 2 × p50: **missed** | 40.0 µs |    4.00 | 1.00 ms | 3.00 ms | 3.00 ms |
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// A sync of what is in memory says nothing of a commit.
func TestRun_NotInMemory(t *testing.T) {
	const dir = "/dev/shm"
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil || uint32(fs.Type) != tmpfs {
		t.Skip("no " + dir + " in memory")
	}
	t.Setenv("TMPDIR", dir)
	if err := run(t.Context(), plan{alone: true, binary: "/none"}); err == nil || err.Error() != dir+" is in memory, where fsync costs nothing: set TMPDIR to a directory on a disk" {
		t.Error(err)
	}
}

func TestFloor_EndsWithItsInput(t *testing.T) {
	in, stop := io.Pipe()
	out, address := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- serveFloor(in, address) }()
	if _, err := io.WriteString(stop, "Content-Length: 0\r\nOstiary-Subject: ada\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	to := strings.TrimSpace(string(line[:n]))
	b := new(bench)
	header, err := b.answerOf(t.Context(), target{address: to}, question{method: "GET", path: "/ostiary/verify", authorization: "Bearer x"})
	if err != nil || header.Get("Ostiary-Subject") != "ada" || len(header) != 3 { // with its Date
		t.Error(header, err)
	}
	for _, c := range b.closers {
		_ = c()
	}
	stop.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a run would pass over is refused.
func TestPlan_Check(t *testing.T) {
	for _, c := range []struct {
		plan plan
		rest []string
		want string
	}{
		{plan{only: []string{"start", "growth"}, docs: "../docs"}, nil, ""},
		{plan{only: []string{"start", "nonsense"}}, nil, "-only nonsense: there are engines"},
		{plan{}, []string{"extra", "-short"}, `"extra" is no flag`},
		{plan{docs: t.TempDir()}, nil, "-docs: "},
	} {
		err := c.plan.check(c.rest)
		if text := fmt.Sprint(err); (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(text, c.want) {
			t.Errorf("%+v %q: %v", c.plan, c.rest, err)
		}
	}
}

// A binary that ends at once is not waited for.
func TestProcess_EndsAtOnce(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{binary: "/bin/sh", args: []string{"-c", "echo no such command >&2; exit 7"}, address: address, log: log}
	if _, err := p.start(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "no such command") {
		t.Errorf("%v", err)
	}
	if err := p.stop(); err != nil {
		t.Errorf("it is stopped: %v", err)
	}
}
