package main

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ostiary/ostiary/internal/totp"
)

// TestScripts runs the transcripts of testdata. Beside testscript's own commands they have
//
//	fails STATUS ARGS…   ostiary fails so, with one line on standard error
//	serve ARGS…          starts a server on a free port; $URL is where it answers
//	signal NAME          sends TERM or HUP to it; TERM waits until it has ended well
//	log PATTERN          waits until it has logged that; with ! it has not
//	field NAME KEY       sets $NAME to a member of the JSON object that was printed
//	code NAME            sets $NAME to the code of the otpauth URI that was printed
func TestScripts(t *testing.T) {
	runScripts(t, testscript.Params{Dir: "testdata"})
}

// runScripts adds the commands to what is to be run.
func runScripts(t *testing.T, p testscript.Params) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("the transcripts use curl")
	}
	running := func(ts *testscript.TestScript) *process {
		p, _ := ts.Value(serverKey{}).(*slot)
		if p == nil || p.process == nil {
			ts.Fatalf("no server runs")
		}
		return p.process
	}
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Values[serverKey{}] = &slot{}
		env.Setenv("GORACE", quickExit)
		if setup != nil {
			return setup(env)
		}
		return nil
	}
	p.Cmds = map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"fails": fails,
		"serve": func(ts *testscript.TestScript, neg bool, args []string) {
			env := []string{}
			for _, name := range []string{"OSTIARY_MASTER_KEY", "OSTIARY_MASTER_KEY_FILE", "OSTIARY_DATA", "OSTIARY_DATABASE", "OSTIARY_DATABASE_FILE", "OSTIARY_CONFIG",
				"PGPASSFILE", "GORACE", "HOME", "PATH"} {
				if value := ts.Getenv(name); value != "" {
					env = append(env, name+"="+value)
				}
			}
			p, err := launch(context.Background(), ts.MkAbs("."), env, args...)
			ts.Check(err)
			ts.Value(serverKey{}).(*slot).process = p
			ts.Defer(p.Kill)
			ts.Setenv("URL", p.url)
			ts.Setenv("ADDRESS", strings.SplitN(p.url, "://", 2)[1])
		},
		"signal": func(ts *testscript.TestScript, neg bool, args []string) {
			p := running(ts)
			if args[0] == "HUP" {
				ts.Check(p.Cmd.Process.Signal(syscall.SIGHUP))
				return
			}
			if args[0] == "KILL" {
				p.Kill()
				return
			}
			ts.Check(p.Stop())
		},
		"log": func(ts *testscript.TestScript, neg bool, args []string) {
			p, re := running(ts), regexp.MustCompile(args[0])
			if neg {
				if found := re.FindString(p.err.String()); found != "" {
					ts.Fatalf("logged: %s", found)
				}
				return
			}
			for range 1000 {
				if re.MatchString(p.err.String()) {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			ts.Fatalf("not logged: %s\n%s", args[0], p.err.String())
		},
		"field": func(ts *testscript.TestScript, neg bool, args []string) {
			var object map[string]any
			ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
			value, ok := object[args[1]]
			if !ok {
				ts.Fatalf("no %q", args[1])
			}
			ts.Setenv(args[0], fmt.Sprint(value))
		},
		"code": func(ts *testscript.TestScript, neg bool, args []string) {
			line, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
			uri, err := url.Parse(line)
			ts.Check(err)
			secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
			ts.Check(err)
			ts.Setenv(args[0], totp.Code(secret, totp.Step(time.Now())))
			ts.Setenv(args[0]+"_NEXT", totp.Code(secret, totp.Step(time.Now())+1))
		},
	}
	testscript.Run(t, p)
}

type serverKey struct{}

type slot struct{ process *process }

func fails(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("ostiary", args[1:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
	line := ts.ReadFile("stderr")
	if !strings.HasPrefix(line, "ostiary: ") || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		ts.Fatalf("standard error is not one line that says who speaks: %q", line)
	}
}
