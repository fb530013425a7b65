package keyring

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	setOpen  = `{"keys":[`
	setClose = `]}`
)

// keySet is a JWK Set that shrinks as its keys expire. The keys stand in it by how long they live,
// longest first, so that the set of any later moment is a prefix of the whole.
type keySet struct {
	whole []byte
	ends  []keyEnd
}

// keyEnd is where a key's member of the set ends.
type keyEnd struct {
	key    *key
	length int // of the set with this key as its last, without setClose
}

func newKeySet(keys []*key) (keySet, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b *key) int {
		return cmp.Or(compareEnd(b.expiresAt, a.expiresAt), a.signsFrom.Compare(b.signsFrom), cmp.Compare(a.kid, b.kid))
	})
	var s keySet
	s.whole = append(s.whole, setOpen...)
	for i, k := range keys {
		member, err := publicJWK(k)
		if err != nil {
			return keySet{}, err
		}
		if i > 0 {
			s.whole = append(s.whole, ',')
		}
		s.whole = append(s.whole, member...)
		s.ends = append(s.ends, keyEnd{k, len(s.whole)})
	}
	s.whole = append(s.whole, setClose...)
	return s, nil
}

// compareEnd compares expiries, of which the zero one is the latest.
func compareEnd(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// publicJWK is a key as others may see it. go-jose writes the members of a public key and no others
// if a public key is what it is given. That of another server has the member iss besides (RFC 7517 section 4
// allows others): whoever knows it takes the key for tokens of that issuer alone.
func publicJWK(k *key) ([]byte, error) {
	jwk := jose.JSONWebKey{Key: k.public, KeyID: k.kid, Algorithm: k.algorithm, Use: "sig"}
	if !jwk.IsPublic() {
		return nil, errors.New("keyring: a private key would be published")
	}
	text, err := jwk.MarshalJSON()
	if err != nil || k.issuer == nil {
		return text, err
	}
	issuer, err := json.Marshal(*k.issuer)
	return slices.Concat(text[:len(text)-1], []byte(`,"iss":`), issuer, []byte("}")), err
}

// live is how many keys the set has left.
func (s keySet) live(now time.Time) int {
	n := len(s.ends)
	for n > 0 && !s.ends[n-1].key.alive(now) {
		n--
	}
	return n
}

// nextEnd is when the set shrinks next; zero if never.
func (s keySet) nextEnd(now time.Time) time.Time {
	if n := s.live(now); n > 0 {
		return s.ends[n-1].key.expiresAt
	}
	return time.Time{}
}

func (s keySet) at(now time.Time) []byte {
	live := s.live(now)
	switch live {
	case len(s.ends):
		return s.whole
	case 0:
		return []byte(setOpen + setClose)
	}
	prefix := s.whole[:s.ends[live-1].length]
	return slices.Concat(prefix, []byte(setClose))
}
