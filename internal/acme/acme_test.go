package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/acme/acmetest"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/web"
)

const name = "login.example.com"

// node is a server that gets its certificates by ACME.
type node struct {
	addr string
	log  *journal
	ends func() map[string]time.Time
	stop func()
}

type journal struct {
	mu   sync.Mutex
	text strings.Builder
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

// listenAt listens at an address, or at a free one.
func listenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func port(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startNode runs a server at two addresses, the second for plain HTTP if there is one.
func startNode(t *testing.T, o Options, secure, plain string) *node {
	t.Helper()
	n := &node{addr: secure, log: new(journal)}
	o.Log = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.Domains == nil {
		o.Domains = []string{name}
	}
	o.HTTP = plain != ""
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.ends = m.Ends
	config := web.TLSConfig(nil)
	m.Serve(config)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secure") })
	servers := []*http.Server{web.Server(web.ServerConfig{Handler: answer, Log: o.Log, TLS: config})}
	if o.HTTP {
		servers = append(servers, web.Server(web.ServerConfig{Handler: web.Plain(o.Log, m.ServeChallenge, web.Options{}), Log: o.Log}))
		l := listenAt(t, plain)
		go func() { _ = servers[1].Serve(l) }()
	}
	l := listenAt(t, secure)
	go func() { _ = servers[0].ServeTLS(l, "", "") }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		for _, s := range servers {
			_ = s.Close()
		}
	})
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("the server says:\n%s", n.log.String())
		}
		if strings.Contains(n.log.String(), "PRIVATE KEY") {
			t.Error("the log has a private key")
		}
	})
	return n
}

// shown is the certificate that a client of a name is shown.
func (n *node) shown(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", n.addr, &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// await waits for something to be so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for until := time.Now().Add(60 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not in a minute:", what)
		}
	}
}

// secured waits until a name has a certificate of the CA.
func (n *node) secured(t *testing.T, name string, roots *x509.CertPool) (cert *x509.Certificate) {
	t.Helper()
	await(t, name+" has a certificate", func() (ok bool) {
		var err error
		cert, err = n.shown(name, roots)
		return err == nil
	})
	return cert
}

func (n *node) says(t *testing.T, text string) {
	t.Helper()
	await(t, "the log says "+text, func() bool { return strings.Contains(n.log.String(), text) })
}

func options(ca *acmetest.CA, db Store, master seal.Key) Options {
	return Options{Directory: ca.Directory, Roots: ca.Roots, Store: db, Master: master}
}

// One server gets the certificates of two names by TLS-ALPN-01; another one on the same
// database, and the first one started again, have them at once.
func TestACME_TLSALPN(t *testing.T) {
	secure := acmetest.FreeAddress(t)
	ocsp := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("asked for a certificate's state:", r.URL) }))
	defer ocsp.Close()
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, secure), HTTPPort: port(t, acmetest.FreeAddress(t)), OCSP: ocsp.URL})
	ca.Start(t)
	db, _ := database(t)
	master := seal.New()
	o := options(ca, db, master)
	o.Domains, o.Email = []string{name, "Auth.Example.com"}, "ops@example.com"
	first := startNode(t, o, secure, "")
	roots := ca.Issuer(t)
	cert := first.secured(t, name, roots)
	first.secured(t, "auth.example.com", roots)
	first.secured(t, "AUTH.example.com", roots)
	first.says(t, `msg="certificate got from the CA" name=login.example.com renewal=false`)
	first.says(t, `msg="certificate in use" name=login.example.com not_after=`)
	if n := ca.Issued(); n != 2 {
		t.Errorf("%d certificates issued for two names", n)
	}

	if got, err := first.shown("", nil); err != nil || got.DNSNames[0] != name {
		t.Errorf("a client that names none: %v", err)
	}
	for _, other := range []string{"other.example.com", "login.example.com.evil.example", "x." + name} {
		if _, err := first.shown(other, nil); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", other, err)
		}
	}
	for _, who := range []string{name, "other.example.com"} { // there is no challenge now
		conn, err := tls.Dial("tcp", secure, &tls.Config{ServerName: who, NextProtos: []string{protocol}, InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			t.Errorf("%s is validated without a challenge", who)
		}
	}

	second := startNode(t, o, acmetest.FreeAddress(t), "")
	if got := second.secured(t, name, roots); !got.Equal(cert) {
		t.Error("another server has a certificate of its own")
	}
	first.stop()
	ca.Stop()
	again := startNode(t, o, secure, "")
	if got := again.secured(t, name, roots); !got.Equal(cert) {
		t.Error("a certificate was lost in a restart")
	}
	if n := ca.Issued(); n != 2 {
		t.Errorf("%d certificates issued", n)
	}
}

// Of two servers that start at once, one gets the certificate, and the CA is answered by
// the one that it reaches.
func TestThreat70_TwoStartAndGetOneCertificate(t *testing.T) {
	secure := acmetest.FreeAddress(t)
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, secure), HTTPPort: port(t, acmetest.FreeAddress(t))})
	ca.Start(t)
	db, _ := database(t)
	o := options(ca, db, seal.New())
	unreached := startNode(t, o, acmetest.FreeAddress(t), "") // the first, which most likely asks
	reached := startNode(t, o, secure, "")
	roots := ca.Issuer(t)
	if a, b := reached.secured(t, name, roots), unreached.secured(t, name, roots); !a.Equal(b) {
		t.Error("each has its own")
	}
	if n := ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
}

// Where the CA reaches port 80 alone, it is HTTP-01.
func TestACME_HTTP(t *testing.T) {
	secure, plain := acmetest.FreeAddress(t), acmetest.FreeAddress(t)
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, acmetest.FreeAddress(t)), HTTPPort: port(t, plain)})
	ca.Start(t)
	db, _ := database(t)
	n := startNode(t, options(ca, db, seal.New()), secure, plain)
	n.secured(t, name, ca.Issuer(t))
	for _, host := range []string{name, "other.example.com"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+plain+"/.well-known/acme-challenge/abc", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("a challenge that nobody set, at %s: %d", host, response.StatusCode)
		}
	}
}

// Certificates of a few seconds are renewed while clients come, of whom none fails; the
// other server on the database takes them over.
func TestACME_Renews(t *testing.T) {
	secure := acmetest.FreeAddress(t)
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, secure), HTTPPort: port(t, acmetest.FreeAddress(t)), Life: 30 * time.Second})
	ca.Start(t)
	db, _ := database(t)
	o := options(ca, db, seal.New())
	o.Check = time.Second
	n := startNode(t, o, secure, "")
	roots := ca.Issuer(t)
	first := n.secured(t, name, roots)
	if ends := n.ends(); len(ends) != 1 || ends[name].Before(first.NotAfter) {
		t.Errorf("%v, and not %v", ends, first.NotAfter)
	}
	other := startNode(t, o, acmetest.FreeAddress(t), "")
	other.secured(t, name, roots)
	await(t, "the certificate is renewed", func() bool {
		got, err := n.shown(name, roots)
		if err != nil {
			t.Fatal("a client fails:", err)
		}
		return !got.Equal(first)
	})
	await(t, "the other server has the new one", func() bool {
		got, err := other.shown(name, roots)
		return err == nil && !got.Equal(first)
	})
	await(t, "a renewal is logged", func() bool {
		return strings.Contains(n.log.String()+other.log.String(), `msg="certificate got from the CA" name=login.example.com renewal=true`)
	})
}

// Without the CA nothing is served in another way, what is wrong is said, and the
// certificate comes once the CA is there.
func TestACME_CADown(t *testing.T) {
	secure := acmetest.FreeAddress(t)
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, secure), HTTPPort: port(t, acmetest.FreeAddress(t))})
	db, _ := database(t)
	n := startNode(t, options(ca, db, seal.New()), secure, "")
	n.says(t, `level=ERROR msg="there is no certificate for a name, and its clients are turned away until there is: see that this machine reaches the CA`)
	if _, err := n.shown(name, nil); err == nil {
		t.Error("a client is served without a certificate")
	}
	ca.Start(t)
	n.secured(t, name, ca.Issuer(t))
}

// A CA that does not reach the server says so, and is not asked again too soon.
func TestACME_Refused(t *testing.T) {
	ca := acmetest.New(t, acmetest.Options{TLSPort: port(t, acmetest.FreeAddress(t)), HTTPPort: port(t, acmetest.FreeAddress(t))})
	ca.Start(t)
	db, _ := database(t)
	n := startNode(t, options(ca, db, seal.New()), acmetest.FreeAddress(t), "")
	n.says(t, `turned away until there is: see what the CA says, that the name leads to this server, and that the CA reaches it at port 443`)
	if log := n.log.String(); !strings.Contains(log, "again_in=15m0s") || strings.Count(log, "level=ERROR") != 1 {
		t.Error("it is tried again too soon, or more than one line is an error")
	}
}

// TestMain sees that certmagic writes nothing where it does when nobody tells it where.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	for _, variable := range []string{"HOME", "XDG_DATA_HOME"} {
		_ = os.Setenv(variable, filepath.Join(home, variable))
	}
	status := m.Run()
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		println("written outside of the database:", left[0].Name())
		status = 1
	}
	_ = os.RemoveAll(home)
	os.Exit(status)
}

// certmagic listens by itself where it finds nobody; it must find the decoy.
func TestACME_ListensNowhereElse(t *testing.T) {
	db, _ := database(t)
	m, err := New(Options{Domains: []string{name}, HTTP: true, Store: db, Master: seal.New(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer m.Run(ctx)
	for _, p := range []int{m.acme.AltHTTPPort, m.acme.AltTLSALPNPort} {
		conn, err := net.Dial("tcp", net.JoinHostPort(m.acme.ListenHost, strconv.Itoa(p)))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}
