package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ostiary/ostiary/internal/totp"
)

// collector takes traces, by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
	text  strings.Builder // all that came
}

func newCollector(t testing.TB) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.text.Write(body)
		for _, r := range data.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// stages are the names of the spans below each request of that name, in the order in which they began.
func (c *collector) stages(request string) (all [][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.spans, func(a, b *tracepb.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) }) //nolint:gosec // of one minute
	for _, whole := range c.spans {
		if whole.Name != request {
			continue
		}
		names := []string{}
		for _, s := range c.spans {
			if string(s.ParentSpanId) == string(whole.SpanId) && string(s.TraceId) == string(whole.TraceId) {
				names = append(names, s.Name)
			}
		}
		all = append(all, names)
	}
	return all
}

func TestTrace_StagesOfALogin(t *testing.T) {
	c := newCollector(t)
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--trace-endpoint", c.URL)
	must(t, "a password of adalbertine", "account", "create", "--data", data, "--username", "adalbertine", "--password-stdin")
	must(t, "a password of evelyn", "account", "create", "--data", data, "--username", "evelyn", "--password-stdin")
	uri, _, _ := strings.Cut(must(t, "", "mfa", "enroll", "evelyn", "--data", data), "\n")
	secret := secretOf(t, uri)
	if status, answer := login(t, p.url, "adalbertine", "a password of adalbertine"); status != 200 {
		t.Fatal(status, answer)
	}
	if status, answer := login(t, p.url, "adalbertine", "a wrong password"); status != 400 {
		t.Fatal(status, answer)
	}
	_, answer, err := post(http.DefaultClient, p.url+"/user/login", `{"email":"evelyn","password":"a password of evelyn"}`)
	if err != nil {
		t.Fatal(err)
	}
	_, ticket, _ := strings.Cut(answer, `"token":"`)
	ticket, _, _ = strings.Cut(ticket, `"`)
	status, answer, err := post(http.DefaultClient, p.url+"/user/passport", fmt.Sprintf(`{"token":%q,"totp":%q}`, ticket, totp.Code(secret, totp.Step(time.Now()))))
	if err != nil || status != 200 {
		t.Fatal(err, status, answer)
	}
	if err := p.Stop(); err != nil { // which sends what is left
		t.Fatal(err)
	}
	read := []string{"read account", "reserve guess", "wait for a hash slot", "hash", "store transaction"}
	for request, want := range map[string][][]string{
		"POST /v1/auth":       {append(slices.Clone(read), "sign", "sign"), append(slices.Clone(read), "hold the answer back")},
		"POST /user/login":    {read},
		"POST /user/passport": {{"reserve guess", "store transaction", "second factor"}},
	} {
		if got := c.stages(request); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, not %q", request, got, want)
		}
	}
	for _, s := range c.spans {
		if s.Name != "POST /v1/auth" || s.Kind != tracepb.Span_SPAN_KIND_SERVER {
			continue
		}
		said := map[string]string{}
		for _, a := range s.Attributes {
			said[a.Key] = a.Value.GetStringValue() + fmt.Sprint(a.Value.GetIntValue())
		}
		if said["http.request.method"] != "POST0" || said["http.route"] != "/v1/auth0" || said["ostiary.dialect"] != "senmo0" || said["http.response.status_code"] != "200" && said["ostiary.code"] != "bad_credentials0" {
			t.Errorf("%v", said)
		}
	}
	for _, planted := range []string{"adalbertine", "evelyn", "password of", ticket, "127.0.0.1"} {
		if strings.Contains(c.text.String(), planted) {
			t.Errorf("a span has %q", planted)
		}
	}
}

// A parent is believed of a trusted proxy alone, and then it says whether to trace.
func TestTrace_Parent(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"
	for name, flags := range map[string][]string{"proxy": {"--trusted-proxy", "127.0.0.1"}, "anybody": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			p := serve(t, filepath.Join(t.TempDir(), "data"), append(flags, "--trace-endpoint", c.URL, "--trace-sample", "0")...)
			for _, sampled := range []string{"0", "1"} {
				if status, _, err := post(http.DefaultClient, p.url+"/user/login", "{}", "traceparent", parent+sampled); err != nil || status == 200 {
					t.Fatal(status, err)
				}
			}
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			if name == "anybody" {
				if len(c.spans) != 0 {
					t.Errorf("a client had its request traced: %v", c.spans)
				}
				return
			}
			if len(c.spans) != 1 || fmt.Sprintf("%x-%x", c.spans[0].TraceId, c.spans[0].ParentSpanId) != "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331" {
				t.Errorf("%v", c.spans)
			}
		})
	}
}

// Without a collector, everything goes on, and one line says what is missing. Nothing is
// sent that nobody asked for.
func TestTrace_CollectorAway(t *testing.T) {
	c := newCollector(t)
	url := c.URL
	c.Close()
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--trace-endpoint", url, "--admin-listen", "127.0.0.1:0")
	must(t, "a password of adalbertine", "account", "create", "--data", data, "--username", "adalbertine", "--password-stdin")
	for range 3 {
		if status, answer := login(t, p.url, "adalbertine", "a password of adalbertine"); status != 200 {
			t.Fatal(status, answer)
		}
	}
	p.waitFor(t, "level=WARN msg=\"the collector of traces takes none")
	if _, text := fetch(t, p.admin(t)+"/metrics"); metric(t, text, `ostiary_trace_spans_total{outcome="dropped"}`) < 1 || metric(t, text, `ostiary_trace_spans_total{outcome="sent"}`) != 0 {
		t.Error("no span is counted as dropped")
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(p.err.String(), "collector"); n != 1 {
		t.Errorf("%d lines:\n%s", n, p.err.String())
	}
}

// The share of the requests is a setting that a reload applies.
func TestTrace_SampleReloaded(t *testing.T) {
	c := newCollector(t)
	file := filepath.Join(t.TempDir(), "ostiary.toml")
	p := &process{}
	for i, text := range []string{"trace_sample = 0\n", "trace_sample = 1\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			p = serve(t, filepath.Join(t.TempDir(), "data"), "--trace-endpoint", c.URL, "--config", file)
		} else {
			if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			p.waitFor(t, "configuration reloaded")
		}
		if status, _ := fetch(t, p.url+"/ostiary/healthz"); status != 200 {
			t.Fatal(status)
		}
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(c.spans) != 1 || c.spans[0].Name != "GET /ostiary/healthz" {
		t.Errorf("%v", c.spans)
	}
}
