package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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

// diagnose runs the doctor, and sees that each finding that is not right says what to do.
func diagnose(t *testing.T, args ...string) (found []finding, status int) {
	t.Helper()
	out, errOut, status := command(t, "", append([]string{"doctor", "--json"}, args...)...)
	wrongs := 0
	for line := range strings.Lines(out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if f.State != fine && f.Do == "" {
			t.Errorf("says nothing of what to do: %s", line)
		}
		if f.State == wrong {
			wrongs++
		}
		found = append(found, f)
	}
	if (wrongs > 0) != (status == 1) || status > 1 {
		t.Errorf("%d wrong, exit status %d: %s", wrongs, status, errOut)
	}
	return found, status
}

func has(found []finding, state, subject, text, do string) bool {
	for _, f := range found {
		if f.State == state && f.Subject == subject && strings.Contains(f.Text, text) && strings.Contains(f.Do, do) {
			return true
		}
	}
	return false
}

// free is an address that nothing answers at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDoctor_FilesSayWhatToDo(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "data")
	if err := serve(t, whole).Stop(); err != nil {
		t.Fatal(err)
	}
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	do := func(steps ...error) {
		t.Helper()
		for _, err := range steps {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name              string
		spoil             func(dir string)
		subject, text, do string
	}{
		{"no database", func(dir string) {
			do(os.WriteFile(at(dir, "ostiary.db"), []byte(strings.Repeat("no database ", 1000)), 0o600))
		}, "store", "is not a database", "bring it back from a backup"},
		{"malformed", func(dir string) {
			data, err := os.ReadFile(at(dir, "ostiary.db"))
			do(err, os.WriteFile(at(dir, "ostiary.db"), data[:5*4096], 0o600))
		}, "store", "malformed", "bring it back from a backup"},
		{"directory for a database", func(dir string) {
			do(os.Remove(at(dir, "ostiary.db")), os.Mkdir(at(dir, "ostiary.db"), 0o700))
		}, "store", "is a directory", "move it away"},
		{"directory for a key", func(dir string) {
			do(os.Remove(at(dir, "master.key")), os.Mkdir(at(dir, "master.key"), 0o700))
		}, "permissions", "is a directory", "move it away"},
		{"malformed key", func(dir string) {
			do(os.WriteFile(at(dir, "master.key"), []byte("no key\n"), 0o600))
		}, "master key", "32 bytes in standard base64", "as it was when the store was made"},
		{"missing key", func(dir string) { do(os.Remove(at(dir, "master.key"))) }, "master key", "is not there", "OSTIARY_MASTER_KEY"},
		{"another key", func(dir string) {
			do(os.WriteFile(at(dir, "master.key"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600))
		}, "master key", "is not the master key", "bring that one back"},
		{"read-only database", func(dir string) { do(os.Chmod(at(dir, "ostiary.db"), 0o400)) }, "permissions", "must be written", "chmod 600"},
		{"read-only directory", func(dir string) { do(os.Chmod(dir, 0o500)) }, "permissions", "must be written", "chmod 700"},
		{"lost database", func(dir string) { do(os.Remove(at(dir, "ostiary.db"))) }, "store", "looks like a lost database", "from a backup"},
		{"other owner", func(dir string) {
			if os.Getuid() != 0 {
				t.Skip("only root gives files away")
			}
			do(os.Chown(at(dir, "ostiary.db"), 4242, -1))
		}, "permissions", "belongs to 4242", "chown "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			do(os.Chmod(dir, 0o700), os.Chmod(at(dir, "ostiary.db"), 0o600), os.Chmod(at(dir, "master.key"), 0o600))
			c.spoil(dir)
			defer func() { _ = os.Chmod(dir, 0o700) }()
			if found, _ := diagnose(t, "--data", dir, "--listen", free(t)); !has(found, wrong, c.subject, c.text, c.do) {
				t.Errorf("%+v", found)
			}
		})
	}
}

// What is damaged where opening does not look is found too.
func TestDoctor_LooksThroughTheDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, dir)
	for _, name := range []string{"ada", "bob", "eve"} {
		must(t, "", "account", "create", "--data", dir, "--username", name, "--no-password", "--org", strings.Repeat("x", 120))
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ostiary.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The page of the accounts: a cell pointer of it then points outside.
	page := bytes.Index(data, []byte(strings.Repeat("x", 120))) / 4096 * 4096
	copy(data[page+8:], bytes.Repeat([]byte{0xff}, 4))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	found, status := diagnose(t, "--data", dir, "--listen", free(t))
	if status != 1 || !has(found, fine, "engine", "SQLite", "") || !has(found, wrong, "store", "", "bring it back from a backup") {
		t.Errorf("%d %+v", status, found)
	}
}

func TestDoctor_TellsOstiaryFromOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, dir)
	ours := strings.TrimPrefix(p.url, "http://")
	if found, status := diagnose(t, "--data", dir, "--listen", ours); status != 0 || !has(found, fine, "address", "an Ostiary answers there now, readiness 200", "") {
		t.Errorf("%d %+v", status, found)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("welcome")) }))
	defer web.Close()
	for _, address := range []string{silent.Addr().String(), web.Listener.Addr().String()} {
		if found, status := diagnose(t, "--data", dir, "--listen", address); status != 1 || !has(found, wrong, "address", "is no Ostiary", "--listen") {
			t.Errorf("%d %+v", status, found)
		}
	}
	// An address that is not this machine's: serve could not have it.
	if found, status := diagnose(t, "--data", dir, "--listen", "192.0.2.1:8080", "--trusted-proxy", "192.0.2.2"); status != 1 || !has(found, wrong, "address", "can't be had", "--listen") {
		t.Errorf("%d %+v", status, found)
	}
	// Nor the address of the metrics, if another program has it.
	for _, address := range []string{silent.Addr().String(), "192.0.2.1:9464"} {
		if found, status := diagnose(t, "--data", dir, "--listen", "127.0.0.1:0", "--admin-listen", address); status != 1 || !has(found, wrong, "admin_listen", "can't be had", "") {
			t.Errorf("%d %+v", status, found)
		}
	}
	proxied := serve(t, dir, "--trusted-proxy", "192.0.2.2")
	if found, status := diagnose(t, "--data", dir, "--listen", strings.TrimPrefix(proxied.url, "http://"), "--trusted-proxy", "192.0.2.2"); status != 0 || !has(found, fine, "address", "answers its declared proxies", "") {
		t.Errorf("%d %+v", status, found)
	}
}

func TestDoctor_LoadsTheCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	good, key := certificate(t, 100*24*time.Hour)
	p := serve(t, dir, "--tls-cert", good, "--tls-key", key)
	address := strings.TrimPrefix(p.url, "https://")
	if found, status := diagnose(t, "--data", dir, "--listen", address, "--tls-cert", good, "--tls-key", key); status != 0 ||
		!has(found, fine, "certificate", "is good until", "") || !has(found, fine, "address", "an Ostiary answers there now", "") {
		t.Errorf("%d %+v", status, found)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if found, _ := diagnose(t, "--data", dir, "--listen", address, "--tls-cert", good, "--tls-key", key); !has(found, warn, "tls_key", "can be read by every user", "0600") {
		t.Errorf("a key that is open to all: %+v", found)
	}
	if found, status := diagnose(t, "--data", dir, "--acme-domain", "x.example.com", "--acme-root", good+".none"); status != 1 || !has(found, wrong, "acme_root", "no such file", "PEM") {
		t.Errorf("%d %+v", status, found)
	}
	_, other := certificate(t, time.Hour)
	old, oldKey := certificate(t, -time.Hour)
	soon, soonKey := certificate(t, 24*time.Hour)
	for _, c := range []struct{ name, cert, key, state, text, do string }{
		{"a key of another", good, other, wrong, "does not match", "tls_key"},
		{"missing", good + ".none", key, wrong, "no such file", "tls_cert"},
		{"no PEM", p.Cmd.Path, key, wrong, "PEM", "tls_cert"},
		{"ended", old, oldKey, wrong, "ended", "renew"},
		{"about to end", soon, soonKey, warn, "ends", "renew"},
	} {
		if found, _ := diagnose(t, "--data", dir, "--listen", address, "--tls-cert", c.cert, "--tls-key", c.key); !has(found, c.state, "certificate", c.text, c.do) {
			t.Errorf("%s: %+v", c.name, found)
		}
	}
}

// certificate makes files of a certificate that is good for so long yet, and of its key.
func certificate(t *testing.T, left time.Duration) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
