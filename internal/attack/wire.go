package main

import (
	"fmt"
	"strings"
)

func smuggling(w *world) (string, error) {
	s := w.serve(unlimited)
	s.account("ada")
	body := object("username", "ada", "password", passphrase)
	length := fmt.Sprintf("Content-Length: %d", len(body))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	crlf := head("POST /v1/auth", "Content-Type: application/json", length) + "\r\n" + body
	hidden := "GET /ostiary/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	cases := map[string]string{
		"Content-Length and Transfer-Encoding": head("POST /v1/auth", length, "Transfer-Encoding: chunked") + "\r\n" + chunked,
		"Transfer-Encoding and Content-Length": head("POST /v1/auth", "Transfer-Encoding: chunked", "Content-Length: 4") + "\r\n" + chunked,
		"two Content-Lengths":                  head("POST /v1/auth", length, "Content-Length: 0") + "\r\n" + body,
		"two equal Content-Lengths":            head("POST /v1/auth", length, length) + "\r\n" + body,
		"a list of Content-Lengths":            head("POST /v1/auth", length+", 0") + "\r\n" + body,
		"a signed Content-Length":              head("POST /v1/auth", strings.Replace(length, ": ", ": +", 1)) + "\r\n" + body,
		"a negative Content-Length":            head("POST /v1/auth", "Content-Length: -1") + "\r\n" + body,
		"two Transfer-Encodings":               head("POST /v1/auth", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "\r\n" + chunked,
		"another Transfer-Encoding":            head("POST /v1/auth", "Transfer-Encoding: xchunked") + "\r\n" + chunked,
		"a tab before chunked":                 head("POST /v1/auth", "Transfer-Encoding:\x0bchunked") + "\r\n" + chunked,
		"bare LF":                              strings.ReplaceAll(head("POST /v1/auth", length), "\r\n", "\n") + "\n" + body,
		"one bare LF":                          strings.Replace(crlf, "attack\r\n", "attack\n", 1),
		"a bare CR":                            head("GET /ostiary/healthz", "X-A: b\rX-C: d") + "\r\n",
		"NUL":                                  head("GET /ostiary/healthz", "X-A: b\x00c") + "\r\n",
		"a folded header":                      head("GET /ostiary/healthz", "X-A: b", " c") + "\r\n",
		"a space before the colon":             head("POST /v1/auth", strings.Replace(length, ":", " :", 1)) + "\r\n" + body,
		"a header without a colon":             head("GET /ostiary/healthz", "X-A") + "\r\n",
		"a header without a name":              head("GET /ostiary/healthz", ": x") + "\r\n",
		"two Hosts":                            head("GET /ostiary/healthz", "Host: other") + "\r\n",
		"no Host":                              "GET /ostiary/healthz HTTP/1.1\r\n\r\n",
		"no version":                           "GET /ostiary/healthz\r\n\r\n",
		"a chunk of a wrong length":            head("POST /v1/auth", "Transfer-Encoding: chunked") + "\r\n" + "4\r\n" + body + "\r\n0\r\n\r\n",
		"a chunk of a huge length":             head("POST /v1/auth", "Transfer-Encoding: chunked") + "\r\n" + "fffffffffffffffff\r\n" + body + "\r\n0\r\n\r\n",
		"a chunk that ends in LF":              head("POST /v1/auth", "Transfer-Encoding: chunked") + "\r\n" + strings.Replace(chunked, "\r\n", "\n", 1),
	}
	var f findings
	for name, text := range cases {
		answers := s.rawAll(stranger, text+hidden, 2)
		f.want(name, answers[0], 400, 501, 505)
		if len(answers) > 1 && answers[1].status != 0 {
			f.addf("%s: the connection is used on: %v", name, answers[1])
		}
	}
	if strings.Contains(s.log(), "smuggled") {
		f.addf("a request in the body of another was answered")
	}
	answers := s.rawAll(stranger, crlf+hidden, 2)
	f.want("a request that is well formed", answers[0], 200)
	return fmt.Sprintf("%d ways of framing refused, each with its connection; %s", len(cases), doubled(s, &f)), f.err()
}

// doubled sends two credentials in one request.
func doubled(s *server, f *findings) string {
	at := s.from(owner)
	web, app := at.signIn(cloudio, "ada", passphrase), at.signIn(senmo, "ada", passphrase)
	basic, token, bearer := "Basic "+pair("ada", passphrase), "Token "+pair("ada", passphrase), "Bearer "+app.token
	form := object("username", "ada", "password", passphrase)
	twice := func(first, second string) []string { return []string{"Authorization", first, "Authorization", second} }
	cases := []struct {
		what     string
		statuses []int
		answer   answer
	}{
		{"two Token headers", []int{400}, at.post("/v1/auth", "{}", twice(token, token)...)},
		{"Authorization and another Authentication", []int{400}, at.post("/v1/auth", "{}", "Authorization", token, "Authentication", "Token "+pair("ada", "x"))},
		{"Token and a body with a password", []int{400}, at.post("/v1/auth", form, "Authorization", token)},
		{"Basic and Bearer at nomic", []int{403}, at.post("/api/auth/token", "", twice(basic, bearer)...)},
		{"two Basic at nomic", []int{403}, at.post("/api/auth/token", "", twice(basic, basic)...)},
		{"two Bearer at verification", []int{401}, at.get("/ostiary/verify", twice(bearer, bearer)...)},
		{"two dialects at verification", []int{401}, at.get("/ostiary/verify", append(twice(bearer, web.token), "X-CSRF-Token", web.headers[3])...)},
		{"two Bearer at whoami", []int{400, 401}, at.get("/ostiary/whoami", twice(bearer, bearer)...)},
		{"two Bearer in one header", []int{401}, at.get("/ostiary/verify", "Authorization", bearer+", "+bearer)},
		{"two CSRF tokens", []int{401}, at.get("/ostiary/verify", append(web.headers, "X-CSRF-Token", "x")...)},
		{"two headers at login", []int{400}, at.post("/user/login", object("email", "ada", "password", passphrase), twice(basic, bearer)...)},
	}
	for _, c := range cases {
		f.want(c.what, c.answer, c.statuses...)
	}
	return fmt.Sprintf("%d pairs of credentials refused", len(cases))
}
