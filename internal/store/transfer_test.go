package store

import (
	"fmt"
	"io"
	"slices"
	"testing"

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
	for name := range real {
		if !slices.Contains(otherTables, name) {
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
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
}
