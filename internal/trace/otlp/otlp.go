// Package otlp sends spans to an OpenTelemetry collector, by OTLP/HTTP with protobuf bodies
// (OpenTelemetry Protocol 1.x). What can't be sent is dropped: nobody waits for it.
package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/trace"
)

const (
	batch     = 512 // spans in a request
	every     = 2 * time.Second
	sendLimit = 5 * time.Second
	lastLimit = 2 * time.Second // of what is sent at the end
)

// Sender sends the spans of a Tracer.
type Sender struct {
	tracer   *trace.Tracer
	endpoint string
	log      *slog.Logger
	client   http.Client
	resource message
	failing  bool
	sent     atomic.Uint64
}

// New makes a Sender. An endpoint without a path is meant to have the usual one, /v1/traces.
func New(tracer *trace.Tracer, endpoint, version string, log *slog.Logger) (*Sender, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	s := &Sender{tracer: tracer, endpoint: u.String(), log: log}
	for name, value := range map[string]string{"service.name": "ostiary", "service.version": version, "service.instance.id": uuid.NewString()} {
		s.resource.message(1, text(name, value))
	}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, nil
}

// Sent counts the spans that the collector has taken.
func (s *Sender) Sent() uint64 { return s.sent.Load() }

// Run sends what ends until ctx is done, and then what is left.
func (s *Sender) Run(ctx context.Context) {
	next := time.NewTicker(every)
	defer next.Stop()
	var spans []*trace.Span
	for {
		select {
		case span := <-s.tracer.Ended():
			if spans = append(spans, span); len(spans) < batch {
				continue
			}
		case <-next.C:
		case <-ctx.Done():
			s.last(ctx, spans)
			return
		}
		if len(spans) > 0 {
			s.send(ctx, spans, sendLimit)
			spans = nil
		}
	}
}

func (s *Sender) last(ctx context.Context, spans []*trace.Span) {
	for {
		select {
		case span := <-s.tracer.Ended():
			spans = append(spans, span)
			continue
		default:
		}
		if len(spans) > 0 {
			s.send(context.WithoutCancel(ctx), spans, lastLimit)
		}
		return
	}
}

// send sends spans, or drops them. That it can't is said once, until it can.
func (s *Sender) send(ctx context.Context, spans []*trace.Span, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.post(ctx, spans)
	if err != nil {
		s.tracer.Drop(len(spans))
	} else {
		s.sent.Add(uint64(len(spans)))
	}
	switch {
	case err != nil && !s.failing:
		s.log.Warn("the collector of traces takes none, they are dropped until it does: see whether it runs, and trace_endpoint", "err", err)
	case err == nil && s.failing:
		s.log.Info("the collector takes traces again", "dropped", s.tracer.Dropped())
	}
	s.failing = err != nil
}

func (s *Sender) post(ctx context.Context, spans []*trace.Span) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(s.message(spans)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	res, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // for the next request on the connection
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("%s: %s", s.endpoint, res.Status)
	}
	return nil
}
