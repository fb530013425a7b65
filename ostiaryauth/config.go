package ostiaryauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Config says what a Verifier accepts. Nothing is accepted that is not in it.
type Config struct {
	// URL is where Ostiary serves the realm: "https://login.example.com", with the mounts' prefix if they have one. Its
	// JWK Set is <URL>/.well-known/jwks.json. The keys of a realm sign for that realm alone, so that the URL also says
	// which realm's tokens are accepted. Redirects are not followed.
	URL string
	// AllowHTTP takes a URL without TLS that is not of this machine. Who can change the answers on the way then chooses
	// the keys, and so who is let in.
	AllowHTTP bool

	// Accept is the kinds of credentials that are accepted: one at least.
	Accept []Credential
	// Introspection asks Ostiary about tokens. Mikrocloud can't do without; nil for none.
	Introspection *Introspection

	// Client makes the requests to Ostiary; nil for one like http.DefaultClient that keeps more connections. Each is given
	// 5 seconds, whatever its Timeout. One of your own should keep many, too (MaxIdleConnsPerHost), and bound them
	// (MaxConnsPerHost): 256 questions are asked at once.
	Client *http.Client
	// Log gets a line when Ostiary can't be asked, at most one in 10 seconds, and on the level of debug the reason of
	// each refusal. No line has a token in it. nil for slog.Default().
	Log *slog.Logger
	// Now is the clock; nil for time.Now. It is for tests.
	Now func() time.Time
}

// Introspection is how Ostiary is asked whether a token lives (RFC 7662), at <URL>/ostiary/introspect.
type Introspection struct {
	// Name and Secret are those of a service account of the realm with the role ostiary:introspect.
	Name   string
	Secret Secret
	// CacheFor is how long the answer that a token lives is kept, counted from when it was asked for: 0 for 2 seconds,
	// negative for not at all, MaxCacheFor at most. Other answers are not kept.
	CacheFor time.Duration
	// Always asks about every token, JWTs too, once they have been verified: so that the end of a session is seen
	// within CacheFor and not when the JWT expires, and so that identities have all fields in every dialect.
	Always bool
}

// Secret is a text that does not print.
type Secret string

const redacted = "[secret]"

func (Secret) String() string { return redacted }

// GoString keeps the secret from %#v.
func (Secret) GoString() string { return redacted }

// LogValue keeps the secret from log lines.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON keeps the secret from JSON.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// New makes a Verifier. It fails if the configuration accepts nothing, or is not sure to mean what it says; the error
// names every mistake. It asks nobody: see Verifier.Ready.
func New(c Config) (*Verifier, error) {
	mistakes := []error{c.checkURL(), c.checkAccept(), c.checkIntrospection()}
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("ostiaryauth: configuration: %w", err)
	}
	if c.Client == nil {
		c.Client = ownClient()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	base := strings.TrimRight(c.URL, "/")
	ask := newClient(c.Client, c.Now, c.Log)
	v := &Verifier{
		accept: append([]Credential(nil), c.Accept...), now: c.Now, log: c.Log,
		keys: &keyCache{url: base + "/.well-known/jwks.json", client: ask},
	}
	for _, k := range c.Accept {
		v.assertions = v.assertions || k.kind() == kindAssertion
		v.jwts = v.jwts || k.kind() != kindOpaque
		v.opaque = v.opaque || k.kind() == kindOpaque
	}
	if i := c.Introspection; i != nil {
		v.always = i.Always
		v.introspector = &introspector{
			url: base + "/ostiary/introspect", name: i.Name, secret: i.Secret, cacheFor: i.CacheFor, client: ask,
			flights: map[tokenHash]*flight{},
		}
		if i.CacheFor == 0 {
			v.introspector.cacheFor = defaultCacheFor
		}
	}
	return v, nil
}

func (c Config) checkURL() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("URL must be Ostiary's, as in https://login.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("URL must be a scheme, a host and a path, and nothing else")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), ".json") || ownPath.MatchString(u.Path):
		return errors.New("URL must be where Ostiary serves the realm, without /.well-known/ or /ostiary/ and what follows")
	case u.Scheme == "http" && !c.AllowHTTP && !loopback(u.Hostname()):
		return errors.New("URL must be https, or AllowHTTP be set")
	}
	return nil
}

// ownPath is in the server's own URL space, where no realm is served.
var ownPath = regexp.MustCompile(`(?i)/(ostiary|\.well-known)(/|$)`)

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) checkAccept() error {
	if len(c.Accept) == 0 {
		return errors.New("nothing is in Accept, so that nothing would be accepted")
	}
	var mistakes []error
	assertions := 0
	listed := map[any]bool{}
	for _, k := range c.Accept {
		if v := reflect.ValueOf(k); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			mistakes = append(mistakes, errors.New("a nil is in Accept"))
			continue
		}
		mistakes = append(mistakes, k.mistake())
		value := reflect.Indirect(reflect.ValueOf(k)).Interface()
		if listed[value] {
			mistakes = append(mistakes, fmt.Errorf("%#v is twice in Accept", value))
		}
		listed[value] = true
		switch k.kind() {
		case kindAssertion:
			assertions++
		case kindOpaque:
			if c.Introspection == nil {
				mistakes = append(mistakes, errors.New("Mikrocloud needs Introspection"))
			}
		}
	}
	if assertions > 0 && assertions < len(c.Accept) {
		mistakes = append(mistakes, errors.New("Assertion is accepted alone: behind a proxy, tokens are the proxy's to check"))
	}
	if assertions > 0 && c.Introspection != nil {
		mistakes = append(mistakes, errors.New("Assertion goes without Introspection, where assertions are nothing"))
	}
	return errors.Join(mistakes...)
}

func (c Config) checkIntrospection() error {
	i := c.Introspection
	switch {
	case i == nil:
		return nil
	case i.Name == "" || i.Secret == "":
		return errors.New("Introspection needs the Name and Secret of a service account")
	case unclean(i.Name) || strings.Contains(i.Name, ":"): // RFC 7617 section 2
		return fmt.Errorf("Introspection.Name is bad: %q has a colon, a control character, or a space at an end", i.Name)
	case unclean(string(i.Secret)):
		return errors.New("Introspection.Secret is bad: it has a control character, or a space at an end; " +
			"if it was read from a file, cut the line break off (strings.TrimSpace)")
	case i.CacheFor > MaxCacheFor:
		return fmt.Errorf("Introspection.CacheFor is %v, and may be %v at most", i.CacheFor, MaxCacheFor)
	}
	return nil
}

// unclean tells of a text that has more in it than was meant, such as the end of a line.
func unclean(s string) bool {
	return strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl)
}
