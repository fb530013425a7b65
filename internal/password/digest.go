package password

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/ostiary/ostiary/internal/pattern"
)

// digest is a fast hash of a password and a salt, put together as a template says:
// $digest$template$salt$hash, the last two in base64. Of several templates, with "|"
// between them, one has to fit: some systems write two kinds of hash alike.
var digest = &format{
	name: "digest", prefixes: []string{"digest"},
	shape:  pattern.New(`^\$digest\$([ -#%-~]{1,` + fmt.Sprint(longestTemplate) + `})\$(` + std64 + `*)\$(` + std64 + `{22,})$`),
	params: func([]string) ([]int, error) { return nil, nil },
	cost:   func([]int) (int, error) { return 0, nil },
	decode: func(_ string, group []string) (func([]byte) (bool, error), error) {
		salt, tag, err := decodeArgon2(group[1], group[2])
		if err != nil {
			return nil, err
		}
		var sums []sum
		for text := range strings.SplitSeq(group[0], "|") {
			t, err := parseTemplate(text)
			if err != nil || t.size != len(tag) {
				return nil, errors.Join(errors.New("the template is not of this hash"), err)
			}
			sums = append(sums, t.sum)
		}
		return func(password []byte) (bool, error) {
			fits := 0
			for _, sum := range sums {
				fits |= subtle.ConstantTimeCompare(sum(password, salt), tag)
			}
			return fits == 1, nil
		}, nil
	},
	sample: func([]int) string { return digestForm("md5({password})", nil, make([]byte, md5.Size)) },
}

// digestForm writes a hash of the format digest.
func digestForm(template string, salt, tag []byte) string {
	b64 := base64.RawStdEncoding
	return "$digest$" + template + "$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(tag)
}

// The bounds on a template: a check stays quicker by far than that of a new hash.
const (
	longestTemplate = 200 // with its alternatives
	deepestTemplate = 4   // calls in calls
)

// A template says what a hash is of, such as sha1({salt}:md5({password})).
//
//	template = name "(" part … ")" | "hmac-" name "(" key "," message ")"
//	part     = template | "{password}" | "{salt}" | "{hex:…}" | a character
//	name     = md5 | sha1 | sha224 | sha256 | sha384 | sha512
//
// A template within another stands for its hash in lower-case hex. A character stands for
// itself; those that mean something ({ } ( ) , | $), and bytes, are written as {hex:…}.
type template struct {
	sum    sum
	size   int  // bytes of the hash
	salted bool // it has {salt}
}

type sum func(password, salt []byte) []byte

var digests = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

var (
	callBegin = pattern.New(`^(hmac-)?(md5|sha1|sha224|sha256|sha384|sha512)\(`)
	hexBytes  = pattern.New(`^\{hex:((?:[0-9A-Fa-f]{2})+)\}`)
)

// parseTemplate reads one template. Its error tells where it goes wrong.
func parseTemplate(text string) (*template, error) {
	p := templateParser{text: text}
	if len(text) > longestTemplate {
		return nil, fmt.Errorf("template: longer than %d characters", longestTemplate)
	}
	t, err := p.call(1)
	switch {
	case err != nil:
	case p.rest() != "":
		err = errors.New("something follows the last parenthesis")
	case !p.password:
		return nil, errors.New("template: {password} is not in it")
	default:
		t.salted = p.salt
		return t, nil
	}
	return nil, fmt.Errorf("template, character %d: %w", p.at+1, err)
}

type templateParser struct {
	text           string
	at             int
	password, salt bool // seen
}

func (p *templateParser) rest() string { return p.text[p.at:] }

// call reads a template from here on.
func (p *templateParser) call(depth int) (*template, error) {
	group := callBegin.FindStringSubmatch(p.rest())
	if group == nil {
		return nil, errors.New("here should be md5(, sha1(, sha224(, sha256(, sha384(, sha512( or one of them after hmac-")
	}
	if depth > deepestTemplate {
		return nil, fmt.Errorf("more than %d within each other", deepestTemplate)
	}
	p.at += len(group[0])
	keyed, newHash := group[1] != "", digests[group[2]]
	t := &template{size: newHash().Size()}
	var key sum
	if keyed {
		var err error
		if key, err = p.parts(',', depth); err != nil {
			return nil, err
		}
	}
	message, err := p.parts(')', depth)
	if err != nil {
		return nil, err
	}
	t.sum = func(password, salt []byte) []byte {
		h := newHash()
		if keyed {
			h = hmac.New(newHash, key(password, salt)) // RFC 2104
		}
		h.Write(message(password, salt))
		return h.Sum(nil)
	}
	return t, nil
}

// parts reads what is hashed, and the character that ends it.
func (p *templateParser) parts(end byte, depth int) (sum, error) {
	var all []sum
	for {
		rest := p.rest()
		switch {
		case rest == "":
			return nil, fmt.Errorf("here should be %q", end)
		case rest[0] == end:
			p.at++
			return join(all), nil
		case callBegin.MatchString(rest):
			t, err := p.call(depth + 1)
			if err != nil {
				return nil, err
			}
			all = append(all, func(password, salt []byte) []byte { return hex.AppendEncode(nil, t.sum(password, salt)) })
		default:
			part, err := p.part(rest)
			if err != nil {
				return nil, err
			}
			all = append(all, part)
		}
	}
}

// part reads a placeholder or a character.
func (p *templateParser) part(rest string) (sum, error) {
	if strings.HasPrefix(rest, "{password}") {
		p.password = true
		p.at += len("{password}")
		return func(password, _ []byte) []byte { return password }, nil
	}
	if strings.HasPrefix(rest, "{salt}") {
		p.salt = true
		p.at += len("{salt}")
		return func(_, salt []byte) []byte { return salt }, nil
	}
	if group := hexBytes.FindStringSubmatch(rest); group != nil {
		p.at += len(group[0])
		b, err := hex.DecodeString(group[1])
		return func(_, _ []byte) []byte { return b }, err
	}
	if c := rest[0]; c < ' ' || c > '~' || strings.IndexByte("{}(),|$", c) >= 0 {
		return nil, errors.New("here should be {password}, {salt}, {hex:…} or an ordinary character")
	}
	p.at++
	return func(_, _ []byte) []byte { return []byte(rest[:1]) }, nil
}

func join(all []sum) sum {
	return func(password, salt []byte) (text []byte) {
		for _, part := range all {
			text = append(text, part(password, salt)...)
		}
		return text
	}
}
