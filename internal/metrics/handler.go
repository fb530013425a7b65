package metrics

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// atOnce is how many scrapes are answered at once.
const atOnce = 4

// Handler answers with all metrics: as Prometheus' text, or OpenMetrics for whoever asks for that.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: atOnce, ErrorHandling: promhttp.ContinueOnError, ErrorLog: faults{log},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			web.Failing(&auth.Error{Code: auth.CodeMethodNotAllowed}).ServeHTTP(w, r)
			return
		}
		scrape.ServeHTTP(w, r)
	})
}

// faults logs what can't be shown.
type faults struct{ log *slog.Logger }

func (f faults) Println(v ...any) {
	f.log.Warn("some metrics can't be shown", "err", fmt.Sprint(v...))
}
