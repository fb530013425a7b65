package auth

import (
	"slices"
	"testing"
)

// What the passwords of an account cost together, in whatever dialect they are tried.
func TestSchemes(t *testing.T) {
	const (
		md5    = "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."
		sha    = "$5$rounds=1000$saltsalt$TFDrLHsZ0msaZlw.ZViQNNRjyMG9kAB3KDkA8eLkI.."
		own    = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		scheme = "argon2id$m=19456,t=2,p=1"
	)
	for name, c := range map[string]struct {
		own     string
		sources []SourceHash
		want    []string
	}{
		"nothing":          {"", nil, nil},
		"our own":          {own, nil, nil},
		"another":          {md5, nil, []string{"md5crypt"}},
		"of a source":      {own, []SourceHash{{Source: "one", Hash: md5}}, []string{"md5crypt"}},
		"apart":            {md5, []SourceHash{{Source: "one", Hash: sha}, {Source: "two", Hash: sha}}, []string{"md5crypt", "sha256crypt$1024"}},
		"pending":          {md5, []SourceHash{{Source: "one"}}, []string{"md5crypt"}},
		"only pending":     {"", []SourceHash{{Source: "one"}}, nil},
		"joined":           {own, []SourceHash{{Source: "one", Hash: own, Joined: true}}, []string{scheme + "+" + scheme}},
		"one joined":       {sha, []SourceHash{{Source: "one", Hash: md5, Joined: true}, {Source: "two", Hash: own}}, []string{scheme + "+md5crypt+sha256crypt$1024", "md5crypt+sha256crypt$1024"}},
		"nothing readable": {"garbage", []SourceHash{{Source: "one", Hash: "garbage"}}, nil},
	} {
		rec := AccountRecord{PasswordHash: c.own, Passwords: c.sources}
		if got := rec.schemes(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
