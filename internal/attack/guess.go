package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// unlimited are budgets for attacks on something else.
const unlimited = `guess_account = 0
guess_known = 0
guess_source = 0
guess_factor = 0`

// slowly are budgets whose delay lasts longer than an attack, so that what is evaluated
// does not depend on how long the attack takes.
const slowly = `guess_delay = "10m"
guess_delay_max = "15m"`

// source is one of many addresses.
func source(i int) string { return fmt.Sprintf("127.0.1.%d", 1+i%250) }

// guesses counts what became of guesses.
type guesses struct {
	evaluated, limited atomic.Int32
	findings
}

// take counts the answer to one guess at a door.
func (g *guesses) take(d door, a answer) {
	switch {
	case a.status == d.failed:
		g.evaluated.Add(1)
	case a.status == 429 && a.header.Get("Retry-After") != "":
		g.limited.Add(1)
	default:
		g.addf("a wrong password at %s: %v", d.dialect, a)
	}
}

// guessUntilLimited guesses from a source until it must wait, and returns how many
// guesses were evaluated.
func (g *guesses) guessUntilLimited(v *visitor, d door, name string) {
	for range 300 {
		a := d.login(v, name, mistaken)
		g.take(d, a)
		if a.status != d.failed {
			return
		}
	}
	g.addf("%s: 300 guesses and no limit", name)
}

func parallelGuesses(w *world) (string, error) {
	const many, free = 200, 5
	s := w.serve(slowly)
	s.account("ada")
	visitors := make([]*visitor, many)
	for i := range visitors {
		visitors[i] = s.from(source(i))
	}
	var g guesses
	atOnce(many, func(i int) {
		d := doors[i%len(doors)]
		g.take(d, d.login(visitors[i], "ada", fmt.Sprintf("%s %d", mistaken, i)))
	})
	if n := g.evaluated.Load(); n > free {
		g.addf("%d guesses evaluated, not %d", n, free)
	}
	for _, d := range doors {
		g.want("the right password of a stranger, at "+d.dialect, d.login(s.from(stranger), "ada", passphrase), 429)
	}
	return fmt.Sprintf("%d at once from %d addresses at four doors: %d evaluated, %d told to wait, and then the right password too",
		many, many, g.evaluated.Load(), g.limited.Load()), g.err()
}

func aliases(w *world) (string, error) {
	s := w.serve(slowly)
	s.account("ada", "--email", "ada@example.com")
	s.account("zo\u00eb")
	of := map[string][]string{
		"ada": {"ada", "ADA", "aDa", "ada@example.com", "ADA@EXAMPLE.COM", "Ada@example.com", "\uff41da"},
		"zoë": {"zo\u00eb", "zoe\u0308", "ZO\u00cb", "ZOE\u0308", "\uff3ao\u00eb"},
	}
	var g guesses
	spread(slices.Collect(maps.Keys(of)), func(name string) {
		at, list := s.from(owner), of[name]
		var attackers guesses
		attacker := s.from(stranger)
		for i := range 3 * len(list) {
			d := doors[i%len(doors)]
			attackers.take(d, d.login(attacker, list[i%len(list)], mistaken))
		}
		if n := attackers.evaluated.Load(); n != 5 {
			g.addf("%s: %d guesses evaluated over its spellings, not 5", name, n)
		}
		if err := attackers.err(); err != nil {
			g.addf("%s: %v", name, err)
		}
		for _, spelling := range list {
			for _, d := range doors {
				g.want(fmt.Sprintf("a stranger as %q at %s", spelling, d.dialect), d.login(at, spelling, passphrase), 429)
			}
		}
		s.must("", "account", "unlock", name)
		for _, spelling := range list {
			g.want(fmt.Sprintf("the owner as %q", spelling), nomic.login(at, spelling, passphrase), 200)
		}
	})
	return fmt.Sprintf("%d spellings of two names share 5 guesses each, at four doors", len(of["ada"])+len(of["zoë"])), g.err()
}

func lockout(w *world) (string, error) {
	const parallel = 50
	s := w.serve(`guess_delay = "1ms"`, `guess_delay_max = "2ms"`, "guess_wall = 20", "guess_source = 0")
	s.account("ada")
	at := s.from(owner)
	at.signIn(senmo, "ada", passphrase)
	var g guesses
	began, attacker := time.Now(), s.from(stranger)
	for g.evaluated.Load() < 20 && time.Since(began) < 20*time.Second {
		g.take(nomic, nomic.login(attacker, "ada", mistaken))
		time.Sleep(3 * time.Millisecond)
	}
	for _, d := range doors {
		g.want("a stranger at the wall of "+d.dialect, d.login(s.from(source(0)), "ada", passphrase), 429)
		g.want("the owner at "+d.dialect, d.login(at, "ada", passphrase), 200)
	}
	s.must("", "account", "unlock", "ada")
	g.want("a stranger after account unlock", nomic.login(s.from(source(1)), "ada", passphrase), 200)
	s.account("grace")
	fresh := s.from(source(2))
	atOnce(parallel, func(i int) {
		d := doors[i%len(doors)]
		g.want("one of many at once, at "+d.dialect, d.login(fresh, "grace", passphrase), 200)
	})
	return fmt.Sprintf("behind a wall of %d failures strangers wait, the owner signs in at four doors; %d parallel logins all pass",
		g.evaluated.Load(), parallel), g.err()
}

func lockElsewhere(w *world) (string, error) {
	s := w.serve(slowly, "guess_factor = 3", appending, `[[mount]]
dialect = "cloudio"
[[mount]]
dialect = "senmo"`)
	var f findings
	at, attacker := s.from(owner), s.from(stranger)

	// Locked at one door is locked at all of them.
	s.account("ada")
	var g guesses
	g.guessUntilLimited(attacker, senmo, "ada")
	for _, d := range doors {
		f.want("locked at senmo, then "+d.dialect, d.login(attacker, "ada", passphrase), 429)
	}

	// Disabled between two steps.
	s.account("grace")
	ticket, web, app := at.ticket("grace", passphrase), at.signIn(nomic, "grace", passphrase), at.signIn(senmo, "grace", passphrase)
	s.must("", "account", "disable", "grace")
	f.want("passport of a disabled account", at.passport(ticket, ""), 401)
	f.want("renewal of a disabled account", at.post("/api/auth/token", "", web.headers...), 403)
	f.want("refresh of a disabled account", at.refresh(app.refresh), 400)
	f.want("verification of a disabled account", at.verify(app), 401)

	// A second factor that must wait, and a ticket from before.
	s.account("joan")
	key := s.factor("joan")
	before := at.ticket("joan", passphrase)
	spoiled := at.ticket("joan", passphrase)
	for range 4 {
		at.passport(spoiled, key.wrong())
	}
	f.want("a right code while the second factor waits", at.passport(before, key.code(0)), 429)
	f.want("a right code after the password, meanwhile", nomic.login(at, "joan", passphrase+key.code(0)), 403)
	return "guessed at one door: 429 at all four; disabled between two steps: passport, renewal, refresh and verification refuse; a factor that waits does so at every door",
		errors.Join(f.err(), g.err())
}

func killedCounters(w *world) (string, error) {
	s := w.serve(slowly)
	s.account("ada")
	s.account("joan")
	key := s.factor("joan")
	var g guesses
	for range 5 {
		g.take(nomic, nomic.login(s.from(stranger), "ada", mistaken))
		s.crash()
	}
	g.want("the right password after five guesses and five crashes", nomic.login(s.from(stranger), "ada", passphrase), 429)
	codes := 0
	for codes < 10 {
		ticket := s.from(owner).ticket("joan", passphrase)
		for range 2 {
			g.want("a wrong code", s.from(owner).passport(ticket, key.wrong()), 401)
			codes++
		}
		s.crash()
	}
	ticket := s.from(owner).ticket("joan", passphrase)
	g.want("the right code after ten wrong ones and five crashes", s.from(owner).passport(ticket, key.code(0)), 429)
	return fmt.Sprintf("SIGKILL after each of %d passwords and each second of %d codes: the next is told to wait", g.evaluated.Load(), codes), g.err()
}
