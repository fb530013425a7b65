package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// maxBrownout is for whoever meant minutes: a longer one is an end.
const maxBrownout = Duration(24 * time.Hour)

// maxBrownouts is more than anybody plans.
const maxBrownouts = 100

// setDate reads a moment: RFC 3339, or a date, of which it is the beginning in UTC.
func setDate(to *time.Time, text string) (err error) {
	if text == "" {
		return nil
	}
	*to, err = parseMoment(text)
	return err
}

func parseMoment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date such as 2026-12-31 or 2026-12-31T12:00:00Z", text)
}

// setSunset holds it to RFC 9745, section 4: it is not before the deprecation.
func (t *Mount) setSunset(n *auth.Notice) error {
	if err := setDate(&n.Sunset, t.Sunset); err != nil {
		return err
	}
	if !n.Sunset.IsZero() && n.Sunset.Before(n.Deprecation) {
		return fmt.Errorf("is before deprecation")
	}
	return nil
}

func (t *Mount) setDeprecationLink(n *auth.Notice) error {
	if n.Link = t.DeprecationLink; n.Link == "" {
		return nil
	}
	if n.Deprecation.IsZero() && n.Sunset.IsZero() {
		return fmt.Errorf("says more of deprecation or sunset, and neither is set")
	}
	u, err := url.Parse(n.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(n.Link) > 1024 ||
		strings.ContainsFunc(n.Link, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"\^{|}`+"`", r) }) {
		return fmt.Errorf("%q is no URL such as https://example.com/login-api", n.Link)
	}
	return nil
}

// setBrownouts reads each as its beginning and how long it is: 2026-12-10T10:00:00Z/15m.
func (t *Mount) setBrownouts(n *auth.Notice) error {
	if len(t.Brownouts) > maxBrownouts {
		return fmt.Errorf("are more than %d", maxBrownouts)
	}
	for _, text := range t.Brownouts {
		from, length, both := strings.Cut(text, "/")
		var long Duration
		begin, err := time.Parse(time.RFC3339, from)
		if err != nil || !both || long.UnmarshalText([]byte(length)) != nil {
			return fmt.Errorf(`%q is no time and duration such as "2026-12-10T10:00:00Z/15m"`, text)
		}
		if long < Duration(time.Second) || long > maxBrownout {
			return fmt.Errorf("%q must be between 1s and 24h long", text)
		}
		n.Brownouts = append(n.Brownouts, auth.Window{From: begin.UTC(), Until: begin.UTC().Add(time.Duration(long))})
	}
	slices.SortFunc(n.Brownouts, func(a, b auth.Window) int { return a.From.Compare(b.From) })
	for i := 1; i < len(n.Brownouts); i++ {
		if a, b := n.Brownouts[i-1], n.Brownouts[i]; b.From.Before(a.Until) {
			return fmt.Errorf("the one from %s begins before the one from %s is over", b.From.Format(time.RFC3339), a.From.Format(time.RFC3339))
		}
	}
	return nil
}
