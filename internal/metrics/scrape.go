package metrics

import (
	"context"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Sources are asked at each scrape. One that is nil has nothing to say.
type Sources struct {
	// Hashing tells how many passwords wait for a slot, how many slots are in use, and how many there are.
	Hashing func() (waiting, running, slots int)
	Store   func() Store
	Doors   func() []Door
	// Realms tells of the realms that are served; it may take a read or two for each.
	Realms func(ctx context.Context) []Realm
	// LastBackup is when a backup was made last, the zero time if none was; ok is false if that
	// can't be read.
	LastBackup func(ctx context.Context) (at time.Time, ok bool)
	// Certificates are those that clients are shown.
	Certificates func() []Certificate
	// Accounts are those of the realms, by how far they are in a takeover; none if that is not known.
	Accounts func() map[string]auth.Takeover
	// Spans counts the spans of traces that were sent, and that were dropped.
	Spans func() (sent, dropped uint64)
}

// Store is the database, and its connections.
type Store struct {
	Engine           string
	Max, InUse, Idle int
	Waits            int64
	Waited           time.Duration
}

// Door is an address where requests come in.
type Door struct {
	Name   string // of its setting
	Open   int
	Closed map[string]uint64 // by why
}

// Certificate is one that clients are shown.
type Certificate struct {
	Name  string // the first that it is for
	Until time.Time
}

// Realm is a realm's keys and audit log. A time that is zero, or a number, is not known.
type Realm struct {
	Name           string
	Keys           []Key
	Head, Signed   int64 // numbers of entries of the audit log: of the last, and of the last that was signed
	LastCheckpoint time.Time
	Writeback      *Writeback // nil: no old system is told, or it is not known
}

// Writeback is what waits to be told to an old system.
type Writeback struct {
	Waiting int
	Oldest  time.Time // zero: nothing waits
}

// Key is a key that signs.
type Key struct {
	Algorithm string
	Since     time.Time
	Until     time.Time // when another one is to sign; zero: never by itself
}

func desc(name, help string, labels ...string) *family {
	kind := kindGauge
	if strings.HasSuffix(name, "_total") {
		kind = kindCounter
	}
	return &family{name, help, kind, labels}
}

var (
	hashWaiting = desc("ostiary_password_hash_queue", "Passwords that wait for a slot to be hashed in.")
	hashRunning = desc("ostiary_password_hash_slots_in_use", "Slots in which a password is hashed.")
	hashSlots   = desc("ostiary_password_hash_slots", "Slots for hashing passwords (hash_slots).")

	storeInfo       = desc("ostiary_store_info", "The engine of the database; always 1.", "engine")
	storeMax        = desc("ostiary_store_connections_max", "Connections to the database that there may be.")
	storeOpen       = desc("ostiary_store_connections", "Connections to the database, by whether they are in use.", "state")
	storeWaits      = desc("ostiary_store_connection_waits_total", "How often something waited for the driver to have a connection.")
	storeWaited     = desc("ostiary_store_connection_wait_seconds_total", "How long that took, in all.")
	doorOpen        = desc("ostiary_connections", "Connections of clients that are open, by the setting of the address.", "listener")
	doorClosed      = desc("ostiary_connections_closed_total", "Connections that the server closed before it was asked for more, by why.", "listener", "reason")
	keySince        = desc("ostiary_signing_key_since_timestamp_seconds", "Since when the key signs that signs now.", "realm", "algorithm")
	keyUntil        = desc("ostiary_signing_key_until_timestamp_seconds", "When another key is to sign; absent if keys are not replaced by themselves.", "realm", "algorithm")
	auditHead       = desc("ostiary_audit_head", "The number of the last entry of the audit log.", "realm")
	auditSigned     = desc("ostiary_audit_checkpoint", "The number of the last entry of the audit log that was signed.", "realm")
	auditCheckpoint = desc("ostiary_audit_checkpoint_timestamp_seconds", "When the audit log was signed last.", "realm")
	backWaiting     = desc("ostiary_writeback_waiting", "Lines that wait to be told to an old system.", "realm")
	backOldest      = desc("ostiary_writeback_oldest_timestamp_seconds", "When the first line was made that waits to be told to an old system; absent if none does.", "realm")
	lastBackup      = desc("ostiary_last_backup_timestamp_seconds", "When a backup of the database was made last; 0: never.")
	certificate     = desc("ostiary_certificate_expiry_timestamp_seconds", "When the TLS certificate ends that clients are shown.", "domain")
	accounts        = desc("ostiary_accounts", "Accounts, by how far they are in a takeover; absent on nodes that do not tidy up.", "realm", "state")
	pending         = desc("ostiary_accounts_pending", "Accounts whose password a legacy server still knows alone, by its dialect.", "realm", "dialect")
	spans           = desc("ostiary_trace_spans_total", "Spans of traces, by what became of them.", "outcome")

	scraped = []*family{
		hashWaiting, hashRunning, hashSlots, storeInfo, storeMax, storeOpen, storeWaits, storeWaited, doorOpen, doorClosed,
		keySince, keyUntil, auditHead, auditSigned, auditCheckpoint, backWaiting, backOldest, lastBackup, certificate, spans,
		accounts, pending,
	}
)

// realmLimit is how long a scrape waits for what is in the database: if that is away, the
// rest must be told all the same.
const realmLimit = 2 * time.Second

// scrape is what is not counted, but looked at.
type scrape struct{ Sources }

func (s *scrape) collect(emit func(*family, sample)) {
	gauge := func(f *family, value float64, labels ...string) {
		emit(f, sample{labels: labels, value: value})
	}
	counter := gauge
	if s.Hashing != nil {
		waiting, running, slots := s.Hashing()
		gauge(hashWaiting, float64(waiting))
		gauge(hashRunning, float64(running))
		gauge(hashSlots, float64(slots))
	}
	if s.Store != nil {
		st := s.Store()
		gauge(storeInfo, 1, st.Engine)
		gauge(storeMax, float64(st.Max))
		gauge(storeOpen, float64(st.InUse), "in_use")
		gauge(storeOpen, float64(st.Idle), "idle")
		counter(storeWaits, float64(st.Waits))
		counter(storeWaited, st.Waited.Seconds())
	}
	if s.Doors != nil {
		for _, d := range s.Doors() {
			gauge(doorOpen, float64(d.Open), d.Name)
			for why, n := range d.Closed {
				counter(doorClosed, float64(n), d.Name, why)
			}
		}
	}
	if s.Spans != nil {
		sent, dropped := s.Spans()
		counter(spans, float64(sent), "sent")
		counter(spans, float64(dropped), "dropped")
	}
	if s.Accounts != nil {
		for realm, t := range s.Accounts() {
			tell(gauge, realm, t)
		}
	}
	if s.Certificates != nil {
		for _, c := range s.Certificates() {
			gauge(certificate, seconds(c.Until), c.Name)
		}
	}
	s.read(gauge)
}

// tell tells how far the accounts of a realm are.
func tell(gauge func(f *family, value float64, labels ...string), realm string, t auth.Takeover) {
	for state, n := range map[string]int{
		"all": t.Accounts, "signed_in": t.SignedIn, "never_signed_in": t.Never, "imported": t.Imported, "adopted": t.Adopted,
		"foreign_hash": t.Foreign, "factor_elsewhere": t.Elsewhere, "disabled": t.Disabled,
	} {
		gauge(accounts, float64(n), realm, state)
	}
	for d, n := range t.Pending {
		gauge(pending, float64(n), realm, string(d))
	}
}

// read tells what is in the database.
func (s *scrape) read(gauge func(f *family, value float64, labels ...string)) {
	ctx, cancel := context.WithTimeout(context.Background(), realmLimit)
	defer cancel()
	found := make(chan func(), 1)
	go func() { // a read that has begun is not cancelled
		var realms []Realm
		var backup time.Time
		var ok bool
		if s.Realms != nil {
			realms = s.Realms(ctx)
		}
		if s.LastBackup != nil {
			backup, ok = s.LastBackup(ctx)
		}
		found <- func() {
			for _, r := range realms {
				r.collect(gauge)
			}
			if ok {
				gauge(lastBackup, seconds(backup))
			}
		}
	}()
	select {
	case tell := <-found:
		tell()
	case <-ctx.Done():
	}
}

// seconds are those since 1970; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (r Realm) collect(gauge func(f *family, value float64, labels ...string)) {
	at := func(f *family, t time.Time, labels ...string) {
		if !t.IsZero() {
			gauge(f, seconds(t), labels...)
		}
	}
	for _, k := range r.Keys {
		at(keySince, k.Since, r.Name, k.Algorithm)
		at(keyUntil, k.Until, r.Name, k.Algorithm)
	}
	if r.Head > 0 {
		gauge(auditHead, float64(r.Head), r.Name)
		gauge(auditSigned, float64(r.Signed), r.Name)
	}
	at(auditCheckpoint, r.LastCheckpoint, r.Name)
	if r.Writeback != nil {
		gauge(backWaiting, float64(r.Writeback.Waiting), r.Name)
		at(backOldest, r.Writeback.Oldest, r.Name)
	}
}
