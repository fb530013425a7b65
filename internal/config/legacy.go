package config

import (
	"fmt"
	"os"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/legacy"
)

// Legacy is the server that a mount takes over from. The zero value is none.
type Legacy struct {
	URL     string
	CA      string // a file of certificates in PEM; empty: the system's
	Timeout time.Duration
	Calls   int
}

// Options are those of a client of the server. They hold what is in the file of
// certificates now.
func (l Legacy) Options() (legacy.Options, error) {
	o := legacy.Options{URL: l.URL, Timeout: l.Timeout, Calls: l.Calls}
	if l.CA == "" {
		return o, nil
	}
	pem, err := os.ReadFile(l.CA)
	if err != nil {
		return o, fmt.Errorf("legacy_ca: %w", err)
	}
	o.CA = pem
	return o, nil
}

// Legacies are the servers that the mounts take over from, in the order of Mounts, which
// must have found nothing wrong.
func (s *Shared) Legacies(mounts []*auth.Mount) []Legacy {
	all := make([]Legacy, len(mounts))
	if s.file == nil || len(s.file.mounts) != len(mounts) {
		return all // the mounts without a file have none
	}
	for i, t := range s.file.mounts {
		if t.Legacy != nil {
			all[i] = t.legacy()
		}
	}
	return all
}

func (t *Mount) legacy() Legacy {
	l := Legacy{URL: *t.Legacy, CA: t.LegacyCA, Timeout: legacy.DefaultTimeout, Calls: legacy.DefaultCalls}
	if t.LegacyTimeout != nil {
		l.Timeout = time.Duration(*t.LegacyTimeout)
	}
	if t.LegacyCalls != nil {
		l.Calls = *t.LegacyCalls
	}
	return l
}

// What a call may take: it has to end well before the request that waits for it.
const (
	leastLegacyTimeout = 100 * time.Millisecond
	mostLegacyTimeout  = 20 * time.Second
)

func (t *Mount) checkLegacy(d *dialect.Dialect) error {
	if t.Legacy == nil {
		return nil
	}
	if d.Elder == nil {
		return fmt.Errorf("no server of this dialect can be asked")
	}
	_, err := legacy.ParseURL(*t.Legacy)
	return err
}

func (t *Mount) checkLegacyTimeout() error {
	if t.LegacyTimeout == nil {
		return nil
	}
	if d := time.Duration(*t.LegacyTimeout); d < leastLegacyTimeout || d > mostLegacyTimeout {
		return fmt.Errorf("must be between %s and %s", leastLegacyTimeout, mostLegacyTimeout)
	}
	return t.withLegacy()
}

func (t *Mount) checkLegacyCalls() error {
	if t.LegacyCalls == nil {
		return nil
	}
	if *t.LegacyCalls < 1 || *t.LegacyCalls > 1024 {
		return fmt.Errorf("must be between 1 and 1024")
	}
	return t.withLegacy()
}

func (t *Mount) setLegacyApart(m *auth.Mount) error {
	if t.LegacyApart == nil {
		return nil
	}
	m.Apart = *t.LegacyApart
	return t.withLegacy()
}

func (t *Mount) checkLegacyCA() error {
	if t.LegacyCA == "" {
		return nil
	}
	return t.withLegacy()
}

func (t *Mount) withLegacy() error {
	if t.Legacy == nil {
		return fmt.Errorf("is for a mount with legacy, the server to take over from")
	}
	return nil
}

func (t *Mount) setMode(m *auth.Mount) error {
	if t.Mode == nil || *t.Mode == string(auth.ModeOwn) {
		return nil
	}
	if err := oneOf(*t.Mode, string(auth.ModeOwn), string(auth.ModeShadow), string(auth.ModeSplit)); err != nil {
		return err
	}
	if t.Legacy == nil {
		return fmt.Errorf("%q needs legacy, the server that answers then", *t.Mode)
	}
	m.Mode = auth.Mode(*t.Mode)
	if m.Mode == auth.ModeSplit && t.SplitPercent == nil && t.SplitAccounts == nil {
		return fmt.Errorf(`"split" needs split_percent or split_accounts: who is answered here`)
	}
	return nil
}

// setSplitPercent takes whose names are answered here. It may be there in every mode, so
// that the way back is one setting.
func (t *Mount) setSplitPercent(m *auth.Mount) (err error) {
	if t.SplitPercent == nil {
		return nil
	}
	if err = t.withLegacy(); err != nil {
		return err
	}
	m.Split, err = auth.NewSplit(*t.SplitPercent, nil)
	return detail(err)
}

func (t *Mount) setSplitAccounts(m *auth.Mount) (err error) {
	if t.SplitAccounts == nil {
		return nil
	}
	if err = t.withLegacy(); err != nil {
		return err
	}
	m.Split, err = auth.NewSplit(m.Split.Percent, t.SplitAccounts)
	return detail(err)
}

// detail is an error of the core in its own words.
func detail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s", auth.AsError(err).Detail)
}
