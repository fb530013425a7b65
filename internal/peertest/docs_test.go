package peertest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// block is a fenced piece of a page.
var block = regexp.MustCompile("(?ms)^```(sh|json)\n(.*?)^```$")

// TestDocs_Dialects runs the commands of each dialect's page as they are written, and sees
// that the answers have the members that the page shows, in that order. What an answer
// holds is there for the commands below it, as a reader would put it there: refreshToken
// as $REFRESH_TOKEN.
func TestDocs_Dialects(t *testing.T) {
	tool(t, "curl")
	s := start(t, "guess_source = 0\n")
	run(t, "quiet otters juggle lanterns", s.binary, "account", "create", "--data", s.data, "--username", "ada",
		"--email", "ada@example.com", "--display-name", "Ada Lovelace", "--org", "acme", "--password-stdin")
	pages, err := filepath.Glob("../../docs/dialects/*.md")
	pages = slices.DeleteFunc(pages, func(page string) bool { return filepath.Base(page) == "declared.md" }) // tested beside its format
	if err != nil || len(pages) != 4 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			var env []string
			var answer string
			ran := 0
			for _, b := range block.FindAllStringSubmatch(string(text), -1) {
				if b[1] == "json" {
					if got, want := members(t, answer), members(t, b[2]); !slices.Equal(got, want) {
						t.Errorf("the page shows %q, the answer has %q", want, got)
					}
					continue
				}
				answer = s.shell(t, "", env, b[2])
				env = append(env, exports(t, answer)...)
				ran++
			}
			if ran < 2 {
				t.Errorf("%d commands", ran)
			}
		})
	}
}

// TestDocs_Readme runs the README's logins as they are written.
func TestDocs_Readme(t *testing.T) {
	tool(t, "curl")
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "")
	dir := t.TempDir()
	for link, target := range map[string]string{"bin": filepath.Dir(s.binary), "ostiary-data": s.data} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(b[2], "curl http") {
			continue // what builds and starts things is done by the other tests
		}
		out := s.shell(t, dir, nil, b[2])
		for _, part := range []string{`"username":"ada"`, `"status":"OK"`, `"message":"Login Successful"`, `"isSuccess":true`, `"statusMessage":"OK"`} {
			if !strings.Contains(out, part) {
				t.Errorf("no %s in\n%s", part, out)
			}
		}
		for _, dialect := range []string{"cloudio", "mikrocloud", "nomic", "senmo"} {
			if sessions := out[strings.LastIndex(out, "DIALECT"):]; !strings.Contains(sessions, dialect) {
				t.Errorf("no session of %s in\n%s", dialect, sessions)
			}
		}
		ran++
	}
	if ran != 1 {
		t.Errorf("%d blocks with logins", ran)
	}
}

// shell runs commands that a page shows; the only change is the server's address.
func (s *server) shell(t *testing.T, dir string, env []string, commands string) string {
	t.Helper()
	commands = strings.ReplaceAll(commands, "http://127.0.0.1:8080", s.url)
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// members are the names in a JSON text, in their order, those of inner objects too.
func members(t *testing.T, text string) (names []string) {
	t.Helper()
	type level struct{ object, key bool }
	var open []level
	d := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return names
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				open = append(open, level{v == '{', true})
				continue
			}
			open = open[:len(open)-1]
		case string:
			if at := &open[len(open)-1]; at.object && at.key {
				names = append(names, v)
				at.key = false
				continue
			}
		}
		if len(open) > 0 {
			open[len(open)-1].key = true
		}
	}
}

// exports makes variables of the texts in an answer.
func exports(t *testing.T, answer string) (env []string) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(answer), &object); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if inner, ok := object["tokens"].(map[string]any); ok {
		object = inner
	}
	for name, value := range object {
		if text, ok := value.(string); ok {
			env = append(env, variable(name)+"="+text)
		}
	}
	return env
}

// variable is a member's name as a shell would have it: refreshToken is REFRESH_TOKEN.
func variable(name string) string {
	var out strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}
