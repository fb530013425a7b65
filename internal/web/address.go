package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// source is where a request came from.
type source struct {
	client     netip.Addr
	proxied    bool // the peer is a declared proxy
	undeclared bool // the peer is not, but sends what proxies send
	unclear    bool // the peer is, but its headers name no client, or two
}

// proxyHeaders are headers that proxies send. One of them alone tells that there may be many clients behind a peer.
var proxyHeaders = [...]string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Via",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip",
}

// sourceOf finds the client's true address. Headers of a declared proxy are read
// from the right, the end that it wrote itself, up to the first address that is
// no declared proxy. No such header of a declared one, whatever can't be read, and two that name
// different clients, leave the address of the peer: then many clients may share it, so that
// it is nobody's own, but none can choose one.
func sourceOf(r *http.Request, trusted []netip.Prefix) source {
	peer := peerOf(r)
	s := source{client: peer, proxied: contains(trusted, peer)}
	if !s.proxied {
		s.undeclared = slices.ContainsFunc(proxyHeaders[:], func(name string) bool { return len(r.Header[name]) > 0 })
		return s
	}
	forwarded, chain := r.Header["Forwarded"], r.Header["X-Forwarded-For"]
	var a, b netip.Addr
	if len(forwarded) > 0 {
		a = clientOf(forwardedFor(forwarded), trusted)
	}
	if len(chain) > 0 {
		b = clientOf(strings.Split(strings.Join(chain, ","), ","), trusted)
	}
	switch {
	case len(forwarded) > 0 && len(chain) > 0 && a != b:
		s.unclear = true
	case a.IsValid():
		s.client = a
	case b.IsValid():
		s.client = b
	default:
		s.unclear = true
	}
	return s
}

func peerOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// clientOf walks the nodes from the right to the first that is no proxy of ours.
// If all are, the first that was passed is the client. The zero address means
// that a node on the way can't be read.
func clientOf(nodes []string, trusted []netip.Prefix) netip.Addr {
	var client netip.Addr
	for i := len(nodes) - 1; i >= 0; i-- {
		if client = nodeAddress(nodes[i]); !client.IsValid() || !contains(trusted, client) {
			return client
		}
	}
	return client
}

// nodeAddress reads a node of RFC 7239 section 6: an address, IPv6 in brackets or
// not, and perhaps a port. "unknown" and obfuscated names are no addresses.
func nodeAddress(node string) netip.Addr {
	node = strings.Trim(node, " \t")
	host, port := node, ""
	if rest, found := strings.CutPrefix(node, "["); found {
		if host, port, found = strings.Cut(rest, "]"); !found || strings.IndexByte(host, ':') < 0 {
			return netip.Addr{}
		}
		if port != "" && port[0] != ':' {
			return netip.Addr{}
		}
	} else if i := strings.IndexByte(node, ':'); i >= 0 && i == strings.LastIndexByte(node, ':') {
		host, port = node[:i], node[i:]
	}
	if port != "" {
		if _, err := strconv.ParseUint(port[1:], 10, 16); err != nil {
			return netip.Addr{}
		}
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.Zone() != "" {
		return netip.Addr{}
	}
	return address.Unmap()
}

// forwardedFor is the "for" of each element of Forwarded (RFC 7239 section 4), ""
// where an element has none, or more than one. A header that can't be taken apart
// is one node that can't be read.
func forwardedFor(values []string) []string {
	unreadable := []string{""}
	elements, ok := splitQuoted(strings.Join(values, ","), ',')
	if !ok {
		return unreadable
	}
	nodes := make([]string, 0, len(elements))
	for _, element := range elements {
		pairs, _ := splitQuoted(element, ';')
		node, seen := "", false
		for _, pair := range pairs {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !strings.EqualFold(name, "for") {
				continue
			}
			if seen {
				return unreadable
			}
			node, seen = unquote(value), true
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// splitQuoted splits s at each separator that is not inside a quoted string (RFC
// 9110 section 5.6.4), and refuses a quote that does not end.
func splitQuoted(s string, separator byte) (parts []string, ok bool) {
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:]), !quoted
}

// unquote takes the quotes off; an escape inside belongs to no address, and stays.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// unmapped writes prefixes of IPv4 addresses mapped into IPv6 as those of IPv4,
// which is how addresses are compared here.
func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}
