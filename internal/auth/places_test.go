package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/token"
)

// HoldSignatures takes all places for RSA signatures, until release is called.
func HoldSignatures() (release func()) {
	for range cap(signing) {
		signing <- struct{}{}
	}
	return func() {
		for range cap(signing) {
			signing.leave()
		}
	}
}

// A panic of a signature ends its request, and not the process.
func TestSignAside_Panics(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "token.Sign") {
			t.Errorf("the panic says %.200q", p)
		}
	}()
	_, err := signAside(nil, token.Claims{"iat": 1, "exp": 2})
	t.Errorf("without a key: %v", err)
}

// Whoever asked first is served first, but for those who have gone.
func TestPlaces_InOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := make(places, 2)
		for range cap(p) {
			if err := p.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		var served []int
		for i := range 6 {
			ctx := t.Context()
			if i == 2 {
				ctx = gone
			}
			go func() {
				err := p.enter(ctx)
				if i == 2 && !errors.Is(err, context.Canceled) {
					t.Errorf("who has gone gets %v", err)
				}
				if err == nil {
					served = append(served, i)
				}
			}()
			synctest.Wait()
		}
		leave()
		for range 5 {
			p.leave()
			synctest.Wait()
		}
		if want := []int{0, 1, 3, 4, 5}; !slices.Equal(served, want) {
			t.Errorf("served in the order %v, want %v", served, want)
		}
		if err := p.enter(gone); err == nil {
			t.Error("who has gone gets a place that is free")
		}
	})
}

// Deletions rest as long as one took, but not as long as a process stood still in one.
func TestRest_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for took, want := range map[time.Duration]time.Duration{3 * time.Millisecond: 3 * time.Millisecond, time.Hour: mostRest} {
			began := time.Now()
			time.Sleep(took)
			rests := time.Now()
			Rest(t.Context(), began)
			if got := time.Since(rests); got != want {
				t.Errorf("after %s it rested for %s, want %s", took, got, want)
			}
		}
	})
}
