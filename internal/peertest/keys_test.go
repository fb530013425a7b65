package peertest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs_Keys runs the commands of docs/keys.md as they are written, beside a server,
// and sees after each piece which keys there are.
func TestDocs_Keys(t *testing.T) {
	tool(t, "curl")
	page, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands strings.Builder
	for _, b := range shown.FindAllStringSubmatch(string(page), -1) {
		if b[1] == "sh" {
			commands.WriteString(b[2] + "printf '\\001'; ostiary key list --json; printf '\\001'\n")
		}
	}
	s := start(t, "")
	env := []string{"OSTIARY_DATA=" + s.data, "PATH=" + filepath.Dir(s.binary) + ":" + os.Getenv("PATH")}
	parts := strings.Split(s.shell(t, t.TempDir(), env, commands.String()), "\x01")
	want := []map[string]int{ // how many keys of an algorithm are in a state
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 2, "ES256 next": 1}, // by hand
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 1, "ES256 next": 1}, // wrong next keys are dropped
		{"RS256 signing": 1, "ES256 signing": 1, "RS256 next": 1, "ES256 next": 1, "EdDSA next": 1},
		{"RS256 signing": 1, "ES256 signing": 1, "EdDSA next": 1}, // the emergency
	}
	if len(parts) != 2*len(want)+1 {
		t.Fatalf("%d pieces, want %d", len(parts)/2, len(want))
	}
	for i := range want {
		got := keyStates(t, parts[2*i+1])
		for state, n := range want[i] {
			if got[state] != n {
				t.Errorf("after piece %d: %d keys are %s, want %d", i+1, got[state], state, n)
			}
			delete(got, state)
		}
		for state, n := range got {
			if !strings.HasSuffix(state, " expired") {
				t.Errorf("after piece %d: %d keys are %s", i+1, n, state)
			}
		}
	}
}

// keyStates counts the keys of a list by algorithm and state.
func keyStates(t *testing.T, list string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(list) {
		var key struct{ Algorithm, State string }
		if err := json.Unmarshal([]byte(line), &key); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		count[key.Algorithm+" "+key.State]++
	}
	return count
}
