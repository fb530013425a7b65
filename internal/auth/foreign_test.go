package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// The dialects of the old servers: one whose tokens name a number, one whose tokens name a
// session and have a csrf, one with refresh tokens and another claim for the audience, and
// one of opaque tokens.
const (
	numbered  auth.Dialect = "numbered"
	paired    auth.Dialect = "paired"
	refreshed auth.Dialect = "refreshed"
	opaque    auth.Dialect = "opaque"
)

const oldIssuer = "https://old.example.com"

// oldHouse is a world that takes over from servers with tokens of their own.
type oldHouse struct {
	*world
	mounts map[auth.Dialect]*auth.Mount
	rsa    *rsa.PrivateKey
}

var oldRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newOldHouse(t *testing.T, newWorld worldMaker, options ...func(*auth.Options)) *oldHouse {
	t.Helper()
	h := &oldHouse{mounts: map[auth.Dialect]*auth.Mount{}, rsa: oldRSA()}
	bearer := func(_ token.Claims, p auth.Presented) error {
		if p.Bare {
			return errors.New("bare")
		}
		return nil
	}
	h.world = newWorld(t, append(options, func(o *auth.Options) {
		o.Dialects = map[auth.Dialect]auth.Rules{
			numbered: {Accept: bearer, Subject: func(a auth.Account) string { return strconv.FormatInt(a.Number, 10) }},
			paired: {Session: "session", Accept: func(c token.Claims, p auth.Presented) error {
				if csrf := c.String("csrf"); csrf == "" || csrf != p.CSRF {
					return errors.New("no csrf")
				}
				return nil
			}},
			refreshed: {Audience: "client_id", Refresh: true, Accept: func(c token.Claims, p auth.Presented) error {
				if !c.Is("token_use", "access") {
					return errors.New("no access token")
				}
				return bearer(c, p)
			}},
			opaque: {Accept: func(token.Claims, auth.Presented) error { return errors.New("no JWTs") }},
		}
		for d := range o.Dialects {
			h.mounts[d] = &auth.Mount{
				Dialect: d, Issuer: "urn:new:" + string(d), Algorithm: "RS256", AccessTTL: 2 * time.Hour, SessionMax: 24 * time.Hour, RefreshRetry: time.Minute,
			}
			o.Mounts = append(o.Mounts, h.mounts[d])
		}
		h.mounts[refreshed].Audience = "app"
	})...)
	for _, m := range h.mounts {
		m.RealmID = h.realm.ID
	}
	return h
}

// account makes one that the old server calls by the number that it has here.
func (h *oldHouse) account(name string) auth.Account {
	h.t.Helper()
	a := h.world.account(name)
	h.alias(a)
	return a
}

func (h *oldHouse) alias(a auth.Account) {
	h.t.Helper()
	if err := h.svc.SetAlias(h.ctx, h.realm.ID, a.ID, numbered, strconv.FormatInt(a.Number, 10), client); err != nil {
		h.t.Fatal(err)
	}
}

// importKey imports the RSA key of the old servers for a dialect.
func (h *oldHouse) importKey(d auth.Dialect, kid string) keyring.Foreign {
	h.t.Helper()
	return h.importKeys(auth.NewForeignKeys{
		Dialect: d, Issuer: oldIssuer, Until: h.clock().Add(30 * 24 * time.Hour),
		Keys: []keyring.PublicKey{{Kid: kid, Algorithm: keyring.RS256, Key: h.rsa.Public()}},
	})[0]
}

func (h *oldHouse) importKeys(n auth.NewForeignKeys) []keyring.Foreign {
	h.t.Helper()
	keys, err := h.svc.ImportKeys(h.ctx, h.realm.ID, n, client)
	if err != nil {
		h.t.Fatal(err)
	}
	return keys
}

// claims are those of an old token of a subject, with changes; nil takes one away.
func (h *oldHouse) claims(subject string, changes ...token.Claims) token.Claims {
	c := token.Claims{"sub": subject, "iss": oldIssuer, "iat": h.clock().Unix(), "exp": h.clock().Add(2 * time.Hour).Unix()}
	for _, change := range changes {
		for name, value := range change {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		}
	}
	return c
}

// jws makes a token as any server might.
func jws(t testing.TB, header map[string]any, claims any, key any) string {
	t.Helper()
	encode := func(v any) string {
		text, raw := v.(string)
		if !raw {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	signed := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(signed))
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, k, sum[:])
		if err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// old is a token that the old server has signed, as its clients have them.
func (h *oldHouse) old(subject string, changes ...token.Claims) string {
	return jws(h.t, map[string]any{"typ": "JWT", "alg": "RS256", "kid": "old"}, h.claims(subject, changes...), h.rsa)
}

func (h *oldHouse) identify(tok string) (*auth.Identity, error) {
	return h.svc.Identify(h.ctx, h.realm.ID, auth.Presented{Token: tok})
}

func (h *oldHouse) mustIdentify(tok string) *auth.Identity {
	h.t.Helper()
	who, err := h.identify(tok)
	if err != nil {
		h.t.Fatal(err)
	}
	return who
}

func (h *oldHouse) sessions(account uuid.UUID) []auth.Session {
	h.t.Helper()
	list, err := h.svc.ListSessions(h.ctx, h.realm.ID, account, uuid.Nil, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// An old token is a session from its first sight on: one, whoever presents it how often.
func TestForeign_BecomesASession(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		h := newOldHouse(t, newWorld)
		a := h.account("steve")
		h.importKey(numbered, "old")
		jwt := h.old("1")
		var mu sync.Mutex
		ids := map[uuid.UUID]bool{}
		if n := parallel(40, func() error {
			who, err := h.identify(jwt)
			if err == nil {
				mu.Lock()
				ids[who.Session] = true
				mu.Unlock()
			}
			return err
		}); n != 40 || len(ids) != 1 {
			t.Fatalf("%d of 40, %d sessions", n, len(ids))
		}
		list := h.sessions(a.ID)
		if len(list) != 1 || !ids[list[0].ID] || list[0].Dialect != numbered || len(list[0].AMR) != 0 ||
			!list[0].ExpiresAt.Equal(h.clock().Add(2*time.Hour)) || !list[0].AuthTime.Equal(h.clock().Truncate(time.Second)) {
			t.Fatalf("%+v", list)
		}
		who := h.mustIdentify(jwt)
		if who.Account != a.ID || who.Subject != "1" || who.Dialect != numbered || who.Username != "steve" {
			t.Errorf("%+v", who)
		}
		i, err := h.svc.Introspect(h.ctx, h.realm.ID, auth.Presented{Token: jwt})
		if err != nil || i.Claims.String("iss") != oldIssuer || !i.ExpiresAt.Equal(h.clock().Add(2*time.Hour)) {
			t.Errorf("%+v, %v", i, err)
		}
		if err := h.svc.Logout(h.ctx, h.realm.ID, auth.Presented{Token: jwt}, client); err != nil {
			t.Fatal(err)
		}
		_, err = h.identify(jwt)
		h.wantCode(err, auth.CodeSessionEnded)
		h.mustIdentify(h.old("1", token.Claims{"jti": "another"}))
		h.advance(2 * time.Hour)
		_, err = h.identify(jwt)
		h.wantCode(err, auth.CodeTokenInvalid)
	})
}

// Two nodes on one database make one session of a token, and see each other's end of it.
func TestForeign_TwoNodes(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		var options auth.Options
		h := newOldHouse(t, newWorld, func(o *auth.Options) { options = *o })
		a := h.account("steve")
		h.importKey(numbered, "old")
		options.Dialects, options.Mounts = h.rules(), nil
		for _, m := range h.mounts {
			options.Mounts = append(options.Mounts, m)
		}
		other := auth.New(options)
		jwt := h.old("1")
		var wg sync.WaitGroup
		for _, svc := range []*auth.Service{h.svc, other} {
			for range 8 {
				wg.Go(func() {
					if _, err := svc.Identify(h.ctx, h.realm.ID, auth.Presented{Token: jwt}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := len(h.sessions(a.ID)); n != 1 {
			t.Fatalf("%d sessions", n)
		}
		if err := other.Logout(h.ctx, h.realm.ID, auth.Presented{Token: jwt}, client); err != nil {
			t.Fatal(err)
		}
		h.advance(3 * time.Second)
		_, err := h.identify(jwt)
		h.wantCode(err, auth.CodeSessionEnded)
	})
}

// rules are those of the old dialects.
func (h *oldHouse) rules() map[auth.Dialect]auth.Rules {
	return map[auth.Dialect]auth.Rules{numbered: {Subject: func(a auth.Account) string { return strconv.FormatInt(a.Number, 10) }}}
}

// Whatever ends all sessions of an account ends the old tokens that nobody has seen, too;
// and not those that come later.
func TestForeign_EndsWithAll(t *testing.T) {
	for name, end := range map[string]func(h *oldHouse, a auth.Account) error{
		"reset": func(h *oldHouse, a auth.Account) error {
			return h.svc.SetPassword(h.ctx, h.realm.ID, a.ID, "another walk on the beach", client)
		},
		"disabled and enabled": func(h *oldHouse, a auth.Account) error {
			if err := h.svc.SetDisabled(h.ctx, h.realm.ID, a.ID, true, client); err != nil {
				return err
			}
			if _, err := h.identify(h.old("1", token.Claims{"jti": "while disabled"})); auth.CodeOf(err) != auth.CodeTokenInvalid {
				return fmt.Errorf("while disabled: %w", err)
			}
			return h.svc.SetDisabled(h.ctx, h.realm.ID, a.ID, false, client)
		},
		"all sessions ended": func(h *oldHouse, a auth.Account) error {
			_, err := h.svc.EndSessions(h.ctx, h.realm.ID, a.ID, "revoked", client)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newOldHouse(t, newWorld)
			a := h.account("steve")
			h.importKey(numbered, "old")
			seen, unseen := h.old("1", token.Claims{"jti": "seen"}), h.old("1", token.Claims{"jti": "unseen"})
			bearer := h.importTokens(opaque, auth.ForeignBearer, a.ID)
			h.mustIdentify(seen)
			h.advance(2 * time.Second)
			if err := end(h, a); err != nil {
				t.Fatal(err)
			}
			for _, jwt := range []string{seen, unseen, bearer} {
				if _, err := h.identify(jwt); err == nil {
					t.Errorf("still good: %s", jwt)
				}
			}
			h.advance(2 * time.Second)
			_, err := h.identify(h.old("1")) // of a login by a password that is not the account's any more
			h.wantCode(err, auth.CodeTokenInvalid)
			h.put(a, auth.SourceHash{Source: numbered})
			h.mustIdentify(h.old("1", token.Claims{"jti": "by its password there"}))
			if n := len(h.sessions(a.ID)); n != 1 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// All but one are all that are to come: who changes his password with an old token keeps
// that one.
func TestForeign_PasswordChangedByIt(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	h.importKey(numbered, "old")
	mine, other := h.old("1", token.Claims{"jti": "mine"}), h.old("1", token.Claims{"jti": "other"})
	h.advance(2 * time.Second)
	if err := h.svc.ChangePassword(h.ctx, h.realm.ID, auth.Presented{Token: mine}, goodPassword, "another walk on the beach", client); err != nil {
		t.Fatal(err)
	}
	h.mustIdentify(mine)
	_, err := h.identify(other)
	h.wantCode(err, auth.CodeSessionEnded)
}

// A server that asks for no second factor signs nothing that is good for an account which
// has one here; what it issued before is as good as it was, and so is what an operator brings.
func TestThreat19_ForeignTokenAfterFactor(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	before := h.importRaw(refreshed, auth.ForeignRefresh, a.ID, h.clock().Add(-time.Minute))
	h.enroll(a)
	_, err := h.identify(h.old("1"))
	h.wantCode(err, auth.CodeTokenInvalid)
	if n := len(h.sessions(a.ID)); n != 0 {
		t.Errorf("%d sessions", n)
	}
	_, err = h.identify(h.importTokens(opaque, auth.ForeignBearer, a.ID))
	h.wantCode(err, "")
	_, _, err = h.refresh(h.importTokens(refreshed, auth.ForeignRefresh, a.ID))
	h.wantCode(err, "")
	if _, _, err := h.refresh(before); auth.CodeOf(err) == auth.CodeTokenInvalid {
		t.Errorf("issued before the factor: %v", err)
	}
}

// Whoever is called as a deleted account was does not get its tokens.
func TestThreat45_ForeignTokenOfADeletedAccount(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.importKey(numbered, "old")
	a := h.account("steve")
	if err := h.svc.SetAlias(h.ctx, h.realm.ID, a.ID, paired, "u-7", client); err != nil {
		t.Fatal(err)
	}
	seen, unseen := h.old("1", token.Claims{"jti": "seen"}), h.old("1", token.Claims{"jti": "unseen"})
	h.mustIdentify(seen)
	bearer := h.importTokens(opaque, auth.ForeignBearer, a.ID)
	h.advance(2 * time.Second)
	if err := h.svc.DeleteAccount(h.ctx, h.realm.ID, a.ID, client); err != nil {
		t.Fatal(err)
	}
	next, _, err := h.svc.CreateAccount(h.ctx, h.realm.ID, auth.NewAccount{Username: "steve", Number: 1, Password: goodPassword}, client)
	if err != nil {
		t.Fatal(err)
	}
	h.alias(next)
	for _, tok := range []string{seen, unseen, bearer} {
		if who, err := h.identify(tok); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%+v, %v", who, err)
		}
	}
	h.advance(2 * time.Second)
	if who := h.mustIdentify(h.old("1", token.Claims{"jti": "its own"})); who.Account != next.ID {
		t.Errorf("%+v", who)
	}
}

// Who is meant: by alias, and by nothing else.
func TestForeign_Subjects(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a, b := h.account("steve"), h.account("john")
	h.importKey(numbered, "old")
	if err := h.svc.SetAlias(h.ctx, h.realm.ID, a.ID, numbered, "u-7", client); err != nil {
		t.Fatal(err)
	}
	stranger := h.world.account("carl") // its number is another's at the old server
	if _, err := h.svc.SubjectAccount(h.ctx, h.realm.ID, numbered, "3"); auth.CodeOf(err) != auth.CodeNotFound {
		t.Errorf("a token of the subject 3 is imported for carl: %v", err)
	}
	for subject, want := range map[string]uuid.UUID{
		"u-7": a.ID, "2": b.ID,
		"1":   uuid.Nil, // an alias takes the place of the number
		"U-7": uuid.Nil, "02": uuid.Nil, "+2": uuid.Nil, "2 ": uuid.Nil, "steve": uuid.Nil, "": uuid.Nil,
		"3": uuid.Nil, b.ID.String(): uuid.Nil, stranger.ID.String(): uuid.Nil,
	} {
		who, err := h.identify(h.old(subject))
		if want == uuid.Nil {
			h.wantCode(err, auth.CodeTokenInvalid)
		} else if err != nil || who.Account != want {
			t.Errorf("%q: %+v, %v", subject, who, err)
		}
	}
	// A subject that is another's by now opens nothing.
	seen := h.old("u-7", token.Claims{"jti": "seen"})
	h.mustIdentify(seen)
	if err := h.svc.SetAlias(h.ctx, h.realm.ID, a.ID, numbered, "", client); err != nil {
		t.Fatal(err)
	}
	_, err := h.identify(seen)
	h.wantCode(err, auth.CodeTokenInvalid)
}

// Keys end, and what they have signed ends with them: all sessions of an ended one, too.
func TestForeign_KeyEnds(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	jwt := h.old("1", token.Claims{"exp": h.clock().Add(90 * 24 * time.Hour).Unix()})
	h.mustIdentify(jwt)
	g, err := h.svc.Renew(h.ctx, h.mounts[numbered], auth.Presented{Token: jwt}, client)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := h.svc.Sign(h.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.mustIdentify(ours)
	own := h.signInAt(numbered, "steve")
	k, sessions, err := h.svc.EndForeignKey(h.ctx, h.realm.ID, "old", client)
	if err != nil || sessions != 1 || k.Kid != "old" {
		t.Fatal(k, sessions, err)
	}
	for _, tok := range []string{jwt, ours, h.old("1", token.Claims{"jti": "unseen"})} {
		if _, err := h.identify(tok); err == nil {
			t.Error("good, and its key was ended")
		}
	}
	if list := h.sessions(a.ID); len(list) != 1 || list[0].ID != own.Session.ID {
		t.Errorf("%+v", list)
	}
	_, _, err = h.svc.EndForeignKey(h.ctx, h.realm.ID, "old", client)
	h.wantCode(err, auth.CodeNotFound)
	// It may come back, and what was ended does not.
	h.importKey(numbered, "old")
	_, err = h.identify(jwt)
	h.wantCode(err, auth.CodeSessionEnded)
	h.advance(31 * 24 * time.Hour)
	_, err = h.identify(h.old("1", token.Claims{"jti": "after the end"}))
	h.wantCode(err, auth.CodeTokenInvalid)
}

func (h *oldHouse) signInAt(d auth.Dialect, name string) *auth.Grant {
	h.t.Helper()
	g, err := h.svc.SignIn(h.ctx, h.mounts[d], creds(name, goodPassword), client)
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// An old token renews into ours, which live as long as those of a login then would.
func TestForeign_RenewsIntoOurs(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	h.importKey(numbered, "old")
	jwt := h.old("1")
	h.advance(time.Hour)
	g, err := h.svc.Renew(h.ctx, h.mounts[numbered], auth.Presented{Token: jwt}, client)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := h.svc.Sign(h.ctx, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if g.Session.ID != h.mustIdentify(jwt).Session || g.Subject != "1" {
		t.Errorf("%+v", g)
	}
	h.advance(90 * time.Minute) // the old one has expired
	_, err = h.identify(jwt)
	h.wantCode(err, auth.CodeTokenInvalid)
	h.mustIdentify(ours)
	for range 11 {
		if g, err = h.svc.Renew(h.ctx, h.mounts[numbered], auth.Presented{Token: ours}, client); err != nil {
			t.Fatal(err)
		}
		if ours, err = h.svc.Sign(h.ctx, g, nil); err != nil {
			t.Fatal(err)
		}
		h.advance(110 * time.Minute)
	}
	if end := g.Session.ExpiresAt; !end.Equal(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the session ends at %s", end)
	}
	h.advance(2 * time.Hour)
	if _, err := h.identify(ours); err == nil {
		t.Error("renewed beyond the session's absolute lifetime")
	}
}

// A token that names a session is of whoever that session is of, by its import or because
// its login was seen here, and all tokens of the session are one.
func TestForeign_SessionClaim(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	secret := []byte("an old secret of at least 32 bytes")
	h.importKeys(auth.NewForeignKeys{Dialect: paired, Until: h.clock().Add(24 * time.Hour), Secret: secret})
	bare := func(claims token.Claims) string {
		return jws(t, map[string]any{"typ": "JWT", "alg": "HS256"}, claims, secret)
	}
	id := h.importTokens(paired, auth.ForeignSession, a.ID)
	present := func(tok, csrf string) (*auth.Identity, error) {
		return h.svc.Identify(h.ctx, h.realm.ID, auth.Presented{Token: tok, CSRF: csrf, Bare: true})
	}
	first, second := bare(token.Claims{"session": id, "csrf": "c1", "org_uid": "x"}), bare(token.Claims{"session": id, "csrf": "c2"})
	for name, c := range map[string][2]string{
		"without its csrf":          {first, ""},
		"with another's":            {first, "c2"},
		"of an unknown session":     {bare(token.Claims{"session": uuid.NewString(), "csrf": "c1"}), "c1"},
		"of none, without exp":      {bare(token.Claims{"sub": a.ID.String(), "csrf": "c1"}), "c1"},
		"with an issuer":            {bare(token.Claims{"session": id, "csrf": "c1", "iss": oldIssuer}), "c1"},
		"expired":                   {bare(token.Claims{"session": id, "csrf": "c1", "exp": h.clock().Unix()}), "c1"},
		"of the session as a token": {id, ""},
		"of a token as a session":   {bare(token.Claims{"session": h.importTokens(opaque, auth.ForeignBearer, a.ID), "csrf": "c1"}), "c1"},
	} {
		if who, err := present(c[0], c[1]); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	who, err := present(first, "c1")
	if err != nil || who.Account != a.ID {
		t.Fatal(who, err)
	}
	again, err := present(second, "c2")
	if err != nil || again.Session != who.Session {
		t.Fatal(again, err)
	}
	if i, err := h.svc.Introspect(h.ctx, h.realm.ID, auth.Presented{Token: first, AnyCSRF: true}); err != nil || i.ExpiresAt.IsZero() || i.IssuedAt.IsZero() {
		t.Errorf("%+v, %v", i, err)
	}
	if err := h.svc.Logout(h.ctx, h.realm.ID, auth.Presented{Token: first, CSRF: "c1"}, client); err != nil {
		t.Fatal(err)
	}
	_, err = present(second, "c2")
	h.wantCode(err, auth.CodeSessionEnded)
	// Somebody else's name beside it.
	b := h.account("john")
	other := h.importTokens(paired, auth.ForeignSession, a.ID)
	_, err = present(bare(token.Claims{"session": other, "csrf": "c", "sub": b.ID.String()}), "c")
	h.wantCode(err, auth.CodeTokenInvalid)
	if n := len(h.sessions(b.ID)); n != 0 {
		t.Errorf("%d sessions of another", n)
	}
	// A login that was seen here: it is that session.
	g := h.signInAt(paired, "john")
	learned := uuid.NewString()
	h.learn(g.Session, auth.ForeignToken{Kind: auth.ForeignSession, Text: auth.Secret(learned)}, auth.ForeignToken{Kind: auth.ForeignBearer, Text: "not for this dialect at all"})
	if who, err = present(bare(token.Claims{"session": learned, "csrf": "c"}), "c"); err != nil || who.Session != g.Session.ID {
		t.Errorf("%+v, %v", who, err)
	}
	_, err = h.identify("not for this dialect at all")
	h.wantCode(err, auth.CodeTokenInvalid)
}

// A session that was imported is good as long as the key that signs for it, and ends with it.
func TestForeign_SessionClaimEndsWithItsKey(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	secret := []byte("an old secret of at least 32 bytes")
	key := h.importKeys(auth.NewForeignKeys{Dialect: paired, Until: h.clock().Add(time.Hour), Secret: secret})[0]
	id := h.importTokens(paired, auth.ForeignSession, a.ID)
	tok := jws(t, map[string]any{"typ": "JWT", "alg": "HS256"}, token.Claims{"session": id, "csrf": "c"}, secret)
	p := auth.Presented{Token: tok, CSRF: "c", Bare: true}
	if _, err := h.svc.Identify(h.ctx, h.realm.ID, p); err != nil {
		t.Fatal(err)
	}
	if list := h.sessions(a.ID); len(list) != 1 || !list[0].ExpiresAt.Equal(key.ExpiresAt) {
		t.Errorf("%+v", list)
	}
	if _, n, err := h.svc.EndForeignKey(h.ctx, h.realm.ID, key.ID.String(), client); err != nil || n != 1 || len(h.sessions(a.ID)) != 0 {
		t.Errorf("%d sessions ended, %v", n, err)
	}
}

func (h *oldHouse) learn(ses auth.Session, tokens ...auth.ForeignToken) {
	h.t.Helper()
	if err := h.store.InTx(h.ctx, func(tx auth.Tx) error { return h.svc.LearnTokens(h.ctx, tx, ses, tokens) }); err != nil {
		h.t.Fatal(err)
	}
}

// importTokens imports a token of an account, which it returns.
func (h *oldHouse) importTokens(d auth.Dialect, kind auth.ForeignKind, account uuid.UUID) string {
	h.t.Helper()
	text := rand.Text()
	hash, _ := token.HashForeign(text)
	n, err := h.svc.ImportTokens(h.ctx, h.realm.ID, []auth.ForeignRecord{
		{Hash: hash, AccountID: account, Dialect: d, Kind: kind, CreatedAt: h.clock(), ExpiresAt: h.clock().Add(30 * 24 * time.Hour)},
	}, client)
	if err != nil || n != 1 {
		h.t.Fatal(n, err)
	}
	return text
}

// Opaque tokens: imported by their hash, or of a login that was seen here; with dots, or
// of the very shape of ours.
func TestForeign_Bearer(t *testing.T) {
	onEngines(t, func(t *testing.T, newWorld worldMaker) {
		h := newOldHouse(t, newWorld)
		a := h.account("steve")
		ours, _ := token.NewOpaque()
		for _, text := range []string{"an-old_token.with/two.dots+", ours, "~"} {
			hash, _ := token.HashForeign(text)
			r := auth.ForeignRecord{Hash: hash, AccountID: a.ID, Dialect: opaque, Kind: auth.ForeignBearer, CreatedAt: h.clock(), ExpiresAt: h.clock().Add(time.Hour)}
			if n, err := h.svc.ImportTokens(h.ctx, h.realm.ID, []auth.ForeignRecord{r}, client); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			if n := parallel(10, func() error { _, err := h.identify(text); return err }); n != 10 {
				t.Fatalf("%q: %d of 10", text, n)
			}
			who := h.mustIdentify(text)
			if who.Account != a.ID || who.Dialect != opaque {
				t.Errorf("%+v", who)
			}
			if _, err := h.svc.Identify(h.ctx, h.realm.ID, auth.Presented{Token: text, Bare: true}); auth.CodeOf(err) != auth.CodeTokenInvalid {
				t.Errorf("bare: %v", err)
			}
			if err := h.svc.Revoke(h.ctx, h.realm.ID, text, client); err != nil {
				t.Fatal(err)
			}
			_, err := h.identify(text)
			h.wantCode(err, auth.CodeSessionEnded)
		}
		unseen := h.importTokens(opaque, auth.ForeignBearer, a.ID)
		if err := h.svc.Revoke(h.ctx, h.realm.ID, unseen, client); err != nil {
			t.Fatal(err)
		}
		_, err := h.identify(unseen)
		h.wantCode(err, auth.CodeSessionEnded)
		if n := len(h.sessions(a.ID)); n != 0 {
			t.Errorf("%d sessions", n)
		}
		p, err := h.svc.BeginSignIn(h.ctx, h.mounts[opaque], creds("steve", goodPassword), client)
		if err != nil {
			t.Fatal(err)
		}
		g, err := h.svc.CompleteSignIn(h.ctx, h.mounts[opaque], p.Ticket, "", client)
		if err != nil {
			t.Fatal(err)
		}
		h.learn(g.Session, auth.ForeignToken{Kind: auth.ForeignBearer, Text: "of-a-login-there"}, auth.ForeignToken{Kind: auth.ForeignBearer, Text: "no word"})
		if who := h.mustIdentify("of-a-login-there"); who.Session != g.Session.ID {
			t.Errorf("%+v", who)
		}
		if who := h.mustIdentify(string(g.Bearer)); who.Session != g.Session.ID {
			t.Errorf("%+v", who)
		}
	})
}

// A flood of tokens that are all good is bounded for their account, and for no one else.
func TestForeign_Flood(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.account("john")
	h.importKey(numbered, "old")
	good := 0
	for i := range 700 {
		_, err := h.identify(h.old("1", token.Claims{"jti": i}))
		switch auth.CodeOf(err) {
		case "":
			good++
		case auth.CodeUnavailable:
			if auth.AsError(err).RetryAfter <= 0 {
				t.Fatal("no time to come back at")
			}
		default:
			t.Fatal(err)
		}
	}
	if n := len(h.sessions(a.ID)); good != 600 || n != 600 {
		t.Errorf("%d of 700 are good, and there are %d sessions", good, n)
	}
	h.mustIdentify(h.old("2"))
	h.mustIdentify(h.old("1", token.Claims{"jti": 0})) // one that is known
	h.advance(2 * time.Second)
	h.mustIdentify(h.old("1", token.Claims{"jti": "later"}))
}

// What is refused is written nowhere, however often it comes.
func TestForeign_RefusedIsNotWritten(t *testing.T) {
	h := newOldHouse(t, newWorld)
	a := h.account("steve")
	h.importKey(numbered, "old")
	h.tx(func(tx auth.Tx) error { // whose word is good for the time after, too
		return tx.PutSource(h.ctx, h.realm.ID, a.ID, auth.SourceHash{Source: numbered, CreatedAt: h.clock()})
	})
	before := h.old("1")
	h.advance(2 * time.Second)
	if _, err := h.svc.EndSessions(h.ctx, h.realm.ID, a.ID, "x", client); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		_, err := h.identify(before)
		h.wantCode(err, auth.CodeSessionEnded)
	}
	h.mustIdentify(h.old("1"))
	events, err := h.store.Events(h.ctx, h.realm.ID, auth.AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	adopted := 0
	for _, e := range events {
		if e.Kind == "session_adopted" {
			adopted++
		}
	}
	if adopted != 1 {
		t.Errorf("%d entries", adopted)
	}
}

// All that the keys of others may be.
func TestForeign_Algorithms(t *testing.T) {
	h := newOldHouse(t, newWorld)
	h.account("steve")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := auth.NewForeignKeys{Dialect: numbered, Issuer: oldIssuer, Audience: "app", Until: h.clock().Add(time.Hour)}
	n.Keys = []keyring.PublicKey{
		{Kid: "rs", Algorithm: "RS256", Key: h.rsa.Public()}, {Kid: "es", Algorithm: "ES256", Key: ec.Public()}, {Algorithm: "EdDSA", Key: ed.Public()},
	}
	keys := h.importKeys(n)
	if again := h.importKeys(n); !slices.EqualFunc(keys, again, func(a, b keyring.Foreign) bool { return a.ID == b.ID }) {
		t.Error("the same again makes others")
	}
	claims := h.claims("1", token.Claims{"aud": []string{"app"}})
	es := jws(t, map[string]any{"alg": "ES256", "kid": "es", "typ": "at+jwt"}, claims, ec)
	for _, tok := range []string{
		jws(t, map[string]any{"alg": "RS256", "kid": "rs", "x5t": "AAAA"}, claims, h.rsa), es,
		jws(t, map[string]any{"alg": "EdDSA", "typ": "jwt"}, h.claims("1", token.Claims{"aud": "app"}), ed),
	} {
		h.mustIdentify(tok)
	}
	// The other spelling of an ES256 signature is the same token.
	i := len(es) - base64.RawURLEncoding.EncodedLen(64)
	signature, err := base64.RawURLEncoding.DecodeString(es[i:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	twin := es[:i] + base64.RawURLEncoding.EncodeToString(append(signature[:32:32], s.FillBytes(make([]byte, 32))...))
	if h.mustIdentify(twin).Session != h.mustIdentify(es).Session {
		t.Error("two sessions of one token")
	}
	if err := h.svc.Logout(h.ctx, h.realm.ID, auth.Presented{Token: es}, client); err != nil {
		t.Fatal(err)
	}
	_, err = h.identify(twin)
	h.wantCode(err, auth.CodeSessionEnded)
}

// TestForeign_ClockBehind: where the end of a key is still to come by this node's clock, the key of the same kid that was
// imported in its place is in force all the same, and the realm's own tokens are good.
func TestForeign_ClockBehind(t *testing.T) {
	var options auth.Options
	h := newOldHouse(t, newWorld, func(o *auth.Options) { options = *o })
	h.account("steve")
	h.importKey(numbered, "old")
	h.advance(20 * time.Second)
	if _, _, err := h.svc.EndForeignKey(h.ctx, h.realm.ID, "old", client); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Second)
	h.importKeys(auth.NewForeignKeys{
		Dialect: numbered, Issuer: "a corrected issuer", Until: h.clock().Add(time.Hour),
		Keys: []keyring.PublicKey{{Kid: "old", Algorithm: keyring.RS256, Key: h.rsa.Public()}},
	})
	h.advance(-21 * time.Second)
	options.Dialects = h.rules()
	for _, m := range h.mounts {
		options.Mounts = append(options.Mounts, m)
	}
	h.svc = auth.New(options) // a node that has seen neither
	h.mustIdentify(h.old("1", token.Claims{"iss": "a corrected issuer"}))
	h.refused("the issuer before", h.old("1"))
	h.signIn("steve")
}
