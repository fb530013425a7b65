package e2e_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store"
)

// matrix says what each kind of token opens. Its rows are credentials, its columns slots, in groups: nine for a
// Bearer; anywhere else in a request; introspect, with the csrf, revoke; as the secret of
// who asks there, as its Bearer; renew, refresh, passport; nine places of logins; four
// doors for anyone.
//
//	o  it is taken
//	.  it is refused
//	-  it is refused, and the store must have been asked for that
//	x  it is refused, and its session ends: the token was stolen
const matrix = `
cloudio jwt, its csrf                ooooooooo . ooo .... -.. ......... oooo
cloudio jwt, bare, its csrf          ooooooooo . ooo .... ... ......... oooo
cloudio jwt, no csrf                 --------- . o-o .... -.. ......... oooo
cloudio jwt, bare, no csrf           --------- . o-o .... ... ......... oooo
cloudio jwt, csrf of another login   --------- . o-o .... -.. ......... oooo
cloudio jwt, its session id as csrf  --------- . o-o .... -.. ......... oooo
cloudio jwt, its own text as csrf    --------- . o-o .... -.. ......... oooo
cloudio session id                   ......... . ... .... ... ......... oooo
cloudio session id, bare             ......... . ... .... ... ......... oooo
cloudio csrf                         ......... . ... .... ... ......... oooo
cloudio csrf, bare                   ......... . ... .... ... ......... oooo
mikrocloud ticket                    --------- . ... .... -.o ......... oooo
mikrocloud ticket, bare              ......... . ... .... ..o ......... oooo
mikrocloud ticket, spent             --------- . ... .... -.- ......... oooo
mikrocloud auth_token                ooooooooo . ooo .... -.- ......... oooo
mikrocloud auth_token, bare          ......... . ooo .... ..- ......... oooo
nomic jwt                            ooooooooo . ooo .... o.. ......... oooo
nomic jwt, bare                      --------- . ooo .... ... ......... oooo
senmo access token                   ooooooooo . ooo .... -.. ......... oooo
senmo access token, bare             --------- . ooo .... ... ......... oooo
senmo id token                       --------- . --o .... -.. ......... oooo
senmo id token, bare                 --------- . --o .... ... ......... oooo
senmo refresh token                  ......... . ..o .... .o. ......... oooo
senmo refresh token, bare            ......... . ..o .... .o. ......... oooo
senmo refresh token, just spent      ......... . ..o .... .o. ......... oooo
senmo refresh token, spent long ago  ......... . ..o .... .x. ......... oooo
password                             ......... . ... .... ... o.o.oo... oooo
service secret                       ......... . ... oo.. ... o.o.oo... oooo
jti                                  ......... . ... .... ... ......... oooo
kid                                  ......... . ... .... ... ......... oooo

assertion about cloudio, its csrf    ......... . ... .... ... ......... oooo
assertion about mikrocloud           ......... . ... .... ... ......... oooo
assertion about nomic                ......... . ... .... ... ......... oooo
assertion about senmo                ......... . ... .... ... ......... oooo

ended: cloudio jwt, its csrf         --------- . --- .... -.. ......... oooo
ended: mikrocloud auth_token         --------- . --- .... -.- ......... oooo
ended: nomic jwt                     --------- . --- .... -.. ......... oooo
ended: senmo access token            --------- . --- .... -.. ......... oooo
ended: senmo id token                --------- . --- .... -.. ......... oooo
ended: senmo refresh token           ......... . ..- .... .-. ......... oooo

expired: cloudio jwt, its csrf       ......... . ... .... ... ......... oooo
expired: mikrocloud auth_token       --------- . --- .... -.- ......... oooo
expired: nomic jwt                   ......... . ... .... ... ......... oooo
expired: senmo access token          ......... . ... .... ... ......... oooo
expired: senmo id token              ......... . ... .... ... ......... oooo

other realm: cloudio jwt, its csrf   ......... . ... .... ... ......... oooo
other realm: mikrocloud ticket       --------- . ... .... -.- ......... oooo
other realm: mikrocloud auth_token   --------- . --- .... -.- ......... oooo
other realm: nomic jwt               ......... . ... .... ... ......... oooo
other realm: senmo access token      ......... . ... .... ... ......... oooo
other realm: senmo id token          ......... . ... .... ... ......... oooo
other realm: senmo refresh token     ......... . ... .... ... ......... oooo
other realm: assertion               ......... . ... .... ... ......... oooo
other realm: service secret          ......... . ... --.. ... ......... oooo
`

// rows are matrix, by kind: a letter for each door. There is one for each pair.
func rows(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(matrix) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		const column = 37
		name, letters := strings.TrimSpace(line[:column]), strings.ReplaceAll(strings.TrimSpace(line[column:]), " ", "")
		if all[name] != "" || credentials[name] == nil || len(letters) != len(slots) || strings.Trim(letters, "o.-x") != "" {
			t.Fatalf("%q has %d letters for %d slots, or is there twice, or no kind", name, len(letters), len(slots))
		}
		all[name] = letters
	}
	if len(all) != len(credentials) {
		t.Fatalf("%d rows for %d kinds", len(all), len(credentials))
	}
	return all
}

// worlds are the mounts as they are without a configuration, but for the second realm's
// host; and two realms on one host, where no dialect signs as it does by default if it
// can help it.
var worlds = map[string]func(*auth.Options){
	"default": func(*auth.Options) {},
	"prefixes": func(o *auth.Options) {
		for _, m := range o.Mounts {
			m.Host, m.Prefix = "login.example.com", "/"+m.Realm+"/auth"
			m.AssertionAudience = "upstreams"
			switch m.Dialect {
			case "cloudio":
				m.Algorithm = "ES256" // as assertions
			case "senmo":
				m.Algorithm, m.Audience, m.Issuer = "EdDSA", "app", "https://login.example.com"
			case "nomic":
				m.Audience = "app"
			}
		}
	},
}

// openWorld opens a house with its past. Its clock is later by what is in ahead.
func openWorld(t *testing.T, world string, now func() time.Time) *house {
	t.Helper()
	var options auth.Options
	h := open(t, worlds[world], func(o *auth.Options) { o.Now, options = now, *o })
	h.hire(t)
	h.remember(t, options, 3*time.Hour, 30*time.Hour)
	return h
}

// lives tells whether the session of a credential has not been ended.
func (h *house) lives(t *testing.T, c *shown) bool {
	t.Helper()
	if c.session == "" {
		return false
	}
	rec, err := h.store.SessionByID(t.Context(), h.realms[c.home].ID, uuid.MustParse(c.session))
	if err != nil {
		t.Fatal(err)
	}
	return rec.EndedAt.IsZero()
}

// try presents a credential at a door, and holds the answer and what became of the
// session to a letter of matrix.
func (d slot) try(t *testing.T, h *house, at string, c *shown, letter byte) {
	t.Helper()
	before := h.lives(t, c)
	a := d.ask(t, h, at, c)
	want, over := d.shut, letter == 'x'
	if letter == 'o' {
		want, over = d.open, d.ends
	}
	if outcome(a) != want {
		t.Errorf("%s at %s: %d %.300s, want %s", d.name, at, a.StatusCode, a.body, want)
	}
	if after := h.lives(t, c); after != (before && !over) {
		t.Errorf("%s at %s: its session lived %v, and then %v", d.name, at, before, after)
	}
	if challenge := a.Header.Get("WWW-Authenticate"); strings.Contains(a.Request.URL.Path, "/ostiary/") && (challenge != "") != (want == "401") {
		t.Errorf("%s at %s: %d with the challenge %q", d.name, at, a.StatusCode, challenge)
	}
	if letter != 'o' && !d.asks && (a.Header.Get("Ostiary-Subject") != "" || a.Header.Get("Ostiary-Assertion") != "" || strings.Contains(a.body, c.name+"@")) {
		t.Errorf("%s at %s: it says who: %v %s", d.name, at, a.Header, a.body)
	}
	if !d.forAnyone() {
		return
	}
	if without := d.ask(t, h, at, &shown{}).body; a.body != without && d.ask(t, h, at, c).body != without { // a new key may have come between two
		t.Errorf("%s at %s: another answer than without a credential", d.name, at)
	}
}

// eachKind runs a test for every kind, all at once: most of a failed login is waiting.
func eachKind(t *testing.T, run func(t *testing.T, kind, name string)) {
	t.Helper()
	var running sync.WaitGroup
	for i, kind := range slices.Sorted(maps.Keys(credentials)) {
		running.Go(func() { t.Run(kind, func(t *testing.T) { run(t, kind, "k"+strconv.Itoa(i)) }) })
	}
	running.Wait()
}

// Each kind of token is good at its own doors and at no other.
func TestThreat30_TokenKindMatrix(t *testing.T) {
	rows := rows(t)
	for world := range worlds {
		t.Run(world, func(t *testing.T) {
			h := openWorld(t, world, nil)
			eachKind(t, func(t *testing.T, kind, name string) {
				c := credentials[kind](t, h, hostOne, name)
				for i, d := range slots {
					use, letter := c, rows[kind][i]
					if (letter == 'o' || letter == 'x') && d.once {
						use = credentials[kind](t, h, hostOne, name+"-"+strconv.Itoa(i))
					}
					d.try(t, h, hostOne, use, letter)
				}
			})
		})
	}
}

// Nothing of one realm is anything in another, where accounts of the same names and
// passwords are.
func TestThreat31_EveryDoor(t *testing.T) {
	h := openWorld(t, "prefixes", nil)
	eachKind(t, func(t *testing.T, kind, name string) {
		if kind == "password" || strings.HasPrefix(kind, "other realm: ") {
			return // both accounts have it; or it is of the place where it would be asked about
		}
		h.account(t, hostTwo, name)
		c := credentials[kind](t, h, hostOne, name)
		for _, d := range slots {
			if !d.forAnyone() {
				d.try(t, h, hostTwo, c, '.')
			}
		}
	})
}

// down holds an answer of a slot to a letter of matrix while the store can't be read.
func (d slot) down(t *testing.T, h *house, c *shown, letter byte) {
	t.Helper()
	a := d.ask(t, h, hostOne, c)
	allowed := []string{"503"}
	switch {
	case d.name == "healthz" || d.name == "openapi" || d.name == "jwks":
		allowed = []string{"200"}
	case letter == '.' && !d.asks:
		allowed = []string{"503", d.shut}
	}
	if !slices.Contains(allowed, outcome(a)) {
		t.Errorf("%s: %d %.300s, want %s", d.name, a.StatusCode, a.body, allowed)
	}
	if a.StatusCode == 503 && (a.Header.Get("Retry-After") == "" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("WWW-Authenticate") != "") {
		t.Errorf("%s: 503 with %v", d.name, a.Header)
	}
	if a.Header.Get("Ostiary-Subject") != "" {
		t.Errorf("%s: it says who", d.name)
	}
}

// storeDown takes a world's store away. One loses the database's file, as when a backup
// is brought back under a running server; its connections could go on with the old one.
var storeDown = map[string]func(*store.Store) error{
	"default": func(s *store.Store) error {
		path := s.Info().Path
		return errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, nil, 0o600))
	},
	"prefixes": (*store.Store).Close,
}

// Without its store the server answers 503: nothing is let in, and what could not be
// checked is not called wrong. What is plainly no credential may still be refused.
func TestStoreDown_EveryDoor(t *testing.T) {
	rows := rows(t)
	for world := range worlds {
		t.Run(world, func(t *testing.T) {
			start, ahead := time.Now().Add(time.Minute), time.Duration(0) // when there are keys
			h := openWorld(t, world, func() time.Time { return start.Add(ahead) })
			all := map[string]*shown{}
			for i, kind := range slices.Sorted(maps.Keys(credentials)) {
				all[kind] = credentials[kind](t, h, hostOne, "k"+strconv.Itoa(i))
				for j, d := range slots {
					if rows[kind][j] == 'o' && !d.once { // now there is a view of it
						d.try(t, h, hostOne, all[kind], 'o')
					}
				}
			}
			if err := storeDown[world](h.store); err != nil {
				t.Fatal(err)
			}
			h.faulty = true
			// What changes something is never answered from a view (threat 39).
			for kind, c := range all {
				for j, d := range slots {
					if letter := rows[kind][j]; d.once && letter != '.' && letter != '-' {
						d.down(t, h, c, letter)
					}
				}
			}
			ahead = 3 * time.Second // views are older than they may be
			if world == "default" {
				time.Sleep(2100 * time.Millisecond) // and so is what is known of the realm, by the machine's own clock
			}
			for kind, c := range all {
				t.Run(kind, func(t *testing.T) {
					for j, d := range slots {
						d.down(t, h, c, rows[kind][j])
					}
				})
			}
			if world != "default" {
				return
			}
			path := h.store.Info().Path
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			h.faulty = false
			for kind, c := range all {
				for j, d := range slots {
					if rows[kind][j] == 'o' && !d.once {
						d.try(t, h, hostOne, c, 'o') // and all is as it was
					}
				}
			}
		})
	}
}
