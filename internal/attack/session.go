package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crossedKinds takes every kind of credential to every door that is not its own.
func crossedKinds(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	secret := s.service("gateway", "--role", "ostiary:introspect", "--role", "ostiary:revoke")
	at := s.from(owner)
	web, opaque, game, app := at.signIn(cloudio, "ada", passphrase), at.signIn(mikrocloud, "ada", passphrase), at.signIn(nomic, "ada", passphrase), at.signIn(senmo, "ada", passphrase)
	kinds := map[string]string{
		"cloudio's jwt": web.token, "csrf": web.headers[3], "cloudio's session id": member(web.body, "sessionId"), "auth_token": opaque.token, "nomic's token": game.token,
		"access token": app.token, "id token": member(app.body, "tokens", "idToken"), "refresh token": app.refresh, "ticket": at.ticket("ada", passphrase), "service secret": secret,
		"password": passphrase, "name and password": pair("ada", passphrase), "nothing": "", "a word": "null",
	}
	own := map[string][]string{ // the doors where a kind is at home
		"auth_token": {"verify", "whoami", "sessions"}, "nomic's token": {"verify", "whoami", "sessions", "nomic"}, "access token": {"verify", "whoami", "sessions"},
		"refresh token": {"refresh"}, "ticket": {"passport"},
	}
	var f findings
	var asked atomic.Int32
	spread(slices.Collect(maps.Keys(kinds)), func(kind string) {
		text := kinds[kind]
		bearer := []string{"Authorization", "Bearer " + text}
		asks := map[string]func() answer{
			"verify":   func() answer { return at.get("/ostiary/verify", bearer...) },
			"whoami":   func() answer { return at.get("/ostiary/whoami", bearer...) },
			"sessions": func() answer { return at.get("/ostiary/sessions", bearer...) },
			"nomic":    func() answer { return at.post("/api/auth/token", "", bearer...) },
			"refresh":  func() answer { return at.refresh(text) },
			"passport": func() answer { return at.passport(text, "") },
			"query":    func() answer { return at.get("/ostiary/verify?access_token=" + text) },
			"cookie": func() answer {
				return at.get("/ostiary/verify", "Cookie", "session="+text+"; token="+text+"; jwt="+text)
			},
			"assertion":     func() answer { return at.get("/ostiary/verify", "Ostiary-Assertion", text) },
			"with its csrf": func() answer { return at.get("/ostiary/verify", append(bearer, "X-CSRF-Token", text)...) },
			"introspection": func() answer {
				return at.post("/ostiary/introspect", "token="+text, append(bearer, "Content-Type", "application/x-www-form-urlencoded")...)
			},
			"as a password": func() answer {
				if kind == "password" {
					return answer{status: 400}
				}
				return senmo.login(at, "ada", text)
			},
		}
		for name, ask := range asks {
			home := false
			for _, door := range own[kind] {
				home = home || door == name || door == "verify" && name == "with its csrf"
			}
			if a := ask(); !home {
				asked.Add(1)
				f.want(fmt.Sprintf("%s at %s", kind, name), a, 400, 401, 403)
			}
		}
	})
	return fmt.Sprintf("%d kinds of credential at %d doors that are not theirs: all refused", len(kinds), asked.Load()), f.err()
}

func refreshRace(w *world) (string, error) {
	const many = 100
	s := w.serve()
	s.account("ada")
	at := s.from(owner)
	first := at.signIn(senmo, "ada", passphrase).refresh
	var f findings
	var mu sync.Mutex
	successors := map[string]int{}
	atOnce(many, func(int) {
		if a := at.refresh(first); f.want("a parallel refresh", a, 200) {
			mu.Lock()
			successors[member(a.body, "tokens", "refreshToken")]++
			mu.Unlock()
		}
	})
	if len(successors) != 1 {
		f.addf("%d successors", len(successors))
	}
	for second := range successors {
		third := at.refresh(second)
		f.want("the successor", third, 200)
		f.want("a retry of it", at.refresh(second), 200)
		live := member(third.body, "tokens", "refreshToken")
		f.want("the grandparent, which is theft", at.refresh(first), 400)
		f.want("the chain after a theft", at.refresh(live), 400)
		f.want("its access token", at.verify(passOf("senmo", third)), 401)
	}
	return fmt.Sprintf("%d parallel refreshes of one token: %d successor; an honest retry gets it again, a grandparent ends the session", many, len(successors)), f.err()
}

// outlived uses every credential after what should have ended it.
func outlived(w *world) (string, error) {
	s := w.serve(unlimited)
	ends := map[string][]string{
		"disabled": {"account", "disable"}, "deleted": {"account", "delete"}, "revoked": {"session", "revoke", "--account"}, "with a new password": {"account", "set-password"},
		"with a new factor": {"mfa", "confirm"},
	}
	var f findings
	asked := 0
	for what, args := range ends {
		name := "user-" + args[len(args)-1]
		name = strings.ReplaceAll(name, "--", "")
		s.account(name)
		at := s.from(owner)
		var passes []pass
		for _, d := range doors {
			passes = append(passes, at.signIn(d, name, passphrase))
		}
		ticket := at.ticket(name, passphrase)
		for _, p := range passes {
			f.want(what+", before, "+p.dialect, at.verify(p), 200)
		}
		switch what {
		case "with a new factor":
			s.factor(name)
		case "with a new password":
			s.must("a new sentence for a new day\n", append(args, name, "--password-stdin")...)
		default:
			s.must("", append(args, name)...)
		}
		ended := time.Now()
		for _, p := range passes {
			a := at.verify(p)
			for a.status == 200 && time.Since(ended) < 6*time.Second {
				time.Sleep(50 * time.Millisecond)
				a = at.verify(p)
			}
			f.want(fmt.Sprintf("an account %s, %s's token after %v", what, p.dialect, time.Since(ended)), a, 401)
			asked++
		}
		f.want(what+": renewal", at.post("/api/auth/token", "", passes[2].headers...), 403)
		f.want(what+": refresh", at.refresh(passes[3].refresh), 400)
		if what != "revoked" {
			f.want(what+": ticket", at.passport(ticket, ""), 401)
		}
		asked += 3
	}
	return fmt.Sprintf("%d credentials of four dialects after disable, delete, revoke, new password and new factor: all dead within 5 s", asked), f.err()
}

// planted sends what a browser could be made to send.
func planted(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	s.account("eve")
	at := s.from(stranger)
	victim, own := at.signIn(cloudio, "ada", passphrase), at.signIn(cloudio, "eve", passphrase)
	jwt, csrf := victim.token, victim.headers[3]
	var f findings
	for what, headers := range map[string][]string{
		"no csrf":            {"Authorization", jwt},
		"an empty csrf":      {"Authorization", jwt, "X-CSRF-Token", ""},
		"another's csrf":     {"Authorization", jwt, "X-CSRF-Token", own.headers[3]},
		"csrf in a cookie":   {"Authorization", jwt, "Cookie", "csrf=" + csrf + "; X-CSRF-Token=" + csrf},
		"all in cookies":     {"Cookie", "jwt=" + jwt + "; Authorization=" + jwt + "; csrf=" + csrf, "X-CSRF-Token", csrf},
		"the jwt as csrf":    {"Authorization", jwt, "X-CSRF-Token", jwt},
		"csrf in other case": {"Authorization", jwt, "X-CSRF-Token", strings.ToUpper(csrf)},
	} {
		f.want(what, at.get("/ostiary/verify", headers...), 401)
		f.want(what+", logout", at.post("/ostiary/logout", "", headers...), 401)
	}
	body := object("username", "ada", "password", passphrase)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		f.want("a login as "+kind, at.post("/v1/auth", body, "Content-Type", kind), 415)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD"} {
		for _, path := range []string{"/v1/auth", "/user/login", "/user/passport", "/api/auth/token", "/v1/auth/refreshtoken", "/ostiary/logout", "/ostiary/password"} {
			a := at.do(method, path, "", append(victim.headers, "X-HTTP-Method-Override", "POST", "X-HTTP-Method", "POST")...)
			if f.want(method+" "+path, a, 405) && a.header.Get("Allow") == "" {
				f.addf("%s %s: 405 without Allow", method, path)
			}
		}
	}
	for _, origin := range []string{"null", "https://evil.example", "http://127.0.0.1"} {
		for _, a := range []answer{at.post("/v1/auth", body, "Origin", origin), at.do("OPTIONS", "/v1/auth", "", "Origin", origin, "Access-Control-Request-Method", "POST")} {
			if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Set-Cookie") != "" {
				f.addf("origin %s: %v", origin, a.header)
			}
		}
	}
	f.want("the victim's session after it all", at.verify(victim), 200)
	return "7 ways to do without the csrf, 3 forms of browsers, 35 other methods, 3 origins: nothing is accepted, nothing allowed", f.err()
}

// oddCookies sends what no client would, and planted sessions.
func oddCookies(w *world) (string, error) {
	const many = 10_000
	s := w.serve()
	s.account("ada")
	at := s.from(stranger)
	token := at.signIn(mikrocloud, "ada", passphrase).token
	names := []string{"session", "token", "auth_token", "jwt", "Authorization", "__Host-session", "csrf", "", " ", "=", ";", "\xff"}
	var f findings
	var next atomic.Int32
	atOnce(8, func(int) {
		random := rand.New(rand.NewPCG(uint64(next.Add(1)), 60))
		for range many / 8 {
			var b strings.Builder
			for range 1 + random.IntN(4) {
				value := []byte(token)
				for range random.IntN(6) {
					value[random.IntN(len(value))] = byte(' ' + random.IntN(95))
				}
				fmt.Fprintf(&b, "%s=%s; ", names[random.IntN(len(names))], value)
			}
			f.want("a cookie", at.get("/ostiary/verify", "Cookie", strings.ReplaceAll(b.String(), "\xff", "")), 401)
		}
	})
	return fmt.Sprintf("%d odd cookies, many with a live token: never but 401", many), f.err()
}

// abortedQueries has two people read what is theirs, and go away in the middle.
func abortedQueries(w *world) (string, error) {
	const many = 10_000
	s := w.serve(unlimited)
	var f findings
	var aborted, read atomic.Int32
	people := []string{"ada", "grace"}
	passes := map[string]pass{}
	for _, name := range people {
		s.account(name)
		passes[name] = s.from(owner).signIn(mikrocloud, name, passphrase)
	}
	end := time.Now().Add(15 * time.Second)
	atOnce(16, func(i int) {
		name, v := people[i%2], s.from(source(i))
		for range many / 16 {
			if time.Now().After(end) {
				return
			}
			ctx, cancel := context.WithTimeout(w.ctx, time.Duration(50+rand.IntN(1500))*time.Microsecond)
			path := []string{"/ostiary/whoami", "/ostiary/sessions"}[rand.IntN(2)]
			a := v.doUntil(ctx, "GET", path, "", passes[name].headers...)
			cancel()
			switch {
			case a.status == 0:
				aborted.Add(1)
			case a.status != 200 || path == "/ostiary/whoami" && member(a.body, "username") != name:
				f.addf("%s reads %v", name, a)
			default:
				read.Add(1)
			}
		}
	})
	for _, name := range people {
		if a := s.from(owner).get("/ostiary/whoami", passes[name].headers...); member(a.body, "username") != name {
			f.addf("%s is %v", name, a)
		}
	}
	return fmt.Sprintf("%d requests given up in the middle, %d answered: nobody read another's data", aborted.Load(), read.Load()), f.err()
}
