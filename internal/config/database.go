package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ostiary/ostiary/internal/commandline"
)

// maxURL is more than any database's URL needs.
const maxURL = 16 << 10

// leastConnections is what a process needs to read and write at the same time.
const leastConnections = 6

// Postgres says whether the store is in PostgreSQL.
func (s *Shared) Postgres() bool { return isPostgres(s.Database) }

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// DatabasePath is the file of the SQLite store; "" if the store is in PostgreSQL.
func (s *Shared) DatabasePath() string {
	if s.Postgres() {
		return ""
	}
	if path, ok := strings.CutPrefix(s.Database, "sqlite:"); ok {
		return path
	}
	return filepath.Join(s.Data, "ostiary.db")
}

// DatabaseName is where the store is, for messages: the file, or the hosts and the name of
// the database, without what may be secret.
func (s *Shared) DatabaseName() string {
	c, err := pgconn.ParseConfig(s.Database)
	if !s.Postgres() || err != nil {
		return s.DatabasePath()
	}
	return "postgres://" + strings.Join(addresses(c), ",") + "/" + c.Database
}

// PlainHosts are the machines to which the connection to PostgreSQL may be without TLS, so
// that whoever is on the way sees the accounts, and the password unless it is by SCRAM.
func (s *Shared) PlainHosts() (hosts []string) {
	c, err := pgconn.ParseConfig(s.Database)
	if !s.Postgres() || err != nil {
		return nil
	}
	for _, h := range attempts(c) {
		if h.TLSConfig == nil && !onMachine(h.Host) && !slices.Contains(hosts, h.Host) {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}

// HasPassword says whether the URL of the database has a password in it.
func (s *Shared) HasPassword() bool {
	user, _, query := splitURL(s.Database)
	_, password, _ := strings.Cut(user, ":")
	return s.Postgres() && (password != "" || query.Get("password") != "")
}

// splitURL takes a URL apart as PostgreSQL does, which is not how net/url does it.
func splitURL(text string) (user, hosts string, query url.Values) {
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, rest = rest[:i], rest[i+1:]
	}
	rest, raw, _ := strings.Cut(rest, "?")
	hosts, _, _ = strings.Cut(rest, "/")
	query, _ = url.ParseQuery(raw)
	return user, hosts, query
}

// attempts are how the driver tries to connect, one after the other.
func attempts(c *pgconn.Config) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}

func addresses(c *pgconn.Config) (list []string) {
	for _, h := range attempts(c) {
		address := net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
		if !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// onMachine tells whether a host is this machine: a socket's directory, or loopback.
func onMachine(host string) bool {
	return strings.HasPrefix(host, "/") || loopback(host)
}

// typedWins lets a flag win over what the environment or the configuration file says of the
// other one of a setting and its file.
func typedWins(line *commandline.Line, flag string, text, path *string) {
	typed, file := line.Typed(flag), line.Typed(flag+"-file")
	switch {
	case typed && !file:
		*path = ""
	case file && !typed:
		*text = ""
	}
}

// settleDatabase takes the URL of the database from its file.
func (s *Shared) settleDatabase(line *commandline.Line) error {
	typedWins(line, "database", &s.Database, &s.DatabaseFile)
	if s.Database != "" && s.DatabaseFile != "" {
		return fmt.Errorf("database and database_file: give only one")
	}
	if s.DatabaseFile == "" {
		return nil
	}
	text, err := ReadDatabase(s.DatabaseFile)
	if err != nil {
		return fmt.Errorf("database_file: %w", err)
	}
	s.Database = text
	return nil
}

// ReadDatabase reads the URL of a database from a file.
func ReadDatabase(path string) (url string, err error) {
	if url, err = readSecret(path); err == nil && url == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	return url, err
}

// readSecret reads one line from a file. It may be a mounted secret, which others can read
// inside its container; nobody else may be able to write it.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("others can write %s (mode %04o): take that away", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxURL+1))
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff")) // some editors begin a file so
	if len(text) > maxURL || strings.ContainsAny(line, "\r\n\x00") {
		return "", fmt.Errorf("%s: must have one line, a URL", path)
	}
	return line, nil
}

// CheckDatabase says what is wrong with the URL of a database, without any of it that may be secret.
func CheckDatabase(url string) error { return checkDatabase(url) }

func checkDatabase(url string) error {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case url == "":
		return nil
	case isPostgres(url):
		return checkPostgres(url)
	case isPostgres(strings.ToLower(scheme) + ":" + rest):
		return fmt.Errorf("must begin with %s://, in lower case", strings.ToLower(scheme))
	case scheme != "sqlite":
		return fmt.Errorf(`must be "sqlite:" and a path, a URL that begins with postgres://, or empty`) // never echoed: a URL may carry a password
	case rest == "" || strings.ContainsRune(rest, 0) || parameter.MatchString(rest) || strings.HasPrefix(rest, "//"):
		return fmt.Errorf(`"sqlite:" must be followed by a plain path`)
	case strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "file:"):
		return fmt.Errorf(`"sqlite:" must be followed by the path of a file: a store in memory would be lost with the process`)
	}
	return nil
}

// parameter is what a path would not have, and a URL would.
var parameter = regexp.MustCompile(`\?\w+=`)

// checkPostgres reads the URL as the driver does, which also looks at the variables of the
// environment that PostgreSQL's own programs know. No error has any of it that may be part
// of a password: one that is not encoded is cut where the URL's own parts begin.
func checkPostgres(text string) error {
	c, err := pgconn.ParseConfig(text)
	if err != nil {
		return explainURL(err)
	}
	_, hosts, query := splitURL(text)
	elsewhere := query.Has("host") || query.Has("service") || os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != ""
	place := strings.Join(addresses(c), ",") + c.Database
	switch attrs := query.Get("target_session_attrs"); {
	case strings.ContainsAny(place, "@?#\\") || strings.Contains(c.Database, "/") || !printable(place) || strayQuery(text):
		return fmt.Errorf("the URL of PostgreSQL is ambiguous: in user and password, write %%40 for @, %%2F for /, %%3A for :, %%3F for ?, %%23 for #")
	case c.Database == "":
		return fmt.Errorf("the URL of PostgreSQL must name a database: postgres://USER@HOST:PORT/NAME")
	case hosts == "" && !elsewhere:
		return fmt.Errorf("the URL of PostgreSQL must name a host: postgres://USER@HOST:PORT/NAME")
	case attrs == "read-only" || attrs == "standby" || attrs == "prefer-standby":
		return fmt.Errorf("target_session_attrs must be read-write, as it is without it: a server that can't be written is of no use")
	}
	return nil
}

// strayQuery tells whether what stands behind the ? of a URL may be the end of a password: it
// has an @, but in one, or a parameter with no value, or of no name.
func strayQuery(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.IndexAny(rest, "@/"); i >= 0 {
		rest = rest[i:] // behind a user, who may have a ?
	}
	_, query, _ := strings.Cut(rest, "?")
	if query == "" {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if pair != "" && (!ok || !parameterName.MatchString(name) || name != "password" && strings.Contains(value, "@")) {
			return true
		}
	}
	return false
}

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// explainURL says what the driver has against a URL, where that is none of its text.
func explainURL(err error) error {
	_, problem, _ := strings.Cut(err.Error(), "`: ")
	for _, known := range []string{"failed to configure TLS", "failed to read service", "unknown target_session_attrs value", "could not match"} {
		if strings.HasPrefix(problem, known) {
			return fmt.Errorf("PostgreSQL: %s", oneLine(problem))
		}
	}
	return errors.New("the URL of PostgreSQL can't be read: write it as postgres://USER@HOST:PORT/NAME?sslmode=verify-full; " +
		"in user and password, %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %")
}
