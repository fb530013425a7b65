package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/backup"
)

// TestTables_AreTheSchema: every table of both engines is in the catalogue, with all its
// columns and its primary key, or is one of those that are left out.
func TestTables_AreTheSchema(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { sameSchema(t, create(t), sqliteSchema) })
	t.Run("PostgreSQL", func(t *testing.T) { sameSchema(t, createPostgres(t), postgresCatalogue) })
}

const sqliteSchema = `SELECT m.name, c.name, CASE c.type WHEN 'BLOB' THEN 'bytes' ELSE lower(c.type) END, c."notnull", c.pk
	FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid`

const postgresCatalogue = `SELECT c.table_name, c.column_name, CASE c.data_type WHEN 'bytea' THEN 'bytes' WHEN 'bigint' THEN 'integer' ELSE c.data_type END,
		CASE c.is_nullable WHEN 'NO' THEN 1 ELSE 0 END,
		COALESCE((SELECT k.ordinal_position FROM information_schema.key_column_usage k
			JOIN information_schema.table_constraints p ON p.constraint_name = k.constraint_name AND p.table_name = k.table_name AND p.constraint_type = 'PRIMARY KEY'
			WHERE k.table_schema = 'public' AND k.table_name = c.table_name AND k.column_name = c.column_name), 0)
	FROM information_schema.columns c WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position`

func sameSchema(t *testing.T, s *Store, query string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	real := map[string][]string{}
	for rows.Next() {
		var name, column, kind string
		var notNull, key int
		if err := rows.Scan(&name, &column, &kind, &notNull, &key); err != nil {
			t.Fatal(err)
		}
		real[name] = append(real[name], fmt.Sprintf("%s %s null=%t key=%d", column, kind, notNull == 0, key))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, table := range Tables {
		var want []string
		for i, c := range table.Columns {
			key := 0
			if i < table.Key {
				key = i + 1
			}
			want = append(want, fmt.Sprintf("%s %s null=%t key=%d", c.Name, c.Kind, c.Nullable, key))
		}
		got := real[table.Name]
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s is\n%q, and the catalogue says\n%q", table.Name, got, want)
		}
		delete(real, table.Name)
	}
	others := []string{"goose_db_version", "goose_lock", "lease", "commit_mark", "guess_running"} // of a database itself, or of the processes that run now
	for name := range real {
		if !slices.Contains(others, name) {
			t.Errorf("%s is in no list: what happens to it in a backup?", name)
		}
	}
}

// extremes is a row of a table with values that an engine could change.
func extremes(table backup.Table, i int) backup.Row {
	row := make(backup.Row, len(table.Columns))
	for j, c := range table.Columns {
		switch c.Kind {
		case backup.Integer:
			row[j] = []int64{0, -1, 1 << 62, -1 << 63}[(i+j)%4]
			if j < table.Key {
				row[j] = int64(i - 5)
			}
		case backup.Text:
			row[j] = []string{"", "a'\"\\%", "Ä🦊 \u202e", "\x7f\x01"}[(i+j)%4]
			if j < table.Key || c.Name == "kid" || table.Name == "realm" && c.Name == "name" {
				row[j] = fmt.Sprintf("%c%d", "zAä_"[i%3], i)
			}
		case backup.Bytes:
			row[j] = [][]byte{{}, {0}, {0xff, 0, 1}}[(i+j)%3]
			if j < table.Key || c.Name == "realm_id" || c.Name == "account_id" {
				row[j] = []byte{byte(i * 37), byte(i), 0xff}
			}
		}
		if c.Nullable {
			row[j] = nil
			if i%2 == 1 {
				row[j] = []byte{byte(i), 0, 0xff, byte(j)}
			}
		}
	}
	return row
}

// TestLoad_RoundTrip: all tables of either engine come back as they were written, in the
// same order, with the same digests.
func TestLoad_RoundTrip(t *testing.T) {
	sums := map[string]backup.Sum{}
	for name, s := range map[string]*Store{"SQLite": create(t), "PostgreSQL": createPostgres(t)} {
		l, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Empty(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, table := range Tables {
			var rows []backup.Row
			for i := range 20 {
				rows = append(rows, extremes(table, i))
			}
			if err := l.Insert(t.Context(), table, rows); err != nil {
				t.Fatalf("%s: %s: %v", name, table.Name, err)
			}
			got := readAll(t, l.Rows(table))
			slices.SortFunc(rows, table.CompareKeys)
			if !slices.EqualFunc(got, rows, func(a, b backup.Row) bool {
				return string(backup.AppendRow(nil, a)) == string(backup.AppendRow(nil, b))
			}) {
				t.Errorf("%s: %s:\n%q\n%q", name, table.Name, got, rows)
			}
			d := backup.NewDigest()
			for _, r := range got {
				d.Add(r)
			}
			if sum, ok := sums[table.Name]; ok && sum != d.Sum() {
				t.Errorf("%s has another digest in the other engine", table.Name)
			}
			sums[table.Name] = d.Sum()
			if err := l.Delete(t.Context(), table, rows[3:]); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, l.Rows(table)); len(got) != 3 {
				t.Errorf("%s: %s: %d rows are left", name, table.Name, len(got))
			}
		}
	}
}

func readAll(t *testing.T, r *Rows) (all []backup.Row) {
	t.Helper()
	for {
		row, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
}

// TestCopy_EndsWhatBegan: a copy goes on in a target that has some of the rows, others that
// are different, and others that are gone; also where what is to come is in the way of what
// is to go. It does not see what is written to the source meanwhile.
func TestCopy_EndsWhatBegan(t *testing.T) {
	t.Run("SQLite to PostgreSQL", func(t *testing.T) { endsWhatBegan(t, create(t), createPostgres(t)) })
	t.Run("PostgreSQL to SQLite", func(t *testing.T) { endsWhatBegan(t, createPostgres(t), create(t)) })
}

func endsWhatBegan(t *testing.T, from, to *Store) {
	ctx := t.Context()
	people(t, from, 1100) // more than a page
	people(t, to, 700)
	change := func(s *Store, queries ...string) {
		t.Helper()
		for _, query := range queries {
			if _, err := s.db.ExecContext(ctx, query); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(from,
		"UPDATE account SET username = 'renamed', number = 900000 WHERE number = 3",
		"UPDATE account SET number = 3 WHERE number = 650", // of the target, the one that has it comes first
		"DELETE FROM session WHERE dialect = 'senmo' AND generation = 3 AND user_agent LIKE 'M%' AND account_id IN (SELECT id FROM account WHERE number BETWEEN 100 AND 200)")
	change(to, "UPDATE session SET generation = 99 WHERE account_id IN (SELECT id FROM account WHERE number BETWEEN 300 AND 310)",
		"DELETE FROM account_name WHERE name_key LIKE 'user000001%'")
	snap, err := from.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	change(from, "DELETE FROM audit_event WHERE seq > 5", "UPDATE account SET org = 'later'")
	if err := from.SetValue(ctx, "later", "x"); err != nil {
		t.Fatal(err)
	}
	l, err := to.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sums, changed, err := l.Copy(ctx, snap, nil)
	if err != nil || changed < 400*6 || changed > 400*6+200 {
		t.Fatalf("%d rows were changed: %v", changed, err)
	}
	got, err := l.Sums(ctx, nil)
	if err != nil || got.Digest() != sums.Digest() || sums["account"].Rows != 1100 || sums["session"].Rows != 999 || sums["audit_event"].Rows != 2200 {
		t.Errorf("%v\nof %v: %v", got, sums, err)
	}
	if _, changed, err := l.Copy(ctx, snap, nil); changed != 0 || err != nil {
		t.Errorf("again: %d rows were changed: %v", changed, err)
	}
	later, err := from.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if sums, changed, err = l.Copy(ctx, later, nil); changed < 1100+2195 || err != nil || sums["audit_event"].Rows != 5 {
		t.Errorf("later: %d rows were changed: %v", changed, err)
	}
	if v, err := to.Value(ctx, "later"); v != "x" || err != nil {
		t.Errorf("a fact: %q %v", v, err)
	}
}

// TestCopy_EveryEngine: what is empty and what is NULL stay that, from each engine to each,
// by a copy and by a backup.
func TestCopy_EveryEngine(t *testing.T) {
	stores := []*Store{create(t), createPostgres(t), create(t), createPostgres(t)}
	load := func(s *Store, fill func(l *Loader) error) {
		t.Helper()
		l, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Empty(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := fill(l); err != nil {
			t.Fatal(err)
		}
	}
	load(stores[0], func(l *Loader) error {
		for _, table := range Tables {
			var rows []backup.Row
			for i := range 12 {
				rows = append(rows, extremes(table, i))
			}
			if err := l.Insert(t.Context(), table, rows); err != nil {
				return err
			}
		}
		return nil
	})
	var want string
	for i, s := range stores {
		snap, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		var file bytes.Buffer
		w, err := backup.NewWriter(&file, backup.Header{})
		if err != nil {
			t.Fatal(err)
		}
		sums, err := snap.Dump(t.Context(), w, nil)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = sums.Digest()
		}
		if got := sums.Digest(); got != want {
			t.Errorf("after %d copies the digest is another one", i)
		}
		for _, to := range stores[i+1:] {
			load(to, func(l *Loader) error {
				r, err := backup.NewReader(&file)
				if err != nil {
					return err
				}
				_, err = l.Restore(t.Context(), r, func(backup.Table, backup.Row) {}, nil)
				return err
			})
			load(to, func(l *Loader) error {
				_, _, err := l.Copy(t.Context(), snap, nil)
				return err
			})
			break
		}
	}
}

// TestCopy_OwnFacts: what a database says of itself stays, and is not copied.
func TestCopy_OwnFacts(t *testing.T) {
	from, to, ctx := create(t), create(t), t.Context()
	for _, fact := range ownFacts {
		for s, value := range map[*Store]string{from: "0 of the source", to: "0 of the target"} {
			if err := s.SetValue(ctx, fact, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	snap, err := from.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	l, err := to.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Empty(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Copy(ctx, snap, nil); err != nil {
		t.Fatal(err)
	}
	for _, fact := range ownFacts {
		if v, err := to.Value(ctx, fact); v != "0 of the target" || err != nil {
			t.Errorf("%s is %q: %v", fact, v, err)
		}
	}
}

// TestLoad_ForeignText: what PostgreSQL can't hold is said by its place, and not changed.
// Of the two databases of a copy, the one is named whose disk is full.
func TestLoad_Full(t *testing.T) {
	s := create(t)
	l, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	table := Tables[slices.IndexFunc(Tables, func(t backup.Table) bool { return t.Name == "store_info" })]
	var rows []backup.Row
	for i := range 1000 {
		rows = append(rows, backup.Row{fmt.Sprint(i), strings.Repeat("x", 100)})
	}
	err = l.Insert(t.Context(), table, rows)
	if err == nil || !strings.HasPrefix(auth.AsError(err).Cause.Error(), s.info.Path+": store: the disk of the database is full") {
		t.Errorf("%v", err)
	}
}

func TestLoad_ForeignText(t *testing.T) {
	l, err := createPostgres(t).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, text := range []string{"a\x00b", "a\xffb"} {
		err := l.Insert(t.Context(), Tables[0], []backup.Row{{"name", "fine"}, {"odd", text}})
		if err == nil || !strings.Contains(err.Error(), `store_info.value of the row ["odd"]`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestEpoch_Raise: what may have been used since the backup has been, and what was, stays as it was.
func TestEpoch_Raise(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := &Epoch{Now: now, Backup: now.Add(-time.Hour)}
	at := now.UnixMicro()
	named := func(name string) backup.Table {
		return Tables[slices.IndexFunc(Tables, func(t backup.Table) bool { return t.Name == name })]
	}
	for _, c := range []struct {
		table, column string
		was, is       int64
	}{
		{"realm", "next_number", 7, 7 + numberGap + 36_000},
		{"session", "ended_at", 0, at}, {"session", "ended_at", 5, 5},
		{"ticket", "spent_at", 0, at}, {"ticket", "spent_at", 5, 5},
		{"recovery_code", "spent_at", 0, at}, {"recovery_code", "spent_at", 0, at}, {"recovery_code", "spent_at", 5, 5},
		{"totp_factor", "last_step", 0, 60_000_001}, {"totp_factor", "last_step", 60_000_000, 60_000_001}, {"totp_factor", "last_step", 60_000_009, 60_000_009},
		{"account", "version", 4, 4}, {"guess_budget", "failures", 4, 4},
	} {
		table := named(c.table)
		row := extremes(table, 1)
		row[table.Index(c.column)] = c.was
		e.Raise(table, row)
		if got := row[table.Index(c.column)]; got != c.is {
			t.Errorf("%s.%s was %d and is %d, not %d", c.table, c.column, c.was, got, c.is)
		}
	}
	if e.Sessions != 1 || e.Tickets != 1 || e.Codes != 2 || e.Holders != 1 {
		t.Errorf("%+v", e)
	}
}
