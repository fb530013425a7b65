// Package proxytest runs the configurations of docs/proxies as they are written, in the real proxies of Debian, between
// a real server and an upstream that says what it was sent. Only addresses and paths of files are replaced. The tests are
// no part of the build: "make test" installs the proxies and sets TEST_PEERS=1, and then one that is missing is a failure.
package proxytest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

const site = "app.example.com"

// process is a program that runs until it is stopped.
type process struct{ *processtest.Process }

func launch(t *testing.T, dir, name string, args ...string) process {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p, err := processtest.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return process{p}
}

// stop ends the process, and waits for it: a proxy may end as it likes.
func (p process) stop() { _ = p.Stop() }

// await tries until there is no error.
func (p process) await(t *testing.T, try func() error) {
	t.Helper()
	if err := p.Try(try); err != nil {
		t.Fatal(err)
	}
}

// proxy is a real one in front of an upstream.
type proxy struct {
	process
	name string
	addr string
	http *http.Client
}

// fence is a configuration that a page shows.
var fence = regexp.MustCompile("(?ms)^```(nginx|caddyfile|haproxy)\n(.*?)^```$")

// settings are what is put around a page's configuration, so that any user can run it.
var settings = map[string]struct {
	file, around string
	args         []string
}{
	"nginx": {"nginx.conf", "daemon off; pid DIR/pid; error_log stderr; worker_processes 1; USER events {} http { access_log off; " +
		"client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;\n%s}\n",
		[]string{"-p", "DIR", "-c", "DIR/nginx.conf", "-e", "stderr"}},
	"caddy": {"Caddyfile", "{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n\tstorage file_system DIR\n}\n%s",
		[]string{"run", "--config", "DIR/Caddyfile"}},
	"haproxy": {"haproxy.cfg", "%s", []string{"-db", "-f", "DIR/haproxy.cfg"}},
}

// startProxy runs a proxy as its page says, until the end of all tests. Further texts to replace come in pairs.
func startProxy(t *testing.T, name, ostiary, upstream string, more ...string) *proxy {
	t.Helper()
	program := tool(t, name)
	dir, err := os.MkdirTemp("", "proxytest")
	if err != nil {
		t.Fatal(err)
	}
	cleanups = append(cleanups, func() { _ = os.RemoveAll(dir) })
	address := processtest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	replace := strings.NewReplacer(append(more,
		"127.0.0.1:8080", ostiary, "127.0.0.1:3000", upstream,
		"listen 443 ", "listen "+address+" ", "bind :443 ", "bind "+address+" ",
		"abns@ostiary-verify", "abns@ostiary-verify-"+port, "\n"+site+" {", "\nhttps://"+site+":"+port+" {",
		"/etc/nginx/", dir+"/", "/etc/haproxy/", dir+"/")...)
	page, err := os.ReadFile("../../docs/proxies/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	found := fence.FindAllStringSubmatch(string(page), -1)
	if len(found) != 1 {
		t.Fatalf("the page of %s has %d configurations", name, len(found))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	set := settings[name]
	own := strings.NewReplacer("DIR", dir, "USER", user)
	write(t, dir, set.file, fmt.Sprintf(own.Replace(set.around), replace.Replace(found[0][2])))
	if name == "haproxy" {
		lua, err := os.ReadFile("../../docs/proxies/haproxy/ostiary.lua")
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "ostiary.lua", replace.Replace(string(lua)))
	}
	writeCertificate(t, dir)
	args := make([]string, len(set.args))
	for i, arg := range set.args {
		args[i] = own.Replace(arg)
	}
	p := &proxy{process: launch(t, dir, program, args...), name: name, addr: address}
	cleanups = append(cleanups, p.stop)
	p.http = p.client("127.0.0.1")
	p.await(t, func() error {
		conn, err := p.dial("127.0.0.1")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return p
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes app.pem, with the key in it as haproxy wants it, and app.key.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{site}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyText := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write(t, dir, "app.key", keyText)
	write(t, dir, "app.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))+keyText)
}

// dial opens a connection from an address of the loopback network.
func (p *proxy) dial(from string, protocols ...string) (net.Conn, error) {
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second},
		Config:    &tls.Config{ServerName: site, InsecureSkipVerify: true, NextProtos: protocols}, //nolint:gosec // its key was made a moment ago
	}
	return dialer.DialContext(context.Background(), "tcp", p.addr)
}

// client speaks HTTP/1.1, and HTTP/2 if it is named.
func (p *proxy) client(from string, protocols ...string) *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialTLSContext:      func(context.Context, string, string) (net.Conn, error) { return p.dial(from, protocols...) },
			ForceAttemptHTTP2:   len(protocols) > 0,
			MaxIdleConnsPerHost: 8,
		},
	}
}

// cleanups run after all tests, the last first.
var cleanups []func()

func TestMain(m *testing.M) {
	code := processtest.Main(m)
	for i := len(cleanups) - 1; i >= 0; i-- {
		cleanups[i]()
	}
	os.Exit(code)
}

// tool finds a program. Without TEST_PEERS=1 the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("TEST_PEERS") != "1" {
		t.Skipf("runs %s; set TEST_PEERS=1 to run this test", name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Fatalf("TEST_PEERS=1, and %s is not installed: %v", name, err)
		}
	}
	return path
}
