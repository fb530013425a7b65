package verify

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

func (h *house) list(t *testing.T, query string, headers ...string) sessionList {
	t.Helper()
	r := h.ask(t, "GET", "/ostiary/sessions"+query, "", headers...)
	var list sessionList
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s: %v", r.StatusCode, r.Header, r.body, err)
	}
	return list
}

func TestSessions_List(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	h.account(t, "one", "bob")
	h.login(t, "one/plain", "bob")
	ended, a := h.login(t, "one/plain", "ada"), h.login(t, "one/plain", "ada")
	h.clock.add(time.Second)
	b := h.login(t, "one/opaque", "ada")
	if err := h.svc.EndSession(t.Context(), h.one.ID, ended.Session.ID, "test", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	r := h.ask(t, "GET", "/ostiary/sessions", "", "Authorization: Bearer "+h.token(t, b))
	now := h.clock.Now().Unix()
	want, _ := json.Marshal(map[string]any{"sessions": []map[string]any{
		{"session": a.Session.ID, "dialect": "plain", "client": "", "address": "", "auth_time": now - 1, "last_used": now - 1, "expires": now - 1 + 24*3600, "current": false},
		{"session": b.Session.ID, "dialect": "opaque", "client": "", "address": "", "auth_time": now, "last_used": now, "expires": now + 24*3600, "current": true},
	}})
	var got any
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(got); string(text) != string(want) || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s\n%s", r.body, want)
	}
	h.clock.add(12 * time.Hour)
	h.ask(t, "GET", "/ostiary/sessions", "", "Authorization: Bearer "+h.token(t, b)).refused(t, "idle", challengeInvalid)
}

func TestSessions_Pages(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	var ids []uuid.UUID
	for range sessionsPage + 1 {
		ids = append(ids, h.login(t, "one/opaque", "ada").Session.ID)
	}
	last := h.login(t, "one/opaque", "ada")
	ids = append(ids, last.Session.ID)
	bearer := "Authorization: Bearer " + h.token(t, last)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	first := h.list(t, "", bearer)
	second := h.list(t, "?after="+first.Next, bearer)
	if len(first.Sessions) != sessionsPage || len(second.Sessions) != 2 || second.Next != "" {
		t.Fatalf("%d and %d, then %q", len(first.Sessions), len(second.Sessions), second.Next)
	}
	for i, s := range append(first.Sessions, second.Sessions...) {
		if s.Session != ids[i] || s.Current != (s.Session == last.Session.ID) {
			t.Errorf("%d: %+v, want %s", i, s, ids[i])
		}
	}
	if end := h.list(t, "?after="+ids[len(ids)-1].String(), bearer); end.Sessions == nil || len(end.Sessions) != 0 {
		t.Errorf("after the last: %+v", end)
	}
	if exact := h.list(t, "?after="+ids[1].String(), bearer); len(exact.Sessions) != sessionsPage || exact.Next != "" {
		t.Errorf("%d, then %q", len(exact.Sessions), exact.Next)
	}
	for _, after := range []string{"", "x", "1", "' OR 1=1", ids[0].String() + "x", "{" + ids[0].String() + "}", strings.ReplaceAll(ids[0].String(), "-", ""), first.Next + "&after=" + first.Next} {
		h.ask(t, "GET", "/ostiary/sessions?after="+strings.ReplaceAll(after, " ", "+"), "", bearer).problem(t, after, 400, auth.CodeInvalidInput)
	}
}

func TestSessions_Ends(t *testing.T) {
	h := build(t)
	a := h.account(t, "one", "ada")
	h.account(t, "one", "bob")
	bob := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "bob"))
	one, two, three := h.login(t, "one/opaque", "ada"), h.login(t, "one/plain", "ada"), h.login(t, "one/opaque", "ada")
	bearers := []string{"Authorization: Bearer " + h.token(t, one), "Authorization: Bearer " + h.token(t, two), "Authorization: Bearer " + h.token(t, three), bob}
	statuses := func() (got []int) {
		for _, b := range bearers {
			got = append(got, h.ask(t, "GET", "/ostiary/verify", "", b).StatusCode)
		}
		return got
	}
	if got := statuses(); !slices.Equal(got, []int{200, 200, 200, 200}) {
		t.Fatal(got)
	}
	if r := h.ask(t, "DELETE", "/ostiary/sessions/"+two.Session.ID.String(), "", bearers[0]); r.StatusCode != 204 || r.body != "" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if got := statuses(); !slices.Equal(got, []int{200, 401, 200, 200}) {
		t.Error(got)
	}
	h.ask(t, "DELETE", "/ostiary/sessions", "", bearers[1]).refused(t, "an ended session", challengeInvalid)
	p, err := h.svc.BeginSignIn(t.Context(), h.mounts["one/opaque"], auth.Credentials{Name: "ada", Password: pass}, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if r := h.ask(t, "DELETE", "/ostiary/sessions", "", bearers[2]); r.StatusCode != 204 || r.body != "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if got := statuses(); !slices.Equal(got, []int{401, 401, 401, 200}) {
		t.Error(got)
	}
	if _, err := h.svc.CompleteSignIn(t.Context(), h.mounts["one/opaque"], p.Ticket, "", auth.Client{}); err == nil {
		t.Error("a login that was half done goes on")
	}
	events, err := h.svc.ListAudit(t.Context(), h.one.ID, auth.AuditFilter{Limit: 1000, Account: a.ID, Kinds: []audit.Kind{audit.SessionEnded}})
	if err != nil || len(events) != 2 {
		t.Fatalf("%+v: %v", events, err)
	}
	for i, detail := range []string{"ended_by_owner", "ended_by_owner sessions=2 half_done=1"} {
		session := []uuid.UUID{two.Session.ID, uuid.Nil}[i]
		if e := events[i]; e.Session != session || e.Actor != "" || e.Detail != detail || e.RequestID == "" || e.Address != "127.0.0.1" {
			t.Errorf("%+v", e)
		}
	}
	own := h.login(t, "one/opaque", "ada")
	bearer := "Authorization: Bearer " + h.token(t, own)
	if r := h.ask(t, "DELETE", "/ostiary/sessions/"+own.Session.ID.String(), "", bearer); r.StatusCode != 204 {
		t.Errorf("its own: %d", r.StatusCode)
	}
	h.ask(t, "GET", "/ostiary/verify", "", bearer).refused(t, "its own", challengeInvalid)
}

// Whatever is no live session of the account is the same to the byte.
func TestThreat54_ForeignSessions(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	h.account(t, "one", "bob")
	h.account(t, "two", "ada")
	bearer := "Authorization: Bearer " + h.token(t, h.login(t, "one/opaque", "ada"))
	ended, bob, two := h.login(t, "one/plain", "ada"), h.login(t, "one/opaque", "bob"), h.login(t, "two/opaque", "ada")
	if err := h.svc.EndSession(t.Context(), h.one.ID, ended.Session.ID, "test", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	var want string
	for what, id := range map[string]string{
		"absent": uuid.Must(uuid.NewV7()).String(), "another account's": bob.Session.ID.String(), "another realm's": two.Session.ID.String(),
		"ended": ended.Session.ID.String(), "an account": bob.Account.ID.String(), "nil": uuid.Nil.String(),
		"malformed": "x", "empty": "", "below": bob.Session.ID.String() + "/", "deeper": "x/" + bob.Session.ID.String(),
		"braces": "%7B" + bob.Session.ID.String() + "%7D", "encoded": "%30" + bob.Session.ID.String()[1:], "dots": "..%2f", "a statement": "'%20OR%201=1--", "NUL": "%00", "long": strings.Repeat("a", 4000),
	} {
		r := h.ask(t, "DELETE", "/ostiary/sessions/"+id, "", bearer)
		r.problem(t, what, http.StatusNotFound, auth.CodeNotFound)
		r.Header.Del("Date")
		got := r.body
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			got += "\n" + name + ": " + r.Header.Get(name)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: %s\nothers: %s", what, got, want)
		}
		h.ask(t, "DELETE", "/ostiary/sessions/"+id, "").refused(t, what+" without a token", challengeNone)
	}
	for _, g := range []*auth.Grant{bob, two} {
		host := map[*auth.Grant]string{bob: "one.example.com", two: hostTwo}[g]
		if r := h.ask(t, "GET", "/ostiary/verify", "", "Host: "+host, "Authorization: Bearer "+h.token(t, g)); r.StatusCode != 200 {
			t.Errorf("%s was ended: %d", g.Session.ID, r.StatusCode)
		}
		if list := h.list(t, "", bearer); len(list.Sessions) != 1 {
			t.Errorf("%+v", list)
		}
	}
}

func TestSessions_Methods(t *testing.T) {
	h := build(t)
	const origin = "https://app.example.com"
	routes := Routes(h.svc, "", "", "one", h.one.ID)
	for i := range routes {
		if strings.HasPrefix(routes[i].Path, "/ostiary/sessions") {
			routes[i].CORS = []string{origin}
		}
	}
	h.serve(t, routes, slog.New(slog.DiscardHandler))
	for path, allow := range map[string]string{"/ostiary/sessions": "DELETE, GET, HEAD", "/ostiary/sessions/x": "DELETE"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS", "GET"} {
			if strings.Contains(allow, method) {
				continue
			}
			r := h.ask(t, method, path, "")
			r.problem(t, method+path, http.StatusMethodNotAllowed, auth.CodeMethodNotAllowed)
			if got := r.Header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow %q", method, path, got)
			}
		}
		r := h.ask(t, "OPTIONS", path, "", "Origin: "+origin, "Access-Control-Request-Method: DELETE")
		if r.StatusCode != 204 || r.Header.Get("Access-Control-Allow-Methods") != allow || r.Header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s: preflight %d %v", path, r.StatusCode, r.Header)
		}
		h.ask(t, "DELETE", path, "").refused(t, "without a token", challengeNone)
	}
	h.account(t, "one", "ada")
	g := h.login(t, "one/paired", "ada")
	for _, method := range []string{"GET", "DELETE"} { // who is known by its csrf ends nothing without it
		h.ask(t, method, "/ostiary/sessions", "", "Authorization: Bearer "+h.token(t, g)).refused(t, method, challengePair)
	}
	if r := h.ask(t, "HEAD", "/ostiary/sessions", "", "Authorization: Bearer "+h.token(t, g), "X-CSRF-Token: "+csrfOf(g)); r.StatusCode != 200 || r.body != "" {
		t.Errorf("HEAD: %d %q", r.StatusCode, r.body)
	}
}
