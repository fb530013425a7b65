package declared_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/web"
)

// wrong are definitions that are testdata/acme.toml but for one place. "§" is where the
// error must be.
var wrong = map[string]struct{ from, to, says string }{
	"syntax":             {`access_ttl = "1h"`, `access_ttl = 1§h`, ""},
	"no UTF-8":           {`access_ttl = "1h"`, "access_ttl = \"§\xff\"", "not UTF-8"},
	"unknown key":        {`access_ttl =`, "§acess_ttl =", `unknown key "acess_ttl" in the definition`},
	"unknown, below":     {`flow = "refresh"`, "flow = \"refresh\"\n  §extra = 1", `unknown key "extra" in [[route]]`},
	"unknown, in braces": {`{ member = "user.name" }`, `{ member = "user.name", §trim = true }`, `unknown key "trim" in username`},
	"in another case":    {`path = "/login"`, `Path = "/login"`, ""},
	"key twice":          {`session_max = "24h"`, "session_max = \"24h\"\n§name = \"b\"", "already defined"},
	"table twice":        {`[[route]]` + "\npath = \"/again\"", "[§access]\nbare = true\n[[route]]\npath = \"/again\"", `access already exists`},
	"table over a value": {`[access]`, "[§name.x]\n[access]", "already exists as a value"},
	"list of tables":     {`[access]`, "[error]\nx = 1\n[access]", ""},

	"name missing":  {`name = "acme"`, "§", `the definition lacks "name"`},
	"name is built": {`name = "acme"`, `name = §"senmo"`, `there is a dialect "senmo" already`},
	"name":          {`name = "acme"`, `name = §"Acme"`, "lower-case"},
	"name, a table": {`name = "acme"`, `name = §{ x = 1 }`, "name must be a string"},
	"a number":      {`access_ttl = "1h"`, `access_ttl = §3600`, "access_ttl must be a string"},
	"a duration":    {`access_ttl = "1h"`, `access_ttl = §"1 hour"`, "no time in whole seconds"},
	"half a second": {`access_ttl = "1h"`, `access_ttl = §"1.5s"`, "no time in whole seconds"},
	"too long":      {`access_ttl = "1h"`, `§access_ttl = "25h"`, "longer than session_max"},
	"retry of none": {`flow = "refresh"`, `flow = §"refreshes"`, "is not one of sign_in, begin, complete, refresh, renew, logout"},
	"subject":       {`session_max`, "subject = §\"username\"\nsession_max", `subject: "username" is not one of id, number`},
	"algorithm":     {`session_max`, "algorithms = [\"RS256\", §\"none\"]\nsession_max", `"none" is not one of RS256, ES256, EdDSA`},
	"issuer":        {`session_max`, "issuer = §\"https://${host}\"\nsession_max", "${realm} its only placeholder"},
	"audience":      {`audience = "acme-api"`, `audience = §"a b"`, "printable ASCII without spaces"},

	"access of none":   {`jwt = "access"`, `jwt = §"token"`, "there is no [jwt.token]"},
	"access alike":     {`claim = "kind"`, "", "what tells jwt.access from the other JWTs"},
	"kind alike":       {`"kind": "id"`, `"kind": "access"`, `"kind" must have another text in [jwt.id]`},
	"kind missing":     {`{"kind": "access", `, `{`, `needs the claim "kind"`},
	"csrf":             {`claim = "kind"`, "claim = \"kind\"\n§csrf = true", "needs the claim csrf"},
	"csrf, a text":     {`claim = "kind"`, "claim = \"kind\"\ncsrf = §\"yes\"", "csrf must be true or false"},
	"no audience":      {`"aud": "${audience}", `, ``, `needs a claim "${audience}"`},
	"claim of ours":    {`"n": {`, `§"sub": "x", "n": {`, `the claim "sub" is the server's to set`},
	"jti":              {`"n": {`, `§"jti": "x", "n": {`, "the server's to set"},
	"a date":           {`"${auth_time}"`, `7`, `the claim "auth_time" must be "${auth_time}"`},
	"claims, a list":   {`'{"kind": "id", "auth_time": "${auth_time}"}'`, `'§["id"]'`, "must be a JSON object"},
	"claims, none":     {`claims = '{"kind": "id", "auth_time": "${auth_time}"}'`, ``, `lacks "claims"`},
	"a JWT in a claim": {`"n": {`, `"t": "§${jwt.id}", "n": {`, "${jwt.id} has no value in claims"},
	"unused JWT":       {`"id": "${jwt.id}",`, ``, "no answer has ${jwt.id}"},

	"path missing":   {`path = "/again"`, ``, `[[route]] lacks "path"`},
	"path":           {`path = "/again"`, `path = §"again"`, "must be a clean path"},
	"path, dots":     {`path = "/again"`, `path = §"/a/../again"`, "must be a clean path"},
	"path, tree":     {`path = "/again"`, `path = §"/again/"`, "must be a clean path"},
	"path, ours":     {`path = "/again"`, `path = §"/ostiary/verify"`, "the server's own URL space"},
	"path, theirs":   {`path = "/again"`, `path = §"/.well-known/jwks.json"`, "the server's own URL space"},
	"path twice":     {"[[route]]\npath = \"/again\"\nbody = \"empty\"", "[[§route]]\npath = \"/login\"\nbody = \"json\"", "two routes take the same requests at /login"},
	"methods differ": {`path = "/again"`, "path = \"/login\"\nmethod = \"PUT\"", "must have the same method, body, and status"},
	"method":         {`path = "/again"`, "path = \"/again\"\nmethod = §\"HEAD\"", "method: \"HEAD\" is not one of"},
	"a GET's body":   {`path = "/again"`, "path = \"/again\"\nmethod = \"GET\"", "a GET has no body"},
	"body":           {`body = "empty"`, `body = §"xml"`, `"xml" is not one of empty, form, ignored, json`},
	"flow missing":   {`flow = "refresh"`, ``, `[[route]] lacks "flow"`},
	"needs":          {`token = { header = "X-Refresh" }`, ``, `flow "refresh" needs "token"`},
	"two places":     {`{ header = "X-Refresh" }`, `§{ header = "X-Refresh", member = "x" }`, `either "header" or "member"`},
	"no place":       {`{ header = "X-Refresh" }`, `§{ }`, `either "header" or "member"`},
	"cookie":         {`"X-Refresh"`, `§"cookie"`, "no header that a credential can be in"},
	"header":         {`"X-Refresh"`, `§"X Refresh"`, "no header that a credential can be in"},
	"scheme":         {`{ header = "X-Refresh" }`, `{ header = "X-Refresh", scheme = §"a b" }`, "is not a scheme"},
	"member":         {`"user.name"`, `§"user..name"`, "is not the name of a member"},
	"two things":     {`"user.name"`, `"user"`, "can't be both a text and an object"},
	"one member":     {`"user.name"`, `"user.word"`, "can't be two things"},
	"no body":        {"body = \"json\"", "body = \"ignored\"", "this route reads no body"},
	"refresh of none": {
		"flow = \"refresh\"\ntoken = { header = \"X-Refresh\" }\n[route.answer]\njson = '{\"access\": \"${jwt.access}\", \"again\": \"${refresh}\"}'",
		"flow = \"renew\"\ntoken = { header = \"X-Refresh\" }\n[route.answer]\njson = '{\"access\": \"${jwt.access}\"}'",
		"${refresh} in an answer and a route that runs refresh need each other",
	},
	"begin alone": {
		"[[route]]\npath = \"/again\"",
		"[[route]]\npath = \"/b\"\nbody = \"json\"\nflow = \"begin\"\nusername = { member = \"a\" }\npassword = { member = \"b\" }\nanswer = { json = '' }\n[[route]]\npath = \"/again\"",
		"needs a route that runs begin and one that runs complete",
	},

	"answer missing":  {"[route.answer]\njson = '{\"access\": \"${jwt.access}\", \"again\": \"${refresh}\"}'", ``, `[[route]] lacks "answer"`},
	"json missing":    {`json = '{"access": "${jwt.access}", "again": "${refresh}"}'`, `status = 200`, `[route.answer] lacks "json"`},
	"status":          {`json = '{"access": "${jwt.access}", "again"`, `status = §302` + "\n" + `json = '{"access": "${jwt.access}", "again"`, "from 200 to 204"},
	"204 with a body": {`json = '{"access": "${jwt.access}", "again": "${refresh}"}'`, "status = 204\njson = §'{\"again\": \"${refresh}\"}'", "204 has no body"},
	"JSON":            {`"again": "${refresh}"` + "\n}", `"again": "${refresh}",` + "\n§}", "not JSON"},
	"JSON ends":       {`{"error": "no"}'`, `{"error": "no"§'`, "not JSON"},
	"JSON, twice":     {`"id": "${jwt.id}",`, `"id": "${jwt.id}", §"id": 1,`, `the member "id" is there twice`},
	"unknown":         {`"${refresh}"` + "\n}", `"§${refreshed}"` + "\n}", "unknown placeholder ${refreshed}"},
	"unknown, later":  {`"${refresh}"` + "\n}", `"${email} and §${e-mail}"` + "\n}", "unknown placeholder ${e-mail}"},
	"no end":          {`"${refresh}"` + "\n}", `"a §${refresh"` + "\n}", "has no end"},
	"not here":        {`"${refresh}"` + "\n}", `"§${ticket}"` + "\n}", "${ticket} has no value in the answer of sign_in"},
	"not of refresh":  {`'{"access": "${jwt.access}", "again"`, `'{"b": "§${bearer}", "again"`, "${bearer} has no value in the answer of refresh"},
	"not of errors":   {`'{"error": "no"}'`, `'{"error": "§${username}"}'`, "${username} has no value in an error"},
	"no text":         {`"${refresh}"` + "\n}", `"are §${roles}"` + "\n}", "${roles} is no text"},
	"in a name":       {`"error": "no"`, `§"${path}": "no"`, "can't have a placeholder"},
	"header of ours":  {`X-Session =`, `§Set-Cookie =`, "no header that an answer can have"},
	"header of CORS":  {`X-Session =`, `§Access-Control-Allow-Origin =`, "no header that an answer can have"},
	"header's text":   {`"${session}" }`, `§"${username}" }`, "may be any text"},
	"JWT of none":     {`"id": "${jwt.id}",`, `"id": "${jwt.id}", "x": "${jwt.x}",`, "there is no [jwt.x]"},

	"code":            {`"factor_required", `, `§"factor_needed", `, `"factor_needed" is not one of invalid_input`},
	"code twice":      {`"factor_required", `, `"factor_required", §"bad_credentials", `, "is there twice"},
	"code missing":    {`codes = "*"`, `codes = "internal"`, `no [[error]] has the code "invalid_input"`},
	"codes missing":   {`codes = "*"`, ``, `[[error]] lacks "codes"`},
	"status 200":      {`status = 403`, `status = §200`, "from 400 to 499"},
	"status 429":      {`status = 403`, `status = §429`, "none of 405, 408, 413, 415, 429"},
	"status 503":      {`codes = "*"`, "codes = [\"throttled\", \"*\"]\nstatus = §503", "the status of throttled is 429, always"},
	"look apart":      {`"factor_required", "factor_invalid"]`, `"factor_invalid"]` + "\njson = ''\n[[error]]\ncodes = \"factor_required\"", "must have the same answer"},
	"statuses apart":  {`"token_reused", "session_ended"]`, `"token_reused"]` + "\njson = ''\n[[error]]\ncodes = \"session_ended\"\nstatus = 403", "token_invalid and session_ended must have the same answer"},
	"detail":          {`'{"error": "no"}'`, `'{"error": "${detail}"}'`, "must not have ${detail}"},
	"detail by *":     {`"token_missing", `, ``, "the answer of token_missing must not have ${detail}"},
	"* of a route":    {"[[error]]\ncodes = [\"bad", "[[route.error]]\ncodes = §\"*\"\njson = ''\n[[error]]\ncodes = [\"bad", "not of a route"},
	"a route's apart": {"[[error]]\ncodes = [\"bad", "[[§route.error]]\ncodes = \"factor_invalid\"\njson = ''\n[[error]]\ncodes = [\"bad", "must have the same answer"},
}

// place finds "§" in a text, and takes it out.
func place(text string) (string, string) {
	before, after, found := strings.Cut(text, "§")
	if !found {
		return text, ""
	}
	lines := strings.Split(before, "\n")
	return before + after, fmt.Sprintf("acme.toml:%d:%d: ", len(lines), 1+len([]rune(lines[len(lines)-1])))
}

var placed = regexp.MustCompile(`^acme\.toml:\d+:\d+: [^\n]+$`)

func TestParse_Wrong(t *testing.T) {
	good := read(t, "testdata/acme.toml")
	if _, err := declared.Parse("acme.toml", []byte(good), "senmo"); err != nil {
		t.Fatal(err)
	}
	for what, c := range wrong {
		if strings.Count(good, c.from) == 0 {
			t.Fatalf("%s: no %q", what, c.from)
		}
		text, at := place(strings.Replace(good, c.from, c.to, 1))
		_, err := declared.Parse("acme.toml", []byte(text), "senmo")
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		if !placed.MatchString(err.Error()) || !strings.HasPrefix(err.Error(), at) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, want %q … %q", what, err, at, c.says)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLoad_NoDefinition(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, make([]byte, 256<<10+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{dir: "no file", large: "longer than 256 KiB", filepath.Join(dir, "x"): "no such file"} {
		if _, err := declared.Load(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A definition that can be read has an answer for every error, as clients need it, and
// says of credentials only that they were refused.
func FuzzParse(f *testing.F) {
	good := read(f, "testdata/acme.toml")
	f.Add([]byte(good))
	for _, c := range wrong {
		text, _ := place(strings.Replace(good, c.from, c.to, 1))
		f.Add([]byte(text))
	}
	for _, name := range []string{"cloudio", "mikrocloud", "nomic", "senmo", "example"} {
		f.Add([]byte(read(f, examples+name+".toml")))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := declared.Parse("acme.toml", text)
		if err != nil {
			if !placed.MatchString(err.Error()) && !strings.HasSuffix(err.Error(), "not a definition") {
				t.Errorf("an error without its place: %q", err)
			}
			return
		}
		one := d.Dialect()
		for _, code := range auth.Codes() {
			status, body := one.Encode(web.Problem{Code: code, Detail: "why"})
			if status < 400 || status > 599 {
				t.Errorf("%s: %d", code, status)
			}
			if code == auth.CodeBadCredentials && strings.Contains(fmt.Sprintf("%s", body), "why") && !strings.Contains(string(text), "why") {
				t.Errorf("%s: %s", code, body)
			}
		}
		if len(one.Routes(nil, &auth.Mount{})) == 0 || one.Name() == "" {
			t.Errorf("%+v", one)
		}
	})
}
