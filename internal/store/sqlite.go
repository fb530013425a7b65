package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ostiary/ostiary/internal/auth"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// minSQLite is the first release without the WAL-reset bug, which could lose data.
const minSQLite = "3.51.3"

// DatabaseFile is the database's name in the data directory.
const DatabaseFile = "ostiary.db"

// ErrNoStore says that there is no database where one was expected.
var ErrNoStore = errors.New("no store here")

// Create opens the SQLite database in a directory, and makes both if they are not there.
func Create(ctx context.Context, dir string) (*Store, error) {
	return CreateFile(ctx, filepath.Join(dir, DatabaseFile))
}

// CreateFile is Create for a database of any name.
func CreateFile(ctx context.Context, path string) (*Store, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if info, statErr := f.Stat(); statErr == nil && info.Size() == 0 {
		err = giveTo(f, dir)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return open(ctx, path, true)
}

// Open opens the SQLite database in a directory. ErrNoStore if there is none.
func Open(ctx context.Context, dir string) (*Store, error) {
	return OpenFile(ctx, filepath.Join(dir, DatabaseFile))
}

// OpenFile is Open for a database of any name.
func OpenFile(ctx context.Context, path string) (*Store, error) {
	if st, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0 {
		return nil, ErrNoStore
	} else if err != nil {
		return nil, err
	}
	return open(ctx, path, false)
}

func open(ctx context.Context, path string, migrate bool) (_ *Store, err error) {
	file, err := os.Stat(path) // before it is opened: of two that take turns, neither is taken for the other
	if err != nil {
		return nil, err
	}
	if err := checkLog(path); err != nil {
		return nil, err
	}
	if migrate {
		mark(ctx, path)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	readers := max(4, runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(readers + 2) // and the writer and its checkpointer
	db.SetMaxIdleConns(readers + 2)
	s := &Store{db: db, file: file, info: Info{Path: path}}
	s.queries = queries{&prepared{prepare: db.PrepareContext, slots: make(chan struct{}, readers), inPlace: s.inPlace, headKey: &s.headKey, watch: &s.watch}}
	if err := s.checkVersion(ctx); err != nil {
		return nil, err
	}
	if err := s.checkSchema(ctx, migrate); err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(ctx, conn, s); err != nil {
		return nil, err
	}
	s.committer = s.writer
	return s, nil
}

// dsn opens with WAL and a sync at each commit, so that what was acknowledged
// survives the loss of power, and waits for other processes' writes.
func dsn(path string) string {
	return plainDSN(path, "busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "temp_store(MEMORY)",
		"cache_size(-512)", "trusted_schema(OFF)")
}

func plainDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas}
	q.Set("mode", "rw") // a file that is gone must not be made again, empty
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	return "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) checkVersion(ctx context.Context) error {
	var v string
	if err := s.db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&v); err != nil {
		return fmt.Errorf("open %s: %w", s.info.Path, err)
	}
	s.info.Engine = "SQLite " + v
	if versionNumber(v) < versionNumber(minSQLite) {
		return fmt.Errorf("SQLite %s can lose data: this program needs %s or newer", v, minSQLite)
	}
	return nil
}

func versionNumber(v string) (n int) {
	for _, part := range strings.SplitN(v, ".", 3) {
		i, _ := strconv.Atoi(part)
		n = n*1000 + i
	}
	return n
}

// Schema is the version of the schema that this binary knows, the same in both engines.
func Schema() int64 {
	names, _ := fs.Glob(migrations, "migrations/sqlite/*.sql") // the pattern is a good one
	return int64(len(names) + len(goMigrations()))
}

// checkSchema brings the schema up to what this binary knows, or sees that it is.
func (s *Store) checkSchema(ctx context.Context, migrate bool) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	s.info.Current = int64(len(names) + len(goMigrations()))
	// A database without the table of versions is a new one.
	_ = s.db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&s.info.Schema)
	s.info.Before = s.info.Schema
	if done, err := s.info.judge(migrate); done || err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithGoMigrations(goMigrations()...))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", s.info.Path, err)
	}
	s.info.Schema = s.info.Current
	return nil
}

// judge tells whether the schema is the one that this binary knows, or may be made so.
func (i Info) judge(migrate bool) (done bool, err error) {
	switch {
	case i.Schema > i.Current:
		return false, fmt.Errorf("the database has schema %d and this binary knows %d: use a newer ostiary", i.Schema, i.Current)
	case i.Schema == i.Current:
		return true, nil
	case !migrate && i.Schema == 0:
		return false, ErrNoStore
	case !migrate:
		return false, fmt.Errorf("the database has schema %d and this binary needs %d: start ostiary serve once to bring it up to date", i.Schema, i.Current)
	}
	return false, nil
}

// isBusy tells whether another process has the database.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// classify says what an error of an engine means to the core: ErrNotFound,
// ErrConflict, unavailable (it may work later), or internal (it will not).
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return auth.ErrNotFound
	}
	if _, ok := errors.AsType[*auth.Error](err); ok {
		return err
	}
	conflict, away := false, errors.Is(err, sql.ErrConnDone) || strings.Contains(err.Error(), "database is closed")
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		conflict, away = sqliteMeans(e)
	} else if c, a, ok := postgresMeans(err); ok {
		conflict, away = c, a
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if conflict {
		return fmt.Errorf("%w: %w", auth.ErrConflict, err)
	}
	code := auth.CodeInternal
	if away {
		code = auth.CodeUnavailable
	}
	if do := remedyOf(err); do != "" {
		err = fmt.Errorf("%s: %w", do, err)
	}
	return &auth.Error{Code: code, Cause: fmt.Errorf("store: %w", err), RetryAfter: time.Second}
}

// sqliteMeans tells whether an error is a conflict, or may not be there later.
func sqliteMeans(e *sqlite.Error) (conflict, away bool) {
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return true, false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return false, true
	}
	return false, false
}
