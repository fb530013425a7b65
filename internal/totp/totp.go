// Package totp is the second factor: time-based one-time passwords (RFC 6238) with the parameters that every
// authenticator takes (SHA-1, 6 digits, 30 seconds), their enrolment as a URI and a QR code, and recovery codes.
//
// It remembers nothing. Match tells which time step a code belongs to, and the caller accepts a step once:
// RFC 6238 section 5.2, "the verifier MUST NOT accept the second attempt of the OTP".
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	Digits     = 6
	Period     = 30 * time.Second
	SecretSize = 20 // bytes: 160 bits, as RFC 4226 section 4, R6 recommends

	// MaxSkew is how many time steps a code may be off the server's clock at most, to either side
	// (RFC 6238 section 5.2 recommends one for the delay of the network).
	MaxSkew = 1
)

// NewSecret makes a random secret.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	rand.Read(secret) // never fails: it crashes the program instead
	return secret
}

// Step is the time step that t falls into: the number of whole periods since 1970 (RFC 6238 section 4.2).
func Step(t time.Time) int64 {
	const period = int64(Period / time.Second)
	unix := t.Unix()
	step := unix / period
	if unix%period < 0 {
		step-- // down, not towards zero
	}
	return step
}

// Code is the code of a time step.
func Code(secret []byte, step int64) string {
	return hotp(secret, uint64(step), Digits)
}

// Match finds the time step that a code belongs to, within skew steps of now. Skew is held between 0 and MaxSkew.
// A code is exactly 6 ASCII digits: nothing is trimmed, and no other spelling of a digit counts, so that a code has one form.
// How long it takes says nothing of the secret. An empty secret matches nothing.
//
// Should a code belong to two steps in reach (about once in a million), it is the later one:
// a caller that refuses this step and all before it then never accepts the same digits again.
func Match(secret []byte, code string, now time.Time, skew int64) (step int64, ok bool) {
	if len(secret) == 0 || !isCode(code) {
		return 0, false
	}
	skew = min(max(skew, 0), MaxSkew)
	at, found := Step(now), 0
	for d := -skew; d <= skew; d++ {
		equal := subtle.ConstantTimeCompare([]byte(Code(secret, at+d)), []byte(code))
		if equal == 1 {
			step = at + d
		}
		found |= equal
	}
	return step, found == 1
}

func isCode(code string) bool {
	if len(code) != Digits {
		return false
	}
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return false
		}
	}
	return true
}

// hotp is RFC 4226 section 5.3, of at most 9 digits.
func hotp(secret []byte, counter uint64, digits int) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f // dynamic truncation, section 5.4
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, number%modulus)
}
