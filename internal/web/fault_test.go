package web

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMiddleware_Panic(t *testing.T) {
	boom := greet(BodyJSON)
	boom.Run = func(context.Context, *Request, login) (greeting, error) { panic("boom\nwith \x1b[31mcolour") }
	h := open(t, Options{},
		Route{Path: "/surface", Handler: boom},
		Route{Path: "/other", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("boom")) })},
		Route{Path: "/fine", Handler: fails(nil)},
	)
	h.ask(t, "POST", "/surface", strings.NewReader("{}"), jsonBody).is(t, "in a surface", 500, `{"code":"internal","error":"","path":"/surface"}`)
	h.ask(t, "GET", "/other", nil).is(t, "elsewhere", 500, `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}`)
	h.ask(t, "GET", "/fine", nil).is(t, "afterwards", 200, "")
	for i, line := range h.log.lines(t, 3)[:2] {
		cause, _ := line["cause"].(string)
		stack, _ := line["stack"].(string)
		if !strings.HasPrefix(cause, "panic: boom") || line["level"] != "ERROR" || !strings.Contains(stack, "fault_test.go") || strings.ContainsAny(cause+stack, "\n\x1b") {
			t.Errorf("line %d: %v", i, line)
		}
	}
}

func TestMiddleware_PanicInAnAnswerCutsIt(t *testing.T) {
	half := func(v any) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(v)
		})
	}
	h := open(t, Options{}, Route{Path: "/panic", Handler: half("boom")}, Route{Path: "/abort", Handler: half(http.ErrAbortHandler)})
	for _, path := range []string{"/panic", "/abort"} {
		response, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != "half" || err == nil {
			t.Errorf("%s: %q %v", path, body, err)
		}
	}
	lines := h.log.lines(t, 2)
	if lines[0]["cause"] != "panic: boom" || lines[1]["cause"] != nil || lines[1]["code"] != "aborted" {
		t.Errorf("%v", lines)
	}
}

func TestEndpoint_UnmarshalableAnswer(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/", Handler: Endpoint[None, float64]{Body: BodyUnread, Encode: shape, CacheControl: "max-age=60",
		Run: func(context.Context, *Request, None) (float64, error) { return math.NaN(), nil }}})
	h.ask(t, "GET", "/", nil).is(t, "NaN", 500, `{"code":"internal","error":"","path":"/"}`)
	broken := fails(errors.New("x"))
	broken.Encode = func(Problem) (int, any) { return 400, math.NaN() }
	h = open(t, Options{}, Route{Path: "/", Handler: broken})
	h.ask(t, "GET", "/", nil).is(t, "in an error", 500, "")
}

func TestMiddleware_Deadline(t *testing.T) {
	for what, late := range map[string]func(context.Context) error{
		"its own":    func(ctx context.Context) error { return ctx.Err() },
		"a driver's": func(context.Context) error { return errors.New("interrupted (9)") },
		"not at all": func(context.Context) error { return nil },
	} {
		h := open(t, Options{Timeout: 20 * time.Millisecond}, Route{Path: "/", Handler: Endpoint[None, None]{Body: BodyUnread, Encode: shape,
			Run: func(ctx context.Context, _ *Request, _ None) (None, error) {
				child, cancel := context.WithCancel(ctx) // a child sees the end too
				defer cancel()
				<-child.Done()
				return None{}, late(ctx)
			}}})
		a := h.ask(t, "GET", "/", nil)
		if what == "not at all" {
			a.is(t, what, 200, "")
			continue
		}
		a.is(t, what, 503, `{"code":"unavailable","error":"","path":"/"}`)
		if a.Header.Get("Retry-After") != "1" || h.log.lines(t, 1)[0]["level"] != "WARN" {
			t.Errorf("%s: %v %s", what, a.Header, h.log)
		}
	}
	var deadline time.Time
	h := open(t, Options{}, Route{Path: "/", Handler: shows(func(r *Request) string { deadline, _ = r.Context().Deadline(); return "" })})
	h.ask(t, "GET", "/", nil)
	if left := time.Until(deadline); left < 25*time.Second || left > 30*time.Second {
		t.Errorf("the default leaves %v", left)
	}
}

func TestMiddleware_ClientGone(t *testing.T) {
	started := make(chan struct{})
	h := open(t, Options{}, Route{Path: "/slow", Handler: Endpoint[None, None]{Body: BodyIgnored, Encode: shape,
		Run: func(ctx context.Context, _ *Request, _ None) (None, error) {
			close(started)
			<-ctx.Done()
			return None{}, errors.New("interrupted (9)")
		}}}, Route{Path: "/login", Handler: greet(BodyJSON)})
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	conn.Close()
	line := h.log.lines(t, 1)[0]
	if line["code"] != "client_gone" || line["level"] != "INFO" {
		t.Errorf("in the function: %v", line)
	}
	// Half a body, then nothing more.
	conn, err = net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"username\":")
	conn.Close()
	line = h.log.lines(t, 2)[1]
	if line["level"] != "INFO" || line["code"] != "invalid_input" && line["code"] != "client_gone" {
		t.Errorf("in the body: %v", line)
	}
}

func TestEndpoint_WithoutMiddleware(t *testing.T) {
	panics := fails(nil)
	panics.Run = func(context.Context, *Request, None) (None, error) { panic("x") }
	for what, handler := range map[string]http.Handler{"200": fails(nil), "500": panics, "503": fails(context.Canceled)} {
		server := &http.Server{Handler: handler}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(listener) }()
		defer server.Close()
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if !strings.HasPrefix(response.Status, what) {
			t.Errorf("%s: %s", what, response.Status)
		}
	}
}
