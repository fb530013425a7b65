package password

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/argon2"
)

// ErrUnsupported is wrapped by the errors about a hash that this server can't
// verify, or will not because of its parameters.
var ErrUnsupported = errors.New("password: unsupported hash")

// maxStored is the length of the longest hash that is looked at.
const maxStored = 1024

// stored is a hash whose shape and parameters have been checked.
type stored struct {
	format *format
	params []int
	memory int // KiB that one check needs

	salt, tag []byte                              // of argon2id
	matches   func(password []byte) (bool, error) // of every other format
}

// parse reads a stored hash. The decoders of go-crypt take more than they should
// (parameters twice, zero for "some default", costs that run for years), so they only see
// what has passed here.
func parse(phc string) (*stored, error) {
	if len(phc) > maxStored {
		return nil, unsupported("longer than %d bytes", maxStored)
	}
	f := formatOf(phc)
	if f == nil {
		return nil, unsupported("unknown format")
	}
	group := f.shape.FindStringSubmatch(phc)
	if group == nil {
		return nil, unsupported("malformed %s", f.name)
	}
	s := &stored{format: f}
	var err error
	if s.params, err = f.params(group[1:]); err == nil {
		s.memory, err = f.cost(s.params)
	}
	if err != nil {
		return nil, unsupported("%s: %v", f.name, err)
	}
	if f.decode != nil {
		s.matches, err = f.decode(phc, group[1:])
	} else {
		s.salt, s.tag, err = decodeArgon2(group[len(group)-2], group[len(group)-1])
	}
	if err != nil { // may quote the hash
		return nil, unsupported("malformed %s", f.name)
	}
	return s, nil
}

func unsupported(reason string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(reason, args...))
}

// match tells whether the hash is of this password. It takes what memory it needs
// from b, if it is argon2id.
func (s *stored) match(b *argon2.Buffer, password []byte) (bool, error) {
	if s.matches == nil {
		tag, err := b.Key(password, s.salt, uint32(s.params[1]), uint32(s.params[0]), uint8(s.params[2]), uint32(len(s.tag)))
		return err == nil && subtle.ConstantTimeCompare(tag, s.tag) == 1, err
	}
	// NUL ends a password in the C implementations of most of these formats, and in
	// the others (HMAC's padded key, bcrypt's repeated one) it can be added for free.
	if bytes.IndexByte(password, 0) >= 0 || s.format.longest > 0 && len(password) > s.format.longest {
		return false, nil
	}
	return s.matches(password)
}

// current tells whether Hash would make a hash of this kind.
func (s *stored) current() bool {
	return s.costsDefault() && len(s.salt) == saltSize && len(s.tag) == tagSize
}

// costsDefault tells whether checking it, if it is there, is the same work as checking a new hash.
func (s *stored) costsDefault() bool {
	return s != nil && s.format.name == "argon2id" &&
		s.params[0] == int(Default.Memory) && s.params[1] == int(Default.Time) && s.params[2] == int(Default.Threads)
}

func (s *stored) scheme() string {
	if len(s.params) == 0 {
		return s.format.name
	}
	p := slices.Clone(s.params)
	if s.format.rounded {
		p[0] = roundUp(p[0])
		if _, err := s.format.cost(p); err != nil { // over the cap by rounding alone
			p[0] = s.params[0]
		}
	}
	values := make([]any, len(p))
	for i, v := range p {
		values[i] = v
	}
	return s.format.name + "$" + fmt.Sprintf(s.format.class, values...)
}

// roundUp keeps the three highest bits, so that systems that vary their iterations
// do not fill the table of classes.
func roundUp(n int) int {
	step := 1
	for n/step >= 8 {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// sampleOf makes a hash of a scheme, to measure what checking one costs.
func sampleOf(scheme string) (*stored, error) {
	name, class, _ := strings.Cut(scheme, "$")
	f := formats[name]
	if f == nil {
		return nil, unsupported("unknown scheme")
	}
	var p []int
	for _, field := range strings.FieldsFunc(class, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(field[strings.IndexByte(field, '=')+1:])
		if err != nil {
			return nil, unsupported("scheme without its parameters")
		}
		p = append(p, n)
	}
	if len(p) != strings.Count(f.class, "%d") {
		return nil, unsupported("scheme without its parameters")
	}
	if _, err := f.cost(p); err != nil {
		return nil, unsupported("%s: %v", f.name, err)
	}
	return parse(f.sample(p))
}

func decodeArgon2(salt64, tag64 string) (salt, tag []byte, err error) {
	strict := base64.RawStdEncoding.Strict()
	if salt, err = strict.DecodeString(salt64); err != nil {
		return nil, nil, err
	}
	tag, err = strict.DecodeString(tag64)
	return salt, tag, err
}
