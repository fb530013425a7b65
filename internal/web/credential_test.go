package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAuthorization_Forms(t *testing.T) {
	for in, want := range map[string][2]string{
		"Basic dGVzdDoxMjPCow==":  {"basic", "dGVzdDoxMjPCow=="},
		"bAsIc dGVzdDoxMjPCow==":  {"basic", "dGVzdDoxMjPCow=="},
		"BEARER a.b.c":            {"bearer", "a.b.c"},
		"Token   abc ":            {"token", "abc"},
		"Token":                   {"token", ""},
		"token ":                  {"token", ""},
		"basic":                   {"basic", ""},
		"Bearer":                  {"bearer", ""},
		"eyJhbGciOi.a.b":          {"", "eyJhbGciOi.a.b"},
		" eyJhbGciOi.a.b\t":       {"", "eyJhbGciOi.a.b"},
		"Digest username=\"x y\"": {"digest", "username=\"x y\""},
		"Bearer a b":              {"bearer", "a b"},
		"Bearer\ta":               {"", "Bearer\ta"},
		"Bearera":                 {"", "Bearera"},
		"":                        {"", ""},
		" ":                       {"", ""},
	} {
		scheme, value := Authorization(http.Header{"Authorization": {in}})
		other, same := Authentication(http.Header{"Authentication": {in}})
		if scheme != want[0] || value != want[1] || other != scheme || same != value {
			t.Errorf("%q: %q %q", in, scheme, value)
		}
	}
	if scheme, value := Authorization(http.Header{"Authorization": {"Basic a", "Basic a"}, "Authentication": {"Basic a"}}); scheme+value != "" {
		t.Errorf("two: %q %q", scheme, value)
	}
	if scheme, value := Authorization(http.Header{}); scheme+value != "" {
		t.Errorf("none: %q %q", scheme, value)
	}
}

func TestBasic_RFC7617(t *testing.T) {
	std := base64.StdEncoding.EncodeToString
	for in, want := range map[string][2]string{
		"dGVzdDoxMjPCow==":              {"test", "123£"}, // RFC 7617 section 2.1
		"QWxhZGRpbjpvcGVuIHNlc2FtZQ==":  {"Aladdin", "open sesame"},
		"dGVzdDoxMjPCow":                {"test", "123£"},
		"QWxhZGRpbjpvcGVuIHNlc2FtZQ":    {"Aladdin", "open sesame"},
		std([]byte("test:123\xa3")):     {"test", "123£"}, // btoa sends Latin-1
		std([]byte("j\xf6rg:\x80\xff")): {"jörg", "\u0080ÿ"},
		std([]byte("jörg:pä")):          {"jörg", "pä"},
		std([]byte("a:b:c::")):          {"a", "b:c::"},
		std([]byte(":")):                {"", ""},
		std([]byte("a:")):               {"a", ""},
		std([]byte("a:\x00\r\n ")):      {"a", "\x00\r\n "},
	} {
		user, password, ok := Basic(in)
		if !ok || user != want[0] || password != want[1] {
			t.Errorf("%s: %q %q %v", in, user, password, ok)
		}
	}
	for _, in := range []string{"", "YQ==", "YTpi=", "YTpiYw=", "YTpiYw===", "=", "YTpi YTpi", "YTpi\n", "Y\r\nTpi", "YTp-", "YTp_", "a:b", "YTpiYx==", "YTpi, YTpi"} {
		if user, password, ok := Basic(in); ok {
			t.Errorf("%q: %q %q", in, user, password)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"Basic dGVzdDoxMjPCow==", "token", "a.b.c", "  Bearer  x ", "Größe x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		scheme, value := Authorization(http.Header{"Authorization": {in}})
		if scheme != strings.ToLower(scheme) || strings.Contains(scheme, " ") || strings.HasPrefix(value, " ") {
			t.Fatalf("%q: %q %q", in, scheme, value)
		}
		if value != "" && !strings.Contains(in, value) {
			t.Fatalf("%q: made up %q", in, value)
		}
	})
}

func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"dGVzdDoxMjPCow==", "dGVzdDoxMjPCow", "YQ==", "YTpi=", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		user, password, ok := Basic(in)
		if !utf8.ValidString(user+password) || ok && strings.Contains(user, ":") {
			t.Fatalf("%q: %q %q", in, user, password)
		}
		// Whatever is said can be said in base64, with padding and without.
		if !utf8.ValidString(in) || strings.Contains(in, ":") {
			return
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			u, p, ok := Basic(encoding.EncodeToString([]byte(in + ":" + in + ":")))
			if !ok || u != in || p != in+":" {
				t.Fatalf("%q came back as %q %q %v", in, u, p, ok)
			}
		}
	})
}
