package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// fixed is a key that the tests know: bytes 0 to 31.
func fixed(t testing.TB) Key {
	t.Helper()
	master := make([]byte, KeySize)
	for i := range master {
		master[i] = byte(i)
	}
	key, err := Parse(base64.StdEncoding.EncodeToString(master))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSeal_RoundTrip(t *testing.T) {
	key := fixed(t)
	for _, plain := range [][]byte{nil, {}, {0}, []byte("a TOTP secret, 20 by"), bytes.Repeat([]byte("x"), 1<<16)} {
		sealed := key.Seal(plain, "factor/1")
		if len(sealed) != len(plain)+overhead || sealed[0] != version {
			t.Fatalf("sealed %d bytes as %d of version %d", len(plain), len(sealed), sealed[0])
		}
		if len(plain) > 8 && bytes.Contains(sealed, plain[:8]) {
			t.Fatal("the plain text shows in the sealed value")
		}
		got, err := key.Open(sealed, "factor/1")
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open: %d bytes, %v; want %d bytes", len(got), err, len(plain))
		}
	}
}

func TestSeal_NonceIsFresh(t *testing.T) {
	key, seen := fixed(t), map[string]bool{}
	for range 1000 {
		nonce := string(key.Seal([]byte("same"), "row")[1:13])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}

// A value sealed by version 1 must open for as long as databases hold one.
func TestOpen_StoredValue(t *testing.T) {
	const stored = "017596b097c7b4eaf99b3d2fc7827e406f93fc9fa14ee9128476a34e5557ddcfdf0e8c8f8c322a903c642b8a2dcaf34a26"
	sealed, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := fixed(t).Open(sealed, "factor/1")
	if err != nil || string(plain) != "12345678901234567890" {
		t.Fatalf("Open: %q, %v", plain, err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	key := fixed(t)
	sealed := key.Seal([]byte("secret"), "factor/1")
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			if _, err := key.Open(bad, "factor/1"); !errors.Is(err, ErrOpen) {
				t.Fatalf("byte %d, bit %d flipped: %v", i, bit, err)
			}
		}
		if _, err := key.Open(sealed[:i], "factor/1"); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	for _, row := range []string{"", "factor/2", "factor/1 ", "factor/", "Factor/1"} {
		if _, err := key.Open(sealed, row); !errors.Is(err, ErrOpen) {
			t.Errorf("as row %q: %v", row, err)
		}
	}
	if _, err := key.Open(append(bytes.Clone(sealed), 0), "factor/1"); !errors.Is(err, ErrOpen) {
		t.Errorf("one byte longer: %v", err)
	}
	if _, err := New().Open(sealed, "factor/1"); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: %v", err)
	}
	if _, err := (Key{}).Open(sealed, "factor/1"); !errors.Is(err, ErrOpen) {
		t.Errorf("no key: %v", err)
	}
}

// Who has one server's database has not got the key of another's: no two are made alike.
func TestNew_IsRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key := New()
		if text := key.text(); seen[text] {
			t.Fatal("two new keys are one")
		} else {
			seen[text] = true
		}
	}
}

// Without a master key there is no fingerprint that a database could be bound to.
func TestFingerprint_ZeroKey(t *testing.T) {
	if got := (Key{}).Fingerprint(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestSeal_ZeroKeyPanics(t *testing.T) {
	for name, use := range map[string]func(){
		"Seal":   func() { Key{}.Seal(nil, "row") },
		"Derive": func() { Key{}.Derive("label") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s with the zero Key did not panic", name)
				}
			}()
			use()
		}()
	}
}

// The derived keys are part of the format: refresh tokens and fingerprints made under them outlive a release.
func TestDerive_Stable(t *testing.T) {
	key := fixed(t)
	if got := hex.EncodeToString(key.Derive("refresh")); got != "2357cb463d8f82071438b402cdbc4ac09cb30754d2783ab9800add00cfc08816" {
		t.Errorf("Derive: %s", got)
	}
	if got := key.Fingerprint(); got != "b5e569c178d6706fbd954274dbb4643e" {
		t.Errorf("Fingerprint: %s", got)
	}
	if len(key.Derive("a")) != KeySize || bytes.Equal(key.Derive("a"), key.Derive("b")) {
		t.Error("two labels, one key")
	}
	if bytes.Equal(key.Derive("a"), New().Derive("a")) {
		t.Error("two masters, one key")
	}
	if key.Fingerprint() == New().Fingerprint() {
		t.Error("two masters, one fingerprint")
	}
}

func TestKey_DoesNotPrint(t *testing.T) {
	key := fixed(t)
	type holder struct {
		inner  Key
		Master Key
	}
	h := holder{key, key}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "key", key, "holder", h)
	out := string(text) + log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out += fmt.Sprintf(verb+verb, key, h)
	}
	for _, leak := range []string{"AAECAwQF", "00010203", "0 1 2 3", "0x0, 0x1, 0x2", "\x00\x01\x02"} {
		if strings.Contains(out, leak) {
			t.Errorf("%q shows in %q", leak, out)
		}
	}
	if !strings.Contains(string(text), "[secret]") || !strings.Contains(log.String(), "[secret]") {
		t.Errorf("not redacted: %s %s", text, log.String())
	}
}

func FuzzOpen(f *testing.F) {
	key := fixed(f)
	f.Add([]byte{}, "")
	f.Add([]byte{version}, "row")
	f.Add(make([]byte, overhead), "row")
	f.Add(key.Seal([]byte("secret"), "other"), "row")
	f.Fuzz(func(t *testing.T, data []byte, row string) {
		if plain, err := key.Open(data, row); err == nil {
			// Possible for the seeds of this very key only.
			if row != "other" {
				t.Fatalf("forged: opened to %q", plain)
			}
		}
		plain, err := key.Open(key.Seal(data, row), row)
		if err != nil || !bytes.Equal(plain, data) {
			t.Fatalf("round trip: %q, %v", plain, err)
		}
	})
}
