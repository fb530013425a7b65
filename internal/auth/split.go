package auth

import (
	"crypto/sha256"
	"encoding/binary"
)

// NewSplit makes a Split of accounts as they are written: by username or e-mail address.
func NewSplit(percent int, names []string) (Split, error) {
	s := Split{Percent: percent}
	if percent < 0 || percent > 100 {
		return s, Errorf(CodeInvalidInput, "must be between 0 and 100")
	}
	for _, name := range names {
		key := nameKey(name)
		if key == "" {
			return s, Errorf(CodeInvalidInput, "%q is no username or e-mail address", name)
		}
		if s.Accounts == nil {
			s.Accounts = map[string]bool{}
		}
		s.Accounts[key] = true
	}
	return s, nil
}

// Ours tells whether this server answers whoever signs in by a name. A name stays on its
// side while the percentage grows.
func (s Split) Ours(name string) bool {
	key := nameOrRaw(name)
	sum := sha256.Sum256([]byte(key))
	return s.Accounts[key] || int(binary.BigEndian.Uint64(sum[:])%100) < s.Percent
}
