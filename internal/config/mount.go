package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/dialect"
)

// Mount is one [[mount]] of the file: a dialect, served for a realm at a host and
// prefix. What it leaves out, its dialect's defaults say.
type Mount struct {
	Dialect string `toml:"dialect"` // cloudio, mikrocloud, nomic, senmo, or what its definition is called
	// Definition is the file that declares the dialect, from the directory of this file on.
	Definition string `toml:"definition"`

	Host   string `toml:"host"`   // a host name without port; empty: any
	Prefix string `toml:"prefix"` // a path before the dialect's own, such as "/login"
	Realm  string `toml:"realm"`  // empty: the setting realm

	Issuer    *string `toml:"issuer"`    // iss
	Audience  *string `toml:"audience"`  // aud and client_id
	Scope     *string `toml:"scope"`     // scope of access tokens
	Algorithm *string `toml:"algorithm"` // RS256, ES256, or EdDSA

	// AssertionAudience is aud of the assertions about its sessions.
	AssertionAudience *string `toml:"assertion_audience"` // nil: urn:ostiary:<realm>

	MFA string `toml:"mfa"` // refuse, or append: take the code appended to the password

	AccessTTL    *Duration `toml:"access_ttl"`    // life of an access token
	SessionIdle  *Duration `toml:"session_idle"`  // an unused session ends after this
	SessionMax   *Duration `toml:"session_max"`   // every session ends after this
	RefreshRetry *Duration `toml:"refresh_retry"` // how long a spent refresh token may come again; 0s: never

	CORSOrigins []string `toml:"cors_origins"` // web origins whose scripts may sign in here

	Deprecation     string   `toml:"deprecation"`      // since when it should not be used any more; empty: not said
	Sunset          string   `toml:"sunset"`           // when it is expected to end; empty: not said
	DeprecationLink string   `toml:"deprecation_link"` // where more is said of both
	Brownouts       []string `toml:"brownouts"`        // when it is meant to be away: 2026-12-10T10:00:00Z/15m

	Legacy        *string   `toml:"legacy"`         // the server to take over from; nil: none
	LegacyCA      string    `toml:"legacy_ca"`      // certificates in PEM to trust for it; empty: the system's
	LegacyTimeout *Duration `toml:"legacy_timeout"` // how long a call of it may take
	LegacyCalls   *int      `toml:"legacy_calls"`   // how many there are at once
	LegacyApart   *bool     `toml:"legacy_apart"`   // whether those are kept apart whose names came from another one
	Mode          *string   `toml:"mode"`           // own, shadow, or split: who answers
	SplitPercent  *int      `toml:"split_percent"`  // of the names that are answered here, with split
	SplitAccounts []string  `toml:"split_accounts"` // those that are answered here besides
}

// resolveMounts completes the tables and checks each, then all of them together.
func resolveMounts(tables []Mount, realm string, known []dialect.Dialect) ([]*auth.Mount, error) {
	if len(tables) == 0 {
		for _, d := range known {
			tables = append(tables, Mount{Dialect: string(d.Name())})
		}
	}
	mounts := make([]*auth.Mount, 0, len(tables))
	for i, t := range tables {
		m, err := t.resolve(realm, known)
		if err != nil {
			name := ""
			if m != nil {
				name = " (" + string(m.Dialect) + ")"
			}
			return nil, fmt.Errorf("mount %d%s: %w", i+1, name, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, checkTogether(mounts)
}

// resolve makes a mount of its table. With an error, the mount is nil unless its dialect is known.
func (t *Mount) resolve(realm string, known []dialect.Dialect) (*auth.Mount, error) {
	d, err := t.lookup(known)
	if err != nil {
		return nil, err
	}
	m := d.Defaults
	steps := []struct {
		key string
		run func() error
	}{
		{"legacy", func() error { return t.checkLegacy(d) }},
		{"legacy_ca", t.checkLegacyCA},
		{"legacy_timeout", t.checkLegacyTimeout},
		{"legacy_calls", t.checkLegacyCalls},
		{"legacy_apart", func() error { return t.setLegacyApart(&m) }},
		{"mode", func() error { return t.setMode(&m) }},
		{"split_percent", func() error { return t.setSplitPercent(&m) }},
		{"split_accounts", func() error { return t.setSplitAccounts(&m) }},
		{"host", func() (err error) { m.Host, err = parseHost(t.Host); return }},
		{"prefix", func() error { m.Prefix = t.Prefix; return checkPrefix(t.Prefix) }},
		{"realm", func() error { return t.setRealm(&m, realm) }},
		{"issuer", func() error { return t.setIssuer(&m, d) }},
		{"audience", func() error { return t.setAudience(&m, d) }},
		{"assertion_audience", func() error { return t.setAssertionAudience(&m) }},
		{"scope", func() error { return t.setScope(&m, d) }},
		{"algorithm", func() error { return t.setAlgorithm(&m, d) }},
		{"mfa", func() error { return t.setMFA(&m, d) }},
		{"access_ttl", func() error { return t.setAccessTTL(&m, d) }},
		{"session_idle", func() error { return setLifetime(&m.SessionIdle, t.SessionIdle) }},
		{"session_max", func() error { return setLifetime(&m.SessionMax, t.SessionMax) }},
		{"refresh_retry", func() error { return t.setRefreshRetry(&m, d) }},
		{"cors_origins", func() (err error) { m.CORSOrigins, err = parseOrigins(t.CORSOrigins); return }},
		{"deprecation", func() error { return setDate(&m.Notice.Deprecation, t.Deprecation) }},
		{"sunset", func() error { return t.setSunset(&m.Notice) }},
		{"deprecation_link", func() error { return t.setDeprecationLink(&m.Notice) }},
		{"brownouts", func() error { return t.setBrownouts(&m.Notice) }},
		{"session_idle", func() error { return within(&m.SessionIdle, t.SessionIdle, m.SessionMax) }},
		{"access_ttl", func() error { return within(&m.AccessTTL, t.AccessTTL, m.SessionMax) }},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			return &m, fmt.Errorf("%s: %w", step.key, err)
		}
	}
	return &m, nil
}

func (t *Mount) lookup(known []dialect.Dialect) (*dialect.Dialect, error) {
	var names []string
	for i := range known {
		d := &known[i]
		names = append(names, string(d.Name()))
		if t.Definition != "" && d.File == t.Definition && (t.Dialect == "" || t.Dialect == names[i]) {
			return d, nil
		}
		if t.Definition == "" && t.Dialect == names[i] {
			return d, nil
		}
	}
	if t.Definition != "" {
		return nil, fmt.Errorf("dialect: %q is not what %s declares", t.Dialect, t.Definition)
	}
	if t.Dialect == "" {
		return nil, fmt.Errorf("dialect: missing; it is one of %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("dialect: %w", oneOf(t.Dialect, names...))
}

func (t *Mount) setRealm(m *auth.Mount, fallback string) error {
	m.Realm = fallback
	if t.Realm != "" {
		m.Realm = t.Realm
	}
	if !auth.RealmName.MatchString(m.Realm) {
		return fmt.Errorf("%s", badRealm(m.Realm))
	}
	return nil
}

func (t *Mount) setIssuer(m *auth.Mount, d *dialect.Dialect) error {
	if d.Issuer == nil {
		return unused(t.Issuer, "the tokens of this dialect name no issuer")
	}
	m.Issuer = d.Issuer(m.Realm)
	if t.Issuer == nil {
		return nil
	}
	m.Issuer = *t.Issuer
	return checkIssuer(m.Issuer)
}

func (t *Mount) setAudience(m *auth.Mount, d *dialect.Dialect) error {
	if !d.Audience {
		return unused(t.Audience, "the tokens of this dialect carry no audience")
	}
	if t.Audience == nil {
		return nil
	}
	if *t.Audience == "" && m.Audience != "" {
		return fmt.Errorf("must not be empty")
	}
	m.Audience = *t.Audience
	return checkName(m.Audience)
}

func (t *Mount) setAssertionAudience(m *auth.Mount) error {
	if t.AssertionAudience == nil {
		return nil
	}
	if *t.AssertionAudience == "" {
		return fmt.Errorf("must not be empty") // RFC 9068, section 2.2
	}
	m.AssertionAudience = *t.AssertionAudience
	return checkName(m.AssertionAudience)
}

func (t *Mount) setScope(m *auth.Mount, d *dialect.Dialect) error {
	if d.Defaults.Scope == "" {
		return unused(t.Scope, "the tokens of this dialect carry no scope")
	}
	if t.Scope == nil {
		return nil
	}
	m.Scope = *t.Scope
	return checkScope(m.Scope)
}

func (t *Mount) setAlgorithm(m *auth.Mount, d *dialect.Dialect) error {
	if len(d.Algorithms) == 0 {
		return unused(t.Algorithm, "the tokens of this dialect are not signed")
	}
	if t.Algorithm == nil {
		return nil
	}
	m.Algorithm = *t.Algorithm
	if err := oneOf(m.Algorithm, dialect.Algorithms...); err != nil {
		return err
	}
	if err := oneOf(m.Algorithm, d.Algorithms...); err != nil {
		return fmt.Errorf("%w, which this dialect promises its clients", err)
	}
	return nil
}

func (t *Mount) setMFA(m *auth.Mount, d *dialect.Dialect) error {
	if t.MFA == "" {
		return nil
	}
	if err := oneOf(t.MFA, "refuse", "append"); err != nil {
		return err
	}
	m.AppendCode = t.MFA == "append"
	if m.AppendCode && d.OwnFactor {
		return fmt.Errorf(`"append" is for dialects without a step for the second factor; this one has it`)
	}
	return nil
}

func (t *Mount) setAccessTTL(m *auth.Mount, d *dialect.Dialect) error {
	if t.AccessTTL != nil && len(d.Algorithms) == 0 {
		return fmt.Errorf("the tokens of this dialect live as long as their session: set session_max")
	}
	return setLifetime(&m.AccessTTL, t.AccessTTL)
}

func (t *Mount) setRefreshRetry(m *auth.Mount, d *dialect.Dialect) error {
	switch {
	case t.RefreshRetry == nil:
		return nil
	case d.Defaults.RefreshRetry == 0:
		return fmt.Errorf("this dialect has no refresh")
	case *t.RefreshRetry < 0:
		return fmt.Errorf("must not be negative")
	}
	m.RefreshRetry = time.Duration(*t.RefreshRetry)
	return nil
}

func setLifetime(to *time.Duration, from *Duration) error {
	if from == nil {
		return nil
	}
	if *from <= 0 {
		return fmt.Errorf("must be more than zero")
	}
	if time.Duration(*from)%time.Second != 0 {
		return fmt.Errorf("must be whole seconds") // exp is written so
	}
	*to = time.Duration(*from)
	return nil
}

// within holds a lifetime below that of the session: one that was given is refused,
// and a default shrinks.
func within(value *time.Duration, given *Duration, limit time.Duration) error {
	if given != nil && *value > limit {
		return fmt.Errorf("is longer than session_max")
	}
	*value = min(*value, limit)
	return nil
}

func unused(given *string, why string) error {
	if given != nil {
		return fmt.Errorf("%s", why)
	}
	return nil
}

// checkTogether finds mounts that are in each other's way.
func checkTogether(mounts []*auth.Mount) error {
	for i, b := range mounts {
		for j, a := range mounts[:i] {
			if err := checkPair(a, b); err != nil {
				return fmt.Errorf("mount %d (%s): %w mount %d (%s)", i+1, b.Dialect, err, j+1, a.Dialect)
			}
		}
	}
	return nil
}

// checkPair says what is wrong with b beside a; its words end where a is named.
func checkPair(a, b *auth.Mount) error {
	// A mount without a host answers on every host, those of other mounts included.
	meet := a.Prefix == b.Prefix && (a.Host == b.Host || a.Host == "" || b.Host == "")
	switch {
	case meet && a.Realm != b.Realm:
		return fmt.Errorf("realm: %q at %s meets realm %q there, without a host or prefix of its own, in", b.Realm, place(b), a.Realm)
	case meet && a.Host == b.Host && a.Dialect == b.Dialect:
		return fmt.Errorf("dialect: already served at %s by", place(b))
	case a.Realm == b.Realm && a.Dialect != b.Dialect && a.Issuer == b.Issuer && a.Issuer != "":
		return fmt.Errorf("issuer: %q of realm %q is also that of", b.Issuer, b.Realm)
	case a.Realm == b.Realm && a.Dialect == b.Dialect && a.Audience == b.Audience && assertionAudience(a) != assertionAudience(b):
		// A session tells its mount by its audience, and has one kind of assertion.
		return fmt.Errorf("assertion_audience: %q differs from %q for the same sessions in", assertionAudience(b), assertionAudience(a))
	}
	return nil
}

// assertionAudience is a mount's, or the default.
func assertionAudience(m *auth.Mount) string {
	return cmp.Or(m.AssertionAudience, auth.AssertionAudience(m.Realm))
}

func place(m *auth.Mount) string {
	host := m.Host
	if host == "" {
		host = "any host"
	}
	if m.Prefix == "" {
		return host
	}
	return host + " under " + m.Prefix
}
