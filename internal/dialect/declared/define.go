package declared

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/pattern"
)

// maxFile is the size of a definition, in bytes: far more than a login API has to say.
const maxFile = 256 << 10

// Definition is a dialect that a file declares.
type Definition struct {
	Name auth.Dialect
	File string

	defaults   auth.Mount
	issuer     string // with ${realm}; "": its tokens name none
	algorithms []string
	subject    string
	two        auth.Code // of a request with two credentials
	jwts       []*jwt
	access     access
	routes     []*route
	errors     answers
}

// Load reads a definition. Its name must not be one of the taken ones. An error is one
// line, with the file, the line and the column.
func Load(path string, taken ...auth.Dialect) (*Definition, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: longer than 256 KiB: not a definition", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, taken...)
}

// Parse is Load for the text of a definition; name is for errors.
func Parse(name string, data []byte, taken ...auth.Dialect) (*Definition, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: longer than 256 KiB: not a definition", name)
	}
	src := &source{name, data}
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	r := &reader{source: src}
	d := r.define(r.section(root, "the definition"), taken)
	if r.err != nil {
		return nil, r.err
	}
	d.File = name
	return d, nil
}

var (
	dialectName = pattern.New(`^[a-z][a-z0-9_-]{0,31}$`)
	plainName   = pattern.New(`^[!-~]{1,255}$`)
	scopeList   = pattern.New(`^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$`) // RFC 6749, section 3.3
)

func (r *reader) define(s *section, taken []auth.Dialect) *Definition {
	d := &Definition{}
	if n := s.needText("name"); n != nil {
		d.Name = auth.Dialect(n.text)
		if !dialectName.MatchString(n.text) {
			r.fail(n.at, "name: %q must be lower-case letters, digits, _ and -, a letter first, at most 32", n.text)
		}
		if slices.Contains(taken, d.Name) {
			r.fail(n.at, "name: there is a dialect %q already", n.text)
		}
	}
	d.jwts = r.readJWTs(s)
	d.readDefaults(s)
	d.readAccess(s)
	d.errors = r.readErrors(s.tables("error"), nil)
	d.readRoutes(s)
	s.end()
	if r.err == nil {
		d.checkErrors(s)
		d.checkUses(s)
	}
	return d
}

// readDefaults reads what a mount has unless it says otherwise.
func (d *Definition) readDefaults(s *section) {
	d.defaults = auth.Mount{Dialect: d.Name}
	d.subject = s.word("subject", "id", "id", "number")
	d.two = auth.Code(s.word("two_credentials", string(auth.CodeInvalidInput), string(auth.CodeInvalidInput), string(auth.CodeBadCredentials)))
	m := &d.defaults
	m.SessionIdle = s.duration("session_idle")
	m.SessionMax = s.duration("session_max")
	m.AccessTTL = s.duration("access_ttl")
	m.RefreshRetry = s.duration("refresh_retry")
	m.Audience = s.matching("audience", plainName, "printable ASCII without spaces")
	m.Scope = s.matching("scope", scopeList, "a list of scopes, with single spaces between")
	if m.SessionMax == 0 {
		m.SessionMax = 24 * time.Hour
	}
	for name, life := range map[string]time.Duration{"session_idle": m.SessionIdle, "access_ttl": m.AccessTTL} {
		if life > m.SessionMax {
			s.fail(s.find(name).at, "%s is longer than session_max", name)
		}
	}
	d.readSigning(s)
}

// readSigning reads what only JWTs have.
func (d *Definition) readSigning(s *section) {
	if len(d.jwts) == 0 {
		for _, name := range []string{"issuer", "algorithms", "access_ttl", "audience", "scope"} {
			if e := s.find(name); e != nil {
				s.fail(e.at, "%s: this dialect has no [jwt.…] to use it", name)
			}
		}
		return
	}
	d.algorithms = dialect.Algorithms
	if list := s.texts("algorithms"); list != nil {
		d.algorithms = nil
		for _, n := range list {
			if !slices.Contains(dialect.Algorithms, n.text) || slices.Contains(d.algorithms, n.text) {
				s.fail(n.at, "algorithms: %q is not one of %s, or is there twice", n.text, strings.Join(dialect.Algorithms, ", "))
			}
			d.algorithms = append(d.algorithms, n.text)
		}
	}
	if len(d.algorithms) > 0 {
		d.defaults.Algorithm = d.algorithms[0]
	}
	d.issuer = "urn:ostiary:${realm}:" + string(d.Name)
	if n := s.text("issuer"); n != nil {
		d.issuer = n.text
		plain := strings.ReplaceAll(n.text, "${realm}", "realm")
		if !plainName.MatchString(plain) || strings.Contains(plain, "${") {
			s.fail(n.at, "issuer: %q must be printable ASCII without spaces, and ${realm} its only placeholder", n.text)
		}
	}
}

// Dialect is what the server needs to know of it.
func (d *Definition) Dialect() dialect.Dialect {
	out := dialect.Dialect{
		Defaults: d.defaults, Algorithms: d.algorithms, File: d.File,
		Audience: d.access.audience != "", OwnFactor: d.has(flowBegin),
		Rules:  auth.Rules{Accept: d.accept, Subject: subjects[d.subject], Audience: d.access.audience, Refresh: d.has(flowRefresh)},
		Encode: d.errors.encode, Routes: d.serve,
	}
	if out.Rules.Audience == "aud" {
		out.Rules.Audience = ""
	}
	if d.issuer != "" {
		out.Issuer = func(realm string) string { return strings.ReplaceAll(d.issuer, "${realm}", realm) }
	}
	return out
}

func (d *Definition) has(f flow) bool {
	return slices.ContainsFunc(d.routes, func(r *route) bool { return r.flow == f })
}

// uses tells whether an answer of a route has a placeholder.
func (d *Definition) uses(f flow, name string) bool {
	return slices.ContainsFunc(d.routes, func(r *route) bool { return r.flow == f && r.uses[name] })
}

// checkUses sees that what is declared fits together.
func (d *Definition) checkUses(s *section) {
	if d.has(flowBegin) != d.has(flowComplete) {
		s.fail(s.at, "a login in two steps needs a route that runs begin and one that runs complete")
	}
	if !d.has(flowSignIn) && !d.has(flowBegin) {
		s.fail(s.at, "no route runs sign_in or begin: nobody could sign in")
	}
	d.defaults.Opaque = d.uses(flowSignIn, "bearer")
	given := slices.ContainsFunc(d.routes, func(r *route) bool { return r.uses["refresh"] })
	if given != d.has(flowRefresh) {
		s.fail(s.at, "${refresh} in an answer and a route that runs refresh need each other")
	}
	retry := s.find("refresh_retry")
	switch {
	case retry != nil && !given:
		s.fail(retry.at, "refresh_retry: no route runs refresh")
	case retry == nil && given:
		d.defaults.RefreshRetry = time.Minute
	}
	for _, r := range d.routes {
		for name := range r.uses {
			jwt, ok := strings.CutPrefix(name, "jwt.")
			if ok && d.jwt(jwt) == nil {
				s.fail(r.at, "the answer has ${%s}, and there is no [%s]", name, name)
			}
		}
	}
	for _, j := range d.jwts {
		if !slices.ContainsFunc(d.routes, func(r *route) bool { return r.uses["jwt."+j.name] }) {
			s.fail(j.at, "no answer has ${jwt.%s}", j.name)
		}
	}
	// A renewed session needs an access credential to renew it by, or to end it.
	if d.access.jwt == nil && !d.uses(flowSignIn, "bearer") && !d.uses(flowComplete, "bearer") {
		s.fail(s.at, "no answer has an access credential: ${bearer}, or a JWT that [access] names")
	}
}

// subjects are what an account is called that has no alias, by the word for it; by its id, if
// there is none. A name is no such thing: who gives it up leaves it to another, and the store
// keeps aliases apart from ids and numbers alone.
var subjects = map[string]func(auth.Account) string{
	"number": func(a auth.Account) string { return fmt.Sprint(a.Number) },
}
