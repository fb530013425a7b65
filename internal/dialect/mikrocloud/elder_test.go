package mikrocloud

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

const oldLogin = `{"mfa_enabled":false,"mfa_verified":false,"mfa_svg":null,"message":"Login was successful","token":"eyJp"}`

func TestElder_Answers(t *testing.T) {
	n, err := understandLogin(&legacy.Answer{Status: 200, Body: []byte(oldLogin)}, "john@acme.com")
	if err != nil || n.Email != "john@acme.com" || n.Username != "" || n.Ticket != "eyJp" || n.Factor {
		t.Errorf("%+v, %v", n, err)
	}
	n, err = understandLogin(&legacy.Answer{Status: 200, Body: []byte(`{"mfa_enabled":true,"token":"t"}`)}, "john")
	if err != nil || n.Username != "john" || !n.Factor {
		t.Errorf("%+v, %v", n, err)
	}
	for _, body := range []string{
		`{}`, `{"token":"t"}`, `{"mfa_enabled":false}`, `{"mfa_enabled":false,"token":""}`, `{"mfa_enabled":false,"token":null}`, `{"mfa_enabled":"no","token":"t"}`,
		`{"mfa_enabled":null,"token":"t"}`, `{"mfa_enabled":false,"token":7}`, oldLogin + oldLogin, `[` + oldLogin + `]`,
	} {
		if n, err := understandLogin(&legacy.Answer{Status: 200, Body: []byte(body)}, "john"); err == nil || auth.CodeOf(err) != auth.CodeInternal || n != nil {
			t.Errorf("%s: %+v, %v", body, n, err)
		}
	}
	for _, body := range []string{`{}`, `{"auth_token":""}`, `{"auth_token":null}`, `{"auth_token":7}`, `"x"`} {
		if got, err := understandPassport(&legacy.Answer{Status: 200, Body: []byte(body)}); err == nil || auth.CodeOf(err) != auth.CodeInternal || got != nil {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

// A server that refuses the ticket that it has just issued says neither yes nor no.
func TestElder_HalfALogin(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/user/login" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, oldLogin)
	}))
	defer s.Close()
	c, err := legacy.New(legacy.Options{URL: s.URL, Timeout: time.Minute, Calls: 1})
	if err != nil {
		t.Fatal(err)
	}
	n, err := newElder(c).SignIn(t.Context(), auth.Credentials{Name: "john", Password: "x"}, auth.Client{})
	if auth.CodeOf(err) != auth.CodeUnavailable || n != nil {
		t.Errorf("%+v, %v", n, err)
	}
}

func FuzzElder(f *testing.F) {
	f.Add(200, []byte(oldLogin))
	f.Add(200, []byte(`{"message":"Login Successful","auth_token":"RjhVb"}`))
	f.Add(401, []byte{})
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := &legacy.Answer{Status: status, Body: body}
		n, err := understandLogin(a, "john")
		if (n == nil) == (err == nil) || n != nil && n.Ticket == "" || status == 401 && auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%+v, %v", n, err)
		}
		got, err := understandPassport(a)
		if (got == nil) == (err == nil) || got != nil && got[0].Text == "" || status == 401 && auth.CodeOf(err) != auth.CodeFactorInvalid {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
