package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
)

const formType = "Content-Type: application/x-www-form-urlencoded"

// metrics looks at what is counted, and keeps it.
func (e *estate) metrics() {
	e.t.Helper()
	status, text := fetch(e.t, e.p.admin(e.t)+"/metrics")
	if status != http.StatusOK || !strings.Contains(text, "ostiary_logins_total") {
		e.t.Errorf("no metrics: %d", status)
	}
	e.sent++ // it has a line in the log
	e.traces = append(e.traces, found{"metrics", text})
}

// everywhere asks every door with a text in every place where a client may put one.
func (e *estate) everywhere(text string) {
	var running sync.WaitGroup
	defer running.Wait() // most of a failed login is waiting
	ask := func(method, path, body string, headers ...string) {
		running.Go(func() { e.ask(method, path, body, headers...) })
	}
	q, p := url.QueryEscape(text), url.PathEscape(text)
	gate := "Authorization: Basic " + basicOf("gate", e.tokens["secret of gate"])
	bearer := "Authorization: Bearer " + text
	word := text
	if len(text) > 100 { // the longer a wrong password is, the longer is its answer held back: one of them is enough
		if e.long {
			word = "x"
		}
		e.long = true
	}
	for _, name := range []string{"min", text} {
		ask("POST", "/v1/auth", "", "Authorization: Token "+basicOf(name, word))
		ask("POST", "/api/auth/token", "", "Authorization: Basic "+basicOf(name, word))
		ask("POST", "/user/login", jsonOf("email", name, "password", word))
		ask("POST", "/v1/auth", jsonOf("username", name, "password", word))
	}
	ask("POST", "/user/passport", jsonOf("token", text, "totp", text))
	ask("POST", "/user/passport", `{"token":"`+text+`","token":"`+text+`"}`)
	ask("POST", "/api/auth/token", "", bearer)
	ask("POST", "/v1/auth/refreshtoken", jsonOf("refreshtoken", "x"+text))
	ask("POST", "/v1/auth/refreshtoken", `{"refreshtoken":`+text)
	for _, path := range []string{"/ostiary/verify", "/ostiary/whoami", "/ostiary/sessions", "/.well-known/jwks.json", "/ostiary/openapi.json", "/ostiary/healthz", "/ostiary/readyz"} {
		ask("GET", path, "", bearer)
		ask("GET", path+"?after="+q+"&role="+q+"&token="+q+"&"+q+"=1", "", "Authorization: "+text, "Cookie: session="+q, "X-CSRF-Token: "+text,
			"User-Agent: "+text, "Referer: https://example.com/?"+q, "X-Request-Id: "+text, "Origin: https://"+text)
	}
	ask("DELETE", "/ostiary/sessions?token="+q, "", "Authorization: Basic "+basicOf("min", text))
	ask("POST", "/ostiary/password", jsonOf("current", word, "new", text), "Authorization: Bearer "+e.tokens["mikrocloud token"])
	ask("POST", "/ostiary/logout", text, "Authorization: Digest "+text)
	for _, door := range []string{"/ostiary/introspect", "/ostiary/revoke"} {
		ask("POST", door+"?token="+q, "token=x"+q+"&token_type_hint="+q+"&csrf="+q, formType, gate)
		ask("POST", door, "token=x", formType, "Authorization: Basic "+basicOf("gate", text))
		ask("POST", door, q+"="+q+"&token=%zz"+q, formType, gate)
	}
	ask("GET", "/ostiary/verify", "", bearer, bearer)
	ask("POST", "/user/login?"+q, text, "Content-Type: "+text)
	ask("PUT", "/v1/auth?"+q+"="+p, text, bearer)
	ask("GET", "/nothing?"+q, text, bearer)
}

// Secrets of every kind are planted, shown at every door in every place, in every state of
// the server: none is in an answer but the one that issued it, in a line of the log of
// whatever level and format, in a metric or a span, in the audit log or any list of the command line, nor, if it
// is not one that the store keeps, in the database's file. One request is one line.
func TestThreat61_NoSecretGetsOut(t *testing.T) {
	line := map[string]*regexp.Regexp{
		"text": regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=("[^"\\]|[a-z])`),
		"json": regexp.MustCompile(`^\{"time":"[^"]+","level":"(DEBUG|INFO|WARN|ERROR)","msg":"`),
	}
	for format, wellFormed := range line {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			free := []string{"--guess-account", "0", "--guess-source", "0", "--guess-factor", "0", "--log-level", "debug", "--log-format", format}
			spans := newCollector(t)
			observed := []string{"--admin-listen", "127.0.0.1:0", "--trace-endpoint", spans.URL}
			e := newEstate(t, append(free, observed...)...)
			e.signIn("min")
			e.plantStored()
			var log strings.Builder
			done := func(p *process) {
				t.Helper()
				requests := regexp.MustCompile(`(?m)^.*\bmsg"?[=:]"?request\b.*$`)
				for range 1000 { // a line is written after its answer
					if len(requests.FindAllString(p.err.String(), -1)) >= e.sent {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if n := len(requests.FindAllString(p.err.String(), -1)); n != e.sent {
					t.Errorf("%d requests made %d lines", e.sent, n)
				}
				log.WriteString(p.err.String())
			}
			shown := []string{
				e.secret("password of min"), e.secret("secret of robot"), e.secret("second factor of ada"), e.secret("recovery code 0"), e.secret("master key"), e.secret("cloudio jwt"),
				e.secret("mikrocloud ticket"), e.secret("mikrocloud token"), e.secret("nomic jwt"), e.secret("senmo access token"), e.secret("senmo refresh token"),
			}
			if format == "json" {
				shown = shown[:6]
			}
			for _, text := range shown {
				e.everywhere(text)
			}
			e.metrics()
			if err := e.p.Stop(); err != nil {
				t.Fatal(err)
			}
			done(e.p)
			e.serve(append(observed, "--log-level", "debug", "--log-format", format)...)
			for _, text := range shown[:4] { // budgets are soon spent
				e.everywhere(text)
			}
			path := filepath.Join(e.data, "ostiary.db")
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			for _, text := range shown[:4] {
				e.everywhere(text)
			}
			if status, _ := e.ask("POST", "/v1/auth", jsonOf("username", "quiet", "password", shown[0])); status != http.StatusServiceUnavailable {
				t.Errorf("without a store: %d", status)
			}
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			e.metrics()
			for _, args := range []string{
				"account list", "account list --json", "account show ada", "account show eve", "account show robot", "account show foreign", "account show min", "session list", "session list --json",
				"audit list", "audit list --json", "role list --json", "datasource list --json", "key list", "key list --json", "realm list --json", "doctor --json", "version --json",
			} {
				out, errOut, _ := command(t, "", append(strings.Fields(args), "--data", e.data)...)
				e.traces = append(e.traces, found{"ostiary " + args, out + errOut})
			}
			if err := e.p.Stop(); err != nil {
				t.Fatal(err)
			}
			done(e.p)
			statuses := map[string]bool{}
			for _, tr := range e.traces {
				e.clean(tr.where, tr.text, false)
				if rest, ok := strings.CutPrefix(tr.where, "answer "); ok {
					statuses[rest[:3]] = true
				}
			}
			for _, status := range []string{"200", "400", "401", "403", "404", "405", "415", "429", "503"} {
				if !statuses[status] {
					t.Errorf("no answer was a %s", status)
				}
			}
			e.clean("database", e.database(), true)
			for _, plain := range privateKeys(t) {
				if strings.Contains(e.database(), plain) {
					t.Error("a private key is in the database as it is")
				}
			}
			for l := range strings.Lines(log.String()) {
				if !wellFormed.MatchString(l) || strings.ContainsFunc(strings.TrimSuffix(l, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) ||
					format == "json" && !json.Valid([]byte(l)) {
					t.Errorf("no line of a log: %q", l)
				}
			}
			e.clean("log", log.String(), false)
			if len(spans.spans) < 100 {
				t.Errorf("%d spans", len(spans.spans))
			}
			e.clean("traces", spans.text.String(), false)
			if t.Failed() {
				return
			}
			t.Logf("%d secrets, %d answers and prints, %d bytes of log", len(e.markers), len(e.traces), log.Len())
		})
	}
}

// privateKeys are how PKCS #8 keys begin (RFC 5958), after the length of each: what every
// private key in the clear has, and no public one.
func privateKeys(t *testing.T) (begin []string) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for key, n := range map[any][2]int{r: {4, 22}, ec: {3, 29}, string(ed): {2, 12}} {
		if text, ok := key.(string); ok {
			key = ed25519.PrivateKey(text)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		begin = append(begin, string(der[n[0]:n[1]]))
	}
	return begin
}

// Whatever a client sends, its request is one line, which nobody can make look like another.
func TestThreat61_OneLineEach(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			p := serve(t, data, "--log-format", format, "--log-level", "debug")
			forged := []string{
				"%0d%0atime=2026-01-01T00:00:00Z%20level=ERROR%20msg=forged", "%0a%7b%22msg%22:%22forged%22%7d", "%1b%5b31mred%1b%5b0m", "%1b%5d0;title%07", "%c2%9b31m", "%e2%80%ae%e2%80%a8x",
				"%ff%fe", "%00", "%22%20msg=forged%20x=%22", "x%20msg=forged", "%5cu000a", strings.Repeat("%0a", 3000),
			}
			sent := 0
			send := func(text string) {
				t.Helper()
				conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatalf("%.80q: %v", text, err)
				}
				res.Body.Close()
				sent++
			}
			for _, f := range forged {
				plain, err := url.PathUnescape(f)
				if err != nil {
					t.Fatal(err)
				}
				header := strings.Map(func(r rune) rune {
					if r < ' ' && r != '\t' || r == 0x7f {
						return '\t' // a control is no part of a header: the request would be refused unread
					}
					return r
				}, plain)
				body := jsonOf("username", plain, "email", plain, "password", plain)
				for _, path := range []string{"/v1/auth", "/user/login", "/" + f, "/ostiary/verify/" + f, "/ostiary/sessions/" + f, "/ostiary/healthz?" + f} {
					send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\nCookie: %s\r\nX-Request-Id: %s\r\nX-Original-URI: %s\r\n"+
						"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, header, header, header, header, header, len(body), body))
				}
				basic := basicOf(plain, "x")
				send("POST /api/auth/token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + basic + "\r\nConnection: close\r\n\r\n")
				send("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				send("FORGED" + strings.Repeat("x", 500) + " / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			}
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			lines := 0
			for l := range strings.Lines(p.err.String()) {
				var entry map[string]any
				msg := ""
				if format == "json" {
					if err := json.Unmarshal([]byte(l), &entry); err != nil {
						t.Errorf("%q: %v", l, err)
					}
					msg, _ = entry["msg"].(string)
				} else if m := regexp.MustCompile(`^time=\S+ level=\S+ msg=("(?:[^"\\]|\\.)*"|\S+)`).FindStringSubmatch(l); m != nil {
					msg = m[1]
				}
				if msg == "" || msg == "forged" || len(l) > 6000 || strings.ContainsFunc(strings.TrimSuffix(l, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%d bytes: %.500q", len(l), l)
				}
				if msg == "request" {
					lines++
				}
			}
			if lines != sent {
				t.Errorf("%d requests made %d lines", sent, lines)
			}
			for _, list := range []string{"audit list", "session list", "audit list --json"} {
				out := must(t, "", append(strings.Fields(list), "--data", data)...)
				if strings.ContainsFunc(strings.ReplaceAll(out, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%s prints controls", list)
				}
			}
		})
	}
}
