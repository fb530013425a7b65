package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// In a planned brownout a mount answers 503 until it is over, and charges nothing; the tokens
// that it gave stay good, and so do the other mounts. A reload brings it back.
func TestServe_Brownout(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "ostiary.toml")
	write := func(nomic string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[[mount]]\ndialect = \"senmo\"\n[[mount]]\ndialect = \"nomic\"\n"+nomic), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sunset = \"2020-01-31\"\n")
	p := serve(t, data, "--config", file)
	must(t, "a password of ada's own", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	nomic := func(password string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, p.url+"/api/auth/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ada", password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(res.Body)
		return res.StatusCode, res.Header, text.String()
	}
	status, header, text := nomic("a password of ada's own")
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 || header.Get("Sunset") != "Fri, 31 Jan 2020 00:00:00 GMT" || header.Get("Deprecation") != "" {
		t.Fatalf("%d %v %s", status, header, text)
	}
	p.waitFor(t, `a mount is served after its sunset.*nomic`)
	if out, _, code := command(t, "", "doctor", "--data", data, "--config", file); !strings.Contains(out, "nomic is served, and was to end on 2020-01-31") || code != 0 {
		t.Errorf("doctor: %d %s", code, out)
	}

	write(fmt.Sprintf("brownouts = [%q]\n", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)+"/2h"))
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `a planned brownout: the mount answers 503.*mount=nomic`)
	for range 7 { // more than the free guesses
		status, header, text = nomic("wrong")
		if status != 503 || len(header.Get("Retry-After")) != 4 || !strings.Contains(text, `"error":"Service Unavailable"`) {
			t.Fatalf("%d %v %s", status, header, text)
		}
	}
	if status, answer := login(t, p.url, "ada", "a password of ada's own"); status != 200 {
		t.Errorf("another mount: %d %s", status, answer)
	}
	if status, _, err := post(http.DefaultClient, p.url+"/ostiary/verify", "", "Authorization", "Bearer "+answer.Token); err != nil || status != 200 {
		t.Errorf("a token of before: %d, %v", status, err)
	}
	write("")
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `a planned brownout is over.*mount=nomic`)
	if status, header, _ = nomic("a password of ada's own"); status != 200 || header.Get("Sunset") != "" {
		t.Errorf("after it: %d %v", status, header)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "", "usage", "--data", data, "--dialect", "nomic", "--json"); !strings.Contains(out, `"brownout":7,"signed_in":2`) {
		t.Error(out)
	}
}

func TestBrownouts_Said(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 12, 10, 10, minute, 0, 0, time.UTC) }
	log := new(bytes.Buffer)
	s := &server{log: slog.New(slog.NewTextHandler(log, nil))}
	s.site.Store(&site{mounts: []*auth.Mount{
		{Dialect: "nomic", Prefix: "/eu", Notice: auth.Notice{Brownouts: []auth.Window{{From: at(5), Until: at(10)}, {From: at(10), Until: at(12)}}}},
		{Dialect: "senmo"},
	}})
	away := map[string]time.Time{}
	for minute, want := range []string{3: "", 4: "", 5: "answers 503", 6: "", 9: "", 10: "answers 503", 11: "", 12: "is over", 13: ""} {
		log.Reset()
		s.sayBrownouts(away, at(minute))
		if got := log.String(); (want == "") != (got == "") || !strings.Contains(got, want) || want != "" && !strings.Contains(got, `mount="nomic at /eu"`) {
			t.Errorf("minute %d: %q", minute, got)
		}
	}
}
