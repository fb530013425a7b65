package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/internal/store"
)

// sweeps measures a server that deletes old sessions, of which there are many, beside one that
// has as many that are not old. While one is measured, the other is stopped.
func (b *bench) sweeps(ctx context.Context) error {
	var pair [2]*grown
	for i, what := range []string{"without a sweep", "with a sweep"} {
		g, err := b.swept(ctx, what, i == 1)
		if err != nil {
			return err
		}
		pair[i] = g
	}
	for _, k := range []struct {
		name string
		row  func(*grown, context.Context) (*row, error)
	}{{"refreshes ES256", (*grown).refreshing}, {"logins nomic", (*grown).logins}, {"verifications opaque", (*grown).verifying}} {
		var rows [2]*row
		for i, g := range pair {
			r, err := k.row(g, ctx)
			if err != nil {
				return err
			}
			r.name = k.name + ", " + g.engine
			rows[i] = r
		}
		rows[1].limit, rows[1].share = rows[0], 1
		if err := alternate(ctx, pair, rows, 2*b.rounds, b.slice); err != nil {
			return err
		}
		b.table.add(rows[:]...)
		moved := float64(rows[1].quantile(0.99))/float64(rows[0].quantile(0.99)) - 1
		b.table = append(b.table, line{name: k.name + ": a sweep moves p99 by", measured: percent(moved), limit: "aim < 20 %"})
	}
	left, err := sessionsOf(ctx, pair[1].file)
	if err != nil {
		return err
	}
	b.table = append(b.table, line{name: fmt.Sprintf("sessions left of %d old ones", b.many), measured: fmt.Sprint(left)})
	return nil
}

// swept is a server on SQLite with a thousand accounts and many sessions.
func (b *bench) swept(ctx context.Context, what string, old bool) (*grown, error) {
	name := "sweep-new"
	if old {
		name = "sweep-old"
	}
	other, err := b.another(name)
	if err != nil {
		return nil, err
	}
	if err := other.begin(ctx); err != nil {
		return nil, err
	}
	g := &grown{bench: other, engine: what, n: few, file: filepath.Join(other.dir, "data", store.DatabaseFile)}
	st, err := store.OpenFile(ctx, g.file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(fillAccounts(ctx, st, few), st.Close()); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := fillSessions(ctx, g.file, max(1, b.many/few), old); err != nil {
		return nil, err
	}
	progress("  %d sessions in %.0f s", b.many, time.Since(began).Seconds())
	_, err = other.server.start(ctx)
	return g, err
}

// alternate measures the rows in turn, each while the other's server stands still.
func alternate(ctx context.Context, pair [2]*grown, rows [2]*row, rounds int, slice time.Duration) error {
	for n := range 2 * (rounds + 1) {
		this, other := pair[n%2], pair[1-n%2]
		if err := other.server.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := rows[n%2].measureOrWarm(ctx, n < 2, slice)
		if err := errors.Join(err, other.server.Process.Signal(syscall.SIGCONT)); err != nil {
			return fmt.Errorf("%s: %w", this.engine, err)
		}
	}
	return nil
}

// measureOrWarm lets the workers work; what they do at first does not count.
func (r *row) measureOrWarm(ctx context.Context, warm bool, d time.Duration) error {
	if warm {
		_, err := r.work(ctx, d/4)
		return err
	}
	return r.measure(ctx, d)
}

func sessionsOf(ctx context.Context, file string) (n int, err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM session WHERE expires_at < unixepoch() * 1000000").Scan(&n)
	return n, errors.Join(err, db.Close())
}
