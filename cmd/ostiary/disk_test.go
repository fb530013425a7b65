package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const diskPass = "a long walk on the beach 7"

// faulty sees what a server makes of a disk that fails: break makes it fail, and mend heals
// it. Meanwhile nothing is let in that is not stored, nothing is called wrong that could not
// be stored either, and what is there can be read; afterwards it goes on by itself with all
// that it had acknowledged, and with nothing that it had not. The log says what to do.
func faulty(t *testing.T, data, do string, broken func(p *process) (mend func())) {
	t.Helper()
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	status, before := login(t, p.url, "ada", diskPass)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, before)
	}
	acknowledged := []string{accessOf(before)}
	mend := broken(p)
	mended := false
	defer func() {
		if !mended {
			mend()
		}
	}()
	refused := 0
	for i := 0; refused < 12; i++ {
		if i == 400 {
			t.Fatalf("only %d of %d logins were refused", refused, i)
		}
		switch status, answer := login(t, p.url, "ada", diskPass); status {
		case http.StatusOK: // there was still room for it
			acknowledged = append(acknowledged, accessOf(answer))
		case http.StatusServiceUnavailable:
			refused++
		default:
			t.Errorf("a login: %d %s", status, answer)
		}
	}
	for what, ask := range map[string]func() (int, string, error){
		"a wrong password": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/v1/auth", `{"username":"ada","password":"another walk on the beach"}`)
		},
		"an unknown name": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/user/login", `{"email":"nobody","password":"another walk on the beach"}`)
		},
		"a ticket": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/user/login", jsonOf("email", "ada", "password", diskPass))
		},
		"cloudio": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/v1/auth", "", "Authorization", "Token "+basicOf("ada", diskPass))
		},
		"nomic": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/api/auth/token", "", "Authorization", "Basic "+basicOf("ada", diskPass))
		},
		"a logout": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/ostiary/logout", "", "Authorization", "Bearer "+acknowledged[0])
		},
		"a new password": func() (int, string, error) {
			return post(http.DefaultClient, p.url+"/ostiary/password", jsonOf("current", diskPass, "new", "another walk on the beach"), "Authorization", "Bearer "+acknowledged[0])
		},
	} {
		if status, answer, err := ask(); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s, %v", what, status, answer, err)
		}
	}
	if _, errOut, status := command(t, diskPass, "account", "create", "--data", data, "--username", "eve", "--password-stdin"); status != 1 || strings.Count(errOut, "\n") != 1 {
		t.Logf("account create, beside: %d %s", status, errOut) // a process that the fault does not reach
	}
	if status := get(t, p.url+"/ostiary/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if status := get(t, p.url+"/ostiary/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	if status := get(t, p.url+"/ostiary/whoami", "Authorization: Bearer "+acknowledged[0]); status != http.StatusOK && status != http.StatusServiceUnavailable {
		t.Errorf("whoami: %d", status)
	}
	mend()
	mended = true
	recovered := false
	for range 100 {
		if recovered = get(t, p.url+"/ostiary/readyz") == http.StatusOK; recovered {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !recovered {
		t.Fatalf("not ready ten seconds after:\n%s", p.err.String())
	}
	if status, answer := login(t, p.url, "ada", diskPass); status != http.StatusOK {
		t.Fatalf("after it: %d %s", status, answer)
	} else {
		acknowledged = append(acknowledged, accessOf(answer))
	}
	for _, token := range acknowledged {
		if status := get(t, p.url+"/ostiary/whoami", "Authorization: Bearer "+token); status != http.StatusOK {
			t.Errorf("a session that was acknowledged: %d", status)
		}
	}
	list := must(t, "", "session", "list", "--data", data, "--json")
	if n := strings.Count(list, "\n"); n != len(acknowledged) {
		t.Errorf("%d sessions, %d were acknowledged", n, len(acknowledged))
	}
	signedIn := must(t, "", "audit", "list", "--data", data, "--json", "--kind", "signed_in")
	if n := strings.Count(signedIn, "\n"); n != len(acknowledged) {
		t.Errorf("the audit log has %d logins, %d were acknowledged", n, len(acknowledged))
	}
	if show := must(t, "", "account", "show", "ada", "--data", data); strings.Contains(show, "must wait") {
		t.Errorf("what was not checked was counted:\n%s", show)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	out, errOut, _ := command(t, "", "doctor", "--data", data)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "wrong") && !strings.Contains(line, "disk") { // which is small
			t.Errorf("doctor: %s%s", out, errOut)
		}
	}
	if text := p.err.String(); !strings.Contains(text, "status=503") || !strings.Contains(text, "ostiary.db: store: ") || !strings.Contains(text, do) {
		t.Errorf("the log does not say why:\n%s", text)
	}
}

func accessOf(answer string) string {
	_, rest, _ := strings.Cut(answer, `"accessToken":"`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

// get asks, and returns the status of the answer.
func get(t testing.TB, url string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestThreat64_DiskFull(t *testing.T) {
	dir := smallDisk(t, "6m")
	faulty(t, filepath.Join(dir, "data"), "the disk of the database is full: free space on it", func(*process) func() {
		ballast := filepath.Join(dir, "ballast")
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 4096)
		for err == nil {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		f.Close()
		return func() {
			if err := os.Remove(ballast); err != nil {
				t.Error(err)
			}
		}
	})
}

// failSyncs has each sync of a process fail, or only those of a file, until it is called off.
func failSyncs(t *testing.T, p *process, only ...string) (mend func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("makes a disk fail by strace")
	}
	if out, err := exec.Command(strace, "-qq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v: %s", err, out)
	}
	seen := filepath.Join(t.TempDir(), "strace")
	args := []string{"-f", "-qq", "-o", seen, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p", fmt.Sprint(p.Cmd.Process.Pid)}
	for _, file := range only {
		args = append(args, "-P", file)
	}
	cmd := exec.Command(strace, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it detaches
		_ = cmd.Wait()
		if text, err := os.ReadFile(seen); err != nil || !strings.Contains(string(text), "EIO") {
			t.Errorf("no sync failed: %v", err)
		}
	}
}

// A disk that takes what is written, and then fails to keep it: each sync is an error.
func TestThreat64_IOError(t *testing.T) {
	faulty(t, filepath.Join(t.TempDir(), "data"), "the disk of the database fails, or a quota is reached: ", func(p *process) func() { return failSyncs(t, p) })
}

// If the database has not kept what was copied into it from the log, the server ends before
// it can forget the log, and the next one copies all of it.
func TestThreat64_SyncOfDatabase(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	mend := failSyncs(t, p, filepath.Join(data, "ostiary.db"))
	var acknowledged []string
	ended := false
	for i := 0; i < 1000 && !ended; i++ {
		status, answer, err := post(http.DefaultClient, p.url+"/v1/auth", jsonOf("username", "ada", "password", diskPass))
		if err == nil && status == http.StatusOK {
			acknowledged = append(acknowledged, accessOf(answer))
		}
		ended = err != nil
	}
	if !ended {
		t.Fatalf("%d logins, and the server runs", len(acknowledged))
	}
	if err := p.Stopped(); err == nil {
		t.Error("it ended as if nothing had happened")
	}
	mend()
	if text := p.err.String(); !strings.Contains(text, "has not kept what was copied into it") {
		t.Errorf("it does not say why:\n%s", text)
	}
	p = serve(t, data)
	if len(acknowledged) == 0 {
		t.Error("no login was acknowledged")
	}
	for _, token := range acknowledged {
		if status := get(t, p.url+"/ostiary/whoami", "Authorization: Bearer "+token); status != http.StatusOK {
			t.Errorf("a session that was acknowledged: %d", status)
		}
	}
}
