package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/keyring"
	"github.com/ostiary/ostiary/internal/token"
)

// RealmName is what realms can be called.
var RealmName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CreateRealm makes a realm with a first RS256 signing key. CodeConflict if the name is taken.
func (s *Service) CreateRealm(ctx context.Context, name string, cl Client) (Realm, error) {
	if !RealmName.MatchString(name) {
		return Realm{}, Errorf(CodeInvalidInput, "realm name %q: use letters, digits, dot, underscore and hyphen, at most 64", name)
	}
	r := Realm{ID: newID(), Name: name, CreatedAt: s.now()}
	r.RefreshKey = s.newRefreshKey(r.ID)
	key, err := keyring.Generate(s.master, r.ID, keyring.RS256, s.keys.RSABits, s.now())
	if err != nil {
		return Realm{}, AsError(err)
	}
	err = s.change(ctx, func(tx Tx) error {
		if err := tx.InsertRealm(ctx, r); err != nil {
			return err
		}
		e := s.event(r.ID, audit.RealmCreated, uuid.Nil, cl)
		e.Detail = name
		if err := tx.InsertEvent(ctx, e); err != nil {
			return err
		}
		return s.insertKey(ctx, tx, key, succession{}, cl)
	})
	if CodeOf(err) == CodeConflict {
		return Realm{}, Errorf(CodeConflict, "realm %q exists", name)
	}
	if err != nil {
		return Realm{}, err
	}
	head, err := s.AuditHead(ctx, r.ID)
	if err == nil {
		err = s.signHead(ctx, r, head.Head)
	}
	return r, err
}

// newRefreshKey makes a key for a realm's refresh tokens, and seals it.
func (s *Service) newRefreshKey(realm uuid.UUID) []byte {
	secret := make([]byte, len(token.RefreshKey{}))
	rand.Read(secret)
	return s.master.Seal(secret, refreshKeyRow(realm))
}

func refreshKeyRow(realm uuid.UUID) string { return "realm/" + realm.String() + "/refresh_key" }

// Realms lists all realms.
func (s *Service) Realms(ctx context.Context) ([]Realm, error) {
	r, err := s.store.Realms(ctx)
	return r, storeError(err)
}

// Realm finds a realm by its name.
func (s *Service) Realm(ctx context.Context, name string) (Realm, error) {
	r, err := s.store.RealmByName(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return r, Errorf(CodeNotFound, "there is no realm %q", name)
	}
	return r, storeError(err)
}

// RealmFlag is what a command that is hinted at needs, to act on the realm.
func RealmFlag(name string) string {
	if name == "" || name == "default" {
		return ""
	}
	return " --realm " + name
}

// mountedRealm is the name of a realm that a mount has, without asking the store; "": none has it.
func (s *Service) mountedRealm(id uuid.UUID) string {
	for _, m := range s.mounts {
		if m.RealmID == id {
			return m.Realm
		}
	}
	return ""
}

// inRealm says in which realm there is none.
func inRealm(ctx context.Context, from RealmReader, id uuid.UUID) string {
	r, err := from.RealmByID(ctx, id)
	if err != nil {
		return ""
	}
	return " in realm " + r.Name
}

// realmFresh is how old a node's view of a realm's keys and hash formats may be.
const realmFresh = 2 * time.Second

// realmState is what the hot paths need of a realm, opened and ready. It is
// replaced as a whole.
type realmState struct {
	name    string
	ring    *keyring.Ring
	keys    []keyring.Record
	refresh token.RefreshKey
	schemes []string
	loaded  time.Time // by the real clock

	foreign    []keyring.Foreign // those that live
	anyForeign bool              // there are tokens of others, in some realm
}

// state returns a realm's keys as they were in the store at most realmFresh ago.
func (s *Service) state(ctx context.Context, realm uuid.UUID) (*realmState, error) {
	if v, ok := s.realms.Load(realm); ok {
		if st := v.(*realmState); time.Since(st.loaded) < realmFresh {
			return st, nil
		}
	}
	return s.reload(ctx, realm)
}

func (s *Service) reload(ctx context.Context, realm uuid.UUID) (*realmState, error) {
	loaded := time.Now()
	r, err := s.store.RealmByID(ctx, realm)
	if err != nil {
		return nil, storeError(err)
	}
	st := &realmState{name: r.Name, loaded: loaded}
	if st.schemes, err = s.store.HashSchemes(ctx, realm); err != nil {
		return nil, storeError(err)
	}
	if st.keys, err = s.store.Keys(ctx, realm); err != nil {
		return nil, storeError(err)
	}
	if err = s.loadForeign(ctx, realm, st); err != nil {
		return nil, err
	}
	if v, ok := s.realms.Load(realm); ok && sameKeys(v.(*realmState).keys, st.keys) && sameForeign(v.(*realmState).foreign, st.foreign) {
		old := v.(*realmState)
		st.ring, st.refresh = old.ring, old.refresh
	} else if err := s.open(r, st); err != nil {
		return nil, err
	}
	return s.keepState(realm, st), nil
}

// keepState keeps what was read, unless something was read later: a key that has been
// refused since must not come back.
func (s *Service) keepState(realm uuid.UUID, st *realmState) *realmState {
	for {
		v, there := s.realms.LoadOrStore(realm, st)
		switch {
		case !there:
			return st
		case v.(*realmState).loaded.After(st.loaded):
			return v.(*realmState)
		case s.realms.CompareAndSwap(realm, v, st):
			return st
		}
	}
}

// open unseals a realm's keys.
func (s *Service) open(r Realm, st *realmState) error {
	secret, err := s.master.Open(r.RefreshKey, refreshKeyRow(r.ID))
	if err != nil {
		return Because(CodeInternal, "refresh key of realm %s: %w", r.Name, err)
	}
	copy(st.refresh[:], secret)
	if st.ring, err = keyring.Open(s.master, st.keys, st.foreign...); err != nil {
		return Because(CodeInternal, "signing keys of realm %s: %w", r.Name, err)
	}
	return nil
}

func sameKeys(a, b []keyring.Record) bool {
	return slices.EqualFunc(a, b, func(a, b keyring.Record) bool {
		return a.ID == b.ID && a.SignsFrom.Equal(b.SignsFrom) && a.ExpiresAt.Equal(b.ExpiresAt)
	})
}

// loadForeign reads what is known of other servers.
func (s *Service) loadForeign(ctx context.Context, realm uuid.UUID, st *realmState) error {
	keys, err := s.store.ForeignKeys(ctx, realm)
	if err != nil {
		return storeError(err)
	}
	now := s.now()
	st.foreign = slices.DeleteFunc(keys, func(k keyring.Foreign) bool { return !k.Alive(now) })
	st.anyForeign, err = s.store.AnyForeignToken(ctx, now)
	return storeError(err)
}

func sameForeign(a, b []keyring.Foreign) bool {
	return slices.EqualFunc(a, b, func(a, b keyring.Foreign) bool { return a.ID == b.ID && a.ExpiresAt.Equal(b.ExpiresAt) })
}
