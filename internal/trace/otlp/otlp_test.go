package otlp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ostiary/ostiary/internal/trace"
)

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// collector takes spans, unless it is told not to.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []*tracepb.ResourceSpans
	paths  []string
}

func newCollector(t *testing.T) *collector {
	c := &collector{status: 200}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%v: %s %v", err, r.Method, r.Header)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paths = append(c.paths, r.URL.Path)
		if c.status == 200 {
			c.got = append(c.got, data.ResourceSpans...)
		}
		w.WriteHeader(c.status)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) set(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func TestSender_Sends(t *testing.T) {
	c := newCollector(t)
	tracer := trace.New(1)
	s, err := New(tracer, c.URL, "v1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	request := tracer.Request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Name = "POST /v1/auth"
	trace.Start(context.WithValue(t.Context(), trace.Key{}, request), "hash").End()
	request.Say("http.route", "/v1/auth")
	request.SayNumber("http.response.status_code", 503)
	request.Failed = true
	request.End()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is left is sent at the end
	s.Run(ctx)
	if s.Sent() != 2 || tracer.Dropped() != 0 || len(c.got) != 1 || c.paths[0] != "/v1/traces" {
		t.Fatalf("%d sent, %d dropped: %v", s.Sent(), tracer.Dropped(), c.paths)
	}
	text := c.got[0].String()
	for _, want := range []string{`"service.name"`, `"ostiary"`, `"service.version"`, `"v1.2.3"`, `"service.instance.id"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	spans := c.got[0].ScopeSpans[0].Spans
	stage, whole := spans[0], spans[1]
	if stage.Name != "hash" || stage.Kind != tracepb.Span_SPAN_KIND_INTERNAL || string(stage.ParentSpanId) != string(whole.SpanId) || stage.Status != nil ||
		whole.Name != "POST /v1/auth" || whole.Kind != tracepb.Span_SPAN_KIND_SERVER || string(whole.TraceId) != string(request.Trace[:]) || len(whole.TraceId) != 16 ||
		string(whole.ParentSpanId) != string(request.Parent[:]) || whole.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR ||
		whole.StartTimeUnixNano > stage.StartTimeUnixNano || whole.EndTimeUnixNano < stage.EndTimeUnixNano || stage.EndTimeUnixNano < stage.StartTimeUnixNano {
		t.Errorf("%s\n%s", stage, whole)
	}
	if a := whole.Attributes; len(a) != 2 || a[0].Value.GetStringValue() != "/v1/auth" || a[1].Value.GetIntValue() != 503 {
		t.Error(whole.Attributes)
	}
}

// A collector that is away, or says no, is one line, and another one when it is back.
func TestSender_Away(t *testing.T) {
	c := newCollector(t)
	tracer := trace.New(1)
	log := &lines{}
	s, err := New(tracer, c.URL+"/custom/path", "v0", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		t.Helper()
		tracer.Request("").End()
		s.send(t.Context(), []*trace.Span{<-tracer.Ended()}, time.Minute)
	}
	for _, status := range []int{500, 404, 301} {
		c.set(status)
		send()
	}
	if s.Sent() != 0 || tracer.Dropped() != 3 || log.count("level=WARN") != 1 || log.count("\n") != 1 {
		t.Errorf("%d sent, %d dropped: %s", s.Sent(), tracer.Dropped(), log.text.String())
	}
	c.set(200)
	send()
	send()
	if s.Sent() != 2 || log.count("level=INFO") != 1 || log.count("\n") != 2 || c.paths[0] != "/custom/path" {
		t.Errorf("%d sent: %s", s.Sent(), log.text.String())
	}
	c.Close()
	send()
	send()
	if tracer.Dropped() != 5 || log.count("level=WARN") != 2 {
		t.Errorf("%d dropped: %s", tracer.Dropped(), log.text.String())
	}
}

// Run sends a batch that is full at once, and the rest in time.
func TestSender_Batches(t *testing.T) {
	c := newCollector(t)
	tracer := trace.New(1)
	s, err := New(tracer, c.URL, "v0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range batch + 1 {
		tracer.Request("").End()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	for began := time.Now(); s.Sent() < batch+1 && time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
	}
	cancel()
	<-done
	if s.Sent() != batch+1 || len(c.paths) != 2 {
		t.Errorf("%d sent in %d requests", s.Sent(), len(c.paths))
	}
}
