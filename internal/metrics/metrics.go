// Package metrics counts what the server does, and shows it to Prometheus. The names, labels
// and help texts of all metrics are here; docs/metrics.md has them for operators.
//
// A label has one of a few values that are known when the program is built, or are in its
// settings: a dialect, a route, a realm. None has what a client sent.
package metrics

import (
	"runtime"
	"strconv"
	"time"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/parity"
	"github.com/ostiary/ostiary/internal/web"
)

// Metrics is all that is counted. It is an auth.Observer, a password.Observer and a
// store.Observer, and safe for concurrent use.
type Metrics struct {
	registry *registry

	logins, refreshes, used              counters2
	verified, introspected, revoked      counters
	viewed                               [2]*number
	throttled, audited, failed, resolved counters
	parity, writeback                    counters2
	reserving                            *number

	answered children[answer, *distribution]
	codes    counters
	refused  counters

	hashWait, hash *distribution
	hashRefused    *number

	wait, read, batch, commit *distribution
	batched                   *distribution
	retried                   *number
}

// Buckets, in seconds. A hash takes some 20 ms, a read from memory 20 µs.
var (
	fast     = []float64{.00001, .00003, .0001, .0003, .001, .003, .01, .03, .1, .3, 1, 5}
	requests = []float64{.0001, .0003, .001, .003, .01, .03, .06, .1, .2, .5, 1, 2, 5, 10}
	hashing  = []float64{.001, .005, .01, .02, .03, .05, .1, .2, .5, 1, 2, 5}
)

// New makes the metrics of a version of the program, which asks the sources at each scrape.
func New(version string, s Sources) *Metrics {
	r := newRegistry(runtimeMetrics, processMetrics, (&scrape{Sources: s}).collect)
	m := &Metrics{registry: r}

	build := r.family(&family{"ostiary_build_info", "The version of the program; always 1.", kindGauge, []string{"version", "go"}})
	r.number(build, version, runtime.Version()).Inc()

	m.logins = m.counters2("ostiary_logins_total", "Steps of logins, by what became of them: signed_in, password_passed, or why not, as in the audit log.", "dialect", "outcome")
	m.refreshes = m.counters2("ostiary_refreshes_total", "Refresh tokens that were presented, by what became of them: rotated, retried, stolen, or an error's code.", "dialect", "outcome")
	m.used = m.counters2("ostiary_usage_requests_total", "Requests at the dialects' routes, by what they came to.", "dialect", "what")
	m.parity = m.counters2("ostiary_parity_total", "Requests that a legacy server and this one have both answered, or not, by the kinds of what differed.", "dialect", "kind")
	m.writeback = m.counters2("ostiary_writeback_lines_total", "What became of lines for an old system: delivered, refused by it, or failed, for tries at which it could not be told.", "realm", "outcome")
	m.verified = m.counters("ostiary_verifications_total", "Answers of /ostiary/verify, by the code of the error, or ok.", "outcome", "ok")
	m.introspected = m.counters("ostiary_introspections_total", "Tokens that services asked about, by why they are dead, or ok.", "outcome", "ok")
	m.revoked = m.counters("ostiary_revocations_total", "Tokens that services revoked, by why there was nothing to end, or ok.", "outcome", "ok")
	viewed := m.counters("ostiary_session_lookups_total", "Sessions that were looked for, by where they were found: in memory, or not there but in the store.", "source", "memory", "store")
	m.viewed = [2]*number{viewed.of("store"), viewed.of("memory")}
	m.throttled = m.counters("ostiary_guesses_throttled_total", "Guesses that a spent budget refused, by its kind.", "budget", "account", "known", "source", "factor")
	m.reserving = m.gauge("ostiary_guesses_reserving", "Guesses that ask for their place in the budgets, or wait for those in flight.")
	m.audited = m.counters("ostiary_audit_entries_total", "Entries of the audit log that this process wrote, by their kind.", "kind", kinds()...)

	answered := r.family(&family{
		"ostiary_http_request_duration_seconds", "Requests that were answered, by dialect, route and class of the status.", kindHistogram, []string{"dialect", "route", "status"},
	})
	m.answered.make = func(a answer) *distribution {
		return r.distribution(answered, requests, string(a.dialect), a.route, strconv.Itoa(a.class)+"xx")
	}
	m.codes = m.counters("ostiary_http_errors_total", "Requests that were answered with an error, by its code.", "code")
	m.refused = m.counters("ostiary_http_refused_total", "Requests that were refused before they were looked at, by why.", "reason")
	for _, why := range web.Refusals {
		m.refused.of(string(why))
	}

	m.hashWait = m.histogram("ostiary_password_hash_wait_seconds", "How long passwords waited for a slot to be hashed in.", fast)
	m.hash = m.histogram("ostiary_password_hash_duration_seconds", "How long passwords were hashed, without the wait.", hashing)
	m.hashRefused = m.counter("ostiary_password_hash_refused_total", "Passwords that were not hashed, since there would have been no slot in time.")

	m.store()
	return m
}

// store makes the metrics of the store.
func (m *Metrics) store() {
	took := m.registry.family(&family{
		"ostiary_store_operation_duration_seconds",
		"How long the database took: read (outside of transactions), batch (transactions that were committed together), commit, and wait (of a read for a connection).",
		kindHistogram, []string{"operation"},
	})
	for what, to := range map[string]**distribution{"wait": &m.wait, "read": &m.read, "batch": &m.batch, "commit": &m.commit} {
		*to = m.registry.distribution(took, fast, what)
	}
	m.batched = m.histogram("ostiary_store_batch_transactions", "How many transactions were committed together.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256})
	m.retried = m.counter("ostiary_store_retried_transactions_total", "Transactions that were run once more, after a conflict or a lost connection.")
	m.resolved = m.counters("ostiary_store_unknown_commits_total", "Commits whose answer was lost, by what they turned out to be.", "outcome", "committed", "lost", "unknown")
	m.failed = m.counters("ostiary_store_errors_total", "Errors of the database, by what they say about it.", "fault",
		"other", "damaged", "foreign", "open", "read_only", "full", "io", "busy", "away", "denied", "missing", "pooler")
}

func kinds() (names []string) {
	for _, k := range audit.Kinds {
		names = append(names, string(k))
	}
	return names
}

// Login is of auth.Observer, as those that follow.
func (m *Metrics) Login(d auth.Dialect, outcome string) {
	m.logins.of([2]string{string(d), outcome}).Inc()
}

// Refreshed counts a refresh token that was presented.
func (m *Metrics) Refreshed(d auth.Dialect, outcome string) {
	m.refreshes.of([2]string{string(d), outcome}).Inc()
}

// Used counts a request at a dialect's route.
func (m *Metrics) Used(d auth.Dialect, what auth.Used) {
	m.used.of([2]string{string(d), what.String()}).Inc()
}

// Differed counts what two servers answered to one request.
func (m *Metrics) Differed(d auth.Dialect, kind parity.Kind) {
	m.parity.of([2]string{string(d), string(kind)}).Inc()
}

// WroteBack counts what became of lines that an old system was to be told.
func (m *Metrics) WroteBack(realm, outcome string, n int) {
	m.writeback.of([2]string{realm, outcome}).Add(n)
}

// Verified counts a verification.
func (m *Metrics) Verified(code auth.Code) { m.verified.of(ok(code)).Inc() }

// Introspected counts an introspection.
func (m *Metrics) Introspected(code auth.Code) { m.introspected.of(ok(code)).Inc() }

// Revoked counts a revocation.
func (m *Metrics) Revoked(code auth.Code) { m.revoked.of(ok(code)).Inc() }

// Viewed counts a session that was looked for.
func (m *Metrics) Viewed(known bool) {
	if known {
		m.viewed[1].Inc()
	} else {
		m.viewed[0].Inc()
	}
}

// Throttled counts a guess that a budget refused.
func (m *Metrics) Throttled(kind auth.BudgetKind) { m.throttled.of(string(kind)).Inc() }

// Reserving counts the guesses that ask for a place.
func (m *Metrics) Reserving(n int) { m.reserving.Add(n) }

// Audited counts an entry of the audit log.
func (m *Metrics) Audited(kind audit.Kind) { m.audited.of(string(kind)).Inc() }

func ok(code auth.Code) string {
	if code == "" {
		return "ok"
	}
	return string(code)
}

// answer is what the durations of requests are told apart by.
type answer struct {
	dialect auth.Dialect
	route   string
	class   int
}

// Answered is for web.Options.
func (m *Metrics) Answered(o web.Outcome) {
	m.answered.of(answer{o.Dialect, o.Route, o.Status / 100}).Observe(o.Took.Seconds())
	if o.Code != "" {
		m.codes.of(string(o.Code)).Inc()
	}
	if o.Refused != "" {
		m.refused.of(string(o.Refused)).Inc()
	}
}

// HashWaited is of password.Observer, as the two that follow.
func (m *Metrics) HashWaited(d time.Duration) { m.hashWait.Observe(d.Seconds()) }

// Hashed tells how long a hash took.
func (m *Metrics) Hashed(took time.Duration) { m.hash.Observe(took.Seconds()) }

// HashRefused counts a password that would have waited too long.
func (m *Metrics) HashRefused() { m.hashRefused.Inc() }

// StoreWaited is of store.Observer, as those that follow.
func (m *Metrics) StoreWaited(d time.Duration) { m.wait.Observe(d.Seconds()) }

// StoreRead tells how long a read took.
func (m *Metrics) StoreRead(took time.Duration) { m.read.Observe(took.Seconds()) }

// StoreBatch tells how many transactions were committed together, and how long that took.
func (m *Metrics) StoreBatch(transactions int, took time.Duration) {
	m.batched.Observe(float64(transactions))
	m.batch.Observe(took.Seconds())
}

// StoreCommit tells how long a commit took.
func (m *Metrics) StoreCommit(took time.Duration) { m.commit.Observe(took.Seconds()) }

// StoreRetried counts transactions that are run once more.
func (m *Metrics) StoreRetried(transactions int) { m.retried.Add(transactions) }

// StoreResolved counts a commit whose answer was lost.
func (m *Metrics) StoreResolved(what string) { m.resolved.of(what).Inc() }

// StoreFailed counts an error of the database.
func (m *Metrics) StoreFailed(fault string) { m.failed.of(fault).Inc() }
