package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

var (
	hostLabel     = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	prefixSegment = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	scopeList     = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$`) // RFC 6749, section 3.3
	originScheme  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

// parseHost reads a host name as requests are matched by it: lower case, no port.
func parseHost(text string) (string, error) {
	host := strings.ToLower(text)
	if host == "" {
		return "", nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return host, nil
	}
	bad := len(host) > 253
	for _, label := range strings.Split(host, ".") {
		bad = bad || !hostLabel.MatchString(label)
	}
	if bad {
		return "", fmt.Errorf("%q is no host name (ASCII, without scheme, port, or path)", text)
	}
	return host, nil
}

// checkPrefix keeps prefixes literal: what is written is what a client sends, with
// nothing that a proxy or a router reads as something else.
func checkPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case prefix[0] != '/':
		return fmt.Errorf(`%q must start with "/"`, prefix)
	case prefix == "/":
		return fmt.Errorf(`"/" must not end with "/"; for the root, leave it out`)
	case strings.HasSuffix(prefix, "/"):
		return fmt.Errorf(`%q must not end with "/"`, prefix)
	}
	for _, segment := range strings.Split(prefix[1:], "/") {
		switch {
		case segment == "" || segment == "." || segment == "..":
			return fmt.Errorf(`%q is not a clean path`, prefix)
		case strings.EqualFold(segment, "ostiary") || strings.EqualFold(segment, ".well-known"):
			return fmt.Errorf("%q is in the server's own URL space: /ostiary and /.well-known are taken", prefix)
		case !prefixSegment.MatchString(segment):
			return fmt.Errorf("%q has more than letters, digits, and ._~-", prefix)
		}
	}
	return nil
}

// checkIssuer holds an issuer to RFC 7519, section 2: a StringOrURI.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return fmt.Errorf("must not be empty")
	}
	if err := checkName(issuer); err != nil {
		return err
	}
	if strings.Contains(issuer, ":") {
		if u, err := url.Parse(issuer); err != nil || u.Scheme == "" {
			return fmt.Errorf("%q has a colon, and so must be a URI", issuer)
		}
	}
	return nil
}

func checkName(s string) error {
	if len(s) > 255 || !printable(s) || strings.ContainsRune(s, ' ') {
		return fmt.Errorf("must be at most 255 printable characters without spaces")
	}
	return nil
}

func checkScope(scope string) error {
	if len(scope) > 255 || !scopeList.MatchString(scope) {
		return fmt.Errorf("%q is no list of scopes separated by single spaces", scope)
	}
	return nil
}

// parseOrigins reads web origins as browsers send them (RFC 6454, section 6.2).
func parseOrigins(texts []string) ([]string, error) {
	var out []string
	for _, text := range texts {
		origin, ok := parseOrigin(text)
		if !ok {
			return nil, fmt.Errorf("%q is no origin such as https://app.example.com", text)
		}
		out = append(out, origin)
	}
	return out, nil
}

// parseOrigin takes schemes of app shells too (capacitor://localhost), but neither
// "*" nor "null": a login page is never for everyone's scripts.
func parseOrigin(text string) (string, bool) {
	lower := strings.ToLower(text)
	u, err := url.Parse(lower)
	if err != nil || u.Host == "" || u.Scheme == "file" || !originScheme.MatchString(u.Scheme) {
		return "", false
	}
	host, port := u.Hostname(), u.Port()
	origin := u.Scheme + "://" + u.Host
	if origin != lower || strings.HasSuffix(u.Host, ":") { // user, path, query, or fragment
		return "", false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || addr.Is6() != strings.HasPrefix(u.Host, "[") {
			return "", false
		}
	} else if name, err := parseHost(host); err != nil || name == "" {
		return "", false
	}
	if (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
		origin = strings.TrimSuffix(origin, ":"+port)
	}
	return origin, true
}
