package metrics

import (
	"net/http"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// atOnce is how many scrapes are answered at once.
const atOnce = 4

// Handler answers with all metrics: as Prometheus' text, or OpenMetrics for whoever asks for that.
func (m *Metrics) Handler() http.Handler {
	places := make(chan struct{}, atOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			web.Failing(nil, &auth.Error{Code: auth.CodeMethodNotAllowed}).ServeHTTP(w, r)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			write(w, r, m.registry.gather())
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		}
	})
}
