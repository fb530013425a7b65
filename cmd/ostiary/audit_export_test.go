package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAuditExport_ByOthers verifies exports by the program of docs/audit.md.
func TestAuditExport_ByOthers(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("node is not there")
	}
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?ms)^```js\n(.*?)^```$").FindSubmatch(page)
	if program == nil {
		t.Fatal("docs/audit.md has no program")
	}
	file := filepath.Join(t.TempDir(), "verify.mjs")
	if err := os.WriteFile(file, program[1], 0o600); err != nil {
		t.Fatal(err)
	}
	data := audited(t)
	must(t, "", "account", "alias", "ada", "--data", data, "--dialect", "nomic", "--subject", "ünï \"quoted\" \u2028 <&> \\")
	var report struct{ Key, Head string }
	if err := json.Unmarshal([]byte(must(t, "", "audit", "verify", "--data", data, "--json")), &report); err != nil {
		t.Fatal(err)
	}
	check := func(key, head, export string) (string, bool) {
		cmd := exec.CommandContext(t.Context(), node, file, key, head)
		cmd.Stdin = strings.NewReader(export)
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	export := must(t, "", "audit", "export", "--data", data)
	if out, ok := check(report.Key, report.Head, export); !ok || !regexp.MustCompile(`^17 entries and [34] checkpoints, up to `+report.Head+"\n$").MatchString(out) {
		t.Errorf("%v, %s", ok, out)
	}
	lines := strings.SplitAfter(export, "\n")
	at := func(seq int64) string {
		for _, l := range lines {
			if e := exported(t, l); e.Seq == seq {
				return fmt.Sprint(seq, ":", e.Hash)
			}
		}
		return ""
	}
	const open = "not covered: entries 17 to 17, after your head and the last signature: they may be made up\n"
	if out, ok := check(report.Key, at(9), export); !ok || !strings.HasSuffix(out, open) {
		t.Errorf("an older head: %v, %s", ok, out)
	}
	part := must(t, "", "audit", "export", "--data", data, "--after", "9")
	if out, ok := check(report.Key, report.Head, part); !ok || out != "8 entries and 1 checkpoints, up to "+report.Head+"\nnot in it: what is before entry 10\n" {
		t.Errorf("a part: %v, %s", ok, out)
	}
	if empty := must(t, "", "audit", "export", "--data", data, "--until", "2026-01-01"); empty != "" {
		t.Errorf("before there was anything: %s", empty)
	}
	if all := must(t, "", "audit", "export", "--data", data, "--since", "24h"); all != export {
		t.Errorf("since yesterday:\n%s", all)
	}
	for name, bad := range map[string]string{
		"nothing":       "",
		"changed":       strings.Replace(export, "wrong_password", "disabled", 1),
		"removed":       strings.Replace(export, lines[6], "", 1),
		"swapped":       strings.Replace(strings.Replace(export, lines[6], "", 1), lines[8], lines[8]+lines[6], 1),
		"unsigned":      strings.Replace(export, `"signature":"`, `"signature":"00`, 1),
		"signature":     strings.Replace(export, `"kind":"head"`, `"kind":"cut"`, 1),
		"the end":       strings.Replace(export, lines[len(lines)-2], "", 1),
		"computed anew": rehashed(t, lines),
	} {
		if out, ok := check(report.Key, report.Head, bad); ok || bad == export {
			t.Errorf("%s: %s", name, out)
		}
	}
	forged := strings.Split(strings.TrimSpace(rehashed(t, lines)), "\n")
	own := exported(t, forged[len(forged)-1])
	if out, ok := check(report.Key, fmt.Sprint(own.Seq, ":", own.Hash), strings.Join(forged, "\n")); !ok { // who brings the head along brings any log
		t.Errorf("its own head: %s", out)
	}
	if out, ok := check(strings.Repeat("0", 62)+"01", report.Head, export); ok {
		t.Errorf("another key: %s", out)
	}
}

// rehashed is an export in which an entry was changed, with all hashes after it, and without
// the signatures that would tell.
func rehashed(t *testing.T, lines []string) string {
	t.Helper()
	var out strings.Builder
	previous := ""
	for _, text := range lines[:len(lines)-1] {
		e := exported(t, text)
		if e.Type != "entry" {
			continue
		}
		if previous != "" && e.Seq >= 7 {
			text = strings.Replace(text, e.Previous, previous, 1)
			e.Previous = previous
		}
		if e.Seq >= 7 {
			text = strings.Replace(text, `"actor":""`, `"actor":"nobody"`, 1)
			if e.Actor == "" {
				e.Actor = "nobody"
			}
			text, e.Hash = strings.Replace(text, e.Hash, e.sum(), 1), e.sum()
		}
		previous = e.Hash
		out.WriteString(text)
	}
	return out.String()
}
