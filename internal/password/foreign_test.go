package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/argon2"
)

// The parameters that Firebase's own documentation of its scrypt shows.
var sampleProject = &Firebase{
	SignerKey:     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
	SaltSeparator: "Bw==", Rounds: 8, MemoryCost: 14,
}

// documented are hashes from the documents and the tests of other systems.
var documented = []struct {
	name, text, password, scheme string
	options                      ForeignOptions
}{
	{name: "RFC 6070", text: "$pbkdf2$4096$" + adapted64([]byte("salt")) + "$" + adapted64(unhex("4b007901b765489abead49d926f721d065a429c1")), password: "password", scheme: "pbkdf2-sha1$i=4096,blocks=1"},
	{name: "RFC 6070, as Werkzeug", text: "pbkdf2:sha1:4096$saltSALTsaltSALTsaltSALTsaltSALTsalt$3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038", password: "passwordPASSWORDpassword", scheme: "pbkdf2-sha1$i=4096,blocks=2"},
	{name: "RFC 7914, scrypt, as Werkzeug", text: "scrypt:1024:8:16$NaCl$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640", password: "password", scheme: "scrypt$ln=10,r=8,p=16"},
	{name: "RFC 7914, PBKDF2, as Werkzeug", text: "pbkdf2:sha256:1$salt$55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783", password: "passwd", scheme: "pbkdf2-sha256$i=1,blocks=2"},

	{name: "Django", text: "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=", password: "lètmein", scheme: "pbkdf2-sha256$i=393216,blocks=1"},
	{name: "Django", text: "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8", password: "lètmein", scheme: "digest"},
	{name: "Django", text: "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3", password: "lètmein", scheme: "digest"},
	{name: "Django", text: "sha1$$6d138ca3ae545631b3abd71a4f076ce759c5700b", password: "lètmein", scheme: "digest"},
	{name: "Django", text: "md5$$88a434c88cca4e900f7874cd98123f43", password: "lètmein", scheme: "digest"},
	{name: "Django", text: "88a434c88cca4e900f7874cd98123f43", options: ForeignOptions{Template: "md5({password})"}, password: "lètmein", scheme: "digest"},
	{name: "Django", text: "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==", password: "lètmein", scheme: "scrypt$ln=14,r=8,p=1"},
	{name: "Django", text: "argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", password: "secret", scheme: "argon2id$m=102400,t=2,p=8"},
	{name: "Django", text: "bcrypt$$2b$05$oPEA5C.Sh8wMtjT1U/sUBeXJWGHn/U9PXc0qFQVYNt/Op50DPuCWq", password: horse, scheme: "bcrypt$5"},

	{name: "phpass", text: "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", password: "test12345", scheme: "phpass$11"},
	{name: "phpBB", text: "$H$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", password: "test12345", scheme: "phpass$11"},
	{name: "Firebase", text: "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==", options: ForeignOptions{Salt: "42xEC+ixf3L2lw==", Firebase: sampleProject}, password: "user1password", scheme: "firebase-scrypt$ln=14,r=8"},

	{name: "RFC 2202, HMAC", text: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", options: ForeignOptions{Template: "hmac-sha1({salt},{password})", Salt: "Jefe"}, password: "what do ya want for nothing?", scheme: "digest"},
	{name: "RFC 4231, HMAC", text: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737", options: ForeignOptions{Template: "hmac-sha512({hex:4a656665},{password})"}, password: "what do ya want for nothing?", scheme: "digest"},
	{name: "FIPS 180", text: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", options: ForeignOptions{Template: "sha256({password})"}, password: "abc", scheme: "digest"},
	{name: "FIPS 180, in base64", text: "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", options: ForeignOptions{Template: "sha256({salt}{password})", Salt: "a"}, password: "bc", scheme: "digest"},
}

func TestForeign_Documented(t *testing.T) {
	for _, tt := range documented {
		t.Run(tt.name, func(t *testing.T) {
			stored := foreign(t, tt.text, tt.options)
			if got := Scheme(stored); got != tt.scheme {
				t.Errorf("Scheme = %q, want %q", got, tt.scheme)
			}
			if s, err := sampleOf(tt.scheme); err != nil || s.scheme() != tt.scheme {
				t.Errorf("its sample: %v", err)
			}
			s, err := parse(stored) // without what a login does besides: some of these are slow
			if err != nil {
				t.Fatal(err)
			}
			for _, pass := range []string{tt.password, tt.password + "garbage"} {
				if ok, err := s.match(new(argon2.Buffer), []byte(pass)); ok != (pass == tt.password) || err != nil {
					t.Errorf("%q: %v, %v", pass, ok, err)
				}
			}
		})
	}
}

// rightAlone checks that a hash is of this password, and of none that looks like it.
func rightAlone(t *testing.T, h *Hasher, stored, password string) {
	t.Helper()
	if res := verify(t, h, stored, password); !res.OK || !res.Stale {
		t.Errorf("the right password: %+v", res)
	}
	if verify(t, h, stored, password+"garbage").OK {
		t.Error("the right password and garbage are right too")
	}
	s, err := parse(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{password + "\x00", password[:len(password)-1]} {
		if ok, err := s.match(new(argon2.Buffer), []byte(wrong)); ok || err != nil {
			t.Errorf("%q is right too: %v", wrong, err)
		}
	}
}

func foreign(t *testing.T, text string, o ForeignOptions) string {
	t.Helper()
	stored, err := Foreign(text, o)
	if err != nil {
		t.Fatalf("Foreign(%q): %v", text, err)
	}
	if err := Check(stored); err != nil {
		t.Errorf("%q: %v", stored, err)
	}
	if again, err := Foreign(stored, ForeignOptions{}); again != stored || err != nil {
		t.Errorf("the stored form is not one: %q, %v", again, err)
	}
	return stored
}

// What a system makes of a password longer than it reads is of no other password.
func TestForeign_LongPasswords(t *testing.T) {
	h := newHasher()
	long := strings.Repeat("0123456789", 8)
	for name, stored := range map[string]string{
		"of the first 72":          foreign(t, "bcrypt$$2b$04$abcdefghijklmnopqrstuuwekeURR2Ph8Hh6agUFPVmTt5R0XRGzi", ForeignOptions{}),
		"of its hash, and its hex": foreign(t, "bcrypt_sha256$$2b$05$Se9xz2M32/tBU3MyPbFgeOsT95oZ8nOtSeplRhDT9L1nzY9uD/rzC", ForeignOptions{}),
	} {
		for _, p := range []string{long, long[:73], horse + strings.Repeat("x", 80)} {
			if verify(t, h, stored, p).OK {
				t.Errorf("%s: %d bytes are right", name, len(p))
			}
		}
	}
	tag := digests["sha1"]()
	tag.Write([]byte("s" + long + long))
	stored := foreign(t, fmt.Sprintf("%x", tag.Sum(nil)), ForeignOptions{Template: "sha1({salt}{password})", Salt: "s"})
	if !verify(t, h, stored, long+long).OK || verify(t, h, stored, long+long+"0").OK || verify(t, h, stored, long).OK {
		t.Error("a digest is not of all of its password")
	}
}

// The command line of Firebase writes other base64 than its library.
func TestForeign_FirebaseAlphabets(t *testing.T) {
	a := foreign(t, "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==", ForeignOptions{Salt: "42xEC+ixf3L2lw==", Firebase: sampleProject})
	b := foreign(t, "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ", ForeignOptions{Salt: "42xEC-ixf3L2lw", Firebase: sampleProject})
	if a != b {
		t.Errorf("%q, %q", a, b)
	}
}

func TestForeign_Templates(t *testing.T) {
	h := newHasher()
	hex := func(name, text string) string {
		sum := digests[name]()
		sum.Write([]byte(text))
		return fmt.Sprintf("%x", sum.Sum(nil))
	}
	for _, tt := range []struct{ template, want string }{
		{"md5({salt}{password})", hex("md5", "Salz"+horse)},
		{"sha1({password}{salt})", hex("sha1", horse+"Salz")},
		{"sha256({salt}:{password})", hex("sha256", "Salz:"+horse)},
		{"sha512({salt}--{password}--)", hex("sha512", "Salz--"+horse+"--")},
		{"md5(md5({password}){salt})", hex("md5", hex("md5", horse)+"Salz")},
		{"md5(md5({salt})md5({password}))", hex("md5", hex("md5", "Salz")+hex("md5", horse))},
		{"sha1({salt}sha1({salt}sha1({password})))", hex("sha1", "Salz"+hex("sha1", "Salz"+hex("sha1", horse)))},
		{"md5(md5(md5(md5({password}{salt}))))", hex("md5", hex("md5", hex("md5", hex("md5", horse+"Salz"))))},
		{"sha384(pepper{hex:247b00}{password}{salt}{password})", hex("sha384", "pepper${\x00"+horse+"Salz"+horse)},
		{"sha224({salt}{password})", strings.ToUpper(hex("sha224", "Salz"+horse))},
	} {
		rightAlone(t, h, foreign(t, tt.want, ForeignOptions{Template: tt.template, Salt: "Salz"}), horse)
		if other := foreign(t, tt.want, ForeignOptions{Template: tt.template, Salt: "Salz."}); verify(t, h, other, horse).OK {
			t.Errorf("%s: another salt is right", tt.template)
		}
	}
}

func TestForeign_TemplateErrors(t *testing.T) {
	const md5 = "88a434c88cca4e900f7874cd98123f43"
	for template, want := range map[string]string{
		"rot13({password})": "character 1", "{password}": "character 1", "md5 ({password})": "character 1",
		"md5({password}": `character 15: here should be ')'`, "md5({passwort})": "character 5", "md5({password})x": "character 16: something follows",
		"md5({salt})": "{password} is not in it", "md5()": "{password} is not in it", "md5({password}$)": "character 15", "md5({password}|)": "character 15",
		"md5({password},{salt})": "character 15", "hmac-md5({password})": "character 20", "hmac-md5({password},{salt}": `here should be ')'`, "md5({hex:0})": "character 5", "md5({hex:zz}{password})": "character 5",
		"md5(ä{password})": "character 5", "md5({password}\n)": "character 15",
		"md5(md5(md5(md5(md5({password})))))":             "more than 4 within each other",
		"md5({password}" + strings.Repeat("x", 200) + ")": "longer than 200",
	} {
		_, err := Foreign(md5, ForeignOptions{Template: template})
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", template, err, want)
		}
	}
}

func TestThreat12_HostileForeignHash(t *testing.T) {
	const tag = "7Kl5cbrUbwv9gGVGZfhTrFvIsQWzGyaJPWPpwOTqQoE="
	hex64, b53 := strings.Repeat("0f", 32), strings.Repeat(".", 53)
	firebase := func(change func(*ForeignOptions)) ForeignOptions {
		project := *sampleProject
		o := ForeignOptions{Salt: "42xEC+ixf3L2lw==", Firebase: &project}
		change(&o)
		return o
	}
	same := func(*ForeignOptions) {}
	signed := strings.Repeat("A", 86)
	for _, tt := range []struct {
		text, want string
		options    ForeignOptions
	}{
		{text: "", want: "no hash"}, {text: "!", want: "no hash"}, {text: "*LK*", want: "no hash"}, {text: "!nPFsW1BZq3uuYbLYWoQ5YBLaCrvyeStlGYbUKmDf", want: "no hash"},
		{text: "hunter2hunter2hunter2", want: "a bare hash does not say how it was made"},
		{text: strings.Repeat("a", 2000), want: "longer than"}, {text: "rot13$a$b", want: "unknown format"}, {text: "plain$$hunter2hunter2hunter2", want: "the password itself"},
		{text: "crypt$$ab1Hv2Lg7ltQo", want: "unknown format"}, {text: "$wp$2y$10$" + b53, want: "unknown format"},

		{text: "pbkdf2_sha256$0$seasalt$" + tag, want: "pbkdf2-sha256: iterations"}, {text: "pbkdf2_sha256$5242881$seasalt$" + tag, want: "pbkdf2-sha256: iterations"},
		{text: "pbkdf2_sha256$-1$seasalt$" + tag, want: "malformed pbkdf2-sha256"}, {text: "pbkdf2_sha256$1e9$seasalt$" + tag, want: "malformed pbkdf2-sha256"},
		{text: "pbkdf2_sha256$seasalt$" + tag, want: "pbkdf2_sha256: it has not 3 parts"}, {text: "pbkdf2_sha256$1000$seasalt$" + tag + "$x", want: "3 parts"},
		{text: "pbkdf2_sha256$1000$seasalt$n*t base64", want: "not base64"}, {text: "pbkdf2_sha256$1000$seasalt$", want: "malformed"}, {text: "pbkdf2_sha256$1000$seasalt$AAAA", want: "malformed"},
		{text: "pbkdf2_sha512$1000$seasalt$" + tag, want: "unknown format"},
		{text: "argon2$argon2id$v=19$m=102400,t=0,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", want: "argon2id: t is not between"},
		{text: "argon2$argon2id$v=19$m=4194304,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", want: "argon2id: m is not between"},
		{text: "argon2$argon2i$v=19$m=8,t=1,p=1025$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", want: "argon2i: p is not between"},
		{text: "argon2$x", want: "unknown format"}, {text: "bcrypt$" + b53, want: "unknown format"}, {text: "bcrypt$$2b$31$" + b53, want: "bcrypt: cost"}, {text: "bcrypt$$2b$12$" + b53[1:], want: "malformed bcrypt"},
		{text: "bcrypt_sha256$$2b$31$" + b53, want: "django-bcrypt-sha256: cost"}, {text: "bcrypt_sha256$$2b$03$" + b53, want: "cost"}, {text: "bcrypt_sha256$" + b53, want: "unknown format"}, {text: "bcrypt_sha256$$2x$12$" + b53, want: "malformed"},
		{text: "scrypt$16385$seasalt$8$1$" + tag, want: "scrypt of Django: N"}, {text: "scrypt$0$seasalt$8$1$" + tag, want: "N"}, {text: "scrypt$1$seasalt$8$1$" + tag, want: "scrypt: ln"},
		{text: "scrypt$16384$seasalt$0$1$" + tag, want: "scrypt: r"}, {text: "scrypt$16384$seasalt$8$65$" + tag, want: "scrypt: p"}, {text: "scrypt$1048576$seasalt$8$1$" + tag, want: "scrypt: memory"},
		{text: "scrypt$16384$seasalt$8$x$" + tag, want: "p is not a number"}, {text: "scrypt$99999999999$seasalt$8$1$" + tag, want: "N"}, {text: "scrypt$16384$seasalt$8$" + tag, want: "5 parts"},
		{text: "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0", want: "md5: the hash is not hex of its length"}, {text: "sha1$seasalt$zzf36ea83f5706ce9aa7454e63e431fc726b2dc8", want: "sha1"}, {text: "md5$3f86d0d3d465b7b458c231bf3555c0e3", want: "2 parts"},

		{text: "pbkdf2:sha256$salt$" + hex64, want: "without its iterations"}, {text: "pbkdf2:md5:1000$salt$" + hex64, want: "pbkdf2 of Werkzeug"}, {text: "pbkdf2:whirlpool:1000$salt$" + hex64, want: "pbkdf2 of Werkzeug"},
		{text: "pbkdf2:sha256:1000$salt$xyz", want: "not hex"}, {text: "pbkdf2:sha256:999999999$salt$" + hex64, want: "iterations"}, {text: "pbkdf2:sha256:1000$" + hex64, want: "2 parts"}, {text: "pbkdf2:sha256:1000$salt$" + hex64[:20], want: "malformed"},
		{text: "scrypt:32768:8$salt$" + hex64, want: "not all there"}, {text: "scrypt:4194304:8:1$salt$" + hex64, want: "memory"}, {text: "scrypt:32768:8:1$salt$" + hex64 + "x", want: "not hex"}, {text: "scrypt:32768:8:1$" + hex64, want: "2 parts"},
		{text: "rot13:1$a$b", want: "unknown format"},

		{text: "$P$AIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L", want: "malformed phpass"}, {text: "$P$4IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", want: "phpass: log2 of the rounds"}, {text: "$P$zIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", want: "log2 of the rounds"}, {text: "$P$LIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", want: "between 7 and 20"}, {text: "$P$", want: "malformed"},

		{text: "{SSHA", want: "no end"}, {text: "{SSHA}", want: "its digest"}, {text: "{SSHA}n*t base64", want: "LDAP {SSHA}: not base64"}, {text: "{SSHA}q/eq1kOINtvlJqojGr3i0O73TUI=", want: "the salt is missing"}, {text: "{SHA}IOf2VT2gTqs7/Kp02n2zw9S1uPkhxDin", want: "the length of its digest"},
		{text: "{SHA256}q/eq1kOINtvlJqojGr3i0O73TUI=", want: "the length"}, {text: "{CLEARTEXT}hunter2hunter2hunter2", want: "the password itself"}, {text: "{CRYPT}ab1Hv2Lg7ltQo", want: "8 characters only"}, {text: "{CRYPT}!", want: "no hash"}, {text: "{NT}abc", want: "not supported"},
		{text: "{PBKDF2-SHA256}999999999$c2FsdA$" + strings.TrimRight(tag, "="), want: "pbkdf2-sha256: iterations"}, {text: "{PBKDF2-SHA256}1000$c2FsdA", want: "malformed"},

		{text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.MemoryCost = 0 }), want: "firebase-scrypt: mem_cost"}, {text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.MemoryCost = 64 }), want: "mem_cost"},
		{text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.MemoryCost = 22 }), want: "firebase-scrypt: memory"}, {text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.Rounds = -1 }), want: "rounds"},
		{text: signed, options: firebase(func(o *ForeignOptions) { o.Salt = "n*t" }), want: "the salt is not base64"}, {text: signed, options: firebase(func(o *ForeignOptions) { o.Salt = "" }), want: "no salt"}, {text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.SignerKey = "" }), want: "no signer key"},
		{text: signed, options: firebase(func(o *ForeignOptions) { o.Firebase.SignerKey = "AAAA" }), want: "as long as the signer key"}, {text: signed[:82], options: firebase(same), want: "as long as the signer key"}, {text: "n*t", options: firebase(same), want: "the hash is not base64"},
		{text: "AAAA", options: firebase(func(o *ForeignOptions) { o.Firebase.SignerKey = "AAAA" }), want: "malformed firebase-scrypt"},
		{text: signed, options: firebase(func(o *ForeignOptions) { o.Template = "md5({password})" }), want: "the one or the other"},

		{text: hex64, options: ForeignOptions{Template: "sha1({password})"}, want: "20 bytes"}, {text: hex64, options: ForeignOptions{Template: "sha256({salt}{password})"}, want: "there is none"}, {text: hex64, options: ForeignOptions{Template: "sha256({password})", Salt: "x"}, want: "no {salt}"},
		{text: "$2b$12$" + b53, options: ForeignOptions{Salt: "x"}, want: "has its salt in it"},
		{text: "$firebase-scrypt$ln=14,r=8$" + zeros + "$$$" + zeros + "AA", want: "malformed firebase-scrypt"}, {text: "$digest$md5({password})|sha1({password})$$AAAAAAAAAAAAAAAAAAAAAA", want: "malformed digest"}, {text: "$digest$md5({salt})$$AAAAAAAAAAAAAAAAAAAAAA", want: "malformed digest"}, {text: "$digest$$$AAAAAAAAAAAAAAAAAAAAAA", want: "malformed digest"}, {text: "$digest$md5({password})$$AAAAAAAAAAAAAAAAAAAAAAAA", want: "malformed digest"},
	} {
		start := time.Now()
		stored, err := Foreign(tt.text, tt.options)
		if stored != "" || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Foreign(%q) = %q, %v; want %s", tt.text, stored, err, tt.want)
			continue
		}
		if len(tt.text) > 20 && strings.Contains(err.Error(), tt.text[len(tt.text)-20:]) || time.Since(start) > time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	}
}

func FuzzForeign(f *testing.F) {
	for _, tt := range documented {
		f.Add(tt.text, tt.options.Salt, tt.options.Template, tt.options.Firebase != nil)
	}
	for _, text := range []string{"{SSHA}IOf2VT2gTqs7/Kp02n2zw9S1uPkhxDin", "{CRYPT}$1$saltsalt$BsXyQbZiQujHkdhwPwdol.", "bcrypt_sha256$$2b$05$Se9xz2M32/tBU3MyPbFgeOsT95oZ8nOtSeplRhDT9L1nzY9uD/rzC"} {
		f.Add(text, "", "hmac-md5({salt},sha1({password}{hex:00}))", false)
	}
	f.Fuzz(func(t *testing.T, text, salt, template string, firebase bool) {
		o := ForeignOptions{Salt: salt, Template: template}
		if firebase {
			o.Firebase = sampleProject
		}
		stored, err := Foreign(text, o)
		if err != nil {
			if !errors.Is(err, ErrUnsupported) || stored != "" {
				t.Fatalf("%q, %v", stored, err)
			}
			return
		}
		if err := Check(stored); err != nil {
			t.Fatalf("%q is stored as %q: %v", text, stored, err)
		}
		if s, _ := parse(stored); s.format == digest {
			if _, err := s.matches([]byte("password")); err != nil {
				t.Fatalf("%q: %v", stored, err)
			}
		}
	})
}
