package auth

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// names are so many, with spaces between them.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " datasource-of-a-customer-%04d", i)
	}
	return b.String()
}

// opened is a session of an account that these datasources are open to.
func opened(datasources string) SessionRecord {
	a := Account{
		ID: newID(), RealmID: uuid.UUID{1}, Username: "ada.lovelace", Email: "ada.lovelace@example.com", DisplayName: "Ada Lovelace", Org: "analytical engines",
	}
	// As the store makes them: parts of one text.
	rec := AccountRecord{Account: a, PasswordHash: strings.Repeat("x", 97), Datasources: strings.Fields(strings.Clone(datasources))}
	now := time.Now()
	return SessionRecord{
		Session: Session{ID: newID(), RealmID: a.RealmID, AccountID: a.ID, AMR: []string{"pwd"}, AuthTime: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour), UserAgent: strings.Repeat("y", 100)},
		Account: rec,
	}
}

// heap is how much is in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// vouched looks at so many sessions, and gives each the assertion that it would have.
func vouched(t *testing.T, s *Service, sessions, datasources int) (weight int) {
	t.Helper()
	list := names(datasources)
	for i := range sessions {
		rec := opened(list)
		var key [32]byte
		binary.BigEndian.PutUint64(key[:], uint64(i))
		read := func() (SessionRecord, error) { return rec, nil }
		v, err := s.viewOf(context.Background(), rec.RealmID, key[:], read)
		if err != nil {
			t.Fatal(err)
		}
		claims := strings.Repeat("z", 600) + `"` + strings.Join(v.who.Datasources, `","`) + `"`
		v.who.asserted.Store(&assertion{jwt: base64.RawURLEncoding.EncodeToString([]byte(claims))})
		weight += v.weight()
	}
	return weight
}

// TestView_Weight: what views weigh is not less than the memory they take, and not so much
// more that there would be room for few.
func TestView_Weight(t *testing.T) {
	for _, c := range []struct{ sessions, datasources int }{{2000, 0}, {1000, 20}, {100, 1000}} {
		s := New(Options{})
		before := heap()
		weight := vouched(t, s, c.sessions, c.datasources)
		took := heap() - before
		t.Logf("%d datasources: %d bytes each, and %d in weight", c.datasources, took/c.sessions, weight/c.sessions)
		if took > weight || weight > 2*took {
			t.Errorf("%d sessions with %d datasources take %d bytes and weigh %d", c.sessions, c.datasources, took, weight)
		}
		runtime.KeepAlive(s)
	}
}

// TestThreat60_ViewsOfLongLists: memory stays flat however many sessions there are of an
// account with much open to it.
func TestThreat60_ViewsOfLongLists(t *testing.T) {
	s := New(Options{})
	before := heap()
	vouched(t, s, 2000, 1000) // some 100 kB each
	if took := heap() - before; took > 20<<20 {
		t.Errorf("%d MiB are kept", took>>20)
	}
	runtime.KeepAlive(s)
}

// TestView_OnceInMemory: a view that takes over an older one's identity keeps no second
// copy of its names.
func TestView_OnceInMemory(t *testing.T) {
	now := time.Now()
	s := New(Options{Now: func() time.Time { return now }})
	rec := opened(names(3))
	read := func() (SessionRecord, error) {
		again := rec
		again.Account.Datasources = strings.Fields(strings.Join(rec.Account.Datasources, " "))
		return again, nil
	}
	for range 3 {
		v, err := s.viewOf(t.Context(), rec.RealmID, rec.ID[:], read)
		if err != nil {
			t.Fatal(err)
		}
		if &v.rec.Account.Datasources[0] != &v.who.Datasources[0] {
			t.Fatal("two copies")
		}
		now = now.Add(realmFresh)
	}
}
