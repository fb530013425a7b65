package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ostiary/ostiary/internal/processtest"
)

// TestMain makes this test binary the program itself where it is called ostiary, as
// which it is found in $PATH.
func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", quickExit); err != nil { // of the processes that the tests start
		panic(err)
	}
	testscript.Main(m, map[string]func(){"ostiary": main})
}

// quickExit keeps a process of the race detector from waiting a second before it ends.
const quickExit = "atexit_sleep_ms=0"

// process is a real server.
type process struct {
	*processtest.Process
	out     processtest.Log
	err     *processtest.Log
	url     string
	started time.Time
}

// begin starts a server on a port that is free.
func begin(ctx context.Context, dir string, env []string, args ...string) (*process, error) {
	path, err := exec.LookPath("ostiary")
	if err != nil {
		return nil, err
	}
	p := &process{started: time.Now()}
	cmd := exec.CommandContext(ctx, path, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout = dir, env, &p.out
	if p.Process, err = processtest.Start(cmd); err != nil {
		return nil, err
	}
	p.err = &p.Log
	return p, nil
}

// launch is begin, and waits until the server says its address.
func launch(ctx context.Context, dir string, env []string, args ...string) (*process, error) {
	p, err := begin(ctx, dir, env, args...)
	if err != nil {
		return nil, err
	}
	if _, p.url, err = p.Address(0); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// waitFor waits until the process has logged something that matches.
func (p *process) waitFor(t testing.TB, pattern string) string {
	t.Helper()
	found, err := p.Await(regexp.MustCompile(pattern), 0)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

// serve starts a server for a test.
func serve(t testing.TB, data string, args ...string) *process {
	t.Helper()
	p, err := launch(context.Background(), t.TempDir(), nil, append([]string{"--data", data}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// command runs the command line and returns its exit status.
func command(t testing.TB, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command("ostiary", args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// must is command for what has to work.
func must(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, errOut, status := command(t, stdin, args...)
	if status != 0 {
		t.Fatalf("ostiary %s: %d: %s", strings.Join(args, " "), status, errOut)
	}
	return out
}

// post sends JSON and returns the answer.
func post(client *http.Client, url, body string, headers ...string) (status int, answer string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// login signs in at senmo.
func login(t testing.TB, url, name, password string) (status int, answer string) {
	t.Helper()
	status, answer, err := post(http.DefaultClient, url+"/v1/auth", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func TestServe_StartTime(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	start := time.Now()
	cmd := exec.Command("ostiary", "serve", "--data", data, "--listen", l.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	for {
		res, err := http.Get("http://" + l.Addr().String() + "/ostiary/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("first answer: %d", res.StatusCode)
			}
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("from the start to the first 200 on an existing database: %s", time.Since(start).Round(time.Millisecond))
}

func TestServe_DrainsOnSIGTERM(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	// A request whose body has not all been sent is in flight when the signal comes.
	body := `{"username":"ada","password":"a password of ada"}`
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:10])
	time.Sleep(100 * time.Millisecond)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "msg=stopping")
	time.Sleep(100 * time.Millisecond)
	if _, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://")); err == nil {
		t.Error("takes new connections while it stops")
	}
	if _, err := io.WriteString(conn, body[10:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") {
		t.Errorf("the request in flight: %v: %.200s", err, answer)
	}
	<-p.Done
	if p.Failed != nil || !strings.Contains(p.err.String(), "msg=stopped") {
		t.Errorf("exit: %v\n%s", p.Failed, p.err.String())
	}
}

func TestServe_TwoFirstStartsAtOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	const many = 4
	processes := make([]*process, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			p, err := launch(context.Background(), t.TempDir(), nil, "--data", data)
			if err != nil {
				t.Error(err)
				return
			}
			processes[i] = p
		})
	}
	wg.Wait()
	defer func() {
		for _, p := range processes {
			if p != nil {
				p.Kill()
			}
		}
	}()
	if t.Failed() {
		return
	}
	must(t, "a password of ada", "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	for _, p := range processes {
		if strings.Contains(p.err.String(), "level=WARN") {
			t.Errorf("nothing was lost, and nothing is wrong:\n%s", p.err.String())
		}
		if status, answer := login(t, p.url, "ada", "a password of ada"); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
	}
	if out := must(t, "", "realm", "list", "--data", data, "--json"); strings.Count(out, "\n") != 1 {
		t.Errorf("realms: %s", out)
	}
	must(t, "", "doctor", "--data", data)
}
