package main

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/totp"
)

// authenticator is the app with somebody's second factor.
type authenticator struct{ secret []byte }

// code is the code so many steps of 30 s from now.
func (a authenticator) code(steps int64) string {
	return totp.Code(a.secret, totp.Step(time.Now())+steps)
}

// wrong is a code that is none now, nor in the steps around.
func (a authenticator) wrong() string {
	for i := 0; ; i++ {
		code := fmt.Sprintf("%06d", i*7919%1_000_000)
		near := false
		for step := int64(-4); step <= 4; step++ {
			near = near || a.code(step) == code
		}
		if !near {
			return code
		}
	}
}

// enroll starts an enrolment by the command line.
func (s *server) enroll(name string) authenticator {
	line, _, _ := strings.Cut(s.must("", "mfa", "enroll", name), "\n")
	uri, err := url.Parse(line)
	s.w.must(err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
	s.w.must(err)
	return authenticator{secret}
}

// factor gives an account a second factor, confirmed by the code of the step before, so
// that the present one is still good.
func (s *server) factor(name string) authenticator {
	a := s.enroll(name)
	s.must("", "mfa", "confirm", name, "--code", a.code(-1))
	return a
}

func replayedCode(w *world) (string, error) {
	many := w.crowd(50)
	s := w.serve("guess_factor = 0", appending)
	s.account("joan")
	key, at := s.factor("joan"), s.from(owner)
	var f findings
	tickets := make([]string, many)
	for i := range tickets {
		tickets[i] = at.ticket("joan", passphrase)
	}
	code := key.code(0)
	var passed atomic.Int32
	atOnce(many, func(i int) {
		if a := at.passport(tickets[i], code); f.want("the same code", a, 200, 401) && a.status == 200 {
			passed.Add(1)
		}
	})
	if n := passed.Load(); n != 1 {
		f.addf("one code passed %d times", n)
	}
	f.want("the code again", at.passport(at.ticket("joan", passphrase), code), 401)
	f.want("the code at another door", nomic.login(at, "joan", passphrase+code), 403)
	s.crash()
	at = s.from(owner)
	f.want("the code after a crash", at.passport(at.ticket("joan", passphrase), code), 401)
	w.must(s.process.Stop())
	s.start()
	at = s.from(owner)
	f.want("the code after a restart", at.passport(at.ticket("joan", passphrase), code), 401)
	f.want("an earlier code", at.passport(at.ticket("joan", passphrase), key.code(-1)), 401)
	f.want("the next code", at.passport(at.ticket("joan", passphrase), key.code(1)), 200)
	return fmt.Sprintf("%d parallel uses of one code: %d passed; none later, at another door, after SIGKILL or a restart", many, passed.Load()), f.err()
}

// appending has a mount that takes the code after the password.
const appending = `[[mount]]
dialect = "mikrocloud"
[[mount]]
dialect = "nomic"
mfa = "append"`

func guessedCode(w *world) (string, error) {
	s := w.serve()
	s.account("joan")
	s.account("mary")
	key, at := s.factor("joan"), s.from(owner)
	var f findings
	const sessions = 6
	var evaluated atomic.Int32
	tickets := make([]string, sessions+1)
	for i := range tickets {
		tickets[i] = at.ticket("joan", passphrase)
	}
	wrong := key.wrong()
	atOnce(sessions, func(i int) {
		for range 5 {
			if a := at.passport(tickets[i], wrong); f.want("a wrong code", a, 401, 429) && a.status == 401 {
				evaluated.Add(1)
			}
		}
	})
	if n := evaluated.Load(); n > 10 {
		f.addf("%d wrong codes evaluated, not 10", n)
	}
	f.want("the right code past the limit", at.passport(tickets[sessions], key.code(0)), 429)

	other := s.factor("mary")
	ask := func(step int64) int { return at.passport(at.ticket("mary", passphrase), other.code(step)).status }
	w.awaitStep(5 * time.Second)
	for _, step := range []int64{-3, -2, 2, 3} {
		if got := ask(step); got != 401 {
			f.addf("a code %+d s off: %d", step*30, got)
		}
	}
	for _, step := range []int64{0, 1} { // the one before confirmed the enrolment
		if got := ask(step); got != 200 {
			f.addf("a code %+d s off: %d", step*30, got)
		}
	}
	return fmt.Sprintf("%d wrong codes evaluated over %d parallel sessions, then the right one refused; ±60 and ±90 s refused", evaluated.Load(), sessions), f.err()
}

// awaitStep waits until the time step of codes will last for some while.
func (w *world) awaitStep(left time.Duration) {
	now := time.Now()
	if next := now.Truncate(totp.Period).Add(totp.Period); next.Sub(now) < left {
		time.Sleep(next.Sub(now))
	}
}

func spelledCode(w *world) (string, error) {
	s := w.serve("guess_factor = 0")
	s.account("joan")
	key, at := s.factor("joan"), s.from(owner)
	w.awaitStep(5 * time.Second)
	code := key.code(0)
	wide := strings.Map(func(r rune) rune { return r - '0' + '\uff10' }, code)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '\u0660' }, code)
	spellings := []string{
		" " + code, code + " ", code + "\n", "\u00a0" + code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:],
		wide, arabic, code[:5], code + "0", "0" + code, "+" + code, code + "\x00", code + "\u200b", "0x" + code,
	}
	var f findings
	for _, text := range spellings {
		f.want(fmt.Sprintf("the code spelled %q", text), at.passport(at.ticket("joan", passphrase), text), 401, 400)
	}
	raw := []string{code, "[" + quote(code) + "]", `{"code":` + quote(code) + `}`, "true", code + ".0", code + "e0"}
	for _, value := range raw {
		body := fmt.Sprintf(`{"totp":%s,"token":%q}`, value, at.ticket("joan", passphrase))
		f.want("the code as "+value, at.post("/user/passport", body), 400)
	}
	f.want("the code itself", at.passport(at.ticket("joan", passphrase), key.code(0)), 200)
	return fmt.Sprintf("%d spellings refused, and none spends the code", len(spellings)+len(raw)), f.err()
}

func recoveryRace(w *world) (string, error) {
	many := w.crowd(50)
	s := w.serve("guess_factor = 0")
	s.account("joan")
	key, at := s.factor("joan"), s.from(owner)
	codes := strings.Fields(s.must("", "mfa", "recovery", "joan"))
	tickets := make([]string, many)
	for i := range tickets {
		tickets[i] = at.ticket("joan", passphrase)
	}
	var f findings
	var passed, together atomic.Int32
	atOnce(many, func(i int) {
		spelled := []string{codes[0], strings.ToLower(codes[0]), strings.ReplaceAll(codes[0], "-", "")}[i%3]
		if a := at.passport(tickets[i], spelled); f.want("a recovery code", a, 200, 401) && a.status == 200 {
			passed.Add(1)
		}
	})
	ticket := at.ticket("joan", passphrase)
	proofs := []string{codes[1], key.code(0)}
	atOnce(20, func(i int) {
		if a := at.passport(ticket, proofs[i%2]); f.want("one ticket", a, 200, 401) && a.status == 200 {
			together.Add(1)
		}
	})
	if passed.Load() != 1 || together.Load() != 1 {
		f.addf("one code passed %d times, one ticket %d times", passed.Load(), together.Load())
	}
	return fmt.Sprintf("%d parallel uses of one recovery code: %d passed; one ticket with a code and a recovery code at once: %d", many, passed.Load(), together.Load()), f.err()
}
