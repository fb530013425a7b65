package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
)

func TestMount_Notice(t *testing.T) {
	c, err := parse(t, `[[mount]]
dialect = "nomic"
deprecation = "2026-09-01"
sunset = "2027-01-31T12:00:00+02:00"
deprecation_link = "https://example.com/login-api?a=b"
brownouts = ["2026-12-10T12:00:00+02:00/15m", "2026-12-09T10:00:00Z/1d", "2026-12-10T10:15:00Z/1s"]
`, "serve")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := c.Mounts(four)
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 12, day, hour, minute, second, 0, time.UTC)
	}
	want := auth.Notice{
		Deprecation: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), Sunset: time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC), Link: "https://example.com/login-api?a=b",
		Brownouts: []auth.Window{{From: at(9, 10, 0, 0), Until: at(10, 10, 0, 0)}, {From: at(10, 10, 0, 0), Until: at(10, 10, 15, 0)}, {From: at(10, 10, 15, 0), Until: at(10, 10, 15, 1)}},
	}
	if diff := cmp.Diff(want, mounts[0].Notice); diff != "" {
		t.Error(diff)
	}
}

func TestMount_BadNotice(t *testing.T) {
	for text, want := range map[string]string{
		`deprecation = "soon"`:                                                     `ostiary.toml: mount 1 (nomic): deprecation: "soon" is no date such as 2026-12-31 or 2026-12-31T12:00:00Z`,
		`sunset = "2026-02-30"`:                                                    `ostiary.toml: mount 1 (nomic): sunset: "2026-02-30" is no date such as 2026-12-31 or 2026-12-31T12:00:00Z`,
		`sunset = 2026-02-03`:                                                      `ostiary.toml:3: mount.sunset: must be a string`,
		"deprecation = '2026-03-02'\nsunset='2026-03-01'":                          `ostiary.toml: mount 1 (nomic): sunset: is before deprecation`,
		`deprecation_link = "https://example.com/"`:                                `ostiary.toml: mount 1 (nomic): deprecation_link: says more of deprecation or sunset, and neither is set`,
		"sunset = '2026-03-01'\ndeprecation_link = 'javascript:x'":                 `ostiary.toml: mount 1 (nomic): deprecation_link: "javascript:x" is no URL such as https://example.com/login-api`,
		"sunset = '2026-03-01'\ndeprecation_link = 'https://example.com/>; rel=x'": `ostiary.toml: mount 1 (nomic): deprecation_link: "https://example.com/>; rel=x" is no URL such as https://example.com/login-api`,
		`brownouts = ["2026-12-10/15m"]`:                                           `ostiary.toml: mount 1 (nomic): brownouts: "2026-12-10/15m" is no time and duration such as "2026-12-10T10:00:00Z/15m"`,
		`brownouts = ["2026-12-10T10:00:00Z"]`:                                     `ostiary.toml: mount 1 (nomic): brownouts: "2026-12-10T10:00:00Z" is no time and duration such as "2026-12-10T10:00:00Z/15m"`,
		`brownouts = ["2026-12-10T10:00:00Z/0s"]`:                                  `ostiary.toml: mount 1 (nomic): brownouts: "2026-12-10T10:00:00Z/0s" must be between 1s and 24h long`,
		`brownouts = ["2026-12-10T10:00:00Z/24h1s"]`:                               `ostiary.toml: mount 1 (nomic): brownouts: "2026-12-10T10:00:00Z/24h1s" must be between 1s and 24h long`,
		`brownouts = ["2026-12-10T10:10:00Z/1h", "2026-12-10T10:00:00Z/15m"]`:      `ostiary.toml: mount 1 (nomic): brownouts: the one from 2026-12-10T10:10:00Z begins before the one from 2026-12-10T10:00:00Z is over`,
		`brownouts = "2026-12-10T10:00:00Z/15m"`:                                   `ostiary.toml:3: mount.brownouts: must be a list of strings`,
	} {
		_, err := parse(t, "[[mount]]\ndialect = \"nomic\"\n"+text+"\n", "serve")
		if line(err) != want {
			t.Errorf("%s\n\t%s\n\t%s", text, line(err), want)
		}
	}
}

func FuzzBrownouts(f *testing.F) {
	for _, text := range []string{"2026-12-10T10:00:00Z/15m", "2026-12-10T10:00:00Z/", "/15m", "2026-12-10T10:00:00+14:00/1d", "9999-12-31T23:59:59Z/24h"} {
		f.Add(text, "2026-12-10T10:05:00Z/15m")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var n auth.Notice
		if (&Mount{Brownouts: []string{a, b}}).setBrownouts(&n) != nil {
			return
		}
		for i, w := range n.Brownouts {
			if long := w.Until.Sub(w.From); long < time.Second || long > 24*time.Hour || i > 0 && w.From.Before(n.Brownouts[i-1].Until) {
				t.Errorf("%q, %q: %v", a, b, n.Brownouts)
			}
		}
	})
}
