package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestThreat12_HostileHash(t *testing.T) {
	h := newHasher()
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y"
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + tag }
	b53, c43, c86 := strings.Repeat(".", 53), strings.Repeat(".", 43), strings.Repeat(".", 86)
	for _, phc := range []string{
		"$", "$$", "$$$$$$", "x", "password", "plaintext", "$plaintext$password", "$base64$cGFzcw", "{CRYPT}$1$a$b", "{SSHA}AAAA", "\x00", "$\xff$",
		"$argon2id", "$argon2id$", argon("m=19456,t=0,p=1"), argon("m=19456,t=2,p=0"), argon("m=4194304,t=2,p=1"), argon("m=1048577,t=1,p=1"),
		argon("m=1048576,t=5,p=1"), argon("m=7,t=1,p=1"), argon("m=15,t=1,p=2"), argon("m=0,t=0,p=0"), argon("m=19456,t=1025,p=1"), argon("m=19456,t=4294967295,p=1"),
		argon("m=99999999999999999999,t=2,p=1"), argon("m=-1,t=2,p=1"), argon("m=19456,t=2,p=256"), argon("m=19456,t=2,p=257"), argon("m=1048576,t=1,p=65"),
		argon("m=19456,t=2"), argon("m=19456,t=2,p=1,m=8"), argon("t=2,m=19456,p=1"), argon("m=019456,t=2,p=1"), argon("m=+19456,t=2,p=1"), argon("m=19456,t=2,p=1,keyid=a"), argon(""),
		"$argon2id$m=19456,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + tag, "$argon2$v=19$m=19456,t=2,p=1$" + salt + "$" + tag,
		argon("m=19456,t=2,p=1") + "=", argon("m=19456,t=2,p=1") + "\n", " " + argon("m=19456,t=2,p=1"), argon("m=19456,t=2,p=1") + "$x",
		"$argon2id$v=19$m=19456,t=2,p=1$$" + tag, "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$AAAA",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$not*base64", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag[:42], "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag[:41],
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag[:42] + "Z", // bits after the end
		"$argon2i$v=19$m=8,t=0,p=1$" + salt + "$" + tag, "$argon2d$v=19$m=19456,t=1,p=0$" + salt + "$" + tag, "$argon2d$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag,
		"$2b$", "$2b$12", "$2b$03$" + b53, "$2b$00$" + b53, "$2b$17$" + b53, "$2b$31$" + b53, "$2b$99$" + b53, "$2b$-1$" + b53, "$2b$6$" + b53, "$2b$012$" + b53,
		"$2$06$" + b53, "$2x$06$" + b53, "$2b$06$" + b53 + ".", "$2b$06$" + b53[1:], "$2b$06$" + b53[1:] + "!",
		"$bcrypt-sha256$v=1,t=2b,r=6$" + b53[:22] + "$" + b53[:31], "$bcrypt-sha256$v=2,t=2b,r=31$" + b53[:22] + "$" + b53[:31], "$bcrypt-sha256$2a,12$" + b53[:22] + "$" + b53[:31],
		"$scrypt$ln=0,r=8,p=1$" + salt + "$" + tag, "$scrypt$ln=63,r=8,p=1$" + salt + "$" + tag, "$scrypt$ln=64,r=8,p=1$" + salt + "$" + tag, "$scrypt$ln=24,r=64,p=1$" + salt + "$" + tag,
		"$scrypt$ln=15,r=0,p=1$" + salt + "$" + tag, "$scrypt$ln=15,r=8,p=0$" + salt + "$" + tag, "$scrypt$ln=15,r=4294967295,p=1$" + salt + "$" + tag, "$scrypt$ln=20,r=8,p=2$" + salt + "$" + tag,
		"$scrypt$ln=15,r=8,p=1$" + salt + "$", "$scrypt$ln=-1,r=8,p=1$" + salt + "$" + tag,
		"$y$", "$y$j9T$salt", "$y$.7.$$" + c43, "$y$jzz$$" + c43, "$y$jIT$$" + c43, "$y$j9T$/$" + c43, "$y$j9T$zzzzz$" + c43, "$y$j9T$..$" + c43[1:],
		"$pbkdf2-sha256$0$" + salt + "$" + tag, "$pbkdf2-sha256$2147483647$" + salt + "$" + tag, "$pbkdf2-sha256$5242881$" + salt + "$" + tag, "$pbkdf2-sha256$-1$" + salt + "$" + tag,
		"$pbkdf2-sha256$3000000$" + salt + "$" + c86, "$pbkdf2-md5$1000$" + salt + "$" + tag, "$pbkdf2-sha256$1000$" + salt + "$", "$pbkdf2-sha256$1000$+$" + tag,
		"$5$$" + c43, "$5$rounds=999$salt$" + c43, "$5$rounds=1000001$salt$" + c43, "$P$J" + strings.Repeat(".", 30), "$5$rounds=999999999$salt$" + c43, "$5$salt$" + c43 + ".", "$5$seventeenletters!$" + c43, "$5$sa:t$" + c43,
		"$6$rounds=-1$salt$" + c86, "$6$salt$" + c43, "$6$rounds=$salt$" + c86, "$6$", "$1$$" + c43[:22], "$1$ninechars$" + c43[:22], "$1$salt$" + c43, "$md5$rounds=904$salt$$" + c43[:22],
		"$sha1$40000$salt$" + c43[:28], argon("m=19456,t=2,p=1")[:20] + strings.Repeat("A", 4096),
	} {
		err := Check(phc)
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("Check(%q) = %v", phc, err)
			continue
		}
		if len(phc) > 20 && strings.Contains(err.Error(), phc[len(phc)-20:]) {
			t.Errorf("the error contains the hash: %v", err)
		}
		if s := Scheme(phc); s != "" {
			t.Errorf("Scheme(%q) = %q", phc, s)
		}
	}
	for _, phc := range []string{argon("m=19456,t=0,p=1"), argon("m=19456,t=2,p=0"), argon("m=4194304,t=2,p=1"), "$2b$31$" + b53, "\x00"} {
		start := time.Now()
		res, err := h.Verify(t.Context(), phc, horse)
		if res.OK || !errors.Is(err, ErrUnsupported) || time.Since(start) > 2*time.Second {
			t.Errorf("Verify(%q) = %+v, %v after %v", phc, res, err, time.Since(start))
		}
	}
	if !verify(t, h, known[0].phc, horse).OK {
		t.Error("a later login fails")
	}
}

func TestCheck_CapsAreReachable(t *testing.T) {
	for _, phc := range []string{
		"$argon2id$v=19$m=262144,t=4,p=64$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1024,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$scrypt$ln=17,r=8,p=1$$AAAAAAAAAAAAAAAAAAAAAA",
		fmt.Sprintf("$pbkdf2-sha512$%d$$%s", maxIterations, strings.Repeat("A", 86)),
		fmt.Sprintf("$6$rounds=%d$s$%s", maxRounds, strings.Repeat("A", 86)),
		"$2y$14$" + strings.Repeat(".", 53),
		"$P$I" + strings.Repeat(".", 30),
		"$firebase-scrypt$ln=17,r=8$" + zeros + "$$$" + zeros,
	} {
		if err := Check(phc); err != nil {
			t.Errorf("Check(%q) = %v", phc, err)
		}
		if _, err := sampleOf(Scheme(phc)); err != nil {
			t.Errorf("%s can't be measured: %v", Scheme(phc), err)
		}
	}
}

func TestScheme_Sample(t *testing.T) {
	for _, k := range known {
		s, err := sampleOf(k.scheme)
		if err != nil {
			t.Errorf("%s: %v", k.scheme, err)
			continue
		}
		if got := s.scheme(); got != k.scheme {
			t.Errorf("the sample of %q has scheme %q", k.scheme, got)
		}
	}
	for _, scheme := range []string{"", "$", "bcrypt", "bcrypt$", "bcrypt$x", "bcrypt$31", "bcrypt$-1", "argon2id$m=1,t=1", "argon2id$m=4294967295,t=1,p=1", "yescrypt$ln=64,r=99", "yescrypt$ln=24,r=1", "scrypt$ln=15,r=8,p=1,q=2", "rot13$13"} {
		if _, err := sampleOf(scheme); !errors.Is(err, ErrUnsupported) {
			t.Errorf("sampleOf(%q): %v", scheme, err)
		}
	}
}

func TestFloor_CoversFailures(t *testing.T) { inSomeTry(t, floorProblem) }

// inSomeTry asks for what is wrong with times until nothing is: a machine that is busy with other things spoils a measurement
// now and then, never all.
func inSomeTry(t *testing.T, wrong func(*testing.T) error) {
	t.Helper()
	var problem error
	for range 10 {
		if problem = wrong(t); problem == nil {
			return
		}
		t.Log(problem)
	}
	t.Error(problem)
}

// floorProblem says what is wrong with the floors of a new hasher.
func floorProblem(t *testing.T) error {
	h := newHasher()
	plain := h.Floor(nil)
	if plain <= 0 || plain > 5*time.Second {
		return fmt.Errorf("Floor(nil) = %v", plain)
	}
	slow := h.Floor([]string{"argon2id$m=19456,t=2,p=1", "bcrypt$10", "rot13$13"})
	plain = h.Floor(nil) // what a Default hash takes was learnt anew
	if slow <= plain {
		return fmt.Errorf("bcrypt adds nothing: %v, without it %v", slow, plain)
	}
	if current := h.Floor([]string{"argon2id$m=19456,t=2,p=1"}); current != plain {
		t.Errorf("new hashes cost %v, and the check without a hash %v", current, plain)
	}
	start := time.Now()
	if again := h.Floor([]string{"bcrypt$10"}); again != slow || time.Since(start) > 10*time.Millisecond {
		return fmt.Errorf("Floor = %v after %v, was %v", again, time.Since(start), slow)
	}
	least := time.Hour
	for range 3 {
		least = min(least, verify(t, h, "$2b$10$"+strings.Repeat(".", 53), "wrong").Took)
	}
	if least > slow {
		return fmt.Errorf("a failed check takes %v, and the floor is %v", least, slow)
	}
	return nil
}

func TestFloorOf(t *testing.T) {
	h := newHasher()
	long := strings.Repeat("x", longestCrypt)
	for _, tt := range []struct {
		scheme, password string
		pace             float64
		times            time.Duration // of what the scheme's floor is
	}{
		{"", "", 0, 1}, {"", probe, 1, 1}, {"", long, 1, 1}, {"", "cafe\u0301", 1, 2}, {"", "caf\u00e9", 1, 1}, {"", "", 3, 3},
		{"argon2id$m=8,t=1,p=1+bcrypt$4", long, 1, 1},
		{"sha256crypt$1000", probe, 1, 1}, {"sha256crypt$1000", probe + "x", 1, 2}, {"sha256crypt$1000", long, 1, 13}, {"sha256crypt$1000", strings.Repeat("x", 1<<20), 1, 13},
		{"bcrypt$4+sha512crypt$1000", long, 2, 26}, {"phpass$8", long, 1, 13}, {"md5crypt", long, 1, 13}, {"apr1", long, 1, 13},
	} {
		scheme := []string{tt.scheme}
		if got, want := h.FloorOf(scheme, tt.password, tt.pace), tt.times*h.Floor(scheme); got != want {
			t.Errorf("%q, %d bytes, pace %v: %v, want %v", tt.scheme, len(tt.password), tt.pace, got, want)
		}
	}
	// A stranger's guess at anybody in a realm that has one dear hash.
	if got := h.FloorOf([]string{"sha512crypt$700000"}, long, slowest); got != 10*time.Second {
		t.Errorf("the longest floor is %v", got)
	}
}

// SHA-crypt hashes the password in every round; stretch and the margin of Floor must cover
// that, counted in the blocks that SHA-2 goes through.
func TestStretch_SHACrypt(t *testing.T) {
	for _, hash := range []struct{ size, block, end int }{{32, 64, 9}, {64, 128, 17}} {
		blocks := func(password string) (n int) {
			for round := range 5000 {
				size := hash.size + len(password)
				if round%3 != 0 {
					size += 16 // the salt
				}
				if round%7 != 0 {
					size += len(password)
				}
				n += (size + hash.end + hash.block - 1) / hash.block
			}
			return n
		}
		for n := range longestCrypt + 1 {
			password := strings.Repeat("x", n)
			if got, limit := blocks(password), 2*blocks(probe)*stretch(password); got > limit {
				t.Errorf("of %d-byte blocks, %d bytes take %d, more than %d", hash.block, n, got, limit)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, k := range known {
		f.Add(k.phc)
	}
	f.Add("$y$j9T$/$" + strings.Repeat(".", 43))
	f.Fuzz(func(t *testing.T, phc string) {
		s, err := parse(phc)
		if err != nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Fatalf("%v", err)
			}
			return
		}
		sample, err := sampleOf(s.scheme())
		if err != nil {
			t.Fatalf("%q has scheme %q: %v", phc, s.scheme(), err)
		}
		if sample.scheme() != s.scheme() {
			t.Fatalf("%q has scheme %q, its sample %q", phc, s.scheme(), sample.scheme())
		}
		if s.memory > maxMemory {
			t.Fatalf("%q needs %d KiB", phc, s.memory)
		}
	})
}

// FuzzVerify runs the verifiers of what Check lets through, if they are quick.
func FuzzVerify(f *testing.F) {
	for _, k := range known {
		f.Add(k.phc, horse)
	}
	h := New(1, time.Minute)
	f.Fuzz(func(t *testing.T, phc, password string) {
		s, err := parse(phc)
		if err != nil || s.memory > 8<<10 || len(s.params) > 0 && s.params[0] > 20_000 || len(s.params) > 1 && s.params[1] > 32 ||
			strings.Contains(s.format.name, "bcrypt") && s.params[0] > 6 || s.format == phpass && s.params[0] > 12 {
			return
		}
		if _, err := h.Verify(t.Context(), phc, password); err != nil {
			t.Fatalf("Verify(%q, %q): %v", phc, password, err)
		}
	})
}
