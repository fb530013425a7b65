package main

import (
	"fmt"
	"time"
)

// shortLived has lives that can be waited for. The clock of a Go program can't be moved
// from outside: what a jump would do to codes is shown by the codes of other moments.
const shortLived = `[[mount]]
dialect = "mikrocloud"
session_idle = "2s"
session_max = "4s"
[[mount]]
dialect = "senmo"
access_ttl = "2s"
session_idle = "3s"
session_max = "5s"
refresh_retry = "1s"`

func movedClock(w *world) (string, error) {
	s := w.serve("guess_factor = 0", shortLived)
	s.account("ada")
	s.account("joan")
	key, at := s.factor("joan"), s.from(owner)
	var f findings
	w.awaitStep(4 * time.Second)
	later, earlier := key.code(1), []string{key.code(0), key.code(-1)}
	f.want("the code of the next step", at.passport(at.ticket("joan", passphrase), later), 200)
	s.crash()
	at = s.from(owner)
	f.want("that code after a crash", at.passport(at.ticket("joan", passphrase), later), 401)
	for i, code := range earlier {
		f.want(fmt.Sprintf("a code from %d s before it", 30*(1+i)), at.passport(at.ticket("joan", passphrase), code), 401)
	}

	// Lives end where they were set, however often they are used, and over a restart.
	began := time.Now()
	opaque, app := at.signIn(mikrocloud, "ada", passphrase), at.signIn(senmo, "ada", passphrase)
	idle := at.signIn(mikrocloud, "ada", passphrase)
	first, chain := app, app.refresh
	restarted := false
	for time.Since(began) < 6*time.Second {
		at.verify(opaque)
		if a := at.refresh(chain); a.status == 200 {
			app = passOf("senmo", a)
			chain = app.refresh
		}
		if !restarted && time.Since(began) > 2500*time.Millisecond {
			restarted = true
			f.want("an access token after its life", at.verify(first), 401)
			f.want("a session after its idle time", at.verify(idle), 401)
			s.crash()
			at = s.from(owner)
		}
		time.Sleep(100 * time.Millisecond)
	}
	f.want("a session in use, after its absolute life", at.verify(opaque), 401)
	f.want("a refresh after the absolute life", at.refresh(chain), 400)
	f.want("the last access token of it", at.verify(app), 401)
	return "not by moving the clock, but by codes of other moments and lives of 2 to 5 s: codes from up to 60 s before a used one refused, a restart between; " +
		"use, refresh and a restart extend no life", f.err()
}
