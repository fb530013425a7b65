package main

import (
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/config"
)

// moment is a time on the command line: RFC 3339, a date (in UTC), or how long ago it was.
type moment struct{ time.Time }

// UnmarshalText reads one.
func (m *moment) UnmarshalText(text []byte) (err error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if m.Time, err = time.Parse(layout, string(text)); err == nil {
			if year := m.Time.UTC().Year(); year < 1970 || year > 9999 {
				break
			}
			return nil
		}
	}
	var ago config.Duration
	if err = ago.UnmarshalText(text); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-time.Duration(ago))
		return nil
	}
	return fmt.Errorf("%q is neither a time, such as 2026-03-01 or 2026-03-01T12:00:00Z, nor how long ago one was, such as 24h", text)
}
