package config

import (
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// TLS says whether the server itself speaks TLS.
func (s *Server) TLS() bool { return s.TLSCert != "" || len(s.ACMEDomain) > 0 }

// checkTLS sees that there is one source of certificates, or none, and nothing that only
// makes sense beside another one.
func (s *Server) checkTLS() error {
	switch {
	case s.TLSCert != "" && s.TLSKey == "":
		return fmt.Errorf("tls_cert: needs tls_key beside it")
	case s.TLSKey != "" && s.TLSCert == "":
		return fmt.Errorf("tls_key: needs tls_cert beside it")
	case s.TLSCert != "" && len(s.ACMEDomain) > 0:
		return fmt.Errorf("acme_domain: tls_cert is set too: give only one of them")
	case s.HSTS < 0:
		return fmt.Errorf("hsts: must not be negative")
	}
	if err := s.checkACME(); err != nil {
		return err
	}
	if s.HTTPListen == "" {
		return nil
	}
	if err := checkAddress(s.HTTPListen); err != nil {
		return fmt.Errorf("http_listen: %w", err)
	}
	switch {
	case !s.TLS():
		return fmt.Errorf("http_listen: is for plain HTTP beside TLS: give tls_cert and tls_key, or acme_domain")
	case s.HTTPListen == s.Listen && !strings.HasSuffix(s.Listen, ":0"):
		return fmt.Errorf("http_listen: is the same address as listen")
	}
	return nil
}

func (s *Server) checkACME() error {
	if len(s.ACMEDomain) == 0 {
		for _, f := range []struct{ name, value string }{
			{"acme_email", s.ACMEEmail}, {"acme_directory", s.ACMEDirectory}, {"acme_root", s.ACMERoot},
		} {
			if f.value != "" {
				return fmt.Errorf("%s: needs acme_domain beside it", f.name)
			}
		}
		return nil
	}
	seen := []string{}
	for _, text := range s.ACMEDomain {
		name, err := parseHost(text)
		_, isAddress := netip.ParseAddr(text)
		switch {
		case strings.HasPrefix(text, "*."):
			return fmt.Errorf("acme_domain: %q: a CA gives wildcards by DNS-01 only, which is not supported: "+
				"name each host, or get the certificate otherwise and give tls_cert", text)
		case isAddress == nil:
			return fmt.Errorf("acme_domain: %q is an address: CAs give certificates for host names", text)
		case err != nil || name == "":
			return fmt.Errorf("acme_domain: %q is no host name (ASCII, without scheme, port, or path)", text)
		case !strings.Contains(name, ".") && s.ACMEDirectory == "":
			return fmt.Errorf("acme_domain: %q has no dot: no public CA gives a certificate for it; name it in full, or give acme_directory of a private CA", text)
		case slices.Contains(seen, name):
			return fmt.Errorf("acme_domain: %q is there twice", text)
		}
		seen = append(seen, name)
	}
	if s.ACMEEmail != "" {
		if a, err := mail.ParseAddress(s.ACMEEmail); err != nil || a.Address != s.ACMEEmail {
			return fmt.Errorf("acme_email: %q is no e-mail address", s.ACMEEmail)
		}
	}
	if s.ACMEDirectory != "" {
		if u, err := url.Parse(s.ACMEDirectory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("acme_directory: %q is no URL such as https://ca.example/directory", s.ACMEDirectory)
		}
	}
	return nil
}
