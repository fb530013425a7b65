package fault_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/totp"
)

// Clients that race for the same things see what they would have seen one after the other,
// at one server and at two on one store.
func TestLinear_Chains(t *testing.T) {
	onNodes(t, chained("60s"), func(t *testing.T, s *site, nodes []*node) {
		word := s.employ("robot")
		for i := range count(12, 100) {
			refreshAtOnce(t, nodes, word, uint64(100*i), 0).check(t, chainModel(time.Minute))
		}
	})
}

// The same where a retry that comes late is a theft.
func TestLinear_ChainsLateRetries(t *testing.T) {
	onNodes(t, chained("1s"), func(t *testing.T, s *site, nodes []*node) {
		word := s.employ("robot")
		histories := make([]*history, count(6, 40))
		var all sync.WaitGroup
		for i := range histories {
			all.Go(func() { histories[i] = refreshAtOnce(t, nodes, word, uint64(100*i), time.Second) })
		}
		all.Wait()
		for _, h := range histories {
			h.check(t, chainModel(time.Second))
		}
	})
}

// The same where one of two servers is killed meanwhile.
func TestLinear_ChainsAndAKill(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := newSite(t, e, chained("60s"))
		nodes := []*node{s.serve(), s.serve()}
		word, rng := s.employ("robot"), dice(5)
		for i := range count(5, 50) {
			var killed sync.WaitGroup
			killed.Go(func() {
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				nodes[1].Kill()
			})
			h := refreshAtOnce(t, nodes, word, uint64(100*i), 0)
			killed.Wait()
			h.check(t, chainModel(time.Minute))
			nodes[1] = s.serve()
		}
	})
}

func chained(retry string) string { return strings.Replace(settings, `"10m"`, `"`+retry+`"`, 1) }

// onNodes runs a test at one server, and at two on one store, of each engine.
func onNodes(t *testing.T, settings string, run func(t *testing.T, s *site, nodes []*node)) {
	onSome(t, func(engine) []int { return []int{1, 2} }, settings, run)
}

// onSome does so at as many servers as are asked for of an engine.
func onSome(t *testing.T, numbers func(engine) []int, settings string, run func(t *testing.T, s *site, nodes []*node)) {
	onEngines(t, func(t *testing.T, e engine) {
		for _, n := range numbers(e) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				s := newSite(t, e.another(t), settings)
				nodes := []*node{s.serve()}
				for len(nodes) < n {
					nodes = append(nodes, s.serve())
				}
				run(t, s, nodes)
			})
		}
	})
}

const racers = 6 // clients at once

// race runs clients at once, each at one of the servers. A client that gets no answer is
// over.
func race(nodes []*node, part uint64, run func(c *client, i int, rng *rand.Rand) bool) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		c, rng := newClient(), dice(part+uint64(i))
		c.url = nodes[i%len(nodes)].url
		all.Go(func() {
			<-start
			for run(c, i, rng) {
				continue
			}
		})
	}
	close(start)
	all.Wait()
}

// resultOf reads an answer.
func resultOf(got answer) result {
	switch {
	case got.outcome() == lost:
		return unanswered
	case got.ok():
		return passed
	case got.status == http.StatusTooManyRequests:
		return throttled
	}
	return denied
}

// employ makes a service account and returns its secret.
func (s *site) employ(name string) string {
	s.t.Helper()
	var row struct{ Secret string }
	if err := json.Unmarshal([]byte(s.must("", "account", "create", "--username", name, "--kind", "service")), &row); err != nil {
		s.t.Fatal(err)
	}
	return row.Secret
}

// refreshAtOnce has clients refresh the same session, most of the time by the newest token
// that any of them knows. With a pause they do so slowly, and after it there is a retry.
func refreshAtOnce(t *testing.T, nodes []*node, word string, part uint64, pause time.Duration) *history {
	c := newClient()
	c.url = nodes[0].url
	first := c.login(t.Context(), senmo, "robot", word).text("tokens", "refreshToken")
	h := newHistory()
	var mu sync.Mutex
	tokens := map[int64]string{generationOf(t, first): first}
	var done [racers]int
	present := func(c *client, i int, back int64) bool {
		mu.Lock()
		generation := max(0, int64(len(tokens))-1-back)
		token := tokens[generation]
		mu.Unlock()
		out := refreshed{}
		h.record(i, func() (any, any) {
			got := c.refresh(t.Context(), token)
			if out.result = resultOf(got); out.result == passed {
				next := got.text("tokens", "refreshToken")
				out.next = generationOf(t, next)
				mu.Lock()
				tokens[out.next] = next
				mu.Unlock()
			}
			return refreshing{generation: generation}, out
		})
		return out.result != unanswered
	}
	race(nodes, part, func(c *client, i int, rng *rand.Rand) bool {
		if done[i]++; done[i] > 8 {
			return false
		}
		n := rng.IntN(100)
		switch {
		case pause > 0:
			time.Sleep(time.Duration(rng.Int64N(int64(pause / 8))))
		case n < 1:
			return present(c, i, 2)
		case n < 35:
			return present(c, i, 1)
		}
		return present(c, i, 0)
	})
	if pause > 0 {
		time.Sleep(pause + pause/10)
		present(c, 0, 1)
		present(c, 0, 0)
	}
	return h
}

// generationOf reads a refresh token: its session, its generation, and a MAC. The first is 0.
func generationOf(t *testing.T, token string) int64 {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 25 {
		t.Errorf("a refresh token %q: %v", token, err)
		return -1
	}
	return int64(binary.BigEndian.Uint64(raw[17:25])) - 1
}

// enrolled makes an account with a second factor, which it confirms with the code of a
// step before the current one.
func (s *site) enrolled(name string) (secret []byte, step int64) {
	s.t.Helper()
	s.must(pass, "account", "create", "--username", name, "--password-stdin")
	uri, _, _ := strings.Cut(s.must("", "mfa", "enroll", name), "\n")
	u, err := url.Parse(uri)
	if err != nil {
		s.t.Fatal(err)
	}
	if secret, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret")); err != nil {
		s.t.Fatal(err)
	}
	for range 3 { // the step may end meanwhile
		step = unixStep() - 1
		if _, _, err = s.command(s.t.Context(), "", "mfa", "confirm", name, "--code", totp.Code(secret, step)); err == nil {
			return secret, step
		}
	}
	s.t.Fatal(err)
	return nil, 0
}

// tickets are those of so many logins.
func (c *client) tickets(t *testing.T, name string, n int) (list []string) {
	t.Helper()
	for range n {
		got := c.login(t.Context(), mikrocloud, name, pass)
		if !got.ok() {
			t.Fatal(got)
		}
		list = append(list, got.text("token"))
	}
	return list
}

// Codes of the same few steps come at once, at mikrocloud by tickets and at senmo after the
// password.
func TestLinear_Steps(t *testing.T) {
	settings := "guess_source = 0\nguess_account = 0\nguess_known = 0\nguess_factor = 0\n" +
		"[[mount]]\ndialect = \"mikrocloud\"\n[[mount]]\ndialect = \"senmo\"\nmfa = \"append\"\n"
	onNodes(t, settings, func(t *testing.T, s *site, nodes []*node) {
		for k := range count(3, 12) {
			name := fmt.Sprintf("ada%d", k)
			secret, confirmed := s.enrolled(name)
			c := newClient()
			c.url = nodes[0].url
			const each = 4
			tickets := c.tickets(t, name, racers/2*each)
			h := newHistory()
			done := [racers]int{}
			race(nodes, uint64(2000+100*k), func(c *client, i int, rng *rand.Rand) bool {
				if done[i]++; done[i] > each {
					return false
				}
				h.record(i, func() (any, any) {
					step := unixStep() + int64(rng.IntN(3)) - 1
					code := totp.Code(secret, step)
					var got answer
					if i < racers/2 {
						got = c.passport(t.Context(), tickets[i*each+done[i]-1], code)
					} else {
						got = c.login(t.Context(), senmo, name, pass+code)
					}
					return coding{step, step >= unixStep()-1}, resultOf(got)
				})
				return true
			})
			h.check(t, stepModel(confirmed))
		}
	})
}

// A few tickets and a few recovery codes come at once, in every combination.
func TestLinear_Tickets(t *testing.T) {
	settings := "guess_source = 0\nguess_account = 0\nguess_known = 0\nguess_factor = 0\n"
	onNodes(t, settings, func(t *testing.T, s *site, nodes []*node) {
		s.enrolled("ada")
		for k := range count(5, 30) {
			codes := strings.Fields(s.must("", "mfa", "recovery", "ada"))
			c := newClient()
			c.url = nodes[0].url
			tickets := c.tickets(t, "ada", ticketsOf)
			h := newHistory()
			done := [racers]int{}
			race(nodes, uint64(4000+100*k), func(c *client, i int, rng *rand.Rand) bool {
				if done[i]++; done[i] > 4 {
					return false
				}
				h.record(i, func() (any, any) {
					in := redeeming{rng.IntN(ticketsOf), rng.IntN(4) - 1}
					code := "000000"
					if in.code >= 0 {
						code = codes[in.code]
					}
					return in, resultOf(c.passport(t.Context(), tickets[in.ticket], code))
				})
				return true
			})
			h.check(t, ticketModel)
		}
	})
}

// Right and wrong words come at once, of which few wrong ones are free. Servers on one file of
// SQLite share what has failed, not what is being tried, so there is one of these.
func TestLinear_Budgets(t *testing.T) {
	const free = 5
	settings := fmt.Sprintf("guess_source = 0\nguess_account = %d\nguess_delay = \"15m\"\nguess_known_for = \"0s\"\n", free)
	numbers := func(e engine) []int {
		if e.url == "" {
			return []int{1}
		}
		return []int{1, 2}
	}
	onSome(t, numbers, settings, func(t *testing.T, s *site, nodes []*node) {
		for k := range count(4, 20) {
			name := fmt.Sprintf("robot%d", k)
			word := s.employ(name)
			h := newHistory()
			done := [racers]int{}
			race(nodes, uint64(6000+100*k), func(c *client, i int, rng *rand.Rand) bool {
				if done[i]++; done[i] > 3 {
					return false
				}
				h.record(i, func() (any, any) {
					right, given := rng.IntN(3) == 0, fmt.Sprintf("ostsvc_%042xA", rng.Uint64())
					if right {
						given = word
					}
					return guessing(right), resultOf(c.login(t.Context(), []string{cloudio, nomic, senmo}[rng.IntN(3)], name, given))
				})
				return true
			})
			h.check(t, budgetModel(free))
		}
	})
}
