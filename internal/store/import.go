package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// chunkOf is how many of n values or rows a statement is to have: few texts, since each is
// prepared. SQLite's driver looks for the name of each parameter among all of a statement,
// and has no way to go: a few rows are best there.
func (p *prepared) chunkOf(n, most int) int {
	if p.direct == nil {
		most = 8
	}
	for _, size := range []int{most, 8, 1} {
		if n >= size {
			return size
		}
	}
	return 1
}

const (
	mostRows  = 256 // of an INSERT
	mostAsked = 64  // of a lookup
)

// Bulk readies the store for large transactions, which fill indexes out of order: SQLite keeps
// the pages of one in memory, and folds several into the database at a time.
func (s *Store) Bulk(ctx context.Context) error {
	if s.writer == nil {
		return nil
	}
	return s.InTx(ctx, func(tx auth.Tx) error {
		if _, err := own(tx).exec(ctx, "PRAGMA cache_size = -163840"); err != nil {
			return err
		}
		s.writer.folds.least.Store(bulkPages)
		_, err := own(tx).exec(ctx, "PRAGMA wal_autocheckpoint = "+strconv.Itoa(bulkPages))
		return err
	})
}

// lookUp runs a query for values, each of which is looked for; it ends in "=". The args come
// before. Each is a query of its own: to find many by one condition, PostgreSQL may read all
// rows of the realm, if it does not know yet how many these are.
func lookUp[T any](ctx context.Context, p *prepared, scan func(scanner) (T, error), query string, args []any, values []any) (out []T, err error) {
	for len(values) > 0 {
		size := p.chunkOf(len(values), mostAsked)
		texts := make([]string, size)
		for i := range texts {
			texts[i] = query + " $" + strconv.Itoa(len(args)+1+i)
		}
		found, err := list(ctx, p, scan, strings.Join(texts, " UNION ALL "), append(args[:len(args):len(args)], values[:size]...)...)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		values = values[size:]
	}
	return out, nil
}

// anys are values as arguments, each once and sorted: their rows are then read in one order.
func anys[T string | int64](values []T) []any {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

func (q queries) Untouched(ctx context.Context, realm uuid.UUID) (bool, error) {
	var touched bool
	err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM account WHERE realm_id = $1) OR EXISTS (SELECT 1 FROM account_import WHERE realm_id = $1)
		OR EXISTS (SELECT 1 FROM name_gone WHERE realm_id = $1)`, realm[:]).Scan(&touched)
	return !touched, classify(err)
}

func (q queries) Imported(ctx context.Context, realm uuid.UUID, digests [][32]byte, there bool) (map[[32]byte]uuid.UUID, error) {
	values := make([]any, len(digests))
	for i := range digests {
		values[i] = digests[i][:]
	}
	condition := ""
	if there {
		condition = "EXISTS (SELECT 1 FROM account a WHERE a.id = account_id) AND "
	}
	out := map[[32]byte]uuid.UUID{}
	_, err := lookUp(ctx, q.prepared, func(row scanner) (none struct{}, err error) {
		var digest [32]byte
		var id uuid.UUID
		err = row.Scan(bytesOf{digest[:]}, &id)
		out[digest] = id
		return none, err
	}, "SELECT digest, account_id FROM account_import WHERE realm_id = $1 AND "+condition+"digest =", []any{realm[:]}, values)
	return out, err
}

func (q queries) ImportedFrom(ctx context.Context, accounts []uuid.UUID) (map[uuid.UUID][]auth.Dialect, error) {
	values := make([]any, len(accounts))
	for i := range accounts {
		values[i] = accounts[i][:]
	}
	out := map[uuid.UUID][]auth.Dialect{}
	_, err := lookUp(ctx, q.prepared, func(row scanner) (none struct{}, err error) {
		var id uuid.UUID
		var source auth.Dialect
		if err = row.Scan(&id, &source); !slices.Contains(out[id], source) {
			out[id] = append(out[id], source)
		}
		return none, err
	}, "SELECT account_id, source FROM account_import WHERE account_id =", nil, values)
	return out, err
}

func (q queries) NamesTaken(ctx context.Context, realm uuid.UUID, d auth.Dialect, keys []string) (map[string]auth.Account, error) {
	out := map[string]auth.Account{}
	scan := func(row scanner) (none struct{}, err error) {
		var key string
		var a auth.Account
		err = row.Scan(append(accountFields(&a), &key)...)
		out[key] = a
		return none, err
	}
	query, args := "SELECT "+accountColumns+`, n.name_key FROM account_name n JOIN account a ON a.id = n.account_id
		WHERE n.realm_id = $1 AND n.name_key =`, []any{realm[:]}
	if d != "" {
		query, args = "SELECT "+accountColumns+`, n.name_key FROM source_name n JOIN account a ON a.id = n.account_id
		WHERE n.realm_id = $1 AND n.dialect = $2 AND n.name_key =`, []any{realm[:], string(d)}
	}
	_, err := lookUp(ctx, q.prepared, scan, query, args, anys(keys))
	return out, err
}

func (q queries) NamesGone(ctx context.Context, realm uuid.UUID, d auth.Dialect, keys []string) (map[string]bool, error) {
	byHash, values := map[[32]byte]string{}, make([]any, 0, len(keys))
	for _, key := range keys {
		hash := nameHash(auth.AccountName{Dialect: d, Key: key})
		byHash[[32]byte(hash)] = key
		values = append(values, hash)
	}
	out := map[string]bool{}
	_, err := lookUp(ctx, q.prepared, func(row scanner) (none struct{}, err error) {
		var hash [32]byte
		err = row.Scan(bytesOf{hash[:]})
		out[byHash[hash]] = true
		return none, err
	}, "SELECT name_hash FROM name_gone WHERE realm_id = $1 AND name_hash =", []any{realm[:]}, values)
	return out, err
}

func (q queries) NumbersTaken(ctx context.Context, realm uuid.UUID, numbers []int64) (map[int64]uuid.UUID, error) {
	out := map[int64]uuid.UUID{}
	_, err := lookUp(ctx, q.prepared, func(row scanner) (none struct{}, err error) {
		var n int64
		var id uuid.UUID
		err = row.Scan(&n, &id)
		out[n] = id
		return none, err
	}, "SELECT number, id FROM account WHERE realm_id = $1 AND number =", []any{realm[:]}, anys(numbers))
	return out, err
}

func (q queries) SubjectsTaken(ctx context.Context, realm uuid.UUID, subjects []string) ([]auth.TakenSubject, error) {
	return lookUp(ctx, q.prepared, func(row scanner) (s auth.TakenSubject, err error) {
		err = row.Scan(&s.Dialect, &s.Subject, &s.Account)
		return s, err
	}, "SELECT dialect, subject, account_id FROM account_alias WHERE realm_id = $1 AND subject =", []any{realm[:]}, anys(subjects))
}

func (q queries) TakeNumbers(ctx context.Context, realm uuid.UUID, n int) (first int64, err error) {
	err = q.row(ctx, "UPDATE realm SET next_number = next_number + $2 WHERE id = $1 RETURNING next_number - $2", realm[:], n).Scan(&first)
	return first, classify(err)
}

func (q queries) SkipNumbers(ctx context.Context, realm uuid.UUID) error {
	var next int64
	err := q.row(ctx, "UPDATE realm SET next_number = next_number WHERE id = $1 RETURNING next_number", realm[:]).Scan(&next)
	if err != nil {
		return classify(err)
	}
	free, err := q.freeFrom(ctx, realm, next)
	if err != nil || free == next {
		return err
	}
	_, err = q.exec(ctx, "UPDATE realm SET next_number = $2 WHERE id = $1", realm[:], free)
	return err
}

// freeFrom is the first number from one on that no account has.
func (q queries) freeFrom(ctx context.Context, realm uuid.UUID, from int64) (int64, error) {
	const page = 1000
	for {
		taken, err := list(ctx, q.prepared, func(row scanner) (n int64, err error) {
			err = row.Scan(&n)
			return n, err
		}, "SELECT number FROM account WHERE realm_id = $1 AND number >= $2 ORDER BY number LIMIT $3", realm[:], from, page)
		if err != nil {
			return 0, err
		}
		for _, n := range taken {
			if n != from {
				return from, nil
			}
			from++
		}
		if len(taken) < page {
			return from, nil
		}
	}
}

func (q queries) NoteImported(ctx context.Context, realm, account uuid.UUID, digest [32]byte, source auth.Dialect, now time.Time) error {
	_, err := q.exec(ctx, `INSERT INTO account_import (realm_id, digest, account_id, source, imported_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (realm_id, digest) DO UPDATE SET account_id = excluded.account_id, source = excluded.source, imported_at = excluded.imported_at
		WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = account_import.account_id)`, realm[:], digest[:], account[:], string(source), micros(now))
	return err
}

// rowsOf gathers rows of one table.
type rowsOf struct {
	into   string // INSERT INTO … VALUES
	row    string // its values: $1 to the last of all rows, and ? for each of its own
	width  int    // how many ? there are
	key    int    // of the values that the rows are sorted by; -1: none
	shared []any  // what all rows have
	values []any  // of all rows, one after the other
	order  []rowKey
	texts  map[int]string // of statements, by how many rows they have
}

// rowKey says where a row's values begin, and how its key does.
type rowKey struct {
	begins uint64
	at     int
}

// insertInto begins with the values that all rows have, of which the driver takes long for each.
func insertInto(table, columns, row string, key int, shared ...any) *rowsOf {
	return &rowsOf{into: "INSERT INTO " + table + " (" + columns + ") VALUES ", row: row, width: strings.Count(row, "?"), key: key, shared: shared, texts: map[int]string{}}
}

// grow makes room for so many rows.
func (r *rowsOf) grow(rows int) {
	r.values, r.order = slices.Grow(r.values, rows*r.width), slices.Grow(r.order, rows)
}

func (r *rowsOf) add(values ...any) {
	k := rowKey{at: len(r.values)}
	if r.key >= 0 {
		k.begins = beginOf(values[r.key])
	}
	r.values, r.order = append(r.values, values...), append(r.order, k)
}

// insert writes the rows, many in a statement, in the order of their key: two that do so at
// once don't wait for each other crosswise, and neighbours go to the same page.
func (q queries) insert(ctx context.Context, r *rowsOf) error {
	if r.key >= 0 {
		slices.SortFunc(r.order, func(a, b rowKey) int {
			if a.begins != b.begins {
				return cmp.Compare(a.begins, b.begins)
			}
			return compareValues(r.values[a.at+r.key], r.values[b.at+r.key])
		})
	}
	var args []any
	for rows := r.order; len(rows) > 0; {
		size := q.chunkOf(len(rows), mostRows)
		args = append(args[:0], r.shared...)
		for _, row := range rows[:size] {
			args = append(args, r.values[row.at:row.at+r.width]...)
		}
		if _, err := q.exec(ctx, r.text(size), args...); err != nil {
			return err
		}
		rows = rows[size:]
	}
	return nil
}

func (r *rowsOf) text(rows int) string {
	if text, made := r.texts[rows]; made {
		return text
	}
	var b strings.Builder
	b.WriteString(r.into)
	next := len(r.shared)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		for part, rest, own := "", r.row, true; own; {
			part, rest, own = strings.Cut(rest, "?")
			b.WriteString(part)
			if own {
				next++
				b.WriteByte('$')
				b.WriteString(strconv.Itoa(next))
			}
		}
	}
	r.texts[rows] = b.String()
	return r.texts[rows]
}

// beginOf are the first bytes of a key, which tell most of them apart.
func beginOf(key any) uint64 {
	var first [8]byte
	if raw, ok := key.([]byte); ok {
		copy(first[:], raw)
	} else {
		copy(first[:], key.(string))
	}
	return binary.BigEndian.Uint64(first[:])
}

func compareValues(a, b any) int {
	if x, ok := a.([]byte); ok {
		return bytes.Compare(x, b.([]byte))
	}
	return strings.Compare(a.(string), b.(string))
}
