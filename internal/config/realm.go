package config

import (
	"fmt"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// Realm is one [[realm]] of the file: what a realm asks of passwords that are chosen.
type Realm struct {
	Name string `toml:"name"`

	PasswordPolicy   string  `toml:"password_policy"`   // nist, or mikrocloud: character classes, and none of the last three
	PasswordMin      *int    `toml:"password_min"`      // characters, without a second factor
	PasswordBreached *string `toml:"password_breached"` // the passwords of Have I Been Pwned: a file, or a directory
}

// Realms are the [[realm]] tables. The setting realm has the same key, and is a text.
type Realms []Realm

// UnmarshalText is for the setting, which kong takes from the file.
func (*Realms) UnmarshalText([]byte) error { return nil }

// The bounds of password_min. Nobody is asked for more than fits on a line.
const (
	leastPassword = password.MinFactor
	mostPassword  = 64
	lastBarred    = 3 // of mikrocloud's policy
)

// Passwords are the rules of the [[realm]] tables, by the realm's name. The files of breached
// passwords are not looked at.
func (s *Shared) Passwords() (map[string]password.Rules, error) {
	if s.file == nil {
		return nil, nil
	}
	all := map[string]password.Rules{}
	for i, table := range s.file.realms {
		rules, err := table.rules()
		if _, twice := all[table.Name]; err == nil && twice {
			err = fmt.Errorf("name: a [[realm]] before has it too")
		}
		if err != nil {
			name := ""
			if auth.RealmName.MatchString(table.Name) {
				name = " (" + table.Name + ")"
			}
			return nil, fmt.Errorf("%s: realm %d%s: %w", s.file.name, i+1, name, err)
		}
		all[table.Name] = rules
	}
	return all, nil
}

func (t *Realm) rules() (r password.Rules, err error) {
	if t.Name == "" {
		return r, fmt.Errorf("name: missing")
	}
	if !auth.RealmName.MatchString(t.Name) {
		return r, fmt.Errorf("name: %s", badRealm(t.Name))
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
