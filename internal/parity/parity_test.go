package parity

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func answer(status int, body string, header ...string) Answer {
	a := Answer{Status: status, Header: map[string][]string{}, Body: []byte(body)}
	if body != "" {
		a.Header["Content-Type"] = []string{"application/json"}
	}
	for i := 0; i < len(header); i += 2 {
		a.Header[header[i]] = []string{header[i+1]}
	}
	return a
}

func jwt(header, claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + ".c2ln"
}

func TestCompare_Differences(t *testing.T) {
	ours := jwt(`{"alg":"RS256","typ":"JWT","kid":"a"}`, `{"sub":"1","iat":100,"exp":3700,"jti":"x","roles":["a"]}`)
	for name, c := range map[string]struct {
		theirs, ours Answer
		want         string // kind: detail, one a line
	}{
		"the same":                    {answer(200, `{"userName":"ada","csrf":"1"}`, "Date", "now"), answer(200, `{"userName":"ada","csrf":"2"}`, "Server", "x"), ""},
		"status":                      {answer(401, `{"a":1}`), answer(403, `{"a":1}`), "status: 401 there, 403 here"},
		"a refusal against a success": {answer(403, ``), answer(200, `{"a":1}`), "status: 403 there, 200 here\nmedia_type: none there, application/json here"},
		"header": {answer(200, `{}`, "Set-Cookie", "a=b", "Location", "/"), answer(200, `{}`, "Cache-Control", "no-store"),
			"header: Location\nheader: Set-Cookie\nheader_extra: Cache-Control"},
		"media type":                    {answer(200, `{}`, "Content-Type", "text/html; charset=utf-8"), answer(200, `{}`), "media_type: text/html there, application/json here"},
		"a parameter of the media type": {answer(200, `{}`, "Content-Type", "application/json; charset=utf-8"), answer(200, `{}`), ""},
		"body":                          {answer(403, `<html>`), answer(403, `{}`), "body: text there, json here"},
		"no body":                       {answer(403, ``), Answer{403, nil, []byte(` `)}, ""},
		"missing and extra":             {answer(200, `{"a":1,"b":{"c":1}}`), answer(200, `{"b":{"d":1},"e":1}`), "extra: b.d\nmissing: b.c\nextra: e\nmissing: a"},
		"type": {answer(200, `{"a":"1","b":null,"c":[1]}`), answer(200, `{"a":1,"b":"x","c":["1"]}`),
			"type: a: string there, number here\ntype: b: null there, string here\ntype: c[]: number there, string here"},
		"order":                        {answer(200, `{"a":1,"x":0,"b":2}`), answer(200, `{"b":2,"a":1}`), "missing: x\norder: {}"},
		"order of what is not in both": {answer(200, `{"a":1,"x":0,"b":2}`), answer(200, `{"a":1,"b":2,"y":0}`), "extra: y\nmissing: x"},
		"value": {answer(200, `{"userName":"ada","ok":true,"n":1,"l":[1,2]}`), answer(200, `{"userName":"Ada","ok":false,"n":2,"l":[1]}`),
			"value: userName\nvalue: ok\nvalue: n\nvalue: l[]"},
		"what differs by chance": {
			answer(200, `{"sessionId":"1","id":"e5f5593b-3b19-4be0-921b-2c4fd3528425","refreshToken":"x","at":"2026-01-01T00:00:00Z","mfa_svg":"a"}`),
			answer(200, `{"sessionId":"2","id":"29f567c3-b2b7-4097-b478-52651b3ba91c","refreshToken":"y","at":"2026-01-02T00:00:00Z","mfa_svg":"b"}`), ""},
		"jwt": {
			answer(200, `{"jwt":"`+jwt(`{"alg":"HS256"}`, `{"sub":"2","iat":100,"exp":7300,"email":"a@b","roles":"a"}`)+`"}`),
			answer(200, `{"jwt":"`+ours+`"}`),
			"value: jwt.header.alg\nextra: jwt.header.typ\nextra: jwt.header.kid\nvalue: jwt.claims.sub\nextra: jwt.claims.jti\n" +
				"type: jwt.claims.roles: string there, array here\nmissing: jwt.claims.email\nvalue: jwt.exp-iat"},
		"no jwt": {answer(200, `{"jwt":"abc"}`), answer(200, `{"jwt":"`+ours+`"}`), "type: jwt: string there, jwt here"},
		"a name that looks like a value": {
			answer(200, `{"ada@example.com":1,"4f6c2b8a9e1d":1,"secretword-x":1,"fine_name":1}`), answer(200, `{}`), "missing: (odd)\nmissing: fine_name"},
	} {
		var got []string
		for _, d := range Compare(c.theirs, c.ours, "SecretWord") {
			got = append(got, string(d.Kind)+": "+d.Detail)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), c.want)
		}
	}
}

func TestCompare_Bounds(t *testing.T) {
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, `"a%s":1,`, strings.Repeat("x", i%40))
		fmt.Fprintf(&many, `"b%c%c":1,`, 'a'+i%26, 'a'+i/26)
	}
	theirs := answer(200, "{"+many.String()+`"z":1}`)
	if got := Compare(theirs, answer(200, "{}")); len(got) > mostDifferences {
		t.Errorf("%d differences", len(got))
	}
	deep := answer(200, strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000))
	if got := Compare(deep, answer(200, "{}")); len(got) != 1 || got[0].Kind != Body {
		t.Errorf("a deep body: %v", got)
	}
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		theirs, ours int
		want         string
	}{{10, 10, Paces[0]}, {0, 5, Paces[0]}, {100, 180, Paces[1]}, {100, 400, Paces[2]}, {100, 900, Paces[3]}} {
		if got := Pace(time.Duration(c.theirs)*time.Millisecond, time.Duration(c.ours)*time.Millisecond); got != c.want {
			t.Errorf("%d against %d ms: %s, want %s", c.ours, c.theirs, got, c.want)
		}
	}
}

func TestCounter_TakeAndReturn(t *testing.T) {
	var c Counter
	realm, now := uuid.New(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c.Add(now, realm, "senmo", "/v1/auth", []Difference{{Status, "400 there, 403 here"}, {Time, Paces[0]}})
	c.Add(now, realm, "senmo", "/v1/auth", []Difference{{HeaderExtra, "Cache-Control"}, {Time, Paces[0]}})
	c.Add(now, realm, "senmo", "/v1/auth", []Difference{{Refused, "throttled"}})
	c.Add(now, realm, "senmo", "/v1/auth", []Difference{{Unreadable, "invalid_input"}})
	got := c.Take()
	c.Return(got)
	c.Add(now.Add(time.Hour), realm, "senmo", "/v1/auth", []Difference{{Time, Paces[0]}})
	sums := map[Difference]int64{}
	for _, n := range c.Take() {
		sums[Difference{n.Kind, n.Detail}] = n.Requests
		if n.Day != 20513 || n.Realm != realm {
			t.Errorf("counted under %v", n.Key)
		}
	}
	want := map[Difference]int64{{Kind: Same}: 2, {Kind: Different}: 2, {Refused, "throttled"}: 1, {Unreadable, "invalid_input"}: 1, {Status, "400 there, 403 here"}: 1, {HeaderExtra, "Cache-Control"}: 1, {Time, Paces[0]}: 3}
	if fmt.Sprint(sums) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", sums, want)
	}
	if left := c.Take(); len(left) != 0 {
		t.Errorf("%d counts are left", len(left))
	}
}

// However many names the other server makes up, and however often they are stored, there
// are so many counts at the most.
func TestCounter_Bound(t *testing.T) {
	var c Counter
	now := time.Now()
	seen := map[Difference]bool{}
	for i := range 1000 {
		c.Add(now, uuid.Nil, "senmo", "/v1/auth", []Difference{{Missing, fmt.Sprint("member", i)}})
		for _, n := range c.Take() {
			seen[Difference{n.Kind, n.Detail}] = true
		}
	}
	if len(seen) > mostNames+2 || !seen[Difference{Missing, Others}] {
		t.Errorf("%d counts", len(seen))
	}
}

// Whatever a server answers, comparing ends, and says nothing that is not a name.
func FuzzCompare(f *testing.F) {
	f.Add(200, "application/json", `{"a":"`+jwt(`{"alg":"x"}`, `{"sub":"s3cretvalue"}`)+`"}`, `{"a":null}`, "s3cretvalue")
	f.Add(403, "text/html", `<html>`, `{"a":[{}]}`, "")
	f.Add(200, "", `{"a":1,"a":2,"b":3}`, `{"b":3,"c":2,"a":1}`, "a")
	f.Fuzz(func(t *testing.T, status int, media, theirs, ours, hidden string) {
		a, b := answer(status, theirs, "Content-Type", media), answer(200, ours)
		found := Compare(a, b, hidden)
		if len(found) > mostDifferences {
			t.Fatalf("%d differences", len(found))
		}
		for _, d := range found {
			if len(d.Detail) > mostDetail {
				t.Fatalf("a detail of %d bytes", len(d.Detail))
			}
			if d.Kind == Missing && len(hidden) >= 8 && strings.Contains(strings.ToLower(d.Detail), strings.ToLower(hidden)) && !strings.Contains(strings.ToLower(ours), strings.ToLower(hidden)) {
				t.Fatalf("%q shows %q", d.Detail, hidden)
			}
		}
		for _, d := range Compare(a, a) {
			t.Fatalf("an answer differs from itself: %v", d)
		}
	})
}
