package main

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// marker is something that must not be found again; it is looked for as it is, and in
// the forms that an encoder could have given it.
type marker struct{ what, text string }

func (m marker) in(haystack []byte) bool {
	raw := []byte(m.text)
	forms := []string{
		m.text, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), url.QueryEscape(m.text), strings.Trim(quote(m.text), `"`),
		base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw),
	}
	for _, form := range forms {
		if bytes.Contains(haystack, []byte(form)) {
			return true
		}
	}
	return bytes.Contains(haystack, []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "=")))
}

// secretsOf signs in everywhere, and returns all that came of it which must not be found.
func secretsOf(s *server, f *findings) (markers []marker, answers []answer) {
	keep := func(what, text string) {
		if len(text) < 6 {
			f.addf("no %s to look for: %q", what, text)
			return
		}
		markers = append(markers, marker{what, text})
	}
	for i := range 12 {
		keep("password", fmt.Sprintf("marker-%02d under seven grey stones", i))
	}
	passwords := markers
	next := func() string { p := passwords[0].text; passwords = passwords[1:]; return p }
	at, right := s.from(owner), next()
	s.must(right+"\n", "account", "create", "--username", "ada", "--email", "ada@example.com", "--password-stdin")
	ask := func(a answer) answer { answers = append(answers, a); return a }
	for _, d := range doors {
		ask(d.login(at, "ada", next()))
		ask(d.login(at, "nobody", next()))
	}
	for _, d := range doors {
		p := at.signIn(d, "ada", right)
		keep(d.dialect+"'s token", p.token)
		ask(at.verify(p))
		ask(at.get("/ostiary/whoami", p.headers...))
		ask(at.get("/ostiary/verify", "Authorization", "Bearer "+p.token+"x"))
		ask(at.get("/ostiary/whoami?access_token="+p.token, "Cookie", "session="+p.token))
		if d.dialect == "cloudio" {
			keep("csrf", member(p.body, "csrf"))
		}
		if d.dialect == "senmo" {
			keep("id token", member(p.body, "tokens", "idToken"))
			keep("refresh token", p.refresh)
			again := at.refresh(p.refresh)
			keep("second refresh token", member(again.body, "tokens", "refreshToken"))
			p = passOf("senmo", again)
			changed := next()
			ask(at.post("/ostiary/password", object("current", right, "new", changed), p.headers...))
			right = changed
		}
	}
	key := s.enroll("ada")
	keep("TOTP secret", string(key.secret))
	a := mikrocloud.login(at, "ada", right)
	keep("ticket", member(a.body, "token"))
	ask(at.passport(member(a.body, "token"), key.wrong()))
	ask(at.passport(member(a.body, "token"), key.code(0)))
	for code := range strings.FieldsSeq(s.must("", "mfa", "recovery", "ada")) {
		keep("recovery code", code)
		ask(at.passport(at.ticket("ada", right), code+"x"))
	}
	secret := s.service("gateway", "--role", "ostiary:introspect")
	keep("service secret", secret)
	for _, name := range []string{"gateway", "ada"} {
		ask(at.post("/ostiary/introspect", "token="+url.QueryEscape(markers[13].text), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic "+pair(name, secret)))
	}
	return markers, answers
}

// stored are the files of the data directory that hold what was stored.
func stored(s *server) map[string][]byte {
	files := map[string][]byte{}
	entries, err := os.ReadDir(s.data)
	s.w.must(err)
	for _, e := range entries {
		if e.Name() == "master.key" || e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.data, e.Name()))
		s.w.must(err)
		files[e.Name()] = text
	}
	return files
}

func leakedSecrets(w *world) (string, error) {
	s := w.serve(`log_level = "debug"`, unlimited)
	var f findings
	markers, answers := secretsOf(s, &f)
	paths := []string{"/ostiary/openapi.json", "/.well-known/jwks.json", "/ostiary/healthz", "/ostiary/readyz", "/", "/ostiary/", "/debug/pprof/", "/debug/vars", "/metrics", "/ostiary.db"}
	for _, path := range paths {
		answers = append(answers, s.from(stranger).get(path), s.from(stranger).do(http.MethodTrace, path, "", "X-Echo", markers[0].text))
	}
	for _, a := range answers {
		text := fmt.Append(nil, a.header, a.body)
		for _, m := range markers {
			if m.in(text) {
				f.addf("an answer has a %s: %v", m.what, a)
			}
		}
		for _, never := range []string{"$argon2", "$2b$", "password_hash", "goroutine ", ".go:", "sqlite", "SELECT "} {
			if bytes.Contains(text, []byte(never)) {
				f.addf("an answer has %q: %v", never, a)
			}
		}
		if a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" {
			f.addf("an answer names the server: %v", a.header)
		}
		if a.status != 0 && a.header.Get("X-Content-Type-Options") != "nosniff" {
			f.addf("an answer without nosniff: %v %v", a, a.header)
		}
	}
	for _, args := range [][]string{{"account", "show", "ada", "--json"}, {"account", "list", "--json"}, {"session", "list", "--json"}, {"key", "list", "--json"}, {"audit", "list", "--json"}} {
		out := s.must("", args...)
		for _, m := range markers {
			if m.in([]byte(out)) {
				f.addf("ostiary %s has a %s", strings.Join(args, " "), m.what)
			}
		}
	}
	return fmt.Sprintf("%d markers (passwords, tokens, codes, keys) in none of %d answers, nor in the lists of the command line; no hash, no trace, no server's name", len(markers), len(answers)), f.err()
}

// hostileTexts are what a log could be rewritten with.
var hostileTexts = []string{
	"x\r\ntime=2030-01-01T00:00:00Z level=INFO msg=forged", "x\nlevel=ERROR msg=forged", "\x1b[2J\x1b[1;1Hforged", "\x1b]0;forged\x07", "forged\u2028forged",
	"\u202eforged", "x\x00forged", `" msg=forged x="`, `{"msg":"forged"}`, "%0d%0aforged", "\u0085forged", "\x9b2Jforged", strings.Repeat("A", 5000) + "forged",
}

func logInjection(w *world) (string, error) {
	var f findings
	var lines atomic.Int64
	formats := []string{"text", "json"}
	if !w.full {
		formats = formats[:1]
	}
	spread(formats, func(format string) {
		s := w.serve(`log_level = "debug"`, `log_format = "`+format+`"`, unlimited)
		markers, _ := secretsOf(s, &f)
		spread(hostileTexts, func(text string) {
			at := s.from(stranger)
			for _, d := range doors {
				d.login(at, text, markers[1].text)
				d.login(at, "ada", text[:min(len(text), 300)]) // a longer one is a longer wait
			}
			at.get("/" + url.PathEscape(text))
			at.get("/ostiary/verify?role="+url.QueryEscape(text), "Authorization", "Bearer x")
			at.passport(text, text)
			at.refresh(text)
			raw := strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(text)
			s.raw(stranger, head("GET /"+url.PathEscape(raw), "User-Agent: "+raw, "X-Forwarded-For: "+raw, "X-Original-Uri: /"+raw, "Authorization: Bearer "+raw, "Cookie: a="+raw, "Referer: "+raw)+"\r\n")
			s.raw(stranger, "GET /"+raw+" HTTP/1.1\r\nHost: "+raw+"\r\n\r\n")
			s.raw(stranger, text+"\r\n\r\n")
		})
		if err := s.process.Stop(); err != nil {
			f.addf("%v", err)
		}
		text := []byte(s.log())
		for _, m := range markers {
			if m.in(text) {
				f.addf("the %s log has a %s", format, m.what)
			}
		}
		for name, stored := range stored(s) {
			for _, m := range markers {
				if m.in(stored) {
					f.addf("%s has a %s", name, m.what)
				}
			}
		}
		lines.Add(int64(checkLines(&f, format, text)))
	})
	return fmt.Sprintf("%d hostile texts planted in names, paths, headers and bodies: %d log lines, none forged, no control; no secret in log, database or journal", len(formats)*len(hostileTexts), lines.Load()), f.err()
}

// checkLines sees that each line of a log is one that the server began, without controls.
func checkLines(f *findings, format string, text []byte) (lines int) {
	start := map[string]string{"text": "time=", "json": `{"time":`}[format]
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		lines++
		if !bytes.HasPrefix(line, []byte(start)) || bytes.HasPrefix(bytes.TrimLeft(line[len(start):], `"`), []byte("2030")) {
			f.addf("a line of the %s log begins otherwise: %.200q", format, line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e }); i >= 0 {
			f.addf("a line of the %s log has a control: %.200q", format, line)
		}
	}
	return lines
}
