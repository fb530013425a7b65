package totp

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var vectorSecret = []byte("12345678901234567890")

func TestCode_RFC4226AppendixD(t *testing.T) {
	for counter, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := Code(vectorSecret, int64(counter)); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

func TestCode_RFC6238AppendixB(t *testing.T) {
	for _, c := range []struct {
		unix int64
		want string
	}{
		{59, "94287082"},
		{1111111109, "07081804"},
		{1111111111, "14050471"},
		{1234567890, "89005924"},
		{2000000000, "69279037"},
		{20000000000, "65353130"},
	} {
		now := time.Unix(c.unix, 0)
		if got := hotp(vectorSecret, uint64(Step(now)), 8); got != c.want {
			t.Errorf("%d: %s, want %s", c.unix, got, c.want)
		}
		if got := Code(vectorSecret, Step(now)); got != c.want[2:] {
			t.Errorf("%d: %s, want %s", c.unix, got, c.want[2:])
		}
		if step, ok := Match(vectorSecret, c.want[2:], now, 0); !ok || step != c.unix/30 {
			t.Errorf("%d: Match %d, %v", c.unix, step, ok)
		}
	}
}

func TestStep(t *testing.T) {
	for unix, want := range map[int64]int64{0: 0, 29: 0, 30: 1, 59: 1, 60: 2, -1: -1, -30: -1, -31: -2} {
		if got := Step(time.Unix(unix, 999_999_999)); got != want {
			t.Errorf("Step(%d) = %d, want %d", unix, got, want)
		}
	}
	// The zone of a time is no part of it.
	at := time.Date(2026, 11, 22, 23, 59, 59, 0, time.FixedZone("", 5*3600+1800))
	if Step(at) != Step(at.UTC()) {
		t.Error("the step depends on the zone")
	}
}

func TestNewSecret(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	if len(a) != SecretSize || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, SecretSize)) {
		t.Fatalf("%x, %x", a, b)
	}
}

func TestMatch_Window(t *testing.T) {
	const at = 1000
	for _, second := range []int64{0, 15, 29} {
		now := time.Unix(at*30+second, 0)
		for skew, reach := range map[int64]int64{math.MinInt64: 0, -1: 0, 0: 0, 1: 1, 2: 1, math.MaxInt64: 1} {
			for d := int64(-4); d <= 4; d++ {
				step, ok := Match(vectorSecret, Code(vectorSecret, at+d), now, skew)
				want := -reach <= d && d <= reach
				if ok != want || ok && step != at+d || !ok && step != 0 {
					t.Errorf("second %d, skew %d, a code %d steps off: step %d, %v", second, skew, d, step, ok)
				}
			}
		}
	}
}

// When one code belongs to two steps in reach, the later one is spent, and all before it.
func TestMatch_TwoSteps(t *testing.T) {
	const code = "468457" // of both
	const first, second = 153567, 153569
	if Code(vectorSecret, first) != code || Code(vectorSecret, second) != code {
		t.Fatal("the steps have other codes")
	}
	for at, want := range map[int64]int64{first - 1: first, first: first, first + 1: second, second: second, second + 1: second} {
		if step, ok := Match(vectorSecret, code, time.Unix(at*30, 0), 1); !ok || step != want {
			t.Errorf("in step %d: step %d, %v; want %d", at, step, ok, want)
		}
	}
}

func TestMatch_OtherSecrets(t *testing.T) {
	now := time.Unix(59, 0)
	for name, secret := range map[string][]byte{"nil": nil, "empty": {}, "zero": make([]byte, 20), "shorter": vectorSecret[:19], "longer": []byte("123456789012345678901")} {
		if step, ok := Match(secret, "287082", now, 1); ok {
			t.Errorf("%s: matched step %d", name, step)
		}
	}
	// HMAC of an empty key is no secret at all.
	if _, ok := Match(nil, Code(nil, 1), now, 1); ok {
		t.Error("the code of an empty secret matches")
	}
}

func TestThreat17_CodeSpelling(t *testing.T) {
	now := time.Unix(59, 0)
	const code = "287082" // of step 1
	if _, ok := Match(vectorSecret, code, now, 1); !ok {
		t.Fatal("the right code does not match")
	}
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, code)
	bold := strings.Map(func(r rune) rune { return r - '0' + '𝟎' }, code)
	for name, spelling := range map[string]string{
		"empty": "", "space before": " " + code, "space after": code + " ", "space within": "287 082", "five digits and a space": "28708 ",
		"tab": "\t" + code, "newline": code + "\n", "CRLF": code + "\r\n", "NUL": code + "\x00", "NUL for a digit": "28708\x00",
		"NBSP before": "\u00a0" + code, "NBSP after": code + "\u00a0", "NBSP within": "287\u00a0082", "zero width space": code + "\u200b",
		"BOM": "\ufeff" + code, "line separator": code + "\u2028",
		"full-width": wide, "one full-width": "28708２", "Arabic-Indic": arabic, "mathematical": bold, "superscript": "28708²",
		"5 digits": code[:5], "7 digits": code + "0", "leading zero": "0" + code, "8 digits": "94287082", "twice": code + code,
		"sign": "+87082", "minus": "-87082", "point": "28708.", "hexadecimal": "0x4616", "underscore": "287_82", "hyphen": "287-082",
		"exponent": "28708e0", "letters": "abcdef", "O for 0": "287O82", "quoted": `"287082"`, "array": `["287082"]`, "invalid UTF-8": "28708\xff",
		"UTF-16": "2\x008\x007\x00", "6 runes": "28708é", "combining": "28708\u0332", "long": strings.Repeat(code, 100_000),
	} {
		if step, ok := Match(vectorSecret, spelling, now, 1); ok {
			t.Errorf("%s: %q matches step %d", name, spelling, step)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(vectorSecret, "287082", int64(59), int64(1))
	f.Add(vectorSecret, " 287082", int64(59), int64(1))
	f.Add([]byte{}, "328482", int64(0), int64(0))
	f.Add([]byte("x"), "２８７０８２", int64(-1), int64(-1))
	f.Add([]byte("long"), "000000", int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, secret []byte, code string, unix, skew int64) {
		now := time.Unix(unix, 0)
		step, ok := Match(secret, code, now, skew)
		if ok {
			if code != Code(secret, step) {
				t.Fatalf("%q is not the code of step %d", code, step)
			}
			if d := step - Step(now); d < -MaxSkew || d > MaxSkew {
				t.Fatalf("step %d is out of reach", step)
			}
		}
		own := Code(secret, Step(now))
		if len(own) != Digits || fmt.Sprintf("%06s", own) != own {
			t.Fatalf("the code %q", own)
		}
		if _, ok := Match(secret, own, now, skew); ok != (len(secret) > 0) {
			t.Fatalf("the present code matches: %v", ok)
		}
	})
}
