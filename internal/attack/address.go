package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
)

var sources = regexp.MustCompile(`source=(\S+)`)

func spoofedAddress(w *world) (string, error) {
	const free = 10
	var f findings
	forged := []string{
		"203.0.113.%d", "::ffff:203.0.113.%d", "2001:db8::%d", "a%d", "unknown, 203.0.113.%d", "203.0.113.%d, 127.0.0.1",
		`"[2001:db8::%d]:1"`, "127.0.0.%d", "::ffff:127.0.0.%d", "203.0.113.%d:80", "localhost%d", "%d",
	}

	// Nobody declared a proxy: what is sent is not believed.
	direct := w.serve("guess_account = 0", fmt.Sprintf("guess_source = %d", free))
	v := direct.from(stranger)
	var spoofed atomic.Int32
	atOnce(4*free, func(i int) {
		address := fmt.Sprintf(forged[i%len(forged)], i)
		a := v.post("/v1/auth", object("username", fmt.Sprintf("user%d", i), "password", mistaken),
			"X-Forwarded-For", address, "X-Real-Ip", address, "Forwarded", "for="+address)
		if f.want("a guess under a forged address", a, 400, 429) && a.status == 400 {
			spoofed.Add(1)
		}
	})
	if n := spoofed.Load(); n != free {
		f.addf("%d guesses of one address evaluated under forged ones, not %d", n, free)
	}
	for _, m := range sources.FindAllStringSubmatch(direct.log(), -1) {
		if m[1] != stranger {
			f.addf("the log says that a request came from %s", m[1])
		}
	}

	// A declared proxy is believed, in what it can have said, and it alone is answered.
	const proxy = "127.0.0.9"
	behind := w.serve("guess_account = 0", fmt.Sprintf("guess_source = %d", free), `trusted_proxy = ["`+proxy+`/32"]`)
	f.want("a peer that is no proxy", senmo.login(behind.from(stranger), "ada", mistaken), 403)
	p := behind.from(proxy)
	sweep := func(what string, headers func(i int) []string) {
		var passed atomic.Int32
		atOnce(3*free, func(i int) {
			if a := p.post("/v1/auth", object("username", fmt.Sprintf("user%d", i), "password", mistaken), headers(i)...); f.want(what, a, 400, 429) && a.status == 400 {
				passed.Add(1)
			}
		})
		if n := passed.Load(); n != free {
			f.addf("%s: %d guesses evaluated, not %d", what, n, free)
		}
	}
	sweep("one /64 of IPv6", func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("2001:db8::%x:%x", i, i*7)} })
	sweep("what a client says left of the proxy", func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 203.0.113.7", i)} })
	sweep("one address mapped into IPv6 and not", func(i int) []string {
		return []string{"X-Forwarded-For", []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:99", "::ffff:c000:201"}[i%4]}
	})
	sweep("what can't be read", func(i int) []string {
		return []string{"X-Forwarded-For", []string{"a", "", "203.0.113.300", "1.2.3.4.5", "fe80::1%eth0", "[::1"}[i%6]}
	})
	for _, m := range sources.FindAllStringSubmatch(behind.log(), -1) {
		if _, err := netip.ParseAddr(strings.Trim(m[1], `"`)); err != nil {
			f.addf("the log names a source %s", m[1])
		}
	}
	return fmt.Sprintf("%d spellings of forged headers on a direct link: %d guesses evaluated, all logged as the peer's; behind a proxy a /64, mapped and unreadable addresses are one source each",
		len(forged), spoofed.Load()), f.err()
}
