package token

import (
	"errors"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/keyring"
)

func TestVerifier_AsParse(t *testing.T) {
	var v Verifier
	compact := signed(t, keyring.ES256, good())
	want, err := Parse(ring(t), compact, noon)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := v.Parse(ring(t), compact, noon); err != nil || !maps.Equal(got, want) {
			t.Fatalf("%v %v", got, err)
		}
	}
	last := compact[:len(compact)-1]
	for what, other := range map[string]string{
		"cut": last, "another end": last + "_", "longer": compact + "A", "a line end": compact + "\n", "space": " " + compact,
	} {
		if _, err := v.Parse(ring(t), other, noon); !errors.Is(err, ErrInvalid) && other != compact {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVerifier_TimeGoesOn(t *testing.T) {
	var v Verifier
	claims := good()
	claims["nbf"] = noon.Unix()
	compact := signed(t, keyring.ES256, claims)
	end := noon.Add(time.Hour)
	for _, c := range []struct {
		now  time.Time
		good bool
	}{
		{noon, true}, {end.Add(-time.Nanosecond), true}, {end, false}, {noon, true},
		{noon.Add(-Leeway), true}, {noon.Add(-Leeway - time.Second), false},
	} {
		if _, err := v.Parse(ring(t), compact, c.now); (err == nil) != c.good {
			t.Errorf("at %s: %v", c.now, err)
		}
	}
}

// A JWT that is remembered must not outlive its key.
func TestVerifier_KeysChange(t *testing.T) {
	var v Verifier
	before, after := rotation(t)
	k, ok := before.Signer(keyring.EdDSA, noon)
	if !ok {
		t.Fatal("no key")
	}
	compact, err := Sign(k, good())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		ring *keyring.Ring
		now  time.Time
		want error
	}{
		{"first", before, noon, nil},
		{"again", before, noon, nil},
		{"rotated", after, noon.Add(29 * time.Minute), nil},
		{"the key has ended", after, noon.Add(30 * time.Minute), ErrUnknownKey},
		{"another realm", ring(t), noon, ErrUnknownKey},
		{"still good where it was", before, noon, nil},
	} {
		if _, err := v.Parse(c.ring, compact, c.now); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestVerifier_Concurrent(t *testing.T) {
	var v Verifier
	var tokens []string
	for i := range 8 {
		claims := good()
		claims["sub"] = strconv.Itoa(i)
		tokens = append(tokens, signed(t, keyring.EdDSA, claims))
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 100 {
				n := (i + j) % len(tokens)
				if c, err := v.Parse(ring(t), tokens[n], noon); err != nil || c.String("sub") != strconv.Itoa(n) {
					t.Errorf("%v %v", c, err)
				}
			}
		})
	}
	group.Wait()
}
