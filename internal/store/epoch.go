package store

import (
	"bytes"
	"time"

	"github.com/ostiary/ostiary/internal/backup"
	"github.com/ostiary/ostiary/internal/totp"
)

// EpochFact is how often a database has been restored, in decimal.
const EpochFact = "epoch"

// BackupFact is when a backup of a database was made last (RFC 3339).
const BackupFact = "backed_up_at"

// numberGap is how many accounts may have been made at once since a backup, beside one each
// numberEvery: none of their numbers is given again after it was restored, and none of those
// that were given after another restore of it. More would soon be too much for the clients
// of old that keep a number in 32 bits.
const (
	numberGap   = 1_000_000
	numberEvery = 100 * time.Millisecond
)

// EndRestored is why sessions of a backup have ended.
const EndRestored = "store_restored"

// Epoch makes of the rows of a backup those of the store that is restored from it: what can
// be used once, and may have been since the backup, has been.
type Epoch struct {
	Now      time.Time // no earlier than the backup
	Backup   time.Time // when that was made
	Sessions int       // that were ended
	Tickets  int       // that were spent
	Codes    int       // recovery codes that were spent
	Holders  int       // of these: accounts that have none left
	holder   []byte
}

// Raise changes a row.
func (e *Epoch) Raise(t backup.Table, row backup.Row) {
	now := micros(e.Now)
	unset := func(column string) bool {
		i := t.Index(column)
		if row[i] != int64(0) {
			return false
		}
		row[i] = now
		return true
	}
	switch t.Name {
	case "realm":
		i := t.Index("next_number")
		row[i] = row[i].(int64) + numberGap + int64(e.Now.Sub(e.Backup)/numberEvery)
	case "session":
		if unset("ended_at") {
			row[t.Index("end_reason")] = EndRestored
			e.Sessions++
		}
	case "ticket":
		if unset("spent_at") {
			e.Tickets++
		}
	case "foreign_token":
		unset("spent_at") // without a session it is void, and those have ended
	case "totp_factor":
		// A code could be used a step before its time.
		i := t.Index("last_step")
		row[i] = max(row[i].(int64), totp.Step(e.Now)+totp.MaxSkew)
	case "recovery_code":
		if unset("spent_at") {
			e.Codes++
			if account := row[0].([]byte); !bytes.Equal(account, e.holder) {
				e.Holders, e.holder = e.Holders+1, account
			}
		}
	}
}
