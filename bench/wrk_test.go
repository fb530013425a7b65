package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWrk_Report(t *testing.T) {
	s, err := readWrk(bytes.NewBufferString("5 2000000 0\n90 3\n1200 1\n"))
	want := []time.Duration{90 * time.Microsecond, 90 * time.Microsecond, 90 * time.Microsecond, 1200 * time.Microsecond}
	if err != nil || s.done != 5 || s.took != 2*time.Second || !slices.Equal(s.latency, want) {
		t.Errorf("%+v %v", s, err)
	}
	for _, report := range []string{"", "5 2000000 1\n", "0 2000000 0\n", "unable to connect\n", "5 2000000 0\n90\n", "5 2000000 0\nx 1\n"} {
		if s, err := readWrk(bytes.NewBufferString(report)); err == nil {
			t.Errorf("%q is read as %+v", report, s)
		}
	}
}

// The real program sends what the client in Go sends.
func TestWrk_Asks(t *testing.T) {
	program, err := exec.LookPath("wrk")
	switch {
	case err != nil && os.Getenv("TEST_PEERS") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip(err, "; make test installs it")
	}
	var asked, unlike atomic.Int64
	var refuse atomic.Bool
	var kinds sync.Map
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Add(1)
		kinds.Store(r.Header.Get("Authorization")+string(body), true)
		if r.Method+r.URL.Path+r.Header.Get("Authorization")+r.Header.Get("Content-Type")+string(body) != "POST/pathBasic a b"+formType+"token=x" {
			unlike.Add(1)
		}
		if refuse.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer peer.Close()
	to := target{peer.Listener.Addr().String(), os.Getpid(), ""}
	b := &bench{dir: t.TempDir()}
	r := &row{name: "work", unit: "/s"}
	err = b.ask(t.Context(), r, to, question{"POST", "/path", "Basic a b", "token=x"})
	if err != nil || r.wrk == nil || r.wrk.program != program {
		t.Fatal(r, err)
	}
	r.mallocs = ownMallocs
	if err := interleave(t.Context(), []*row{r}, 1, time.Second); err != nil {
		t.Fatal(err)
	}
	if n := int64(r.sum.done); n == 0 || n > asked.Load() || unlike.Load() != 0 {
		t.Errorf("%d of %d requests counted, %d are others", n, asked.Load(), unlike.Load())
	}
	if l := r.line(); r.sum.processor <= 0 || !strings.HasSuffix(l.processor, " µs") || l.mallocs == "" || r.quantile(0.5) == 0 {
		t.Error(l, r.sum.processor)
	}
	var list []question
	for _, token := range []string{"a", "b", "c"} {
		list = append(list, question{"POST", "/path", "Basic a b", "token=" + token})
	}
	list = append(list, question{"POST", "/path", "Basic other", "token=x"})
	chosen := &row{name: "choice", unit: "/s"}
	if err := b.ask(t.Context(), chosen, to, list...); err != nil {
		t.Fatal(err)
	}
	chosen.mallocs = ownMallocs
	if err := chosen.measure(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	var seen []any
	kinds.Range(func(kind, _ any) bool { seen = append(seen, kind); return true })
	if len(seen) != 1+len(list) {
		t.Errorf("asked before and by chance: %q", seen)
	}
	refuse.Store(true)
	if err := r.measure(t.Context(), time.Second); err == nil {
		t.Error("refusals are counted")
	}
	for _, c := range b.closers {
		_ = c()
	}
}

func TestProcessorTime_OfAProcess(t *testing.T) {
	before, err := processorTimeOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if after, err := processorTimeOf(os.Getpid()); err != nil || after > before {
			if err != nil || after-before > time.Second {
				t.Error(after-before, err)
			}
			return
		}
	}
	t.Error("five busy seconds took no processor time")
}
