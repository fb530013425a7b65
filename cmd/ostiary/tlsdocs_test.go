package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/acme/acmetest"
)

var shownTLS = regexp.MustCompile("(?ms)^```(sh|toml)\n(.*?)^```$")

// TestDocs_TLS runs the configurations and commands of docs/tls.md as they are written, but
// for the addresses, the directory of files, and the CA.
func TestDocs_TLS(t *testing.T) {
	page, err := os.ReadFile("../../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	var settings, commands []string
	for _, b := range shownTLS.FindAllStringSubmatch(string(page), -1) {
		if b[1] == "toml" {
			settings = append(settings, b[2])
		} else {
			commands = append(commands, b[2])
		}
	}
	if len(settings) != 3 || len(commands) != 2 {
		t.Fatalf("%d configurations, %d pieces of commands", len(settings), len(commands))
	}
	// run starts a server with a configuration; texts to replace come in pairs.
	run := func(t *testing.T, text, listen string, replace ...string) *process {
		t.Helper()
		file := filepath.Join(t.TempDir(), "ostiary.toml")
		text = strings.NewReplacer(append(replace, "0.0.0.0:443", listen, "10.0.0.5:8080", listen)...).Replace(text)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return serve(t, filepath.Join(t.TempDir(), "data"), "--config", file, "--listen", listen)
	}
	t.Run("Files", func(t *testing.T) {
		if _, err := exec.LookPath("openssl"); err != nil && os.Getenv("TEST_PEERS") != "1" {
			t.Skip(err)
		}
		dir, listen := t.TempDir(), acmetest.FreeAddress(t)
		script := "set -e\ntrap 'kill $(jobs -p)' EXIT\n" + strings.Join(commands, "")
		script = strings.NewReplacer("127.0.0.1:8443", listen, ":8443", listen[strings.LastIndex(listen, ":"):]).Replace(script)
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil || string(out) != "readyTLS 1.1 is refused\n" {
			t.Fatalf("%v: %s", err, out)
		}
		p := run(t, settings[0], acmetest.FreeAddress(t), "/etc/ostiary", dir)
		if _, err := handshake(strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Error(err)
		}
	})
	t.Run("ACME", func(t *testing.T) {
		listen, plain := acmetest.FreeAddress(t), acmetest.FreeAddress(t)
		ca := acmetest.New(t, acmetest.Options{TLSPort: portOf(t, listen), HTTPPort: portOf(t, plain)})
		ca.Start(t)
		text := settings[1] + "acme_directory = \"" + ca.Directory + "\"\nacme_root = \"" + ca.RootFile + "\"\n"
		trusted(t, run(t, text, listen, "0.0.0.0:80", plain), ca.Issuer(t))
	})
	t.Run("Proxy", func(t *testing.T) {
		p := run(t, settings[2], acmetest.FreeAddress(t))
		if status, _, err := post(http.DefaultClient, p.url+"/ostiary/healthz", ""); err != nil || status != http.StatusForbidden {
			t.Errorf("a peer that is no proxy: %d, %v", status, err)
		}
	})
}
