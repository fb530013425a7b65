package proxytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

const password = "correct horse battery"

// house is a server with accounts, an upstream, and the three proxies between them.
type house struct {
	binary, data string
	ostiary      process
	address      string
	upstream     *upstream
	proxies      []*proxy
}

var (
	opened sync.Once
	shared *house
)

// open gives the one house of all tests.
func open(t *testing.T) *house {
	t.Helper()
	for name := range settings {
		tool(t, name)
	}
	opened.Do(func() { shared = newHouse(t) })
	if shared == nil {
		t.Fatal("the proxies did not start")
	}
	shared.upstream.take()
	return shared
}

func newHouse(t *testing.T) *house {
	dir, err := os.MkdirTemp("", "proxytest")
	if err != nil {
		t.Fatal(err)
	}
	cleanups = append(cleanups, func() { _ = os.RemoveAll(dir) })
	h := &house{binary: processtest.Binary(t), data: filepath.Join(dir, "data"), upstream: newUpstream()}
	h.ostiary, h.address = h.serve(t)
	h.command(t, password, "account", "create", "--username", "ada", "--email", "ada@example.com", "--org", "Bücher, 100%", "--password-stdin")
	h.command(t, password, "account", "create", "--username", "nobody", "--password-stdin")
	h.command(t, "", "role", "create", "admin")
	h.command(t, "", "datasource", "create", "sales")
	h.command(t, "", "role", "grant", "admin", "--datasource", "sales")
	boss := []string{"account", "create", "--username", "boss", "--password-stdin", "--role", "admin"}
	for i := range 20 { // more than a header holds
		role := fmt.Sprintf("role-%02d-%s", i, strings.Repeat("x", 56))
		h.command(t, "", "role", "create", role)
		boss = append(boss, "--role", role)
	}
	h.command(t, password, boss...)
	for _, name := range []string{"nginx", "caddy", "haproxy"} {
		h.proxies = append(h.proxies, startProxy(t, name, h.address, h.upstream.address))
	}
	return h
}

// serve starts a server, which answers proxies alone.
func (h *house) serve(t *testing.T) (process, string) {
	t.Helper()
	address := processtest.FreeAddress(t)
	p := launch(t, filepath.Dir(h.data), h.binary, "serve", "--data", h.data, "--listen", address,
		"--trusted-proxy", "127.0.0.1/32", "--guess-source", "0")
	cleanups = append(cleanups, p.stop)
	p.await(t, func() error {
		resp, err := http.Get("http://" + address + "/ostiary/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	return p, address
}

func (h *house) command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.binary, append(args, "--data", h.data)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// each runs a test with every proxy.
func (h *house) each(t *testing.T, run func(*testing.T, *proxy)) {
	for _, p := range h.proxies {
		t.Run(p.name, func(t *testing.T) {
			h.upstream.take()
			run(t, p)
			if t.Failed() {
				t.Logf("the log of %s ends:\n%s", p.name, p.Log.Tail())
			}
		})
	}
}

// seen is a request as an upstream got it.
type seen struct {
	Method, URI string
	Header      http.Header
	Trailer     http.Header
	CGI         map[string]string // as CGI, WSGI and PHP show headers
	Body        string
}

// upstream answers every request with what it was.
type upstream struct {
	address string
	mu      sync.Mutex
	all     []seen
}

var otherThanWord = regexp.MustCompile(`[^A-Z0-9]`)

func newUpstream() *upstream {
	u := &upstream{}
	server := httptest.NewServer(u)
	cleanups = append(cleanups, server.Close)
	u.address = strings.TrimPrefix(server.URL, "http://")
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s := seen{Method: r.Method, URI: r.RequestURI, Header: r.Header, Trailer: r.Trailer, CGI: map[string]string{}, Body: string(body)}
	for name, values := range r.Header {
		s.CGI[otherThanWord.ReplaceAllString(strings.ToUpper(name), "_")] += strings.Join(values, ",")
	}
	u.mu.Lock()
	u.all = append(u.all, s)
	u.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s)
}

// take gives the requests since it was asked last.
func (u *upstream) take() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.all
	u.all = nil
	return all
}

// worst is the path that the most forgiving of upstreams could take a URI for: decoded as often as it can be, without
// parameters and empty segments, with dots resolved.
func worst(uri string) string {
	if i := strings.Index(uri, "://"); i >= 0 && !strings.HasPrefix(uri, "/") {
		_, uri, _ = strings.Cut(uri[i+3:], "/")
		uri = "/" + uri
	}
	uri, _, _ = strings.Cut(uri, "?")
	for range 4 {
		decoded, err := url.PathUnescape(uri)
		if err != nil {
			break
		}
		uri = decoded
	}
	uri = strings.ReplaceAll(uri, `\`, "/")
	segments := strings.Split(uri, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.ToLower(path.Clean("/" + strings.Join(segments, "/")))
}

func isOpen(uri string) bool { return strings.HasPrefix(worst(uri)+"/", "/public/") }

// answer is what a client got, but for the body.
type answer struct {
	Status                 string
	StatusCode, ProtoMajor int
	Header                 http.Header
}

// ask sends a request by a client that may have headers of any spelling.
func ask(t *testing.T, client *http.Client, method, place, body string, header http.Header) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+site+place, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, place, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.Status, resp.StatusCode, resp.ProtoMajor, resp.Header}, string(text)
}

// signIn signs in at the four dialects, through the proxy, and gives the headers of later requests.
func (p *proxy) signIn(t *testing.T, name string) map[string]http.Header {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
	post := func(place, authorization, body string, into any) {
		t.Helper()
		h := http.Header{"Content-Type": {"application/json"}}
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		resp, text := ask(t, p.http, http.MethodPost, place, body, h)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s\n%s", place, resp.Status, text, p.Log.Tail())
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	var cloudio struct{ JWT, CSRF string }
	post("/v1/auth", "Token "+basic, "{}", &cloudio)
	var ticket struct{ Token string }
	post("/user/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, name, password), &ticket)
	var mikrocloud struct {
		AuthToken string `json:"auth_token"`
	}
	post("/user/passport", "", fmt.Sprintf(`{"totp":null,"token":%q}`, ticket.Token), &mikrocloud)
	var nomic struct{ Token string }
	post("/api/auth/token", "Basic "+basic, "", &nomic)
	var senmo struct{ Tokens struct{ AccessToken string } }
	post("/v1/auth", "", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), &senmo)
	return map[string]http.Header{
		"cloudio":    {"Authorization": {cloudio.JWT}, "X-Csrf-Token": {cloudio.CSRF}},
		"mikrocloud": {"Authorization": {"Bearer " + mikrocloud.AuthToken}},
		"nomic":      {"Authorization": {"Bearer " + nomic.Token}},
		"senmo":      {"Authorization": {"Bearer " + senmo.Tokens.AccessToken}},
	}
}

// whoami is what the server itself says of a credential.
func (h *house) whoami(t *testing.T, header http.Header) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.address+"/ostiary/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	who := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&who); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, who, err)
	}
	return who
}
