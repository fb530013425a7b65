package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// texts of every kind but JWT; each reader takes its own kind alone.
func readers(key RefreshKey) map[string]func(string) bool {
	return map[string]func(string) bool{
		"opaque":  func(s string) bool { _, ok := HashOpaque(s); return ok },
		"service": func(s string) bool { _, ok := HashServiceSecret(s); return ok },
		"jti":     func(s string) bool { _, ok := SessionOf(s); return ok },
		"refresh": func(s string) bool { _, _, ok := key.Parse(s); return ok },
	}
}

func minted(key RefreshKey) map[string]string {
	opaque, _ := NewOpaque()
	service, _ := NewServiceSecret()
	session := uuid.New()
	return map[string]string{"opaque": opaque, "service": service, "jti": JTI(session), "refresh": key.Mint(session, 7)}
}

func newRefreshKey() RefreshKey { return RefreshKey(random(32)) }

func TestOpaque_RoundTrip(t *testing.T) {
	opaque, hash := NewOpaque()
	if got, ok := HashOpaque(opaque); !ok || got != hash || len(opaque) != 44 {
		t.Errorf("%q: %x, %v, want %x", opaque, got, ok, hash)
	}
	secret, hash := NewServiceSecret()
	if got, ok := HashServiceSecret(secret); !ok || got != hash || len(secret) != 50 || !strings.HasPrefix(secret, ServicePrefix) {
		t.Errorf("%q: %x, %v, want %x", secret, got, ok, hash)
	}
}

// The hash is of the text: databases hold it.
func TestHashOpaque_StoredValue(t *testing.T) {
	hash, ok := HashOpaque("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if got := fmt.Sprintf("%x", hash); !ok || got != "905f28def18eaac05ae6f12b2c3452744afaf626da1343d57b395b544e0519b6" {
		t.Errorf("%s, %v", got, ok)
	}
}

func TestJTI_RoundTrip(t *testing.T) {
	session := uuid.New()
	a, b := JTI(session), JTI(session)
	if got, ok := SessionOf(a); !ok || got != session || len(a) != 38 {
		t.Errorf("%q: %v, %v", a, got, ok)
	}
	if a == b {
		t.Error("two jti of a session are equal")
	}
}

func TestRefresh_RoundTrip(t *testing.T) {
	key, session := newRefreshKey(), uuid.New()
	for _, generation := range []int64{0, 1, 2, 1 << 40, math.MaxInt64} {
		text := key.Mint(session, generation)
		gotSession, got, ok := key.Parse(text)
		if !ok || gotSession != session || got != generation || len(text) != 76 {
			t.Errorf("generation %d: %q gives %v, %d, %v", generation, text, gotSession, got, ok)
		}
		if key.Mint(session, generation) != text {
			t.Errorf("generation %d: two mints differ", generation)
		}
	}
	if key.Mint(session, 1) == key.Mint(session, 2) || key.Mint(session, 1) == key.Mint(uuid.New(), 1) {
		t.Error("two tokens are equal")
	}
	if _, _, ok := key.Parse(key.Mint(session, -1)); ok {
		t.Error("a negative generation is read")
	}
	if _, _, ok := newRefreshKey().Parse(key.Mint(session, 1)); ok {
		t.Error("another key's token is read")
	}
}

// The format is fixed: refresh tokens live for months.
func TestRefresh_StoredValue(t *testing.T) {
	key := RefreshKey([]byte("0123456789abcdef0123456789abcdef"))
	session := uuid.MustParse("00010203-0405-0607-0809-0a0b0c0d0e0f")
	const want = "AQABAgMEBQYHCAkKCwwNDg8AAAAAAAAAKr0Ssf_IcOcRQnddVAk2O-Eh-qLTJcJtLbBXW4ahFMZX"
	if got := key.Mint(session, 42); got != want {
		t.Errorf("minted %s, want %s", got, want)
	}
}

func TestRefresh_OtherVersionRefused(t *testing.T) {
	key, session := newRefreshKey(), uuid.New()
	b, _ := canonical(url, key.Mint(session, 1))
	b[0] = 2
	text := url.EncodeToString(key.appendMAC(b[:refreshBody:refreshBody], b[:refreshBody]))
	if _, _, ok := key.Parse(text); ok {
		t.Error("a version of the future is read")
	}
}

func TestRefreshKey_Redacted(t *testing.T) {
	key := RefreshKey(bytes.Repeat([]byte{0xAB}, 32))
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "key", key)
	marshalled, err := json.Marshal(map[string]any{"key": key})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %x %X %d %q", key, key, key, key, key, key, key, key), fmt.Sprintf("%v %d", &key, struct{ K RefreshKey }{key}),
		logged.String(), string(marshalled),
	} {
		if !strings.Contains(text, redacted) || strings.Contains(strings.ToLower(text), "abab") || strings.Contains(text, "171") {
			t.Errorf("printed: %s", text)
		}
	}
}

// Every other spelling of a token, and every part of it, is no token.
func TestThreat27_OneSpelling(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	key := newRefreshKey()
	read, texts := readers(key), minted(key)
	for _, c := range []struct {
		kind, alphabet, padding string
		spare                   int // bits of the last character that stand for nothing
	}{
		{"opaque", alphabet + "+/", "=", 2}, {"service", alphabet + "-_", "", 2}, {"jti", alphabet + "-_", "", 4}, {"refresh", alphabet + "-_", "", 0},
	} {
		text := texts[c.kind]
		if !read[c.kind](text) {
			t.Fatalf("%s: its own reader refuses it", c.kind)
		}
		others := distorted(text)
		unpadded := strings.TrimSuffix(text, c.padding)
		last := len(unpadded) - 1
		for x := 1; x < 1<<c.spare; x++ {
			other := c.alphabet[strings.IndexByte(c.alphabet, unpadded[last])^x]
			others = append(others, unpadded[:last]+string(other)+c.padding)
		}
		for _, other := range others {
			if read[c.kind](other) {
				t.Errorf("%s: %q is read beside %q", c.kind, other, text)
			}
		}
	}
}

// distorted are texts that a lax decoder could take for the same token, and texts that are cut or extended.
func distorted(text string) []string {
	out := []string{
		text + "=", text + "==", text + "A", text + " ", " " + text, text + "\n", text + "\r\n", text + "\x00", text + "." + text, text + text, "\ufeff" + text,
	}
	for i := range len(text) {
		out = append(out, text[:i], text[i+1:], text[:i]+"\n"+text[i:], text[:i]+"\r"+text[i:], text[:i]+" "+text[i:], text[:i]+"="+text[i+1:])
	}
	for _, pair := range []string{"+-", "-+", "/_", "_/"} {
		out = append(out, strings.ReplaceAll(text, pair[:1], pair[1:]))
	}
	return slices.DeleteFunc(out, func(other string) bool { return other == text })
}

func TestThreat30_KindsCrossed(t *testing.T) {
	key := newRefreshKey()
	read, texts := readers(key), minted(key)
	texts["jwt"] = signed(t, "EdDSA", good())
	texts["csrf"] = uuid.NewString()
	texts["kid"] = signer(t, "EdDSA").Kid()
	for kind, text := range texts {
		for door, accepts := range read {
			if accepts(text) != (kind == door) {
				t.Errorf("%s at the door of %s: %v", kind, door, accepts(text))
			}
		}
		if _, err := Parse(ring(t), text, noon); (err == nil) != (kind == "jwt") {
			t.Errorf("%s at the door of jwt: %v", kind, err)
		}
	}
}

func TestThreat44_OpaqueTokensDistinct(t *testing.T) {
	const count = 100_000
	session := uuid.New()
	for kind, mint := range map[string]func() []byte{
		"opaque":  func() []byte { s, _ := NewOpaque(); b, _ := canonical(standard, s); return b },
		"service": func() []byte { s, _ := NewServiceSecret(); b, _ := canonical(url, s[len(ServicePrefix):]); return b },
		"jti":     func() []byte { b, _ := canonical(url, JTI(session)); return b[16:] },
	} {
		seen := make(map[string]struct{}, count)
		var ones []int
		for range count {
			b := mint()
			seen[string(b)] = struct{}{}
			if ones == nil {
				ones = make([]int, 8*len(b))
			}
			for i := range ones {
				ones[i] += bits.OnesCount8(b[i/8] >> (i % 8) & 1)
			}
		}
		if len(seen) != count {
			t.Errorf("%s: %d of %d are distinct", kind, len(seen), count)
		}
		if len(ones) < 8*jtiRandom {
			t.Errorf("%s: only %d random bits", kind, len(ones))
		}
		// Each bit is fair: within seven standard deviations, sqrt(count)/2 = 158 each.
		for i, n := range ones {
			if n < count/2-1107 || n > count/2+1107 {
				t.Errorf("%s: bit %d is set in %d of %d", kind, i, n, count)
			}
		}
	}
}

func FuzzHashOpaque(f *testing.F) {
	opaque, _ := NewOpaque()
	f.Add(opaque)
	f.Add(opaque[:43] + "\n")
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=")
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := HashOpaque(text); ok {
			if b, err := standard.Strict().DecodeString(text); err != nil || len(b) != 32 || len(text) != 44 {
				t.Errorf("%q is taken", text)
			}
		}
		HashServiceSecret(text)
	})
}

func FuzzSessionOf(f *testing.F) {
	f.Add(JTI(uuid.New()))
	f.Add(strings.Repeat("_", 38))
	f.Fuzz(func(t *testing.T, text string) {
		session, ok := SessionOf(text)
		if !ok {
			return
		}
		if b, err := url.Strict().DecodeString(text); err != nil || len(b) != 28 || !bytes.HasPrefix(b, session[:]) {
			t.Errorf("%q is taken for a jti of %v", text, session)
		}
	})
}

func FuzzRefreshKeyParse(f *testing.F) {
	key := RefreshKey(bytes.Repeat([]byte{1}, 32))
	f.Add(key.Mint(uuid.New(), 1))
	f.Add(RefreshKey{}.Mint(uuid.New(), 1))
	f.Add(strings.Repeat("A", 76))
	f.Fuzz(func(t *testing.T, text string) {
		if session, generation, ok := key.Parse(text); ok && key.Mint(session, generation) != text {
			t.Errorf("%q is taken, and is not what Mint makes", text)
		}
	})
}

func BenchmarkRefreshKeyParse(b *testing.B) {
	key := newRefreshKey()
	text := key.Mint(uuid.New(), 1)
	for b.Loop() {
		key.Parse(text)
	}
}

func BenchmarkHashOpaque(b *testing.B) {
	text, _ := NewOpaque()
	for b.Loop() {
		HashOpaque(text)
	}
}
