package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, text := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

func TestServer_TLS(t *testing.T) {
	certFile, keyFile, pool := certificate(t)
	var log journal
	server, err := Server(ServerConfig{Handler: greet(BodyEmpty), Log: slog.New(slog.NewJSONHandler(&log, nil)), CertFile: certFile, KeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer server.Close()
	addr := listener.Addr().String()
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
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
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(log.String(), "TLS handshake error") && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if !strings.Contains(log.String(), `"level":"WARN"`) {
		t.Errorf("the server's own log: %s", log.String())
	}
}

func TestServer_Limits(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s, err := Server(ServerConfig{Addr: "127.0.0.1:1", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr != "127.0.0.1:1" || s.ReadHeaderTimeout != 10*time.Second || s.ReadTimeout != 20*time.Second || s.WriteTimeout != 60*time.Second || s.IdleTimeout != 120*time.Second || s.MaxHeaderBytes != 32<<10 || s.TLSConfig != nil {
		t.Errorf("%+v", s)
	}
	certFile, keyFile, _ := certificate(t)
	for _, c := range []ServerConfig{{CertFile: certFile}, {KeyFile: keyFile}, {CertFile: keyFile, KeyFile: certFile}, {CertFile: "missing", KeyFile: keyFile}} {
		c.Log = log
		if _, err := Server(c); err == nil || !strings.Contains(err.Error(), "TLS certificate") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

type silent struct{ h http.Header }

func (s silent) Header() http.Header       { return s.h }
func (silent) Write(b []byte) (int, error) { return len(b), nil }
func (silent) WriteHeader(int)             {}

// BenchmarkEndpoint is everything of ours on the path of a request, without net/http.
func BenchmarkEndpoint(b *testing.B) {
	mux, err := NewMux([]Route{{Path: "/login", Handler: greet(BodyJSON)}})
	if err != nil {
		b.Fatal(err)
	}
	handler := Middleware(slog.New(slog.NewTextHandler(io.Discard, nil)), mux, Options{})
	r := httptest.NewRequest("POST", "/login", nil)
	r.Header.Set("Content-Type", "application/json")
	const text = `{"username":"somebody@example.com","password":"correct horse battery staple"}`
	reader := strings.NewReader(text)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(text))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(text)
		handler.ServeHTTP(silent{http.Header{}}, r)
	}
}
