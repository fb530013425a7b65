package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/web"
)

// checkSettings sees that serve would start with these settings, and whether it runs.
func (d *doctor) checkSettings() []*auth.Mount {
	mounts, err := mountsOf(d.set)
	if err != nil {
		d.find(wrong, "mounts", "correct the configuration file", "%v", err)
	} else {
		d.find(fine, "mounts", "", "%d", len(mounts))
	}
	d.checkDefinitions()
	for _, m := range pastSunset(mounts, time.Now()) {
		d.find(warn, "sunset", "see by ostiary usage who uses it; then take the mount out of the configuration, or give it another date",
			"%s is served, and was to end on %s", placeOf(m), m.Notice.Sunset.Format(time.DateOnly))
	}
	d.checkBreached()
	d.checkLegacies(mounts)
	d.checkWritebacks()
	d.checkRedis()
	srv := &d.server
	if err := srv.Check(); err != nil {
		d.find(wrong, "address", "correct the setting: ostiary serve does not start with it", "%v", err)
		return mounts
	}
	how := "plain HTTP to this machine alone"
	switch {
	case srv.TLSCert != "":
		how = "TLS"
		d.checkCertificate(srv)
	case srv.TLS():
		how = "TLS with certificates by ACME"
	case len(srv.TrustedProxy) > 0:
		how = "behind a TLS proxy"
	}
	state, do, text := d.probe(srv)
	d.find(state, "address", do, "%s, %s; %s", srv.Listen, how, text)
	if text == nobody {
		d.checkFree("http_listen", srv.HTTPListen)
		d.checkFree("admin_listen", srv.AdminListen)
	}
	if srv.ACMERoot != "" {
		if _, err := readRoots(srv.ACMERoot); err != nil {
			d.find(wrong, "acme_root", "give a file with the CA's certificate in PEM, and let this user read it", "%v", err)
		}
	}
	return mounts
}

// checkFree sees that a further address of serve can be had.
func (d *doctor) checkFree(setting, address string) {
	if address == "" {
		return
	}
	l, err := new(net.ListenConfig).Listen(d, "tcp", address)
	if err != nil {
		d.find(wrong, setting, "give an address of this machine, whose port this user may take and nobody has", "%s can't be had: %v", address, err)
		return
	}
	_ = l.Close()
}

// checkCertificate sees that the certificate can be served, and is good for a while.
func (d *doctor) checkCertificate(srv *config.Server) {
	const renew = "renew it, and send the server SIGHUP"
	pair, err := tls.LoadX509KeyPair(srv.TLSCert, srv.TLSKey)
	if err != nil {
		d.find(wrong, "certificate", "give the chain in tls_cert and its private key in tls_key, both PEM, and let this user read them", "%v", err)
		return
	}
	if info, err := os.Stat(srv.TLSKey); err == nil && info.Mode().Perm()&0o004 != 0 {
		d.find(warn, "tls_key", "set it to 0600, or 0640 for a group of its own", "%s can be read by every user of this machine", srv.TLSKey)
	}
	now, leaf := time.Now(), pair.Leaf
	do := renew
	if now.Before(leaf.NotBefore) {
		do = "see whether the clock is right"
	}
	if state, text := lapse(leaf, now); state != fine {
		d.find(state, "certificate", do, "%s %s", srv.TLSCert, text)
		return
	}
	d.find(fine, "certificate", "", "%s is good until %s", srv.TLSCert, stamp(leaf.NotAfter))
}

// nobody is what probe finds where serve could start.
const nobody = "no server answers there now"

// probe tells what is at the address: an Ostiary, nothing, or what would be in its way.
func (d *doctor) probe(srv *config.Server) (state, do, text string) {
	const other = "stop that program, or give another address with --listen"
	ctx, cancel := context.WithTimeout(d, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", srv.Listen)
	if err != nil {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", srv.Listen)
		if err != nil {
			return wrong, "give an address of this machine with --listen, whose port this user may take", fmt.Sprintf("nothing answers there, and it can't be had: %v", err)
		}
		_ = l.Close()
		return fine, "", nobody
	}
	_ = conn.Close()
	status, body, err := ask(ctx, srv, "/ostiary/healthz")
	switch {
	case err != nil && len(srv.ACMEDomain) > 0 && strings.Contains(err.Error(), "remote error: tls: internal error"):
		return wrong, "see the log of the server: it says why it gets none from the CA", "what answers there now has no certificate yet"
	case err != nil && srv.ProxyProtocol:
		return warn, "ask through the proxy, or from a machine among trusted_proxy", fmt.Sprintf("what has the address does not answer this machine: %v", err)
	case err != nil:
		return wrong, other, fmt.Sprintf("what has the address is no Ostiary: %v", err)
	case status == http.StatusForbidden && strings.Contains(body, "declared proxies only"):
		return fine, "", "an Ostiary answers its declared proxies there now"
	case status != http.StatusOK || body != "ok":
		return wrong, other, fmt.Sprintf("what answers there is no Ostiary: status %d", status)
	}
	status, body, err = ask(ctx, srv, "/ostiary/readyz")
	if err != nil || status != http.StatusOK || body != "ready" {
		return wrong, "see the log of the server", fmt.Sprintf("an Ostiary answers there now and can't serve, readiness %d", status)
	}
	return fine, "", fmt.Sprintf("an Ostiary answers there now, readiness %d", status)
}

// ask asks the server at the address. Whether its certificate is right is not the question.
func ask(ctx context.Context, srv *config.Server, path string) (status int, body string, err error) {
	scheme := "http"
	if srv.TLS() {
		scheme = "https"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+srv.Listen+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err == nil && srv.ProxyProtocol {
					_, err = io.WriteString(conn, web.LocalConnection)
				}
				return conn, err
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return res.StatusCode, string(text), err
}
