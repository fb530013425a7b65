package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
)

// A process that a test starts is this binary, too, and takes small transactions if it is told.
func init() {
	if n, err := strconv.Atoi(os.Getenv("TEST_IMPORT_LINES")); err == nil {
		importLines = n
	}
}

// emptyStore is a data directory without accounts.
func emptyStore(t testing.TB) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// bare are the accounts of a store, without what an import makes anew.
func bare(t *testing.T, data string, id age.Identity) (lines []exportedAccount, secrets []accountSecrets) {
	t.Helper()
	args := []string{"account", "export", "--data", data}
	if key, ok := id.(*age.X25519Identity); ok {
		args = append(args, "--recipient", key.Recipient().String())
	}
	for _, line := range exportLines(t, must(t, "", args...)) {
		var s accountSecrets
		if line.Sealed != "" {
			s = unseal(t, line, id)
		}
		line.ID, line.Sealed = [16]byte{}, ""
		lines, secrets = append(lines, line), append(secrets, s)
	}
	return lines, secrets
}

// TestAccountImport_RoundTrip takes all accounts to another store: an export there is the same.
func TestAccountImport_RoundTrip(t *testing.T) {
	from, _, _, _ := exportEstate(t)
	mine, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	more := writeFile(t, "more.jsonl", randomAccounts(60))
	must(t, "", "account", "import", more, "--data", from, "--create-roles", "--apart")
	file := filepath.Join(t.TempDir(), "export.jsonl")
	must(t, "", "account", "export", file, "--data", from, "--recipient", mine.Recipient().String())
	to := emptyStore(t)
	if _, stderr, status := command(t, "", "account", "import", file, "--data", to, "--create-roles"); status != 1 || !strings.Contains(stderr, "--identity") {
		t.Errorf("without the key: %d %s", status, stderr)
	}
	key := writeFile(t, "export.key", mine.String()+"\n")
	out := must(t, "", "account", "import", file, "--data", to, "--create-roles", "--identity", key)
	lines, secrets := bare(t, from, mine)
	gotLines, gotSecrets := bare(t, to, mine)
	if len(lines) != 63 || !reflect.DeepEqual(lines, gotLines) || !reflect.DeepEqual(secrets, gotSecrets) {
		t.Errorf("%d accounts are %d others:\n%+v\n%+v\n%+v\n%+v\n%s", len(lines), len(gotLines), lines, gotLines, secrets, gotSecrets, out)
	}
	again := must(t, "", "account", "import", file, "--data", to, "--identity", key)
	if !strings.Contains(again, "twice  63\n") {
		t.Errorf("once more:\n%s", again)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	wrong := writeFile(t, "other.key", other.String())
	if out, _, status := command(t, "", "account", "import", file, "--data", emptyStore(t), "--create-roles", "--identity", wrong); status != 1 || !strings.Contains(out, "no key of --identity opens it") {
		t.Errorf("with another key: %d %s", status, out)
	}
}

// randomAccounts are accounts with any of the members; some of their names are those of others.
func randomAccounts(n int) string {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var b strings.Builder
	some := func(of ...any) any { return of[r.IntN(len(of))] }
	hash := "$2b$10$hMkzXvTVT78pswb7b7I4Vena8Pcp3wTyVRgCjyzdPkPP.SCr4nHQi"
	for i := range n {
		line := map[string]any{"username": fmt.Sprint("user", i), "org": some("", "acme", "Æther \"&\" <co>"), "display_name": some("", "🦊 x")}
		if r.IntN(2) == 0 {
			line["email"], line["email_verified"] = fmt.Sprintf("user%d@example.com", i), some(true, false)
		}
		if r.IntN(3) == 0 {
			line["number"] = 1000 + 7*i
		}
		line["roles"], line["disabled"] = some([]string{}, []string{"clerk"}, []string{"clerk", "a:b"}), some(false, false, true)
		line["aliases"] = some(map[string]string{}, map[string]string{"nomic": fmt.Sprint("old ", i), "senmo": fmt.Sprint("s", i)})
		switch r.IntN(5) {
		case 0:
			line["password_hash"] = hash
		case 1:
			line["password_hash"], line["source"] = hash, "nomic"
		case 2:
			line["pending"], line["source"] = true, "mikrocloud"
		case 3:
			line["username"], line["source"], line["password_hash"] = "Ada", "cloudio", hash
			if i%2 == 0 {
				line["source"], line["username"] = "senmo", fmt.Sprint("user", i)
			}
			if line["source"] == "cloudio" && strings.Contains(b.String(), `"Ada"`) {
				line["username"] = fmt.Sprint("user", i)
			}
		}
		if r.IntN(4) == 0 {
			line["totp_secret"], line["recovery_codes"] = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", []string{fmt.Sprint("code-", i, "-one"), "Code.Two!"}
		}
		text, _ := json.Marshal(line)
		b.Write(append(text, '\n'))
	}
	return b.String()
}

// TestAccountImport_LongLine has lines that are too long for memory, and what editors add.
func TestAccountImport_LongLine(t *testing.T) {
	data := emptyStore(t)
	long := `{"username":"long","org":"` + strings.Repeat("x", 10<<20) + `"}`
	text := "{\"username\":\"ada\"}\r\n" + long + "\n\n{\"username\":\"bob\"}\n" + long + "\n{\"username\":\"e\x00ve\"}\n{\"username\":\"zoe\"}"
	rejects := filepath.Join(t.TempDir(), "rejects.jsonl")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, stderr, status := command(t, text, "account", "import", "-", "--data", data, "--rejects", rejects)
	runtime.ReadMemStats(&after)
	if status != 1 || !strings.Contains(stderr, "standard input, line 2: the line is longer than 1 MiB (and 2 lines more)") || !regexp.MustCompile(`(?m)^made +3$`).MatchString(out) {
		t.Errorf("%d %s%s", status, stderr, out)
	}
	lines, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"line":2,"reason":"the line is longer than 1 MiB","text":"{\"username\":\"long\",\"org\":\"` + strings.Repeat("x", importCut-26) + `","cut":true}` + "\n"
	if !strings.HasPrefix(string(lines), want) || !strings.Contains(string(lines), `{"line":6,"reason":"the line has a zero byte","text":"{\"username\":\"e\u0000ve\"}"}`) {
		t.Errorf("rejects: %.2500s", lines)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 60<<20 { // 20 of them are the text's own
		t.Errorf("%d MiB for lines of which none is kept", used>>20)
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "ostiary-import-*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// importing starts an import as a process of its own, and waits until some of it is there.
func startImport(t *testing.T, data, file string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("ostiary")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "account", "import", file, "--data", data)
	cmd.Env = append(os.Environ(), "TEST_IMPORT_LINES=20")
	cmd.Stderr = &bytes.Buffer{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(2 * time.Millisecond) {
		if must(t, "", "audit", "list", "--data", data, "--kind", "accounts_imported", "--json") != "" {
			return cmd
		}
	}
	t.Fatal("nothing was imported")
	return nil
}

func manyAccounts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"username":"user%d","email":"user%d@example.com","aliases":{"nomic":"old %d"}`, i, i, i)
		if i%10 == 3 {
			fmt.Fprintf(&b, `,"number":%d`, i+500)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// TestAccountImport_Killed kills an import, or interrupts it, and gives the command again: the
// store is as without that.
func TestAccountImport_Killed(t *testing.T) {
	const n = 1200
	file := writeFile(t, "many.jsonl", manyAccounts(n))
	whole := emptyStore(t)
	importLines = 20
	defer func() { importLines = 10_000 }()
	must(t, "", "account", "import", file, "--data", whole)
	want, _ := bare(t, whole, nil)
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		data := emptyStore(t)
		cmd := startImport(t, data, file)
		_ = cmd.Process.Signal(sig)
		err := cmd.Wait()
		said := fmt.Sprint(cmd.Stderr)
		part, _ := bare(t, data, nil)
		if err == nil || len(part) == 0 || len(part)%20 != 0 || len(part) >= n {
			t.Fatalf("%v: %v, %d accounts %s", sig, err, len(part), said)
		}
		if sig == syscall.SIGINT && !strings.Contains(said, fmt.Sprintf("ostiary: interrupted: the lines up to %d are imported; give the command again to go on\n", len(part))) {
			t.Errorf("after %d lines: %s", len(part), said)
		}
		must(t, "", "account", "import", file, "--data", data)
		if got, _ := bare(t, data, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %d accounts, and they differ", sig, len(got))
		}
	}
}

// TestAccountImport_Beside imports beside a server whose logins go on, and twice at the same time.
func TestAccountImport_Beside(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	n := 400
	if os.Getenv("TEST_FAULT") != "" {
		n = 100_000
	}
	file := writeFile(t, "many.jsonl", manyAccounts(n))
	done := make(chan string, 2)
	for range 2 {
		go func() {
			out, stderr, _ := command(t, "", "account", "import", file, "--data", data)
			done <- out + stderr
		}()
	}
	var slowest time.Duration
	made := 0
	for ended, logins := 0, 0; ended < 2 || logins < 5; logins++ {
		began := time.Now()
		if status, answer := login(t, p.url, "ada", diskPass); status != http.StatusOK {
			t.Fatalf("a login beside it: %d %s", status, answer)
		}
		slowest = max(slowest, time.Since(began))
		select {
		case out := <-done:
			var lines, now int
			if _, err := fmt.Sscanf(strings.ReplaceAll(out, ",", ""), "lines %d\nmade %d\n", &lines, &now); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			made += now
			ended++
		default:
		}
	}
	if made != n {
		t.Errorf("%d accounts were made", made)
	}
	t.Logf("the slowest login took %s", slowest)
}

// TestAccountImport_Million takes about a minute, and says how long.
func TestAccountImport_Million(t *testing.T) {
	if os.Getenv("TEST_FAULT") == "" {
		t.Skip("takes minutes; set TEST_FAULT=1 to run this test")
	}
	data := emptyStore(t)
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same each time
	for range 1_000_000 {
		name := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%010x", r.Uint64()))
		fmt.Fprintf(&b, `{"username":"%s","email":"%s@example.com","email_verified":true,"display_name":"Some Body","org":"acme","password_hash":"$2b$10$hMkzXvTVT78pswb7b7I4Vena8Pcp3wTyVRgCjyzdPkPP.SCr4nHQi"}`+"\n", name, name)
	}
	file := writeFile(t, "million.jsonl", b.String())
	before, began := cpuTime(), time.Now()
	out := must(t, "", "account", "import", file, "--data", data)
	took, cpu := time.Since(began), cpuTime()-before
	if !strings.Contains(out, "made   1,000,000\n") {
		t.Error(out)
	}
	t.Logf("%s, and %s of CPU", took, cpu)
	if cpu > 2*time.Minute {
		t.Errorf("%s of CPU: a machine of two cores needs more than a minute", cpu)
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestAccountImport_FullDisk: it is said which file had no room, and what is imported all the same.
func TestAccountImport_FullDisk(t *testing.T) {
	data, small := emptyStore(t), smallDisk(t, "4k")
	rejects := filepath.Join(small, "rejects")
	for _, c := range []struct {
		lines    int
		want     string
		imported int
	}{
		{5000, "--rejects: " + rejects + " can't be written: no space left on device\n", 0},
		{500, "--rejects: " + rejects + " can't be written: no space left on device; give the command again when that is mended: what is imported stays", 1},
	} {
		bad := strings.Repeat(`{"username":"eve","username":"mallory"}`+"\n", c.lines)
		_, errOut, status := command(t, `{"username":"ada"}`+"\n"+bad, "account", "import", "-", "--rejects", rejects, "--data", data)
		if status != 1 || !strings.Contains(errOut, c.want) {
			t.Errorf("%d lines: %d %s", c.lines, status, errOut)
		}
		if n := strings.Count(must(t, "", "account", "list", "--json", "--data", data), "\n"); n != c.imported {
			t.Errorf("%d lines: %d accounts", c.lines, n)
		}
		if left, err := os.ReadDir(small); err != nil || len(left) != 0 {
			t.Errorf("left: %v %v", left, err)
		}
	}
}
