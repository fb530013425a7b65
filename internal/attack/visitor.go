package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// visitor asks a server from one address of the loopback.
type visitor struct {
	s      *server
	source string
	client *http.Client
}

// The sources of an attack: who owns the account, and who does not.
const (
	owner    = "127.0.0.2"
	stranger = "127.0.0.3"
)

func (s *server) from(source string) *visitor {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	transport := &http.Transport{
		DialContext:        dialer.DialContext,
		DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	s.w.later(func() error { transport.CloseIdleConnections(); return nil })
	return &visitor{s: s, source: source, client: &http.Client{
		Transport: transport, Timeout: 60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back; status 0 means that nothing did, and body then says why.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) String() string { return fmt.Sprintf("%d %.160q", a.status, a.body) }

// do sends a request; headers are names and values in turn, several of one name are sent
// as such. A body is JSON unless a header says otherwise.
func (v *visitor) do(method, path, body string, headers ...string) answer {
	return v.doUntil(v.s.w.ctx, method, path, body, headers...)
}

func (v *visitor) doUntil(ctx context.Context, method, path, body string, headers ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+v.s.address+path, strings.NewReader(body))
	if err != nil {
		return answer{body: err.Error()}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			req.Header.Del("Content-Type")
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	began := time.Now()
	res, err := v.client.Do(req)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(began)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(began)}
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(text), took: time.Since(began)}
}

func (v *visitor) post(path, body string, headers ...string) answer {
	return v.do(http.MethodPost, path, body, headers...)
}

func (v *visitor) get(path string, headers ...string) answer {
	return v.do(http.MethodGet, path, "", headers...)
}

// door is where a dialect takes a name and a password.
type door struct {
	dialect string
	path    string
	failed  int // the status of a wrong password
	login   func(v *visitor, name, password string) answer
}

var doors = []door{
	{"cloudio", "/v1/auth", 403, func(v *visitor, name, password string) answer {
		return v.post("/v1/auth", "{}", "Authorization", "Token "+pair(name, password))
	}},
	{"mikrocloud", "/user/login", 401, func(v *visitor, name, password string) answer {
		return v.post("/user/login", object("email", name, "password", password))
	}},
	{"nomic", "/api/auth/token", 403, func(v *visitor, name, password string) answer {
		return v.post("/api/auth/token", "", "Authorization", "Basic "+pair(name, password))
	}},
	{"senmo", "/v1/auth", 400, func(v *visitor, name, password string) answer {
		return v.post("/v1/auth", object("username", name, "password", password))
	}},
}

var cloudio, mikrocloud, nomic, senmo = doors[0], doors[1], doors[2], doors[3]

func pair(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}

// object is a JSON object of texts: names and values in turn.
func object(members ...string) string {
	fields := make([]string, 0, len(members)/2)
	for i := 0; i+1 < len(members); i += 2 {
		fields = append(fields, quote(members[i])+":"+quote(members[i+1]))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string always can be
	return string(quoted)
}

// member is a text in a JSON object, by the names that lead to it; "" if there is none.
func member(body string, path ...string) string {
	var value any
	if json.Unmarshal([]byte(body), &value) != nil {
		return ""
	}
	for _, name := range path {
		table, _ := value.(map[string]any)
		value = table[name]
	}
	text, _ := value.(string)
	return text
}

// pass is what a completed login gave.
type pass struct {
	dialect string
	headers []string // of later requests: names and values in turn
	token   string   // the access credential alone
	refresh string   // senmo's
	body    string   // of the last answer
}

// signIn completes a login that has to succeed.
func (v *visitor) signIn(d door, name, password string) pass {
	a := d.login(v, name, password)
	if a.status == http.StatusOK && d.dialect == "mikrocloud" {
		a = v.passport(member(a.body, "token"), "")
	}
	if a.status != http.StatusOK {
		v.s.w.must(fmt.Errorf("%s does not sign in at %s: %v", name, d.dialect, a))
	}
	p := passOf(d.dialect, a)
	if p.token == "" {
		v.s.w.must(fmt.Errorf("%s gives no token: %v", d.dialect, a))
	}
	return p
}

func passOf(dialect string, a answer) pass {
	p := pass{dialect: dialect, body: a.body}
	switch dialect {
	case "cloudio":
		p.token = member(a.body, "jwt")
		p.headers = []string{"Authorization", p.token, "X-CSRF-Token", member(a.body, "csrf")}
		return p
	case "mikrocloud":
		p.token = member(a.body, "auth_token")
	case "nomic":
		p.token = member(a.body, "token")
	case "senmo":
		p.token, p.refresh = member(a.body, "tokens", "accessToken"), member(a.body, "tokens", "refreshToken")
	}
	p.headers = []string{"Authorization", "Bearer " + p.token}
	return p
}

func (v *visitor) passport(ticket, code string) answer {
	return v.post("/user/passport", object("totp", code, "token", ticket))
}

func (v *visitor) refresh(token string) answer {
	return v.post("/v1/auth/refreshtoken", object("refreshtoken", token))
}

func (v *visitor) verify(p pass) answer { return v.get("/ostiary/verify", p.headers...) }

// ticket is mikrocloud's, of a login that has to succeed.
func (v *visitor) ticket(name, password string) string {
	a := mikrocloud.login(v, name, password)
	if a.status != http.StatusOK {
		v.s.w.must(fmt.Errorf("%s does not sign in: %v", name, a))
	}
	return member(a.body, "token")
}
