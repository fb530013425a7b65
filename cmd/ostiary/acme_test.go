package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/acme/acmetest"
)

// acmeServer starts a server that gets the certificate of login.example.com from a CA. Its
// home is a directory of its own.
func acmeServer(t *testing.T, ca *acmetest.CA, data, home, listen string, more ...string) *process {
	t.Helper()
	env := append(os.Environ(), "HOME="+home, "XDG_DATA_HOME=", "GORACE="+quickExit)
	args := append([]string{"--data", data, "--listen", listen, "--log-level", "debug", "--acme-domain", "login.example.com",
		"--acme-email", "ops@example.com", "--acme-directory", ca.Directory, "--acme-root", ca.RootFile}, more...)
	p, err := launch(context.Background(), t.TempDir(), env, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.Done:
		default:
			p.Kill()
		}
	})
	return p
}

// trusted waits until a server shows a certificate of the CA for login.example.com.
func trusted(t *testing.T, p *process, roots *x509.CertPool) []byte {
	t.Helper()
	var err error
	for until := time.Now().Add(60 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		var got []byte
		if got, err = handshake(strings.TrimPrefix(p.url, "https://"), &tls.Config{RootCAs: roots, ServerName: "login.example.com"}); err == nil {
			return got
		}
	}
	t.Fatalf("no certificate in a minute: %v\n%s", err, p.err.String())
	return nil
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A server that is started while the CA is down says so, and gets its certificate once the
// CA is there. It has it still after a restart, and so has another server on the store,
// without asking again. All of it is in the database, and none of it to be read there.
func TestACME_Server(t *testing.T) {
	listen, plain := acmetest.FreeAddress(t), acmetest.FreeAddress(t)
	ca := acmetest.New(t, acmetest.Options{TLSPort: portOf(t, listen), HTTPPort: portOf(t, plain)})
	data, home := filepath.Join(t.TempDir(), "data"), t.TempDir()
	p := acmeServer(t, ca, data, home, listen, "--http-listen", plain)
	p.waitFor(t, `level=ERROR msg="there is no certificate for a name, and its clients are turned away until there is: see that this machine reaches the CA`)
	if _, err := handshake(listen, &tls.Config{InsecureSkipVerify: true, ServerName: "login.example.com"}); err == nil {
		t.Error("a client is served without a certificate")
	}
	doctor := []string{"doctor", "--data", data, "--listen", listen, "--acme-domain", "login.example.com"}
	if out, _, status := command(t, "", doctor...); status != 1 || !strings.Contains(out, "has no certificate yet") {
		t.Errorf("%d %s", status, out)
	}
	ca.Start(t)
	roots := ca.Issuer(t)
	cert := trusted(t, p, roots)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `msg="configuration reloaded"`)

	second := acmeServer(t, ca, data, home, "127.0.0.1:0")
	if got := trusted(t, second, roots); !bytes.Equal(got, cert) {
		t.Error("another server on the store has a certificate of its own")
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	ca.Stop()
	again := acmeServer(t, ca, data, home, listen)
	if got := trusted(t, again, roots); !bytes.Equal(got, cert) {
		t.Error("the certificate was lost in a restart")
	}
	if n := ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
	if out := must(t, "", doctor...); !strings.Contains(out, "TLS with certificates by ACME; an Ostiary answers there now") {
		t.Error(out)
	}

	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("written outside of the database: %v, %v", left, err)
	}
	files, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(data, f.Name()))
		if err != nil || bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte("BEGIN CERTIFICATE")) {
			t.Errorf("%s can be read: %v", f.Name(), err)
		}
		if !strings.HasPrefix(f.Name(), "ostiary.db") && f.Name() != "master.key" {
			t.Errorf("%s is new in the data directory", f.Name())
		}
	}
	for _, p := range []*process{p, second, again} {
		if text := p.err.String(); strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "panic") {
			t.Errorf("in the log:\n%s", text)
		}
	}
}
