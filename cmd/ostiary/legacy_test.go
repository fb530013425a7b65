package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// oldServer is a login server that answers by fn, with TLS.
func oldServer(t *testing.T, fn http.HandlerFunc) (s *httptest.Server, ca string) {
	t.Helper()
	s = httptest.NewUnstartedServer(fn)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The doctor connects to each legacy server, and sends it nothing.
func TestDoctor_ReachesLegacyServers(t *testing.T) {
	var asked atomic.Int32
	s, ca := oldServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	dir, config := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "ostiary.toml")
	p := serve(t, dir)
	address := strings.TrimPrefix(p.url, "http://")
	for _, c := range []struct{ name, mount, state, text, do string }{
		{"its CA", fmt.Sprintf("legacy = %q\nlegacy_ca = %q", s.URL, ca), fine, s.URL + " can be reached; no login was tried there", ""},
		{"no CA", fmt.Sprintf("legacy = %q", s.URL), wrong, "certificate", "legacy_ca"},
		{"CA that is none", fmt.Sprintf("legacy = %q\nlegacy_ca = %q", s.URL, config), wrong, "has no certificate in PEM", "give legacy_ca a file"},
		{"CA that is not there", fmt.Sprintf("legacy = %q\nlegacy_ca = %q", s.URL, ca+".none"), wrong, "no such file", "give legacy_ca a file"},
		{"nothing", fmt.Sprintf("legacy = \"http://%s\"", free(t)), wrong, "refused", "see that it runs"},
	} {
		writeConfig(t, config, "[[mount]]\ndialect = \"senmo\"\n"+c.mount+"\n")
		found, status := diagnose(t, "--data", dir, "--listen", address, "--config", config)
		if !has(found, c.state, "legacy server of mount 1 (senmo)", c.text, c.do) || (c.state == wrong) != (status == 1) {
			t.Errorf("%s: %d %+v", c.name, status, found)
		}
	}
	other, _ := oldServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	both := "[[mount]]\ndialect = \"senmo\"\nlegacy = %q\nlegacy_ca = %q\n[[mount]]\ndialect = \"senmo\"\nprefix = \"/b\"\nlegacy = %q\nlegacy_ca = %q\n"
	for second, want := range map[string]string{s.URL + "/": fine, other.URL: warn} {
		writeConfig(t, config, fmt.Sprintf(both, s.URL, ca, second, ca))
		found, _ := diagnose(t, "--data", dir, "--listen", address, "--config", config)
		text, do := second+" can be reached", ""
		if want == warn {
			text, do = "mount 1 takes over from "+s.URL+", and to one realm both are one server of senmo", "give each a realm of its own"
		}
		if !has(found, want, "legacy server of mount 2 (senmo)", text, do) {
			t.Errorf("two mounts, %s: %+v", second, found)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("it was asked %d times", asked.Load())
	}
}

// What cannot be used ends the start, and a reload changes nothing then.
func TestServe_LegacyCA(t *testing.T) {
	config := filepath.Join(t.TempDir(), "ostiary.toml")
	for ca, want := range map[string]string{config: "has no certificate in PEM", config + ".none": "no such file or directory"} {
		writeConfig(t, config, fmt.Sprintf("[[mount]]\ndialect = \"senmo\"\nlegacy = \"https://old.example.com\"\nlegacy_ca = %q\n", ca))
		_, errOut, status := command(t, "", "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--config", config)
		if status != 2 || !strings.Contains(errOut, "mount 1 (senmo): legacy_ca") || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") > 2 {
			t.Errorf("%d %s", status, errOut)
		}
	}
}

// A server that fails stays left alone over a reload that changes nothing of it.
func TestReload_KeepsTheBreaker(t *testing.T) {
	var asked atomic.Int32
	s, ca := oldServer(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "240")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	config := filepath.Join(t.TempDir(), "ostiary.toml")
	mount := fmt.Sprintf("[[mount]]\ndialect = \"senmo\"\nlegacy = %q\nlegacy_ca = %q\n", s.URL, ca)
	writeConfig(t, config, mount)
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--config", config)
	try := func() (int32, string) {
		status, answer := login(t, p.url, "steve", "x")
		if status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", status, answer)
		}
		return asked.Load(), answer
	}
	for range 5 {
		try()
	}
	if n, answer := try(); n != 5 || !strings.Contains(answer, `"statusCode":503`) {
		t.Errorf("asked %d times; %s", n, answer)
	}
	p.waitFor(t, "is left alone for a while")
	reload := func(text string, done int) {
		writeConfig(t, config, text)
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, fmt.Sprintf("(?s)(configuration reloaded.*){%d}", done))
	}
	reload("log_level = \"debug\"\n"+mount, 1)
	if n, _ := try(); n != 5 {
		t.Errorf("a reload has it asked %d times", n)
	}
	reload(mount+"legacy_timeout = \"6s\"\n", 2)
	if n, _ := try(); n != 6 {
		t.Errorf("with other settings it was asked %d times", n)
	}
}

// A legacy server that is this one is asked once, and not on and on.
func TestServe_LegacyIsItself(t *testing.T) {
	config := filepath.Join(t.TempDir(), "ostiary.toml")
	writeConfig(t, config, "[[mount]]\ndialect = \"senmo\"\n")
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--config", config)
	for i, mode := range []string{"own", "shadow"} {
		writeConfig(t, config, fmt.Sprintf("[[mount]]\ndialect = \"senmo\"\nlegacy = %q\nmode = %q\n", p.url, mode))
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, fmt.Sprintf("(?s)(configuration reloaded.*){%d}", i+1))
		if status, answer := login(t, p.url, "steve", "x"); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", mode, status, answer)
		}
		p.waitFor(t, fmt.Sprintf("(?s)(path=/v1/auth.*){%d}", 2*(i+1)))
		if log, n := p.err.String(), 2*(i+1); strings.Count(log, "path=/v1/auth") != n || strings.Count(log, "this server has sent this request to itself") != i+1 {
			t.Errorf("%s: not %d requests:\n%s", mode, n, log)
		}
	}
}

// Nor are realms that name each other, whichever is asked, and however far it is around.
func TestServe_LegacyOfEachOther(t *testing.T) {
	config, data := filepath.Join(t.TempDir(), "ostiary.toml"), filepath.Join(t.TempDir(), "data")
	writeConfig(t, config, "[[mount]]\ndialect = \"senmo\"\n")
	p := serve(t, data, "--config", config)
	text := ""
	for realm, next := range map[string]string{"a": "b", "b": "c", "c": "a"} {
		must(t, "", "realm", "create", realm, "--data", data)
		text += fmt.Sprintf("[[mount]]\ndialect = \"senmo\"\nprefix = \"/%s\"\nrealm = %q\nlegacy = %q\n", realm, realm, p.url+"/"+next)
	}
	writeConfig(t, config, text)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "configuration reloaded")
	for i, realm := range []string{"a", "b", "c"} {
		if status, answer := login(t, p.url+"/"+realm, "steve", "x"); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", realm, status, answer)
		}
		p.waitFor(t, fmt.Sprintf("(?s)(path=/./v1/auth.*){%d}", 2*(i+1)))
		if log, n := p.err.String(), 2*(i+1); strings.Count(log, "/v1/auth ") != n || strings.Count(log, "this server has sent this request to itself") != i+1 {
			t.Errorf("%s: not %d requests:\n%s", realm, n, log)
		}
	}
}
