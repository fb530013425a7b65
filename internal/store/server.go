package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// Server is what there is to know about the server of a database in PostgreSQL, as this
// user's sessions have it.
type Server struct {
	Fsync, FullPageWrites, SynchronousCommit string
	Standbys                                 string        // synchronous_standby_names
	Used, Connections                        int           // of the server, or as many as this user may have
	Forbidden                                []string      // tables that this user may not read and write
	Foreign                                  int           // tables of another owner, which this user could not change
	Ahead                                    time.Duration // its clock, of ours
	Holding                                  []Session     // who may have others wait
}

// Session is one that has begun a transaction, holds locks of our tables, and has asked nothing for
// a while. PostgreSQL shows those of other users to the members of pg_read_all_stats alone.
type Session struct {
	PID           int
	User, Program string
	Address       string        // "": the machine of the server
	Idle          time.Duration // at least holdingIdle
}

const holdingIdle = 10 * time.Second

const (
	selectServer = `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names'),
		(SELECT COUNT(*) FROM pg_stat_activity WHERE datid IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend'),
		CAST(current_setting('max_connections') AS BIGINT) - CAST(current_setting('superuser_reserved_connections') AS BIGINT)
			- CAST(COALESCE(current_setting('reserved_connections', true), '0') AS BIGINT),
		(SELECT COUNT(*) FROM pg_stat_activity WHERE usename = current_user),
		(SELECT CAST(rolconnlimit AS BIGINT) FROM pg_roles WHERE rolname = current_user),
		(SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()),
		(SELECT CAST(datconnlimit AS BIGINT) FROM pg_database WHERE datname = current_database())`
	selectTables = `SELECT COALESCE(string_agg(CASE WHEN NOT has_table_privilege(oid, 'SELECT') OR NOT has_table_privilege(oid, 'INSERT')
			OR NOT has_table_privilege(oid, 'UPDATE') OR NOT has_table_privilege(oid, 'DELETE') THEN CAST(relname AS TEXT) END, ' '), ''),
		COUNT(CASE WHEN NOT pg_has_role(relowner, 'USAGE') THEN 1 END)
		FROM pg_class WHERE relkind = 'r' AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('account'))`
	// selectUnusable are those of some tables that are not there, or that this user may not read and write.
	selectUnusable = `SELECT COALESCE(string_agg(name, ' '), '') FROM unnest(string_to_array($1, ' ')) AS name
		WHERE NOT COALESCE(has_table_privilege(to_regclass(name), 'SELECT') AND has_table_privilege(to_regclass(name), 'INSERT')
			AND has_table_privilege(to_regclass(name), 'UPDATE') AND has_table_privilege(to_regclass(name), 'DELETE'), false)`
	selectHolding = `SELECT pid, COALESCE(usename, ''), COALESCE(application_name, ''), COALESCE(host(client_addr), ''),
		CAST(EXTRACT(EPOCH FROM clock_timestamp() - state_change) AS BIGINT) FROM pg_stat_activity a
		WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > make_interval(secs => $1)
		AND EXISTS (SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = a.pid AND l.granted AND c.relkind = 'r'
			AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('account'))) ORDER BY 5 DESC`
	selectClock = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
)

// Forbidden are the tables of a database in PostgreSQL that this user may not read and write.
func (s *Store) Forbidden(ctx context.Context) ([]string, error) {
	if s.writer != nil {
		return nil, nil
	}
	forbidden, _, err := s.tables(ctx)
	return forbidden, err
}

func (s *Store) tables(ctx context.Context) (forbidden []string, foreign int, err error) {
	var names string
	err = s.row(ctx, selectTables).Scan(&names, &foreign)
	return strings.Fields(names), foreign, classify(err)
}

func (s *Store) holding(ctx context.Context) ([]Session, error) {
	return list(ctx, s.prepared, func(row scanner) (v Session, err error) {
		var seconds int64
		err = row.Scan(&v.PID, &v.User, &v.Program, &v.Address, &seconds)
		v.Idle = time.Duration(seconds) * time.Second
		return v, err
	}, selectHolding, holdingIdle.Seconds())
}

// usable sees that there are all tables in PostgreSQL, and that this user may read and write them.
func (s *Store) usable(ctx context.Context) error {
	var unusable string
	if err := s.row(ctx, selectUnusable, usedTables).Scan(&unusable); err != nil {
		return classify(err)
	}
	if unusable == "" {
		return nil
	}
	return &auth.Error{Code: auth.CodeUnavailable, RetryAfter: time.Second,
		Cause: fmt.Errorf("%s: the user of the database can't read and write these tables, or they are not there: %s: run ostiary doctor", s.info.Path, unusable)}
}

// usedTables are all that a server needs.
var usedTables = func() string {
	names := []string{"lease"}
	for _, t := range Tables {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}()

// Server asks the server of a database in PostgreSQL about itself. It is for an operator to
// read: nothing compares its clock with ours but this.
func (s *Store) Server(ctx context.Context) (v Server, err error) {
	var limits [2]struct{ used, most int }
	err = s.row(ctx, selectServer).Scan(&v.Fsync, &v.FullPageWrites, &v.SynchronousCommit, &v.Standbys,
		&v.Used, &v.Connections, &limits[0].used, &limits[0].most, &limits[1].used, &limits[1].most)
	if err != nil {
		return v, classify(err)
	}
	for _, l := range limits {
		if l.most >= 0 && l.most-l.used < v.Connections-v.Used {
			v.Used, v.Connections = l.used, l.most
		}
	}
	if v.Forbidden, v.Foreign, err = s.tables(ctx); err != nil {
		return v, err
	}
	if v.Holding, err = s.holding(ctx); err != nil {
		return v, err
	}
	var clock int64
	before := time.Now()
	if err := s.row(ctx, selectClock).Scan(&clock); err != nil {
		return v, classify(err)
	}
	after := time.Now()
	if v.Ahead = time.UnixMicro(clock).Sub(after); v.Ahead < 0 { // it was read at some time between the two
		v.Ahead = min(0, time.UnixMicro(clock).Sub(before))
	}
	return v, nil
}
