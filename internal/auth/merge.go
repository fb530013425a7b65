package auth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Prefer says whose password of a source, and whose subject, stays where both accounts have one.
type Prefer string

const (
	PreferNone  Prefer = "" // neither: it is a conflict
	PreferKeep  Prefer = "keep"
	PreferOther Prefer = "other"
)

// MergeSide is what one of two accounts has.
type MergeSide struct {
	AccountRecord
	Names    []AccountName
	Aliases  map[Dialect]string
	State    FactorState
	Sessions map[Dialect]int // that live
}

// MergePlan is what a merge of two accounts would do.
type MergePlan struct {
	Keep, Other MergeSide
	Steps       []string // in words
	Conflicts   []string // any stops it

	subjects map[Dialect]string // that the account that is kept gets
	lost     []Dialect          // where the subject of the other one is known no more
	ended    [2]map[Dialect]bool
	dropped  [2][]Dialect // passwords of sources, "" for the own one, that are not taken along
	factor   bool         // the second factor of the other one is taken along
	notKept  []AccountName
}

// PlanMerge says what Merge would do.
func (s *Service) PlanMerge(ctx context.Context, realm, keep, other uuid.UUID, prefer Prefer) (*MergePlan, error) {
	p, err := s.planMerge(ctx, s.store, realm, keep, other, prefer)
	return p, storeError(err)
}

func (s *Service) planMerge(ctx context.Context, r Reader, realm, keep, other uuid.UUID, prefer Prefer) (*MergePlan, error) {
	if keep == other {
		return nil, Errorf(CodeInvalidInput, "these are two names of one account")
	}
	p := &MergePlan{subjects: map[Dialect]string{}, ended: [2]map[Dialect]bool{{}, {}}}
	for _, side := range []struct {
		of *MergeSide
		id uuid.UUID
	}{{&p.Keep, keep}, {&p.Other, other}} {
		if err := s.mergeSide(ctx, r, side.of, realm, side.id); err != nil {
			return nil, err
		}
	}
	p.planKinds()
	p.planPasswords(prefer)
	p.planFactor()
	s.planSubjects(p, prefer)
	p.planNames()
	p.planRest()
	return p, nil
}

func (s *Service) mergeSide(ctx context.Context, r Reader, m *MergeSide, realm, id uuid.UUID) (err error) {
	if m.AccountRecord, err = r.AccountByID(ctx, realm, id, ""); err != nil {
		return err
	}
	m.State, m.Sessions = s.factorState(m.Factor), map[Dialect]int{}
	if m.Names, err = r.AccountNames(ctx, id); err != nil {
		return err
	}
	if m.Aliases, err = r.Aliases(ctx, id); err != nil {
		return err
	}
	for after := uuid.Nil; ; {
		page, err := r.Sessions(ctx, realm, id, after, statePage, s.now())
		if err != nil || len(page) == 0 {
			return err
		}
		for _, ses := range page {
			m.Sessions[ses.Dialect]++
		}
		after = page[len(page)-1].ID
	}
}

// secured tells whether a second factor is asked for.
func (m *MergeSide) secured() bool { return m.State == FactorConfirmed || m.Elsewhere != "" }

// dialects are those in which clients may know it.
func (m *MergeSide) dialects() (list []Dialect) {
	all := map[Dialect]bool{m.Apart: true}
	for d := range m.Aliases {
		all[d] = true
	}
	for d := range m.Sessions {
		all[d] = true
	}
	for _, p := range m.Passwords {
		all[p.Source] = true
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

func (s *Service) subjectOf(m *MergeSide, d Dialect) string {
	rec := m.AccountRecord
	rec.Subject = m.Aliases[d]
	return s.subject(rec, d)
}

func (p *MergePlan) step(format string, args ...any) {
	p.Steps = append(p.Steps, fmt.Sprintf(format, args...))
}

func (p *MergePlan) conflict(format string, args ...any) {
	p.Conflicts = append(p.Conflicts, fmt.Sprintf(format, args...))
}

func (p *MergePlan) planKinds() {
	switch {
	case p.Keep.Kind != KindPerson || p.Other.Kind != KindPerson:
		p.conflict("only people are merged: a service has no password, and its secret is not joined to others")
	case p.Keep.Apart != "" && p.Other.Apart == "":
		p.conflict("the account to keep is apart, good in %s alone: give the two the other way round", p.Keep.Apart)
	}
	for _, m := range []*MergeSide{&p.Keep, &p.Other} {
		if m.Disabled {
			p.conflict("account %s is disabled: enable it first, if it may sign in", m.ID)
		}
	}
}

// planPasswords: of a source, or of none, one password stays.
func (p *MergePlan) planPasswords(prefer Prefer) {
	clash := func(d Dialect) {
		what := "of " + string(d)
		if d == "" {
			what = "of its own"
		}
		switch prefer {
		case PreferKeep:
			p.dropped[1] = append(p.dropped[1], d)
			p.step("the password %s of the other account is good no more", what)
		case PreferOther:
			p.dropped[0] = append(p.dropped[0], d)
			p.step("the password %s of the account to keep is good no more", what)
		default:
			p.conflict("both have a password %s: say with --prefer whose stays", what)
		}
	}
	for _, m := range []*MergeSide{&p.Keep, &p.Other} {
		for _, of := range m.Passwords {
			if of.Hash == "" { // and the legacy server would be asked under the names of both
				p.conflict("the password of account %s is still known to the legacy server of %s alone: merge them once somebody has signed in there", m.ID, of.Source)
			}
		}
	}
	if p.Keep.PasswordHash != "" && p.Other.PasswordHash != "" {
		clash("")
	}
	for _, a := range p.Keep.Passwords {
		for _, b := range p.Other.Passwords {
			if a.Source == b.Source {
				clash(a.Source)
			}
		}
	}
	p.step("all passwords that stay are good in every dialect")
}

// planFactor: a second factor covers all that becomes of both.
func (p *MergePlan) planFactor() {
	if p.Keep.secured() && p.Other.secured() {
		p.conflict("both have a second factor: reset one of them first, after you have seen who asks for it")
		return
	}
	p.factor = p.Other.secured() || p.Other.State == FactorEnrolled && p.Keep.State == FactorNone && !p.Keep.secured()
	if p.factor {
		p.step("the second factor of the other account is that of both, with its recovery codes")
	}
	if d := cmp.Or(p.Keep.Elsewhere, p.Other.Elsewhere); d != "" && p.Keep.State != FactorConfirmed && p.Other.State != FactorConfirmed {
		p.step("the legacy server of %s asks for its second factor: in other dialects no password gets it in until one is enrolled here", d)
	}
	for i, m := range []*MergeSide{&p.Keep, &p.Other} {
		if with := []*MergeSide{&p.Other, &p.Keep}[i]; with.secured() && !m.secured() {
			for d := range m.Sessions {
				p.ended[i][d] = true
			}
		}
	}
}

// planSubjects: what the clients of a dialect know the other account by, they go on to.
func (s *Service) planSubjects(p *MergePlan, prefer Prefer) {
	for _, d := range p.Other.dialects() {
		mine, theirs := s.subjectOf(&p.Keep, d), s.subjectOf(&p.Other, d)
		switch {
		case mine == theirs:
		case !slices.Contains(p.Keep.dialects(), d):
			p.subjects[d] = theirs
			p.step("in %s it is known as %q", d, theirs)
		case prefer == PreferKeep:
			p.lost, p.ended[1][d] = append(p.lost, d), true
			p.step("in %s it stays %q: records under %q are found no more", d, mine, theirs)
		case prefer == PreferOther:
			p.subjects[d], p.ended[0][d] = theirs, true
			p.step("in %s it is known as %q: records under %q are found no more", d, theirs, mine)
		default:
			p.conflict("clients of %s know one as %q, and the other as %q: say with --prefer which stays", d, mine, theirs)
		}
	}
}

// planNames: a name that is good in one dialect, and somebody else's in the others, stays so.
func (p *MergePlan) planNames() {
	everywhere := map[string]bool{}
	for _, n := range slices.Concat(p.Keep.Names, p.Other.Names) {
		everywhere[n.Key] = everywhere[n.Key] || n.Dialect == ""
	}
	var keys []string
	for _, n := range p.Other.Names {
		if n.Dialect != "" && everywhere[n.Key] || slices.Contains(p.Keep.Names, n) {
			p.notKept = append(p.notKept, n)
			continue
		}
		where := ""
		if n.Dialect != "" {
			where = " in " + string(n.Dialect)
		}
		keys = append(keys, n.Key+where)
	}
	if len(keys) > 0 {
		p.step("it is also called %s", strings.Join(keys, ", "))
	}
}

func (p *MergePlan) planRest() {
	var roles []string
	for _, r := range p.Other.Roles {
		if !slices.Contains(p.Keep.Roles, r) {
			roles = append(roles, r)
		}
	}
	if len(roles) > 0 {
		p.step("it gets the roles %s", strings.Join(roles, ", "))
	}
	for i, m := range []*MergeSide{&p.Keep, &p.Other} {
		for _, d := range slices.Sorted(maps.Keys(p.ended[i])) {
			if n := m.Sessions[d]; n > 0 {
				p.step("%d sessions in %s of account %s end", n, d, m.ID)
			}
		}
	}
	live := 0
	for d, n := range p.Other.Sessions {
		if !p.ended[1][d] {
			live += n
		}
	}
	if live > 0 {
		p.step("%d sessions of the other account go on as its own", live)
	}
	p.step("account %s is no more", p.Other.ID)
}
