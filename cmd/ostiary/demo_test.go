package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var curlLine = regexp.MustCompile(`(?m)^# (\w+): .*\n(curl .*)$`)

// The lines that the demo prints, pasted into a shell as they are.
func TestDemo_CurlLinesWork(t *testing.T) {
	shells := []string{"sh", "bash", "zsh"}
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("no curl here")
	}
	config := filepath.Join(t.TempDir(), "ostiary.toml")
	text := "[[mount]]\ndialect = \"nomic\"\nhost = \"login.example.com\"\nprefix = \"/game\"\n[[mount]]\ndialect = \"senmo\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	want := map[string]string{
		"cloudio": `"status":"OK"}`, "mikrocloud": `{"message":"Login Successful","auth_token":"`,
		"nomic": `{"isSuccess":true,"token":"`, "senmo": `{"statusCode":200,"statusMessage":"OK",`,
	}
	first := ""
	for _, c := range []struct {
		name  string
		args  []string
		count int
	}{
		{"the four at the root", []string{"--data", data}, 4},
		{"the next start", []string{"--data", data}, 4},
		{"a host and a prefix", []string{"--data", data, "--config", config}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := serve(t, c.args[1], append(c.args[2:], "--demo")...)
			defer p.Kill()
			lines := demoLines(t, p, c.count)
			if lines[0][2] == first {
				t.Error("the passwords are those of the start before")
			}
			first = lines[0][2]
			for _, line := range lines {
				for _, shell := range shells {
					path, err := exec.LookPath(shell)
					if err != nil {
						continue
					}
					out, err := exec.Command(path, "-c", line[2]).Output()
					if err != nil || !strings.Contains(string(out), want[line[1]]) {
						t.Errorf("%s, %s: %v: %s", line[1], shell, err, out)
					}
				}
			}
		})
	}
}

func demoLines(t *testing.T, p *process, count int) [][]string {
	t.Helper()
	for range 500 {
		if lines := curlLine.FindAllStringSubmatch(p.out.String(), -1); len(lines) == count {
			return lines
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not %d curl lines:\n%s", count, p.out.String())
	return nil
}

// What somebody tried out with a demo account does not keep the next demo from working.
func TestDemo_StartsAfresh(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--demo")
	must(t, "", "account", "disable", "senmo-demo", "--data", data)
	must(t, "", "mfa", "enroll", "senmo-demo", "--data", data)
	must(t, "", "role", "delete", "demo", "--data", data)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	p = serve(t, data, "--demo")
	line := demoLines(t, p, 4)[3][2]
	body := line[strings.Index(line, "-d '")+4 : strings.LastIndex(line, "' ")]
	if status, answer, err := post(http.DefaultClient, p.url+"/v1/auth", body); err != nil || status != http.StatusOK {
		t.Errorf("%v %d %s", err, status, answer)
	}
	out := must(t, "", "account", "show", "senmo-demo", "--json", "--data", data)
	for _, part := range []string{`"mfa":"none"`, `"roles":["demo"],"datasources":["demo"]`} {
		if !strings.Contains(out, part) {
			t.Errorf("no %s in %s", part, out)
		}
	}
}
