package token

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/keyring"
)

// The header is an object of exactly three texts.
func TestThreat28_OddHeader(t *testing.T) {
	kid := signer(t, keyring.EdDSA).Kid()
	base := `"alg":"EdDSA","kid":"` + kid + `"`
	if _, err := Parse(ring(t), signedWith(t, `{ `+base+`, "typ" : "JWT" }`, text(good())), noon); err != nil {
		t.Fatalf("the plain header: %v", err)
	}
	for _, header := range []string{
		``, `{}`, `[]`, `null`, `"x"`, `{` + base, `{` + base + `}`, `{` + base + `,"typ":"JWT"} ` + `{}`,
		`{` + base + `,"typ":"jwt"}`, `{` + base + `,"typ":"at+jwt"}`, `{` + base + `,"typ":"JWE"}`, `{` + base + `,"typ":null}`, `{` + base + `,"typ":1}`, `{` + base + `,"Typ":"JWT"}`,
		`{` + base + `,"typ":"JWT","crit":["exp"]}`, `{` + base + `,"typ":"JWT","crit":[]}`, `{` + base + `,"typ":"JWT","crit":["b64"],"b64":true}`,
		`{` + base + `,"typ":"JWT","b64":false}`, `{` + base + `,"typ":"JWT","crit":""}`, `{` + base + `,"typ":"JWT","zip":"DEF"}`, `{` + base + `,"typ":"JWT","cty":"JWT"}`,
		`{"alg":"none",` + base + `,"typ":"JWT"}`, `{` + base + `,"typ":"JWT","alg":"none"}`, `{` + base + `,"typ":"JWT","kid":"` + kid + `"}`, `{` + base + `,"typ":"JWT","\u0061lg":"EdDSA"}`,
		`{` + base + `,"typ":"JWT","Alg":"none"}`, `{` + base + `,"typ":"JWT` + "\xff" + `"}`, "\xef\xbb\xbf{" + base + `,"typ":"JWT"}`,
	} {
		refused(t, header, signedWith(t, header, text(good())), "")
	}
}

func TestThreat28_OddDates(t *testing.T) {
	for _, c := range []struct{ claims, reason string }{
		{`"iat":IAT,"exp":EXP`, "good"},
		{`"iat":IAT.5,"exp":EXP.25,"nbf":IAT`, "good"}, // a NumericDate may have a fraction
		{`"iat":1.7723664e9,"exp":17723700e2`, "good"},
		{`"iat":0,"exp":253402300799`, "good"},
		{`"iat":IAT`, "exp: absent"}, {`"exp":EXP`, "iat: absent"}, {``, "exp: absent"},
		{`"iat":IAT,"EXP":EXP`, "exp: absent"}, {`"iat":IAT,"exp":null`, "exp: absent"},
		{`"iat":IAT,"exp":"EXP"`, "exp: absent or no date"}, {`"iat":"IAT","exp":EXP`, "iat: absent or no date"},
		{`"iat":IAT,"exp":true`, "exp: "}, {`"iat":IAT,"exp":[EXP]`, "exp: "}, {`"iat":IAT,"exp":{"":EXP}`, "exp: "}, {`"iat":IAT,"exp":"23:59:60"`, "exp: "},
		{`"iat":IAT,"exp":-1`, "exp: absent or no date"}, {`"iat":-1,"exp":EXP`, "iat: absent or no date"}, {`"iat":-0.5,"exp":EXP`, "iat: "},
		{`"iat":IAT,"exp":1e400`, "exp: absent or no date"}, {`"iat":IAT,"exp":253402300800`, "exp: "}, {`"iat":IAT,"exp":9223372036854775808`, "exp: "}, {`"iat":IAT,"exp":1e300`, "exp: "},
		{`"iat":-1e400,"exp":EXP`, "iat: "}, {`"iat":IAT,"exp":0`, "exp: expired"}, {`"iat":IAT,"exp":1e-400`, "exp: expired"},
		{`"iat":IAT,"exp":EXP,"nbf":"IAT"`, "nbf: no date"}, {`"iat":IAT,"exp":EXP,"nbf":-1`, "nbf: no date"}, {`"iat":IAT,"exp":EXP,"nbf":EXP`, "nbf: not yet"},
		{`"iat":IAT,"exp":1,"exp":EXP`, "claims: "}, {`"iat":IAT,"exp":EXP,"exp":EXP`, "claims: "}, {`"iat":IAT,"exp":EXP,"sub":"a","s\u0075b":"b"`, "claims: "}, {`"iat":IAT,"exp":EXP,"o":{"a":1,"a":2}`, "claims: "},
		{`"iat":IAT,"exp":NaN`, "claims: "}, {`"iat":IAT,"exp":Infinity`, "claims: "}, {`"iat":IAT,"exp":0x7fffffff`, "claims: "}, {`"iat":IAT,"exp":+EXP`, "claims: "}, {`"iat":IAT,"exp":0EXP`, "claims: "},
		{`"iat":IAT,"exp":EXP}{`, "claims: "}, {`"iat":IAT,"exp":EXP,`, "claims: "}, {`"iat":IAT,"exp":EXP,"sub":"\ud800"`, "claims: "}, {`"iat":IAT,"exp":EXP,"sub":"` + "\xff" + `"`, "claims: "},
		{`"iat":IAT,"exp":EXP,"nbf":null`, "nbf: no date"},
	} {
		payload := "{" + strings.NewReplacer("IAT", fmt.Sprint(noon.Unix()), "EXP", fmt.Sprint(noon.Unix()+3600)).Replace(strings.ReplaceAll(c.claims, `"EXP":`, `"Exp":`)) + "}"
		compact := signedText(t, payload)
		if c.reason != "good" {
			refused(t, payload, compact, c.reason)
		} else if _, err := Parse(ring(t), compact, noon); err != nil {
			t.Errorf("%s: %v", payload, err)
		}
	}
	for _, payload := range []string{``, `null`, `[]`, `"x"`, `1`, `{`, strings.Repeat(`{"a":`, 1000), `{"a":` + strings.Repeat("[", 1000)} {
		refused(t, payload, signedText(t, payload), "claims: ")
	}
}

func TestThreat29_AudienceIsExact(t *testing.T) {
	for _, c := range []struct {
		aud  any
		want bool
	}{
		{"my-app", true}, {"", false}, {nil, false}, {[]string{"my-app"}, false}, {[]string{}, false}, {[]string{""}, false}, {map[string]string{"aud": "my-app"}, false},
		{"my", false}, {"my-app2", false}, {"my-app ", false}, {"My-App", false}, {"my-app my-app2", false}, {1, false}, {true, false},
	} {
		claims := good()
		claims["aud"] = c.aud
		got, err := Parse(ring(t), signed(t, keyring.EdDSA, claims), noon)
		if err != nil {
			t.Fatal(err)
		}
		if got.Is("aud", "my-app") != c.want || got.Is("aud", "") {
			t.Errorf("aud %v: %v", c.aud, !c.want)
		}
	}
	got, err := Parse(ring(t), signed(t, keyring.EdDSA, good()), noon)
	if err != nil || got.Is("aud", "my-app") || got.Is("aud", "") {
		t.Errorf("no aud: %v, %v", got, err)
	}
}

// Only a kid that the ring does not have may be newer than the ring: no other fault is ErrUnknownKey.
func TestParse_UnknownKeyIsToldApart(t *testing.T) {
	for what, compact := range map[string]string{
		"expired": signedText(t, `{"iat":1,"exp":2}`), "empty": "", "no kid": signedWith(t, `{"alg":"EdDSA","typ":"JWT"}`, `{}`),
		"forged": signed(t, keyring.EdDSA, good()) + "AAAA",
	} {
		if _, err := Parse(ring(t), compact, noon); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A realm's token is nothing under another realm's keys.
func TestThreat31_AnotherRealm(t *testing.T) {
	other := newRealm()
	for _, algorithm := range algorithms {
		k, _ := other.ring.Signer(algorithm, noon)
		compact, err := Sign(k, good())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(other.ring, compact, noon); err != nil {
			t.Fatal(err)
		}
		refused(t, algorithm, compact, "unknown kid")
		if _, err := Parse(ring(t), compact, noon); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	key, foreign := newRefreshKey(), newRefreshKey()
	if _, _, ok := key.Parse(foreign.Mint(uuid.New(), 1)); ok {
		t.Error("another realm's refresh token is read")
	}
}
