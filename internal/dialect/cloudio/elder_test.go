package cloudio

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/legacy"
)

const oldAnswer = `{"orgUid":"cloudio","sessionId":"e5f5593b","userName":"steve","displayName":"Steve","emailAddress":"name@cloudio.io","csrf":"29f567c3","jwt":"x","status":"OK"}`

func TestElder_Answers(t *testing.T) {
	n, err := understand(&legacy.Answer{Status: 200, Body: []byte(oldAnswer)})
	if err != nil || n.Username != "steve" || n.Email != "name@cloudio.io" || n.DisplayName != "Steve" || n.Org != "cloudio" || n.Subject != "" ||
		len(n.Tokens) != 1 || n.Tokens[0] != (auth.ForeignToken{Kind: auth.ForeignSession, Text: "e5f5593b"}) {
		t.Errorf("%+v, %v", n, err)
	}
	for what, change := range map[string]func(*legacy.Answer){
		"another status": func(a *legacy.Answer) { a.Status = 201 },
		"not OK":         func(a *legacy.Answer) { a.Body = []byte(strings.Replace(oldAnswer, `"OK"`, `"ERROR"`, 1)) },
		"no name":        func(a *legacy.Answer) { a.Body = []byte(strings.Replace(oldAnswer, `"steve"`, `""`, 1)) },
		"null":           func(a *legacy.Answer) { a.Body = []byte(strings.Replace(oldAnswer, `"steve"`, `null`, 1)) },
		"a number":       func(a *legacy.Answer) { a.Body = []byte(strings.Replace(oldAnswer, `"steve"`, `7`, 1)) },
		"a line":         func(a *legacy.Answer) { a.Body = []byte(strings.Replace(oldAnswer, `"Steve"`, `"a\nb"`, 1)) },
		"a long name": func(a *legacy.Answer) {
			a.Body = []byte(strings.Replace(oldAnswer, `"Steve"`, `"`+strings.Repeat("é", 256)+`"`, 1))
		},
		"an id": func(a *legacy.Answer) {
			a.Body = []byte(`{"userName":"01900000-0000-7000-8000-000000000000","status":"OK"}`)
		},
	} {
		a := &legacy.Answer{Status: 200, Body: []byte(oldAnswer)}
		change(a)
		if n, err := understand(a); err == nil || auth.CodeOf(err) != auth.CodeInternal || n != nil {
			t.Errorf("%s: %+v, %v", what, n, err)
		}
	}
	n, err = understand(&legacy.Answer{Status: 200, Body: []byte(`{"userName":"Steve@x.io","emailAddress":"steve@x.io","status":"OK"}`)})
	if err != nil || n.Username != "" || n.Email != "Steve@x.io" {
		t.Errorf("an address as the username: %+v, %v", n, err)
	}
}

// Credentials are sent as a browser's btoa makes them, and as UTF-8 where that can't.
func TestElder_Credentials(t *testing.T) {
	var got atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(r.Header.Get("Authorization") + " " + string(body))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	c, err := legacy.New(legacy.Options{URL: s.URL, Timeout: time.Minute, Calls: 1})
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{"x:y": "x:y", "pä£ÿ": "p\xe4\xa3\xff", "p€ä": "p€ä"} {
		_, err := newElder(c).SignIn(t.Context(), auth.Credentials{Name: "jö", Password: auth.Secret(password)}, auth.Client{})
		name := "j\xf6"
		if want == "p€ä" {
			name = "jö"
		}
		if line := "Token " + base64.StdEncoding.EncodeToString([]byte(name+":"+want)) + " {}"; got.Load() != line || auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%s: sent %s, want %s; %v", password, got.Load(), line, err)
		}
	}
}

func FuzzElder(f *testing.F) {
	f.Add(200, []byte(oldAnswer))
	f.Add(403, []byte(`{"code":403}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		n, err := understand(&legacy.Answer{Status: status, Body: body})
		if (n == nil) == (err == nil) || n != nil && n.Username+n.Email == "" || status == 403 && auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
