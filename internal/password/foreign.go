package password

import (
	"encoding/base64"
	"encoding/hex"
	"math/bits"
	"strconv"
	"strings"

	"github.com/ostiary/ostiary/internal/pattern"
)

// ForeignOptions say of a hash what another system keeps apart from it. Only a bare hash
// needs them: others say themselves what they are.
type ForeignOptions struct {
	Salt     string    // of a Template as it is, of Firebase in base64
	Template string    // what a bare digest is of, such as "md5({salt}{password})"
	Firebase *Firebase // the parameters of the project, for its bare hashes; nil: none are
}

// Firebase are the parameters that a Firebase project hashes with; its console shows them.
type Firebase struct {
	SignerKey     string // base64
	SaltSeparator string // base64
	Rounds        int
	MemoryCost    int
}

// Foreign makes the stored form of a hash that another system made, which Check takes: PHC
// strings and crypt(3) as they are, and those of Django, Werkzeug, LDAP, phpass and
// Firebase, and bare digests. Its error wraps ErrUnsupported, names the format and what is
// wrong with it, and does not contain the hash.
func Foreign(text string, o ForeignOptions) (stored string, err error) {
	stored, _, err = ForeignScheme(text, o)
	return stored, err
}

// ForeignScheme is Foreign, and returns the Scheme of the hash with it.
func ForeignScheme(text string, o ForeignOptions) (stored, scheme string, err error) {
	if stored, err = storedForm(text, o); err != nil {
		return "", "", err
	}
	s, err := parse(stored)
	if err != nil {
		return "", "", err
	}
	return stored, s.scheme(), nil
}

func storedForm(text string, o ForeignOptions) (string, error) {
	switch {
	case len(text) > maxStored:
		return "", unsupported("longer than %d bytes", maxStored)
	case text == "" || text[0] == '!' || text[0] == '*':
		return "", unsupported("no hash, or a mark that no password is right: leave it out")
	case text[0] == '{' || strings.Contains(text, "$"):
		if o.Salt != "" {
			return "", unsupported("this format has its salt in it: leave the other one out")
		}
		return foreignForm(text)
	case o.Firebase != nil && o.Template != "":
		return "", unsupported("it can't be of a template and of Firebase: give the one or the other")
	case o.Firebase != nil:
		return firebaseForm(text, o)
	case o.Template != "":
		return bareForm(text, o)
	}
	return "", unsupported("a bare hash does not say how it was made: give a template such as md5({salt}{password}), or the parameters of Firebase")
}

// foreignForm is the stored form of what has a name in front.
func foreignForm(text string) (string, error) {
	if strings.HasPrefix(text, "$") {
		return text, nil
	}
	if strings.HasPrefix(text, "{") {
		return ldapForm(text)
	}
	name, rest, _ := strings.Cut(text, "$")
	method, _, colon := strings.Cut(name, ":")
	switch {
	case colon && method == "pbkdf2":
		return werkzeugPBKDF2(name, rest)
	case colon && method == "scrypt":
		return werkzeugScrypt(name, rest)
	case name == "argon2": // Django's, which a hash as it is follows
		return "$" + rest, nil
	case name == "bcrypt":
		return rest, nil
	case name == "bcrypt_sha256":
		return "$django-bcrypt-sha256" + rest, nil
	case name == "pbkdf2_sha256", name == "pbkdf2_sha1":
		return djangoPBKDF2(name, rest)
	case name == "scrypt":
		return djangoScrypt(rest)
	case digests[name] != nil:
		return saltedForm(name, rest)
	case name == "plain":
		return "", unsupported("plain: this is the password itself")
	}
	return "", unsupported("unknown format")
}

// djangoPBKDF2 takes Django's n$salt$hash, in base64.
func djangoPBKDF2(name, rest string) (string, error) {
	field, err := fieldsOf(name, rest, 3)
	if err != nil {
		return "", err
	}
	key, err := anyBase64(field[2])
	if err != nil {
		return "", unsupported("%s: the hash is not base64", name)
	}
	return pbkdf2Form(strings.TrimPrefix(name, "pbkdf2_"), field[0], field[1], key), nil
}

// werkzeugPBKDF2 takes Werkzeug's pbkdf2:name:n$salt$hash, in hex.
func werkzeugPBKDF2(name, rest string) (string, error) {
	method := strings.Split(name, ":")
	if len(method) != 3 {
		return "", unsupported("pbkdf2 of Werkzeug: without its iterations, for which its versions have different defaults; write pbkdf2:sha256:260000")
	}
	if digests[method[1]] == nil || method[1] == "md5" {
		return "", unsupported("pbkdf2 of Werkzeug: of a hash that is not supported")
	}
	field, err := fieldsOf("pbkdf2 of Werkzeug", rest, 2)
	if err != nil {
		return "", err
	}
	key, err := hex.DecodeString(field[1])
	if err != nil {
		return "", unsupported("pbkdf2 of Werkzeug: the hash is not hex")
	}
	return pbkdf2Form(method[1], method[2], field[0], key), nil
}

func pbkdf2Form(hash, iterations, salt string, key []byte) string {
	return "$pbkdf2-" + hash + "$" + iterations + "$" + adapted64([]byte(salt)) + "$" + adapted64(key)
}

// adapted64 is the base64 of passlib's PBKDF2 hashes, which has "." for "+".
func adapted64(b []byte) string {
	return strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(b), "+", ".")
}

// djangoScrypt takes Django's N$salt$r$p$hash, in base64.
func djangoScrypt(rest string) (string, error) {
	field, err := fieldsOf("scrypt of Django", rest, 5)
	if err != nil {
		return "", err
	}
	key, err := anyBase64(field[4])
	if err != nil {
		return "", unsupported("scrypt of Django: the hash is not base64")
	}
	return scryptForm("scrypt of Django", [3]string{field[0], field[2], field[3]}, field[1], key)
}

// werkzeugScrypt takes Werkzeug's scrypt:N:r:p$salt$hash, in hex.
func werkzeugScrypt(name, rest string) (string, error) {
	p := strings.Split(name, ":")
	if len(p) != 4 {
		return "", unsupported("scrypt of Werkzeug: N, r and p are not all there")
	}
	field, err := fieldsOf("scrypt of Werkzeug", rest, 2)
	if err != nil {
		return "", err
	}
	key, err := hex.DecodeString(field[1])
	if err != nil {
		return "", unsupported("scrypt of Werkzeug: the hash is not hex")
	}
	return scryptForm("scrypt of Werkzeug", [3]string{p[1], p[2], p[3]}, field[0], key)
}

var wholeNumber = pattern.New(`^` + number + `$`)

func scryptForm(name string, p [3]string, salt string, key []byte) (string, error) {
	for i, what := range []string{"N", "r", "p"} {
		if !wholeNumber.MatchString(p[i]) {
			return "", unsupported("%s: %s is not a number", name, what)
		}
	}
	n, err := strconv.ParseUint(p[0], 10, 32)
	if err != nil || bits.OnesCount64(n) != 1 {
		return "", unsupported("%s: N is no power of two, or too large", name)
	}
	b64 := base64.RawStdEncoding
	return "$scrypt$ln=" + strconv.Itoa(bits.TrailingZeros64(n)) + ",r=" + p[1] + ",p=" + p[2] +
		"$" + b64.EncodeToString([]byte(salt)) + "$" + b64.EncodeToString(key), nil
}

// saltedForm takes name$salt$hash in hex, of which there are two: Django hashes the salt
// and the password, Werkzeug before version 3 makes an HMAC with the salt as its key. Only
// Werkzeug has the longer ones.
func saltedForm(name, rest string) (string, error) {
	field, err := fieldsOf(name, rest, 2)
	if err != nil {
		return "", err
	}
	template := "hmac-" + name + "({salt},{password})"
	switch {
	case field[0] == "":
		template = name + "({password})"
	case name == "md5" || name == "sha1":
		template = name + "({salt}{password})|" + template
	}
	tag, err := hex.DecodeString(field[1])
	if err != nil || len(tag) != digests[name]().Size() {
		return "", unsupported("%s: the hash is not hex of its length", name)
	}
	return digestForm(template, []byte(field[0]), tag), nil
}

func fieldsOf(name, rest string, n int) ([]string, error) {
	field := strings.Split(rest, "$")
	if len(field) != n {
		return nil, unsupported("%s: it has not %d parts after its name", name, n)
	}
	return field, nil
}

// bareForm is that of a digest alone, in hex or base64.
func bareForm(text string, o ForeignOptions) (string, error) {
	t, err := parseTemplate(o.Template)
	switch {
	case err != nil:
		return "", unsupported("%v", err)
	case t.salted && o.Salt == "":
		return "", unsupported("the template has {salt}, and there is none")
	case !t.salted && o.Salt != "":
		return "", unsupported("there is a salt, and the template has no {salt}")
	}
	tag, err := hex.DecodeString(text)
	if err != nil || len(tag) != t.size {
		tag, err = anyBase64(text)
	}
	if err != nil || len(tag) != t.size {
		return "", unsupported("digest: not the %d bytes of the template in hex or base64", t.size)
	}
	return digestForm(o.Template, []byte(o.Salt), tag), nil
}

// firebaseForm is that of a hash as Firebase exports it.
func firebaseForm(text string, o ForeignOptions) (string, error) {
	f := o.Firebase
	var field []string
	for _, part := range []struct{ name, text string }{
		{"signer key", f.SignerKey}, {"salt separator", f.SaltSeparator}, {"salt", o.Salt}, {"hash", text},
	} {
		b, err := anyBase64(part.text)
		if err != nil {
			return "", unsupported("firebase-scrypt: the %s is not base64", part.name)
		}
		if len(b) == 0 && part.name != "salt separator" {
			return "", unsupported("firebase-scrypt: there is no %s", part.name)
		}
		field = append(field, base64.RawStdEncoding.EncodeToString(b))
	}
	if len(field[0]) != len(field[3]) {
		return "", unsupported("firebase-scrypt: the hash is not as long as the signer key")
	}
	if err := firstOf(inRange("rounds", f.Rounds, 1, 64), inRange("mem_cost", f.MemoryCost, 1, 24)); err != nil {
		return "", unsupported("firebase-scrypt: %v", err)
	}
	return "$firebase-scrypt$ln=" + strconv.Itoa(f.MemoryCost) + ",r=" + strconv.Itoa(f.Rounds) + "$" + strings.Join(field, "$"), nil
}

// anyBase64 reads both alphabets, padded or not.
func anyBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawStdEncoding.Strict().DecodeString(text)
}
