package declared

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/token"
)

// jwt is a JWT that answers can have.
type jwt struct {
	name   string
	at     int
	claims *template
}

func (d *Definition) jwt(name string) *jwt {
	i := slices.IndexFunc(d.jwts, func(j *jwt) bool { return j.name == name })
	if i < 0 {
		return nil
	}
	return d.jwts[i]
}

// find is a claim that the definition gives the JWT, or nil.
func (j *jwt) find(claim string) *template {
	for _, m := range j.claims.members {
		if m.name == claim {
			return m.value
		}
	}
	return nil
}

// ownClaims are those that the core sets in every JWT. jti names the session.
var ownClaims = []string{"iss", "sub", "iat", "jti"}

// dateClaims are those that must be dates, and what they may be.
var dateClaims = map[string][]string{
	"exp": {"expires_at", "expires_at.full"}, "nbf": {"issued_at"}, "auth_time": {"auth_time"},
}

func (r *reader) readJWTs(s *section) (all []*jwt) {
	group := s.sub("jwt")
	if group == nil {
		return nil
	}
	for _, e := range group.entries {
		one := group.sub(e.name)
		if one == nil {
			return nil
		}
		one.what = "[jwt." + e.name + "]"
		if !jwtName.MatchString(e.name) {
			r.fail(e.at, "%q must be lower-case letters, digits and _, a letter first, at most 32", e.name)
		}
		j := &jwt{name: e.name, at: e.at, claims: r.compileObject(one.needText("claims"), onClaims)}
		if j.claims == nil && r.err == nil {
			r.fail(e.at, "claims: must be a JSON object, {} if it has none of its own")
		}
		one.end()
		if r.err != nil {
			return nil
		}
		for _, m := range j.claims.members {
			if slices.Contains(ownClaims, m.name) {
				r.fail(m.at, "the claim %q is the server's to set", m.name)
			}
			if may, isDate := dateClaims[m.name]; isDate && !slices.Contains(may, m.value.whole()) {
				r.fail(m.at, "the claim %q must be \"${%s}\"", m.name, may[0])
			}
		}
		all = append(all, j)
	}
	return all
}

// access says which JWT is an access credential; without it none is.
type access struct {
	jwt      *jwt
	claim    string // that tells it from the others, by its value in this one
	value    string
	csrf     bool   // it is nothing without its claim csrf in X-CSRF-Token
	bare     bool   // it may come without a scheme
	audience string // the claim that has the mount's audience
}

func (d *Definition) readAccess(root *section) {
	s := root.sub("access")
	if s == nil {
		return
	}
	a := &d.access
	name := s.needText("jwt")
	a.csrf, a.bare = s.boolean("csrf"), s.boolean("bare")
	claim := s.text("claim")
	s.end()
	if s.err != nil {
		return
	}
	if a.jwt = d.jwt(name.text); a.jwt == nil {
		s.fail(name.at, "there is no [jwt.%s]", name.text)
		return
	}
	if a.csrf {
		if c := a.jwt.find("csrf"); c == nil || !uuidName.MatchString(c.whole()) {
			s.fail(s.find("csrf").at, "csrf: [jwt.%s] needs the claim csrf, with a ${uuid}", name.text)
		}
	}
	d.readKind(s, claim)
	d.findAudience(s, root)
}

// readKind reads the claim that tells the access credential from the other JWTs.
func (d *Definition) readKind(s *section, claim *node) {
	a := &d.access
	if claim == nil {
		if len(d.jwts) > 1 {
			s.fail(s.at, "[access] lacks \"claim\": what tells jwt.%s from the other JWTs", a.jwt.name)
		}
		return
	}
	a.claim = claim.text
	for _, j := range d.jwts {
		value, ok := "", false
		if c := j.find(a.claim); c != nil {
			value, ok = c.literal()
		}
		switch {
		case j == a.jwt && (!ok || value == ""):
			s.fail(claim.at, "claim: [jwt.%s] needs the claim %q, with a text without placeholders", j.name, a.claim)
		case j == a.jwt:
			a.value = value
		}
	}
	for _, j := range d.jwts {
		c := j.find(a.claim)
		if j == a.jwt || c == nil {
			continue
		}
		if value, ok := c.literal(); !ok || value == a.value {
			s.fail(claim.at, "claim: %q must have another text in [jwt.%s]", a.claim, j.name)
		}
	}
}

// findAudience finds the claim of the access credential that has the mount's audience.
func (d *Definition) findAudience(s, root *section) {
	a := &d.access
	anywhere := root.find("audience") != nil
	for _, j := range d.jwts {
		for _, m := range j.claims.members {
			if !m.value.uses["audience"] {
				continue
			}
			anywhere = true
			switch {
			case m.value.whole() == "":
				s.fail(m.at, "${audience} must be all of a claim")
			case j == a.jwt && a.audience != "":
				s.fail(m.at, "${audience} is in the claim %q already", a.audience)
			case j == a.jwt:
				a.audience = m.name
			}
		}
	}
	if anywhere && a.audience == "" {
		s.fail(a.jwt.at, "[jwt.%s] needs a claim \"${audience}\": a mount knows its tokens by it", a.jwt.name)
	}
	if a.audience != "aud" && a.jwt.find("aud") != nil {
		s.fail(a.jwt.at, "aud of [jwt.%s] must be \"${audience}\", or not be there", a.jwt.name)
	}
}

// accept is the dialect's word on which JWTs open doors.
func (d *Definition) accept(c token.Claims, p auth.Presented) error {
	a := &d.access
	switch {
	case a.jwt == nil:
		return fmt.Errorf("no JWT of %s is an access credential", d.Name)
	case p.Bare && !a.bare:
		return fmt.Errorf("a token of %s comes as a Bearer", d.Name)
	case a.claim != "" && !c.Is(a.claim, a.value):
		return errors.New("a JWT of another kind")
	case a.csrf:
		csrf := c.String("csrf")
		if csrf == "" || subtle.ConstantTimeCompare([]byte(csrf), []byte(p.CSRF)) != 1 {
			return auth.Errorf(auth.CodeTokenInvalid, "X-CSRF-Token is missing or is not the one of this token")
		}
	}
	return nil
}

// sign makes the JWT of a grant.
func (j *jwt) sign(ctx context.Context, svc *auth.Service, v *values) (string, error) {
	v.access = dialect.Access(v.grant)
	defer func() { v.access = nil }()
	claims := token.Claims{}
	for _, m := range j.claims.members {
		name := m.value.whole()
		if name == "" {
			claims[m.name] = m.value.render(v)
			continue
		}
		p, _ := lookup(name)
		value := p.get(v)
		if value == nil || value == "" && (name == "audience" || name == "scope") {
			continue // what there is none of is left out
		}
		claims[m.name] = value
	}
	return svc.Sign(ctx, v.grant, claims)
}
