package metrics

import (
	"strconv"
	"strings"
)

// weight is what a header of preferences (RFC 9110, section 12.4.2) says of the first of
// these names that it has; named is false if it has none. Parameters other than the weight
// are not looked at, and a member whose weight can't be read is as if it were not there.
func weight(lines []string, names ...string) (q float64, named bool) {
	for _, name := range names {
		for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			what, parameters, _ := strings.Cut(member, ";")
			if given, ok := weightOf(parameters); ok && strings.EqualFold(strings.TrimSpace(what), name) {
				q, named = max(q, given), true
			}
		}
		if named {
			return q, true
		}
	}
	return 0, false
}

func weightOf(parameters string) (q float64, ok bool) {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return q, err == nil && q >= 0 && q <= 1
		}
	}
	return 1, true
}

// takesOpen tells whether a client would rather have OpenMetrics than Prometheus' text (RFC
// 9110, section 12.5.1). One that takes neither gets the text.
func takesOpen(accept []string) bool {
	open, _ := weight(accept, "application/openmetrics-text", "application/*", "*/*")
	plain, _ := weight(accept, "text/plain", "text/*", "*/*")
	_, named := weight(accept, "application/openmetrics-text")
	return open > plain || named && open > 0 && open == plain
}

// takesGzip tells whether a client would rather have the answer packed (RFC 9110, section 12.5.3).
func takesGzip(encodings []string) bool {
	packed, _ := weight(encodings, "gzip", "x-gzip", "*")
	plain, _ := weight(encodings, "identity")
	return packed > 0 && packed >= plain
}
