package dialecttest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A golden file is a sequence of exchanges with a house of its own:
//
//	# A comment.
//	mount Audience my-app        before the first exchange: AppendCode, Audience, Prefix, Host
//	clock 61s                    moves the clock
//	close store                  the database is gone from here on
//	5 times                      the next exchange happens so often
//	> POST /v1/auth              the request: its line, headers, an empty line, and the body
//	> Authorization: Token {{basic ada:a password}}
//	>
//	> {}
//	< 200                        the answer: status, headers that must be there, and the
//	< Content-Type: ...          body, compact as it is sent; without these two the
//	<                            body must be empty
//	< {"jwt":"{{jwt token}}"}
//	= jwt {"alg":"RS256",...} {"exp":1773484013,...}     header and claims of the JWT above
//
// In a request {{name}} is what an answer before it had at that place. There are also
// {{basic user:password}}, {{code joan}} and {{code joan -1}} (a TOTP code, so many steps
// from now), {{long}} (64 KiB of spaces), {{secret}} (robot's), and the id of each account
// under its name. In an answer {{name kind}} stands for something random, which gets the
// name; {{name}} for the same again.
var kinds = map[string]string{
	"uuid4":   `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
	"uuid7":   `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
	"token":   `[\w-]+\.[\w-]+\.[\w-]+`,        // a JWT
	"opaque":  `[A-Za-z0-9+/]{43}=`,            // 256 bits in standard base64
	"refresh": `[\w-]{76}`,                     // a refresh token
	"jti":     `[\w-]{38}`,                     //
	"kid":     `[\w-]{43}`,                     // a thumbprint (RFC 7638)
	"svg":     `<svg (?:[^"\\]|\\["n])*</svg>`, // as a JSON string has it
}

type golden struct {
	name    string
	mount   map[string]string
	actions []action
}

// action is a line that does something, or an exchange.
type action struct {
	line  int
	verb  string // "clock", "close", "exchange", "jwt"
	text  string
	times int
	ask   []string
	want  []string
}

// goldens reads the files of a directory.
func goldens(t testing.TB, dir string) []*golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s: %v", dir, err)
	}
	var all []*golden
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g, err := parseGolden(string(text))
		if err != nil {
			t.Fatalf("%s:%v", path, err)
		}
		g.name = strings.TrimSuffix(filepath.Base(path), ".txt")
		all = append(all, g)
	}
	return all
}

func parseGolden(text string) (*golden, error) {
	g := &golden{mount: map[string]string{}}
	times := 1
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		last := len(g.actions) - 1
		switch {
		case line == "" || word == "#":
		case word == "mount":
			name, value, _ := strings.Cut(rest, " ")
			g.mount[name] = value
		case word == "clock", word == "close":
			g.actions = append(g.actions, action{line: i + 1, verb: word, text: rest})
		case rest == "times":
			n, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", i+1, err)
			}
			times = n
		case word == ">":
			if last < 0 || g.actions[last].verb != "exchange" || len(g.actions[last].want) > 0 {
				g.actions = append(g.actions, action{line: i + 1, verb: "exchange", times: times})
				times, last = 1, last+1
			}
			g.actions[last].ask = append(g.actions[last].ask, rest)
		case word == "<" && last >= 0 && g.actions[last].verb == "exchange":
			g.actions[last].want = append(g.actions[last].want, rest)
		case word == "=":
			g.actions = append(g.actions, action{line: i + 1, verb: "jwt", text: rest})
		default:
			return nil, fmt.Errorf("%d: %q is nothing that a golden file has", i+1, line)
		}
	}
	return g, nil
}

// replay plays a golden file against a house, and tells seen about each exchange.
func (g *golden) replay(t *testing.T, h *House, seen func(path string, status int)) {
	v := vars{"secret": h.Secret}
	for name, a := range h.accounts {
		v[name] = a.ID.String()
	}
	for _, a := range g.actions {
		switch a.verb {
		case "clock":
			d, err := time.ParseDuration(a.text)
			if err != nil {
				t.Fatalf("line %d: %v", a.line, err)
			}
			h.Clock.Advance(d)
		case "close":
			if err := h.Store.Close(); err != nil {
				t.Fatal(err)
			}
		case "jwt":
			if err := v.matchJWT(a.text); err != nil {
				t.Errorf("line %d: %v", a.line, err)
			}
		case "exchange":
			for range a.times {
				r, err := v.request(h, a.ask)
				if err != nil {
					t.Fatalf("line %d: %v", a.line, err)
				}
				got := h.Send(t, r)
				seen(r.Path, got.Status)
				if err := v.matchAnswer(got, a.want); err != nil {
					t.Errorf("line %d: %v", a.line, err)
				}
			}
		}
	}
}

// vars are the values of placeholders.
type vars map[string]string

var placeholder = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// request makes a request of its lines.
func (v vars) request(h *House, lines []string) (Request, error) {
	var missing error
	text := placeholder.ReplaceAllStringFunc(strings.Join(lines, "\n"), func(p string) string {
		name, rest, _ := strings.Cut(p[2:len(p)-2], " ")
		switch name {
		case "basic":
			if rest == "robot" {
				rest += ":" + h.Secret
			}
			return base64.StdEncoding.EncodeToString([]byte(rest))
		case "code":
			who, steps, _ := strings.Cut(rest, " ")
			n, _ := strconv.ParseInt(steps, 10, 64)
			return h.Code(who, n)
		case "long":
			return strings.Repeat(" ", 64<<10)
		}
		value, ok := v[name]
		if !ok {
			missing = fmt.Errorf("no answer had a place called %q", name)
		}
		return value
	})
	head, body, _ := strings.Cut(text, "\n\n")
	head, headers, _ := strings.Cut(head, "\n")
	method, path, _ := strings.Cut(head, " ")
	r := Request{Method: method, Path: path, Body: body, Header: http.Header{}}
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r, missing
}

func (v vars) matchAnswer(got Answer, want []string) error {
	text := strings.Join(want, "\n")
	head, body, _ := strings.Cut(text, "\n\n")
	status, headers, _ := strings.Cut(head, "\n")
	if strconv.Itoa(got.Status) != status {
		return fmt.Errorf("answered %d %s, want %s", got.Status, got.Body, status)
	}
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !slices.Equal(got.Header[http.CanonicalHeaderKey(name)], []string{value}) {
			return fmt.Errorf("%s: %q, want %q", name, got.Header[http.CanonicalHeaderKey(name)], value)
		}
	}
	return v.match(got.Body, body)
}

// match compares a text with one that has placeholders, and keeps what is new.
func (v vars) match(got, want string) error {
	var names []string
	pattern, end := "^", 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		pattern += regexp.QuoteMeta(want[end:at[0]])
		end = at[1]
		name, kind, named := strings.Cut(want[at[2]:at[3]], " ")
		if !named {
			value, ok := v[name]
			if !ok {
				return fmt.Errorf("nothing is called %q", name)
			}
			pattern += regexp.QuoteMeta(value)
			continue
		}
		if kinds[kind] == "" {
			return fmt.Errorf("there is no kind %q", kind)
		}
		names = append(names, name)
		pattern += "(" + kinds[kind] + ")"
	}
	found := regexp.MustCompile(pattern + regexp.QuoteMeta(want[end:]) + "$").FindStringSubmatch(got)
	if found == nil {
		return fmt.Errorf("got  %s\nwant %s", got, want)
	}
	for i, name := range names {
		v[name] = found[i+1]
	}
	return nil
}

// matchJWT compares header and claims of a JWT.
func (v vars) matchJWT(text string) error {
	name, want, _ := strings.Cut(text, " ")
	parts := strings.Split(v[name], ".")
	if len(parts) != 3 {
		return fmt.Errorf("%s is no JWT: %q", name, v[name])
	}
	var got [2]string
	for i := range got {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return err
		}
		got[i] = string(decoded)
	}
	return v.match(got[0]+" "+got[1], want)
}
