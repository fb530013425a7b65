package store

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// flag scans a bool, which is stored as 0 or 1.
type flag struct{ b *bool }

func (f flag) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return errors.New("a flag that is not an integer")
	}
	*f.b = n != 0
	return nil
}

// at scans a time.
type at struct{ t *time.Time }

func (a at) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return errors.New("a time that is not an integer")
	}
	*a.t = fromMicros(us)
	return nil
}

// nullable is how an id is stored where there may be none.
func nullable(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}
