package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ostiary/ostiary/internal/backup"
)

// loadRows are written in one transaction.
const loadRows = 5000

// Step is called now and then with how many more rows of a table have been read.
type Step func(t backup.Table, rows int)

// Dump writes all tables of a snapshot into a backup.
func (n *Snapshot) Dump(ctx context.Context, w *backup.Writer, step Step) (sums Sums, err error) {
	sums = Sums{}
	for _, t := range Tables {
		if err := w.Table(t); err != nil {
			return nil, err
		}
		err := n.Rows(t).each(ctx, step, w.Row)
		if err != nil {
			return nil, err
		}
		if sums[t.Name], err = w.End(); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// Sums are those of all tables, by their names.
type Sums map[string]backup.Sum

// Digest is one of all of them.
func (s Sums) Digest() string {
	h := sha256.New()
	for _, t := range Tables {
		fmt.Fprintf(h, "%s %d %s\n", t.Name, s[t.Name].Rows, s[t.Name].SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Sums are those of the snapshot.
func (n *Snapshot) Sums(ctx context.Context, step Step) (Sums, error) { return sums(ctx, n.tx, step) }

// Sums are those of the tables as they are now.
func (l *Loader) Sums(ctx context.Context, step Step) (Sums, error) {
	return sums(ctx, l.store.db, step)
}

func sums(ctx context.Context, from querier, step Step) (all Sums, err error) {
	all = Sums{}
	for _, t := range Tables {
		if all[t.Name], err = sum(ctx, newRows(from, t), step); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func sum(ctx context.Context, rows *Rows, step Step) (backup.Sum, error) {
	d := backup.NewDigest()
	err := rows.each(ctx, step, func(row backup.Row) error {
		d.Add(row)
		return nil
	})
	return d.Sum(), err
}

// Sum is that of one table of the snapshot.
func (n *Snapshot) Sum(ctx context.Context, table string) (backup.Sum, error) {
	i := slices.IndexFunc(Tables, func(t backup.Table) bool { return t.Name == table })
	return sum(ctx, n.Rows(Tables[i]), nil)
}

// each calls fn with all rows.
func (r *Rows) each(ctx context.Context, step Step, fn func(backup.Row) error) error {
	count := counter{r.table, step, 0}
	for {
		row, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			count.end()
			return nil
		}
		if err == nil {
			err = fn(row)
		}
		if err != nil {
			return err
		}
		count.add()
	}
}

// counter calls a Step for each page of rows.
type counter struct {
	table backup.Table
	step  Step
	rows  int
}

func (c *counter) add() {
	if c.rows++; c.rows == pageRows {
		c.end()
	}
}

func (c *counter) end() {
	if c.step != nil {
		c.step(c.table, c.rows)
	}
	c.rows = 0
}

// Copy makes all tables what they are in a snapshot, and returns what they are there, and
// how many rows were written or deleted. What is the same already is left as it is, so that
// a copy that was interrupted goes on where it was.
func (l *Loader) Copy(ctx context.Context, from *Snapshot, step Step) (sums Sums, changed int, err error) {
	sums = Sums{}
	for _, t := range Tables {
		// First what must go, so that nothing is in the way of what comes.
		deleted, err := l.trim(ctx, from, t)
		if err != nil {
			return nil, 0, fmt.Errorf("table %s: %w", t.Name, err)
		}
		inserted, sum, err := l.fill(ctx, from, t, step)
		if err != nil {
			return nil, 0, fmt.Errorf("table %s: %w", t.Name, err)
		}
		sums[t.Name] = sum
		changed += deleted + inserted
	}
	return sums, changed, nil
}

// trim deletes the rows that are not in the snapshot, or are others there.
func (l *Loader) trim(ctx context.Context, from *Snapshot, t backup.Table) (deleted int, err error) {
	there := l.Rows(t)
	if _, err := there.peek(ctx); errors.Is(err, io.EOF) {
		return 0, nil
	}
	p := &pending{flush: func(rows []backup.Row) error { return l.Delete(ctx, t, rows) }}
	err = merge(ctx, t, from.Rows(t), there, func(want, have backup.Row) error {
		if have == nil || want != nil && bytes.Equal(backup.AppendRow(nil, want), backup.AppendRow(nil, have)) {
			return nil
		}
		return p.add(have)
	})
	return p.end(err)
}

// fill inserts the rows of the snapshot that are not there.
func (l *Loader) fill(ctx context.Context, from *Snapshot, t backup.Table, step Step) (inserted int, sum backup.Sum, err error) {
	count, digest := counter{t, step, 0}, backup.NewDigest()
	p := &pending{flush: func(rows []backup.Row) error { return l.Insert(ctx, t, rows) }}
	err = merge(ctx, t, from.Rows(t), l.Rows(t), func(want, have backup.Row) error {
		if want == nil {
			return nil
		}
		digest.Add(want)
		count.add()
		if have != nil {
			return nil
		}
		return p.add(want)
	})
	count.end()
	inserted, err = p.end(err)
	return inserted, digest.Sum(), err
}

// pending gathers rows until there are enough for a transaction.
type pending struct {
	rows  []backup.Row
	count int
	flush func([]backup.Row) error
}

func (p *pending) add(row backup.Row) error {
	p.rows = append(p.rows, row)
	if len(p.rows) < loadRows {
		return nil
	}
	return p.send()
}

func (p *pending) send() error {
	if len(p.rows) == 0 {
		return nil
	}
	err := p.flush(p.rows)
	p.count += len(p.rows)
	p.rows = p.rows[:0]
	return err
}

// end counts what was sent; err is what ended it.
func (p *pending) end(err error) (int, error) {
	if err == nil {
		err = p.send()
	}
	return p.count, err
}

// merge calls fn with the rows of two databases that have the same key, or with one and nil.
func merge(ctx context.Context, t backup.Table, a, b *Rows, fn func(a, b backup.Row) error) error {
	for {
		x, errA := a.peek(ctx)
		y, errB := b.peek(ctx)
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		order := 0
		switch {
		case x == nil && y == nil:
			return nil
		case x == nil:
			order = 1
		case y == nil:
			order = -1
		default:
			order = t.CompareKeys(x, y)
		}
		if order > 0 {
			x = nil
		} else {
			a.skip()
		}
		if order < 0 {
			y = nil
		} else {
			b.skip()
		}
		if err := fn(x, y); err != nil {
			return err
		}
	}
}

// Restore writes the rows of a backup into empty tables. Each is handed to edit before.
func (l *Loader) Restore(ctx context.Context, from *backup.Reader, edit func(t backup.Table, row backup.Row), step Step) (sums Sums, err error) {
	sums = Sums{}
	for _, want := range Tables {
		t, err := from.Table()
		if err == nil && !t.Same(want) {
			err = fmt.Errorf("%w: it has %s, where %s should be", backup.ErrDamaged, t.Name, want.Name)
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it has no table %s", backup.ErrDamaged, want.Name)
		}
		if err != nil {
			return nil, err
		}
		if err := l.restore(ctx, from, t, edit, step); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
		sums[t.Name] = from.Sum()
	}
	if t, err := from.Table(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%w: table %s is unknown", backup.ErrDamaged, t.Name)
		}
		return nil, err
	}
	return sums, nil
}

func (l *Loader) restore(ctx context.Context, from *backup.Reader, t backup.Table, edit func(t backup.Table, row backup.Row), step Step) error {
	count := counter{t, step, 0}
	p := &pending{flush: func(rows []backup.Row) error { return l.Insert(ctx, t, rows) }}
	for {
		row, err := from.Row()
		if errors.Is(err, io.EOF) {
			count.end()
			_, err = p.end(nil)
			return err
		}
		if err == nil && !isOwnFact(t, row) {
			edit(t, row)
			err = p.add(row)
		}
		if err != nil {
			return err
		}
		count.add()
	}
}
