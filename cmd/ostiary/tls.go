package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/acme"
	"github.com/ostiary/ostiary/internal/web"
)

// tlsConfig is how the server speaks TLS, or nil if it does not.
func (s *server) tlsConfig() (*tls.Config, error) {
	switch {
	case len(s.settings.ACMEDomain) > 0:
		return s.acmeConfig()
	case s.settings.TLSCert == "":
		return nil, nil
	}
	files, err := readPair(s.settings.TLSCert, s.settings.TLSKey)
	if err != nil {
		return nil, err
	}
	s.cert.use(s.log, files) // one that is not good, too: clients see what is wrong, and the log says it
	return web.TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.served.Load(), nil }), nil
}

// acmeConfig is tlsConfig with certificates of a CA.
func (s *server) acmeConfig() (*tls.Config, error) {
	o := acme.Options{
		Domains: s.settings.ACMEDomain, Email: s.settings.ACMEEmail, Directory: s.settings.ACMEDirectory,
		HTTP: s.settings.HTTPListen != "", Store: s.store, Master: s.master, Log: s.log,
	}
	if file := s.settings.ACMERoot; file != "" {
		var err error
		if o.Roots, err = readRoots(file); err != nil {
			return nil, fmt.Errorf("acme_root: %w", err)
		}
	}
	manager, err := acme.New(o)
	if err != nil {
		return nil, err
	}
	s.acme = manager
	config := web.TLSConfig(nil)
	manager.Serve(config)
	return config, nil
}

// readRoots reads the certificates of a CA.
func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in it (PEM)", file)
	}
	return roots, nil
}

// pair is the certificate of tls_cert, with its tls_key, that is served. It is read again when
// the server is told to, and each minute: whoever renews it need not say so.
type pair struct {
	served atomic.Pointer[tls.Certificate]
	mu     sync.Mutex
	files  pairFiles
	failed string    // what was said last of files that can't be used
	warned string    // what was said last of the one that is served, and when
	at     time.Time // of warned
}

// pairFiles is what the files of a certificate hold.
type pairFiles struct {
	chain, key string // paths
	sum        [sha256.Size]byte
	pair       tls.Certificate
}

func readPair(chain, key string) (f pairFiles, err error) {
	f.chain, f.key = chain, key
	chainPEM, err := os.ReadFile(chain)
	if err != nil {
		return f, fmt.Errorf("tls_cert: %w", err)
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return f, fmt.Errorf("tls_key: %w", err)
	}
	f.sum = sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(chainPEM), chainPEM, keyPEM))
	if f.pair, err = tls.X509KeyPair(chainPEM, keyPEM); err != nil {
		return f, fmt.Errorf("tls_cert %s, tls_key %s: %w", chain, key, err)
	}
	return f, nil
}

// mayServe refuses a pair that no client would take in place of one that clients take.
func (c *pair) mayServe(f pairFiles) error {
	served, now := c.served.Load(), time.Now()
	if served == nil {
		return nil
	}
	if old, _ := lapse(served.Leaf, now); old == wrong {
		return nil
	}
	if state, text := lapse(f.pair.Leaf, now); state == wrong {
		return remedied{fmt.Sprintf("tls_cert: %s %s", f.chain, text), "put one there that is good now"}
	}
	return nil
}

// use serves a pair that has been read.
func (c *pair) use(log *slog.Logger, f pairFiles) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swap(log, f)
}

func (c *pair) swap(log *slog.Logger, f pairFiles) {
	if f.sum != c.files.sum {
		log.Info("certificate loaded", "file", f.chain, "names", f.pair.Leaf.DNSNames, "not_after", f.pair.Leaf.NotAfter)
		c.warned = ""
	}
	c.files, c.failed = f, ""
	c.served.Store(&f.pair)
	c.remind(log)
}

// remind says once a day that the certificate is not good, or not for long, and at once when
// that changes.
func (c *pair) remind(log *slog.Logger) {
	now := time.Now()
	state, text := lapse(c.files.pair.Leaf, now)
	if text == c.warned && now.Sub(c.at) < 24*time.Hour {
		return
	}
	c.warned, c.at = text, now
	switch state {
	case wrong:
		log.Error("clients refuse the certificate that is served: put a good one and its key in its place", "file", c.files.chain, "err", text)
	case warn:
		log.Warn("the certificate is good for a short time only: renew it", "file", c.files.chain, "cause", text)
	}
}

// reread reads the files again. What can't be used is said once.
func (c *pair) reread(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := readPair(c.files.chain, c.files.key)
	if err == nil {
		err = c.mayServe(f)
	}
	if err == nil {
		c.swap(log, f)
		return
	}
	if text := err.Error(); text != c.failed {
		c.failed = text
		log.Error("certificate not loaded, the old one stays: put a chain and its key there that belong together, and are good now", "err", text)
	}
	c.remind(log)
}

// lapse says what is wrong with the time of a certificate, if anything is: that it is over, or
// has not come, or is short. Short is less than 14 days, and less than a third of its time.
func lapse(leaf *x509.Certificate, now time.Time) (state, text string) {
	left := leaf.NotAfter.Sub(now)
	switch {
	case left < 0:
		return wrong, "ended " + stamp(leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		return wrong, "is good only from " + stamp(leaf.NotBefore) + " on"
	case left < min(14*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/3):
		return warn, "ends " + stamp(leaf.NotAfter)
	}
	return fine, ""
}

// tendCertificate sees when the files of the certificate change, or has the CA's renewed.
func (s *server) tendCertificate(ctx context.Context) {
	switch {
	case s.acme != nil:
		s.acme.Run(ctx)
		return
	case s.cert.served.Load() == nil:
		return
	}
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.cert.reread(s.log)
		}
	}
}
