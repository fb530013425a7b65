package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/backup"
)

// people fills a store with accounts that each have two names, a session and two entries.
func people(t testing.TB, s *Store, n int) {
	t.Helper()
	l, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	realm := make([]byte, 16)
	id := func(kind byte, i int) []byte {
		b := make([]byte, 16)
		binary.BigEndian.PutUint64(b, uint64(i)<<8|uint64(kind))
		return b
	}
	hash := func(i int) []byte {
		sum := sha256.Sum256([]byte(strconv.Itoa(i)))
		return sum[:]
	}
	now := int64(1_800_000_000_000_000)
	phc := "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$J9nB4yEkqIaxmQ6J6rT1mWQo0pLkqyXxDCn2jrwYl5Q"
	makes := map[string]func(i int) []backup.Row{
		"account": func(i int) []backup.Row {
			name := fmt.Sprintf("user%07d", i)
			return []backup.Row{{id(1, i), realm, int64(i), "person", name, name + "@example.com", int64(1), "Some Body " + name, "org", int64(0), phc, int64(1), "cli", now, now, now}}
		},
		"account_name": func(i int) []backup.Row {
			name := fmt.Sprintf("user%07d", i)
			return []backup.Row{{realm, name, id(1, i)}, {realm, name + "@example.com", id(1, i)}}
		},
		"session": func(i int) []backup.Row {
			return []backup.Row{{id(2, i), realm, id(1, i), "senmo", "pwd", now, now, now, now, int64(0), "", "192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64)", hash(i), int64(3), now, "ostiary"}}
		},
		"audit_event": func(i int) []backup.Row {
			row := func(seq int) backup.Row {
				return backup.Row{realm, int64(seq), id(3, seq), now, "signed_in", id(1, i), id(2, i), "senmo", "192.0.2.1", "0191f0a0-0000-7000-8000-000000000000", "", "", "", hash(seq)}
			}
			return []backup.Row{row(2*i + 1), row(2*i + 2)}
		},
	}
	for _, table := range Tables {
		p := &pending{flush: func(rows []backup.Row) error { return l.Insert(t.Context(), table, rows) }}
		for i := 0; makes[table.Name] != nil && i < n; i++ {
			for _, row := range makes[table.Name](i) {
				if err := p.add(row); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := p.end(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCopy_Large: copies and backups take a time that is in proportion to the rows, and a
// memory that is not.
func TestCopy_Large(t *testing.T) {
	n, most := 1500, 64<<20
	if os.Getenv("TEST_FAULT") == "1" {
		n = 1_000_000
	}
	lite, other := create(t), create(t)
	people(t, lite, n)
	var peak uint64
	step := func(backup.Table, int) {
		var m runtime.MemStats
		if runtime.ReadMemStats(&m); m.HeapInuse > peak {
			peak = m.HeapInuse
		}
	}
	measure := func(what string, fn func() Sums) {
		t.Helper()
		runtime.GC() // of what tests before have left
		peak = 0
		began := time.Now()
		rows := int64(0)
		for _, s := range fn() {
			rows += s.Rows
		}
		took := time.Since(began)
		t.Logf("%-22s %8d rows in %6.1f s, %8.0f a second, heap %3d MiB", what, rows, took.Seconds(), float64(rows)/took.Seconds(), peak>>20)
		if rows < int64(6*n) || peak > uint64(most) {
			t.Errorf("%s: %d rows, heap %d MiB", what, rows, peak>>20)
		}
	}
	copyTo := func(from, to *Store) func() Sums {
		return func() Sums {
			snap, err := from.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer snap.Close()
			l, err := to.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			sums, _, err := l.Copy(t.Context(), snap, step)
			if err != nil {
				t.Fatal(err)
			}
			return sums
		}
	}
	dump := func(from *Store, to io.Writer) func() Sums {
		return func() Sums {
			snap, err := from.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer snap.Close()
			w, err := backup.NewWriter(to, backup.Header{})
			if err != nil {
				t.Fatal(err)
			}
			sums, err := snap.Dump(t.Context(), w, step)
			if err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			return sums
		}
	}
	post := createPostgres(t)
	measure("SQLite to PostgreSQL", copyTo(lite, post))
	measure("the same again", copyTo(lite, post))
	measure("PostgreSQL to SQLite", copyTo(post, other))
	measure("backup of SQLite", dump(lite, io.Discard))
	measure("backup of PostgreSQL", dump(post, io.Discard))
}
