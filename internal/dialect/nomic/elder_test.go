package nomic

import (
	"encoding/base64"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

func oldAnswer(claims string) []byte {
	return []byte(`{"isSuccess":true,"token":"eyJ0eXAiOiJKV1QifQ.` + base64.RawURLEncoding.EncodeToString([]byte(claims)) + `.c2ln"}`)
}

func TestElder_Answers(t *testing.T) {
	for name, want := range map[string]auth.Newcomer{"TestUser": {Username: "TestUser", Subject: "1"}, "a@x.io": {Email: "a@x.io", Subject: "1"}} {
		for _, status := range []int{200, 201} {
			n, err := understand(&legacy.Answer{Status: status, Body: oldAnswer(`{"sub":"1","iss":"NomicGameManager.Api","exp":1677281861,"iat":1677274661}`)}, name)
			if err != nil || n.Username != want.Username || n.Email != want.Email || n.Subject != want.Subject || n.Tokens != nil {
				t.Errorf("%s: %+v, %v", name, n, err)
			}
		}
	}
	for _, body := range []string{
		`{}`, `{"isSuccess":false}`, `{"isSuccess":true}`, `{"isSuccess":true,"token":null}`, `{"isSuccess":true,"token":"a.b"}`, `{"isSuccess":true,"token":"a.e30.c.d"}`,
		`{"isSuccess":true,"token":"a.!.c"}`, `{"isSuccess":1,"token":"a.e30.c"}`, `{"isSuccess":true,"token":"a.e30.c"}`,
		string(oldAnswer(`{"sub":1}`)), string(oldAnswer(`{"sub":""}`)), string(oldAnswer(`{"sub":null}`)), string(oldAnswer(`{"sub":["1"]}`)), string(oldAnswer(`{"sub":"1","sub":"2"}`)),
		string(oldAnswer(`[]`)), string(oldAnswer(`{"sub":"a\u0000"}`)),
	} {
		if n, err := understand(&legacy.Answer{Status: 200, Body: []byte(body)}, "TestUser"); err == nil || auth.CodeOf(err) != auth.CodeInternal || n != nil {
			t.Errorf("%s: %+v, %v", body, n, err)
		}
	}
}

func FuzzElder(f *testing.F) {
	f.Add(200, oldAnswer(`{"sub":"1"}`), "TestUser")
	f.Add(403, []byte{}, "a@x.io")
	f.Fuzz(func(t *testing.T, status int, body []byte, name string) {
		n, err := understand(&legacy.Answer{Status: status, Body: body}, name)
		if (n == nil) == (err == nil) || n != nil && (n.Username+n.Email != name || n.Subject == "") || status == 403 && auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
