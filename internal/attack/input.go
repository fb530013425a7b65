package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

func truncatedPassword(w *world) (string, error) {
	s := w.serve(unlimited)
	at := s.from(stranger)
	var f findings
	random := rand.New(rand.NewPCG(9, 9))
	letters := make([]byte, 1000)
	for i := range letters {
		letters[i] = byte('!' + random.IntN('~'-'!'))
	}
	long, pairs := string(letters), 0
	type turn struct {
		d              door
		name, password string
		status         int
	}
	var turns []turn
	for i, position := range []int{72, 128, 255, 511, 999} {
		name := fmt.Sprintf("%d%s", i, strings.Repeat("x", 59))
		if out, errOut, status := s.command(long[:position+1]+"\n", "account", "create", "--username", name, "--password-stdin"); status != 0 {
			f.addf("a password of %d characters: %s%s", position+1, out, errOut)
			continue
		}
		other := long[:position] + "#"
		for _, d := range doors {
			turns = append(turns, turn{d, name, long[:position+1], 200}, turn{d, name, other, d.failed}, turn{d, name, long[:position], d.failed})
			pairs++
		}
	}
	spread(turns, func(t turn) {
		f.want(fmt.Sprintf("%d characters, the last %q, at %s", len(t.password), t.password[len(t.password)-1:], t.d.dialect), t.d.login(at, t.name, t.password), t.status)
	})
	// bcrypt itself knows 72 bytes and no more.
	s.must("", "account", "create", "--username", "imported", "--password-hash", bcryptOf72)
	f.want("72 bytes of an imported hash", nomic.login(at, "imported", strings.Repeat("a", 72)), 200)
	s.must("", "account", "create", "--username", "imported-too", "--password-hash", bcryptOf72)
	for _, tail := range []string{"b", "a", "\x00", "aaaaaaa"} {
		f.want(fmt.Sprintf("72 bytes and %q", tail), nomic.login(at, "imported-too", strings.Repeat("a", 72)+tail), 403)
	}
	return fmt.Sprintf("%d pairs that differ at byte 73 to 1,000 alone, under a username of 60; bcrypt takes no 73rd byte", pairs), f.err()
}

// bcryptOf72 is of 72 times the letter a.
const bcryptOf72 = "$2a$04$lhTCm8kIvBk4EzFqITUVCutGWjRogXkAKJCwyKXkzi/ZZjk4oHbem"

func longPassword(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	var f findings
	slowest := time.Duration(0)
	for _, size := range []int{1 << 20, 10 << 20} {
		password := strings.Repeat("x", size)
		requests := map[string]string{
			"cloudio":    head("POST /v1/auth", "Authorization: Token "+pair("ada", password)) + "\r\n",
			"nomic":      head("POST /api/auth/token", "Authorization: Basic "+pair("ada", password)) + "\r\n",
			"mikrocloud": framed("POST /user/login", `{"email":"ada","password":"`+password+`"}`),
			"senmo":      framed("POST /v1/auth", `{"username":"ada","password":"`+password+`"}`),
			"password":   framed("POST /ostiary/password", `{"current":"x","new":"`+password+`"}`, "Authorization: Bearer x"),
		}
		for name, text := range requests {
			a := s.raw(stranger, text)
			f.want(fmt.Sprintf("%d MB at %s", size>>20, name), a, 400, 413, 431, 401)
			slowest = max(slowest, a.took)
			if w.slower(a.took, 50*time.Millisecond) {
				f.addf("%d MB at %s: answered in %v", size>>20, name, a.took)
			}
		}
	}
	// The longest that are taken are refused before they are hashed, too.
	spread(doors, func(d door) {
		f.want("60 kB at "+d.dialect, d.login(s.from(stranger), "ada", strings.Repeat("x", 60_000)), d.failed, 431, 413)
	})
	return fmt.Sprintf("1 and 10 MB at five doors: refused, the slowest in %.1f ms", ms(slowest)), f.err()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func hostileHash(w *world) (string, error) {
	s := w.serve()
	salt, tag := "c29tZXNhbHRzb21lc2FsdA", strings.Repeat("A", 43)
	hashes := []string{
		"$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=65536,t=1,p=0$" + salt + "$" + tag,
		"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=65536,t=4294967295,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=65536,t=1,p=1$!!!!$" + tag, "$argon2id$v=19$m=65536,t=1,p=1$" + salt + "$",
		"$argon2id$v=19$m=-1,t=1,p=1$" + salt + "$" + tag, "$argon2id$v=99$m=65536,t=1,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=65536,t=1,p=1,m=1$" + salt + "$" + tag, "$argon2id$", "$2b$31$" + strings.Repeat("a", 53), "$2b$99$x",
		"$pbkdf2-sha256$i=999999999$" + salt + "$" + tag, "$6$rounds=999999999$saltsalt$" + tag, "$scrypt$ln=62,r=8,p=1$" + salt + "$" + tag,
		"plain", "$", "$1$salt$hash", strings.Repeat("$", 100_000),
	}
	var f findings
	for i, hash := range hashes {
		if _, errOut, status := s.command("", "account", "create", "--username", fmt.Sprintf("user%d", i), "--password-hash", hash); status != 1 && status != 2 {
			f.addf("%.60q is taken: %d %s", hash, status, errOut)
		} else if strings.Count(errOut, "\n") != 1 || strings.Contains(errOut, salt) {
			f.addf("%.60q: %q", hash, errOut)
		}
	}
	s.account("ada")
	f.want("a login after it all", nomic.login(s.from(owner), "ada", passphrase), 200)
	return fmt.Sprintf("%d hostile hashes refused in one line each; the server lives", len(hashes)), f.err()
}

func invalidText(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	at := s.from(stranger)
	bodies := map[string]string{
		"/v1/auth":              `{"username":"%s","password":"%s"}`,
		"/user/login":           `{"email":"%s","password":"%s"}`,
		"/user/passport":        `{"token":"%s","totp":"%s"}`,
		"/v1/auth/refreshtoken": `{"refreshtoken":"%s","x":"%s"}`,
	}
	var f findings
	var asks []func()
	ask := func(what string, send func() answer, statuses ...int) {
		asks = append(asks, func() { f.want(what, send(), statuses...) })
	}
	for _, bad := range []string{`\ud800`, `\udfff`, `\udc00\ud800`, "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"} {
		for path, form := range bodies {
			for _, body := range []string{fmt.Sprintf(form, bad, "x"), fmt.Sprintf(form, "ada", bad), fmt.Sprintf(form, "ada", passphrase) + bad} {
				ask(fmt.Sprintf("%q at %s", bad, path), func() answer { return at.post(path, body) }, 400)
			}
		}
	}
	for _, name := range []string{"a\x00da", "ada\x00", "\x00", "ada\x7f", "ada\x1b[0m", "\u202eada", strings.Repeat("a\u0301", 500)} {
		for _, d := range doors {
			ask(fmt.Sprintf("the name %.20q at %s", name, d.dialect), func() answer { return d.login(at, name, passphrase) }, d.failed)
			ask(fmt.Sprintf("the password %.20q at %s", name, d.dialect), func() answer { return d.login(at, "ada", name) }, d.failed)
		}
	}
	for scheme, path := range map[string]string{"Token ": "/v1/auth", "Basic ": "/api/auth/token"} {
		for _, value := range []string{"/////w==", "!!!!", "YWRh", pair("ada", "\xff\xfe\x00"), pair("\xff", ""), "=", ""} {
			ask(scheme+value, func() answer { return at.post(path, "", "Authorization", scheme+value) }, 403)
		}
	}
	spread(asks, func(ask func()) { ask() })
	f.want("a login after it all", nomic.login(at, "ada", passphrase), 200)
	return fmt.Sprintf("%d requests with surrogates, invalid UTF-8, NUL and controls: 400 or a failed login, never 500", len(asks)), f.err()
}

func jsonTricks(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	at, good := s.from(stranger), quote(passphrase)
	var f findings
	asked := 0
	for path, name := range map[string]string{"/v1/auth": "username", "/user/login": "email"} {
		right := `"` + name + `":"ada","password":` + good
		for _, body := range []string{
			`{` + right + `,"password":` + good + `}`, `{"password":"x",` + right + `}`, `{"` + name + `":"eve",` + right + `}`,
			`{` + right + `,"x":1,"x":2}`, `{` + right + `}{}`, `{` + right + `} x`, `{` + right + `}]`, `[{` + right + `}]`,
			`{"` + name + `":"ada","password":-1}`, `{"` + name + `":"ada","password":9223372036854775808}`, `{"` + name + `":"ada","password":1e309}`,
			`{"` + name + `":["ada"],"password":` + good + `}`, `{"` + name + `":{"$ne":null},"password":` + good + `}`, `{"` + name + `":true,"password":` + good + `}`,
			`{` + right + `,}`, `{` + right + `,"x":01}`, `{` + right + `,"x":NaN}`, `{'` + name + `':'ada'}`, `{` + right, `null`, `"ada"`, `1`,
			"\ufeff{" + right + "}", `{` + right + `,"x":"` + "\n" + `"}`, `{` + right + `} // x`, `{"` + name + `":"ada","pa\u017fsword":` + good + `}`,
			`{"` + strings.ToUpper(name) + `":"ada","password":` + good + `}`, `{"` + name + `":"ada","PASSWORD":` + good + `}`, `{"` + name + `":"ada","pa` + "\u017f" + `sword":` + good + `}`,
			`{"` + name + `":"ada","password":null}`, `{"` + name + `":null,"password":` + good + `}`,
		} {
			if a := at.post(path, body); f.want(fmt.Sprintf("%s at %s", body, path), a, 400) && strings.Contains(a.body, passphrase) {
				f.addf("the answer repeats the password: %v", a)
			}
			asked++
		}
		f.want("the same name escaped", at.post(path, `{"`+name+`":"\u0061da","p\u0061ssword":`+good+`}`), 200)
	}
	return fmt.Sprintf("%d bodies with doubled names, other cases, trailing data and wrong types: none signs in", asked), f.err()
}

func jsonComplexity(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	at := s.from(stranger)
	at.signIn(senmo, "ada", passphrase)
	before := s.resident()
	deep := strings.Repeat(`{"x":`, 100_000)
	var some strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&some, `"%d":0,`, i)
	}
	keys := strings.Repeat(some.String(), 1000)
	bodies := []string{
		deep, strings.Repeat("[", 100_000), `{"x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + "}", strings.Repeat(`{"x":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"{" + keys + `"z":0}`, `{"x":` + strings.Repeat("9", 60_000) + "}", `{"x":1e` + strings.Repeat("9", 60_000) + "}", strings.Repeat(" ", 10<<20),
		`{"x":"` + strings.Repeat(`\u0000`, 10_000) + `"}`,
	}
	var f findings
	slowest, asked := time.Duration(0), 0
	for i, body := range bodies {
		for _, path := range []string{"/v1/auth", "/user/login", "/user/passport", "/v1/auth/refreshtoken", "/ostiary/password"} {
			a := s.raw(stranger, framed("POST "+path, body))
			f.want(fmt.Sprintf("body %d at %s", i, path), a, 400, 413, 401)
			slowest = max(slowest, a.took)
			asked++
		}
	}
	atOnce(30, func(i int) { s.raw(source(i), framed("POST /v1/auth", bodies[i%len(bodies)])) })
	after := s.resident()
	if after > before+60 {
		f.addf("memory grew from %.0f to %.0f MB", before, after)
	}
	if w.slower(slowest, 500*time.Millisecond) {
		f.addf("an answer took %v", slowest)
	}
	f.want("a login after it all", nomic.login(at, "ada", passphrase), 200)
	return fmt.Sprintf("depth 10^5, 10^6 names and more, %d requests, then 30 at once: memory from %.0f to %.0f MB, slowest %.0f ms", asked, before, after, ms(slowest)), f.err()
}
