package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// checkObserved sees that metrics have an address of their own, and that traces can be sent.
func (s *Server) checkObserved() error {
	if s.AdminListen != "" {
		if err := checkAddress(s.AdminListen); err != nil {
			return fmt.Errorf("admin_listen: %w", err)
		}
		host, port, _ := net.SplitHostPort(s.AdminListen)
		for _, other := range []struct{ name, address string }{{"listen", s.Listen}, {"http_listen", s.HTTPListen}} {
			if port != "0" && s.AdminListen == other.address {
				return fmt.Errorf("admin_listen: is the same address as %s: metrics are not for clients", other.name)
			}
		}
		if host == "" {
			return fmt.Errorf("admin_listen: %q has no host: name the address that metrics are for, such as 127.0.0.1%[1]s", s.AdminListen)
		}
	}
	if s.TraceSample < 0 || s.TraceSample > 1 || s.TraceSample != s.TraceSample {
		return fmt.Errorf("trace_sample: must be between 0 and 1")
	}
	return checkEndpoint(s.TraceEndpoint)
}

// AdminLoopback says whether only this machine can reach the address of the metrics.
func (s *Server) AdminLoopback() bool { return isLoopback(s.AdminListen) }

func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("trace_endpoint: must be a URL such as http://127.0.0.1:4318") // never echoed: it may carry a password
	case u.User != nil:
		return fmt.Errorf("trace_endpoint: must have no user and no password: a collector on this machine can add them")
	case u.RawQuery != "" || u.Fragment != "" || strings.Contains(text, "#"):
		return fmt.Errorf("trace_endpoint: must have no query and no fragment")
	}
	return nil
}
