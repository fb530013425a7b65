package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// released builds the binary with the flags of make build.
func released(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ostiary")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags=nopgxregisterdefaulttypes", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// mostBytes is what the released binary may have (docs/adr/0015-small-binary.md).
const mostBytes = 25_000_000

func TestBinary_Released(t *testing.T) {
	path := released(t)
	t.Run("size", func(t *testing.T) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > mostBytes {
			t.Errorf("the binary has %d bytes, and may have %d: go build -ldflags=-dumpdep tells what the linker keeps, and why", info.Size(), mostBytes)
		}
	})
	t.Run("stacks", func(t *testing.T) { stacksOfLogins(t, path) })
}

// A login that waits for a hash has a stack of 16 KiB, and that of the goroutine which sees whether its client hangs
// up, of 8. One kilobyte more, at its deepest, and it had 32 (docs/adr/0017-logins-under-load.md).
func stacksOfLogins(t *testing.T, path string) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the compiler makes frames of another size for this system; they were measured on linux/amd64, where this runs")
	}
	t.Setenv("GOMAXPROCS", "2") // each processor keeps stacks for the next goroutines
	t.Setenv("PATH", filepath.Dir(path)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	const many, mostEach = 150, 29 << 10
	for dialect, login := range map[string]struct{ request, header, body string }{
		"cloudio":    {"POST /v1/auth", "Authorization: Token " + base64.StdEncoding.EncodeToString([]byte("ada:"+diskPass)), ""},
		"mikrocloud": {"POST /user/login", "Content-Type: application/json", `{"email":"ada@example.com","password":"` + diskPass + `"}`},
		"senmo":      {"POST /v1/auth", "Content-Type: application/json", `{"username":"ada","password":"` + diskPass + `"}`},
		"nomic":      {"POST /api/auth/token", "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+diskPass)), ""},
	} {
		request := fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n%s", login.request, login.header, len(login.body), login.body)
		t.Run(dialect, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "ostiary.toml")
			settings := "guess_account = 0\nguess_source = 0\nguess_factor = 0\nsource_requests = 1024\nhash_slots = 1\nhash_wait = \"30s\"\n[[mount]]\ndialect = %q\n"
			if err := os.WriteFile(config, fmt.Appendf(nil, settings, dialect), 0o600); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(t.TempDir(), "data")
			p := serve(t, data, "--config", config, "--admin-listen", "127.0.0.1:0")
			must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--email", "ada@example.com", "--password-stdin")
			stacks := func() float64 {
				_, text := fetch(t, p.admin(t)+"/metrics")
				return metric(t, text, "go_memstats_stack_inuse_bytes")
			}
			before, answered := stacks(), make(chan string, many)
			if before <= 0 {
				t.Fatalf("%.0f bytes of stacks", before)
			}
			for range many {
				conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				go func() {
					from, status := bufio.NewReader(conn), ""
					for range 2 { // after the first, a stack is as large as all of a login needs
						_, _ = io.WriteString(conn, request)
						res, err := http.ReadResponse(from, nil)
						if err != nil {
							status = err.Error()
							break
						}
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
						status += res.Status
					}
					answered <- status
				}()
			}
			var each []float64
			for len(answered) < many {
				each = append(each, (stacks()-before)/many)
				time.Sleep(20 * time.Millisecond)
			}
			for range many {
				if status := <-answered; status != "200 OK200 OK" {
					t.Fatalf("the answers were %q", status)
				}
			}
			slices.Sort(each)
			high := each[len(each)*9/10] // of the samples; the collector's work may show in a few
			if high > mostEach {
				t.Errorf("the stacks of each login have %.0f bytes, and may have %d", high, mostEach)
			}
			t.Logf("the stacks of each login had %.0f bytes, at the most %.0f", high, each[len(each)-1])
		})
	}
}
