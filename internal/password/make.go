package password

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/ostiary/internal/argon2"
)

// What hashes for other systems cost, as OWASP advises, or twenty times what crypt(3) takes untold.
var (
	makePBKDF2 = 600_000
	makeBcrypt = 12
	makeCrypt  = 100_000
)

// makers make a hash that another system reads, of a password and some salt.
var makers = map[string]func(password, salt []byte) (string, error){
	"bcrypt": func(password, _ []byte) (string, error) {
		hash, err := bcrypt.GenerateFromPassword(password[:min(len(password), longestBcrypt)], makeBcrypt)
		return string(hash), err
	},
	"django": func(password, salt []byte) (string, error) {
		text := hex.EncodeToString(salt)
		key, err := pbkdf2.Key(sha256.New, string(password), []byte(text), makePBKDF2, sha256.Size)
		return "pbkdf2_sha256$" + strconv.Itoa(makePBKDF2) + "$" + text + "$" + base64.StdEncoding.EncodeToString(key), err
	},
	"pbkdf2-sha256": func(password, salt []byte) (string, error) {
		key, err := pbkdf2.Key(sha256.New, string(password), salt, makePBKDF2, sha256.Size)
		return pbkdf2Form("sha256", strconv.Itoa(makePBKDF2), string(salt), key), err
	},
	"sha512crypt": func(password, _ []byte) (string, error) {
		if len(password) > longestCrypt {
			return "", nil
		}
		h, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(makeCrypt))
		if err != nil {
			return "", err
		}
		d, err := h.Hash(string(password))
		if err != nil {
			return "", err
		}
		return d.Encode(), nil
	},
	"ssha512": func(password, salt []byte) (string, error) {
		sum := sha512.Sum512(slices.Concat(password, salt))
		return "{SSHA512}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...)), nil
	},
	"werkzeug": func(password, salt []byte) (string, error) {
		text := hex.EncodeToString(salt)
		key, err := pbkdf2.Key(sha256.New, string(password), []byte(text), makePBKDF2, sha256.Size)
		return "pbkdf2:sha256:" + strconv.Itoa(makePBKDF2) + "$" + text + "$" + hex.EncodeToString(key), err
	},
}

// MakeFormats are the formats that HashAs makes.
func MakeFormats() []string {
	return append([]string{"argon2id"}, slices.Sorted(maps.Keys(makers))...)
}

// HashAs makes the hash of a password for a system of another kind, as that one reads it:
// the password is brought into NFC for argon2id alone, and bcrypt's is of its first 72 bytes. It is empty
// for a password that the format can't have (sha512crypt: over 511 bytes). The errors are
// those of Hash.
func (h *Hasher) HashAs(ctx context.Context, format, password string) (hash string, err error) {
	if format == "argon2id" {
		return h.Hash(ctx, password)
	}
	maker := makers[format]
	if maker == nil {
		return "", fmt.Errorf("password: no format %q to make", format)
	}
	if len(password) > maxInput {
		return "", errTooLong
	}
	var salt [saltSize]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	_, err = h.pool.do(ctx, func(*argon2.Buffer) (err error) {
		hash, err = maker([]byte(password), salt[:])
		return err
	})
	return hash, err
}
