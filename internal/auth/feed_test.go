package auth

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// silent is a database that answers its first question never.
type silent struct {
	AuditReader
	asked int
}

func (s *silent) AuditHeads(ctx context.Context) (map[uuid.UUID]audit.Head, error) {
	if s.asked++; s.asked == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return map[uuid.UUID]audit.Head{}, nil
}

// A poll without an answer is given up, and the feed goes on.
func TestFeed_NoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := NewFeed(nil)
		go f.Follow(ctx, &silent{}, slog.New(slog.DiscardHandler))
		time.Sleep(time.Second)
		if f.fresh() {
			t.Error("fresh without an answer")
		}
		time.Sleep(feedFresh + feedEvery)
		if !f.fresh() {
			t.Error("the feed waits for an answer that does not come")
		}
	})
}
