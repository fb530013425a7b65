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
	m.Time, err = parseMoment(text, -1, "how long ago one was")
	return err
}

// momentAhead is a moment, or how long until then.
type momentAhead struct{ time.Time }

// UnmarshalText reads one.
func (m *momentAhead) UnmarshalText(text []byte) (err error) {
	m.Time, err = parseMoment(text, 1, "how long until then")
	return err
}

func parseMoment(text []byte, way time.Duration, words string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			if year := at.UTC().Year(); year < 1970 || year > 9999 {
				break
			}
			return at, nil
		}
	}
	var long config.Duration
	if err := long.UnmarshalText(text); err == nil && long >= 0 {
		return time.Now().Add(way * time.Duration(long)), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time, such as 2026-03-01 or 2026-03-01T12:00:00Z, nor %s, such as 24h", text, words)
}
