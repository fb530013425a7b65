package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// memory is a Queue that is none of a database's: it keeps the order of accounts as the
// store does, which storetest sees to.
type memory struct {
	waiting []auth.WaitingWriteback
	delayed map[uuid.UUID]bool
	told    []string // how, and the line
	err     error    // of all that is asked
}

func (m *memory) WaitingWritebacks(context.Context, uuid.UUID, int) (due []auth.WaitingWriteback, err error) {
	seen := map[uuid.UUID]bool{}
	for _, w := range m.waiting {
		if !seen[w.AccountID] && !m.delayed[w.ID] {
			due = append(due, w)
		}
		seen[w.AccountID] = true
	}
	return due, m.err
}

func (m *memory) WrittenBack(_ context.Context, all []auth.WaitingWriteback, how string, _ auth.Client) error {
	if m.err != nil {
		return m.err
	}
	for _, w := range all {
		for i := range m.waiting {
			if m.waiting[i].ID == w.ID {
				m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
				break
			}
		}
		m.told = append(m.told, how+" "+string(w.Line))
	}
	return nil
}

func (m *memory) WritebackRefused(_ context.Context, w auth.WaitingWriteback) (time.Time, error) {
	m.delayed[w.ID] = true
	return time.Time{}, m.err
}

// add has lines wait, of the accounts that they begin with.
func (m *memory) add(lines ...string) *memory {
	if m.delayed == nil {
		m.delayed = map[uuid.UUID]bool{}
	}
	for _, line := range lines {
		m.waiting = append(m.waiting, auth.WaitingWriteback{
			WritebackRecord: auth.WritebackRecord{ID: uuid.Must(uuid.NewV7()), AccountID: uuid.NewSHA1(uuid.Nil, []byte(line[:1]))}, Line: []byte(line), Event: "password_changed",
		})
	}
	return m
}

// system is an old one, in the process.
type system struct {
	got  []string
	fail func(line string) error
}

func (*system) How() string { return "test" }

func (s *system) Tell(_ context.Context, lines []auth.WaitingWriteback) (int, error) {
	line := string(lines[0].Line)
	if s.fail != nil {
		if err := s.fail(line); err != nil {
			return 0, err
		}
	}
	s.got = append(s.got, line)
	return 1, nil
}

type outletTest struct {
	*Outlet
	now      time.Time
	log      bytes.Buffer
	outcomes map[string]int
}

func newOutlet(target Target) *outletTest {
	o := &outletTest{now: time.Unix(1e9, 0), outcomes: map[string]int{}}
	o.Outlet = NewOutlet(Options{Name: "default", Target: target, Log: slog.New(slog.NewTextHandler(&o.log, nil)), Now: func() time.Time { return o.now },
		Observe: func(_, outcome string, n int) { o.outcomes[outcome] += n }})
	return o
}

func always() bool { return true }

func (o *outletTest) workAll(t *testing.T, q Queue) {
	t.Helper()
	for range 100 {
		if !o.Work(t.Context(), q, always) {
			return
		}
	}
	t.Fatal("it has no end")
}

func TestOutlet_OrderOfAnAccount(t *testing.T) {
	s := new(system)
	q := new(memory).add("a1", "a2", "b1", "a3", "b2")
	o := newOutlet(s)
	o.workAll(t, q)
	if got := strings.Join(s.got, " "); got != "a1 b1 a2 b2 a3" || len(q.waiting) > 0 || o.outcomes[Delivered] != 5 {
		t.Errorf("told: %s; %v", got, o.outcomes)
	}
	if q.told[0] != "test a1" {
		t.Errorf("noted: %q", q.told)
	}
}

// A line that is refused keeps back those of its account, and no others.
func TestOutlet_Refused(t *testing.T) {
	s := &system{fail: func(line string) error {
		if line == "a1" {
			return fmt.Errorf("%w with 422", ErrRefused)
		}
		return nil
	}}
	q := new(memory).add("a1", "a2", "b1", "b2")
	o := newOutlet(s)
	o.workAll(t, q)
	if got := strings.Join(s.got, " "); got != "b1 b2" || len(q.waiting) != 2 || o.outcomes[Refused] != 1 {
		t.Errorf("told: %s; %v", got, o.outcomes)
	}
	if log := o.log.String(); strings.Count(log, "does not take a line") != 1 || !strings.Contains(log, "refused with 422") || regexp.MustCompile(`\ba1\b`).MatchString(log) {
		t.Errorf("log: %s", log)
	}
}

// One that can't be read, for want of its key, is as one that is refused.
func TestOutlet_Unreadable(t *testing.T) {
	s := new(system)
	q := new(memory).add("a1", "b1", "c1")
	q.waiting[1].Fault = errors.New("does not open")
	o := newOutlet(s)
	o.workAll(t, q)
	if got := strings.Join(s.got, " "); got != "a1 c1" || len(q.waiting) != 1 || !strings.Contains(o.log.String(), "does not open") {
		t.Errorf("told: %s\n%s", got, &o.log)
	}
}

// While the old system is away nothing is lost, and it is asked less and less often, up to
// once a minute.
func TestOutlet_Away(t *testing.T) {
	asked := 0
	away := true
	s := &system{fail: func(string) error {
		if asked++; away {
			return errors.New("connection refused")
		}
		return nil
	}}
	q := new(memory).add("a1", "b1")
	o := newOutlet(s)
	for range 600 {
		if o.Work(t.Context(), q, always) {
			t.Fatal("there is more, at once")
		}
		o.now = o.now.Add(time.Second)
	}
	if asked < 14 || asked > 16 || len(q.waiting) != 2 || o.outcomes[Failed] != asked { // 1, 2, 4, 8, 16, 32, 60 s, 60 s…
		t.Errorf("asked %d times in 10 minutes; %v", asked, o.outcomes)
	}
	if strings.Count(o.log.String(), "can't be told") != 1 {
		t.Errorf("log: %s", &o.log)
	}
	away = false
	o.now = o.now.Add(time.Minute)
	o.workAll(t, q)
	if len(q.waiting) > 0 || !strings.Contains(o.log.String(), "is told again") {
		t.Errorf("%d wait\n%s", len(q.waiting), &o.log)
	}
	away = true
	q.add("a2")
	o.Work(t.Context(), q, always)
	o.now = o.now.Add(firstHold)
	away = false
	o.workAll(t, q)
	if got := strings.Join(s.got, " "); got != "a1 b1 a2" {
		t.Errorf("told: %s", got)
	}
}

// What was told and could not be noted is told again: better twice than never.
func TestOutlet_NotNoted(t *testing.T) {
	s := new(system)
	q := new(memory).add("a1")
	o := newOutlet(s)
	s.fail = func(string) error { q.err = errors.New("the store is away"); return nil }
	o.Work(t.Context(), q, always)
	s.fail, q.err = nil, nil
	o.now = o.now.Add(firstHold)
	o.workAll(t, q)
	if got := strings.Join(s.got, " "); got != "a1 a1" || len(q.waiting) > 0 {
		t.Errorf("told: %s", got)
	}
}

// A process that has lost its turn, or is to end, begins nothing.
func TestOutlet_TurnOver(t *testing.T) {
	s := new(system)
	q := new(memory).add("a1", "b1", "c1")
	o := newOutlet(s)
	o.Work(t.Context(), q, func() bool { return len(s.got) < 2 })
	ended, end := context.WithCancel(t.Context())
	end()
	o.Work(ended, q, always)
	if got := strings.Join(s.got, " "); got != "a1 b1" || len(q.waiting) != 1 {
		t.Errorf("told: %s", got)
	}
}
