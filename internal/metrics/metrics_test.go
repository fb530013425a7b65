package metrics

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/web"
)

var (
	_ auth.Observer     = (*Metrics)(nil)
	_ password.Observer = (*Metrics)(nil)
)

// full has something to say of everything.
var full = Sources{
	Hashing: func() (waiting, running, slots int) { return 3, 2, 4 },
	Store:   func() Store { return Store{Engine: "SQLite", Max: 5, InUse: 1, Idle: 2, Waits: 7, Waited: time.Second} },
	Doors:   func() []Door { return []Door{{Name: "listen", Open: 9, Closed: map[string]uint64{"room": 8}}} },
	Spans:   func() (sent, dropped uint64) { return 11, 12 },
	Accounts: func() map[string]auth.Takeover {
		return map[string]auth.Takeover{"default": {Accounts: 9, SignedIn: 4, Never: 5, Imported: 3, Adopted: 2, Foreign: 1, Elsewhere: 6, Disabled: 7, Pending: map[auth.Dialect]int{"senmo": 8}}}
	},
	LastBackup:   func(context.Context) (time.Time, bool) { return time.Unix(500, 0), true },
	Certificates: func() []Certificate { return []Certificate{{"login.example.com", time.Unix(600, 0)}} },
	Realms: func(context.Context) []Realm {
		return []Realm{
			{Name: "default", Keys: []Key{{Algorithm: "RS256", Since: time.Unix(100, 0), Until: time.Unix(200, 5e8)}, {Algorithm: "ES256", Since: time.Unix(300, 0)}}, Head: 21, Signed: 20, LastCheckpoint: time.Unix(400, 0)},
			{Name: "new", Head: 1},
		}
	},
}

// text is what a scrape gets.
func scrapeText(t *testing.T, h http.Handler, accept string) (body string, status int, contentType string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Body.String(), w.Code, w.Header().Get("Content-Type")
}

func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func TestMetrics_Text(t *testing.T) {
	m := New("v1.2.3", full)
	m.Login("cloudio", "signed_in")
	m.Login("cloudio", "signed_in")
	m.Login("senmo", "wrong_password")
	m.Refreshed("senmo", "stolen")
	m.Used("nomic", auth.UsedAdopted)
	m.Verified("")
	m.Verified(auth.CodeSessionEnded)
	m.Introspected("")
	m.Revoked(auth.CodeNotFound)
	m.Viewed(true)
	m.Viewed(true)
	m.Viewed(false)
	m.Throttled(auth.BudgetKnown)
	m.Reserving(1)
	m.Reserving(1)
	m.Reserving(-1)
	m.Audited(audit.SignedIn)
	m.HashWaited(2 * time.Second)
	m.Hashed(time.Millisecond)
	m.HashRefused()
	m.StoreWaited(time.Second)
	m.StoreRead(time.Second)
	m.StoreBatch(5, 2*time.Second)
	m.StoreCommit(time.Second)
	m.StoreRetried(4)
	m.StoreResolved("lost")
	m.StoreFailed("full")
	m.Answered(web.Outcome{Route: "/v1/auth", Dialect: "senmo", Status: 401, Code: auth.CodeBadCredentials, Took: 50 * time.Millisecond})
	m.Answered(web.Outcome{Status: 403, Code: auth.CodeForbidden, Refused: web.RefusedPeer})
	body, _, got := scrapeText(t, m.Handler(), "")
	if !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Error(got)
	}
	has(t, body,
		`ostiary_logins_total{dialect="cloudio",outcome="signed_in"} 2`, `ostiary_logins_total{dialect="senmo",outcome="wrong_password"} 1`,
		`ostiary_refreshes_total{dialect="senmo",outcome="stolen"} 1`,
		`ostiary_usage_requests_total{dialect="nomic",what="adopted"} 1`,
		`ostiary_accounts{realm="default",state="all"} 9`, `ostiary_accounts{realm="default",state="signed_in"} 4`, `ostiary_accounts{realm="default",state="never_signed_in"} 5`,
		`ostiary_accounts{realm="default",state="imported"} 3`, `ostiary_accounts{realm="default",state="adopted"} 2`, `ostiary_accounts{realm="default",state="foreign_hash"} 1`,
		`ostiary_accounts{realm="default",state="factor_elsewhere"} 6`, `ostiary_accounts{realm="default",state="disabled"} 7`, `ostiary_accounts_pending{dialect="senmo",realm="default"} 8`,
		`ostiary_verifications_total{outcome="ok"} 1`, `ostiary_verifications_total{outcome="session_ended"} 1`,
		`ostiary_introspections_total{outcome="ok"} 1`, `ostiary_revocations_total{outcome="not_found"} 1`,
		`ostiary_session_lookups_total{source="memory"} 2`, `ostiary_session_lookups_total{source="store"} 1`,
		`ostiary_guesses_throttled_total{budget="known"} 1`, `ostiary_guesses_throttled_total{budget="source"} 0`, `ostiary_guesses_reserving 1`,
		`ostiary_audit_entries_total{kind="signed_in"} 1`, `ostiary_audit_entries_total{kind="session_ended"} 0`,
		`ostiary_password_hash_wait_seconds_sum 2`, `ostiary_password_hash_duration_seconds_count 1`, `ostiary_password_hash_refused_total 1`,
		`ostiary_password_hash_queue 3`, `ostiary_password_hash_slots_in_use 2`, `ostiary_password_hash_slots 4`,
		`ostiary_store_operation_duration_seconds_count{operation="wait"} 1`, `ostiary_store_operation_duration_seconds_sum{operation="batch"} 2`,
		`ostiary_store_operation_duration_seconds_count{operation="read"} 1`, `ostiary_store_operation_duration_seconds_count{operation="commit"} 1`,
		`ostiary_store_batch_transactions_sum 5`, `ostiary_store_retried_transactions_total 4`,
		`ostiary_store_unknown_commits_total{outcome="lost"} 1`, `ostiary_store_errors_total{fault="full"} 1`, `ostiary_store_errors_total{fault="away"} 0`,
		`ostiary_store_info{engine="SQLite"} 1`, `ostiary_store_connections{state="in_use"} 1`, `ostiary_store_connections{state="idle"} 2`, `ostiary_store_connections_max 5`,
		`ostiary_store_connection_waits_total 7`, `ostiary_store_connection_wait_seconds_total 1`,
		`ostiary_http_request_duration_seconds_count{dialect="senmo",route="/v1/auth",status="4xx"} 1`,
		`ostiary_http_request_duration_seconds_bucket{dialect="senmo",route="/v1/auth",status="4xx",le="0.03"} 0`,
		`ostiary_http_request_duration_seconds_bucket{dialect="senmo",route="/v1/auth",status="4xx",le="0.06"} 1`,
		`ostiary_http_errors_total{code="bad_credentials"} 1`, `ostiary_http_refused_total{reason="undeclared_peer"} 1`, `ostiary_http_refused_total{reason="bodies"} 0`,
		`ostiary_connections{listener="listen"} 9`, `ostiary_connections_closed_total{listener="listen",reason="room"} 8`,
		`ostiary_trace_spans_total{outcome="sent"} 11`, `ostiary_trace_spans_total{outcome="dropped"} 12`,
		`ostiary_signing_key_since_timestamp_seconds{algorithm="RS256",realm="default"} 100`, `ostiary_signing_key_until_timestamp_seconds{algorithm="RS256",realm="default"} 200.5`,
		`ostiary_audit_head{realm="default"} 21`, `ostiary_audit_checkpoint{realm="default"} 20`, `ostiary_audit_checkpoint_timestamp_seconds{realm="default"} 400`,
		`ostiary_audit_checkpoint{realm="new"} 0`,
		`ostiary_last_backup_timestamp_seconds 500`, `ostiary_certificate_expiry_timestamp_seconds{domain="login.example.com"} 600`,
	)
	for _, none := range []string{`until_timestamp_seconds{algorithm="ES256"`, `checkpoint_timestamp_seconds{realm="new"`} {
		if strings.Contains(body, none) {
			t.Errorf("there is %s", none)
		}
	}
	for _, some := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total ", `ostiary_build_info{go="go1.`, `version="v1.2.3"} 1`} {
		if !strings.Contains(body, some) {
			t.Errorf("there is no %s", some)
		}
	}
	body, _, got = scrapeText(t, m.Handler(), "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(got, "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(body, "\n# EOF\n") {
		t.Error(got)
	}
	has(t, body, "# TYPE ostiary_logins counter")
}

func TestHandler_Methods(t *testing.T) {
	h := New("v0", Sources{}).Handler()
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405, "TRACE": 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/metrics", nil))
		if w.Code != want || want == 405 && (w.Header().Get("Allow") != "GET, HEAD" || w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// A database that does not answer keeps nothing else from being told.
func TestScrape_StoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := full
		began := time.Now()
		answer := make(chan struct{})
		away.Realms = func(context.Context) []Realm { <-answer; return nil }
		body, status, _ := scrapeText(t, New("v0", away).Handler(), "")
		if status != 200 || time.Since(began) != realmLimit {
			t.Errorf("%d after %s", status, time.Since(began))
		}
		has(t, body, "ostiary_password_hash_queue 3", "ostiary_store_connections_max 5")
		if strings.Contains(body, "ostiary_audit_head{") {
			t.Error("what is not known is told")
		}
		close(answer)
	})
}

func TestChildren_MadeOnce(t *testing.T) {
	made := 0
	c := children[int, *int]{make: func(int) *int { made++; return new(int) }}
	var first [100]*int
	for i := range first {
		first[i] = c.of(i)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range first {
				if c.of(i) != first[i] {
					t.Error("another one")
				}
			}
		})
	}
	all.Wait()
	if made != 100 {
		t.Errorf("%d made", made)
	}
}

func BenchmarkAnswered(b *testing.B) {
	m := New("v0", Sources{})
	o := web.Outcome{Route: "/ostiary/verify", Dialect: "senmo", Status: 200, Took: 20 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Viewed(true)
		m.Verified("")
		m.Answered(o)
	}
}

// What is written is what Prometheus' own parser reads.
func TestText_Parsed(t *testing.T) {
	m := New(`v"1\`, full)
	m.Hashed(20 * time.Millisecond)
	m.Hashed(time.Hour)
	m.Answered(web.Outcome{Route: "/v1/auth", Dialect: "senmo", Status: 401, Took: time.Second})
	body, _, _ := scrapeText(t, m.Handler(), "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 40 {
		t.Errorf("%d families", len(families))
	}
	if got := families["ostiary_build_info"].GetMetric()[0].GetLabel()[1].GetValue(); got != `v"1\` {
		t.Errorf("the label is %q", got)
	}
	h := families["ostiary_password_hash_duration_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 2 || h.GetSampleSum() != 3600.02 || len(h.GetBucket()) != len(hashing)+1 {
		t.Errorf("%v", h)
	}
	for i, b := range h.GetBucket()[:len(hashing)] {
		want := uint64(0)
		if hashing[i] >= .02 {
			want = 1
		}
		if b.GetUpperBound() != hashing[i] || b.GetCumulativeCount() != want {
			t.Errorf("bucket %v", b)
		}
	}
}

func TestHandler_Packed(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	New("v0", Sources{}).Handler().ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(string(body), "\nprocess_start_time_seconds ") {
		t.Errorf("%v: %.200s", err, body)
	}
}
