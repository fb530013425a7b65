package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/commandline"
)

// Server is what ostiary serve reads beside Shared.
type Server struct {
	// Listen is where clients are answered.
	Listen string `toml:"listen" default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"OSTIARY_LISTEN" help:"Address to answer on. One that is not loopback needs --tls-cert and --tls-key, --acme-domain, or --trusted-proxy."`
	// HTTPListen is where plain HTTP is refused, and a CA's HTTP-01 challenge answered.
	HTTPListen string `name:"http-listen" toml:"http_listen" placeholder:"HOST:PORT" env:"OSTIARY_HTTP_LISTEN" help:"Address for plain HTTP beside TLS: answers the CA's challenges, and refuses all else. Off unless set."`
	// AdminListen is where metrics are served, to whoever can reach it.
	AdminListen string `toml:"admin_listen" placeholder:"HOST:PORT" env:"OSTIARY_ADMIN_LISTEN" help:"Address for /metrics (Prometheus), /healthz and /readyz, by plain HTTP. Whoever can reach it can read them. Off unless set."`
	// TraceEndpoint is where spans are sent, and TraceSample of which share of the requests.
	TraceEndpoint string  `toml:"trace_endpoint" placeholder:"URL" env:"OSTIARY_TRACE_ENDPOINT" help:"OpenTelemetry collector that traces are sent to (OTLP over HTTP), such as http://127.0.0.1:4318. Off unless set."`
	TraceSample   float64 `toml:"trace_sample" default:"1" placeholder:"SHARE" env:"OSTIARY_TRACE_SAMPLE" help:"Share of the requests that are traced, from 0 to 1, unless a trusted proxy says which (traceparent)."`
	// TLSCert and TLSKey are PEM files; both or none.
	TLSCert string `name:"tls-cert" toml:"tls_cert" placeholder:"FILE" env:"OSTIARY_TLS_CERT" help:"Certificate chain (PEM)."`
	TLSKey  string `name:"tls-key" toml:"tls_key" placeholder:"FILE" env:"OSTIARY_TLS_KEY" help:"Private key of the certificate (PEM)."`
	// ACMEDomain are the names that certificates are got for by ACME, and ACMERoot what
	// the CA's own certificate is checked by. Setting a domain accepts the CA's terms.
	ACMEDomain    []string `name:"acme-domain" toml:"acme_domain" placeholder:"NAME" env:"OSTIARY_ACME_DOMAIN" help:"Names to get certificates for, from a CA that speaks ACME. Setting one accepts the CA's terms of service."`
	ACMEEmail     string   `name:"acme-email" toml:"acme_email" placeholder:"ADDRESS" env:"OSTIARY_ACME_EMAIL" help:"Where the CA can reach you."`
	ACMEDirectory string   `name:"acme-directory" toml:"acme_directory" placeholder:"URL" env:"OSTIARY_ACME_DIRECTORY" help:"The CA's directory. Default: that of Let's Encrypt."`
	ACMERoot      string   `name:"acme-root" toml:"acme_root" placeholder:"FILE" env:"OSTIARY_ACME_ROOT" help:"Root certificate (PEM) of a private CA, for the connections to its directory."`
	// HSTS is how long browsers are told to come back by TLS alone.
	HSTS Duration `name:"hsts" toml:"hsts" default:"365d" env:"OSTIARY_HSTS" help:"How long browsers shall use TLS alone, sent with answers over the server's own TLS. 0s: not sent."`
	// StopDelay is how long requests are still taken after SIGTERM, while readyz says no.
	StopDelay Duration `name:"stop-delay" toml:"stop_delay" default:"0s" env:"OSTIARY_STOP_DELAY" help:"How long requests are still taken after SIGTERM, while readyz says no: for load balancers to notice."`
	// GuessRedis is the URL of a Redis where nodes count the guesses in flight, in place of
	// PostgreSQL; GuessRedisFile is a file that holds it, for a URL with a password.
	GuessRedis     string `toml:"guess_redis" placeholder:"URL" env:"OSTIARY_GUESS_REDIS" help:"Redis that counts the guesses in flight of all nodes, in place of the database: redis://HOST:PORT, rediss:// with TLS, redis+cluster://HOST:PORT,HOST:PORT."`
	GuessRedisFile string `toml:"guess_redis_file" placeholder:"FILE" env:"OSTIARY_GUESS_REDIS_FILE" help:"File that holds the URL of --guess-redis, for one with a password."`
	// AuditKeep is how long entries of the audit log are kept; 0: for ever.
	AuditKeep Duration `name:"audit-keep" toml:"audit_keep" default:"0s" env:"OSTIARY_AUDIT_KEEP" help:"How long entries of the audit log are kept; older ones are deleted. 0s: for ever."`
	// Usage has it counted who uses which dialect, and UsageKeep says for how long that is kept.
	Usage     bool     `toml:"usage" default:"true" negatable:"" env:"OSTIARY_USAGE" help:"Count who uses which dialect, by client and address, for ostiary usage."`
	UsageKeep Duration `name:"usage-keep" toml:"usage_keep" default:"400d" env:"OSTIARY_USAGE_KEEP" help:"How long these counts are kept; older ones are deleted."`
	// TrustedProxy are the networks of the proxies that speak TLS for this server. Only
	// they may connect then, and their forwarded headers are believed.
	TrustedProxy []string `toml:"trusted_proxy" placeholder:"CIDR" env:"OSTIARY_TRUSTED_PROXY" help:"Networks of the TLS proxies in front; no other peer is answered then."`
	// ProxyProtocol is set if each connection of these proxies begins with a header of the
	// PROXY protocol, which names the client; forwarded headers are not believed then.
	ProxyProtocol bool `name:"proxy-protocol" toml:"proxy_protocol" env:"OSTIARY_PROXY_PROTOCOL" help:"The trusted proxies name the client by the PROXY protocol, version 2, in place of headers."`
	// MaxConnections and SourceConnections are how many connections there may be, in all
	// and of one source; one more closes the one that has waited longest for its client.
	MaxConnections    int `name:"max-connections" toml:"max_connections" default:"4096" placeholder:"N" env:"OSTIARY_MAX_CONNECTIONS" help:"Connections at once; one more closes the one that has waited longest for its client."`
	SourceConnections int `name:"source-connections" toml:"source_connections" default:"1024" placeholder:"N" env:"OSTIARY_SOURCE_CONNECTIONS" help:"Connections at once of one source (IPv4 address, IPv6 /64) that is no trusted proxy."`
	// SourceRequests is how many requests of one source are answered at once.
	SourceRequests int `name:"source-requests" toml:"source_requests" default:"256" placeholder:"N" env:"OSTIARY_SOURCE_REQUESTS" help:"Requests of one source that are answered at once; beyond it 503. Verifications (/ostiary/verify) do not count."`
}

// AfterParse checks the settings once flags, environment and file have spoken.
func (s *Server) AfterParse(line *commandline.Line) error {
	s.SettleRedis(line)
	return s.Check()
}

// SettleRedis lets a flag win over what the environment or the configuration file says of
// guess_redis and its file.
func (s *Server) SettleRedis(line *commandline.Line) {
	typedWins(line, "guess-redis", &s.GuessRedis, &s.GuessRedisFile)
}

// Check checks the settings.
func (s *Server) Check() error {
	if err := checkAddress(s.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := s.checkObserved(); err != nil {
		return err
	}
	if err := s.checkTLS(); err != nil {
		return err
	}
	for _, text := range s.TrustedProxy {
		network, err := parsePrefix(text)
		if err != nil {
			return fmt.Errorf("trusted_proxy: %w", err)
		}
		if network.Bits() == 0 {
			return fmt.Errorf("trusted_proxy: %q is everybody: whoever connects would choose the address that it counts as; name the proxies", text)
		}
	}
	if err := s.checkLoad(); err != nil {
		return err
	}
	if _, err := s.Redis(); err != nil {
		return err
	}
	if s.AuditKeep != 0 && s.AuditKeep < leastKeep {
		return fmt.Errorf("audit_keep: must be 0s, or at least %s", leastKeep)
	}
	if s.UsageKeep < leastKeep {
		return fmt.Errorf("usage_keep: must be at least %s; usage = false counts nothing", leastKeep)
	}
	if s.StopDelay < 0 || s.StopDelay > longestStop {
		return fmt.Errorf("stop_delay: must be between 0s and %s", longestStop)
	}
	if !s.Loopback() && !s.TLS() && len(s.TrustedProxy) == 0 {
		return fmt.Errorf("listen: %s is not a loopback address: passwords would travel in the clear; give tls_cert and tls_key, acme_domain, or trusted_proxy", s.Listen)
	}
	return nil
}

// leastKeep is for whoever meant 90d and wrote 90s: what was deleted is gone.
const leastKeep = Duration(24 * time.Hour)

// longestStop is for whoever counts in milliseconds: a supervisor would not wait so long.
const longestStop = Duration(10 * time.Minute)

// maxAtOnce is a limit that limits nothing.
const maxAtOnce = 1_000_000

func (s *Server) checkLoad() error {
	for _, limit := range []struct {
		name  string
		value int
	}{{"max_connections", s.MaxConnections}, {"source_connections", s.SourceConnections}, {"source_requests", s.SourceRequests}} {
		if limit.value < 1 || limit.value > maxAtOnce {
			return fmt.Errorf("%s: must be between 1 and %d", limit.name, maxAtOnce)
		}
	}
	if s.SourceConnections > s.MaxConnections {
		return fmt.Errorf("source_connections (%d) must not be more than max_connections (%d)", s.SourceConnections, s.MaxConnections)
	}
	if s.ProxyProtocol && len(s.TrustedProxy) == 0 {
		return fmt.Errorf("proxy_protocol: needs trusted_proxy beside it: whoever else could connect would choose the address that it counts as")
	}
	return nil
}

// Loopback says whether only this machine can reach the listening address.
func (s *Server) Loopback() bool { return isLoopback(s.Listen) }

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback(host)
}

// loopback tells whether a host is this machine and no other: its name, in any case (RFC 6761, section 6.3), or an address.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// TrustedProxies are the networks of TrustedProxy.
func (s *Server) TrustedProxies() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range s.TrustedProxy {
		if p, err := parsePrefix(text); err == nil { // Check has refused the others
			out = append(out, p)
		}
	}
	return out
}

// parsePrefix reads a network, or an address as the network of itself.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no network such as 10.0.0.0/8", text)
	}
	return p.Masked(), nil
}

func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' }) {
		return fmt.Errorf("%q is no address such as 127.0.0.1:8080", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q has no port between 0 and 65535", text)
	}
	return nil
}
