// Package acme gets the server's TLS certificates from a CA (ACME, RFC 8555), and renews
// them. All that it keeps is in the database, sealed, so that servers on one database share
// their certificates, and one of them gets each.
//
// The work is certmagic's. What is here has it write nowhere else, listen nowhere, ask
// nobody but the CA, and say in one line what is wrong.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"github.com/ostiary/ostiary/internal/seal"
)

// Options are what a Manager needs to know.
type Options struct {
	Domains   []string // host names, at least one
	Email     string
	Directory string         // URL of the CA's directory; default: that of Let's Encrypt
	Roots     *x509.CertPool // of the CA's own certificate; default: the system's
	HTTP      bool           // ServeChallenge is reached by plain HTTP at port 80
	Store     Store
	Master    seal.Key
	Log       *slog.Logger
	Check     time.Duration // how often it looks for what is due; default 10 minutes
}

// Manager has the certificates.
type Manager struct {
	domains []string
	log     *slog.Logger
	config  *certmagic.Config
	cache   *certmagic.Cache
	acme    *certmagic.ACMEIssuer
	decoy   net.Listener
}

// New makes a Manager, which does nothing until it runs.
func New(o Options) (*Manager, error) {
	m := &Manager{log: o.Log}
	for _, name := range o.Domains {
		m.domains = append(m.domains, strings.ToLower(name))
	}
	// Where nobody listens, certmagic does so itself while a challenge is open. The
	// server's own listeners answer them, so it is shown one that is taken.
	var err error
	if m.decoy, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	port := m.decoy.Addr().(*net.TCPAddr).Port
	log := certmagicLog(o.Log)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: o.Check, Logger: log,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: newStorage(o.Store, o.Master, o.Log), Logger: log, DefaultServerName: m.domains[0],
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, DisableStorageCheck: true,
		OnEvent: m.event, ShouldEmitFunc: func(string) bool { return false }, // of each handshake
	})
	m.acme = certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: o.Directory, Email: o.Email, Agreed: true, TrustedRoots: o.Roots, DisableHTTPChallenge: !o.HTTP, Logger: log,
		ListenHost: "127.0.0.1", AltHTTPPort: port, AltTLSALPNPort: port,
	})
	m.config.Issuers = []certmagic.Issuer{issuer{m.acme}}
	return m, nil
}

// issuer keeps certmagic from asking for an e-mail address on standard input.
type issuer struct{ *certmagic.ACMEIssuer }

func (i issuer) PreCheck(ctx context.Context, names []string, _ bool) error {
	return i.ACMEIssuer.PreCheck(ctx, names, false)
}

// protocol is what a CA speaks that validates by TLS-ALPN-01 (RFC 8737 section 6.2).
const protocol = "acme-tls/1"

// Serve has the configuration of a TLS listener show the certificates, and answer
// challenges to the CA alone.
func (m *Manager) Serve(config *tls.Config) {
	config.GetCertificate = m.certificate
	challenge := config.Clone()
	challenge.NextProtos = []string{protocol}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Equal(hello.SupportedProtos, challenge.NextProtos) && m.ours(hello.ServerName) {
			return challenge, nil
		}
		return nil, nil
	}
}

func (m *Manager) ours(name string) bool { return slices.Contains(m.domains, strings.ToLower(name)) }

// certificate is that of a name, or of the first one for a client that names none. For any
// other name there is none, and the client is told so (unrecognized_name, RFC 6066 section 3).
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName != "" && !m.ours(hello.ServerName) {
		return nil, nil
	}
	return m.config.GetCertificate(hello)
}

// Ends tells of each name that has a certificate when that ends.
func (m *Manager) Ends() map[string]time.Time {
	ends := map[string]time.Time{}
	for _, name := range m.domains {
		for _, c := range m.cache.AllMatchingCertificates(name) {
			if c.Leaf.NotAfter.After(ends[name]) {
				ends[name] = c.Leaf.NotAfter
			}
		}
	}
	return ends
}

// ServeChallenge answers a CA that validates by HTTP-01 (RFC 8555 section 8.3). It tells
// whether the request was one, and has been answered.
func (m *Manager) ServeChallenge(w http.ResponseWriter, r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return m.ours(host) && m.acme.HandleHTTPChallenge(w, r)
}

// Run gets the certificates, and renews them, until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(m.turnAway)
	for _, name := range m.domains {
		work.Go(func() { m.get(ctx, name) })
	}
	<-ctx.Done()
	m.cache.Stop()
	_ = m.decoy.Close()
	work.Wait()
}

// turnAway lets certmagic see that the decoy is taken.
func (m *Manager) turnAway() {
	for {
		conn, err := m.decoy.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

const (
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
	// refusedRetry keeps within what CAs allow: Let's Encrypt, five failed validations of a
	// name in an hour.
	refusedRetry = 15 * time.Minute
)

// get has a certificate for a name: the one of the database, or a new one. From then on
// certmagic renews it.
func (m *Manager) get(ctx context.Context, name string) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := m.config.ManageSync(ctx, []string{name})
		if ctx.Err() != nil {
			return
		}
		if have := m.cache.AllMatchingCertificates(name); len(have) > 0 {
			m.log.Info("certificate in use", "name", name, "not_after", have[0].Leaf.NotAfter)
			return
		}
		pause, do := wait, unreachable
		if _, ok := errors.AsType[acme.Problem](err); ok {
			pause, do = refusedRetry, refused
		}
		m.log.Error("there is no certificate for a name, and its clients are turned away until there is: "+do, "name", name, "again_in", pause, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// What to do when there is no certificate.
const (
	unreachable = "see that this machine reaches the CA, that acme_directory is right, and, for a private CA, acme_root"
	refused     = "see what the CA says, that the name leads to this server, and that the CA reaches it at port 443, or with http_listen at port 80"
)

// event logs what became of a certificate.
func (m *Manager) event(_ context.Context, name string, data map[string]any) error {
	renewal, _ := data["renewal"].(bool)
	switch {
	case name == "cert_obtained":
		m.log.Info("certificate got from the CA", "name", data["identifier"], "renewal", renewal)
	case name == "cert_failed" && renewal:
		do := unreachable
		if err, ok := data["error"].(error); ok {
			if _, ok := errors.AsType[acme.Problem](err); ok {
				do = refused
			}
		}
		m.log.Error("a certificate was not renewed, it is tried again: "+do, "name", data["identifier"], "left", data["remaining"], "err", data["error"])
	}
	return nil
}
