// Package acmetest runs a CA that speaks ACME for tests: pebble, with a name server of its
// own under which every name is this machine. It really validates. scripts/test.sh installs
// both programs; without them a test is skipped, unless TEST_PEERS=1 says that they
// must be there.
package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

// CA is a CA that can be started and stopped.
type CA struct {
	Directory string         // its URL
	RootFile  string         // what its own certificate is checked by
	Roots     *x509.CertPool // the same

	dir, management, names string
	processes              []*exec.Cmd
	log                    processtest.Log
}

// Options are what a CA is told.
type Options struct {
	TLSPort, HTTPPort int           // where it validates
	Life              time.Duration // of certificates; default 90 days
	OCSP              string        // where certificates say that their state is told
}

// New prepares a CA that does not run yet.
func New(t testing.TB, o Options) *CA {
	t.Helper()
	for _, name := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("TEST_PEERS") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	ca := &CA{dir: t.TempDir(), management: FreeAddress(t), names: FreeAddress(t)}
	listen := FreeAddress(t)
	ca.Directory = "https://" + listen + "/dir"
	ca.RootFile = filepath.Join(ca.dir, "root.pem")
	ca.Roots = writeCertificate(t, ca.dir)
	if o.Life == 0 {
		o.Life = 90 * 24 * time.Hour
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": ca.management,
		"certificate": ca.RootFile, "privateKey": filepath.Join(ca.dir, "key.pem"),
		"httpPort": o.HTTPPort, "tlsPort": o.TLSPort, "keyAlgorithm": "ecdsa",
		"ocspResponderURL": o.OCSP, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "default", "validityPeriod": int(o.Life / time.Second)}},
	}})
	if err == nil {
		err = os.WriteFile(filepath.Join(ca.dir, "pebble.json"), config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ca.Stop()
		if t.Failed() {
			t.Logf("the CA says:\n%s", ca.log.String())
		}
	})
	return ca
}

// Start starts the CA, which then has neither accounts nor certificates, and waits until it answers.
func (ca *CA) Start(t testing.TB) {
	t.Helper()
	ca.run(t, "pebble-challtestsrv", "-dnsserver", ca.names, "-management", FreeAddress(t), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	ca.run(t, "pebble", "-config", filepath.Join(ca.dir, "pebble.json"), "-dnsserver", ca.names)
	client := ca.client()
	defer client.CloseIdleConnections()
	for range 1000 {
		if response, err := client.Get(ca.Directory); err == nil {
			_ = response.Body.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the CA does not answer:\n%s", ca.log.String())
}

func (ca *CA) run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	// It sleeps for up to 15 s before it validates, unless told otherwise.
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_VA_ALWAYS_VALID=0", "PEBBLE_AUTHZREUSE=0")
	cmd.Stdout, cmd.Stderr = &ca.log, &ca.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ca.processes = append(ca.processes, cmd)
}

// Stop ends the CA.
func (ca *CA) Stop() {
	for _, cmd := range ca.processes {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	ca.processes = nil
}

func (ca *CA) client() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Roots}}}
}

// Issuer is the pool of the root that signs what the CA issues: another one at each start.
func (ca *CA) Issuer(t testing.TB) *x509.CertPool {
	t.Helper()
	client := ca.client()
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + ca.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal("no root", err)
	}
	return pool
}

// Issued is how many certificates the CA has issued since New.
func (ca *CA) Issued() int { return strings.Count(ca.log.String(), "Issued certificate serial") }

// FreeAddress is one of this machine where nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writeCertificate makes the CA's own certificate, for 127.0.0.1.
func writeCertificate(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"root.pem": certPEM, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certPEM) {
		t.Fatal(fmt.Errorf("no certificate in %s", certPEM))
	}
	return pool
}
