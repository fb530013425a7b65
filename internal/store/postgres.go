package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"embed"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

const (
	minPostgres = 15
	// DefaultConnections is how many connections a process has to PostgreSQL at the most.
	DefaultConnections = 16
	// statementLimit is how long one statement may take: what takes longer is given up,
	// as if the database were away.
	statementLimit = 5 * time.Second
	// bulkLimit is for a statement of whoever has no deadline: a command, or a sweep.
	bulkLimit = 5 * time.Minute
	// connectLimit is for each host, unless the URL says otherwise (connect_timeout).
	connectLimit = 3 * time.Second
	// migrateLimit is for all migrations together, with the wait for another node's.
	migrateLimit = 30 * time.Minute
	// idleLimit is for how long a transaction may hold its rows, such as the head of the log that all
	// transactions of a realm need, and say nothing: its process has stopped, or its machine is gone.
	// It is for who connects with no limit, or for a role or a database that has none.
	idleLimit = "10s"
	limitIdle = `SELECT set_config('idle_in_transaction_session_timeout', $1, true) WHERE current_setting('idle_in_transaction_session_timeout') = '0'`
)

// IsPostgres tells whether a database is one of PostgreSQL, by its URL.
func IsPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// CreatePostgres opens a PostgreSQL database with at most that many connections (0:
// DefaultConnections), and makes the tables that are not there yet.
func CreatePostgres(ctx context.Context, url string, connections int) (*Store, error) {
	return openPostgres(ctx, url, connections, true)
}

// OpenPostgres is CreatePostgres for a database that has the tables: else ErrNoStore.
func OpenPostgres(ctx context.Context, url string, connections int) (*Store, error) {
	return openPostgres(ctx, url, connections, false)
}

func openPostgres(ctx context.Context, url string, connections int, migrate bool) (_ *Store, err error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	if connections <= 0 {
		connections = DefaultConnections
	}
	connections = max(connections, 2)
	lanes := max(1, min(4, connections/4))
	s := &Store{info: Info{Path: placeOf(config)}, turns: newTurns()}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(s.begun), stdlib.OptionResetSession(s.still))
	s.db = db
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.queries = queries{&prepared{
		direct: pool{db}, detach: true, limit: statementLimit, slots: make(chan struct{}, connections-lanes),
		inPlace: func() error { return nil }, era: &s.era, headKey: &s.headKey, watch: &s.watch,
	}}
	if err := s.checkPostgres(ctx); err != nil {
		return nil, s.named(classify(err))
	}
	if err := s.checkPostgresSchema(ctx, migrate); err != nil {
		return nil, err
	}
	s.committer = newLanes(s, lanes, readCommitted)
	return s, nil
}

const eraOf = "era" // in a connection's own data

// argumentTypes are what statements are given. In the mode for poolers that keep no prepared
// statements the driver has to know their types by itself; the build tag of the released
// binary leaves out its own list, which costs a megabyte and a half of the program.
var argumentTypes = []struct {
	value any
	name  string
}{{"", "text"}, {int64(0), "int8"}, {int(0), "int8"}, {[]byte(nil), "bytea"}, {false, "bool"}, {float64(0), "float8"}, {time.Time{}, "timestamptz"}}

func (s *Store) begun(_ context.Context, conn *pgx.Conn) error {
	for _, t := range argumentTypes {
		conn.TypeMap().RegisterDefaultPgType(t.value, t.name)
	}
	conn.PgConn().CustomData()[eraOf] = s.era.Load()
	return nil
}

func (s *Store) still(_ context.Context, conn *pgx.Conn) error {
	if conn.PgConn().CustomData()[eraOf] != s.era.Load() {
		return driver.ErrBadConn
	}
	return nil
}

func postgresConfig(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if config.Database == "" {
		return nil, errors.New("the URL names no database")
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > time.Minute {
		config.ConnectTimeout = connectLimit
	}
	// A machine that has gone without a word is missed soon, by whoever waits for long.
	config.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4,
	}}).DialContext
	// Of several hosts, the one that can write: what is read on a standby may be old.
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "ostiary"
	}
	return config, nil
}

// placeOf is the URL of a database without who connects, with what, and how.
func placeOf(c *pgx.ConnConfig) string {
	hosts := []string{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))}
	for _, f := range c.Fallbacks {
		host := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
		if host != hosts[len(hosts)-1] { // the same again, with or without TLS
			hosts = append(hosts, host)
		}
	}
	return "postgres://" + strings.Join(hosts, ",") + "/" + c.Database
}

// checkPostgres sees that the database is one that can be used.
func (s *Store) checkPostgres(ctx context.Context) error {
	var number int
	var version, encoding string
	err := s.row(ctx, `SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_version'),
		current_setting('server_encoding')`).Scan(&number, &version, &encoding)
	if err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, " ")
	s.info.Engine = "PostgreSQL " + version
	if number/10000 < minPostgres {
		return fmt.Errorf("%s is too old: this program needs %d or newer", s.info.Engine, minPostgres)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database %s has the encoding %s: make one with UTF8", s.info.Path, encoding)
	}
	return nil
}

// checkPostgresSchema brings the schema up to what this binary knows, or sees that it is.
func (s *Store) checkPostgresSchema(ctx context.Context, migrate bool) error {
	files, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	s.info.Current = int64(len(names))
	if s.info.Schema, err = s.postgresSchema(ctx); err != nil {
		return err
	}
	s.info.Before = s.info.Schema
	if done, err := s.info.judge(migrate); done || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrateLimit)
	defer cancel()
	if err := s.migratePostgres(ctx, files); err != nil {
		if FaultOf(err) == FaultDenied {
			err = fmt.Errorf("this user may not change the schema: let it own the database (ALTER DATABASE … OWNER TO), or GRANT CREATE ON SCHEMA public; tables of another user by REASSIGN OWNED: %w", err)
		}
		return fmt.Errorf("migrate %s: %w", s.info.Path, err)
	}
	s.info.Schema = s.info.Current
	return nil
}

// postgresSchema is the version of the schema that is there; 0: none.
func (s *Store) postgresSchema(ctx context.Context) (version int64, err error) {
	err = s.row(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&version)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P01" { // there is no such table
		return 0, nil
	}
	return version, classify(err)
}

// migratePostgres runs the migrations on one node, while the others wait: it holds a lease
// that ends by itself, should the node end.
func (s *Store) migratePostgres(ctx context.Context, files fs.FS) error {
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLeaseDuration(10*time.Second), lock.WithTableHeartbeatInterval(2*time.Second),
		lock.WithTableLockTimeout(500*time.Millisecond, 3600), lock.WithTableLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, s.db, files, goose.WithLocker(locker))
	if err != nil {
		return err
	}
	// Two that make the same table at once get in each other's way, if it exists or not.
	for tries := 0; ; tries++ {
		if _, err = provider.Up(ctx); err == nil || tries == 5 || !raced(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// raced tells whether something was made by another at the same moment.
func raced(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "23505" || e.Code == "42P07" || e.Code == "42710")
}

// broken tells whether a connection has ended, or was none that can write: nothing is wrong
// with what was asked, and another connection may have the answer.
func broken(err error) bool {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "57P01", "57P02", "57P03", "25006", "0A000", // shut down, crashed, starting, read-only
			"25P03", "25P04", "57P05": // the server ends sessions that are idle, and transactions that take long
			return true
		}
		return strings.HasPrefix(e.Code, "08")
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || strings.Contains(err.Error(), "conn closed")
}

// postgresMeans tells whether an error of PostgreSQL, or of the way to it, is a conflict, or
// may not be there later.
func postgresMeans(err error) (conflict, away, ok bool) {
	if e, is := errors.AsType[*pgconn.PgError](err); is {
		switch {
		case e.Code == "23505":
			return true, false, true
		case retryable(e), broken(err), postgresFault(e) != FaultOther:
			return false, true, true
		}
		return false, false, true
	}
	if _, is := errors.AsType[*pgconn.ConnectError](err); is || pgconn.Timeout(err) && !bare(err) || broken(err) && !bare(err) {
		return false, true, true
	}
	return false, false, false
}

// bare tells whether an error is the caller's own end, and not that of a connection.
func bare(err error) bool { return err == context.Canceled || err == context.DeadlineExceeded } //nolint:errorlint // wrapped, it is a connection's

// retryable tells whether a transaction that failed may well succeed if it is run again.
func retryable(e *pgconn.PgError) bool {
	return e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03"
}

// postgresFault is what an error of the server says about the database.
func postgresFault(e *pgconn.PgError) Fault {
	switch {
	case e.Code == "25006", e.Code == "0A000":
		return FaultReadOnly
	case e.Code == "53100":
		return FaultFull
	case e.Code == "53300", e.Code == "57014", e.Code == "55P03", e.Code == "53200", e.Code == "53400":
		return FaultBusy
	case e.Code == "58030", e.Code == "58P01":
		return FaultIO
	case strings.HasPrefix(e.Code, "28"), e.Code == "42501":
		return FaultDenied
	case e.Code == "3D000":
		return FaultOpen
	case e.Code == "42P01", e.Code == "3F000": // there is no such table, or schema
		return FaultMissing
	case e.Code == "25P03", e.Code == "25P04", strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"):
		return FaultAway
	case e.Code == "26000", e.Code == "42P05", e.Code == "08P01":
		return FaultPooler
	case strings.HasPrefix(e.Code, "XX"):
		return FaultDamaged
	}
	return FaultOther
}
