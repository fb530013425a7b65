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
	s.cert.use(s.log, files)
	return web.TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.served.Load(), nil }), nil
}

// acmeConfig is tlsConfig with certificates of a CA.
func (s *server) acmeConfig() (*tls.Config, error) {
	o := acme.Options{
		Domains: s.settings.ACMEDomain, Email: s.settings.ACMEEmail, Directory: s.settings.ACMEDirectory,
		HTTP: s.settings.HTTPListen != "", Store: s.store, Master: s.master, Log: s.log,
	}
	if file := s.settings.ACMERoot; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("acme_root: %w", err)
		}
		if o.Roots = x509.NewCertPool(); !o.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("acme_root: %s has no certificate in it (PEM)", file)
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

// pair is the certificate of tls_cert, with its tls_key, that is served. It is read again when
// the server is told to, and each minute: whoever renews it need not say so.
type pair struct {
	served atomic.Pointer[tls.Certificate]
	mu     sync.Mutex
	files  pairFiles
	failed string // what was said last of files that can't be used
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

// use serves a pair that has been read.
func (c *pair) use(log *slog.Logger, f pairFiles) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swap(log, f)
}

func (c *pair) swap(log *slog.Logger, f pairFiles) {
	if f.sum != c.files.sum {
		log.Info("certificate loaded", "file", f.chain, "names", f.pair.Leaf.DNSNames, "not_after", f.pair.Leaf.NotAfter)
	}
	c.files, c.failed = f, ""
	c.served.Store(&f.pair)
}

// reread reads the files again. What can't be used is said once.
func (c *pair) reread(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := readPair(c.files.chain, c.files.key)
	if err == nil {
		c.swap(log, f)
		return
	}
	if text := err.Error(); text != c.failed {
		c.failed = text
		log.Error("certificate not loaded, the old one stays: put a chain and its key there that belong together", "err", text)
	}
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
