// Package config is every setting of Ostiary, in one documented struct.
//
// A setting has one name in three places: a flag (--log-level), an environment
// variable (OSTIARY_LOG_LEVEL) and a key of the configuration file (log_level).
// A flag wins over the environment, and that over the file. The file is TOML and
// strict: an unknown key is an error. Its [[mount]], [[policy]] and [[writeback]] tables say what
// flags can't.
//
// The command line embeds [Shared] at its root and [Server] in the commands that
// need it; package commandline fills them from flags and environment, and the methods here
// read the file, hand it over for what is still unset, and check the result. Every error
// is one line that names the key, or the mount and the key.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/commandline"
	"github.com/ostiary/ostiary/internal/dialect"
)

// Config is the whole of a configuration file.
type Config struct {
	Shared
	Server
	Mount     []Mount     `toml:"mount"`
	Policy    []Policy    `toml:"policy"`
	Writeback []Writeback `toml:"writeback"`
}

// Shared is what every command reads.
type Shared struct {
	Config string `toml:"-" placeholder:"FILE" env:"OSTIARY_CONFIG" help:"Configuration file (TOML)."`

	// Data is the directory of the database and the master key.
	Data string `toml:"data" default:"ostiary-data" placeholder:"DIR" env:"OSTIARY_DATA" help:"Directory of the database and the master key."`
	// Database is "sqlite:PATH", a URL of PostgreSQL, or empty for ostiary.db in Data.
	// DatabaseFile is a file that holds it, for a URL with a password.
	Database     string `toml:"database" placeholder:"URL" env:"OSTIARY_DATABASE" help:"Where the store is: sqlite:PATH or postgres://USER@HOST/NAME. Default: ostiary.db in the data directory."`
	DatabaseFile string `toml:"database_file" placeholder:"FILE" env:"OSTIARY_DATABASE_FILE" help:"File that holds the URL of --database, for one with a password."`
	// DatabaseConnections is how many connections a process has to PostgreSQL at the most.
	DatabaseConnections int `toml:"database_connections" default:"16" placeholder:"N" env:"OSTIARY_DATABASE_CONNECTIONS" help:"Connections of one process to PostgreSQL, at the most."`
	// MasterKeyFile holds the key that seals secrets; empty: master.key in Data, or
	// the value of OSTIARY_MASTER_KEY, which has no flag since command lines are public.
	MasterKeyFile string `toml:"master_key_file" placeholder:"FILE" env:"OSTIARY_MASTER_KEY_FILE" help:"File of the master key. Default: master.key in the data directory, or the value of $OSTIARY_MASTER_KEY."`
	// Realm is what commands act on, and the realm of mounts that name none.
	Realm string `toml:"realm" default:"default" env:"OSTIARY_REALM" help:"The realm to act on, and that of mounts that name none."`

	LogLevel  string `toml:"log_level" default:"info" env:"OSTIARY_LOG_LEVEL" help:"debug, info, warn or error."`
	LogFormat string `toml:"log_format" default:"text" env:"OSTIARY_LOG_FORMAT" help:"text or json."`

	// HashSlots is how many passwords are hashed at once, each in 19 MiB; 0: one a core.
	HashSlots int `toml:"hash_slots" default:"0" placeholder:"N" env:"OSTIARY_HASH_SLOTS" help:"Passwords hashed at once, each in 19 MiB of memory. 0: one a core."`
	// HashWait is how long a login waits for a slot before it is told to come back.
	HashWait Duration `toml:"hash_wait" default:"5s" env:"OSTIARY_HASH_WAIT" help:"How long a login waits for its turn to be hashed before it is answered 503."`
	Guess
	// TOTPIssuer is the name that an authenticator app shows.
	TOTPIssuer string `toml:"totp_issuer" default:"Ostiary" placeholder:"NAME" env:"OSTIARY_TOTP_ISSUER" help:"The name that authenticator apps show."`

	// KeyRotation is how long a signing key signs before the server replaces it; 0: never.
	KeyRotation Duration `toml:"key_rotation" default:"90d" env:"OSTIARY_KEY_ROTATION" help:"How long a signing key signs before the server replaces it by itself. 0s: never."`
	// KeyAhead is how long the next key is published before it signs.
	KeyAhead Duration `toml:"key_ahead" default:"24h" env:"OSTIARY_KEY_AHEAD" help:"How long the next signing key is published before it signs."`
	// RSABits is the size of new RS256 keys; 0: as the key before it, 2048 for the first.
	RSABits int `name:"rsa-bits" toml:"rsa_bits" default:"0" placeholder:"N" env:"OSTIARY_RSA_BITS" help:"Size of new RS256 keys: 2048, 3072 or 4096. 0: as the key before it, 2048 for the first."`

	file *File
}

// The shortest times of a key's life.
const (
	leastRotation = Duration(6 * time.Second)
	leastAhead    = Duration(5 * time.Second)
)

// BeforeSources reads the configuration file, which then has the say where
// neither a flag nor the environment has one.
func (s *Shared) BeforeSources(line *commandline.Line) error {
	s.file = &File{}
	if s.Config == "" {
		return nil
	}
	file, err := Load(s.Config)
	if err != nil {
		return err
	}
	s.file = file
	line.AddSource(file.source)
	return nil
}

// AfterParse checks the settings once all three have spoken.
func (s *Shared) AfterParse(line *commandline.Line) error {
	if s.Data == "" {
		return fmt.Errorf("data: must not be empty")
	}
	if err := s.settleDatabase(line); err != nil {
		return err
	}
	if err := checkDatabase(s.Database); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if s.DatabaseConnections < leastConnections || s.DatabaseConnections > maxAtOnce {
		return fmt.Errorf("database_connections: must be between %d and %d", leastConnections, maxAtOnce)
	}
	if !auth.RealmName.MatchString(s.Realm) {
		return fmt.Errorf("realm: %s", badRealm(s.Realm))
	}
	if err := oneOf(s.LogLevel, "debug", "info", "warn", "error"); err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	if err := oneOf(s.LogFormat, "text", "json"); err != nil {
		return fmt.Errorf("log_format: %w", err)
	}
	if s.HashSlots < 0 || s.HashSlots > 1024 {
		return fmt.Errorf("hash_slots: must be between 0 and 1024")
	}
	if s.HashWait <= 0 {
		return fmt.Errorf("hash_wait: must be more than zero")
	}
	if err := s.checkGuesses(); err != nil {
		return err
	}
	if err := checkTOTPIssuer(s.TOTPIssuer); err != nil {
		return fmt.Errorf("totp_issuer: %w", err)
	}
	if err := s.checkKeys(); err != nil {
		return err
	}
	if _, err := s.Passwords(); err != nil {
		return err
	}
	if _, err := s.Writebacks(); err != nil {
		return err
	}
	if _, _, err := s.MasterKey(); err != nil {
		return err
	}
	return nil
}

// checkKeys keeps schedules possible: all that see the published keys must have the time
// to look again.
func (s *Shared) checkKeys() error {
	switch {
	case s.KeyRotation != 0 && s.KeyRotation < leastRotation:
		return fmt.Errorf("key_rotation: must be 0s, or at least %s", time.Duration(leastRotation))
	case s.RSABits != 0 && s.RSABits != 2048 && s.RSABits != 3072 && s.RSABits != 4096:
		return fmt.Errorf("rsa_bits: must be 0, 2048, 3072 or 4096")
	}
	return s.CheckAhead("key_ahead", s.KeyAhead)
}

// CheckAhead says what is wrong with how long a key is published before it signs. Keys that
// sign later than their successor is due would end the rotation.
func (s *Shared) CheckAhead(name string, ahead Duration) error {
	switch {
	case ahead != 0 && ahead < leastAhead:
		return fmt.Errorf("%s: must be 0s, or at least %s", name, time.Duration(leastAhead))
	case s.KeyRotation != 0 && ahead >= s.KeyRotation:
		return fmt.Errorf("%s (%s) must be less than key_rotation (%s)", name, ahead, s.KeyRotation)
	}
	return nil
}

// MasterKey says where the master key comes from: text is the key itself, from the
// environment, or else file is where it is kept.
func (s *Shared) MasterKey() (text auth.Secret, file string, err error) {
	value, inEnv := os.LookupEnv("OSTIARY_MASTER_KEY")
	if _, also := os.LookupEnv("OSTIARY_MASTER_KEY_FILE"); inEnv && also {
		return "", "", fmt.Errorf("OSTIARY_MASTER_KEY and OSTIARY_MASTER_KEY_FILE: give only one")
	}
	switch {
	case s.MasterKeyFile != "": // a flag, which wins over the environment, or what only the file says
		return "", s.MasterKeyFile, nil
	case inEnv:
		return auth.Secret(value), "", nil
	default:
		return "", filepath.Join(s.Data, "master.key"), nil
	}
}

// Definitions are the files that declare dialects of the mounts, each once.
func (s *Shared) Definitions() (paths []string) {
	if s.file == nil {
		return nil
	}
	for _, m := range s.file.mounts {
		if m.Definition != "" && !slices.Contains(paths, m.Definition) {
			paths = append(paths, m.Definition)
		}
	}
	return paths
}

// Mounts completes and checks the [[mount]] tables by what is known of each dialect.
// Without any, it is every dialect at "/" of every host, in Realm. RealmID is left zero.
func (s *Shared) Mounts(known []dialect.Dialect) ([]*auth.Mount, error) {
	if s.file == nil {
		return resolveMounts(nil, s.Realm, known)
	}
	mounts, err := resolveMounts(s.file.mounts, s.Realm, known)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file.name, err)
	}
	return mounts, nil
}

// checkTOTPIssuer keeps the label of an otpauth:// URI unambiguous: its first colon
// separates issuer and account.
func checkTOTPIssuer(name string) error {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > 64 || !printable(name):
		return fmt.Errorf("must be 1 to 64 printable characters")
	case strings.Contains(name, ":"):
		return fmt.Errorf("must not contain a colon")
	}
	return nil
}

func badRealm(name string) string {
	return fmt.Sprintf("%q is no realm's name (letters, digits, dot, underscore, hyphen; at most 64)", name)
}

func oneOf(value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	last := len(allowed) - 1
	list := allowed[last]
	if last > 0 {
		list = strings.Join(allowed[:last], ", ") + " or " + list
	}
	return fmt.Errorf("%q is not %s", value, list)
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Duration is a time.Duration that also reads days: "30d", "1d12h", "90s".
type Duration time.Duration

// maxDays is the longest duration.
const maxDays = 36500

// String is the duration as it is written in the configuration file.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d > day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalText reads a duration of the configuration file.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	sum := time.Duration(0)
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || strconv.Itoa(n) != days || n < 0 || n > maxDays {
			return badDuration(s)
		}
		if rest != "" && (rest[0] < '0' || rest[0] > '9') {
			return badDuration(s)
		}
		sum, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" || len(text) == 0 {
		rest, err := time.ParseDuration(s)
		if err != nil || rest > maxDays*24*time.Hour-sum {
			return badDuration(string(text))
		}
		sum += rest
	}
	*d = Duration(sum)
	return nil
}

// wellFormed is a duration that is none only because it is too long.
var wellFormed = regexp.MustCompile(`^((0|[1-9]\d*)d)?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$`)

func badDuration(s string) error {
	if s != "" && wellFormed.MatchString(s) {
		return fmt.Errorf("%q is too long: at most %dd", s, maxDays)
	}
	return fmt.Errorf(`%q is no duration such as "60s", "1h" or "30d"`, s)
}
