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
		"as documented":       {request("/", ""), body + `}`, ada, ""},
		"more members":        {request("/", ""), body + `,"device":"x","client":{"name":"y","list":[1]},"user":null}`, ada, ""},
		"the same twice":      {request("/", ""), body + `,"username":"ada","Password":"right"}`, ada, ""},
		"another name":        {request("/", ""), body + `,"username":"bob"}`, ada, auth.CodeInvalidInput},
		"in another case":     {request("/", ""), body + `,"Email":"bob"}`, ada, auth.CodeInvalidInput},
		"as Unicode folds it": {request("/", ""), body + `,"pa\u017fsword":"x"}`, ada, auth.CodeInvalidInput},
		"with signs":          {request("/", ""), body + `,"user_name":"bob"}`, ada, auth.CodeInvalidInput},
		"another password":    {request("/", ""), body + `,"passwd":"guess"}`, ada, auth.CodeInvalidInput},
		"deeper":              {request("/", ""), body + `,"data":[{"user":{"email":"bob"}}]}`, ada, auth.CodeInvalidInput},
		"of another type":     {request("/", ""), body + `,"username":7}`, ada, auth.CodeInvalidInput},
		"in a list":           {request("/", ""), body + `,"username":["bob"]}`, ada, auth.CodeInvalidInput},
		"in the query":        {request("/?username=bob&password=x", ""), body + `}`, ada, auth.CodeInvalidInput},
		"a harmless query":    {request("/?lang=de&username=ada", ""), body + `}`, ada, ""},
		"a query in two ways": {request("/?a=1;username=bob", ""), body + `}`, ada, auth.CodeInvalidInput},
		"a compressed body":   {request("/", "", "Content-Encoding", "deflate"), body + `}`, ada, auth.CodeUnsupportedType},
		"another charset":     {request("/", "", "Content-Type", "application/json; charset=utf-7"), body + `}`, ada, auth.CodeUnsupportedType},
		"a ticket":            {request("/", ""), `{"totp":"123456","token":"t1","email":"any"}`, ticket, ""},
		"another ticket":      {request("/", ""), `{"totp":"123456","token":"t1","Token":"t2"}`, ticket, auth.CodeInvalidInput},
		"another code":        {request("/", ""), `{"totp":"123456","token":"t1","code":"654321"}`, ticket, auth.CodeInvalidInput},
	} {
		if _, _, err := onward(c.r, []byte(c.body), c.sent); auth.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
}

func TestOnward_Headers(t *testing.T) {
	r := request("/", "", "Authorization", basic("Basic", "bob:guess"), "X-HTTP-Method-Override", "PUT", "Remote-User", "bob", "X-Api-Key", "k", "Cookie", "lb=1")
	out, body, err := onward(r, []byte(`{"email":"ada","password":"right"}`), ada)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Authorization": "", "X-Http-Method-Override": "", "Remote-User": "", "X-Api-Key": "k", "Cookie": "lb=1", "Content-Type": "application/json"} {
		if got := out.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if string(body) != `{"email":"ada","password":"right"}` {
		t.Errorf("the body is %s", body)
	}
	if r.Header.Get("Authorization") == "" {
		t.Error("the client's own request was changed")
	}
	for credential, kept := range map[string]bool{basic("Token", "ada:right"): true, basic("bASIC", "ada:right"): true, "Bearer t1": false, "x": false} {
		out, _, err := onward(request("/", "", "Authorization", credential), nil, ada)
		if err != nil || (out.Header.Get("Authorization") == credential) != kept {
			t.Errorf("%s: kept is %v, %v", credential, !kept, err)
		}
	}
	if out, _, _ := onward(request("/", "", "Authorization", "Bearer t1"), nil, auth.Sent{Token: "t1"}); out.Header.Get("Authorization") == "" {
		t.Error("a token that was read is not sent on")
	}
}

// A body that nobody here has read is sent on only if it is JSON, and has no credential.
func TestOnward_IgnoredBody(t *testing.T) {
	for body, want := range map[string]string{"username=bob&password=x": "", `{"lang":"de"}`: `{"lang":"de"}`, `{"lang":`: "", "": ""} {
		_, got, err := onward(request("/", ""), []byte(body), ada)
		if err != nil || string(got) != want {
			t.Errorf("%s: sent %s, %v", body, got, err)
		}
	}
	_, got, err := onward(request("/", "", "Content-Type", "application/x-www-form-urlencoded"), []byte(`{"a":"&username=bob&password=x&"}`), ada)
	if err != nil || len(got) != 0 {
		t.Errorf("a form was sent on: %s, %v", got, err)
	}
}

func FuzzOnward(f *testing.F) {
	f.Add("a=1", "application/json", `{"email":"ada","password":"right","x":[{"user":"bob"}]}`)
	f.Add("user=%zz", "text/plain; charset=x", `{"a":1}{}`)
	f.Fuzz(func(t *testing.T, query, media, body string) {
		r := request("/", "", "Content-Type", media)
		r.URL.RawQuery = query
		_, out, err := onward(r, []byte(body), ada)
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
