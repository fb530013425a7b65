package web

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate is one for 127.0.0.1 that its own key has signed.
func certificate(t *testing.T, key crypto.Signer) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// secure is a server that speaks TLS with a certificate for that key.
func secure(t *testing.T, handler http.Handler, key crypto.Signer) (addr string, pool *x509.CertPool, log *journal) {
	t.Helper()
	pair, pool := certificate(t, key)
	log = new(journal)
	server := Server(ServerConfig{
		Handler: handler, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		TLS: TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), pool, log
}

func TestTLS_Versions(t *testing.T) {
	addr, pool, _ := secure(t, greet(BodyEmpty), ecKey(t))
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// Each suite of TLS 1.2 that Go can speak is offered alone: only those with authenticated
// encryption and forward secrecy are taken.
func TestTLS_Suites(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, key := range []crypto.Signer{ecKey(t), rsaKey} {
		addr, pool, _ := secure(t, greet(BodyEmpty), key)
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
				continue
			}
			conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
			if err == nil {
				taken[suite.Name] = true
				conn.Close()
			}
		}
	}
	if len(taken) != 6 {
		t.Errorf("taken: %v", taken)
	}
	for name := range taken {
		if !strings.HasPrefix(name, "TLS_ECDHE_") || !strings.Contains(name, "_GCM_") && !strings.Contains(name, "_CHACHA20_POLY1305_") {
			t.Errorf("%s is taken", name)
		}
	}
}

// What OpenSSL can still speak, beside what Go can: the same holds.
func TestTLS_OpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := secure(t, greet(BodyEmpty), rsaKey)
	for _, c := range []struct {
		args string
		ok   bool
	}{
		{"-tls1", false},
		{"-tls1_1", false},
		{"-tls1_2", true},
		{"-tls1_3", true},
		{"-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", true},
		{"-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", true},
		{"-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", false}, // CBC
		{"-tls1_2 -cipher ECDHE-RSA-AES256-SHA", false},
		{"-tls1_2 -cipher AES128-GCM-SHA256", false}, // no forward secrecy
		{"-tls1_2 -cipher AES256-SHA", false},
		{"-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", false},
		{"-tls1_2 -cipher aNULL", false},
		{"-tls1_2 -cipher RC4", false},
		{"-tls1_2 -cipher 3DES", false},
	} {
		args := append([]string{"s_client", "-connect", addr}, strings.Fields(strings.Replace(c.args, "-cipher ", "-cipher @SECLEVEL=0:", 1))...)
		if strings.HasPrefix(c.args, "-tls1 ") || c.args == "-tls1" || c.args == "-tls1_1" {
			args = append(args, "-cipher", "ALL:@SECLEVEL=0") // OpenSSL itself refuses them otherwise
		}
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Stdin = strings.NewReader("")
		out, err := cmd.CombinedOutput()
		agreed := err == nil && !bytes.Contains(out, []byte("Cipher is (NONE)"))
		if agreed != c.ok {
			t.Errorf("openssl s_client %s: %v: %s", c.args, err, out)
		}
	}
}

func TestTLS_HTTP2(t *testing.T) {
	addr, pool, _ := secure(t, greet(BodyEmpty), ecKey(t))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	response, err := client.Post("https://"+addr, "application/json", strings.NewReader(`{"username":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.ProtoMajor != 2 || string(body) != `{"message":"<a>","token":null}` {
		t.Errorf("%s %s", response.Proto, body)
	}
}

// What a peer does to a handshake is no fault of the server's, and what a scanner does is no news.
func TestTLS_FaultsOfPeers(t *testing.T) {
	addr, pool, log := secure(t, greet(BodyEmpty), ecKey(t))
	if _, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Fatal("an old client is served")
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	for _, want := range []string{`"level":"INFO","msg":"http: TLS handshake error`, `"level":"DEBUG","msg":"http: TLS handshake error`} {
		for range 500 {
			if strings.Contains(log.String(), want) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("not logged: %s\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "WARN") {
		t.Error(log.String())
	}
}

// Only over TLS, and on every answer: whatever it says.
func TestTLS_HSTS(t *testing.T) {
	mux, err := NewMux([]Route{{Path: "/login", Handler: greet(BodyJSON)}})
	if err != nil {
		t.Fatal(err)
	}
	const year = "max-age=31536000; includeSubDomains"
	for age, want := range map[time.Duration]string{365 * 24 * time.Hour: year, 0: ""} {
		handler := Middleware(slog.New(slog.DiscardHandler), mux, Options{HSTS: age})
		addr, pool, _ := secure(t, handler, ecKey(t))
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		for _, path := range []string{"/login", "/nowhere"} {
			response, err := client.Post("https://"+addr+path, "application/json", strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := response.Header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("%s, for %s: %q, want %q", path, age, got, want)
			}
		}
	}
	h := open(t, Options{HSTS: time.Hour}, Route{Path: "/login", Handler: greet(BodyJSON)})
	response, err := http.Get(h.url + "/login")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.Header.Get("Strict-Transport-Security") != "" {
		t.Error("sent in the clear")
	}
}
