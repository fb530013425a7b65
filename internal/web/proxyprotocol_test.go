package web

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// introduction is a header of version 2 (section 2.2 of the PROXY protocol), with its
// length unless that is given.
func introduction(command, family byte, payload string, length ...uint16) string {
	if len(length) == 0 {
		length = []uint16{uint16(len(payload))}
	}
	return signature + string(binary.BigEndian.AppendUint16([]byte{command, family}, length[0])) + payload
}

const (
	local, proxied = 0x20, 0x21
	tcp4, tcp6     = 0x11, 0x21
	from4          = "\xc0\x00\x02\x07" + "\x7f\x00\x00\x01" + "\x30\x39" + "\x01\xbb" // 192.0.2.7
)

var from6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" + strings.Repeat("\x00", 15) + "\x01" + "\x30\x39" + "\x01\xbb" // 2001:db8::7

func introducedHall(t *testing.T, perSource int) *hall {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	return newHall(t, ListenerConfig{ProxyProtocol: true, Limits: Limits{Connections: 100, PerSource: perSource, TrustedProxies: trusted}}, nil, Options{Introduced: true})
}

func TestProxyProtocol_NamesTheClient(t *testing.T) {
	h := introducedHall(t, 100)
	for _, c := range []struct{ what, header, want string }{
		{"IPv4", introduction(proxied, tcp4, from4), "192.0.2.7"},
		{"IPv6", introduction(proxied, tcp6, from6), "2001:db8::7"},
		{"IPv4 in IPv6", introduction(proxied, tcp6, strings.Repeat("\x00", 10)+"\xff\xff\xc0\x00\x02\x07"+from6[16:]), "192.0.2.7"},
		{"with extensions", introduction(proxied, tcp4, from4+"\x01\x00\x02h2"+"\x04\x04\x00"+strings.Repeat("\x00", 1024)), "192.0.2.7"},
		{"the proxy itself", introduction(local, 0, ""), here},
		{"the proxy itself, with an address", introduction(local, tcp4, from4), here},
	} {
		t.Run(c.what, func(t *testing.T) {
			const asks = "GET /address HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\nForwarded: for=203.0.113.2\r\n\r\n"
			conn := h.dial(t, here, c.header+asks)
			if got := gets(t, c.what, conn, 200); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			_, _ = conn.WriteString(asks)
			_ = conn.Flush()
			if got := gets(t, "the next request", conn, 200); got != c.want {
				t.Errorf("then %s", got)
			}
			slow := h.dial(t, here, "")
			for _, b := range []byte(c.header + asks) {
				_ = slow.WriteByte(b)
				_ = slow.Flush()
			}
			if got := gets(t, "a byte at a time", slow, 200); got != c.want {
				t.Errorf("a byte at a time: %s", got)
			}
		})
	}
	if log := h.log.String(); strings.Contains(log, "WARN") || strings.Contains(log, "203.0.113") {
		t.Errorf("the log: %s", log)
	}
}

func TestProxyProtocol_Hostile(t *testing.T) {
	h := introducedHall(t, 100)
	for what, text := range map[string]string{
		"no header":                   quick,
		"half a signature":            signature[:8] + quick,
		"another version":             introduction(0x11, tcp4, from4) + quick,
		"another command":             introduction(0x22, tcp4, from4) + quick,
		"no family":                   introduction(proxied, 0, "") + quick,
		"an unknown family":           introduction(proxied, 0x13, from4) + quick,
		"UDP":                         introduction(proxied, 0x12, from4) + quick,
		"a socket of Unix":            introduction(proxied, 0x31, strings.Repeat("x", 216)) + quick,
		"too short for its family":    introduction(proxied, tcp6, from4) + quick,
		"longer than it is":           introduction(proxied, tcp4, from4, 4000) + quick,
		"64 KiB":                      introduction(proxied, tcp4, from4+strings.Repeat("x", 65000)) + quick,
		"the proxy itself, 64 KiB":    introduction(local, 0, strings.Repeat("x", 65000)) + quick,
		"version 1":                   "PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n" + quick,
		"version 1, an address":       "PROXY TCP4 192.0.2.300 127.0.0.1 1 2\r\n" + quick,
		"version 1, unknown":          "PROXY UNKNOWN\r\n" + quick,
		"version 1, without an end":   "PROXY TCP4 192.0.2.8 127.0.0.1 1 2" + strings.Repeat(" ", 200) + quick,
		"version 1, injected":         "PROXY TCP4 192.0.2.8\n 127.0.0.1 1 2\r\n" + quick,
		"a second one":                introduction(proxied, tcp4, from4) + introduction(proxied, tcp6, from6) + quick,
		"two, and the second is of 1": introduction(proxied, tcp4, from4) + "PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n" + quick,
	} {
		t.Run(what, func(t *testing.T) {
			conn := h.dial(t, here, "")
			_, _ = conn.WriteString(text)
			_ = conn.Flush()
			if what == "longer than it is" {
				return // it waits for the rest
			}
			if line, _ := conn.ReadString('\n'); line != "" && line != "HTTP/1.1 400 Bad Request\r\n" {
				t.Error(line)
			}
		})
	}
	closed(t, "a stranger", h.dial(t, "127.0.0.2", ""))
	h.log.has(t, "are no declared proxy", 1)
	h.log.has(t, "without a good header", 1)
	if log := h.log.String(); strings.Contains(log, `"status":200`) {
		t.Errorf("answered: %s", log)
	}
}

// The clients behind a proxy are bounded each by itself.
func TestProxyProtocol_BoundsClients(t *testing.T) {
	h := introducedHall(t, 1)
	header := introduction(proxied, tcp4, from4)
	first := h.dial(t, here, header+halfHead)
	until(t, "the first", func() bool {
		h.listener.mu.Lock()
		defer h.listener.mu.Unlock()
		return len(h.listener.of) == 1
	})
	inside := h.dial(t, here, header+whole)
	closed(t, "the first", first)
	until(t, "a request inside", func() bool { return h.inside.Load() == 1 })
	closed(t, "one more", h.dial(t, here, header+quick))
	gets(t, "another client", h.dial(t, here, introduction(proxied, tcp6, from6)+quick), 200)
	gets(t, "the proxy", h.dial(t, here, introduction(local, 0, "")+quick), 200)
	close(h.leave)
	gets(t, "the one inside", inside, 200)
}

// A header that does not come in time is as good as none.
func TestProxyProtocol_Timeout(t *testing.T) {
	for _, text := range []string{"", signature, introduction(proxied, tcp4, from4, 4000)} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			l := Listen(nil, ListenerConfig{ProxyProtocol: true, Log: slog.New(slog.DiscardHandler), Limits: Limits{Connections: 1, PerSource: 1}})
			c := &conn{Conn: server, listener: l, place: -1}
			c.introduced()
			go func() { _, _ = client.Write([]byte(text)) }()
			start := time.Now()
			if n, err := c.Read(make([]byte, 100)); n != 0 || err == nil {
				t.Errorf("read %d %v", n, err)
			}
			if took := time.Since(start); took != introductionWait {
				t.Errorf("%q: closed after %v", text, took)
			}
			client.Close()
		})
	}
}
