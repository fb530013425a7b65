package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/ostiary/ostiary/internal/pattern"
)

// djangoBcrypt is BCryptSHA256PasswordHasher: bcrypt over the SHA-256 of the password in
// hex, so that all of it counts.
var djangoBcrypt = &format{
	name: "django-bcrypt-sha256", prefixes: []string{"django-bcrypt-sha256"},
	shape: pattern.New(`^\$django-bcrypt-sha256\$2[aby]\$([0-9]{2})\$` + ab64 + `{53}$`),
	class: "%d", params: numbers, cost: bcryptCost,
	decode: func(text string, _ []string) (func([]byte) (bool, error), error) {
		d, err := bcrypt.Decode(strings.TrimPrefix(text, "$django-bcrypt-sha256"))
		if err != nil {
			return nil, err
		}
		return func(password []byte) (bool, error) {
			sum := sha256.Sum256(password)
			return d.MatchBytesAdvanced(hex.AppendEncode(nil, sum[:]))
		}, nil
	},
	sample: func(p []int) string {
		return fmt.Sprintf("$django-bcrypt-sha256$2b$%02d$%s", p[0], strings.Repeat(".", 53))
	},
}

// phpass is the portable hash of Openwall's PHP framework, as WordPress ($P$) and phpBB
// ($H$) have it: MD5, 2^n times.
var phpass = &format{
	name: "phpass", prefixes: []string{"P", "H"},
	shape: pattern.New(`^\$[PH]\$(` + ab64 + `)(` + saltCh + `{8})(` + ab64 + `{22})$`),
	class: "%d", longest: longestCrypt, grows: true,
	params: func(group []string) ([]int, error) { return []int{strings.Index(itoa64, group[0])}, nil },
	cost:   func(p []int) (int, error) { return 0, inRange("log2 of the rounds", p[0], 7, maxPhpassCost) },
	decode: func(_ string, group []string) (func([]byte) (bool, error), error) {
		rounds, salt, want := 1<<strings.Index(itoa64, group[0]), group[1], group[2]
		return func(password []byte) (bool, error) {
			sum := md5.Sum(append([]byte(salt), password...))
			text := append(sum[:], password...)
			for range rounds {
				sum = md5.Sum(text)
				copy(text, sum[:])
			}
			return subtle.ConstantTimeCompare(cryptBase64(sum[:]), []byte(want)) == 1, nil
		}, nil
	},
	sample: func(p []int) string {
		return fmt.Sprintf("$P$%c%s", itoa64[p[0]], strings.Repeat(".", 30))
	},
}

// cryptBase64 writes bytes as crypt(3) does: three as four characters, the lowest bits first.
func cryptBase64(b []byte) (text []byte) {
	for i := 0; i < len(b); i += 3 {
		v, n := 0, min(3, len(b)-i)
		for k := range n {
			v |= int(b[i+k]) << (8 * k)
		}
		for range n + 1 {
			text = append(text, itoa64[v&63])
			v >>= 6
		}
	}
	return text
}

// firebase is Firebase's scrypt: the signer key of the project, encrypted by AES-256-CTR
// with what scrypt makes of the password. Each hash carries what it needs:
// $firebase-scrypt$ln=14,r=8$signer key$salt separator$salt$hash, in base64.
var firebase = &format{
	name: "firebase-scrypt", prefixes: []string{"firebase-scrypt"},
	shape:  pattern.New(`^\$firebase-scrypt\$ln=` + number + `,r=` + number + `\$(` + std64 + `{22,})\$(` + std64 + `*)\$(` + std64 + `*)\$(` + std64 + `{22,})$`),
	class:  "ln=%d,r=%d",
	params: func(group []string) ([]int, error) { return numbers(group[:2]) },
	cost:   func(p []int) (int, error) { return scryptCost([]int{p[0], p[1], 1}) },
	decode: func(_ string, group []string) (func([]byte) (bool, error), error) {
		p, err := numbers(group[:2])
		if err != nil {
			return nil, err
		}
		var field [4][]byte
		for i := range field {
			if field[i], err = base64.RawStdEncoding.Strict().DecodeString(group[2+i]); err != nil {
				return nil, err
			}
		}
		signer, salt, want := field[0], append(field[2], field[1]...), field[3]
		if len(signer) != len(want) {
			return nil, fmt.Errorf("the hash is not as long as the signer key")
		}
		return func(password []byte) (bool, error) {
			key, err := scrypt.Key(password, salt, 1<<p[0], p[1], 1, 32)
			if err != nil {
				return false, err
			}
			block, err := aes.NewCipher(key)
			if err != nil {
				return false, err
			}
			got := make([]byte, len(signer))
			cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, signer)
			return subtle.ConstantTimeCompare(got, want) == 1, nil
		}, nil
	},
	sample: func(p []int) string {
		return fmt.Sprintf("$firebase-scrypt$ln=%d,r=%d$%s$$%s$%s", p[0], p[1], zeros, zeros, zeros)
	},
}
