package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
)

const selectEvent = `SELECT realm_id, seq, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash
	FROM audit_event WHERE `

func scanEvent(row scanner) (e audit.Event, err error) {
	err = row.Scan(bytesOf{e.RealmID[:]}, &e.Seq, bytesOf{e.ID[:]}, instant{&e.At}, &e.Kind, bytesOf{e.Account[:]}, bytesOf{e.Session[:]},
		&e.Dialect, &e.Address, &e.RequestID, &e.Actor, &e.Token, &e.Detail, bytesOf{e.Hash[:]})
	return e, err
}

// bytesOf scans a value of a fixed length. One of another length is something that nobody
// here wrote: it is read as other bytes, for the chain to find.
type bytesOf struct{ to []byte }

func (b bytesOf) Scan(src any) error {
	from, ok := src.([]byte)
	switch {
	case src == nil:
		clear(b.to)
	case ok && len(from) == len(b.to):
		copy(b.to, from)
	default:
		sum := sha256.Sum256(fmt.Append(nil, src))
		copy(b.to, sum[:])
	}
	return nil
}

// instant is at without its zero time: an entry has the time that it has.
type instant struct{ t *time.Time }

func (i instant) Scan(src any) error {
	us, _ := src.(int64)
	*i.t = time.UnixMicro(us).UTC()
	return nil
}

func (q queries) Events(ctx context.Context, realm uuid.UUID, f auth.AuditFilter) ([]audit.Event, error) {
	query, args := eventQuery(realm, f)
	return list(ctx, q.prepared, scanEvent, query, args...)
}

func eventQuery(realm uuid.UUID, f auth.AuditFilter) (query string, args []any) {
	in := "realm_id = $1 "
	if f.Account != uuid.Nil {
		in = "NOT realm_id <> $1 " // which keeps the primary key out: an account has an index of its own
	}
	query, args = selectEvent+in+"AND seq > $2 ", []any{realm[:], f.After}
	and := func(what string, values ...any) {
		var places []string
		for _, v := range values {
			args = append(args, v)
			places = append(places, "$"+strconv.Itoa(len(args)))
		}
		query += "AND " + what + strings.Join(places, ", ")
		if strings.HasSuffix(what, "(") {
			query += ")"
		}
		query += " "
	}
	if f.Last > 0 {
		and("seq <= ", f.Last)
	}
	if f.Account != uuid.Nil {
		and("account_id = ", f.Account[:])
	}
	if f.Session != uuid.Nil {
		and("session_id = ", f.Session[:])
	}
	if len(f.Kinds) > 0 {
		kinds := make([]any, len(f.Kinds))
		for i, k := range f.Kinds {
			kinds[i] = string(k)
		}
		and("kind IN (", kinds...)
	}
	if f.Actor != "" {
		and("actor = ", f.Actor)
	}
	if f.Address != "" {
		and("address = ", f.Address)
	}
	if !f.Since.IsZero() {
		and("at >= ", micros(f.Since))
	}
	if !f.Until.IsZero() {
		and("at < ", micros(f.Until))
	}
	args = append(args, f.Limit)
	return query + "ORDER BY seq LIMIT $" + strconv.Itoa(len(args)), args
}

const selectSpan = "SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM audit_event WHERE realm_id = $1 AND at >= $2 AND at < $3"

func (q queries) EventSpan(ctx context.Context, realm uuid.UUID, since, until time.Time) (first, last int64, err error) {
	end := int64(math.MaxInt64)
	if !until.IsZero() {
		end = micros(until)
	}
	err = q.row(ctx, selectSpan, realm[:], micros(since), end).Scan(&first, &last)
	return first, last, classify(err)
}

func (q queries) AuditHead(ctx context.Context, realm uuid.UUID) (h audit.SealedHead, err error) {
	err = q.row(ctx, "SELECT seq, hash, seal FROM audit_head WHERE realm_id = $1", realm[:]).Scan(&h.Seq, bytesOf{h.Hash[:]}, &h.Seal)
	return h, classify(err)
}

func (q queries) AuditHeads(ctx context.Context) (map[uuid.UUID]audit.Head, error) {
	heads := map[uuid.UUID]audit.Head{}
	_, err := list(ctx, q.prepared, func(row scanner) (none struct{}, err error) {
		var realm uuid.UUID
		var h audit.Head
		err = row.Scan(&realm, &h.Seq, bytesOf{h.Hash[:]})
		heads[realm] = h
		return none, err
	}, "SELECT realm_id, seq, hash FROM audit_head")
	return heads, err
}

func (q queries) Changed(ctx context.Context, realm uuid.UUID, after, last int64, but []audit.Kind, limit int) ([]uuid.UUID, error) {
	query, args := "SELECT account_id FROM audit_event WHERE realm_id = $1 AND seq > $2 AND seq <= $3 ", []any{realm[:], after, last, limit}
	for _, kind := range but {
		args = append(args, string(kind))
		query += "AND kind <> $" + strconv.Itoa(len(args)) + " "
	}
	return list(ctx, q.prepared, func(row scanner) (account uuid.UUID, err error) {
		return account, row.Scan(bytesOf{account[:]})
	}, query+"ORDER BY seq LIMIT $4", args...)
}

func (q queries) SealAuditHead(ctx context.Context, realm uuid.UUID, h audit.SealedHead) error {
	_, err := q.exec(ctx, "UPDATE audit_head SET seal = $4 WHERE realm_id = $1 AND seq = $2 AND hash = $3", realm[:], h.Seq, h.Hash[:], h.Seal)
	return err
}

func (q queries) ResetAuditHead(ctx context.Context, realm uuid.UUID, h audit.SealedHead) error {
	_, err := q.exec(ctx, `INSERT INTO audit_head (realm_id, seq, hash, seal) VALUES ($1, $2, $3, $4)
		ON CONFLICT (realm_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, seal = excluded.seal`, realm[:], h.Seq, h.Hash[:], h.Seal)
	if err == nil {
		_, err = q.exec(ctx, "DELETE FROM audit_checkpoint WHERE realm_id = $1 AND seq > $2", realm[:], h.Seq)
	}
	return err
}

// UseAuditKey implements auth.Store.
func (s *Store) UseAuditKey(key audit.HeadKey) { s.headKey.Store(&key) }

const selectCheckpoint = "SELECT realm_id, seq, hash, at, cut, signature FROM audit_checkpoint WHERE realm_id = $1 "

func scanCheckpoint(row scanner) (c audit.Checkpoint, err error) {
	var cut int64
	err = row.Scan(bytesOf{c.RealmID[:]}, &c.Seq, bytesOf{c.Hash[:]}, instant{&c.At}, &cut, &c.Signature)
	c.Cut = cut == 1
	return c, err
}

func (q queries) Checkpoints(ctx context.Context, realm uuid.UUID, after int64, limit int) ([]audit.Checkpoint, error) {
	return list(ctx, q.prepared, scanCheckpoint, selectCheckpoint+"AND seq > $2 ORDER BY seq LIMIT $3", realm[:], after, limit)
}

func (q queries) LastCheckpoint(ctx context.Context, realm uuid.UUID) (audit.Checkpoint, error) {
	c, err := scanCheckpoint(q.row(ctx, selectCheckpoint+"ORDER BY seq DESC LIMIT 1", realm[:]))
	return c, classify(err)
}

// logsOf are the events of a batch, those of one log together, and the logs always in the same order.
func logsOf(events []*audit.Event) (logs [][]*audit.Event) {
	byRealm := func(x, y *audit.Event) int { return bytes.Compare(x.RealmID[:], y.RealmID[:]) }
	slices.SortStableFunc(events, byRealm)
	for len(events) > 0 {
		n := slices.IndexFunc(events, func(e *audit.Event) bool { return byRealm(e, events[0]) != 0 })
		if n < 0 {
			n = len(events)
		}
		logs, events = append(logs, events[:n]), events[n:]
	}
	return logs
}

// takeArgs are those of takePlaces.
func takeArgs(log []*audit.Event) []any {
	return []any{log[0].RealmID[:], make([]byte, len(audit.Hash{})), []byte{}, len(log)}
}

// scanHead reads the head that events follow whose places were taken.
func scanHead(row scanner, log []*audit.Event) (h audit.SealedHead, err error) {
	err = row.Scan(&h.Seq, bytesOf{h.Hash[:]}, &h.Seal)
	h.Seq -= int64(len(log))
	return h, err
}

// auditKey is what UseAuditKey has said.
func (q queries) auditKey() audit.HeadKey {
	if set := q.headKey.Load(); set != nil {
		return *set
	}
	return audit.HeadKey{}
}

const (
	// takePlaces takes the next $4 places in a realm's log.
	takePlaces = `INSERT INTO audit_head (realm_id, seq, hash, seal) VALUES ($1, $4, $2, $3)
		ON CONFLICT (realm_id) DO UPDATE SET seq = audit_head.seq + excluded.seq RETURNING seq, hash, seal`
	moveHead = "UPDATE audit_head SET hash = $2, seal = $3 WHERE realm_id = $1"
)

const insertEvent = `INSERT INTO audit_event (realm_id, seq, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

func eventArgs(e *audit.Event) []any {
	return []any{
		e.RealmID[:], e.Seq, e.ID[:], e.At.UnixMicro(), string(e.Kind), nullable(e.Account), nullable(e.Session),
		e.Dialect, e.Address, e.RequestID, e.Actor, e.Token, e.Detail, e.Hash[:],
	}
}

func (q queries) InsertCheckpoint(ctx context.Context, c audit.Checkpoint) error {
	_, err := q.exec(ctx, `INSERT INTO audit_checkpoint (realm_id, seq, hash, at, cut, signature) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (realm_id, seq) DO UPDATE SET hash = excluded.hash, at = excluded.at, cut = excluded.cut, signature = excluded.signature
		WHERE excluded.cut >= audit_checkpoint.cut`,
		c.RealmID[:], c.Seq, c.Hash[:], micros(c.At), bit(c.Cut), c.Signature)
	return err
}

func (q queries) CutEvents(ctx context.Context, realm uuid.UUID, through int64) (int, error) {
	n, err := q.exec(ctx, "DELETE FROM audit_event WHERE realm_id = $1 AND seq <= $2", realm[:], through)
	if err == nil {
		_, err = q.exec(ctx, "DELETE FROM audit_checkpoint WHERE realm_id = $1 AND seq < $2", realm[:], through)
	}
	return n, err
}
