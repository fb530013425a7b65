package main

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Hashes of other systems, of no password that is asked for here: bcrypt of cost 4 and 10, and argon2id of 64 MiB.
const (
	largeHash  = "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	cheapHash  = "$2b$04$abcdefghijklmnopqrstuuS7n4K1kZvJ8d4l9ZkT5sK0T9kQ0s9Uy"
	bcryptHash = "$2b$10$abcdefghijklmnopqrstuuS7n4K1kZvJ8d4l9ZkT5sK0T9kQ0s9Uy"
)

// stateless is what an answer tells: all but the moment and the number of seconds to wait.
func stateless(a answer) string {
	h := a.header.Clone()
	h.Del("Date")
	if wait, err := strconv.Atoi(h.Get("Retry-After")); err == nil && wait > 0 {
		h.Set("Retry-After", "some")
	}
	return fmt.Sprint(a.status, h, a.body)
}

// refusals are accounts that can't sign in, and the password that is tried.
var refusals = [][2]string{
	{"ada", mistaken}, {"nobody", mistaken}, {"disabled", passphrase}, {"passwordless", mistaken}, {"imported", mistaken},
	{"large", mistaken},
}

// populate makes the accounts of refusals.
func populate(s *server, hash string) {
	s.account("ada")
	s.account("disabled")
	s.must("", "account", "disable", "disabled")
	s.must("", "account", "create", "--username", "passwordless", "--no-password")
	s.must("", "account", "create", "--username", "imported", "--password-hash", hash)
	s.must("", "account", "create", "--username", "large", "--password-hash", largeHash)
}

func enumerationByReply(w *world) (string, error) {
	s := w.serve(slowly)
	populate(s, cheapHash)
	s.account("joan") // whose second factor three of the doors have no step for
	s.factor("joan")
	var f findings
	var compared atomic.Int32
	compare := func(what string, a, b answer) {
		compared.Add(1)
		if x, y := stateless(a), stateless(b); x != y {
			f.addf("%s:\n%s\n%s", what, x, y)
		}
	}
	spread(doors, func(d door) {
		v := s.from(stranger)
		first := d.login(v, "ada", mistaken)
		f.want("a wrong password at "+d.dialect, first, d.failed)
		for _, r := range refusals[1:] {
			compare(r[0]+" at "+d.dialect, first, d.login(v, r[0], r[1]))
		}
		if d.dialect != "mikrocloud" {
			compare("joan at "+d.dialect, first, d.login(v, "joan", passphrase))
		}
	})
	// From the fifth failure on all wait, whether there is such an account or not.
	waiting := append(slices.Clone(refusals), [2]string{"nobody-else", mistaken})
	spread(waiting, func(r [2]string) {
		v := s.from(owner)
		for range 6 {
			nomic.login(v, r[0], mistaken)
		}
	})
	for _, d := range doors {
		v := s.from(stranger)
		first := d.login(v, "ada", passphrase)
		f.want("an account that waits, at "+d.dialect, first, 429)
		for _, r := range waiting[1:] {
			compare(r[0]+", waiting at "+d.dialect, first, d.login(v, r[0], passphrase))
		}
	}
	return fmt.Sprintf("%d answers byte-identical to that of a wrong password, over %d states at four doors", compared.Load(), len(refusals)+2), f.err()
}

// lookalikes are names that could be taken for another account's.
var lookalikes = []struct{ victim, name string }{
	{"admin", "adm\u0130n"}, {"admin", "\uff41\uff44\uff4d\uff49\uff4e"}, {"admin", "admin "}, {"admin", " admin"}, {"admin", "ad\u200bmin"},
	{"admin", "admin\u200d"}, {"admin", "ad\u00admin"}, {"admin", "admin\ufeff"}, {"admin", "\u202eadmin"},
	{"admin", "ADMIN"}, {"admin", "admin\u2060"}, {"admin", "admin\t"}, {"admin", "admin\u3000"}, {"admin", "\u1d43dmin"},
	{"big", "\u1d2e\u1d35\u1d33"}, {"kim", "\u212aim"}, {"sam", "\u017fam"}, {"office", "o\ufb03ce"}, {"strasse", "stra\u017f\u017fe"},
	{"zo\u00eb", "zoe\u0308"}, {"\u00e5sa", "\u212bsa"}, {"x2", "x\u00b2"}, {"admin", "admin\ue000"}, {"admin", "\U000e0061admin"},
}

func unicodeTakeover(w *world) (string, error) {
	s := w.serve(unlimited)
	var f findings
	at := s.from(stranger)
	for _, victim := range []string{"admin", "big", "kim", "sam", "office", "strasse", "zo\u00eb", "\u00e5sa", "x2"} {
		s.account(victim)
	}
	const other = "a completely different sentence"
	for _, l := range lookalikes {
		if out, _, status := s.command(other+"\n", "account", "create", "--password-stdin", "--username", l.name); status == 0 {
			f.addf("%q can be registered beside %q: %s", l.name, l.victim, out)
		}
		f.want(fmt.Sprintf("%q with the password of who tried to register", l.victim), nomic.login(at, l.victim, other), 403)
	}
	return fmt.Sprintf("%d lookalikes refused at registration, and none signs in as its victim", len(lookalikes)), f.err()
}

func recycledNames(w *world) (string, error) {
	s := w.serve(unlimited)
	s.must("", "role", "create", "boss")
	create := []string{"--email", "ada@example.com", "--role", "boss"}
	s.account("ada", create...)
	at := s.from(owner)
	var passes []pass
	for _, d := range doors {
		passes = append(passes, at.signIn(d, "ada", passphrase))
	}
	ticket, before := at.ticket("ada", passphrase), s.show("ada")
	key := s.factor("ada")
	recovery, _, _ := strings.Cut(s.must("", "mfa", "recovery", "ada"), "\n")
	s.must("", "account", "delete", "ada")
	s.account("ada", create[:2]...)
	after := s.show("ada")
	var f findings
	for _, what := range []string{"id", "number"} {
		if reflect.DeepEqual(before[what], after[what]) {
			f.addf("the %s %v was given twice", what, after[what])
		}
	}
	if roles, _ := after["roles"].([]any); len(roles) > 0 || after["mfa"] != "none" || after["recovery_codes"] != 0.0 {
		f.addf("something is left of the account before: %v", after)
	}
	for _, p := range passes {
		f.want(p.dialect+"'s token of the account before", at.verify(p), http.StatusUnauthorized)
		f.want(p.dialect+"'s token of the account before, at whoami", at.get("/ostiary/whoami", p.headers...), http.StatusUnauthorized)
	}
	f.want("its refresh token", at.refresh(passes[3].refresh), 400)
	f.want("its token, renewed", at.post("/api/auth/token", "", passes[2].headers...), 403)
	f.want("its ticket", at.passport(ticket, ""), 401)
	f.want("its recovery code", at.passport(ticket, recovery), 401)
	fresh := s.factor("ada")
	f.want("its second factor", at.passport(at.ticket("ada", passphrase), key.code(0)), 401)
	f.want("the new one", at.passport(at.ticket("ada", passphrase), fresh.code(0)), 200)
	return "a name made anew: another id and number; four tokens, refresh, ticket, recovery code, factor and role of the one before are dead", f.err()
}

// claimed are members that somebody could send for the server to take them over.
const claimed = `"role":"boss","roles":["boss"],"email_verified":true,"kind":"service","disabled":false,"number":1,` +
	`"id":"00000000-0000-7000-8000-000000000001","realm":"other","org":"evil","datasources":["sales"],"amr":["mfa"],"mfa_enabled":true,` +
	`"password_hash":"` + cheapHash + `","sub":"1","aliases":{"nomic":"1"},"session_max":"9999d","is_admin":true`

func massAssignment(w *world) (string, error) {
	s := w.serve()
	s.must("", "role", "create", "boss")
	s.must("", "datasource", "create", "sales")
	s.must("", "role", "grant", "boss", "--datasource", "sales")
	s.account("ada", "--email", "ada@example.com")
	at := s.from(owner)
	before, was := fixed(s.show("ada")), at.get("/ostiary/whoami", at.signIn(senmo, "ada", passphrase).headers...)
	var f findings
	basic := "Authorization"
	a := at.post("/v1/auth", "{"+claimed+"}", basic, "Token "+pair("ada", passphrase))
	f.want("cloudio", a, 200)
	f.want("nomic", at.post("/api/auth/token", "{"+claimed+"}", basic, "Basic "+pair("ada", passphrase)), 200)
	a = at.post("/user/login", `{"email":"ada","password":`+quote(passphrase)+","+claimed+"}")
	f.want("mikrocloud", a, 200)
	f.want("passport", at.post("/user/passport", `{"token":`+quote(member(a.body, "token"))+`,"totp":null,`+claimed+"}"), 200)
	a = at.post("/v1/auth", `{"username":"ada","password":`+quote(passphrase)+","+claimed+"}")
	f.want("senmo", a, 200)
	app := passOf("senmo", a)
	a = at.post("/v1/auth/refreshtoken", `{"refreshtoken":`+quote(app.refresh)+","+claimed+"}")
	f.want("refresh", a, 200)
	app = passOf("senmo", a)
	f.want("a change of password", at.post("/ostiary/password", `{"current":`+quote(passphrase)+`,"new":`+quote(passphrase+" again")+","+claimed+"}", app.headers...), 204, 200)
	f.want("the new password", senmo.login(at, "ada", passphrase+" again"), 200)
	if after := fixed(s.show("ada")); !reflect.DeepEqual(before, after) {
		f.addf("the account changed:\n%v\n%v", before, after)
	}
	now := at.get("/ostiary/whoami", app.headers...)
	for _, name := range []string{"account", "subject", "username", "email"} {
		if member(was.body, name) != member(now.body, name) {
			f.addf("whoami says another %s: %v", name, now)
		}
	}
	f.want("the role that was sent", at.get("/ostiary/verify?role=boss", app.headers...), 403)
	f.want("the datasource that was sent", at.get("/ostiary/verify?datasource=sales", app.headers...), 403)
	return "17 members sent to 7 doors are ignored, as the contract says: the account, its identity and its roles are as before", f.err()
}

// fixed is of an account what logins and changes of its password leave as it is.
func fixed(account map[string]any) map[string]any {
	for _, name := range []string{"sessions", "budgets", "updated_at", "password_changed_at"} {
		delete(account, name)
	}
	return account
}
