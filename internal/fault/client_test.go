package fault_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client asks a server as the clients of the four dialects do.
type client struct {
	http  *http.Client
	url   string // of the server that runs now
	agent string
}

func newClient() *client {
	return &client{http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
}

// answer is what came back. Without one, and with 503, nobody knows what was done.
type answer struct {
	status  int // 0: none
	header  http.Header
	members map[string]any
	body    string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

func (a answer) ok() bool { return a.status/100 == 2 }

// outcome is what an answer says about the change that was asked for.
func (a answer) outcome() outcome {
	switch {
	case a.status == 0, a.status == http.StatusServiceUnavailable:
		return lost
	case a.ok():
		return done
	}
	return refused
}

// text is a member of the answer, by its path.
func (a answer) text(path ...string) string {
	var v any = a.members
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	s, _ := v.(string)
	return s
}

// ask sends a request. Headers are "Name: value".
func (c *client) ask(ctx context.Context, method, path, body string, headers ...string) (a answer) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.agent != "" {
		r.Header.Set("User-Agent", c.agent)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return a
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a
	}
	a = answer{status: res.StatusCode, header: res.Header, body: string(text)}
	_ = json.Unmarshal(text, &a.members) // not every answer is JSON
	return a
}

func jsonOf(pairs ...string) string {
	object := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		object[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func basic(name, word string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + word))
}

// The doors that take a name and a password.
const (
	cloudio    = "cloudio"
	mikrocloud = "mikrocloud"
	nomic      = "nomic"
	senmo      = "senmo"
)

// login is the first request of a login.
func (c *client) login(ctx context.Context, dialect, name, word string) answer {
	switch dialect {
	case cloudio:
		return c.ask(ctx, "POST", "/v1/auth", "", "Authorization: Token "+basic(name, word))
	case mikrocloud:
		return c.ask(ctx, "POST", "/user/login", jsonOf("email", name, "password", word))
	case nomic:
		return c.ask(ctx, "POST", "/api/auth/token", "", "Authorization: Basic "+basic(name, word))
	case senmo:
		return c.ask(ctx, "POST", "/v1/auth", jsonOf("username", name, "password", word))
	}
	panic(dialect)
}

// refusal is how each of these doors refuses a credential that it has checked.
var refusal = map[string]int{cloudio: 403, mikrocloud: 401, nomic: 403, senmo: 400}

// passport is the second request of a login at mikrocloud.
func (c *client) passport(ctx context.Context, ticket, code string) answer {
	return c.ask(ctx, "POST", "/user/passport", jsonOf("token", ticket, "totp", code))
}

func (c *client) refresh(ctx context.Context, token string) answer {
	return c.ask(ctx, "POST", "/v1/auth/refreshtoken", jsonOf("refreshtoken", token))
}

// bearer is the access credential that an answer brings, as headers.
func bearer(dialect string, a answer) []string {
	switch dialect {
	case cloudio:
		return []string{"Authorization: Bearer " + a.text("jwt"), "X-CSRF-Token: " + a.text("csrf")}
	case mikrocloud:
		return []string{"Authorization: Bearer " + a.text("auth_token")}
	case nomic:
		return []string{"Authorization: Bearer " + a.text("token")}
	}
	return []string{"Authorization: Bearer " + a.text("tokens", "accessToken")}
}

func (c *client) whoami(ctx context.Context, access []string) answer {
	return c.ask(ctx, "GET", "/ostiary/whoami", "", access...)
}

// outcome is what is known about a change.
type outcome int

const (
	lost    outcome = iota // no answer: it was made, or it was not
	done                   // acknowledged
	refused                // by a server that could have made it
)
