package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store"
)

func TestClient_Shortened(t *testing.T) {
	for agent, want := range map[string]string{
		"curl/8.14.1": "curl/8.14.1",
		"okhttp/4.12.0 (ada@example.com; 555-0100)": "okhttp/4.12.0",
		"MyApp":                          "MyApp",
		"MyApp/":                         "MyApp",
		"MyApp (iPhone)":                 "MyApp",
		"":                               "",
		"(comment) curl/8":               "",
		"ada@example.com":                "ada",
		`a"b/1`:                          "a",
		`\x1b[31mred`:                    "",
		"caf\u00e9/1":                    "caf",
		strings.Repeat("a", 200) + "/1":  strings.Repeat("a", maxClient),
		"app/" + strings.Repeat("1", 99): "app/" + strings.Repeat("1", maxClient-4),
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                            "Firefox/128",
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                               "Chrome/126",
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0":                     "Edg/126",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15":             "Safari/17",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1": "CriOS/126",
		"Mozilla/4.0 (compatible; MSIE 6.0)": "Mozilla/4.0",
	} {
		if got := Client(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

func FuzzClient(f *testing.F) {
	for _, agent := range []string{"curl/8.14.1", "Mozilla/5.0 Firefox/128.0", "\x1b]0;x\a", "Mozilla/5.0 Edg/\xff"} {
		f.Add(agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		name := Client(agent)
		if len(name) > maxClient || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<=>?@[\]{}`, r) }) {
			t.Errorf("%q: %q", agent, name)
		}
	})
}

type house struct {
	*Meter
	store *store.Store
	realm uuid.UUID
	log   *bytes.Buffer
	now   time.Time
}

func open(t *testing.T) *house {
	t.Helper()
	s, err := store.Create(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := &house{store: s, realm: uuid.New(), log: new(bytes.Buffer), now: time.Date(2026, 12, 31, 23, 59, 50, 0, time.UTC)}
	h.Meter = New(s, slog.New(slog.NewTextHandler(h.log, nil)), func() time.Time { return h.now })
	return h
}

func (h *house) rows(t *testing.T) (rows []string) {
	t.Helper()
	list, err := h.store.Usage(context.WithoutCancel(t.Context()), h.realm, auth.Usage{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		rows = append(rows, fmt.Sprint(auth.DayTime(u.Day).Format(time.DateOnly), " ", u.Dialect, " ", u.What, " ", u.Client, " ", u.Source, " ", u.Requests))
	}
	return rows
}

func client(address, agent string) *auth.Client {
	return &auth.Client{Address: netip.MustParseAddr(address), UserAgent: agent}
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestMeter_Counts(t *testing.T) {
	h := open(t)
	h.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", "curl/8 (x)"))
	h.Count(h.realm, "senmo", auth.UsedSignedIn, client("::ffff:192.0.2.1", "curl/8"))
	h.Count(h.realm, "senmo", auth.UsedRefused, client("2001:db8::1%eth0", ""))
	h.Count(h.realm, "senmo", auth.UsedRefused, client("2001:db8::2", ""))
	h.Count(uuid.New(), "senmo", auth.UsedSignedIn, client("192.0.2.1", "curl/8"))
	h.now = h.now.Add(time.Minute)
	h.Count(h.realm, "nomic", auth.UsedRenewed, &auth.Client{})
	if rows := h.rows(t); rows != nil {
		t.Errorf("stored before it was time: %v", rows)
	}
	h.flush(t.Context())
	same(t, h.rows(t), "2026-12-31 senmo refused  2001:db8::/64 2", "2026-12-31 senmo signed_in curl/8 192.0.2.1 2", "2027-01-01 nomic renewed   1")
	h.Count(h.realm, "nomic", auth.UsedRenewed, &auth.Client{})
	h.flush(t.Context())
	h.flush(t.Context())
	if rows := h.rows(t); rows[2] != "2027-01-01 nomic renewed   2" {
		t.Error(rows)
	}
}

// Counts are stored by themselves after a while, and those that are left at the end.
func TestMeter_Run(t *testing.T) {
	h := open(t)
	synctest.Test(t, func(t *testing.T) {
		var stored []int64
		m := New(taker(func(tx *tally) { stored = append(stored, tx.requests) }), slog.New(slog.DiscardHandler), time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { m.Run(ctx); close(ended) }()
		m.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", ""))
		time.Sleep(Every + time.Second)
		synctest.Wait()
		m.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", ""))
		cancel()
		<-ended
		if fmt.Sprint(stored) != "[1 1]" {
			t.Error(stored)
		}
	})
}

// taker is a store that only counts; tally is its transaction.
type taker func(*tally)

func (t taker) InTx(_ context.Context, fn func(auth.Tx) error) error {
	tx := new(tally)
	defer func() { t(tx) }()
	return fn(tx)
}

type tally struct {
	auth.Tx
	requests int64
}

func (t *tally) AddUsage(_ context.Context, _ uuid.UUID, u auth.Usage, _ int) error {
	t.requests += u.Requests
	return nil
}

// refusing is a store that is away for a time.
type refusing struct {
	*store.Store
	after int // transactions
}

func (r *refusing) InTx(ctx context.Context, fn func(auth.Tx) error) error {
	if r.after--; r.after < 0 {
		return errors.New("away")
	}
	return r.Store.InTx(ctx, fn)
}

// A database that is away loses no count, and is told of once.
func TestMeter_StoreAway(t *testing.T) {
	h := open(t)
	away := &refusing{h.store, 1}
	h.Meter.store = away
	for i := range batch + 50 {
		h.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", fmt.Sprint("app/", 1000+i)))
	}
	h.flush(t.Context())
	if n := len(h.rows(t)); n != batch {
		t.Errorf("%d are stored", n)
	}
	h.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", "app/1149"))
	h.flush(t.Context())
	h.flush(t.Context())
	if n := strings.Count(h.log.String(), "who uses what was not stored"); n != 1 {
		t.Errorf("told %d times: %s", n, h.log)
	}
	away.after = 100
	h.flush(t.Context())
	rows := h.rows(t)
	if len(rows) != batch+50 || rows[149] != "2026-12-31 senmo signed_in app/1149 192.0.2.1 2" || rows[0] != "2026-12-31 senmo signed_in app/1000 192.0.2.1 1" {
		t.Errorf("%d: %q", len(rows), rows)
	}
}

// Whoever sends other names and addresses each time fills neither the memory nor the disk,
// and hides nobody who signs in.
func TestMeter_Bounded(t *testing.T) {
	h := open(t)
	const flood = badHeld + 500
	for i := range flood {
		h.Count(h.realm, "senmo", auth.UsedRefused, client("192.0.2.1", fmt.Sprint("guess/", i)))
	}
	if n := len(h.counts); n > badHeld+1 {
		t.Errorf("%d counts in memory", n)
	}
	h.flush(t.Context())
	h.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.9", "app/1"))
	h.flush(t.Context())
	rows, total := h.rows(t), 0
	for _, row := range rows {
		if n, refused := strings.CutPrefix(row, "2026-12-31 senmo refused "); refused {
			var one int
			_, _ = fmt.Sscan(n[strings.LastIndexByte(n, ' ')+1:], &one)
			total += one
		}
	}
	if app := "2026-12-31 senmo signed_in app/1 192.0.2.9 1"; len(rows) > badRoom+2 || total != flood || rows[len(rows)-1] != app {
		t.Errorf("%d rows of %d requests, the last is %q", len(rows), total, rows[len(rows)-1])
	}
}

func TestMeter_AtOnce(t *testing.T) {
	h := open(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				h.Count(h.realm, "senmo", auth.UsedSignedIn, client("192.0.2.1", "curl/8"))
			}
		})
	}
	for range 5 {
		h.flush(t.Context())
	}
	all.Wait()
	h.flush(t.Context())
	same(t, h.rows(t), "2026-12-31 senmo signed_in curl/8 192.0.2.1 2000")
}

func BenchmarkCount(b *testing.B) {
	m := New(nil, slog.New(slog.DiscardHandler), time.Now)
	realm := uuid.New()
	for name, agent := range map[string]string{
		"App":     "okhttp/4.12.0",
		"Browser": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
	} {
		b.Run(name, func(b *testing.B) {
			cl := client("2001:db8::1", agent)
			b.ReportAllocs()
			for b.Loop() {
				m.Count(realm, "senmo", auth.UsedSignedIn, cl)
			}
		})
	}
}
