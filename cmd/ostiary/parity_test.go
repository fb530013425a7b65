package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/parity"
)

// The last line of the report says whether it is safe to cut over, and what is in the way.
func TestParity_Verdict(t *testing.T) {
	at := time.Now()
	row := func(route string, kind parity.Kind, detail string, n int64) parity.Count {
		return parity.Count{Key: parity.Key{Dialect: "senmo", Route: route, Kind: kind, Detail: detail}, Requests: n, LastAt: at}
	}
	for _, c := range []struct {
		counts []parity.Count
		safe   bool
		why    string
	}{
		{nil, false, "Nothing was compared"},
		{[]parity.Count{row("/a", parity.Refused, "throttled", 500)}, false, "Nothing was compared"},
		{[]parity.Count{row("/a", parity.Same, "", 99)}, false, "Too few requests to tell: it takes 100 of each route, and senmo /a has 99"},
		{[]parity.Count{row("/a", parity.Same, "", 100), row("/a", parity.Extra, "x", 100), row("/a", parity.Learned, "unknown_name", 3)}, true, "Safe to cut over: 100 requests"},
		{[]parity.Count{row("/a", parity.Same, "", 100), row("/b", parity.Same, "", 1)}, false, "senmo /b has 1"},
		{[]parity.Count{row("/a", parity.Same, "", 100), row("/b", parity.Refused, "throttled", 500)}, false, "senmo /b has 0"},
		{
			[]parity.Count{row("/a", parity.Same, "", 999), row("/a", parity.Different, "", 1), row("/a", parity.Status, "200 there, 403 here", 1)}, false,
			`Not safe to cut over yet: of 1000 requests, 1 (0.1%) had a difference that can break a client; first of these: status "200 there, 403 here", 1 times at senmo /a.`,
		},
	} {
		r := parityReport{of: map[parityJSON]*parityJSON{}, compared: map[routeOf]int64{}, differed: map[routeOf]int64{}}
		for _, n := range c.counts {
			r.add(n)
		}
		if v := r.verdict(); v.Safe != c.safe || !strings.Contains(v.Why, c.why) {
			t.Errorf("%v: got %+v, want %q", c.counts, v, c.why)
		}
	}
}
