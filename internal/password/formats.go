package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	xyescrypt "github.com/go-crypt/x/yescrypt"

	"github.com/ostiary/ostiary/internal/pattern"
)

// A format is one way to write a hash.
type format struct {
	name     string
	prefixes []string         // what its hashes begin with
	shape    *pattern.Pattern // the whole hash; the groups are for params
	class    string           // Scheme's way to write the parameters
	rounded  bool             // Scheme rounds the first parameter up
	longest  int              // a longer password, in bytes, is never right; 0: any length
	grows    bool             // each round goes through the whole password

	params func(group []string) ([]int, error)
	cost   func(p []int) (memoryKiB int, err error) // refuses what is out of range
	sample func(p []int) string
	decode decoder // nil: argon2id, which is our own
}

// A decoder makes the check of a hash from its text and the groups of its shape.
type decoder func(text string, group []string) (matches func(password []byte) (bool, error), err error)

// crypt is a decoder of go-crypt's.
func crypt(decode func(string) (algorithm.Digest, error)) decoder {
	return func(text string, _ []string) (func([]byte) (bool, error), error) {
		d, err := decode(text)
		if err != nil {
			return nil, err
		}
		return d.MatchBytesAdvanced, nil
	}
}

// The caps on what a stored hash may cost: about a second, also for the longest password, and 256 MiB.
// A failed login of the whole realm then costs as much in time (see Floor).
const (
	maxMemory      = 256 << 10 // KiB
	maxArgon2Work  = 1 << 20   // KiB × passes
	maxArgon2Time  = 1024      // passes
	maxArgon2Lanes = 64        //
	maxScryptWork  = 256 << 10 // KiB × p
	maxBcryptCost  = 14        // 2^14 key expansions
	maxIterations  = 5 << 20   // of PBKDF2 (× blocks)
	maxRounds      = 1000000   // of SHA-crypt, each of which goes through the whole password
	maxPhpassCost  = 20        // 2^20 times MD5 of the whole password

	// crypt(3) takes fewer than 512 bytes (CRYPT_MAX_PASSPHRASE_SIZE of libxcrypt);
	// SHA-crypt's time grows with the password's length.
	longestCrypt = 511
	// bcrypt ignores what follows. A longer password is not right by its beginning.
	longestBcrypt = 72
)

const (
	number = `(0|[1-9][0-9]{0,9})` // PHC: decimal, no leading zeros
	std64  = `[A-Za-z0-9+/]`
	ab64   = `[A-Za-z0-9./]`          // every alphabet of crypt(3), in any order
	saltCh = `[!-#%-9;-~]`            // a crypt(3) salt: printable, no "$" and ":"
	zeros  = "AAAAAAAAAAAAAAAAAAAAAA" // 16 zero bytes
)

// formats are all formats, by their names; byPrefix, by what a hash begins with.
var formats, byPrefix = make(map[string]*format), make(map[string]*format)

func add(f *format) {
	formats[f.name] = f
	for _, p := range f.prefixes {
		byPrefix[p] = f
	}
}

func init() {
	add(argon2Format("argon2id", nil))
	add(argon2Format("argon2i", crypt(argon2.Decode)))
	add(argon2Format("argon2d", crypt(argon2.Decode)))
	add(&format{
		name: "bcrypt", prefixes: []string{"2a", "2b", "2y"}, // not 2x, the hashes of a broken implementation
		shape: pattern.New(`^\$2[aby]\$([0-9]{2})\$` + ab64 + `{53}$`),
		class: "%d", longest: longestBcrypt, params: numbers, cost: bcryptCost, decode: crypt(bcrypt.Decode),
		sample: func(p []int) string { return fmt.Sprintf("$2b$%02d$%s", p[0], strings.Repeat(".", 53)) },
	})
	add(&format{ // passlib's version 2: bcrypt over HMAC-SHA256 of the password
		name: "bcrypt-sha256", prefixes: []string{"bcrypt-sha256"},
		shape: pattern.New(`^\$bcrypt-sha256\$v=2,t=2b,r=([0-9]{1,2})\$` + ab64 + `{22}\$` + ab64 + `{31}$`),
		class: "%d", params: numbers, cost: bcryptCost, decode: crypt(bcrypt.Decode),
		sample: func(p []int) string {
			return fmt.Sprintf("$bcrypt-sha256$v=2,t=2b,r=%d$%s$%s", p[0], strings.Repeat(".", 22), strings.Repeat(".", 31))
		},
	})
	add(&format{
		name: "scrypt", prefixes: []string{"scrypt"},
		shape: pattern.New(`^\$scrypt\$ln=` + number + `,r=` + number + `,p=` + number + `\$` + std64 + `*\$` + std64 + `{22,}$`),
		class: "ln=%d,r=%d,p=%d", params: numbers, cost: scryptCost, decode: crypt(scrypt.Decode),
		sample: func(p []int) string {
			return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", p[0], p[1], p[2], zeros, zeros)
		},
	})
	add(&format{ // libxcrypt's default parameters "j", N and r as one character each
		name: "yescrypt", prefixes: []string{"y"},
		shape: pattern.New(`^\$y\$j([./0-9A-H])([./0-9A-T])\$(` + ab64 + `*)\$` + ab64 + `{43}$`),
		class: "ln=%d,r=%d", longest: longestCrypt, params: yescryptParams, decode: crypt(scrypt.Decode),
		cost: func(p []int) (int, error) { return scryptCost([]int{p[0], p[1], 1}) },
		sample: func(p []int) string {
			return fmt.Sprintf("$y$j%c%c$%s$%s", itoa64[p[0]-1], itoa64[p[1]-1], strings.Repeat(".", 22), strings.Repeat(".", 43))
		},
	})
	for _, v := range []struct {
		name, ids string
		size      int
	}{
		{"sha1", "(?:-sha1)?", 20}, {"sha224", "-sha224", 28}, {"sha256", "-sha256", 32}, {"sha384", "-sha384", 48}, {"sha512", "-sha512", 64},
	} {
		f := &format{
			name: "pbkdf2-" + v.name, prefixes: []string{"pbkdf2-" + v.name},
			shape: pattern.New(`^\$pbkdf2` + v.ids + `\$` + number + `\$` + ab64 + `*\$(` + ab64 + `{22,})$`),
			class: "i=%d,blocks=%d", rounded: true, decode: crypt(pbkdf2.Decode),
			params: func(group []string) ([]int, error) {
				n, err := strconv.Atoi(group[0])
				return []int{n, (len(group[1])*3/4 + v.size - 1) / v.size}, err // RFC 8018, section 5.2: l
			},
			cost: pbkdf2Cost,
			sample: func(p []int) string {
				key := make([]byte, p[1]*v.size)
				return fmt.Sprintf("$pbkdf2-%s$%d$%s$%s", v.name, p[0], zeros, base64.RawStdEncoding.EncodeToString(key))
			},
		}
		if v.name == "sha1" {
			f.prefixes = append(f.prefixes, "pbkdf2")
		}
		add(f)
	}
	add(shaCryptFormat("sha256crypt", "5", 43))
	add(shaCryptFormat("sha512crypt", "6", 86))
	add(&format{
		name: "md5crypt", prefixes: []string{"1"},
		shape:   pattern.New(`^\$1\$` + saltCh + `{1,8}\$` + ab64 + `{22}$`),
		longest: longestCrypt, grows: true, params: numbers, decode: crypt(md5crypt.Decode),
		cost:   func([]int) (int, error) { return 0, nil },
		sample: func([]int) string { return "$1$........$" + strings.Repeat(".", 22) },
	})
	add(djangoBcrypt)
	add(phpass)
	add(apache)
	add(firebase)
	add(digest)
}

func formatOf(phc string) *format {
	rest, ok := strings.CutPrefix(phc, "$")
	if !ok {
		return nil
	}
	id, _, _ := strings.Cut(rest, "$")
	return byPrefix[id]
}

func argon2Format(name string, decode decoder) *format {
	return &format{
		name: name, prefixes: []string{name},
		// RFC 9106, section 3.1: a salt of at least 8 bytes; tags under 16 bytes are refused as too weak.
		shape: pattern.New(`^\$` + name + `\$v=19\$m=` + number + `,t=` + number + `,p=` + number + `\$(` + std64 + `{11,})\$(` + std64 + `{22,})$`),
		class: "m=%d,t=%d,p=%d", decode: decode, cost: argon2Cost,
		params: func(group []string) ([]int, error) { return numbers(group[:3]) },
		sample: func(p []int) string {
			return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", name, p[0], p[1], p[2], zeros, zeros)
		},
	}
}

func shaCryptFormat(name, id string, size int) *format {
	return &format{
		name: name, prefixes: []string{id},
		shape: pattern.New(`^\$` + id + `\$(?:rounds=` + number + `\$)?` + saltCh + `{1,16}\$` + ab64 + fmt.Sprintf(`{%d}$`, size)),
		class: "%d", rounded: true, longest: longestCrypt, grows: true, decode: crypt(shacrypt.Decode),
		params: func(group []string) ([]int, error) {
			if group[0] == "" {
				return []int{5000}, nil
			}
			return numbers(group)
		},
		cost: func(p []int) (int, error) { return 0, inRange("rounds", p[0], 1000, maxRounds) },
		sample: func(p []int) string {
			return fmt.Sprintf("$%s$rounds=%d$%s$%s", id, p[0], strings.Repeat(".", 16), strings.Repeat(".", size))
		},
	}
}

func argon2Cost(p []int) (int, error) {
	m, t, lanes := p[0], p[1], p[2]
	return m, firstOf(
		inRange("p", lanes, 1, maxArgon2Lanes),
		inRange("t", t, 1, maxArgon2Time),
		inRange("m", m, 8*max(lanes, 1), maxMemory), // RFC 9106, section 3.1
		inRange("m×t", satMul(m, t), 1, maxArgon2Work))
}

func bcryptCost(p []int) (int, error) { return 0, inRange("cost", p[0], 4, maxBcryptCost) }

func scryptCost(p []int) (int, error) { // RFC 7914, section 6: 128 × N × r bytes, p times
	ln, r, par := p[0], p[1], p[2]
	if err := firstOf(inRange("ln", ln, 1, 24), inRange("r", r, 1, 64), inRange("p", par, 1, 64)); err != nil {
		return 0, err
	}
	memory := 1<<ln*r/8 + 1
	return memory, firstOf(inRange("memory in KiB", memory, 1, maxMemory), inRange("memory × p", memory*par, 1, maxScryptWork))
}

func pbkdf2Cost(p []int) (int, error) {
	return 0, firstOf(inRange("blocks", p[1], 1, 16), inRange("iterations", satMul(p[0], p[1]), 1, maxIterations))
}

// satMul is a × b, and at least more than every cap if that overflows.
func satMul(a, b int) int {
	if b > 0 && a > math.MaxInt32/b {
		return math.MaxInt32
	}
	return a * b
}

const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" // of crypt(3)

func yescryptParams(group []string) ([]int, error) {
	if xyescrypt.Decode64([]byte(group[2])) == nil { // go-crypt/crypt would go on without a salt
		return nil, errors.New("malformed salt")
	}
	return []int{strings.Index(itoa64, group[0]) + 1, strings.Index(itoa64, group[1]) + 1}, nil
}

func numbers(group []string) ([]int, error) {
	p := make([]int, len(group))
	for i, g := range group {
		n, err := strconv.ParseInt(g, 10, 64)
		if err != nil || n > math.MaxUint32 {
			return nil, errors.New("parameter out of range")
		}
		p[i] = int(n)
	}
	return p, nil
}

func inRange(name string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s is not between %d and %d", name, low, high)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
