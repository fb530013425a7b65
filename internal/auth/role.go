package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/pattern"
)

// AccessName is what roles and datasources can be called.
var AccessName = pattern.New(`^[A-Za-z0-9._:-]{1,64}$`)

// The server's own roles, which every realm has: what a service account may ask.
const (
	RoleIntrospect = "ostiary:introspect"
	RoleRevoke     = "ostiary:revoke"
	ownRoles       = "ostiary:" // the prefix of their names
)

// BuiltInRoles are the roles that every realm has from the start.
var BuiltInRoles = []string{RoleIntrospect, RoleRevoke}

// Role is a name that accounts of a realm can have, and that opens datasources to them.
type Role struct {
	Name        string
	Datasources []string // sorted
	Accounts    int      // how many have it
	CreatedAt   time.Time
}

// Datasource is something that roles of a realm open.
type Datasource struct {
	Name      string
	Roles     []string // sorted
	CreatedAt time.Time
}

// CreateRole makes a role. CodeConflict if it is there; to create one that every realm
// has is no error.
func (s *Service) CreateRole(ctx context.Context, realm uuid.UUID, name string, cl Client) error {
	if err := checkAccessName("role", name); err != nil {
		return err
	}
	if slices.Contains(BuiltInRoles, name) {
		return nil
	}
	if strings.HasPrefix(strings.ToLower(name), ownRoles) {
		return Errorf(CodeInvalidInput, "role %q: names that begin with %q are the server's own", name, ownRoles)
	}
	err := s.changeAccess(ctx, realm, audit.RoleCreated, uuid.Nil, name, cl, func(tx Tx) (bool, error) {
		return true, tx.InsertRole(ctx, realm, name, s.now())
	})
	if CodeOf(err) == CodeConflict {
		return Errorf(CodeConflict, "the role %q exists", name)
	}
	return err
}

// DeleteRole removes a role, takes it from all accounts, and revokes what it was granted;
// each of them is recorded. CodeNotFound if there is none.
func (s *Service) DeleteRole(ctx context.Context, realm uuid.UUID, name string, cl Client) error {
	if slices.Contains(BuiltInRoles, name) {
		return Errorf(CodeInvalidInput, "the role %q is the server's own and stays", name)
	}
	return s.changeAccess(ctx, realm, audit.RoleDeleted, uuid.Nil, name, cl, func(tx Tx) (bool, error) {
		accounts, datasources, err := tx.DeleteRole(ctx, realm, name)
		if err != nil {
			return false, gone(err, "role", name)
		}
		for _, id := range accounts {
			e := s.event(realm, audit.RoleRemoved, id, cl)
			e.Detail = name
			if err := tx.InsertEvent(ctx, e); err != nil {
				return false, err
			}
		}
		for _, datasource := range datasources {
			if err := s.grantEnded(ctx, tx, realm, name, datasource, cl); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// grantEnded records that a grant ends with its role or its datasource.
func (s *Service) grantEnded(ctx context.Context, tx Tx, realm uuid.UUID, role, datasource string, cl Client) error {
	e := s.event(realm, audit.DatasourceRevoked, uuid.Nil, cl)
	e.Detail = role + " " + datasource
	return tx.InsertEvent(ctx, e)
}

// CreateDatasource makes a datasource. CodeConflict if it is there.
func (s *Service) CreateDatasource(ctx context.Context, realm uuid.UUID, name string, cl Client) error {
	if err := checkAccessName("datasource", name); err != nil {
		return err
	}
	err := s.changeAccess(ctx, realm, audit.DatasourceCreated, uuid.Nil, name, cl, func(tx Tx) (bool, error) {
		return true, tx.InsertDatasource(ctx, realm, name, s.now())
	})
	if CodeOf(err) == CodeConflict {
		return Errorf(CodeConflict, "the datasource %q exists", name)
	}
	return err
}

// DeleteDatasource removes a datasource and all grants of it; each of them is recorded.
// CodeNotFound if there is none.
func (s *Service) DeleteDatasource(ctx context.Context, realm uuid.UUID, name string, cl Client) error {
	return s.changeAccess(ctx, realm, audit.DatasourceDeleted, uuid.Nil, name, cl, func(tx Tx) (bool, error) {
		roles, err := tx.DeleteDatasource(ctx, realm, name)
		if err != nil {
			return false, gone(err, "datasource", name)
		}
		for _, role := range roles {
			if err := s.grantEnded(ctx, tx, realm, role, name, cl); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// AddRole gives an account a role; to give it again changes nothing. CodeNotFound if
// there is no such account or role.
func (s *Service) AddRole(ctx context.Context, realm, account uuid.UUID, role string, cl Client) error {
	return s.changeAccess(ctx, realm, audit.RoleAdded, account, role, cl, func(tx Tx) (bool, error) {
		return addRole(ctx, tx, realm, account, role, s.now())
	})
}

// addRole reports whether the account did not have the role yet.
func addRole(ctx context.Context, tx Tx, realm, account uuid.UUID, role string, now time.Time) (bool, error) {
	if err := knownRole(ctx, tx, realm, role); err != nil {
		return false, err
	}
	added, err := tx.AddRole(ctx, realm, account, role, now)
	return added, noAccount(err, account)
}

func noAccount(err error, account uuid.UUID) error {
	if errors.Is(err, ErrNotFound) {
		return Errorf(CodeNotFound, "there is no account %s", account)
	}
	return err
}

// RemoveRole takes a role from an account; one that it does not have is no error. CodeNotFound if
// there is no such account: it may have been merged, and then another one has the role.
func (s *Service) RemoveRole(ctx context.Context, realm, account uuid.UUID, role string, cl Client) error {
	return s.changeAccess(ctx, realm, audit.RoleRemoved, account, role, cl, func(tx Tx) (bool, error) {
		if err := knownRole(ctx, tx, realm, role); err != nil {
			return false, err
		}
		removed, err := tx.RemoveRole(ctx, realm, account, role)
		return removed, noAccount(err, account)
	})
}

// GrantDatasource opens a datasource to the accounts that have a role.
func (s *Service) GrantDatasource(ctx context.Context, realm uuid.UUID, role, datasource string, cl Client) error {
	return s.changeAccess(ctx, realm, audit.DatasourceGranted, uuid.Nil, role+" "+datasource, cl, func(tx Tx) (bool, error) {
		if err := knownPair(ctx, tx, realm, role, datasource); err != nil {
			return false, err
		}
		return tx.GrantDatasource(ctx, realm, role, datasource, s.now())
	})
}

// RevokeDatasource closes it again.
func (s *Service) RevokeDatasource(ctx context.Context, realm uuid.UUID, role, datasource string, cl Client) error {
	return s.changeAccess(ctx, realm, audit.DatasourceRevoked, uuid.Nil, role+" "+datasource, cl, func(tx Tx) (bool, error) {
		if err := knownPair(ctx, tx, realm, role, datasource); err != nil {
			return false, err
		}
		return tx.RevokeDatasource(ctx, realm, role, datasource)
	})
}

// ListRoles lists a realm's roles by name, from the first after the given one.
func (s *Service) ListRoles(ctx context.Context, realm uuid.UUID, after string, limit int) ([]Role, error) {
	roles, err := s.store.Roles(ctx, realm, after, limit)
	return roles, storeError(err)
}

// RoleAccounts lists the accounts that have a role by id, from the first after the given one.
func (s *Service) RoleAccounts(ctx context.Context, realm uuid.UUID, role string, after uuid.UUID, limit int) ([]Account, error) {
	accounts, err := s.store.RoleAccounts(ctx, realm, role, after, limit)
	return accounts, storeError(err)
}

// ListDatasources lists a realm's datasources by name, from the first after the given one.
func (s *Service) ListDatasources(ctx context.Context, realm uuid.UUID, after string, limit int) ([]Datasource, error) {
	list, err := s.store.Datasources(ctx, realm, after, limit)
	return list, storeError(err)
}

// Access returns the roles of an account, and the datasources that they open.
func (s *Service) Access(ctx context.Context, realm, account uuid.UUID) (roles, datasources []string, err error) {
	rec, err := s.store.AccountByID(ctx, realm, account, "")
	return rec.Roles, rec.Datasources, storeError(err)
}

// changeAccess runs a change of who may do what, and records it if it changed anything.
func (s *Service) changeAccess(ctx context.Context, realm uuid.UUID, kind audit.Kind, account uuid.UUID, detail string, cl Client, fn func(Tx) (bool, error)) error {
	return s.change(ctx, func(tx Tx) error {
		changed, err := fn(tx)
		if err != nil || !changed {
			return err
		}
		e := s.event(realm, kind, account, cl)
		e.Detail = detail
		return tx.InsertEvent(ctx, e)
	})
}

func checkAccessName(what, name string) error {
	if !AccessName.MatchString(name) {
		return Errorf(CodeInvalidInput, "%s %q: use letters, digits, dot, underscore, colon and hyphen, at most 64", what, name)
	}
	return nil
}

func knownRole(ctx context.Context, tx Tx, realm uuid.UUID, role string) error {
	there, err := tx.HasRole(ctx, realm, role)
	return missing(there, err, "role", role)
}

func knownPair(ctx context.Context, tx Tx, realm uuid.UUID, role, datasource string) error {
	if err := knownRole(ctx, tx, realm, role); err != nil {
		return err
	}
	there, err := tx.HasDatasource(ctx, realm, datasource)
	return missing(there, err, "datasource", datasource)
}

// gone says of what could not be held whether it is there at all.
func gone(err error, what, name string) error {
	if errors.Is(err, ErrNotFound) {
		return missing(false, nil, what, name)
	}
	return err
}

// missing turns "it is not there" into an error.
func missing(there bool, err error, what, name string) error {
	if err == nil && !there {
		return Errorf(CodeNotFound, "there is no %s %q", what, name)
	}
	return err
}
