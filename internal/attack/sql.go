package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

// injections are for SQL, and for what else could be behind a field.
var injections = []string{
	`'`, `"`, `\`, `')`, `";`, `' OR '1'='1`, `' OR 1=1 --`, `" OR ""="`, `admin'--`, `admin' #`, `') OR ('1'='1`, `ada' AND '1'='1`, `ada' AND '1'='2`,
	`' UNION SELECT NULL,NULL,NULL,NULL--`, `' UNION SELECT password_hash FROM account--`, `'; DROP TABLE account; --`, `'; UPDATE account SET disabled=0; --`,
	`' || (SELECT hex(randomblob(200000000))) || '`, `1; SELECT pg_sleep(10)--`, `' OR pg_sleep(10)--`, `'||(SELECT sqlite_version())||'`, `$1`, `:1`, `?`, `@p1`,
	`1 OR 1=1`, `-1`, `0x27`, `%27%20OR%201=1`, `ada%00' OR 1=1`, "ada\u02bc OR 1=1", `{"$gt":""}`, `*)(uid=*))(|(uid=*`, `${jndi:ldap://127.0.0.1/x}`,
	`{{7*7}}`, `../../../../etc/passwd`, `;id`, "`id`", `$(id)`, `<svg onload=alert(1)>`, `%s%s%s%n`, `ada' COLLATE NOCASE--`, `char(97,100,97)`,
}

// fields are where a text of an attacker's goes into the server.
func fields(v *visitor, live pass) map[string]func(text string) answer {
	bearer := live.headers
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic " + pair("gateway", "x")}
	return map[string]func(text string) answer{
		"cloudio, name":     func(t string) answer { return cloudio.login(v, t, passphrase) },
		"cloudio, password": func(t string) answer { return cloudio.login(v, "ada", t) },
		"cloudio, header":   func(t string) answer { return v.post("/v1/auth", "{}", "Authentication", "Token "+t) },
		"mikrocloud, email": func(t string) answer { return mikrocloud.login(v, t, passphrase) },
		"mikrocloud, pass":  func(t string) answer { return mikrocloud.login(v, "ada", t) },
		"passport, token":   func(t string) answer { return v.passport(t, "123456") },
		"passport, totp":    func(t string) answer { return v.passport("x", t) },
		"nomic, name":       func(t string) answer { return nomic.login(v, t, passphrase) },
		"nomic, password":   func(t string) answer { return nomic.login(v, "ada", t) },
		"nomic, bearer":     func(t string) answer { return v.post("/api/auth/token", "", "Authorization", "Bearer "+t) },
		"senmo, name":       func(t string) answer { return senmo.login(v, t, passphrase) },
		"senmo, password":   func(t string) answer { return senmo.login(v, "ada", t) },
		"refresh":           func(t string) answer { return v.refresh(t) },
		"verify, bearer":    func(t string) answer { return v.get("/ostiary/verify", "Authorization", "Bearer "+t) },
		"verify, csrf":      func(t string) answer { return v.get("/ostiary/verify", "Authorization", live.token, "X-CSRF-Token", t) },
		"verify, role":      func(t string) answer { return v.get("/ostiary/verify?role="+url.QueryEscape(t), bearer...) },
		"verify, source":    func(t string) answer { return v.get("/ostiary/verify?datasource="+url.QueryEscape(t), bearer...) },
		"verify, path":      func(t string) answer { return v.get("/ostiary/verify/"+url.PathEscape(t), "Authorization", "Bearer x") },
		"sessions, after":   func(t string) answer { return v.get("/ostiary/sessions?after="+url.QueryEscape(t), bearer...) },
		"sessions, id":      func(t string) answer { return v.do("DELETE", "/ostiary/sessions/"+url.PathEscape(t), "", bearer...) },
		"password, current": func(t string) answer {
			return v.post("/ostiary/password", object("current", t, "new", passphrase+"!"), bearer...)
		},
		"introspect, token": func(t string) answer { return v.post("/ostiary/introspect", "token="+url.QueryEscape(t), form...) },
		"introspect, name": func(t string) answer {
			return v.post("/ostiary/introspect", "token=x", "Content-Type", form[1], "Authorization", "Basic "+pair(t, "x"))
		},
		"user agent": func(t string) answer {
			return v.post("/v1/auth", object("username", "ada", "password", mistaken), "User-Agent", t)
		},
		"forwarded for": func(t string) answer {
			return v.post("/v1/auth", object("username", "ada", "password", mistaken), "X-Forwarded-For", t)
		},
		"host":   func(t string) answer { return v.get("/ostiary/verify", "X-Forwarded-Host", t, "X-Forwarded-Uri", t) },
		"cookie": func(t string) answer { return v.get("/ostiary/verify", "Cookie", "session="+t) },
	}
}

func injection(w *world) (string, error) {
	s := w.serve(unlimited)
	var f findings
	const mark = "marker-of-another-account"
	s.account("ada")
	s.must(passphrase+"\n", "account", "create", "--username", mark, "--password-stdin", "--display-name", mark)
	before := s.must("", "account", "list", "--json")
	at := s.from(stranger)
	live := at.signIn(cloudio, "ada", passphrase)
	all, asked := fields(at, live), 0
	for name, ask := range all {
		normal := ask("nothing-special")
		for _, text := range injections {
			if strings.ContainsAny(text, "\x00") {
				continue
			}
			a := ask(text)
			if asked++; a.status == 0 || a.status >= 500 || a.status == 200 && normal.status != 200 || a.status == 204 {
				f.addf("%s: %s answers %v, where it is %d", name, text, a, normal.status)
			}
			if bytes.Contains(fmt.Append(nil, a.header, a.body), []byte(mark)) {
				f.addf("%s: %s answers with another's account: %v", name, text, a)
			}
			if w.slower(a.took, 3*time.Second) {
				f.addf("%s: %s takes %v", name, text, a.took)
			}
		}
	}
	for _, args := range [][]string{{"account", "show"}, {"account", "disable"}, {"mfa", "reset"}, {"session", "revoke", "--account"}, {"audit", "list", "--kind"}} {
		for _, text := range injections {
			if strings.HasPrefix(text, "-") {
				continue
			}
			out, errOut, status := s.command("", append(args, text)...)
			if strings.Contains(out, mark) || strings.Contains(errOut, "SQL") || status > 2 {
				f.addf("ostiary %s %s: %d %s%s", strings.Join(args, " "), text, status, out, errOut)
			}
		}
	}
	tool, err := sqlmap(w, s)
	if err != nil {
		f.addf("%v", err)
	}
	if after := s.must("", "account", "list", "--json"); after != before {
		f.addf("the accounts changed:\n%s%s", before, after)
	}
	if strings.Contains(s.log(), "code=internal") {
		f.addf("something went wrong inside: see the log")
	}
	f.want("a login after it all", nomic.login(at, "ada", passphrase), 200)
	return fmt.Sprintf("%d payloads in %d places over HTTP: nothing let in, shown or changed; %s", asked, len(all), tool), f.err()
}

var injectable = regexp.MustCompile(`(?i)is vulnerable|appears to be .* injectable|identified the following injection`)

// sqlmap has Debian's sqlmap try two bodies and a query for a while, if it is installed.
func sqlmap(w *world, s *server) (figure string, err error) {
	program, err := exec.LookPath("sqlmap")
	if err != nil {
		return "sqlmap is not installed", nil
	}
	home, requests := w.newDir(), 0
	targets := [][]string{
		{"-u", "http://" + s.address + "/v1/auth", "--data", object("username", "ada", "password", "x")},
		{"-u", "http://" + s.address + "/user/passport", "--data", object("token", "x", "totp", "123456")},
		{"-u", "http://" + s.address + "/ostiary/verify?role=a"},
	}
	for _, target := range targets {
		ctx, cancel := context.WithTimeout(w.ctx, 12*time.Second)
		args := append(target, "--batch", "--level=1", "--risk=1", "--technique=BEU", "--threads=8", "--ignore-code=400,401,403", "--timeout=5", "--retries=0",
			"--flush-session", "--disable-coloring", "--skip-heuristics", "--output-dir="+home)
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env, cmd.WaitDelay = append(processtest.Environment(), "HOME="+home, "XDG_DATA_HOME="+home, "TMPDIR="+home), time.Second
		before := strings.Count(s.log(), "msg=request")
		out, runErr := cmd.CombinedOutput()
		late := ctx.Err() != nil
		cancel()
		requests += strings.Count(s.log(), "msg=request") - before
		if found := injectable.Find(out); found != nil {
			return "", fmt.Errorf("sqlmap: %s: %s", target[1], found)
		}
		var failed *exec.ExitError
		if runErr != nil && !late && !errors.As(runErr, &failed) {
			return "", fmt.Errorf("sqlmap: %w", runErr)
		}
	}
	return fmt.Sprintf("sqlmap, %d requests: nothing injectable", requests), nil
}
