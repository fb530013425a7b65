package auth_test

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/totp"
)

func withTwo(o *auth.Options) { o.Dialects["two"] = auth.Rules{} }

// lines are those of a text.
func importLines(text string) (lines []auth.ImportLine) {
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		lines = append(lines, auth.ImportLine{Line: int64(i + 1), Text: []byte(line)})
	}
	return lines
}

// prepare reads lines in groups of some.
func prepare(im *auth.Importer, lines []auth.ImportLine, per int) (groups [][]*auth.ImportEntry) {
	for group := range slices.Chunk(lines, per) {
		var entries []*auth.ImportEntry
		for _, l := range group {
			entries = append(entries, im.Prepare(l, uuid.Must(uuid.NewV7())))
		}
		groups = append(groups, entries)
	}
	return groups
}

// run imports a text, some lines in a transaction.
func (w *world) run(text string, o auth.ImportOptions, per int) (*auth.Importer, []auth.ImportProblem, error) {
	w.t.Helper()
	im, err := w.svc.NewImporter(w.ctx, w.realm, o, auth.Client{Actor: "test"})
	if err != nil {
		return nil, nil, err
	}
	lines := importLines(text)
	if strings.HasPrefix(strings.TrimPrefix(text, "\ufeff"), "username") {
		if err := im.Header(lines[0].Text); err != nil {
			return nil, nil, err
		}
		lines = lines[1:]
	}
	var all []auth.ImportProblem
	for _, g := range prepare(im, lines, per) {
		problems, err := im.Check(w.ctx, g)
		if err != nil {
			return im, all, err
		}
		all = append(all, problems...)
	}
	if len(all) > 0 && !o.Partly {
		return im, all, nil
	}
	if err := im.Begin(w.ctx); err != nil {
		return im, all, err
	}
	for _, g := range prepare(im, lines, per) {
		problems, err := im.Add(w.ctx, g)
		if err != nil {
			return im, all, err
		}
		all = append(all, problems...)
	}
	return im, all, im.Finish(w.ctx)
}

// imports imports a text without any problem.
func (w *world) imports(text string, o auth.ImportOptions) *auth.Importer {
	w.t.Helper()
	im, problems, err := w.run(text, o, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range problems {
		w.t.Errorf("line %d: %s", p.Entry.Line, p.Reason)
	}
	return im
}

func (w *world) hash(p string) string {
	w.t.Helper()
	h, err := password.New(0, 20*time.Second).Hash(w.ctx, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// bcryptOf is a hash of "password" that another tool has made: htpasswd -nbBC 4.
const bcryptOf = "$2y$04$LkcjEWzO9kx1ZQSPYs7LUeLZ0VI6JMVVGv8lEj8V0QqDSFfZJ0vCS"

func TestImport_Refused(t *testing.T) {
	w := newWorld(t)
	argon := "$argon2id$v=19$m=%s,t=%s,p=1$c29tZXNhbHRzb21lc2FsdA$J9nB4yEkqIaxmQ6J6rT1mWQo0pLkqyXxDCn2jrwYl5Q"
	for line, want := range map[string]string{
		`{"username":"a","username":"b"}`:            "username: it is there twice",
		"{\"username\":\"a\xff\"}":                   "not valid UTF-8, at byte 15",
		"{\"username\":\"a\x00\"}":                   "zero byte",
		"\xff\xfe{\x00":                              "UTF-16",
		"\ufeff{\"username\":\"a\"}":                 "byte order mark",
		`{"Username":"a"}`:                           `unknown members: "Username"`,
		`{"username":"a","zz":{"x":1}}`:              `unknown members: "zz"`,
		`{"username":5}`:                             "username: it must be a string",
		`{"username":"a","roles":"clerk"}`:           "roles: it must be an array",
		`{"username":"a","disabled":"true"}`:         "disabled: it must be true or false",
		`{"username":"a","number":1.5}`:              "number: it must be an integer",
		`{"username":"a","number":0}`:                "number: it must be positive",
		`{"username":"a","number":-1}`:               "number: it must be positive",
		`{"username":"a"} {"username":"b"}`:          "data after the JSON object",
		`["username"]`:                               "must be a JSON object",
		`{"username":"a"`:                            "JSON",
		`{}`:                                         "needs a username or an e-mail address",
		`{"username":"a@b.example"}`:                 "must be the account's own e-mail address",
		`{"username":"a b"}`:                         "only letters",
		`{"username":"a","display_name":"x\u0000"}`:  "control characters",
		`{"username":"a","kind":"robot"}`:            "person or service",
		`{"username":"a","email_verified":true}`:     "no e-mail address",
		`{"username":"a","realm":"other"}`:           `of the realm "other"`,
		`{"username":"a","source":"gopher"}`:         `no dialect "gopher"`,
		`{"username":"a","aliases":{"gopher":"1"}}`:  `no dialect "gopher"`,
		`{"username":"a","aliases":{"one":""}}`:      "subject in one",
		`{"username":"a","roles":["nothing"]}`:       `there is no "nothing"; --create-roles`,
		`{"username":"a","roles":["a b"]}`:           "no name of a role",
		`{"username":"a","pending":true}`:            "which server knows",
		`{"username":"a","salt":"x"}`:                "no password_hash",
		`{"username":"a","password_hash":"hunter2"}`: "does not say how it was made",
		`{"username":"a","password_hash":"` + fmt.Sprintf(argon, "4194304", "2") + `"}`:     "m is not between",
		`{"username":"a","password_hash":"` + fmt.Sprintf(argon, "19456", "0") + `"}`:       "t is not between",
		`{"username":"a","source":"one","pending":true,"password_hash":"` + bcryptOf + `"}`: "nobody is to be asked",
		`{"username":"a","kind":"service","password_hash":"` + bcryptOf + `"}`:              "rotate-secret",
		`{"username":"a","kind":"service","totp_secret":"JBSWY3DPEHPK3PXP"}`:                "a service has no second factor",
		`{"username":"a","totp_secret":"JBSWY3DP"}`:                                         "40 bits, and must have 80",
		`{"username":"a","totp_secret":"JBSWY3DPEHPK3PXP","totp_last_step":-1}`:             "must not be negative",
		`{"username":"a","totp_secret":"JBSWY3DPEHPK3PXP","totp_last_step":1795453939}`:     "more than an hour ahead",
		`{"username":"a","totp_secret":"0189"}`:                                             "not base32",
		`{"username":"a","recovery_codes":["abcd-efgh"]}`:                                   "there is no totp_secret",
		`{"username":"a","totp_secret":"JBSWY3DPEHPK3PXP","recovery_codes":["short"]}`:      "8 to 64 visible characters",
		`{"username":"a","secret_hashes":[{"hash":"00"}]}`:                                  "a person has none",
		`{"username":"a","kind":"service","secret_hashes":[{"hash":"00"}]}`:                 "no SHA-256",
		`{"username":"a","sealed":"YWdl"}`:                                                  "--identity",
		`{"username":"a","passwords":[{"source":"one"},{"source":"one"}]}`:                  "two of one",
	} {
		im, problems, err := w.run(line, auth.ImportOptions{}, 10)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Reason, want) {
			t.Errorf("%.200s: %v, %v, want %s", line, problems, err, want)
		} else if strings.Contains(problems[0].Reason, "hunter2") || strings.Contains(problems[0].Reason, "c29tZXNhbHR") {
			t.Errorf("the reason has the hash: %s", problems[0].Reason)
		} else if im.Refused != 1 || im.Problems[problems[0].Kind] != 1 || !slices.Contains(auth.ImportKinds, problems[0].Kind) {
			t.Errorf("%s: counted %+v", line, im.ImportCounts)
		}
	}
	if list, err := w.svc.ListAccounts(w.ctx, w.realm.ID, uuid.Nil, 10); err != nil || len(list) > 0 {
		t.Errorf("there are %v, %v", list, err)
	}
}

func TestImport_RefusedCSV(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		"username,zz\na,b":             "column 2 (of 1 such) has none",
		"username x,hunter2\nb,c":      "none of its columns has one",
		"username;email\na;b":          "commas between them",
		"username,username\na,b":       "column 2 has the name of one before",
		"username,email\na":            "1 values, and the first line 2 columns",
		"username,disabled\na,yes":     "disabled: it must be true or false",
		"username,number\na,x":         "number: it must be an integer",
		"username,org\na,\"x":          "does not end on its line",
		"username,org\na,\"x\"y":       "goes on behind its quote",
		"username,org\na,x\"y":         "a quote stands within",
		"username,aliases.gopher\na,1": `no dialect "gopher"`,
		"username,org\na,\xff":         "not valid UTF-8",
		"\ufeffusername,number\na,0":   "must be positive",
	} {
		_, problems, err := w.run(text, auth.ImportOptions{}, 10)
		got := fmt.Sprint(err)
		if len(problems) == 1 {
			got = problems[0].Reason
		}
		if !strings.Contains(got, want) || strings.Contains(got, "hunter") {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestImport_SameLine reads one account from JSON and from CSV: it is the same line.
func TestImport_SameLine(t *testing.T) {
	w := newWorld(t, withTwo)
	im := w.imports(`{"org":"a, \"b\"","username":"Ada","email":"ada@example.com","email_verified":true,"number":7,"roles":["clerk","admin"],"aliases":{"two":"old 7"},`+
		`"password_hash":"`+bcryptOf+`","totp_secret":"jbsw y3dp-ehpk 3pxp","recovery_codes":["old-code-1","old-code-2"]}`, auth.ImportOptions{CreateRoles: true})
	if im.New != 1 || im.Formats["bcrypt$4"] != 1 || im.ShortTOTP != 1 || !slices.Equal(im.Roles, []string{"admin", "clerk"}) {
		t.Errorf("got %+v", im.ImportCounts)
	}
	im = w.imports(`{"realm":"default","id":"elsewhere","email":"ada@example.com","username":"Ada","org":"a, \"b\"","email_verified":true,"number":7,"roles":["admin","clerk"],`+
		`"aliases":{"two":"old 7"},"password_hash":"`+bcryptOf+`","totp_secret":"JBSWY3DPEHPK3PXP","recovery_codes":["old-code-2","old-code-1"],"kind":"person","disabled":null}`, auth.ImportOptions{})
	if im.New != 0 || im.Unchanged != 1 {
		t.Errorf("the same in another order: %+v", im.ImportCounts)
	}
	im = w.imports("username,email,email_verified,number,roles,aliases.two,password_hash,totp_secret,recovery_codes,org,disabled\n"+
		`Ada,ada@example.com,true,7,admin;clerk,old 7,`+bcryptOf+`,JBSWY3DPEHPK3PXP====,old-code-2 old-code-1,"a, ""b""",false`, auth.ImportOptions{})
	if im.New != 0 || im.Unchanged != 1 {
		t.Errorf("the same in CSV: %+v", im.ImportCounts)
	}
	h := w.holdings()[0]
	if h.Username != "Ada" || h.Number != 7 || h.Org != `a, "b"` || h.Aliases["two"] != "old 7" || len(h.RecoveryCodes) != 2 || h.Origin != auth.OriginImport {
		t.Errorf("got %+v", h)
	}
}

// TestImport_SignIn signs in with all that was imported.
func TestImport_SignIn(t *testing.T) {
	w := newWorld(t, withTwo)
	secret := []byte("a secret of 20 bytes")
	hash := w.hash("password")
	w.imports(`{"username":"ada","password_hash":"`+hash+`","totp_secret":"`+base32.StdEncoding.EncodeToString(secret)+`","recovery_codes":["Old_Code.1"]}`+"\n"+
		`{"username":"bob","source":"two","password_hash":"`+hash+`"}`+"\n"+
		`{"username":"eve","password_hash":"`+hash+`","disabled":true}`, auth.ImportOptions{})
	begin := func(name string) (auth.Secret, error) {
		p, err := w.svc.BeginSignIn(w.ctx, w.two, creds(name, "password"), client)
		if err != nil {
			return "", err
		}
		return p.Ticket, nil
	}
	for _, code := range []string{totp.Code(secret, totp.Step(w.clock())), "Old_Code.1"} {
		ticket, err := begin("ada")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.CompleteSignIn(w.ctx, w.two, ticket, auth.Secret(strings.ToLower(code)), client); (err == nil) != (code == strings.ToLower(code)) {
			t.Errorf("in small letters: %v", err)
		} else if err != nil {
			if _, err := w.svc.CompleteSignIn(w.ctx, w.two, ticket, auth.Secret(code), client); err != nil {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
	if ticket, err := begin("ada"); err != nil {
		t.Fatal(err)
	} else if _, err := w.svc.CompleteSignIn(w.ctx, w.two, ticket, "Old_Code.1", client); err == nil {
		t.Error("a recovery code was taken twice")
	}
	if _, err := begin("bob"); err != nil {
		t.Errorf("at its source: %v", err)
	}
	if _, err := w.svc.SignIn(w.ctx, w.one, creds("bob", "password"), client); auth.CodeOf(err) != auth.CodeBadCredentials {
		t.Errorf("elsewhere: %v", err)
	}
	if _, err := begin("eve"); auth.CodeOf(err) != auth.CodeBadCredentials {
		t.Errorf("disabled: %v", err)
	}
}

// TestImport_Again imports a file twice, with accounts that were renamed and deleted meanwhile.
func TestImport_Again(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		const text = `{"username":"ada"}` + "\n" + `{"username":"bob"}` + "\n" + `{"username":"eve"}` + "\n" + `{"username":"eve"}`
		if im := w.imports(text, auth.ImportOptions{}); im.New != 3 || im.Unchanged != 1 {
			t.Fatalf("got %+v", im.ImportCounts)
		}
		bob, err := w.svc.FindAccount(w.ctx, w.realm.ID, "bob")
		if err != nil {
			t.Fatal(err)
		}
		name := "robert"
		if _, err := w.svc.UpdateAccount(w.ctx, w.realm.ID, bob.ID, auth.AccountChange{Username: &name}, client); err != nil {
			t.Fatal(err)
		}
		eve, err := w.svc.FindAccount(w.ctx, w.realm.ID, "eve")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, eve.ID, client); err != nil {
			t.Fatal(err)
		}
		before := w.holdings()
		if im := w.imports(text, auth.ImportOptions{}); im.New != 0 || im.Unchanged != 4 {
			t.Errorf("got %+v", im.ImportCounts)
		}
		if after := w.holdings(); len(after) != 2 || len(before) != 2 || after[0].ID != before[0].ID || after[1].Username != "robert" {
			t.Errorf("got %+v", after)
		}
	})
}

func TestImport_Deleted(t *testing.T) {
	w := newWorld(t)
	a := w.account("ada")
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	const text = `{"username":"ADA"}`
	if _, problems, err := w.run(text, auth.ImportOptions{}, 10); err != nil || len(problems) != 1 || problems[0].Kind != "deleted" || !strings.Contains(problems[0].Reason, "--restore-deleted") {
		t.Fatalf("got %v, %v", problems, err)
	}
	if im := w.imports(text, auth.ImportOptions{RestoreDeleted: true}); im.New != 1 {
		t.Errorf("got %+v", im.ImportCounts)
	}
	if gone, err := w.store.NameGone(w.ctx, w.realm.ID, "ada", "one"); err != nil || gone {
		t.Errorf("still gone: %v, %v", gone, err)
	}
}

// TestImport_DeletedLine makes accounts again by the file that had made them: those that were
// deleted, and no others.
func TestImport_DeletedLine(t *testing.T) {
	w := newWorld(t)
	const text = `{"username":"ada","email":"ada@example.com"}` + "\n" + `{"username":"bob"}`
	w.imports(text, auth.ImportOptions{})
	ada, bob := w.holdings()[0], w.holdings()[1]
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, ada.ID, client); err != nil {
		t.Fatal(err)
	}
	if im := w.imports(text, auth.ImportOptions{}); im.New != 0 || im.Unchanged != 2 {
		t.Errorf("without the option: %+v", im.ImportCounts)
	}
	if im := w.imports(text, auth.ImportOptions{RestoreDeleted: true}); im.New != 1 || im.Unchanged != 1 {
		t.Errorf("the first time: %+v", im.ImportCounts)
	}
	if im := w.imports(text, auth.ImportOptions{RestoreDeleted: true}); im.New != 0 || im.Unchanged != 2 {
		t.Errorf("the second time: %+v", im.ImportCounts)
	}
	all := w.holdings()
	if len(all) != 2 || all[0].ID != bob.ID || all[1].Username != "ada" || all[1].ID == ada.ID {
		t.Errorf("got %+v", all)
	}
	if gone, err := w.store.NameGone(w.ctx, w.realm.ID, "ada@example.com", "one"); err != nil || gone {
		t.Errorf("still gone: %v, %v", gone, err)
	}
}

// TestImport_Names brings along what an account is called by a merge: everywhere, or in one dialect.
func TestImport_Names(t *testing.T) {
	w := newWorld(t, withTwo)
	const text = `{"username":"ada","names":[{"name":"ada.l","dialect":"two"},{"name":"Lovelace"},{"name":"ADA"},{"name":"a@example.com"},{"name":"ada.l","dialect":"two"}]}`
	if im := w.imports(text, auth.ImportOptions{}); im.New != 1 {
		t.Fatalf("got %+v", im.ImportCounts)
	}
	want := []auth.AccountName{{Key: "a@example.com"}, {Key: "lovelace"}, {Dialect: "two", Key: "ada.l"}}
	if got := w.holdings()[0]; !slices.Equal(got.Names, want) {
		t.Errorf("got %v, want %v", got.Names, want)
	}
	const spelled = `{"names":[{"name":"lovelace"},{"dialect":"two","name":"ADA.L"},{"name":"a@example.com"}],"username":"ada"}`
	if im := w.imports(spelled, auth.ImportOptions{}); im.Unchanged != 1 {
		t.Errorf("spelled otherwise: %+v", im.ImportCounts)
	}
	const more = `{"username":"ada","names":[{"name":"lovelace"},{"name":"countess","dialect":"two"}]}`
	if im := w.imports(more, auth.ImportOptions{Update: true}); im.Changed != 1 {
		t.Errorf("update: %+v", im.ImportCounts)
	}
	want = append(want, auth.AccountName{Dialect: "two", Key: "countess"})
	if got := w.holdings()[0]; !slices.Equal(got.Names, want) {
		t.Errorf("got %v, want %v", got.Names, want)
	}
	for line, reason := range map[string]string{
		`{"username":"bob","names":[{"name":"LOVELACE"}]}`:                                        `the name "lovelace" is that of account`,
		`{"username":"lovelace"}`:                                                                 `the username is that of account`,
		`{"username":"ada.l","apart":"two"}`:                                                      `the username is that of account`,
		`{"username":"bob","names":[{"name":"countess","dialect":"two"}]}`:                        `the name "countess" is that of account`,
		`{"username":"bob","names":[{"name":"x","dialect":"none"}]}`:                              `names: there is no dialect "none"`,
		`{"username":"bob","names":[{"name":"a b"}]}`:                                             `username "a b"`,
		`{"username":"bob","names":[{"name":""}]}`:                                                `needs a username`,
		`{"username":"carl"}` + "\n" + `{"username":"bob","names":[{"name":"Carl"}]}`:             `the name "carl" is that of line 1`,
		`{"username":"bob","names":[{"name":"carl"}]}` + "\n" + `{"username":"carl","org":"two"}`: `the username is that of line 1`,
	} {
		_, problems, err := w.run(line, auth.ImportOptions{}, 10)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Reason, reason) {
			t.Errorf("%s\n%v, %v", line, problems, err)
		}
	}
	if im := w.imports(`{"username":"bob","names":[{"name":"lovelace","dialect":"one"}]}`, auth.ImportOptions{}); im.New != 1 {
		t.Errorf("in another dialect: %+v", im.ImportCounts)
	}
}

// TestImport_RefusedClaimsNothing: what a line asks for that is refused is free for those after it.
func TestImport_RefusedClaimsNothing(t *testing.T) {
	w := newWorld(t, withTwo)
	w.imports(`{"username":"ada"}`+"\n"+`{"username":"bob","number":9}`, auth.ImportOptions{Source: "one"})
	const bad, good = `{"username":"ada","number":9,"roles":["made"]}`, `{"username":"ada","org":"Works"}`
	im, problems, err := w.run(bad+"\n"+good, auth.ImportOptions{Source: "one", Update: true, Partly: true, CreateRoles: true}, 10)
	if err != nil || len(problems) != 1 || problems[0].Entry.Line != 1 || problems[0].Kind != "number" || im.Changed != 1 {
		t.Errorf("got %v, %v, %+v", problems, err, im.ImportCounts)
	}
	if roles, err := w.svc.ListRoles(w.ctx, w.realm.ID, "", 10); err != nil || len(roles) != 2 { // the server's own
		t.Errorf("roles: %v, %v", roles, err)
	}
}

// TestImport_UpdateIsLogged: a password, and who asks for the second factor, by the account.
func TestImport_UpdateIsLogged(t *testing.T) {
	w := newWorld(t, withTwo)
	w.imports(`{"username":"ada"}`, auth.ImportOptions{Source: "two"})
	last := func(want ...audit.Kind) {
		t.Helper()
		all, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Account: w.holdings()[0].ID, Limit: 100})
		if err != nil || len(all) != len(want) {
			t.Fatalf("got %+v, %v, want %s", all, err, want)
		}
		for i, e := range all {
			if e.Kind != want[i] {
				t.Errorf("%d: %s (%s)", i, e.Kind, e.Detail)
			}
		}
	}
	last()
	w.imports(`{"username":"ada","password_hash":"`+bcryptOf+`"}`, auth.ImportOptions{Source: "two", Update: true})
	last(audit.PasswordChanged)
	w.imports(`{"username":"ada","password_hash":"`+bcryptOf+`","factor_elsewhere":"two"}`, auth.ImportOptions{Source: "two", Update: true})
	last(audit.PasswordChanged, audit.AccountUpdated)
}

// TestImport_UpdateNamesOfOneApart: names of an update are good where its account is.
func TestImport_UpdateNamesOfOneApart(t *testing.T) {
	w := newWorld(t, withTwo)
	w.account("ada")
	w.account("everywhere")
	w.imports(`{"username":"ada"}`+"\n"+`{"username":"old.q","apart":"two"}`, auth.ImportOptions{Source: "two", Apart: true})
	o := auth.ImportOptions{Source: "two", Update: true, Partly: true}
	_, problems, err := w.run(`{"username":"ada","names":[{"name":"old.q"}]}`, o, 10)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Reason, `the name "old.q" is that of account`) {
		t.Errorf("one's that is apart there: %v, %v", problems, err)
	}
	if im := w.imports(`{"username":"ada","names":[{"name":"everywhere"}]}`, o); im.Changed != 1 {
		t.Errorf("one's that is good everywhere: %+v", im.ImportCounts)
	}
}

// TestImport_Conflicts has each kind of what is another's, there and in the file.
func TestImport_Conflicts(t *testing.T) {
	w := newWorld(t, withTwo)
	ada := w.account("ada") // number 1
	if err := w.svc.SetAlias(w.ctx, w.realm.ID, ada.ID, "two", "41", client); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][2]string{
		`{"username":"Ada"}`:                                                                         {"username", `the username is that of account ` + ada.ID.String()},
		`{"email":"ada@EXAMPLE.com"}`:                                                                {"email", `the e-mail address is that of account `},
		`{"username":"ada","email":"ada@example.com"}`:                                               {"email", `("ada", "ada@example.com")`},
		`{"username":"countess","email":"ada@example.com"}`:                                          {"people", `the same e-mail, different people?`},
		`{"username":"bob","number":1}`:                                                              {"number", `the number 1 is that of account ` + ada.ID.String()},
		`{"username":"bob","number":41}`:                                                             {"number", `goes by the number 41 in two`},
		`{"username":"bob","aliases":{"two":"41"}}`:                                                  {"alias", `has the subject "41" in two`},
		`{"username":"bob","aliases":{"one":"41"}}`:                                                  {"alias", `has the subject "41" in two`},
		`{"username":"bob","aliases":{"one":"1"}}`:                                                   {"alias", `is the number of account`},
		`{"username":"bob","aliases":{"one":"` + ada.ID.String() + `"}}`:                             {"alias", `is the id of another account`},
		`{"username":"b1","org":"x"}` + "\n" + `{"username":"B1"}`:                                   {"username", "that of line 1"},
		`{"username":"b1","email":"b@c.de"}` + "\n" + `{"email":"B@c.de"}`:                           {"email", "that of line 1"},
		`{"username":"b1","number":9}` + "\n" + `{"username":"b2","number":9}`:                       {"number", "that of line 1"},
		`{"username":"b1","aliases":{"one":"9"}}` + "\n" + `{"username":"b2","number":9}`:            {"number", "that of line 1"},
		`{"username":"b1","aliases":{"one":"x"}}` + "\n" + `{"username":"b2","aliases":{"one":"x"}}`: {"alias", "that of line 1"},
		`{"username":"b1","aliases":{"one":"9"}}` + "\n" + `{"username":"b2","aliases":{"two":"9"}}`: {"alias", "that of line 1"},
	} {
		_, problems, err := w.run(line, auth.ImportOptions{}, 10)
		if err != nil || len(problems) != 1 || problems[0].Kind != want[0] || !strings.Contains(problems[0].Reason, want[1]) {
			t.Errorf("%s: %v, %v", line, problems, err)
		}
	}
	if list := w.holdings(); len(list) != 1 {
		t.Errorf("%d accounts", len(list))
	}
	_, problems, err := w.run(`{"username":"ada"}`+"\n"+`{"username":"bob"}`+"\n"+`{"username":"x","roles":["y"]}`, auth.ImportOptions{Partly: true}, 10)
	if list := w.holdings(); err != nil || len(problems) != 2 || len(list) != 2 || list[1].Username != "bob" {
		t.Errorf("the good ones: %v, %v, %v", problems, list, err)
	}
}

// TestImport_Numbers: the counter goes round the numbers that are named, before and behind.
func TestImport_Numbers(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		ada := w.account("ada") // 1
		if err := w.svc.SetAlias(w.ctx, w.realm.ID, ada.ID, "one", "35", client); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for i := range 30 {
			fmt.Fprintf(&text, `{"username":"u%d"}`+"\n", i)
		}
		for i := range 30 {
			fmt.Fprintf(&text, `{"username":"v%d","number":%d}`+"\n", i, i+3)
		}
		text.WriteString(`{"username":"w","aliases":{"one":"50"}}`)
		im, problems, err := w.run(text.String(), auth.ImportOptions{}, 7)
		if err != nil || len(problems) > 0 || im.New != 61 {
			t.Fatalf("%v, %v, %+v", problems, err, im)
		}
		seen := map[int64]bool{35: true, 50: true}
		for _, h := range w.holdings() {
			if seen[h.Number] || strings.HasPrefix(h.Username, "v") && fmt.Sprint("v", h.Number-3) != h.Username {
				t.Errorf("%s has %d", h.Username, h.Number)
			}
			seen[h.Number] = true
		}
		if b := w.account("bob"); b.Number != 65 || seen[b.Number] {
			t.Errorf("the next has %d", b.Number)
		}
	})
}

// TestImport_ApartPending: a line of a source can be a person of its own, or be asked there.
func TestImport_ApartPending(t *testing.T) {
	w := newWorld(t, withTwo)
	ada := w.account("ada")
	hash := w.hash("another password")
	const pending = `{"username":"bob"}`
	text := `{"username":"ada","org":"elsewhere","password_hash":"` + hash + `"}` + "\n" + `{"username":"Ada","email":"ada@example.com"}` + "\n" + pending
	o := auth.ImportOptions{Source: "two", Pending: true, Apart: true, Partly: true}
	im, problems, err := w.run(text, o, 10)
	if err != nil || len(problems) != 1 || problems[0].Entry.Line != 2 || im.New != 2 || im.Apart != 1 || im.Pending != 1 {
		t.Fatalf("%v, %v, %+v", problems, err, im.ImportCounts)
	}
	for _, c := range []struct {
		mount    *auth.Mount
		password string
		want     string
	}{{w.one, goodPassword, ""}, {w.two, "another password", "elsewhere"}} {
		p, err := w.svc.BeginSignIn(w.ctx, c.mount, creds("ADA", c.password), client)
		if err != nil {
			t.Fatal(err)
		}
		g, err := w.svc.CompleteSignIn(w.ctx, c.mount, p.Ticket, "", client)
		if err != nil || g.Account.Org != c.want || (g.Account.ID == ada.ID) != (c.want == "") {
			t.Errorf("%+v, %v", g, err)
		}
	}
	rec, err := w.store.AccountByName(w.ctx, w.realm.ID, "bob", "")
	if err != nil || len(rec.Passwords) != 1 || rec.Passwords[0].Source != "two" || rec.Passwords[0].Hash != "" {
		t.Errorf("pending: %+v, %v", rec.Passwords, err)
	}
	if im, problems, err = w.run(text, o, 10); err != nil || im.Unchanged != 2 || len(problems) != 1 {
		t.Errorf("again: %v, %v, %+v", problems, err, im.ImportCounts)
	}
}

// TestImport_Update changes what the same source says otherwise, and no password.
func TestImport_Update(t *testing.T) {
	w := newWorld(t, withTwo)
	hash := w.hash(goodPassword)
	w.imports(`{"username":"ada","email":"ada@example.com","source":"two","password_hash":"`+hash+`","number":5}`, auth.ImportOptions{})
	was := w.holdings()[0]
	line := `{"username":"ada","email":"ada@example.org","email_verified":true,"display_name":"Ada","source":"two","password_hash":"` + w.hash("something else entirely") +
		`","number":6,"roles":["clerk"],"aliases":{"one":"old"},"totp_secret":"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP","recovery_codes":["old-code-1"]}`
	o := auth.ImportOptions{CreateRoles: true}
	if _, problems, err := w.run(line, o, 10); err != nil || len(problems) != 1 || problems[0].Kind != "changed" || !strings.Contains(problems[0].Reason, "--update") {
		t.Fatalf("%v, %v", problems, err)
	}
	if _, problems, err := w.run(strings.Replace(line, `"two"`, `"one"`, 1), auth.ImportOptions{CreateRoles: true, Update: true}, 10); err != nil || len(problems) != 1 || problems[0].Kind != "username" {
		t.Fatalf("of another source: %v, %v", problems, err)
	}
	o.Update = true
	if im := w.imports(line, o); im.Changed != 1 || im.New != 0 {
		t.Fatalf("got %+v", im.ImportCounts)
	}
	is := w.holdings()[0]
	if is.ID != was.ID || is.Email != "ada@example.org" || !is.EmailVerified || is.DisplayName != "Ada" || is.Number != 6 || !slices.Equal(is.Roles, []string{"clerk"}) ||
		is.Aliases["one"] != "old" || is.Passwords[0].Hash != hash || len(is.RecoveryCodes) != 1 || is.Factor == nil || is.Factor.ConfirmedAt.IsZero() || len(is.TOTP) != 20 {
		t.Errorf("got %+v", is)
	}
	if im := w.imports(line, o); im.Unchanged != 1 || im.Changed != 0 {
		t.Errorf("again: %+v", im.ImportCounts)
	}
	// A file may tell of two people by one name: neither becomes the other.
	two := line + "\n" + `{"username":"ada","source":"two","org":"other"}`
	if _, problems, err := w.run(two, o, 10); err != nil || len(problems) != 1 || problems[0].Entry.Line != 2 {
		t.Errorf("two lines of one account: %v, %v", problems, err)
	}
	if _, problems, err := w.run(`{"username":"eve","email":"ada@example.org","source":"two"}`, o, 10); err != nil || len(problems) != 1 || problems[0].Kind != "people" {
		t.Errorf("another person: %v, %v", problems, err)
	}
}

// TestImport_FactorElsewhere: whoever has a second factor at another server has one here.
func TestImport_FactorElsewhere(t *testing.T) {
	w := newWorld(t, withTwo)
	line := `{"username":"ada","email":"ada@example.com","source":"two","password_hash":"` + w.hash(goodPassword) + `"}`
	w.imports(line, auth.ImportOptions{})
	w.imports(strings.Replace(line, "}", `,"factor_elsewhere":"two"}`, 1)+"\n"+`{"username":"bob","factor_elsewhere":"one"}`, auth.ImportOptions{Source: "two", Update: true})
	for name, want := range map[string]auth.Dialect{"ada": "two", "bob": "one"} {
		a, err := w.svc.FindAccount(w.ctx, w.realm.ID, name)
		if err != nil || w.record(a.ID, "").Elsewhere != want {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := w.svc.BeginSignIn(w.ctx, w.two, creds("ada", goodPassword), client); auth.CodeOf(err) != auth.CodeBadCredentials {
		t.Errorf("without a server to ask: %v", err)
	}
	for _, bad := range []string{`{"username":"eve","factor_elsewhere":"nobody's"}`, `{"username":"svc","kind":"service","factor_elsewhere":"two"}`} {
		if _, problems, err := w.run(bad, auth.ImportOptions{}, 10); err != nil || len(problems) != 1 {
			t.Errorf("%s: %v, %v", bad, problems, err)
		}
	}
}

// TestImport_Audit: each transaction has its entry, and its hashes count for the floor.
func TestImport_Audit(t *testing.T) {
	w := newWorld(t)
	im, err := w.svc.NewImporter(w.ctx, w.realm, auth.ImportOptions{}, auth.Client{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	lines := importLines(`{"username":"ada","password_hash":"` + bcryptOf + `"}` + "\n" + `{"username":"bob","password_hash":"` + bcryptOf + `"}` + "\n" + `{"username":"eve"}`)
	for _, g := range prepare(im, lines, 2) {
		if _, err := im.Check(w.ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	im.SetFile("0f0f")
	for _, g := range prepare(im, lines, 2) {
		if _, err := im.Add(w.ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	events, err := w.svc.ListAudit(w.ctx, w.realm.ID, auth.AuditFilter{Kinds: []audit.Kind{audit.AccountsImported}, Limit: 10})
	if err != nil || len(events) != 2 || events[0].Detail != "2 accounts from lines 1 to 2 of the file with the SHA-256 0f0f" || events[1].Detail != "1 accounts from lines 3 to 3 of the file with the SHA-256 0f0f" {
		t.Errorf("got %+v, %v", events, err)
	}
	if schemes, err := w.store.HashSchemes(w.ctx, w.realm.ID); err != nil || !slices.Equal(schemes, []string{"bcrypt$4"}) {
		t.Errorf("the floor follows %v, %v", schemes, err)
	}
}

// TestImport_AtOnce imports one file twice at the same time, while accounts are made beside it.
func TestImport_AtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		w := newWorld(t)
		const n = 300
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `{"username":"user%d","aliases":{"one":"s%d"}}`+"\n", i, i)
		}
		var all sync.WaitGroup
		var made [2]int
		for i := range made {
			all.Go(func() {
				im, problems, err := w.run(text.String(), auth.ImportOptions{}, 20)
				if err != nil || len(problems) > 0 {
					t.Errorf("%v, %v", problems, err)
					return
				}
				made[i] = im.New
			})
		}
		all.Go(func() {
			for i := range 30 {
				_, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: fmt.Sprint("beside", i), NoPassword: true}, client)
				if err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		if made[0]+made[1] != n {
			t.Errorf("%v accounts were made", made)
		}
		numbers := map[int64]bool{}
		for _, h := range w.holdings() {
			if numbers[h.Number] {
				t.Errorf("the number %d twice", h.Number)
			}
			numbers[h.Number] = true
		}
		if len(numbers) != n+30 {
			t.Errorf("%d accounts", len(numbers))
		}
	})
}

// TestImport_Meanwhile: what comes into a line's way after the check ends the import before it.
func TestImport_Meanwhile(t *testing.T) {
	w := newWorld(t)
	im, err := w.svc.NewImporter(w.ctx, w.realm, auth.ImportOptions{}, auth.Client{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	lines := importLines(`{"username":"ada"}` + "\n" + `{"username":"bob"}` + "\n" + `{"username":"eve"}`)
	for _, g := range prepare(im, lines, 2) {
		if problems, err := im.Check(w.ctx, g); err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
	}
	w.account("bob")
	problems, err := im.Add(w.ctx, prepare(im, lines, 2)[0])
	if err != nil || len(problems) != 1 || problems[0].Kind != "username" {
		t.Fatalf("%v, %v", problems, err)
	}
	if list := w.holdings(); len(list) != 1 {
		t.Errorf("%d accounts: a transaction was half done", len(list))
	}
}

// lossy is a store that loses the answer to a commit.
type lossy struct {
	auth.Store
	lose bool
}

func (s *lossy) InTx(ctx context.Context, fn func(auth.Tx) error) error {
	err := s.Store.InTx(ctx, fn)
	if err == nil && s.lose && auth.IsAlone(ctx) {
		s.lose = false
		return &auth.Error{Code: auth.CodeUnavailable, Cause: errors.New("the answer is lost")}
	}
	return err
}

// TestImport_CommitLost: a transaction that was stored, though nobody said so, is not done twice.
func TestImport_CommitLost(t *testing.T) {
	st := &lossy{}
	w := newWorld(t, func(o *auth.Options) { st.Store, o.Store = o.Store, st })
	st.lose = true
	im := w.imports(`{"username":"ada"}`+"\n"+`{"username":"bob"}`, auth.ImportOptions{})
	if list := w.holdings(); st.lose || im.New != 2 || im.Unchanged != 0 || len(list) != 2 {
		t.Errorf("%+v, %d accounts", im.ImportCounts, len(list))
	}
}

// TestImport_NumberMeanwhile: somebody may go by a number that is next, between two transactions.
func TestImport_NumberMeanwhile(t *testing.T) {
	w := newWorld(t)
	im, err := w.svc.NewImporter(w.ctx, w.realm, auth.ImportOptions{}, client)
	if err != nil {
		t.Fatal(err)
	}
	lines := importLines(`{"username":"ada"}` + "\n" + `{"username":"bob"}` + "\n" + `{"username":"eve"}`)
	for _, g := range prepare(im, lines, 1) {
		if _, err := im.Check(w.ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	for i, g := range prepare(im, lines, 1) {
		if _, err := im.Add(w.ctx, g); err != nil {
			t.Fatal(err)
		}
		ada, err := w.svc.FindAccount(w.ctx, w.realm.ID, "ada")
		if err == nil && i == 1 {
			err = w.svc.SetAlias(w.ctx, w.realm.ID, ada.ID, "one", "3", client)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if list := w.holdings(); len(list) != 3 || list[1].Number != 2 || list[2].Number != 4 {
		t.Errorf("got %+v", list)
	}
}

// What an operator has disabled here, and what a line does not mention, an update leaves as it is.
func TestImport_UpdateLeaves(t *testing.T) {
	w := newWorld(t)
	w.imports(`{"username":"v1","email":"v1@example.com","display_name":"Vee","org":"acme"}`, auth.ImportOptions{Source: "one"})
	a, err := w.svc.FindAccount(w.ctx, w.realm.ID, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, a.ID, true, client); err != nil {
		t.Fatal(err)
	}
	w.imports(`{"username":"v1","org":"other"}`, auth.ImportOptions{Source: "one", Update: true})
	b, err := w.svc.FindAccount(w.ctx, w.realm.ID, "v1@example.com")
	if err != nil || !b.Disabled || b.Email != a.Email || b.DisplayName != "Vee" || b.Org != "other" {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestImport_ApartBeside: an account that is apart is another one than who has its name elsewhere: it is
// made beside that one, changed without it, and restored when it alone was deleted.
func TestImport_ApartBeside(t *testing.T) {
	w := newWorld(t, withTwo)
	const base = `{"username":"ada","passwords":[{"source":"one","hash":"` + bcryptOf + `"}]}`
	const apart = `{"username":"ada","number":70,"apart":"two","passwords":[{"source":"two","hash":"` + bcryptOf + `"}]}`
	w.imports(base, auth.ImportOptions{})
	if im := w.imports(base+"\n"+apart, auth.ImportOptions{Update: true}); im.New != 1 || im.Unchanged != 1 {
		t.Fatalf("a newer export: %+v", im.ImportCounts)
	}
	all := w.holdings()
	if err := w.svc.DeleteAccount(w.ctx, w.realm.ID, all[1].ID, client); err != nil {
		t.Fatal(err)
	}
	if im := w.imports(base+"\n"+apart, auth.ImportOptions{RestoreDeleted: true}); im.New != 1 || im.Unchanged != 1 {
		t.Fatalf("restored: %+v", im.ImportCounts)
	}
	if im := w.imports(strings.Replace(apart, `"number"`, `"org":"Works","number"`, 1), auth.ImportOptions{Update: true}); im.Changed != 1 {
		t.Fatalf("updated: %+v", im.ImportCounts)
	}
	now := w.holdings()
	if len(now) != 2 || now[0].ID != all[0].ID || now[0].Number == 70 || now[0].Org != "" || len(now[0].Passwords) != 1 ||
		now[1].Apart != "two" || now[1].Number != 70 || now[1].Org != "Works" {
		t.Errorf("got %+v", now)
	}
}

// TestImport_ApartStays: an account that is apart stays so where it was when it gets a name in another
// dialect, and its line is still its own when it was merged.
func TestImport_ApartStays(t *testing.T) {
	w := newWorld(t, withTwo)
	const line = `{"username":"ada","apart":"two","passwords":[{"source":"two","hash":"` + bcryptOf + `"}]}`
	w.imports(line, auth.ImportOptions{})
	if im := w.imports(strings.Replace(line, `"apart"`, `"names":[{"name":"x","dialect":"one"},{"name":"y"},{"name":"y","dialect":"two"}],"apart"`, 1), auth.ImportOptions{Update: true}); im.Changed != 1 {
		t.Fatalf("got %+v", im.ImportCounts)
	}
	apart := w.holdings()[0]
	if apart.Apart != "two" || !slices.Equal(apart.Names, []auth.AccountName{{Dialect: "one", Key: "x"}, {Dialect: "two", Key: "y"}}) {
		t.Errorf("got %s, %v", apart.Apart, apart.Names)
	}
	w.imports(`{"username":"ada","passwords":[{"source":"one","hash":"`+bcryptOf+`"}]}`, auth.ImportOptions{})
	base := w.holdings()[1]
	w.merge(base.Account, apart.Account, auth.PreferNone)
	if im := w.imports(strings.Replace(line, `"apart"`, `"org":"Works","apart"`, 1), auth.ImportOptions{Update: true}); im.Changed != 1 || im.New != 0 {
		t.Errorf("merged: %+v", im.ImportCounts)
	}
	if all := w.holdings(); len(all) != 1 || all[0].ID != base.ID || all[0].Org != "Works" {
		t.Errorf("got %+v", all)
	}
}

// TestImport_ReplacedPasswordStays: an update brings no password back that its owner has replaced.
func TestImport_ReplacedPasswordStays(t *testing.T) {
	w := newWorld(t, threeDialects)
	old := hashOf(t, w, passOne)
	w.imports(`{"username":"ada","source":"one","password_hash":"`+old+`"}`, auth.ImportOptions{})
	id, _ := w.opens("one", "ada", passOne)
	const next = "a new one that nobody had"
	if err := w.svc.SetPassword(w.ctx, w.realm.ID, id, next, client); err != nil {
		t.Fatal(err)
	}
	w.imports(`{"username":"ada","email":"ada@example.com","source":"one","password_hash":"`+old+`"}`, auth.ImportOptions{Update: true})
	for pass, want := range map[string]uuid.UUID{passOne: uuid.Nil, next: id} {
		if got, _ := w.opens("one", "ada", pass); got != want {
			t.Errorf("%q: %s, want %s", pass, got, want)
		}
	}
}
