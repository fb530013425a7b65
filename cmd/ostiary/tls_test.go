package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// replace puts the text of one file into another one.
func replace(t *testing.T, path, by string) {
	t.Helper()
	text, err := os.ReadFile(by)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func leafOf(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

// handshake returns the certificate that a server shows, and asks it for something.
func handshake(addr string, config *tls.Config) ([]byte, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", addr, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "GET /ostiary/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) {
		err = fmt.Errorf("answered %.200s", answer)
	}
	return conn.ConnectionState().PeerCertificates[0].Raw, err
}

// Clients come all the time, while the certificate is replaced again and again: each gets one
// of the two, none fails, and after the reload all get the new one.
func TestTLS_ReloadUnderLoad(t *testing.T) {
	cert, key := certificate(t, time.Hour)
	firstCert, firstKey := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "k")
	replace(t, firstCert, cert)
	replace(t, firstKey, key)
	otherCert, otherKey := certificate(t, time.Hour)
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	addr := strings.TrimPrefix(p.url, "https://")
	first, other := leafOf(t, firstCert), leafOf(t, otherCert)
	config := &tls.Config{InsecureSkipVerify: true} // which one it is, is compared

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				got, err := handshake(addr, config)
				if err != nil || !bytes.Equal(got, first) && !bytes.Equal(got, other) {
					t.Errorf("a client fails: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := range 5 {
		want := other
		if i%2 == 0 {
			replace(t, cert, otherCert)
			replace(t, key, otherKey)
		} else {
			replace(t, cert, firstCert)
			replace(t, key, firstKey)
			want = first
		}
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			if got, err := handshake(addr, config); err != nil || n > 1000 {
				t.Fatalf("the new certificate is not shown: %v\n%s", err, p.err.String())
			} else if bytes.Equal(got, want) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	stop()
	clients.Wait()
	if served.Load() < 20 {
		t.Errorf("only %d clients came", served.Load())
	}

	// A pair that does not belong together changes nothing.
	replace(t, key, firstKey)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `level=ERROR msg="configuration not reloaded, the old one stays" err="tls_cert \S+, tls_key \S+: tls: private key does not match public key"`)
	if got, err := handshake(addr, config); err != nil || !bytes.Equal(got, other) {
		t.Errorf("a broken pair was taken, or the old one lost: %v", err)
	}
}

// loaded makes a server with a certificate from files.
func loaded(t *testing.T) (s *server, log *bytes.Buffer, cert, key string) {
	t.Helper()
	cert, key = certificate(t, 100*24*time.Hour)
	log = new(bytes.Buffer)
	s = &server{log: slog.New(slog.NewTextHandler(log, nil))}
	s.settings.TLSCert, s.settings.TLSKey = cert, key
	if _, err := s.tlsConfig(); err != nil {
		t.Fatal(err)
	}
	return s, log, cert, key
}

func TestTLS_RereadsWhatChanged(t *testing.T) {
	s, log, cert, key := loaded(t)
	first := leafOf(t, cert)
	s.cert.reread(s.log)
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("nothing has changed, and %d lines:\n%s", n, log.String())
	}
	otherCert, otherKey := certificate(t, 100*24*time.Hour)
	log.Reset()
	replace(t, cert, otherCert) // its key is not there yet
	for range 3 {
		s.cert.reread(s.log)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "does not match") {
		t.Errorf("a broken pair should be one line:\n%s", text)
	}
	if got := s.cert.served.Load().Leaf.Raw; !bytes.Equal(got, first) {
		t.Error("the old certificate is not served any more")
	}
	log.Reset()
	replace(t, key, otherKey)
	s.cert.reread(s.log)
	if got := s.cert.served.Load().Leaf.Raw; !bytes.Equal(got, leafOf(t, otherCert)) || !strings.Contains(log.String(), `msg="certificate loaded"`) {
		t.Errorf("the new certificate is not served:\n%s", log.String())
	}
	log.Reset()
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	s.cert.reread(s.log)
	if text := log.String(); !strings.Contains(text, "tls_key: open") || s.cert.served.Load() == nil {
		t.Errorf("a key that is gone: %s", text)
	}
}

// Whoever renews the certificate need not tell the server.
func TestTLS_LooksEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, cert, key := loaded(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.tendCertificate(ctx); close(done) }()
		otherCert, otherKey := certificate(t, time.Hour)
		replace(t, cert, otherCert)
		replace(t, key, otherKey)
		want := leafOf(t, otherCert)
		time.Sleep(59 * time.Second)
		if bytes.Equal(s.cert.served.Load().Leaf.Raw, want) {
			t.Error("read too early: the test shows nothing")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !bytes.Equal(s.cert.served.Load().Leaf.Raw, want) {
			t.Error("not read after a minute")
		}
		stop()
		<-done
	})
}

// Beside TLS, plain HTTP is refused; and over TLS browsers are told to stay.
func TestTLS_RefusesPlainHTTP(t *testing.T) {
	cert, key := certificate(t, time.Hour)
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key, "--http-listen", "127.0.0.1:0")
	line := p.waitFor(t, `msg="refusing plain HTTP" address=\S+`)
	plain := "http://" + line[strings.LastIndex(line, "=")+1:]
	status, answer, err := post(http.DefaultClient, plain+"/v1/auth", `{"username":"ada","password":"a password of ada"}`)
	if err != nil || status != http.StatusForbidden || !strings.Contains(answer, `"detail":"nothing is answered here: use https"`) {
		t.Errorf("%d %s %v", status, answer, err)
	}
	p.waitFor(t, `level=WARN msg="a client sent what may be a credential in the clear.*path=/v1/auth`)
	if strings.Contains(p.err.String(), "a password of ada") {
		t.Error("the log has the password")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	res, err := client.Get(p.url + "/ostiary/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := res.Header.Get("Strict-Transport-Security"); got != "max-age=31536000; includeSubDomains" {
		t.Errorf("HSTS: %q", got)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
