package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

// Writeback is the window of a realm in which an old system is told of new passwords, so
// that there is a way back to it.
type Writeback struct {
	Format string // of the hashes: one of password.MakeFormats
	Until  time.Time
}

// WritebackRecord is a line that waits to be told, sealed.
type WritebackRecord struct {
	ID        uuid.UUID
	RealmID   uuid.UUID
	AccountID uuid.UUID
	Seq       int64 // of the account's; a lower one is told before
	Sealed    []byte
	CreatedAt time.Time
	Tries     int
	NextAt    time.Time // of a try
}

type WritebackReader interface {
	// Writebacks are the lines of a realm that are due: of each account the first, unless its
	// next try is later.
	Writebacks(ctx context.Context, realm uuid.UUID, now time.Time, limit int) ([]WritebackRecord, error)
	// WritebackBacklog counts the lines of a realm that wait; oldest is when the first of
	// them was made.
	WritebackBacklog(ctx context.Context, realm uuid.UUID) (n int, oldest time.Time, err error)
}

type WritebackWriter interface {
	// InsertWriteback stores a line behind the account's others, in a transaction that holds
	// off other changes of the account.
	InsertWriteback(ctx context.Context, w WritebackRecord) error
	// DelayWriteback counts a try that went wrong; DeleteWriteback ends a line. Both report
	// whether it was still there.
	DelayWriteback(ctx context.Context, w WritebackRecord, next time.Time) (bool, error)
	DeleteWriteback(ctx context.Context, w WritebackRecord) (bool, error)
}

// What an old system is told of.
const (
	backCreated  = "account_created"
	backPassword = "password_changed"
	backDisabled = "account_disabled"
	backEnabled  = "account_enabled"
	backDeleted  = "account_deleted"
)

// writebackLine is what an old system is told. docs/writeback.md has its members.
type writebackLine struct {
	ID           uuid.UUID          `json:"id"`
	At           time.Time          `json:"at"`
	Event        string             `json:"event"`
	Realm        string             `json:"realm"`
	Account      uuid.UUID          `json:"account"`
	Number       int64              `json:"number"`
	Username     string             `json:"username"`
	Email        string             `json:"email"`
	Apart        Dialect            `json:"apart,omitempty"` // its names are good there alone
	DisplayName  string             `json:"display_name"`
	Org          string             `json:"org"`
	Subject      map[Dialect]string `json:"subject"`
	PasswordHash string             `json:"password_hash"`
}

// oldSystem is who is told of what changes in a realm. Nil is nobody.
type oldSystem struct {
	svc    *Service
	realm  string
	format string
}

// oldSystem is that of a realm, while its window is open.
func (s *Service) oldSystem(ctx context.Context, realm uuid.UUID) (*oldSystem, error) {
	if len(s.writebacks) == 0 {
		return nil, nil
	}
	st, err := s.state(ctx, realm)
	if err != nil {
		return nil, err
	}
	w, ok := s.writebacks[st.name]
	if !ok || !s.now().Before(w.Until) {
		return nil, nil
	}
	return &oldSystem{s, st.name, w.Format}, nil
}

// hash makes the hash of a new password that the old system reads.
func (o *oldSystem) hash(ctx context.Context, p Secret) (string, error) {
	if o == nil {
		return "", nil
	}
	hash, err := o.svc.hasher.HashAs(ctx, o.format, string(p))
	return hash, hashError(err)
}

// tell stores what the old system is to be told, in the transaction of what it is about,
// which holds off other changes of the account.
func (o *oldSystem) tell(ctx context.Context, tx Tx, a Account, event, hash string) error {
	if o == nil {
		return nil
	}
	subjects, err := tx.Aliases(ctx, a.ID)
	if err != nil {
		return err
	}
	w := WritebackRecord{ID: newID(), RealmID: a.RealmID, AccountID: a.ID, CreatedAt: o.svc.now()}
	line, err := json.Marshal(writebackLine{
		ID: w.ID, At: w.CreatedAt.UTC(), Event: event, Realm: o.realm, Account: a.ID, Number: a.Number, Username: a.Username, Email: a.Email, Apart: a.Apart,
		DisplayName: a.DisplayName, Org: a.Org, Subject: subjects, PasswordHash: hash,
	})
	if err != nil {
		return err
	}
	w.Sealed = o.svc.master.Seal(line, writebackRow(w.ID))
	return tx.InsertWriteback(ctx, w)
}

func writebackRow(id uuid.UUID) string { return "writeback/" + id.String() }

// WaitingWriteback is a line that is due to be told to an old system.
type WaitingWriteback struct {
	WritebackRecord
	Event string
	Line  []byte // the JSON object, on one line
	Fault error  // why there is no line: it does not open
}

// WaitingWritebacks are lines of a realm that are due, no two of them of one account.
func (s *Service) WaitingWritebacks(ctx context.Context, realm uuid.UUID, limit int) (all []WaitingWriteback, err error) {
	records, err := s.store.Writebacks(ctx, realm, s.now(), limit)
	if err != nil {
		return nil, storeError(err)
	}
	for _, r := range records {
		w := WaitingWriteback{WritebackRecord: r}
		if w.Line, w.Fault = s.master.Open(r.Sealed, writebackRow(r.ID)); w.Fault == nil {
			var line writebackLine
			w.Fault = json.Unmarshal(w.Line, &line)
			w.Event = line.Event
		}
		all = append(all, w)
	}
	return all, nil
}

// WrittenBack records that lines were told, and where: how is "file" or "webhook".
func (s *Service) WrittenBack(ctx context.Context, all []WaitingWriteback, how string, cl Client) error {
	return s.change(ctx, func(tx Tx) error {
		for _, w := range all {
			was, err := tx.DeleteWriteback(ctx, w.WritebackRecord)
			if err != nil {
				return err
			}
			if !was {
				continue // another process was as quick
			}
			e := s.event(w.RealmID, audit.WrittenBack, w.AccountID, cl)
			e.Detail = w.Event + " " + how
			if err := tx.InsertEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	writebackWait    = time.Minute // after the first refusal of a line, and twice as long after each
	writebackWaitMax = time.Hour
)

// WritebackRefused has a line wait that the old system will not take, with those of the
// same account behind it.
func (s *Service) WritebackRefused(ctx context.Context, w WaitingWriteback) (next time.Time, err error) {
	next = s.now().Add(min(writebackWait<<min(w.Tries, 10), writebackWaitMax))
	return next, s.change(ctx, func(tx Tx) error {
		_, err := tx.DelayWriteback(ctx, w.WritebackRecord, next)
		return err
	})
}

// WritebackBacklog counts the lines of a realm that wait; oldest is when the first was made.
func (s *Service) WritebackBacklog(ctx context.Context, realm uuid.UUID) (n int, oldest time.Time, err error) {
	n, oldest, err = s.store.WritebackBacklog(ctx, realm)
	return n, oldest, storeError(err)
}
