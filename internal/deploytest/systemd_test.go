package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

// unit is one of deploy/systemd with the program where it is here.
func unit(t *testing.T, name string) (path, text string) {
	t.Helper()
	text = replaced(t, read(t, deploy+"systemd/"+name), "/usr/local/bin/ostiary", processtest.Binary(t))
	return write(t, filepath.Join(t.TempDir(), name), text), text
}

func TestSystemd_Verify(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	server, _ := unit(t, "ostiary.service")
	backup, _ := unit(t, "ostiary-backup.service")
	timer := write(t, filepath.Join(filepath.Dir(backup), "ostiary-backup.timer"), read(t, deploy+"systemd/ostiary-backup.timer"))
	out, err := exec.Command(analyze, "verify", "--man=no", server, backup, timer).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ostiary") { // others are about units of this machine
			t.Errorf("verify: %s", line)
		}
	}
	if err != nil && strings.Contains(string(out), "ostiary") {
		t.Error(err)
	}
}

// TestSystemd_Exposure: 10 is a service that nothing is denied to, 0 one that can do nothing.
func TestSystemd_Exposure(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	for _, name := range []string{"ostiary.service", "ostiary-backup.service"} {
		path, _ := unit(t, name)
		out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		m := regexp.MustCompile(`Overall exposure level for ` + name + `: ([0-9.]+)`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("%s", out)
		}
		if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > 2 {
			t.Errorf("exposure %s: %s", m[1], out)
		}
	}
}

// TestSystemd_SystemCalls has the server do its work under strace, and sees that the unit's filter lets it.
func TestSystemd_SystemCalls(t *testing.T) {
	analyze, strace := tool(t, "systemd-analyze"), tool(t, "strace")
	_, text := unit(t, "ostiary.service")
	allowed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(text, -1) {
		for _, set := range strings.Fields(m[2]) {
			for _, call := range callsOf(t, analyze, set) {
				allowed[call] = m[1] == ""
			}
		}
	}
	if len(allowed) < 200 || !allowed["read"] || allowed["chroot"] {
		t.Fatalf("%d calls are allowed", len(allowed))
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	address := processtest.FreeAddress(t)
	data := filepath.Join(dir, "data")
	cmd := exec.Command(strace, "-f", "-qq", "-o", trace, processtest.Binary(t), "serve", "--data", data, "--listen", address)
	log, _ := start(t, cmd)
	work(t, "http://"+address, data, log)
	children, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/" + strconv.Itoa(cmd.Process.Pid) + "/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(children)) { // strace goes with the server
		run(t, "", "kill", "-TERM", pid)
	}
	if err := cmd.Process.Release(); err != nil {
		t.Log(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^[0-9]+ +([a-z_0-9]+)\(`).FindAllStringSubmatch(read(t, trace), -1) {
		seen[m[1]] = true
	}
	if len(seen) < 30 || !seen["fdatasync"] && !seen["fsync"] {
		t.Fatalf("seen: %v", seen)
	}
	// The Go runtime asks for more files; it takes a refusal, and LimitNOFILE has given them.
	seen["prlimit64"] = false
	if os.Getuid() == 0 { // then SQLite gives its files to whom the database belongs
		seen["fchown"] = false
	}
	for call, was := range seen {
		if was && !allowed[call] {
			t.Errorf("the server calls %s, which the unit does not let it", call)
		}
	}
}

// callsOf are the system calls of a set, and of the sets in it.
func callsOf(t *testing.T, analyze, set string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(set, "@") {
		return []string{set}
	}
	for line := range strings.Lines(run(t, "", analyze, "syscall-filter", "--no-pager", set)) {
		word := strings.TrimSpace(line)
		if !strings.HasPrefix(line, " ") || word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		calls = append(calls, callsOf(t, analyze, word)...)
	}
	return calls
}
