package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Server is what ostiary serve reads beside Shared.
type Server struct {
	// Listen is where clients are answered.
	Listen string `toml:"listen" default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"OSTIARY_LISTEN" help:"Address to answer on. One that is not loopback needs --tls-cert and --tls-key, or --trusted-proxy."`
	// AdminListen will be where metrics are served; none are yet, and so it is refused.
	AdminListen string `toml:"admin_listen" placeholder:"HOST:PORT" env:"OSTIARY_ADMIN_LISTEN" help:"Address for metrics. Not supported yet by this version."`
	// TLSCert and TLSKey are PEM files; both or none.
	TLSCert string `name:"tls-cert" toml:"tls_cert" placeholder:"FILE" env:"OSTIARY_TLS_CERT" help:"Certificate chain (PEM)."`
	TLSKey  string `name:"tls-key" toml:"tls_key" placeholder:"FILE" env:"OSTIARY_TLS_KEY" help:"Private key of the certificate (PEM)."`
	// TrustedProxy are the networks of the proxies that speak TLS for this server. Only
	// they may connect then, and their forwarded headers are believed.
	TrustedProxy []string `toml:"trusted_proxy" placeholder:"CIDR" env:"OSTIARY_TRUSTED_PROXY" help:"Networks of the TLS proxies in front; no other peer is answered then."`
}

// AfterApply checks the settings once flags, environment and file have spoken.
func (s *Server) AfterApply() error {
	if err := checkAddress(s.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if s.AdminListen != "" {
		return fmt.Errorf("admin_listen: metrics are not supported yet by this version")
	}
	if s.TLSCert != "" && s.TLSKey == "" {
		return fmt.Errorf("tls_cert: needs tls_key beside it")
	}
	if s.TLSKey != "" && s.TLSCert == "" {
		return fmt.Errorf("tls_key: needs tls_cert beside it")
	}
	for _, text := range s.TrustedProxy {
		if _, err := parsePrefix(text); err != nil {
			return fmt.Errorf("trusted_proxy: %w", err)
		}
	}
	if !s.Loopback() && s.TLSCert == "" && len(s.TrustedProxy) == 0 {
		return fmt.Errorf("listen: %s is not a loopback address: passwords would travel in the clear; give tls_cert and tls_key, or trusted_proxy", s.Listen)
	}
	return nil
}

// Loopback says whether only this machine can reach the listening address.
func (s *Server) Loopback() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" { // RFC 6761, section 6.3
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// TrustedProxies are the networks of TrustedProxy.
func (s *Server) TrustedProxies() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range s.TrustedProxy {
		if p, err := parsePrefix(text); err == nil { // AfterApply has refused the others
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
