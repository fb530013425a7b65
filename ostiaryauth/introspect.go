package ostiaryauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

const (
	defaultCacheFor = 2 * time.Second
	// MaxCacheFor is how long an answer of introspection may be kept at most.
	MaxCacheFor = 5 * time.Second

	maxAnswers = 4096 // of a generation; two are kept

	// maxQuestions is how many tokens are asked about at once: as many requests as Ostiary answers of one source by
	// default (source_requests). Without a bound, whoever sends made-up tokens while Ostiary hangs takes all files.
	maxQuestions = 256
)

var errBusy = fmt.Errorf("%d questions are under way", maxQuestions)

// introspector asks Ostiary whether tokens live (RFC 7662). Callers with the same token at the same time share one
// request, and answers that say yes are kept for a moment. It is safe for concurrent use.
type introspector struct {
	url      string
	name     string
	secret   Secret
	cacheFor time.Duration
	client   *client

	mu      sync.Mutex
	flights map[tokenHash]*flight
	flying  int // of flights, and of those that have been left and are not over yet
	// When recent is full or as old as an answer may get, it becomes older, and what was older is forgotten.
	recent, older map[tokenHash]answer
	begun         time.Time // recent
}

// tokenHash keeps tokens out of the memory, where they could be presented from.
type tokenHash [sha256.Size]byte

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	answer
	err error
}

// answer is that a token lives.
type answer struct {
	identity *Identity
	until    time.Time
}

// ask tells who a live token speaks for; ErrInvalid if it is none. The identity is the caller's own.
func (i *introspector) ask(ctx context.Context, token string) (*Identity, error) {
	sum := tokenHash(sha256.Sum256([]byte(token)))
	now := i.client.now()
	i.mu.Lock()
	if a, ok := i.find(sum); ok && now.Before(a.until) {
		i.mu.Unlock()
		return a.identity.clone(), nil
	}
	f := i.flights[sum]
	if f == nil {
		if i.flying == maxQuestions {
			i.mu.Unlock()
			return nil, i.unavailable(errBusy)
		}
		f = i.begin(sum, token, now)
	}
	f.waiting++
	i.mu.Unlock()
	if err := wait(ctx, f.done); err != nil {
		i.leave(f, sum)
		return nil, err
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.identity.clone(), nil
}

func (i *introspector) find(sum tokenHash) (answer, bool) {
	if a, ok := i.recent[sum]; ok {
		return a, true
	}
	a, ok := i.older[sum]
	return a, ok
}

// begin asks. That does not end with the request that needs it, since others may wait too. i.mu is held.
func (i *introspector) begin(sum tokenHash, token string, now time.Time) *flight {
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{done: make(chan struct{}), cancel: cancel}
	i.flights[sum] = f
	i.flying++
	go i.fly(ctx, f, sum, token, now)
	return f
}

func (i *introspector) fly(ctx context.Context, f *flight, sum tokenHash, token string, now time.Time) {
	defer f.cancel()
	f.answer, f.err = i.introspect(ctx, token, now)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.flying--
	i.forget(f, sum)
	if f.err == nil {
		i.keep(sum, f.answer, now)
	}
	close(f.done)
}

// leave ends a question that nobody waits for any more.
func (i *introspector) leave(f *flight, sum tokenHash) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		i.forget(f, sum)
		f.cancel()
	}
}

// forget has whoever comes next ask anew. i.mu is held.
func (i *introspector) forget(f *flight, sum tokenHash) {
	if i.flights[sum] == f {
		delete(i.flights, sum)
	}
}

func (i *introspector) keep(sum tokenHash, a answer, now time.Time) {
	if len(i.recent) >= maxAnswers || now.Sub(i.begun) >= i.cacheFor || i.recent == nil {
		i.older, i.recent, i.begun = i.recent, map[tokenHash]answer{}, now
	}
	i.recent[sum] = a
}

// introspect makes the request. An answer is kept from when it was asked for, not from when it came, so that it is
// never older than cacheFor; nor is it kept beyond exp.
func (i *introspector) introspect(ctx context.Context, token string, now time.Time) (a answer, err error) {
	form := url.Values{"token": {token}}.Encode()
	body, err := i.client.post(ctx, i.url, i.name, string(i.secret), form)
	if err != nil {
		return a, i.unavailable(err)
	}
	c, err := parseObject(body)
	if err != nil {
		return a, i.unavailable(fmt.Errorf("%s: %w", i.url, err))
	}
	switch c["active"] {
	case false:
		return a, invalid("introspection: inactive")
	case true:
	default:
		return a, i.unavailable(fmt.Errorf("%s does not say whether the token is active", i.url))
	}
	if a.identity, err = readIdentity(c); err != nil {
		return a, i.unavailable(fmt.Errorf("%s: %s", i.url, err.Error()))
	}
	a.until = now.Add(i.cacheFor)
	if c.lacks("exp") {
		return a, nil
	}
	exp, ok := c.date("exp")
	switch {
	case !ok:
		return a, i.unavailable(fmt.Errorf("%s: exp is no date", i.url))
	case !exp.After(now):
		return a, invalid("introspection: expired")
	case exp.Before(a.until):
		a.until = exp
	}
	return a, nil
}

func (i *introspector) unavailable(err error) error {
	if !errors.Is(err, context.Canceled) { // which is nobody's fault but the client's that has hung up
		i.client.failed("introspection failed", err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// try asks about a token that nobody has: what comes back tells whether the service account may ask.
func (i *introspector) try(ctx context.Context) error {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the process instead
	_, err := i.introspect(ctx, base64.StdEncoding.EncodeToString(b), i.client.now())
	if isInvalid(err) {
		return nil
	}
	return err
}
