package fault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
)

// maxBack is how long a server may take to see that its database is back.
const maxBack = 10 * time.Second

// TestThreat65_DatabaseAway takes the database away in each way there is. Every door says 503 and when to come back, to
// good credentials as to wrong ones; nothing is counted; the server lives and is not ready; and it recovers by itself.
func TestThreat65_DatabaseAway(t *testing.T) {
	pgtest.URL(t) // skips without PostgreSQL
	for name, way := range map[string]func(t *testing.T) (url string, away, back func()){
		"Stopped": func(t *testing.T) (string, func(), func()) {
			s := pgtest.Start(t, pgtest.Options{})
			return s.URL(t), func() { s.Stop(t, syscall.SIGINT) }, func() { s.Run(t) }
		},
		"Frozen": func(t *testing.T) (string, func(), func()) {
			s := pgtest.Start(t, pgtest.Options{})
			return s.URL(t), func() { s.Pause(t) }, func() { s.Resume(t) }
		},
		"Slow": func(t *testing.T) (string, func(), func()) {
			p, url := pgtest.NewProxy(t, pgtest.URL(t))
			return url, func() { p.SetDelay(5 * time.Second) }, func() { p.SetDelay(0) }
		},
		"NetworkDown": func(t *testing.T) (string, func(), func()) {
			p, url := pgtest.NewProxy(t, pgtest.URL(t))
			return url, func() { p.SetAway(true) }, func() { p.SetAway(false) }
		},
		"NoConnectionLeft": func(t *testing.T) (string, func(), func()) {
			s := pgtest.Start(t, pgtest.Options{})
			url := s.URL(t)
			p, through := pgtest.NewProxy(t, url)
			name := url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")]
			limit := func(n int) {
				if err := pgtest.Exec("postgres://postgres@"+s.Address()+"/postgres", fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", name, n)); err != nil {
					t.Error(err)
				}
			}
			return through, func() { limit(0); p.Cut() }, func() { limit(-1) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, away, back := way(t)
			h := openHouse(t, url)
			h.wellIn(time.Minute)
			away()
			time.Sleep(lag) // what is known of a session may be as old
			for _, wrong := range h.all(http.StatusServiceUnavailable) {
				t.Error("away: " + wrong)
			}
			back()
			t.Logf("all is well %s after the database was back", h.wellIn(maxBack).Round(time.Millisecond))
			h.must(h.passport(always, h.ticket, "")) // it was not spent
			if out := h.site.must("", "budget", "list", "--json"); strings.TrimSpace(out) != "" {
				t.Errorf("guesses are counted: %s", out)
			}
		})
	}
}

// house is a server, and one of each credential.
type house struct {
	*client
	t       *testing.T
	site    *site
	node    *node
	person  string // the password
	robot   string // the secret
	bearers map[string][]string
	refresh string
	ticket  string
}

const (
	person = "ada"
	robot  = "robot"
)

func openHouse(t *testing.T, url string) *house {
	h := &house{client: newClient(), t: t, site: newSite(t, engine{name: "PostgreSQL", url: url}, settings), bearers: map[string][]string{}}
	h.node = h.site.serve()
	h.url, h.person = h.node.url, "marble lantern water stone"
	h.site.must(h.person, "account", "create", "--username", person, "--password-stdin")
	var row struct{ Secret string }
	if err := json.Unmarshal([]byte(h.site.must("", "account", "create", "--username", robot, "--kind", "service",
		"--role", "ostiary:revoke", "--role", "ostiary:introspect")), &row); err != nil {
		t.Fatal(err)
	}
	h.robot = row.Secret
	for _, dialect := range []string{cloudio, nomic, senmo} {
		in := h.must(h.login(always, dialect, person, h.person))
		h.bearers[dialect] = bearer(dialect, in)
		if dialect == senmo {
			h.refresh = in.text("tokens", "refreshToken")
		}
	}
	for range 2 {
		h.ticket = h.must(h.login(always, mikrocloud, robot, h.robot)).text("token")
		if h.bearers[mikrocloud] == nil {
			h.bearers[mikrocloud] = bearer(mikrocloud, h.must(h.passport(always, h.ticket, "")))
		}
	}
	return h
}

func (h *house) must(a answer) answer {
	h.t.Helper()
	if !a.ok() {
		h.t.Fatal(a)
	}
	return a
}

// wellIn waits until every door answers as it should, and says how long that was.
func (h *house) wellIn(patience time.Duration) time.Duration {
	h.t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		wrong := h.all(0)
		if took := time.Since(start); len(wrong) == 0 || took > patience {
			for _, w := range wrong {
				h.t.Errorf("after %s: %s", took, w)
			}
			return took
		}
	}
}

// all asks at every door at once, and says what is wrong with the answers. Without a status, each must be the one of
// when all is well.
func (h *house) all(want int) (wrong []string) {
	var all sync.WaitGroup
	var mu sync.Mutex
	complain := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	knock := func(name string, well int, ask func() answer) {
		all.Go(func() {
			a, right := ask(), want
			if want == 0 || name == "healthz" {
				right = well
			}
			if a.status != right && (name != "the keys" || !a.ok()) { // which may be those of a moment ago
				complain("%s: %s, want %d", name, a, right)
			}
			if a.status == http.StatusServiceUnavailable && (a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "") {
				complain("%s: 503 with %v", name, a.header)
			}
		})
	}
	for _, dialect := range []string{cloudio, mikrocloud, nomic, senmo} {
		knock("a login at "+dialect, 200, func() answer { return h.login(always, dialect, robot, h.robot) })
		knock("a person's login at "+dialect, 200, func() answer { return h.login(always, dialect, person, h.person) })
		if want != 0 {
			knock("a wrong password at "+dialect, refusal[dialect], func() answer { return h.login(always, dialect, person, "not the password") })
			knock("nobody at "+dialect, refusal[dialect], func() answer { return h.login(always, dialect, "nobody", "not the password") })
		}
		for path, well := range map[string]int{"/ostiary/verify": 200, "/ostiary/whoami": 200, "/ostiary/sessions": 200} {
			knock(path+" for "+dialect, well, func() answer { return h.ask(always, "GET", path, "", h.bearers[dialect]...) })
		}
	}
	knock("a refresh", 200, func() answer { return h.client.refresh(always, h.refresh) })
	if want != 0 {
		knock("a logout", 0, func() answer { return h.ask(always, "POST", "/ostiary/logout", "", h.bearers[nomic]...) })
		knock("an end of all sessions", 0, func() answer { return h.ask(always, "DELETE", "/ostiary/sessions", "", h.bearers[nomic]...) })
		knock("a passport", 0, func() answer { return h.passport(always, h.ticket, "") })
		knock("a new password", 0, func() answer {
			return h.ask(always, "POST", "/ostiary/password", jsonOf("current", h.person, "new", "another marble lantern"), h.bearers[senmo]...)
		})
	}
	for _, path := range []string{"/ostiary/introspect", "/ostiary/revoke"} {
		knock(path, 200, func() answer {
			return h.ask(always, "POST", path, "token=nothing", "Authorization: Basic "+basic(robot, h.robot), "Content-Type: application/x-www-form-urlencoded")
		})
	}
	knock("the keys", 200, func() answer { return h.ask(always, "GET", "/.well-known/jwks.json", "") })
	knock("readyz", 200, func() answer { return h.ask(always, "GET", "/ostiary/readyz", "") })
	knock("healthz", 200, func() answer { return h.ask(always, "GET", "/ostiary/healthz", "") })
	all.Wait()
	return wrong
}
