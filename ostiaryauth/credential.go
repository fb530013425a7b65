package ostiaryauth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Credential is one kind of credential that a Verifier accepts: Cloudio, Mikrocloud, Nomic, Senmo or Assertion. To
// accept two of a kind, say of two mounts with different audiences, list two. Two that are the same are a mistake.
//
// The rules of the kinds exclude each other (RFC 8725 section 3.12): no token is good as two of them, whatever
// issuers and audiences they are given. An id token is good as none.
type Credential interface {
	kind() kind
	// mistake says what is wrong with the configuration.
	mistake() error
	// read takes the identity out of a JWT whose signature and dates are right; errIssuer if it is somebody else's.
	read(c object, p presented) (*Identity, error)
}

// kind is how a credential is brought, and what it needs to be checked.
type kind int

const (
	kindJWT       kind = iota // in Authorization, and the keys
	kindOpaque                // in Authorization, and introspection
	kindAssertion             // in AssertionHeader, and the keys
)

// errIssuer says that a JWT was not made by the issuer that is configured.
var errIssuer = invalid("iss: not accepted")

// Cloudio accepts the jwt of cloudio's login in Authorization, as Bearer or bare, with its own csrf in X-CSRF-Token.
type Cloudio struct {
	Issuer string // iss: "urn:ostiary:<realm>:cloudio", or the mount's issuer
}

func (Cloudio) kind() kind { return kindJWT }

func (k Cloudio) mistake() error {
	if k.Issuer == "" {
		return errors.New("Cloudio needs an Issuer")
	}
	return nil
}

func (k Cloudio) read(c object, p presented) (*Identity, error) {
	switch {
	case !c.is("iss", k.Issuer):
		return nil, errIssuer
	case c.text("csrf") == "" || c.text("session") == "" || !c.lacks("token_use", "client_id", "aud"):
		return nil, invalid("not a jwt of cloudio")
	case subtle.ConstantTimeCompare([]byte(c.text("csrf")), []byte(p.csrf)) != 1:
		return nil, invalid("the X-CSRF-Token is not the one of this JWT")
	}
	i, err := readIdentity(c)
	if err != nil {
		return nil, err
	}
	i.Dialect, i.Org = "cloudio", c.text("org_uid")
	return i, nil
}

// Mikrocloud accepts the auth_token of mikrocloud's passport, as Bearer. It is opaque: Config.Introspection is needed.
type Mikrocloud struct{}

func (Mikrocloud) kind() kind { return kindOpaque }

func (Mikrocloud) mistake() error { return nil }

func (Mikrocloud) read(object, presented) (*Identity, error) { return nil, errIssuer }

// Nomic accepts the token of nomic's login, as Bearer.
type Nomic struct {
	Issuer   string // iss: "NomicGameManager.Api", or the mount's issuer
	Audience string // aud: the mount's audience; where the mount has none, empty, and then tokens with an aud are refused
}

func (Nomic) kind() kind { return kindJWT }

func (k Nomic) mistake() error {
	if k.Issuer == "" {
		return errors.New("Nomic needs an Issuer")
	}
	return nil
}

func (k Nomic) read(c object, p presented) (*Identity, error) {
	switch {
	case !c.is("iss", k.Issuer):
		return nil, errIssuer
	case p.bare || !c.lacks("token_use", "client_id", "csrf", "session"):
		return nil, invalid("not a token of nomic as a Bearer")
	case !c.is("aud", k.Audience) && (k.Audience != "" || !c.lacks("aud")):
		return nil, invalid("aud: not the one that is accepted")
	}
	i, err := readIdentity(c)
	if err != nil {
		return nil, err
	}
	i.Dialect, i.Session = "nomic", sessionOf(c.text("jti"))
	return i, nil
}

// Senmo accepts the access token of senmo's login, as Bearer.
type Senmo struct {
	Issuer   string // iss: "urn:ostiary:<realm>:senmo", or the mount's issuer
	Audience string // client_id: the mount's audience, by default "ostiary"
}

func (Senmo) kind() kind { return kindJWT }

func (k Senmo) mistake() error {
	if k.Issuer == "" || k.Audience == "" {
		return errors.New("Senmo needs an Issuer and an Audience")
	}
	return nil
}

func (k Senmo) read(c object, p presented) (*Identity, error) {
	switch {
	case !c.is("iss", k.Issuer):
		return nil, errIssuer
	case p.bare || !c.is("token_use", "access") || !c.lacks("aud", "csrf"):
		return nil, invalid("not an access token of senmo as a Bearer")
	case !c.is("client_id", k.Audience):
		return nil, invalid("client_id: not the one that is accepted")
	}
	i, err := readIdentity(c)
	if err != nil {
		return nil, err
	}
	i.Dialect, i.Session = "senmo", sessionOf(c.text("jti"))
	return i, nil
}

// Assertion accepts what a proxy in front of this server has got from /ostiary/verify, the header Ostiary-Assertion,
// and then nothing else: it can't be listed together with other kinds. Every dialect looks alike in it.
type Assertion struct {
	Realm    string // iss: "urn:ostiary:<realm>:" and any dialect
	Audience string // aud: the mounts' assertion_audience, by default "urn:ostiary:<realm>"
}

func (Assertion) kind() kind { return kindAssertion }

func (k Assertion) mistake() error {
	switch {
	case k.Realm == "" || k.Audience == "":
		return errors.New("Assertion needs a Realm and an Audience")
	case unclean(k.Realm) || strings.ContainsAny(k.Realm, ": /"):
		return fmt.Errorf("Assertion.Realm is bad: %q is no realm's name, such as default", k.Realm)
	}
	return nil
}

func (k Assertion) read(c object, _ presented) (*Identity, error) {
	dialect, ours := strings.CutPrefix(c.text("iss"), "urn:ostiary:"+k.Realm+":")
	switch {
	case !ours:
		return nil, errIssuer
	case !c.is("aud", k.Audience):
		return nil, invalid("aud: not the one that is accepted")
	case !c.is("dialect", dialect):
		return nil, invalid("dialect: not the one of iss")
	case c.text("client_id") == "" || c.text("jti") == "" || c.text("account") == "" || c.text("session") == "":
		return nil, invalid("not an assertion") // RFC 9068 section 2.2
	}
	return readIdentity(c)
}

// presented is what a request brought.
type presented struct {
	token string
	bare  bool   // without a scheme
	csrf  string // X-CSRF-Token
}

// bearer takes the credential out of Authorization (RFC 6750 section 2.1): nothing in a cookie, a query or a body is
// one. Two credentials are none, as at /ostiary/verify, since who reads the request next could take the other.
func bearer(h http.Header) (p presented, err error) {
	values, others := h["Authorization"], h["Authentication"]
	switch {
	case len(values) > 1 || len(others) > 1 || len(values)*len(others) == 1 && values[0] != others[0]:
		return p, invalid("two credentials in one request")
	case len(values) == 0:
		return p, ErrNoCredential
	}
	word, rest, schemed := strings.Cut(strings.Trim(values[0], " \t"), " ")
	switch {
	case strings.EqualFold(word, "Bearer"):
		p.token = strings.TrimLeft(rest, " ")
	case !schemed && strings.Count(word, ".") == 2: // a JWT of cloudio
		p.token, p.bare = word, true
	default:
		return p, ErrNoCredential // RFC 6750 section 3.1: no method that is supported
	}
	if csrf := h["X-Csrf-Token"]; len(csrf) == 1 {
		p.csrf = csrf[0]
	}
	return p, nil
}
