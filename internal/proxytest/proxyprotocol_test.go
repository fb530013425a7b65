package proxytest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

// TestProxyProtocol_HAProxy runs the configuration of docs/overload.md: HAProxy passes
// connections on as they are, and says whose they are; TLS and HTTP/2 are the server's own.
func TestProxyProtocol_HAProxy(t *testing.T) {
	haproxy := tool(t, "haproxy")
	h := open(t)
	dir := t.TempDir()
	writeCertificate(t, dir)
	ostiary, front := processtest.FreeAddress(t), processtest.FreeAddress(t)
	server := launch(t, dir, h.binary, "serve", "--data", filepath.Join(dir, "data"), "--listen", ostiary, "--trusted-proxy", "127.0.0.1/32",
		"--proxy-protocol", "--tls-cert", filepath.Join(dir, "app.pem"), "--tls-key", filepath.Join(dir, "app.key"))
	t.Cleanup(server.stop)
	page, err := os.ReadFile("../../docs/overload.md")
	if err != nil {
		t.Fatal(err)
	}
	found := fence.FindAllStringSubmatch(string(page), -1)
	if len(found) != 1 {
		t.Fatalf("the page has %d configurations", len(found))
	}
	write(t, dir, "haproxy.cfg", strings.NewReplacer("127.0.0.1:8080", ostiary, "bind :443", "bind "+front).Replace(found[0][2]))
	proxy := launch(t, dir, haproxy, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	t.Cleanup(proxy.stop)

	asks := func(from, path string) error {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", front) },
			TLSClientConfig:   &tls.Config{ServerName: site, InsecureSkipVerify: true}, //nolint:gosec // its key was made a moment ago
			ForceAttemptHTTP2: true,
		}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+site+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.1")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			return fmt.Errorf("%s %s", resp.Proto, resp.Status)
		}
		return nil
	}
	server.await(t, func() error { return asks("127.0.0.1", "/ostiary/readyz") })
	for _, from := range []string{"127.0.0.7", "127.0.0.8"} {
		if err := asks(from, "/ostiary/healthz"); err != nil {
			t.Fatalf("from %s: %v\n%s", from, err, server.Log.String())
		}
		server.await(t, func() error {
			if !strings.Contains(server.Log.String(), "source="+from+"\n") {
				return fmt.Errorf("no line says %s", from)
			}
			return nil
		})
	}
	if conn, err := net.Dial("tcp", ostiary); err == nil { // without a header
		_, _ = conn.Write([]byte("GET /ostiary/healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := conn.Read(make([]byte, 100)); n > 0 || err == nil {
			t.Errorf("answered without a header: %d bytes, %v", n, err)
		}
		conn.Close()
	}
	server.await(t, func() error { // the line may come after the connection's end
		if !strings.Contains(server.Log.String(), "PROXY protocol") {
			return errors.New("no line says why it was closed")
		}
		return nil
	})
	if log := server.Log.String(); strings.Contains(log, "203.0.113.1") || strings.Contains(log, "forwarded headers") || strings.Count(log, "PROXY protocol") != 1 {
		t.Errorf("the log: %s", log)
	}
}
