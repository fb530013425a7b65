package main

import (
	"context"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// placeOf names a mount to an operator.
func placeOf(m *auth.Mount) string {
	name := string(m.Dialect)
	if m.Host+m.Prefix != "" {
		name += " at " + m.Host + m.Prefix
	}
	return name
}

// pastSunset are the mounts that were to have ended.
func pastSunset(mounts []*auth.Mount, now time.Time) (past []*auth.Mount) {
	for _, m := range mounts {
		if s := m.Notice.Sunset; !s.IsZero() && s.Before(now) {
			past = append(past, m)
		}
	}
	return past
}

// warnSunset says which mounts are still there after their end.
func (s *server) warnSunset(mounts []*auth.Mount) {
	for _, m := range pastSunset(mounts, time.Now()) {
		s.log.Warn("a mount is served after its sunset: ostiary usage says who uses it; take it out of the configuration, or give it another date",
			"mount", placeOf(m), "sunset", m.Notice.Sunset)
	}
}

// tendBrownouts says in the log when mounts go away and come back, as planned.
func (s *server) tendBrownouts(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	away := map[string]time.Time{}
	for {
		s.sayBrownouts(away, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sayBrownouts brings up to date which mounts are away, and until when.
func (s *server) sayBrownouts(away map[string]time.Time, now time.Time) {
	is := map[string]time.Time{}
	for _, m := range s.site.Load().mounts {
		if until, ok := m.Notice.Away(now); ok {
			is[placeOf(m)] = until
		}
	}
	for place := range away {
		if _, still := is[place]; !still {
			s.log.Info("a planned brownout is over: the mount answers again", "mount", place)
			delete(away, place)
		}
	}
	for place, until := range is {
		if !away[place].Equal(until) {
			s.log.Info("a planned brownout: the mount answers 503", "mount", place, "until", until)
			away[place] = until
		}
	}
}
