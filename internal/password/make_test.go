package password

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/argon2"
)

func TestHashAs_ReadAgain(t *testing.T) {
	if makePBKDF2 != 600_000 || makeBcrypt != 12 || makeCrypt != 100_000 {
		t.Errorf("%d, %d, %d", makePBKDF2, makeBcrypt, makeCrypt)
	}
	cheap(t)
	h := newHasher()
	begins := map[string]string{
		"argon2id": "$argon2id$v=19$m=19456,t=2,p=1$", "bcrypt": "$2a$04$", "django": "pbkdf2_sha256$1000$", "pbkdf2-sha256": "$pbkdf2-sha256$1000$",
		"sha512crypt": "$6$rounds=1000$", "ssha512": "{SSHA512}", "werkzeug": "pbkdf2:sha256:1000$",
	}
	for _, format := range MakeFormats() {
		t.Run(format, func(t *testing.T) {
			const password = "cafe\u0301 in NFD, and long enough"
			made, err := h.HashAs(t.Context(), format, password)
			if err != nil || begins[format] == "" || !strings.HasPrefix(made, begins[format]) {
				t.Fatalf("%q, %v", made, err)
			}
			if again, err := h.HashAs(t.Context(), format, password); again == made || err != nil {
				t.Errorf("without a salt of its own: %v", err)
			}
			stored, err := Foreign(made, ForeignOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !verify(t, h, stored, password).OK || verify(t, h, stored, password+"x").OK {
				t.Error("it is not of the password, or of another")
			}
			s, err := parse(stored)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := s.match(new(argon2.Buffer), []byte(password)); ok != (format != "argon2id") || err != nil {
				t.Errorf("as it came: %v, %v", ok, err)
			}
		})
	}
}

// cheap has hashes for other systems cost little.
func cheap(t *testing.T) {
	a, b, c := makePBKDF2, makeBcrypt, makeCrypt
	t.Cleanup(func() { makePBKDF2, makeBcrypt, makeCrypt = a, b, c })
	makePBKDF2, makeBcrypt, makeCrypt = 1000, 4, 1000
}

func TestHashAs_Long(t *testing.T) {
	cheap(t)
	h := newHasher()
	long := strings.Repeat("0123456789", 60)
	made, err := h.HashAs(t.Context(), "bcrypt", long)
	if err != nil || !verify(t, h, made, long[:72]).OK {
		t.Errorf("bcrypt of the first 72 bytes: %q, %v", made, err)
	}
	if made, err := h.HashAs(t.Context(), "sha512crypt", long); made != "" || err != nil {
		t.Errorf("sha512crypt: %q, %v", made, err)
	}
	if made, err := h.HashAs(t.Context(), "ssha512", strings.Repeat("x", maxInput+1)); made != "" || !errors.Is(err, errTooLong) {
		t.Errorf("%q, %v", made, err)
	}
	if made, err := h.HashAs(t.Context(), "md5", long); made != "" || err == nil {
		t.Errorf("%q, %v", made, err)
	}
}

// They take their turn with all others.
func TestHashAs_InThePool(t *testing.T) {
	h := New(1, time.Nanosecond)
	release := make(chan struct{})
	held := make(chan struct{})
	go h.pool.do(t.Context(), func(*argon2.Buffer) error { close(held); <-release; return nil })
	<-held
	defer close(release)
	_, err := h.HashAs(t.Context(), "ssha512", horse)
	if _, busy := errors.AsType[*ErrBusy](err); !busy {
		t.Errorf("%v", err)
	}
}
