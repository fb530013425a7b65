package legacy

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
)

// maxText is how long a name may be that a server says, in code points.
const maxText = 255

// Refused is the answer of a server that says no.
func Refused(code auth.Code) error {
	return auth.Because(code, "the legacy server has refused it")
}

// Basic is "user:password" in base64, in UTF-8. No name with a colon can be said so
// (RFC 7617, section 2): it is refused as the server would.
func Basic(c auth.Credentials) (string, error) {
	if strings.Contains(c.Name, ":") {
		return "", auth.Because(auth.CodeBadCredentials, "a name with a colon can't be asked for")
	}
	return base64.StdEncoding.EncodeToString([]byte(c.Name + ":" + string(c.Password))), nil
}

// Btoa is Basic as a browser's btoa has it: in ISO-8859-1 where that has all characters.
func Btoa(c auth.Credentials) (string, error) {
	text, err := Basic(c)
	raw := make([]byte, 0, len(c.Name)+1+len(c.Password))
	for _, r := range c.Name + ":" + string(c.Password) {
		if r > unicode.MaxLatin1 {
			return text, err
		}
		raw = append(raw, byte(r))
	}
	return base64.StdEncoding.EncodeToString(raw), err
}

// Claims are those of a JWT, which is read and not verified: that it came from the server,
// TLS vouches for.
type Claims map[string]json.RawMessage

// ReadJWT reads a JWT in its compact form (RFC 7515, section 3.1).
func ReadJWT(text string) (Claims, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] == "" || parts[2] == "" {
		return nil, errors.New("its token is no JWT")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("its token is no JWT")
	}
	claims, err := strictjson.Object(raw)
	if err != nil {
		return nil, errors.New("the claims of its token are no JSON object")
	}
	return claims, nil
}

// Text is a claim that is a text; "" if it is not there.
func (c Claims) Text(name string) (string, error) {
	raw, there := c[name]
	if !there || string(raw) == "null" {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("the claim %s of its token is no text", name)
	}
	return text, nil
}

// Check settles the names of a newcomer, and refuses what can't stand for anybody. An
// e-mail address that is sent as the username is the address; an id is no username.
func Check(n *auth.Newcomer) (*auth.Newcomer, error) {
	for _, text := range []string{n.Username, n.Email, n.DisplayName, n.Org, n.Subject} {
		if utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, errors.New("a name in it is too long, or has control characters")
		}
	}
	if _, isID := auth.ParseID(n.Username); isID {
		n.Username = ""
	}
	if strings.Contains(n.Username, "@") && (n.Email == "" || strings.EqualFold(n.Username, n.Email)) {
		n.Username, n.Email = "", n.Username
	}
	if n.Username == "" && n.Email == "" {
		return nil, errors.New("it names nobody")
	}
	return n, nil
}
