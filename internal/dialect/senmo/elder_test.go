package senmo

import (
	"encoding/base64"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

func oldAnswer(claims string) []byte {
	return []byte(`{"statusCode":200,"statusMessage":"OK","tokens":{"idToken":"eyJraWQiOiJLT0QifQ.` +
		base64.RawURLEncoding.EncodeToString([]byte(claims)) + `.c2ln","accessToken":"a","refreshToken":"r"}}`)
}

func TestElder_Answers(t *testing.T) {
	const id = "0c2a4b52-6f0a-4a0e-9a51-5d2a6b6a9f11"
	for claims, want := range map[string]auth.Newcomer{
		`{"sub":"s","email":"a@x.io","username":"ada","name":"Ada"}`:            {Subject: "s", Email: "a@x.io", Username: "ada", DisplayName: "Ada"},
		`{"sub":"s","email":"a@x.io","cognito:username":"ada"}`:                 {Subject: "s", Email: "a@x.io", Username: "ada"},
		`{"sub":"s","email":"a@x.io","cognito:username":"b","username":"ada"}`:  {Subject: "s", Email: "a@x.io", Username: "ada"},
		`{"sub":"` + id + `","email":"a@x.io","cognito:username":"` + id + `"}`: {Subject: id, Email: "a@x.io"},
		`{"sub":"s","username":"A@x.io","email":"a@x.io"}`:                      {Subject: "s", Email: "A@x.io"},
		`{"sub":"s","username":"a@x.io"}`:                                       {Subject: "s", Email: "a@x.io"},
		`{"sub":"s"}`:                                                           {Subject: "s", Username: "asked"},
	} {
		n, err := understand(&legacy.Answer{Status: 200, Body: oldAnswer(claims)}, "asked")
		if err != nil || n.Subject != want.Subject || n.Email != want.Email || n.Username != want.Username || n.DisplayName != want.DisplayName ||
			len(n.Tokens) != 1 || n.Tokens[0] != (auth.ForeignToken{Kind: auth.ForeignRefresh, Text: "r"}) {
			t.Errorf("%s: %+v, %v", claims, n, err)
		}
	}
	for _, body := range []string{
		`{}`, `{"statusCode":200}`, `{"statusCode":200,"tokens":{"idToken":7}}`, `{"statusCode":"200"}`, `{"statusCode":200,"tokens":[]}`,
		string(oldAnswer(`{}`)), string(oldAnswer(`{"sub":""}`)), string(oldAnswer(`{"sub":7}`)), string(oldAnswer(`{"sub":"s","email":7}`)), string(oldAnswer(`{"sub":"s","email":""}`)), string(oldAnswer(`{"sub":"s","email":null,"username":""}`)),
		string(oldAnswer(`{"sub":"s","username":""}`)), string(oldAnswer(`{"sub":"` + id + `","username":"` + id + `"}`)), string(oldAnswer(`{"sub":"s"}{}`)),
	} {
		if n, err := understand(&legacy.Answer{Status: 200, Body: []byte(body)}, "asked"); err == nil || auth.CodeOf(err) != auth.CodeInternal || n != nil {
			t.Errorf("%s: %+v, %v", body, n, err)
		}
	}
	for body, refused := range map[string]bool{
		`{"statusCode":400,"statusMessage":"Login failed","error":"Incorrect username or password."}`: true,
		`{"statusCode":400,"statusMessage":"Login failed"}`:                                           true,
		`{"statusCode":400,"statusMessage":"Missing refresh token"}`:                                  false,
		`{"message":"Invalid request body"}`:                                                          false, ``: false, `Bad Request`: false,
	} {
		if _, err := understand(&legacy.Answer{Status: 400, Body: []byte(body)}, "asked"); (auth.CodeOf(err) == auth.CodeBadCredentials) != refused {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzElder(f *testing.F) {
	f.Add(200, oldAnswer(`{"sub":"s","email":"a@x.io","username":"ada","name":"Ada"}`))
	f.Add(400, []byte(`{"statusCode":400,"statusMessage":"Login failed"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		n, err := understand(&legacy.Answer{Status: status, Body: body}, "asked")
		if (n == nil) == (err == nil) || n != nil && (n.Username+n.Email == "" || n.Subject == "") || status != 400 && auth.CodeOf(err) == auth.CodeBadCredentials {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
