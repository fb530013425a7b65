package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestThreat07_ForwardedAddress(t *testing.T) {
	trusted := unmapped(prefixes("10.0.0.0/8", "::ffff:192.168.7.0/120", "fd00::/8"))
	const proxy, direct = "10.0.0.1:5000", "198.51.100.7:5000"
	for _, c := range []struct {
		peer, header, want string
	}{
		{proxy, "", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"[::ffff:10.0.0.1]:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"192.168.7.200:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"[fd00::1%eth0]:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: 1.1.1.1, 203.0.113.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: 1.1.1.1,203.0.113.9 , 10.9.9.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: garbage, 203.0.113.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: 203.0.113.9:4711", "203.0.113.9"},
		{proxy, "X-Forwarded-For: ::ffff:203.0.113.9", "203.0.113.9"},
		{proxy, "X-Forwarded-For: 2001:db8::1", "2001:db8::1"},
		{proxy, "X-Forwarded-For: [2001:db8::1]:4711", "2001:db8::1"},
		{proxy, "X-Forwarded-For: 10.2.2.2, 10.3.3.3", "10.2.2.2"},
		// Whatever can't be read leaves the peer, which is then nobody's own.
		{proxy, "X-Forwarded-For: a", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: ", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9, a", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9, a, 10.1.1.1", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9,", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: unknown", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9:", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9:99999", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.09", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: 203.0.113.9/32", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: fe80::1%eth0", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: [203.0.113.9]", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: [2001:db8::1", "?10.0.0.1"},
		{proxy, "X-Forwarded-For: [2001:db8::1]x", "?10.0.0.1"},
		{proxy, "X-Real-Ip: 203.0.113.9", "?10.0.0.1"},
		// RFC 7239, its own examples first.
		{proxy, `Forwarded: for="_gazonk"`, "?10.0.0.1"},
		{proxy, `Forwarded: For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17"},
		{proxy, `Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43`, "192.0.2.60"},
		{proxy, `Forwarded: for=192.0.2.43, for=198.51.100.17`, "198.51.100.17"},
		{proxy, `Forwarded: for=192.0.2.43,for=10.1.1.1`, "192.0.2.43"},
		{proxy, `Forwarded: for=192.0.2.43;host="a,b;for=1.1.1.1\"", for=10.1.1.1`, "192.0.2.43"},
		{proxy, `Forwarded: for=unknown`, "?10.0.0.1"},
		{proxy, `Forwarded: proto=https`, "?10.0.0.1"},
		{proxy, `Forwarded: for=1.1.1.1;for=2.2.2.2`, "?10.0.0.1"},
		{proxy, `Forwarded: for=1.1.1.1, host="open`, "?10.0.0.1"},
		{proxy, `Forwarded: for="1.1.1.1`, "?10.0.0.1"},
		{proxy, `Forwarded: for="1.1.\1.1"`, "?10.0.0.1"},
		{proxy, `Forwarded: for=1.1.1.1;x=", for="[2001:db8::1]"`, "?10.0.0.1"},
		{proxy, `Forwarded: for=1.1.1.1;x="\, for="[2001:db8::1]"`, "?10.0.0.1"},
		// A proxy writes one of the two; the other is whatever the client sent.
		{proxy, "Forwarded: for=203.0.113.9\nX-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{proxy, "Forwarded: for=1.1.1.1\nX-Forwarded-For: 203.0.113.9", "?10.0.0.1"},
		{proxy, "Forwarded: for=a\nX-Forwarded-For: 203.0.113.9", "?10.0.0.1"},
		// A peer that nobody declared.
		{direct, "X-Forwarded-For: 203.0.113.9", "!198.51.100.7"},
		{direct, "Forwarded: for=203.0.113.9", "!198.51.100.7"},
		{direct, "X-Real-Ip: 203.0.113.9", "!198.51.100.7"},
		{direct, "X-Forwarded-Proto: https", "!198.51.100.7"},
		{direct, "X-Forwarded-Host: login.example", "!198.51.100.7"},
		{direct, "X-Forwarded-Port: 443", "!198.51.100.7"},
		{direct, "Via: 1.1 cache", "!198.51.100.7"},
		{direct, "True-Client-IP: 203.0.113.9", "!198.51.100.7"},
		{direct, "X-Client-IP: 203.0.113.9", "!198.51.100.7"},
		{direct, "X-Cluster-Client-IP: 203.0.113.9", "!198.51.100.7"},
		{direct, "Fastly-Client-IP: 203.0.113.9", "!198.51.100.7"},
		{direct, "Fly-Client-IP: 203.0.113.9", "!198.51.100.7"},
		{direct, "CF-Connecting-IP: 203.0.113.9", "!198.51.100.7"},
		{"[2001:db8::5]:1", "X-Forwarded-For: 10.0.0.1", "!2001:db8::5"},
		{direct, "", "198.51.100.7"},
		{"@", "X-Forwarded-For: 203.0.113.9", "!invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		for line := range strings.SplitSeq(c.header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		s := sourceOf(r, trusted)
		got := s.client.String()
		switch {
		case s.undeclared:
			got = "!" + got
		case s.unclear:
			got = "?" + got
		}
		if got != c.want || s.proxied != (!s.undeclared && c.peer != direct) {
			t.Errorf("%s %q: %s, want %s (%+v)", c.peer, c.header, got, c.want, s)
		}
	}
}

func TestThreat07_UndeclaredPeer(t *testing.T) {
	route := Route{Path: "/", Handler: shows(func(r *Request) string {
		if r.Client.Shared {
			return r.Client.Address.String() + " shared"
		}
		return r.Client.Address.String()
	})}
	h := open(t, Options{}, route)
	for range 3 {
		h.ask(t, "GET", "/", nil, "X-Forwarded-For: 203.0.113.9").is(t, "undeclared", 200, "127.0.0.1 shared")
	}
	h.ask(t, "GET", "/", nil).is(t, "direct", 200, "127.0.0.1")
	if line := h.log.lines(t, 4)[0]; line["source"] != "127.0.0.1" || strings.Count(h.log.String(), "no declared proxy") != 1 {
		t.Errorf("%s", h.log)
	}
	h = open(t, Options{TrustedProxies: prefixes("127.0.0.0/8"), OnlyProxies: true}, route)
	h.ask(t, "GET", "/", nil, "X-Forwarded-For: 203.0.113.9").is(t, "declared", 200, "203.0.113.9")
	h.ask(t, "GET", "/", nil, "X-Forwarded-For: 203.0.113.9", "Forwarded: for=x").is(t, "two clients", 200, "127.0.0.1 shared")
	if n := strings.Count(h.log.String(), "no declared proxy"); n != 0 {
		t.Errorf("%s", h.log)
	}
	h = open(t, Options{TrustedProxies: prefixes("10.0.0.0/8"), OnlyProxies: true}, route)
	h.ask(t, "GET", "/", nil, "X-Forwarded-For: 203.0.113.9").is(t, "another peer", 403,
		`{"type":"about:blank","title":"Forbidden","status":403,"detail":"this server answers its declared proxies only","code":"forbidden"}`)
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{`for=192.0.2.43, for="[2001:db8:cafe::17]:4711"`, `for="_x";proto=https`, `for="a\"`, "1.1.1.1, 10.0.0.1:80", "[::1]:1", ","} {
		f.Add(seed, seed)
	}
	trusted := prefixes("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, forwarded, chain string) {
		for _, h := range []http.Header{{"Forwarded": {forwarded}}, {"X-Forwarded-For": {chain}}, {"Forwarded": {forwarded}, "X-Forwarded-For": {chain, forwarded}}} {
			s := sourceOf(&http.Request{RemoteAddr: "10.0.0.1:80", Header: h}, trusted)
			if !s.client.IsValid() || s.client.Is4In6() || s.client.Zone() != "" || !s.proxied || s.undeclared {
				t.Fatalf("%v: %+v", h, s)
			}
			// What the client wrote before the proxy's own entry changes nothing.
			h = http.Header{"X-Forwarded-For": {chain, "203.0.113.9"}}
			if s := sourceOf(&http.Request{RemoteAddr: "10.0.0.1:80", Header: h}, trusted); s.client.String() != "203.0.113.9" {
				t.Fatalf("%v: %+v", h, s)
			}
		}
	})
}
