package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a client prefers is what it gets.
func TestHandler_Preferences(t *testing.T) {
	h := New("v0", Sources{}).Handler()
	answer := func(name string, lines []string) http.Header {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header[name] = lines
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Vary"); got != "Accept, Accept-Encoding" {
			t.Errorf("Vary: %s", got)
		}
		return w.Header()
	}
	const open = "application/openmetrics-text"
	for _, c := range []struct {
		lines []string
		open  bool
	}{
		{nil, false}, {[]string{""}, false}, {[]string{"*/*"}, false}, {[]string{"application/*"}, true}, {[]string{"image/png"}, false},
		{[]string{open}, true}, {[]string{"Application/OpenMetrics-Text; Version=1.0.0"}, true},
		{[]string{open + ";q=0"}, false}, {[]string{open + ";q=0, */*"}, false}, {[]string{open + "; q=0.000"}, false},
		{[]string{"text/plain, " + open}, true}, {[]string{"text/plain;q=0.9," + open + ";q=0.8"}, false}, {[]string{"text/*;q=0.7," + open + ";q=0.8"}, true},
		{[]string{"text/plain;q=0.5", open + ";q=0.6"}, true}, {[]string{open + ";q=0.3,*/*"}, false}, {[]string{open + ";q=high, text/plain"}, false},
		{[]string{open + ";q=2"}, false}, {[]string{open + ";q=NaN"}, false}, {[]string{open + "2"}, false}, {[]string{"text/plain;x=" + open}, false},
		{[]string{open + ";version=1.0.0;escaping=allow-utf-8;q=0.6," + open + ";version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"}, true}, // Prometheus
	} {
		if got := answer("Accept", c.lines).Get("Content-Type"); strings.HasPrefix(got, open) != c.open {
			t.Errorf("%q: %s", c.lines, got)
		}
	}
	for _, c := range []struct {
		lines  []string
		packed bool
	}{
		{nil, false}, {[]string{""}, false}, {[]string{"gzip"}, true}, {[]string{"X-GZIP"}, true}, {[]string{"br, gzip;q=0.1"}, true}, {[]string{"br", "gzip"}, true},
		{[]string{"gzip;q=0"}, false}, {[]string{"gzip; q=0.0, *"}, false}, {[]string{"*"}, true}, {[]string{"*;q=0"}, false}, {[]string{"gzipped"}, false},
		{[]string{"identity, gzip;q=0.5"}, false}, {[]string{"identity;q=0.5, gzip"}, true}, {[]string{"br"}, false}, {[]string{"gzip;q=1.5"}, false},
	} {
		if got := answer("Accept-Encoding", c.lines).Get("Content-Encoding"); (got == "gzip") != c.packed {
			t.Errorf("%q: %s", c.lines, got)
		}
	}
}
