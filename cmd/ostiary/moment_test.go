package main

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01": "2026-03-01T00:00:00Z", "2026-03-01T12:00:00+02:00": "2026-03-01T10:00:00Z", "2026-03-01T12:00:00.5Z": "2026-03-01T12:00:00.5Z",
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || m.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	for text, ago := range map[string]time.Duration{"0s": 0, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || time.Since(m.Time)-ago > time.Minute || time.Since(m.Time) < ago {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	for _, bad := range []string{"", "yesterday", "-1h", "24", "2026-13-01", "1969-12-31", "2026-03-01 12:00", "12026-03-01"} {
		if err := new(moment).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a time", bad)
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, seed := range []string{"2026-03-01", "2026-03-01T12:00:00Z", "24h", "1d12h", "9999-12-31T23:59:59-23:59"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err == nil && m.IsZero() {
			t.Errorf("%q is no bound", text)
		}
	})
}
