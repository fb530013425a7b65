package config

import (
	"fmt"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// Policy is one [[policy]] of the file: what a realm asks of passwords that are chosen.
type Policy struct {
	Realm string `toml:"realm"`

	PasswordPolicy   string  `toml:"password_policy"`   // nist, or mikrocloud: character classes, and none of the last three
	PasswordMin      *int    `toml:"password_min"`      // characters, without a second factor
	PasswordBreached *string `toml:"password_breached"` // the passwords of Have I Been Pwned: a file, or a directory
}

// The bounds of password_min. Nobody is asked for more than fits on a line.
const (
	leastPassword = password.MinFactor
	mostPassword  = 64
	lastBarred    = 3 // of mikrocloud's policy
)

// Passwords are the rules of the [[policy]] tables, by the realm's name. The files of breached
// passwords are not looked at.
func (s *Shared) Passwords() (map[string]password.Rules, error) {
	if s.file == nil {
		return nil, nil
	}
	all := map[string]password.Rules{}
	for i, table := range s.file.policies {
		rules, err := table.rules()
		if _, twice := all[table.Realm]; err == nil && twice {
			err = fmt.Errorf("realm: a [[policy]] before has it too")
		}
		if err != nil {
			name := ""
			if auth.RealmName.MatchString(table.Realm) {
				name = " (" + table.Realm + ")"
			}
			return nil, fmt.Errorf("%s: policy %d%s: %w", s.file.name, i+1, name, err)
		}
		all[table.Realm] = rules
	}
	return all, nil
}

func (t *Policy) rules() (r password.Rules, err error) {
	if t.Realm == "" {
		return r, fmt.Errorf("realm: missing")
	}
	if !auth.RealmName.MatchString(t.Realm) {
		return r, fmt.Errorf("realm: %s", badRealm(t.Realm))
	}
	if t.PasswordPolicy != "" {
		if err := oneOf(t.PasswordPolicy, "nist", "mikrocloud"); err != nil {
			return r, fmt.Errorf("password_policy: %w", err)
		}
	}
	if t.PasswordPolicy == "mikrocloud" {
		r.Classes, r.Past = true, lastBarred
	}
	if t.PasswordMin != nil {
		if r.Min = *t.PasswordMin; r.Min < leastPassword || r.Min > mostPassword {
			return r, fmt.Errorf("password_min: must be between %d and %d", leastPassword, mostPassword)
		}
	}
	if t.PasswordBreached != nil {
		if *t.PasswordBreached == "" {
			return r, fmt.Errorf("password_breached: must not be empty")
		}
		r.Breached = password.NewBreached(*t.PasswordBreached)
	}
	return r, nil
}
