package password

import (
	"crypto/md5"
	"crypto/subtle"
	"strings"

	"github.com/ostiary/ostiary/internal/pattern"
)

// apache is what htpasswd makes: md5crypt, but for the name that goes into the first hash.
var apache = &format{
	name: "apr1", prefixes: []string{"apr1"},
	shape:   pattern.New(`^\$apr1\$(` + saltCh + `{1,8})\$(` + ab64 + `{22})$`),
	longest: longestCrypt, grows: true, params: func([]string) ([]int, error) { return nil, nil },
	cost: func([]int) (int, error) { return 0, nil },
	decode: func(_ string, group []string) (func([]byte) (bool, error), error) {
		salt, want := group[0], group[1]
		return func(password []byte) (bool, error) {
			return subtle.ConstantTimeCompare(apr1(string(password), salt), []byte(want)) == 1, nil
		}, nil
	},
	sample: func([]int) string { return "$apr1$........$" + strings.Repeat(".", 22) },
}

func apr1(password, salt string) []byte {
	inner := md5.Sum([]byte(password + salt + password))
	text := []byte(password + "$apr1$" + salt)
	for n := len(password); n > 0; n -= len(inner) {
		text = append(text, inner[:min(n, len(inner))]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	sum := md5.Sum(text)
	for round := range 1000 {
		first, last := string(sum[:]), password
		if round&1 != 0 {
			first, last = last, first
		}
		text = append(text[:0], first...)
		if round%3 != 0 {
			text = append(text, salt...)
		}
		if round%7 != 0 {
			text = append(text, password...)
		}
		sum = md5.Sum(append(text, last...))
	}
	var mixed [md5.Size]byte
	for i, from := range [md5.Size]int{12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11} {
		mixed[i] = sum[from]
	}
	return cryptBase64(mixed[:])
}
