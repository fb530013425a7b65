package shadow

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

func request(target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func basic(scheme, text string) string {
	return scheme + " " + base64.StdEncoding.EncodeToString([]byte(text))
}

var ada = auth.Sent{Name: "ada", Password: "right"}

// What another server could read a second credential in is not sent there: it would try that
// one, and the guess would be counted for somebody else.
func TestOnward_SecondCredential(t *testing.T) {
	const body = `{"email":"ada","password":"right"`
	ticket := auth.Sent{Token: "t1", Code: "123456"}
	for name, c := range map[string]struct {
		r    *http.Request
		body string
		sent auth.Sent
		code auth.Code
	}{
		"as documented":          {request("/", ""), body + `}`, ada, ""},
		"more members":           {request("/", ""), body + `,"device":"x","client":{"name":"y","list":[1]},"user":null}`, ada, ""},
		"the same twice":         {request("/", ""), body + `,"username":"ada","Password":"right"}`, ada, ""},
		"another name":           {request("/", ""), body + `,"username":"bob"}`, ada, auth.CodeInvalidInput},
		"in another case":        {request("/", ""), body + `,"Email":"bob"}`, ada, auth.CodeInvalidInput},
		"as Unicode folds it":    {request("/", ""), body + `,"pa\u017fsword":"x"}`, ada, auth.CodeInvalidInput},
		"with signs":             {request("/", ""), body + `,"user_name":"bob"}`, ada, auth.CodeInvalidInput},
		"another password":       {request("/", ""), body + `,"passwd":"guess"}`, ada, auth.CodeInvalidInput},
		"deeper":                 {request("/", ""), body + `,"data":[{"user":{"email":"bob"}}]}`, ada, auth.CodeInvalidInput},
		"of another type":        {request("/", ""), body + `,"username":7}`, ada, auth.CodeInvalidInput},
		"in a list":              {request("/", ""), body + `,"username":["bob"]}`, ada, auth.CodeInvalidInput},
		"in the query":           {request("/?username=bob&password=x", ""), body + `}`, ada, ""},
		"a compressed body":      {request("/", "", "Content-Encoding", "deflate"), body + `}`, ada, auth.CodeUnsupportedType},
		"another charset":        {request("/", "", "Content-Type", "application/json; charset=utf-7"), body + `}`, ada, auth.CodeUnsupportedType},
		"a ticket":               {request("/", ""), `{"totp":"123456","token":"t1","email":null}`, ticket, ""},
		"another ticket":         {request("/", ""), `{"totp":"123456","token":"t1","Token":"t2"}`, ticket, auth.CodeInvalidInput},
		"a code where none is":   {request("/", ""), `{"token":"t1","Totp":"123456"}`, auth.Sent{Token: "t1"}, auth.CodeInvalidInput},
		"a code in a list":       {request("/", ""), `{"token":"t1","otp":["123456"]}`, auth.Sent{Token: "t1"}, auth.CodeInvalidInput},
		"a code in an object":    {request("/", ""), `{"token":"t1","otp":{"$ne":null}}`, auth.Sent{Token: "t1"}, auth.CodeInvalidInput},
		"no code":                {request("/", ""), `{"token":"t1","totp":null}`, auth.Sent{Token: "t1"}, ""},
		"a name beside a ticket": {request("/", ""), `{"token":"t1","totp":"123456","e-mail":"bob"}`, ticket, auth.CodeInvalidInput},
		"a password beside it":   {request("/", ""), `{"token":"t1","totp":"123456","PASSWORD":"x"}`, ticket, auth.CodeInvalidInput},
		"a refresh token":        {request("/", ""), `{"refreshtoken":"t1"}`, auth.Sent{Token: "t1"}, ""},
		"another refresh token":  {request("/", ""), `{"refreshtoken":"t1","RefreshToken":"t2"}`, auth.Sent{Token: "t1"}, auth.CodeInvalidInput},
		"with a line":            {request("/", ""), `{"refreshtoken":"t1","refresh_token":"t2"}`, auth.Sent{Token: "t1"}, auth.CodeInvalidInput},
		"a token beside a login": {request("/", ""), body + `,"access_token":"t2"}`, ada, auth.CodeInvalidInput},
		"two kinds of body":      {request("/", "", "Content-Type", "application/json", "Content-Type", "text/plain"), body + `}`, ada, auth.CodeUnsupportedType},
		"another code":           {request("/", ""), `{"totp":"123456","token":"t1","code":"654321"}`, ticket, auth.CodeInvalidInput},
	} {
		if _, _, err := onward(c.r, "senmo", []byte(c.body), c.sent); auth.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
}

func TestOnward_Headers(t *testing.T) {
	r := request("/?username=bob", "", "Authorization", basic("Basic", "bob:guess"))
	out, body, err := onward(r, "senmo", []byte(`{"email":"ada","password":"right"}`), ada)
	if err != nil {
		t.Fatal(err)
	}
	if out.Header.Get("Authorization") != "" || out.Header.Get("Content-Type") != "application/json" || out.URL != nil {
		t.Errorf("sent %v, %v", out.Header, out.URL)
	}
	if string(body) != `{"email":"ada","password":"right"}` {
		t.Errorf("the body is %s", body)
	}
	if r.Header.Get("Authorization") == "" {
		t.Error("the client's own request was changed")
	}
	for credential, kept := range map[string]bool{basic("Token", "ada:right"): true, basic("bASIC", "ada:right"): true, "Bearer t1": false, "x": false} {
		for _, d := range []auth.Dialect{"nomic", "senmo"} { // senmo has none in a header
			out, _, err := onward(request("/", "", "Authorization", credential), d, nil, ada)
			if err != nil || (out.Header.Get("Authorization") == credential) != (kept && d == "nomic") {
				t.Errorf("%s %s: sent %v, %v", d, credential, out.Header, err)
			}
		}
	}
	if out, _, _ := onward(request("/", "", "Authorization", "Bearer t1"), "nomic", nil, auth.Sent{Token: "t1"}); out.Header.Get("Authorization") == "" {
		t.Error("a token that was read is not sent on")
	}
}

// What a server of ours takes for JSON is sent on as that, also by a client that names the type emptily or by its old name.
func TestOnward_JSON(t *testing.T) {
	const body = `{"username":"ada","password":"right"}`
	for media, want := range map[string]string{"": "application/json", "text/json": "text/json", "application/json;charset=utf-8": "application/json;charset=utf-8"} {
		out, got, err := onward(request("/", "", "Content-Type", media), "senmo", []byte(body), ada)
		if err != nil || string(got) != body || out.Header.Get("Content-Type") != want {
			t.Errorf("%q: sent %s as %q, %v", media, got, out.Header["Content-Type"], err)
		}
	}
}

// A route that documents no body sends none on.
func TestOnward_IgnoredBody(t *testing.T) {
	for body, want := range map[string]string{
		"username=bob&password=x": "", `{"username":"bob","password":"x"}`: "", `{"lang":"de"}`: "", `{"lang":`: "", "": "", `{}`: `{}`, ` { } `: ` { } `,
	} {
		for _, d := range []auth.Dialect{"nomic", "cloudio"} {
			_, got, err := onward(request("/", ""), d, []byte(body), ada)
			if err != nil || string(got) != want {
				t.Errorf("%s %s: sent %s, %v", d, body, got, err)
			}
		}
	}
	for _, d := range []auth.Dialect{"nomic", "senmo"} {
		out, got, err := onward(request("/", "", "Content-Type", "application/x-www-form-urlencoded"), d, []byte(`{"a":"&username=bob&password=x&"}`), ada)
		if err != nil || len(got) != 0 || out.Header["Content-Type"] != nil {
			t.Errorf("a form was sent on: %s, %v", got, err)
		}
	}
}

func FuzzOnward(f *testing.F) {
	f.Add("a=1", "application/json", `{"email":"ada","password":"right","x":[{"user":"bob"}]}`)
	f.Add("user=%zz", "text/plain; charset=x", `{"a":1}{}`)
	f.Fuzz(func(t *testing.T, query, media, body string) {
		r := request("/", "", "Content-Type", media)
		r.URL.RawQuery = query
		_, out, err := onward(r, "senmo", []byte(body), ada)
		if err != nil || len(out) == 0 {
			return
		}
		var members map[string]any
		if json.Unmarshal(out, &members) != nil {
			t.Fatalf("sent on: %s", out)
		}
		for name, value := range members {
			if strings.EqualFold(name, "username") && value != nil && value != "ada" {
				t.Fatalf("sent on: %s", out)
			}
		}
	})
}
