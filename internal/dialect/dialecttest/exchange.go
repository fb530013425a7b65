package dialecttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Request is a request as a test writes it.
type Request struct {
	Method string // "" is POST
	Path   string
	Host   string
	Header http.Header
	Body   string
}

// JSON makes a POST of a JSON body.
func JSON(path, body string) Request {
	return Request{Path: path, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

// With returns the request with another value of a header added.
func (r Request) With(name, value string) Request {
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Add(name, value)
	return r
}

// Without returns the request without a header.
func (r Request) Without(name string) Request {
	r.Header = r.Header.Clone()
	r.Header.Del(name)
	return r
}

// WithBody returns the request with another body.
func (r Request) WithBody(body string) Request {
	r.Body = body
	return r
}

// Basic is the base64 of a username and a password (RFC 7617).
func Basic(username, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
}

// Answer is an answer that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Text is a member of the JSON body; "a.b" is a member of a member. Without it the test fails.
func (a Answer) Text(t testing.TB, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("%d %q: %v", a.Status, a.Body, err)
	}
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%d %q has no text %s", a.Status, a.Body, path)
	}
	return s
}

// Is checks the status.
func (a Answer) Is(t testing.TB, what string, status int) {
	t.Helper()
	if a.Status != status {
		t.Errorf("%s: %d %s, want %d", what, a.Status, a.Body, status)
	}
}

var client = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Send sends a request, and checks what must be true of every answer.
func (h *House) Send(t testing.TB, r Request) Answer {
	t.Helper()
	a, err := h.send(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.check(r); err != nil {
		t.Errorf("%s %s: %d %s: %v", r.Method, r.Path, a.Status, a.Body, err)
	}
	return a
}

func (h *House) send(r Request) (Answer, error) {
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	request, err := http.NewRequest(r.Method, h.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	request.Host = r.Host
	for name, values := range r.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, err
}

// check is what holds for every answer: it is never stored, it is JSON exactly if there
// is a body, and it sets no cookie.
func (a Answer) check(r Request) error {
	h := a.Header
	if !slices.Equal(h["Cache-Control"], []string{"no-store"}) {
		return fmt.Errorf("Cache-Control is %q", h["Cache-Control"])
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || (h.Get("X-Request-Id") == "") != (a.Status < 500) {
		return fmt.Errorf("headers %v", h)
	}
	for _, name := range []string{"Set-Cookie", "Www-Authenticate", "Server", "Location", "Access-Control-Allow-Credentials"} {
		if h.Get(name) != "" {
			return fmt.Errorf("%s: %s", name, h.Get(name))
		}
	}
	if (h.Get("Retry-After") != "") != (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) {
		return fmt.Errorf("Retry-After is %q", h.Get("Retry-After"))
	}
	if (h.Get("Allow") != "") != (a.Status == http.StatusMethodNotAllowed) {
		return fmt.Errorf("the header Allow is %q", h.Get("Allow"))
	}
	if r.Method == http.MethodHead || a.Status == http.StatusNotFound {
		return nil
	}
	if a.Body == "" {
		if h.Get("Content-Type") != "" {
			return fmt.Errorf("an empty body of type %s", h.Get("Content-Type"))
		}
		return nil
	}
	if h.Get("Content-Type") != "application/json" || !json.Valid([]byte(a.Body)) || strings.TrimSpace(a.Body) != a.Body {
		return fmt.Errorf("a body of type %q", h.Get("Content-Type"))
	}
	return nil
}

// Members checks that a body is one JSON object with exactly these members, in this order.
func Members(body string, names ...string) error {
	d := json.NewDecoder(strings.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("%q is no JSON object", body)
	}
	var got []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		got = append(got, fmt.Sprint(name))
	}
	if !slices.Equal(got, names) {
		return fmt.Errorf("%q has the members %q, want %q", body, got, names)
	}
	return nil
}
