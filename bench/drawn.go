package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/token"
)

// mostDrawn is how many of the sessions of a kind that were filled in are used, in even steps
// over all. A server remembers as many of those that were verified lately, so that the fewest,
// which are all remembered, have no other advantage than to be few.
const mostDrawn = 2000

// drawn are tokens of sessions that were filled in.
type drawn struct{ refresh, bearers []string }

// draw chooses sessions, and makes their tokens: of senmo's the refresh tokens, with the key that
// is sealed in the store, and for mikrocloud's new opaque ones in place of what nobody knows.
func (g *grown) draw(ctx context.Context) (err error) {
	key, err := g.refreshKey(ctx)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+g.file)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := g.everyFew(ctx, db, "s.bearer_hash IS NULL", func(id uuid.UUID, generation int64) error {
		g.refresh = append(g.refresh, key.Mint(id, generation))
		return nil
	}); err != nil {
		return err
	}
	var ids []uuid.UUID
	if err := g.everyFew(ctx, db, "s.bearer_hash IS NOT NULL", func(id uuid.UUID, _ int64) error {
		ids = append(ids, id)
		return nil
	}); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA synchronous = OFF"); err != nil {
		return err
	}
	for _, id := range ids {
		bearer, hash := token.NewOpaque()
		if _, err := db.ExecContext(ctx, "UPDATE session SET bearer_hash = ? WHERE id = ?", hash[:], id[:]); err != nil {
			return err
		}
		g.bearers = append(g.bearers, bearer)
	}
	return nil
}

// refreshKey is the key of the realm's refresh tokens.
func (g *grown) refreshKey(ctx context.Context) (key token.RefreshKey, err error) {
	st, err := store.OpenFile(ctx, g.file)
	if err != nil {
		return key, err
	}
	realm, err := st.RealmByName(ctx, "default")
	if err := errors.Join(err, st.Close()); err != nil {
		return key, err
	}
	master, err := seal.Load(filepath.Join(filepath.Dir(g.file), "master.key"))
	if err != nil {
		return key, err
	}
	secret, err := master.Open(realm.RefreshKey, "realm/"+realm.ID.String()+"/refresh_key")
	copy(key[:], secret)
	return key, err
}

// everyFew calls for sessions of the accounts that were filled in, at most so many.
func (g *grown) everyFew(ctx context.Context, db *sql.DB, kind string, use func(id uuid.UUID, generation int64) error) error {
	step := max(1, g.n/2/mostDrawn)
	rows, err := db.QueryContext(ctx, "SELECT s.id, s.generation FROM account a JOIN session s ON s.account_id = a.id WHERE a.number >= ? AND a.number / 2 % ? = 0 AND "+kind+" LIMIT ?",
		firstNumber, step, mostDrawn)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var generation int64
		if err := errors.Join(rows.Scan(&id, &generation), use(id, generation)); err != nil {
			return err
		}
	}
	return rows.Err()
}

// refreshingDrawn are clients that have many sessions each, and refresh any of them.
func (g *grown) refreshingDrawn(ctx context.Context) (*row, error) {
	r := &row{unit: "/s", pid: g.server.target().pid}
	if len(g.refresh) < clients {
		return nil, fmt.Errorf("%d sessions for %d clients", len(g.refresh), clients)
	}
	for i := range clients {
		c, err := g.connect(ctx, g.server.address)
		if err != nil {
			return nil, err
		}
		var own []string
		for n := i; n < len(g.refresh); n += clients {
			own = append(own, g.refresh[n])
		}
		r.workers = append(r.workers, func() error {
			n := rand.IntN(len(own)) //nolint:gosec // any will do
			body, err := c.ok(post(g.server.address, prefix("ES256")+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":%q}`, own[n])))
			if err != nil {
				return err
			}
			next, err := field(body, "refreshToken")
			own[n] = string(next)
			return err
		})
	}
	return r, nil
}

// verifyingDrawn asks whether any of these sessions' tokens is good.
func (g *grown) verifyingDrawn(ctx context.Context) (*row, error) {
	var list []question
	for _, bearer := range g.bearers {
		list = append(list, question{method: "GET", path: "/ostiary/verify", authorization: "Bearer " + bearer})
	}
	r := &row{unit: "/s"}
	return r, g.ask(ctx, r, g.server.target(), list...)
}

// introspectingDrawn is a service that asks what any of these tokens means.
func (g *grown) introspectingDrawn(ctx context.Context) (*row, error) {
	const service = "gateway"
	secret, err := g.server.createService(ctx, service)
	if err != nil {
		return nil, err
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(service+":"+secret))
	var list []question
	for _, bearer := range g.bearers {
		list = append(list, question{method: "POST", path: "/ostiary/introspect", form: url.Values{"token": {bearer}}.Encode(), authorization: basic})
	}
	r := &row{unit: "/s"}
	return r, g.ask(ctx, r, g.server.target(), list...)
}
