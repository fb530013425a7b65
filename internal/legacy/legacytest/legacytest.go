// Package legacytest starts the old login servers of test/legacy, which were written in
// another language from the documents of the four APIs alone.
package legacytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Account is one that an old server knows.
type Account struct {
	Username    string `json:"username,omitempty"`
	Email       string `json:"email,omitempty"`
	Password    string `json:"password"`
	DisplayName string `json:"displayName,omitempty"`
	Org         string `json:"org,omitempty"`
	Subject     string `json:"subject,omitempty"`   // default: its place in the list, from "1"
	TOTP        string `json:"totp,omitempty"`      // the secret of its second factor in base32, at mikrocloud
	Enrolling   bool   `json:"enrolling,omitempty"` // which it has yet to confirm
}

// Setting is what a test sets; what it leaves out stays, but Only.
type Setting struct {
	Accounts []Account `json:"accounts,omitempty"`
	Fault    *string   `json:"fault,omitempty"` // see test/legacy/server.mjs; "" for none
	Delay    *int      `json:"delay,omitempty"` // ms
	Only     string    `json:"only"`            // the path that the fault is for; "": all
}

// State is what an old server has seen and given out.
type State struct {
	Requests map[string]int    `json:"requests"` // by path
	Asked    []string          `json:"asked"`    // the names that a password was tried for
	Headers  map[string]string `json:"headers"`  // of the last request, in lower case
	Issued   []Token           `json:"issued"`
	Keys     Keys              `json:"keys"`
	Accounts []Account         `json:"accounts"`
}

// Token is one that an old server issued.
type Token struct {
	Kind     string `json:"kind"` // session, jwt, refresh, bearer
	Token    string `json:"token"`
	Username string `json:"username"`
	Email    string `json:"email"`
	JWT      string `json:"jwt"`         // cloudio
	CSRF     string `json:"csrf"`        // cloudio
	ID       string `json:"idToken"`     // senmo
	Access   string `json:"accessToken"` // senmo
}

// Keys are what an old server signs with.
type Keys struct {
	Secret string          `json:"secret"` // HS256, cloudio
	JWK    json.RawMessage `json:"jwk"`
	PEM    string          `json:"pem"`
	Issuer string          `json:"issuer"` // senmo
	Client string          `json:"client"` // senmo: aud of its id tokens, client_id of its access tokens
}

// Server is an old server that runs.
type Server struct {
	URL     string
	dialect string
	env     []string
	cmd     *exec.Cmd
	stop    func()
}

// Start starts the old server of a dialect on a free port of 127.0.0.1; it ends with the
// test. env is more of its environment ("TLS_CERT=…"). Without TEST_PEERS=1 the test is skipped.
func Start(t testing.TB, dialect string, accounts []Account, env ...string) *Server {
	t.Helper()
	if os.Getenv("TEST_PEERS") != "1" {
		t.Skip("runs node; set TEST_PEERS=1 to run this test")
	}
	list, err := json.Marshal(accounts)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{dialect: dialect, env: append([]string{"ACCOUNTS=" + string(list)}, env...)}
	s.run(t, "0")
	t.Cleanup(func() { s.stop() })
	return s
}

// Stop ends the server: from now on its port refuses connections.
func (s *Server) Stop() { s.stop() }

// Restart starts it again at its port, with its first accounts and new keys.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.stop()
	s.run(t, s.URL[strings.LastIndexByte(s.URL, ':')+1:])
}

func (s *Server) run(t testing.TB, port string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command("node", filepath.Join(filepath.Dir(here), "../../../test/legacy", s.dialect+".mjs"))
	cmd.Env = append(os.Environ(), append([]string{"TIED=1", "PORT=" + port}, s.env...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // it ends with this, and so with the test's process
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	s.cmd, s.stop = cmd, func() {
		if !stopped {
			stopped = true
			_ = in.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var said struct {
		URL string `json:"url"`
	}
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		s.stop()
		t.Fatalf("the %s server has not started: %v", s.dialect, err)
	}
	s.URL = said.URL
}

// Set changes what the server does from here on.
func (s *Server) Set(t testing.TB, set Setting) {
	t.Helper()
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	s.control(t, http.MethodPost, body)
}

// Fault has the server answer every request by a fault; "" for none.
func (s *Server) Fault(t testing.TB, fault string) {
	t.Helper()
	s.Set(t, Setting{Fault: &fault})
}

// State is what the server has seen and given out.
func (s *Server) State(t testing.TB) State {
	t.Helper()
	return s.control(t, http.MethodGet, nil)
}

// Count is how many requests the server has had.
func (s *Server) Count(t testing.TB) (n int) {
	t.Helper()
	for _, count := range s.State(t).Requests {
		n += count
	}
	return n
}

// Issued is the last token that the server issued.
func (s *Server) Issued(t testing.TB) Token {
	t.Helper()
	all := s.State(t).Issued
	if len(all) == 0 {
		t.Fatalf("the %s server has issued no token", s.dialect)
	}
	return all[len(all)-1]
}

func (s *Server) control(t testing.TB, method string, body []byte) (state State) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/_control", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
