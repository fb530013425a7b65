package web

import (
	"net/netip"
	"testing"
)

// A source has so many requests answered at once, and no more; others have theirs, and the
// doors of servers are open to all.
func TestSourceRequests_TooMany(t *testing.T) {
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 100}}, nil, Options{SourceRequests: 2})
	inside := func(n int32) { until(t, "requests inside", func() bool { return h.inside.Load() == n }) }
	var all []string
	for range 2 {
		c := h.dial(t, here, whole)
		t.Cleanup(func() { gets(t, "one of two", c, 200) })
	}
	inside(2)
	for range 5 { // which have not come as a whole, and so take no place
		h.dial(t, "127.0.0.2", halfBody)
	}
	for _, path := range []string{"POST /wait", "GET /address", "POST /login"} {
		all = append(all, gets(t, "one too many", h.dial(t, here, path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"), 503))
	}
	const want = `{"code":"unavailable","error":"too many requests at once","path":"/wait"}`
	if all[0] != want {
		t.Errorf("not in the shape of the surface: %s", all[0])
	}
	response := h.raw(t, whole)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	for _, c := range []struct {
		from, text string
		status     int
	}{
		{"127.0.0.2", quick, 200},
		{here, "GET /missing HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{here, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", 405},
	} {
		gets(t, c.text, h.dial(t, c.from, c.text), c.status)
	}
	for range 2 {
		slow := h.dial(t, "127.0.0.2", "GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := slow.Peek(1); err != nil { // it is not read to its end, and takes no place
			t.Fatal(err)
		}
	}
	gets(t, "beside slow readers", h.dial(t, "127.0.0.2", quick), 200)
	server := h.dial(t, here, "POST /servers HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	inside(3)
	close(h.leave)
	gets(t, "a server", server, 200)
	inside(0)
	until(t, "room again", func() bool { return h.raw(t, quick).StatusCode == 200 })
	h.log.has(t, "raise source_requests", 4)
}

func TestCrowd_CountsNetworksOfIPv6(t *testing.T) {
	c := crowd{limit: 1, of: map[netip.Addr]int{}}
	for _, try := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::ffff:1", false}, {"2001:db8:0:1::1", true},
	} {
		if err := c.enter(netip.MustParseAddr(try.address)); (err == nil) != try.ok {
			t.Errorf("%s: %v", try.address, err)
		}
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::2", "2001:db8:0:1::2"} {
		c.leave(netip.MustParseAddr(address))
	}
	if len(c.of) != 0 {
		t.Errorf("still there: %v", c.of)
	}
}
