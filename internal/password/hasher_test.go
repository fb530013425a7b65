package password

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/ostiary/ostiary/internal/argon2"
)

const horse = "correct horse battery staple"

// known are hashes of horse that other programs made: Debian's argon2 for argon2,
// libxcrypt's crypt(3) for the $1$, $2?$, $5$, $6$ and $y$ ones, Python's hashlib, Django,
// passlib, and npm's firebase-scrypt.
var known = []struct{ scheme, phc string }{
	{"argon2id$m=19456,t=2,p=1", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y"},
	{"argon2id$m=19456,t=2,p=1", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$5hk92RjHZwnSCjTxTIhWBMI4Pzfc1slM"},
	{"argon2id$m=4096,t=3,p=2", "$argon2id$v=19$m=4096,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$fyFs4w0pB3OYqAkt2c8oKV+IjA7unSg9bELVJIVERiY"},
	{"argon2i$m=4096,t=3,p=2", "$argon2i$v=19$m=4096,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$/Mt6aNguOFbxXKLKp9Lh7Vyl736GhCcVmb1LP82dxUk"},
	{"argon2d$m=4096,t=3,p=2", "$argon2d$v=19$m=4096,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$ZIAViiVcHifMY6l2fzLij3ytP/nAAYyl8dRmBpZsoGQ"},
	{"bcrypt$6", "$2a$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K"},
	{"bcrypt$6", "$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K"},
	{"bcrypt$6", "$2y$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K"},
	{"bcrypt-sha256$6", "$bcrypt-sha256$v=2,t=2b,r=6$abcdefghijklmnopqrstuu$d2POw0ytmO449JEG527KAEqT.Ov7nzi"},
	{"scrypt$ln=10,r=8,p=2", "$scrypt$ln=10,r=8,p=2$c2FsdHNhbHRzYWx0c2FsdA$qadhXBV6dk7aDLzFfdfaYy/Yq2zBxbYIwoxHMeMuxvs"},
	{"yescrypt$ln=12,r=32", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$y8e1eitiNDaQsFFW6d.9KbSTlk5zV3R3coZQtfcNAO5"},
	{"yescrypt$ln=10,r=8", "$y$j75$$lJ/s6i9uxj3JV6kTySViPAoI8zWL4lGdsDQUyZvSic/"},
	{"pbkdf2-sha1$i=1024,blocks=1", "$pbkdf2$1004$c2FsdHNhbHRzYWx0c2FsdA$Uj7g6ZbDE3wfI4ZQZDLgBavq.k8"},
	{"pbkdf2-sha224$i=1024,blocks=1", "$pbkdf2-sha224$1006$c2FsdHNhbHRzYWx0c2FsdA$8TzRHXC9G0gGVo5kEp6yVqhuuUPxlySl7HRORA"},
	{"pbkdf2-sha256$i=1024,blocks=1", "$pbkdf2-sha256$1006$c2FsdHNhbHRzYWx0c2FsdA$1gVvV1df7GGF7GGlkPBEGxWUc9DIlXDjVhLSHO6Wahw"},
	{"pbkdf2-sha256$i=1024,blocks=2", "$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId9Q5DKLhVaRJcjXTH6gOa35JkMQ1KsuQ0N0VSrmYu3DPw"},
	{"pbkdf2-sha384$i=1024,blocks=1", "$pbkdf2-sha384$1006$c2FsdHNhbHRzYWx0c2FsdA$LF7Hfa2bu20FJ2s8WuAEwiwcWQjFfAY69Okc1oC39maJm2wSbgxldUBMYK9HjAL7"},
	{"pbkdf2-sha512$i=1024,blocks=1", "$pbkdf2-sha512$1006$c2FsdHNhbHRzYWx0c2FsdA$G104uYF1DkgbWCLccuEn4VRBNLiDz2P7.CTjPURdGpdSYH2ofjTRPcwfRSTMmNfLUxD3eeb6DsACI/.Wppp4BA"},
	{"sha256crypt$5120", "$5$saltsaltsaltsalt$bPJpWK7vm672W79VQB0m5/jkpFJLCXVgRFgJGTHMelA"},
	{"sha256crypt$1024", "$5$rounds=1000$saltsalt$TFDrLHsZ0msaZlw.ZViQNNRjyMG9kAB3KDkA8eLkI.."},
	{"sha512crypt$5120", "$6$saltsaltsaltsalt$csoGsaC3yxEIvMdVpxO2zEQlhCHi/6pnPVKHT3nfribhRDnEOL4O5nnsAETH/r6rG0vxiN/wRElsAf4u8CK4d."},
	{"sha512crypt$6144", "$6$rounds=6000$saltsalt$.wR6zOMckLq47MxWRr1LmxkkEdu.9irzljlNcIMuYTjCIH.ccjfvltNp96JhzjLWKZHBiSZk2OGn8WdBJ5vvE/"},
	{"apr1", "$apr1$saltsalt$PU9q8.HoFJEM7m9NSIooE1"},
	{"md5crypt", "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."},
	{"django-bcrypt-sha256$5", "$django-bcrypt-sha256$2b$05$Se9xz2M32/tBU3MyPbFgeOsT95oZ8nOtSeplRhDT9L1nzY9uD/rzC"},
	{"phpass$9", "$P$7y2/Tq0thNh3zGQ4bquBvi4MoDHs1w/"},
	{"firebase-scrypt$ln=11,r=8", "$firebase-scrypt$ln=11,r=8$wDef1JSuNII/vcf691EfUIbnJ2fKtRwmDm9s0/xMiMF/VmNx7+n/VKHi8nefncXNa2hCD4bsmyOBGFeJy35FCA$Bw$f+jYSiY/7FqldA$pn4iRidZ3z7Itz1U70YlAqOKCqhCpKhenH1pqgvRx9/Mjj2tm3Bo+hdf/kqcCy4SJwxRMQdTlAB8IQiSkUDWBg"},
	{"digest", "$digest$sha1({password}{salt})$GANAqA$CSSb4aSPv0jFceMQoCLb3TmdUwI"},
}

func newHasher() *Hasher { return New(2, 10*time.Second) }

func verify(t *testing.T, h *Hasher, phc, password string) Result {
	t.Helper()
	res, err := h.Verify(t.Context(), phc, password)
	if err != nil {
		t.Fatalf("Verify(%q): %v", phc, err)
	}
	return res
}

func TestVerify_KnownHashes(t *testing.T) {
	h := newHasher()
	for i, k := range known {
		t.Run(k.scheme, func(t *testing.T) {
			if err := Check(k.phc); err != nil {
				t.Errorf("Check: %v", err)
			}
			if got := Scheme(k.phc); got != k.scheme {
				t.Errorf("Scheme = %q, want %q", got, k.scheme)
			}
			res := verify(t, h, k.phc, horse)
			if !res.OK {
				t.Error("the right password does not match")
			}
			if want := i > 0; res.Stale != want {
				t.Errorf("Stale = %v, want %v", res.Stale, want)
			}
			for _, wrong := range []string{"Correct" + horse[7:], horse + "\x00"} {
				if res := verify(t, h, k.phc, wrong); res.OK || res.Stale {
					t.Errorf("%q matches: %+v", wrong, res)
				}
			}
			other := "A" // another tag does not match
			if k.phc[len(k.phc)-2] == 'A' {
				other = "B"
			}
			if verify(t, h, k.phc[:len(k.phc)-2]+other+k.phc[len(k.phc)-1:], horse).OK {
				t.Error("a changed hash matches")
			}
		})
	}
}

// The vector of the argon2 reference implementation's README and of its Debian package.
func TestVerify_Reference(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := New(1, time.Second)
	if res := verify(t, h, phc, "password"); !res.OK || !res.Stale {
		t.Errorf("got %+v, want OK and Stale", res)
	}
}

func TestHash_RoundTrip(t *testing.T) {
	h := newHasher()
	for _, password := range []string{"", "password123456", "käsekuchen", "\U0001F511\U0001F511", strings.Repeat("x", maxInput), "nul\x00inside"} {
		a, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if a == b {
			t.Error("two hashes have one salt")
		}
		if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || len(a) != 97 {
			t.Errorf("Hash = %q", a)
		}
		if res := verify(t, h, a, password); !res.OK || res.Stale {
			t.Errorf("got %+v, want OK and not Stale", res)
		}
		if res := verify(t, h, a, password+"x"); res.OK {
			t.Error("a longer password matches")
		}
	}
}

func TestHash_NFC(t *testing.T) {
	const composed, decomposed = "caf\u00e9 caf\u00e9", "cafe\u0301 cafe\u0301"
	h := newHasher()
	phc, err := h.Hash(t.Context(), decomposed)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, phc, password string
		ok, stale           bool
	}{
		{"own, composed", phc, composed, true, false},
		{"own, decomposed", phc, decomposed, true, false},
		{"other system's, composed", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$gJe/7BQIp4ESL5AX8tFKfagh//YFYYVkvWO22ju+ZQA", decomposed, true, true},
		{"other system's, as typed", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$1ZERBp2Sn6nOXFjZY8Fb5dKUrzCNl5DtTagTZfyjKaw", decomposed, true, true},
		{"bcrypt, as typed", "$2b$04$abcdefghijklmnopqrstuuiKAjrnspKuSpKB7mUvTl5.lM/J0/n1.", decomposed, true, true},
		{"bcrypt, other form", "$2b$04$abcdefghijklmnopqrstuuiKAjrnspKuSpKB7mUvTl5.lM/J0/n1.", composed, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := verify(t, h, tt.phc, tt.password)
			if tt.name == "other system's, composed" {
				tt.stale = false // the first form that is tried
			}
			if res.OK != tt.ok || res.Stale != tt.stale {
				t.Errorf("got %+v, want OK %v, Stale %v", res, tt.ok, tt.stale)
			}
		})
	}
}

func TestVerify_Dummy(t *testing.T) {
	h := newHasher()
	for _, password := range []string{"", horse, strings.Repeat("x", 1<<20), "\xff\xfe"} {
		if res := verify(t, h, "", password); res.OK || res.Stale || res.Took <= 0 {
			t.Errorf("got %+v", res)
		}
	}
}

func TestThreat09_Truncation(t *testing.T) {
	h := newHasher()
	// libxcrypt's hashes of 72 and of 73 "x" are the same one.
	const phc = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"
	if res := verify(t, h, phc, strings.Repeat("x", 72)); !res.OK || !res.Stale {
		t.Errorf("72 bytes: got %+v", res)
	}
	for _, n := range []int{71, 73, 129, 256} {
		if res := verify(t, h, phc, strings.Repeat("x", n)); res.OK {
			t.Errorf("%d bytes match by their first 72", n)
		}
	}
	// crypt(3) refuses what these are too long for, and so does the check.
	long := strings.Repeat("x", longestCrypt)
	for name, hash := range map[string]func(string) string{
		"apr1": func(password string) string { return "$apr1$saltsalt$" + string(apr1(password, "saltsalt")) },
		"sha512crypt": func(password string) string {
			made, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(1000))
			if err != nil {
				t.Fatal(err)
			}
			d, err := made.Hash(password)
			if err != nil {
				t.Fatal(err)
			}
			return d.Encode()
		},
	} {
		if !verify(t, h, hash(long), long).OK {
			t.Errorf("%s: %d bytes: the right password does not match", name, len(long))
		}
		if verify(t, h, hash(long+"x"), long+"x").OK {
			t.Errorf("%s: %d bytes match", name, len(long)+1)
		}
	}
	// Our own hashes tell apart passwords that differ late.
	for _, n := range []int{72, 128, 1023} {
		password := strings.Repeat("x", n)
		phc, err := h.Hash(t.Context(), password+"a")
		if err != nil {
			t.Fatal(err)
		}
		if !verify(t, h, phc, password+"a").OK {
			t.Errorf("%d bytes: the right password does not match", n+1)
		}
		if verify(t, h, phc, password+"b").OK || verify(t, h, phc, password).OK {
			t.Errorf("%d bytes: another password matches", n+1)
		}
	}
	// bcrypt repeats its key, the NUL at its end included: "a" and "a\0a" are one to it.
	const repeated = "$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K"
	if verify(t, h, repeated, horse+"\x00"+horse).OK {
		t.Error("a repeated password matches")
	}
}

func TestThreat10_LongPassword(t *testing.T) {
	h := New(1, time.Second)
	if _, err := h.Hash(t.Context(), strings.Repeat("x", maxInput+1)); err == nil {
		t.Error("hashed a password that Verify would refuse")
	}
	for _, phc := range []string{"", known[0].phc, known[21].phc} {
		start := time.Now()
		if verify(t, h, phc, strings.Repeat("x", 10<<20)).OK {
			t.Error("10 MB match")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("10 MB took %v", took)
		}
	}
}

func TestVerify_Cancelled(t *testing.T) {
	h := newHasher()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Verify(ctx, known[0].phc, horse); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify: %v", err)
	}
	if _, err := h.Hash(ctx, horse); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash: %v", err)
	}
}

func TestVerify_Busy(t *testing.T) {
	h := New(1, 100*time.Millisecond)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ok, busy int
	start := time.Now()
	for range 100 {
		wg.Go(func() {
			res, err := h.Verify(t.Context(), known[0].phc, horse)
			mu.Lock()
			defer mu.Unlock()
			if e, is := errors.AsType[*ErrBusy](err); is && e.RetryAfter >= time.Second && !res.OK {
				busy++
			} else if err == nil && res.OK {
				ok++
			}
		})
	}
	wg.Wait()
	if ok == 0 || busy < 50 || ok+busy != 100 {
		t.Errorf("%d OK, %d busy", ok, busy)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the last answer came after %v", took)
	}
	if !verify(t, h, known[0].phc, horse).OK {
		t.Error("a later login fails")
	}
}

// A failed check costs at least what the check of a new hash costs.
func TestThreat02_FailureCost(t *testing.T) {
	h := New(1, time.Second)
	verify(t, h, "", horse) // the buffer is there from now on
	least := time.Hour
	for range 5 {
		least = min(least, verify(t, h, known[0].phc, "wrong").Took)
	}
	for _, phc := range []string{"", known[2].phc, "$1$saltsalt$BsXyQbZiQujHkdhwPwdol.", "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", "garbage"} {
		res, err := h.Verify(t.Context(), phc, "wrong")
		if res.OK || (err != nil) != (phc == "garbage") {
			t.Errorf("%q: %+v, %v", phc, res, err)
		}
		if res.Took < least/2 { // half: processors change their pace
			t.Errorf("%q failed in %v, a new hash in %v", phc, res.Took, least)
		}
	}
}

// A machine that was busy when it was measured is not waited for ever after: what one Default hash takes is learnt anew.
func TestFloor_MeasuredWhileBusy(t *testing.T) {
	h := New(1, time.Second)
	const scheme = "bcrypt$5" // a hundred times that is not cut off at the longest floor
	quiet, dear := h.Floor(nil), h.Floor([]string{scheme})
	h.floors.rest *= 100 // as if each had taken so long
	if got := h.Floor([]string{scheme}); got < 50*dear {
		t.Fatalf("the floor is %v, and was %v", got, dear)
	}
	verify(t, h, "", "wrong")
	for _, schemes := range [][]string{nil, {scheme}} {
		if got, most := h.Floor(schemes), 20*max(quiet, dear); got > most {
			t.Errorf("%v: after a check the floor is %v, and was %v and %v at rest", schemes, got, quiet, dear)
		}
	}
}

// The hash that the floor is stretched by is computed before one of another kind: after one that took long
// it takes longer itself, which told the accounts that have such a one.
func TestThreat02_PaceOfTheMachine(t *testing.T) {
	h := New(1, time.Second)
	verify(t, h, "", horse) // the buffer is there from now on
	rest := h.cost("")
	own, err := parse(known[0].phc)
	if err != nil {
		t.Fatal(err)
	}
	var began time.Time
	var before time.Duration
	slow := &stored{format: formatOf("$2b$"), matches: func([]byte) (bool, error) {
		before = time.Since(began)
		return false, nil
	}}
	for _, list := range [][]*stored{{slow}, {nil, slow}, {slow, own}} {
		var c checked
		_, err := h.pool.do(t.Context(), func(b *argon2.Buffer) (err error) {
			began = time.Now()
			c, err = h.check(b, list, forms("wrong"), false)
			return err
		})
		if err != nil || before < rest/2 || c.unit < rest/2 || c.unit > before { // half: processors change their pace
			t.Errorf("the other kind is tried after %v, the hash took %v, and %v at rest; %v", before, c.unit, rest, err)
		}
	}
}

// After a check that needed more memory the slot has that of a Default hash as before: else the next
// one would take longer, and tell of the account before.
func TestThreat02_LargeHashLeavesTheSlot(t *testing.T) {
	h := New(1, time.Second)
	verify(t, h, "", horse)
	kept := heap()
	if verify(t, h, "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAA", horse).OK {
		t.Fatal("a wrong password is right")
	}
	if now := heap(); now < kept-1<<20 || now > kept+1<<20 {
		t.Errorf("%d bytes, and %d before", now, kept)
	}
}

// A right password that is refused for something else costs what a wrong one does.
func TestThreat02_RightPasswordRefused(t *testing.T) {
	const password = "correct hörse battery staple"
	h := New(1, time.Second)
	phc, err := h.Hash(t.Context(), norm.NFC.String(password))
	if err != nil {
		t.Fatal(err)
	}
	least, plain, alike := time.Hour, time.Hour, time.Hour
	for range 5 {
		least = min(least, verify(t, h, phc, norm.NFD.String("wröng")).Took)
		once, err1 := h.VerifyAny(t.Context(), []string{phc}, norm.NFD.String(password), false)
		twice, err2 := h.VerifyAny(t.Context(), []string{phc}, norm.NFD.String(password), true)
		if err1 != nil || err2 != nil || !once.OK || !twice.OK || once.Stale || twice.Stale {
			t.Fatalf("%+v, %+v, %v, %v", once, twice, err1, err2)
		}
		plain, alike = min(plain, once.Took), min(alike, twice.Took)
	}
	if plain > least*3/4 || alike < least*3/4 {
		t.Errorf("right in %v, as a login that may be refused in %v, wrong in %v", plain, alike, least)
	}
}

// What a right password is to be hashed to anew is there already where a check has made a new hash, and of a wrong one it is not to be had.
func TestVerify_Fresh(t *testing.T) {
	h := newHasher()
	const foreign = "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."
	res := verify(t, h, foreign, horse)
	if !res.OK || !res.Stale || !verify(t, h, res.Fresh, horse).OK {
		t.Errorf("%+v", res)
	}
	for _, c := range [][2]string{{foreign, "wrong"}, {"", horse}, {known[0].phc, horse}} {
		if res := verify(t, h, c[0], c[1]); res.Fresh != "" {
			t.Errorf("%q: %+v", c, res)
		}
	}
}

// Of several hashes any may be the password's, and all of them are tried in one slot.
func TestVerifyAny(t *testing.T) {
	h := newHasher()
	other, err := h.Hash(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	own, foreign := known[0].phc, "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."
	for _, c := range []struct {
		phcs    []string
		which   int // -1: none
		stale   bool
		refused bool
	}{
		{nil, -1, false, false},
		{[]string{"", ""}, -1, false, false},
		{[]string{other}, -1, false, false},
		{[]string{other, own}, 1, false, false},
		{[]string{foreign, other}, 0, true, false},
		{[]string{"", other, foreign}, 2, true, false},
		{[]string{foreign, own}, 0, true, false}, // both are right
		{[]string{"garbage", own}, 1, false, false},
		{[]string{other, "garbage"}, -1, false, true},
	} {
		for _, alike := range []bool{false, true} {
			res, err := h.VerifyAny(t.Context(), c.phcs, horse, alike)
			if errors.Is(err, ErrUnsupported) != c.refused || err != nil && !c.refused {
				t.Fatalf("%q: %v", c.phcs, err)
			}
			if res.OK != (c.which >= 0) || res.OK && (res.Which != c.which || res.Stale != c.stale) {
				t.Errorf("%q: %+v", c.phcs, res)
			}
		}
	}
}

// A login that tries several hashes costs what they do together, and the floor knows.
func TestThreat02_SeveralHashes(t *testing.T) { inSomeTry(t, severalProblem) }

// severalProblem says what is wrong with the times of a new hasher.
func severalProblem(t *testing.T) error {
	h := New(1, time.Second)
	one, two := known[0].phc, known[1].phc
	scheme := Scheme(two, "garbage", one)
	if scheme != DefaultScheme+"+"+DefaultScheme || Scheme("$1$saltsalt$BsXyQbZiQujHkdhwPwdol.", one) != DefaultScheme+"+md5crypt" || Scheme("garbage") != "" {
		t.Fatalf("got %q", scheme)
	}
	both, single := h.Floor([]string{scheme}), h.Floor([]string{DefaultScheme})
	if both < single*3/2 {
		return fmt.Errorf("the floor of one hash is %s, and that of two %s", single, both)
	}
	if h.Floor([]string{"unknown+" + DefaultScheme}) != single {
		return errors.New("what is unknown of a scheme is not skipped")
	}
	least := time.Hour
	for range 5 {
		res, err := h.VerifyAny(t.Context(), []string{one, two}, "wrong", false)
		if err != nil || res.OK {
			t.Fatalf("%+v, %v", res, err)
		}
		least = min(least, res.Took)
	}
	if least > both {
		return fmt.Errorf("a check that fails takes %s, and the floor is %s", least, both)
	}
	// One of another kind that costs next to nothing, wherever it stands.
	for _, phcs := range [][]string{{"$1$saltsalt$AAAAAAAAAAAAAAAAAAAAA.", one}, {one, "$1$saltsalt$AAAAAAAAAAAAAAAAAAAAA."}} {
		cheap := time.Hour
		for range 5 {
			res, err := h.VerifyAny(t.Context(), phcs, "wrong", false)
			if err != nil || res.OK {
				t.Fatalf("%q: %+v, %v", phcs, res, err)
			}
			cheap = min(cheap, res.Took)
		}
		if floor := h.Floor([]string{Scheme(phcs...)}); cheap > floor*3/4 {
			return fmt.Errorf("%q: a check that fails takes %s, and the floor is %s", phcs, cheap, floor)
		}
	}
	// The first is right, and the second is tried all the same where that must not show.
	alike := time.Hour
	for range 5 {
		res, err := h.VerifyAny(t.Context(), []string{one, two}, horse, true)
		if err != nil || !res.OK || res.Which != 0 {
			t.Fatalf("%+v, %v", res, err)
		}
		alike = min(alike, res.Took)
	}
	if alike < least*3/4 {
		return fmt.Errorf("a check that fails takes %s, and one that may be refused %s", least, alike)
	}
	return nil
}

// What another server judges costs what a wrong password does, and has its hash at the end.
func TestHashAlike(t *testing.T) {
	h := New(1, time.Second)
	phc, res, err := h.HashAlike(t.Context(), horse)
	if err != nil || res.Took == 0 || res.OK {
		t.Fatalf("%+v, %v", res, err)
	}
	if !verify(t, h, phc, horse).OK || verify(t, h, phc, horse+"x").OK {
		t.Error("it is another password's hash")
	}
	composed, decomposed := "p\u00e4ssword of many letters", "pa\u0308ssword of many letters"
	if phc, _, err = h.HashAlike(t.Context(), decomposed); err != nil || !verify(t, h, phc, composed).OK {
		t.Errorf("%v: the hash is not that of the password in NFC", err)
	}
	if phc, _, err = h.HashAlike(t.Context(), strings.Repeat("x", maxInput+1)); err != nil || phc != "" {
		t.Errorf("a password that is never right has the hash %q, %v", phc, err)
	}
}

func BenchmarkHash(b *testing.B) {
	h := New(0, time.Minute)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Hash(b.Context(), horse); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(8)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := h.Hash(b.Context(), horse); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
