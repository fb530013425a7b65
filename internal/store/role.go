package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// names scans what string_agg made of names with spaces between them: sorted, each once; nil if there is none.
type names struct{ list *[]string }

func (n names) Scan(src any) error {
	if err := words(n).Scan(src); err != nil {
		return err
	}
	slices.Sort(*n.list)
	all := len(*n.list)
	switch *n.list = slices.Compact(*n.list); len(*n.list) {
	case 0:
		*n.list = nil
	case all:
	default: // names that came twice, by two roles, are not kept in memory
		*n.list = strings.Fields(strings.Join(*n.list, " "))
	}
	return nil
}

func (q queries) Roles(ctx context.Context, realm uuid.UUID, after string, limit int) ([]auth.Role, error) {
	return list(ctx, q.prepared, func(row scanner) (r auth.Role, err error) {
		err = row.Scan(&r.Name, at{&r.CreatedAt}, &r.Accounts, names{&r.Datasources})
		return r, err
	}, `SELECT r.name, r.created_at,
			(SELECT COUNT(*) FROM account_role h WHERE h.realm_id = r.realm_id AND h.role = r.name),
			COALESCE((SELECT string_agg(g.datasource, ' ') FROM role_datasource g
				WHERE g.realm_id = r.realm_id AND g.role = r.name), '')
		FROM role r WHERE r.realm_id = $1 AND r.name > $2 ORDER BY r.name LIMIT $3`, realm[:], after, limit)
}

func (q queries) Datasources(ctx context.Context, realm uuid.UUID, after string, limit int) ([]auth.Datasource, error) {
	return list(ctx, q.prepared, func(row scanner) (d auth.Datasource, err error) {
		err = row.Scan(&d.Name, at{&d.CreatedAt}, names{&d.Roles})
		return d, err
	}, `SELECT d.name, d.created_at,
			COALESCE((SELECT string_agg(g.role, ' ') FROM role_datasource g
				WHERE g.realm_id = d.realm_id AND g.datasource = d.name), '')
		FROM datasource d WHERE d.realm_id = $1 AND d.name > $2 ORDER BY d.name LIMIT $3`, realm[:], after, limit)
}

func (q queries) HasRole(ctx context.Context, realm uuid.UUID, name string) (bool, error) {
	return q.exists(ctx, "SELECT EXISTS (SELECT 1 FROM role WHERE realm_id = $1 AND name = $2)", realm[:], name)
}

func (q queries) HasDatasource(ctx context.Context, realm uuid.UUID, name string) (bool, error) {
	return q.exists(ctx, "SELECT EXISTS (SELECT 1 FROM datasource WHERE realm_id = $1 AND name = $2)", realm[:], name)
}

func (q queries) exists(ctx context.Context, query string, args ...any) (there bool, err error) {
	err = q.row(ctx, query, args...).Scan(&there)
	return there, classify(err)
}

func (q queries) RoleAccounts(ctx context.Context, realm uuid.UUID, role string, after uuid.UUID, limit int) ([]auth.Account, error) {
	return list(ctx, q.prepared, scanAccount, "SELECT "+accountColumns+` FROM account_role h JOIN account a ON a.id = h.account_id
		WHERE h.realm_id = $1 AND h.role = $2 AND h.account_id > $3 ORDER BY h.account_id LIMIT $4`, realm[:], role, after[:], limit)
}

func oneText(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

func (q queries) InsertRole(ctx context.Context, realm uuid.UUID, name string, now time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO role (realm_id, name, created_at) VALUES ($1, $2, $3)", realm[:], name, micros(now))
	return err
}

func (q queries) InsertDatasource(ctx context.Context, realm uuid.UUID, name string, now time.Time) error {
	_, err := q.exec(ctx, "INSERT INTO datasource (realm_id, name, created_at) VALUES ($1, $2, $3)", realm[:], name, micros(now))
	return err
}

// DeleteRole and DeleteDatasource tell what the statement itself has deleted: of two that delete both ends
// of a grant at once, each would read it, and one alone ends it.
func (q queries) DeleteRole(ctx context.Context, realm uuid.UUID, name string) (accounts []uuid.UUID, datasources []string, err error) {
	if err := must(q.exec(ctx, "DELETE FROM role WHERE realm_id = $1 AND name = $2", realm[:], name)); err != nil {
		return nil, nil, err
	}
	accounts, err = list(ctx, q.prepared, func(row scanner) (id uuid.UUID, err error) {
		err = row.Scan(&id)
		return id, err
	}, "DELETE FROM account_role WHERE realm_id = $1 AND role = $2 RETURNING account_id", realm[:], name)
	if err != nil {
		return nil, nil, err
	}
	datasources, err = list(ctx, q.prepared, oneText, "DELETE FROM role_datasource WHERE realm_id = $1 AND role = $2 RETURNING datasource", realm[:], name)
	slices.SortFunc(accounts, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	slices.Sort(datasources)
	return accounts, datasources, err
}

func (q queries) DeleteDatasource(ctx context.Context, realm uuid.UUID, name string) (roles []string, err error) {
	if err := must(q.exec(ctx, "DELETE FROM datasource WHERE realm_id = $1 AND name = $2", realm[:], name)); err != nil {
		return nil, err
	}
	roles, err = list(ctx, q.prepared, oneText, "DELETE FROM role_datasource WHERE realm_id = $1 AND datasource = $2 RETURNING role", realm[:], name)
	slices.Sort(roles)
	return roles, err
}

// AddRole touches the account and the role before it joins them: where several write at
// once, a deletion of either would otherwise miss a row that is not committed yet.
func (q queries) AddRole(ctx context.Context, realm, account uuid.UUID, role string, now time.Time) (bool, error) {
	if err := q.HoldAccount(ctx, realm, account); err != nil {
		return false, err
	}
	if err := q.holdRole(ctx, realm, role); err != nil {
		return false, err
	}
	n, err := q.exec(ctx, `INSERT INTO account_role (account_id, role, realm_id, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, account[:], role, realm[:], micros(now))
	return n > 0, err
}

func (q queries) holdRole(ctx context.Context, realm uuid.UUID, name string) error {
	return must(q.exec(ctx, "UPDATE role SET created_at = created_at WHERE realm_id = $1 AND name = $2", realm[:], name))
}

func (q queries) holdDatasource(ctx context.Context, realm uuid.UUID, name string) error {
	return must(q.exec(ctx, "UPDATE datasource SET created_at = created_at WHERE realm_id = $1 AND name = $2", realm[:], name))
}

// RemoveRole touches both likewise: a merge that has read the role would otherwise give it to the account that is kept.
func (q queries) RemoveRole(ctx context.Context, realm, account uuid.UUID, role string) (bool, error) {
	if err := q.HoldAccount(ctx, realm, account); err != nil {
		return false, err
	}
	if err := q.holdRole(ctx, realm, role); err != nil {
		if errors.Is(err, auth.ErrNotFound) { // nobody has it
			err = nil
		}
		return false, err
	}
	n, err := q.exec(ctx, "DELETE FROM account_role WHERE account_id = $1 AND role = $2 AND realm_id = $3", account[:], role, realm[:])
	return n > 0, err
}

func (q queries) GrantDatasource(ctx context.Context, realm uuid.UUID, role, datasource string, now time.Time) (bool, error) {
	if err := q.holdRole(ctx, realm, role); err != nil {
		return false, err
	}
	if err := q.holdDatasource(ctx, realm, datasource); err != nil {
		return false, err
	}
	n, err := q.exec(ctx, `INSERT INTO role_datasource (realm_id, role, datasource, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, realm[:], role, datasource, micros(now))
	return n > 0, err
}

func (q queries) RevokeDatasource(ctx context.Context, realm uuid.UUID, role, datasource string) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM role_datasource WHERE realm_id = $1 AND role = $2 AND datasource = $3", realm[:], role, datasource)
	return n > 0, err
}
