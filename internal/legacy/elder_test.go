package legacy_test

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"net/netip"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
	"github.com/ostiary/ostiary/internal/legacy"
	"github.com/ostiary/ostiary/internal/legacy/legacytest"
	"github.com/ostiary/ostiary/internal/totp"
)

var four = []dialect.Dialect{cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect()}

const word = "päss:wörd £ 1"

var (
	steve  = legacytest.Account{Username: "steve", Email: "Steve@example.com", Password: word, DisplayName: "Steve S.", Org: "acme", Subject: "17"}
	other  = legacytest.Account{Username: "eve", Email: "eve@example.com", Password: "x"}
	client = auth.Client{Address: netip.MustParseAddr("192.0.2.7")}
)

func elder(t *testing.T, d dialect.Dialect, url string, timeout time.Duration) auth.Elder {
	t.Helper()
	c, err := legacy.New(legacy.Options{URL: url, Timeout: timeout, Calls: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return d.Elder(c)
}

func login(name, password string) auth.Credentials {
	return auth.Credentials{Name: name, Password: auth.Secret(password)}
}

// What each server says of steve, asked for by a name.
func said(d auth.Dialect, name string) auth.Newcomer {
	asked := auth.Newcomer{Username: name}
	if strings.Contains(name, "@") {
		asked = auth.Newcomer{Email: name}
	}
	switch d {
	case "cloudio":
		return auth.Newcomer{Username: "steve", Email: "Steve@example.com", DisplayName: "Steve S.", Org: "acme"}
	case "senmo":
		return auth.Newcomer{Username: "steve", Email: "Steve@example.com", DisplayName: "Steve S.", Subject: "17"}
	case "nomic":
		asked.Subject = "17"
	}
	return asked
}

var kinds = map[auth.Dialect]auth.ForeignKind{"cloudio": auth.ForeignSession, "senmo": auth.ForeignRefresh, "mikrocloud": auth.ForeignBearer}

func TestElders_OldServers(t *testing.T) {
	for _, d := range four {
		s := legacytest.Start(t, string(d.Name()), []legacytest.Account{steve, other})
		e := elder(t, d, s.URL, time.Minute)
		for _, name := range []string{"steve", "STEVE@example.com"} {
			n, err := e.SignIn(t.Context(), login(name, word), client)
			if err != nil {
				t.Fatalf("%s, %s: %v", d.Name(), name, err)
			}
			state := s.State(t)
			want := said(d.Name(), name)
			if kind, some := kinds[d.Name()]; some {
				want.Tokens = []auth.ForeignToken{{Kind: kind, Text: auth.Secret(state.Issued[len(state.Issued)-1].Token)}}
			}
			if diff := cmp.Diff(want, *n); diff != "" {
				t.Errorf("%s, %s: %s", d.Name(), name, diff)
			}
			if state.Headers["x-forwarded-for"] != "192.0.2.7" {
				t.Errorf("%s: %v", d.Name(), state.Headers)
			}
		}
		before := s.Count(t)
		for name, password := range map[string]string{"steve": "wrong", "nobody": word, "eve": "", "steve@example.com": word + " "} {
			n, err := e.SignIn(t.Context(), login(name, password), client)
			if auth.CodeOf(err) != auth.CodeBadCredentials || n != nil {
				t.Errorf("%s, %s: %v, %v", d.Name(), name, n, err)
			}
		}
		if got := s.Count(t) - before; got != 4 {
			t.Errorf("%s: four refusals took %d requests", d.Name(), got)
		}
		if e.Floor() <= 0 || e.Floor() > time.Minute {
			t.Errorf("%s: the floor is %v", d.Name(), e.Floor())
		}
		if d.Name() != "mikrocloud" {
			if _, err := e.Complete(t.Context(), "t", "123456", client); auth.CodeOf(err) != auth.CodeFactorInvalid {
				t.Errorf("%s has a second step: %v", d.Name(), err)
			}
		}
		s.Stop()
		if _, err := e.SignIn(t.Context(), login("steve", word), client); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("%s, stopped: %v", d.Name(), err)
		}
	}
}

// A name with a colon would be another name there with another password.
func TestElders_ColonInName(t *testing.T) {
	for _, d := range four {
		if d.Name() == "senmo" || d.Name() == "mikrocloud" {
			continue
		}
		e := elder(t, d, "http://127.0.0.1:1", time.Minute)
		if _, err := e.SignIn(t.Context(), login("ste:ve", "x"), client); auth.CodeOf(err) != auth.CodeBadCredentials {
			t.Errorf("%s: %v", d.Name(), err)
		}
	}
}

// Whatever an old server does that is neither yes nor no, nobody is let in, and nobody is
// told that the password is wrong.
func TestElders_BadServers(t *testing.T) {
	for _, d := range four {
		s := legacytest.Start(t, string(d.Name()), []legacytest.Account{steve, other})
		for _, fault := range []string{
			"reset", "hang", "cut", "drip", "garbage", "html", "forbidden", "empty", "types", "two", "huge", "redirect", "throttle", "down", "error",
		} {
			timeout := time.Minute
			if fault == "hang" || fault == "drip" {
				timeout = 300 * time.Millisecond
			}
			s.Fault(t, fault)
			n, err := elder(t, d, s.URL, timeout).SignIn(t.Context(), login("steve", word), client)
			if e := auth.AsError(err); err == nil || e.Code != auth.CodeUnavailable || e.RetryAfter < time.Second || n != nil || strings.Contains(e.Error(), word) {
				t.Errorf("%s, %s: %v, %v", d.Name(), fault, n, err)
			}
		}
		s.Fault(t, "")
		if n, err := elder(t, d, s.URL, time.Minute).SignIn(t.Context(), login("steve", word), client); err != nil {
			t.Errorf("%s, none: %v, %v", d.Name(), n, err)
		}
		if s.State(t).Requests["/_followed"] != 0 {
			t.Errorf("%s: a redirect was followed", d.Name())
		}
	}
}

// What a server says of somebody else is passed on: the core compares it with who was asked for.
func TestElders_AnotherUser(t *testing.T) {
	for _, d := range four {
		if d.Name() == "nomic" || d.Name() == "mikrocloud" {
			continue // they name nobody
		}
		s := legacytest.Start(t, string(d.Name()), []legacytest.Account{steve, other})
		s.Fault(t, "other")
		n, err := elder(t, d, s.URL, time.Minute).SignIn(t.Context(), login("steve", word), client)
		if err != nil || n.Username != "eve" || n.Email != "eve@example.com" {
			t.Errorf("%s: %+v, %v", d.Name(), n, err)
		}
	}
}

func TestElders_SecondFactor(t *testing.T) {
	secret := []byte("12345678901234567890") // of RFC 6238
	with := steve
	with.TOTP = base32.StdEncoding.EncodeToString(secret)
	d := mikrocloud.Dialect()
	s := legacytest.Start(t, "mikrocloud", []legacytest.Account{with})
	e := elder(t, d, s.URL, time.Minute)
	n, err := e.SignIn(t.Context(), login("steve", word), client)
	if err != nil || !n.Factor || n.Ticket == "" || n.Tokens != nil || s.State(t).Requests["/user/passport"] != 0 {
		t.Fatalf("%+v, %v", n, err)
	}
	for what, code := range map[string]auth.Secret{"wrong": "000000", "none": ""} {
		if tokens, err := e.Complete(t.Context(), n.Ticket, code, client); auth.CodeOf(err) != auth.CodeFactorInvalid || tokens != nil {
			t.Errorf("%s: %v, %v", what, tokens, err)
		}
	}
	code := auth.Secret(totp.Code(secret, totp.Step(time.Now())))
	tokens, err := e.Complete(t.Context(), n.Ticket, code, client)
	if diff := cmp.Diff([]auth.ForeignToken{{Kind: auth.ForeignBearer, Text: auth.Secret(s.Issued(t).Token)}}, tokens); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if tokens, err := e.Complete(t.Context(), n.Ticket, code, client); auth.CodeOf(err) != auth.CodeFactorInvalid || tokens != nil {
		t.Errorf("twice: %v, %v", tokens, err)
	}
	down := "down"
	s.Set(t, legacytest.Setting{Fault: &down, Only: "/user/passport"})
	if _, err := e.Complete(t.Context(), n.Ticket, code, client); auth.CodeOf(err) != auth.CodeUnavailable {
		t.Errorf("down: %v", err)
	}
	// Without a second factor both steps have to work.
	plain := legacytest.Start(t, "mikrocloud", []legacytest.Account{steve})
	for _, fault := range []string{"down", "garbage", "empty"} {
		plain.Set(t, legacytest.Setting{Fault: &fault, Only: "/user/passport"})
		if n, err := elder(t, d, plain.URL, time.Minute).SignIn(t.Context(), login("steve", word), client); auth.CodeOf(err) != auth.CodeUnavailable {
			t.Errorf("half a login, %s: %+v, %v", fault, n, err)
		}
	}
}

// Another Ostiary is a legacy server like any other.
func TestElders_AnotherOstiary(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{Budgets: dialecttest.NoBudgets()}, four...)
	ada := h.Account("ada")
	for _, d := range four {
		e := elder(t, d, h.URL, time.Minute)
		n, err := e.SignIn(t.Context(), login("ada@example.com", dialecttest.Password), client)
		if err != nil {
			t.Fatalf("%s: %v", d.Name(), err)
		}
		want := auth.Newcomer{Email: "ada@example.com"}
		switch d.Name() {
		case "cloudio":
			want = auth.Newcomer{Username: "ada", Email: "ada@example.com", DisplayName: "Ada Lovelace", Org: "acme"}
		case "senmo":
			want = auth.Newcomer{Username: "ada", Email: "ada@example.com", DisplayName: "Ada Lovelace", Subject: ada.ID.String()}
		case "nomic":
			want.Subject = "1"
		}
		if kind, some := kinds[d.Name()]; some && (len(n.Tokens) != 1 || n.Tokens[0].Kind != kind || n.Tokens[0].Text == "") {
			t.Errorf("%s: %+v", d.Name(), n.Tokens)
		}
		n.Tokens = nil
		if diff := cmp.Diff(want, *n); diff != "" {
			t.Errorf("%s: %s", d.Name(), diff)
		}
		for name, password := range map[string]string{"josé": dialecttest.LatinPassword, "only@example.com": dialecttest.Password, "robot": h.Secret, "min": dialecttest.Password} {
			if _, err := e.SignIn(t.Context(), login(name, password), client); err != nil {
				t.Errorf("%s, %s: %v", d.Name(), name, err)
			}
		}
		for name, password := range map[string]string{"ada": "wrong", "gone": dialecttest.Password, "nopass": "", "nobody": dialecttest.Password} {
			if n, err := e.SignIn(t.Context(), login(name, password), client); auth.CodeOf(err) != auth.CodeBadCredentials {
				t.Errorf("%s, %s: %+v, %v", d.Name(), name, n, err)
			}
		}
		n, err = e.SignIn(t.Context(), login("joan", dialecttest.Password), client)
		if d.Name() != "mikrocloud" {
			if auth.CodeOf(err) != auth.CodeBadCredentials {
				t.Errorf("%s asks for no second factor: %+v, %v", d.Name(), n, err)
			}
			continue
		}
		if err != nil || !n.Factor || n.Ticket == "" {
			t.Fatalf("%+v, %v", n, err)
		}
		if _, err := e.Complete(t.Context(), n.Ticket, auth.Secret(h.Code("joan", 0)), client); err != nil {
			t.Error(err)
		}
	}
}

// Another Ostiary that has had too many guesses says when to come again.
func TestElders_Throttled(t *testing.T) {
	h := dialecttest.Open(t, dialecttest.Options{}, four...)
	for _, d := range four {
		e := elder(t, d, h.URL, time.Minute)
		var err error
		for range 10 {
			if _, err = e.SignIn(t.Context(), login("nobody-"+string(d.Name()), "x"), client); auth.CodeOf(err) == auth.CodeUnavailable {
				break
			}
		}
		if e := auth.AsError(err); e.Code != auth.CodeUnavailable || e.RetryAfter < time.Second || !strings.Contains(e.Error(), "X-Forwarded-For") {
			t.Errorf("%s: %v", d.Name(), err)
		}
		if _, err := e.SignIn(t.Context(), login("ada", dialecttest.Password), client); err != nil {
			t.Errorf("%s: the guesses of one have closed it for all: %v", d.Name(), err)
		}
	}
}
