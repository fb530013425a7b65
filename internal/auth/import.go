package auth

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/password"
)

// ImportOptions say how the lines of an import are taken.
type ImportOptions struct {
	Source  Dialect // of lines that name none
	Pending bool    // persons with a source and without a password have it asked there
	// Apart has an account whose names are another's become one that is good in the dialect of
	// its source alone.
	Apart          bool
	Update         bool // a line that says something else than one of the same source did changes its account
	RestoreDeleted bool // names of deleted accounts are taken
	IgnoreUnknown  bool // members that are not known are left out
	CreateRoles    bool // roles that are not there are made
	Partly         bool // good lines are imported though others are not

	Hash func(text, salt string) (stored, scheme string, err error) // of a hash; nil: password.ForeignScheme's
	Open func(sealed string) (text []byte, err error)               // opens what an export has sealed; nil: nobody can

	File string // its SHA-256, for the audit log; SetFile sets it
	// Pause tells how long to wait after a transaction, for others that write; nil: not at all.
	Pause func() time.Duration
}

// ImportLine is a line of a file.
type ImportLine struct {
	Line   int64  // from 1
	Text   []byte // without its end
	Reason string // why it can't be looked at; "": it can
	Cut    bool   // Text is only the beginning
}

// ImportEntry is what a line was read as.
type ImportEntry struct {
	ImportLine
	account ImportedAccount
	notes   importNotes
	number  bool      // is given
	apart   Dialect   // where its names are good, as it says, or the first pass
	target  uuid.UUID // the account that it changes
	problem *importProblem
}

// Sourced tells whether the line comes from another server, by itself or by the options.
func (e *ImportEntry) Sourced() bool { return e.account.Source != "" }

// ImportProblem is why a line is not imported.
type ImportProblem struct {
	Entry   *ImportEntry
	Kind    string // one of ImportKinds
	Reason  string
	Account uuid.UUID // whose what the line asks for is; uuid.Nil: nobody's
}

// ImportKinds are the kinds of problems: of a line by itself, and of what is there already.
var ImportKinds = []string{"malformed", "hash", "sealed", "role", "username", "email", "people", "number", "alias", "deleted", "changed"}

// ImportCounts count what became of lines, or what would.
type ImportCounts struct {
	Lines      int
	New        int            // accounts that are made, of which
	Pending    int            // their password is asked at its source,
	Apart      int            // they are good in one dialect alone,
	NoSecret   int            // they are services without a secret,
	NoPassword int            // they are persons without any password,
	ShortTOTP  int            // their second factor's secret is short
	Changed    int            // accounts that are updated
	Unchanged  int            // lines that were imported before
	Refused    int            // lines
	Problems   map[string]int // by kind
	Formats    map[string]int // of the passwords, by cost class
	Roles      []string       // that are made
}

// Importer imports a file in two passes: all of it is checked before anything is written.
type Importer struct {
	ImportCounts

	s       *Service
	realm   Realm
	o       ImportOptions
	cl      Client
	now     time.Time
	columns []string // of a CSV file; nil: it is of JSON
	roles   map[string]bool

	untouched bool  // nobody but this import has ever made an account
	seq       int64 // of the audit log's last entry, when nobody else had written; -1: not known

	claims   map[claim]uint32   // what lines ask for
	reserved map[int64]struct{} // numbers that lines name
	skip     map[int64]struct{} // lines that the first pass has settled
	apart    map[int64]struct{} // lines that it has set apart
}

// NewImporter begins an import into a realm.
func (s *Service) NewImporter(ctx context.Context, realm Realm, o ImportOptions, cl Client) (*Importer, error) {
	if o.Hash == nil {
		o.Hash = func(text, salt string) (string, string, error) {
			return password.ForeignScheme(text, password.ForeignOptions{Salt: salt})
		}
	}
	im := &Importer{
		s: s, realm: realm, o: o, cl: cl, now: s.now(), roles: map[string]bool{}, seq: -1,
		claims: map[claim]uint32{}, reserved: map[int64]struct{}{}, skip: map[int64]struct{}{}, apart: map[int64]struct{}{},
	}
	im.Problems, im.Formats = map[string]int{}, map[string]int{}
	if err := im.readRoles(ctx); err != nil {
		return nil, err
	}
	var err error
	im.untouched, err = s.store.Untouched(ctx, realm.ID)
	return im, storeError(err)
}

func (im *Importer) readRoles(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		roles, err := im.s.ListRoles(ctx, im.realm.ID, after, page)
		if err != nil || len(roles) == 0 {
			return err
		}
		for _, r := range roles {
			after = r.Name
			im.roles[r.Name] = true
		}
	}
}

// Header says that the file is CSV, and begins with this line.
func (im *Importer) Header(text []byte) error {
	err := checkBytes(text)
	text = bytes.TrimPrefix(text, []byte(byteOrderMark)) // which spreadsheets write
	if err == nil {
		im.columns, err = csvHeader(text, im.o.IgnoreUnknown)
	}
	return err
}

// Prepare reads a line. It is safe for concurrent use, and asks nobody; id is that of the
// account, if the line makes one: those of later lines are higher.
func (im *Importer) Prepare(l ImportLine, id uuid.UUID) *ImportEntry {
	e := &ImportEntry{ImportLine: l}
	e.account.ID = id
	err := im.prepare(e)
	if p, ok := errors.AsType[*importProblem](err); ok {
		e.problem = p
	} else if err != nil {
		e.problem = &importProblem{kind: "malformed", reason: err.Error()}
	}
	return e
}

func (im *Importer) prepare(e *ImportEntry) error {
	if e.Reason != "" {
		return refuseLine("malformed", "%s", e.Reason)
	}
	if err := checkBytes(e.Text); err != nil {
		return err
	}
	var m importMembers
	var err error
	if im.columns != nil {
		m, err = parseImportCSV(im.columns, e.Text)
	} else {
		m, err = parseImportJSON(e.Text, im.o.IgnoreUnknown)
	}
	if err != nil {
		return err
	}
	e.number, e.apart = m.Number != nil, Dialect(m.Apart)
	return im.account(&m, &e.account, &e.notes)
}

// Check looks at some lines, in the order of the file, without writing anything. All lines
// must be checked before the first is added.
func (im *Importer) Check(ctx context.Context, entries []*ImportEntry) (problems []ImportProblem, err error) {
	var found *findings
	if !im.untouched {
		if found, err = im.lookUp(ctx, im.s.store, entries); err != nil {
			return nil, storeError(err)
		}
	}
	for _, e := range entries {
		im.Lines++
		fate, problem := im.check(e, found)
		if problem != nil {
			p := im.refuse(e, problem)
			problems = append(problems, p)
			continue
		}
		if fate == lineUnchanged {
			im.skip[e.Line] = struct{}{}
		}
		im.count(e, fate)
		e.done()
	}
	return problems, nil
}

// done lets go of what a line said: there may be a million of them.
func (e *ImportEntry) done() { e.Text = nil }

// check tells what is to become of a line, and has it claim what it asks for.
func (im *Importer) check(e *ImportEntry, found *findings) (fate lineFate, problem *importProblem) {
	if e.problem != nil {
		return 0, e.problem
	}
	if line, again := im.claims[claim(e.account.Digest[:len(claim{})])]; again && int64(line) != e.Line {
		return lineUnchanged, nil
	}
	roles, problem := im.unknownRoles(e)
	if problem != nil {
		return 0, problem
	}
	if fate, problem = im.decide(e, found); problem != nil {
		return 0, problem
	}
	if problem = im.otherwise(e, fate); problem != nil {
		return 0, problem
	}
	if fate == lineUnchanged {
		im.claimAccount(e, fate)
		return fate, nil
	}
	if problem := im.claim(e, &fate); problem != nil {
		return 0, problem
	}
	im.claimAccount(e, fate)
	im.Roles = append(im.Roles, roles...)
	if fate == lineApart {
		im.apart[e.Line] = struct{}{}
	}
	return fate, nil
}

// unknownRoles are those of a line that are to be made.
func (im *Importer) unknownRoles(e *ImportEntry) (unknown []string, problem *importProblem) {
	for _, role := range e.account.Roles {
		if !im.roles[role] && !slices.Contains(im.Roles, role) {
			unknown = append(unknown, role)
		}
	}
	switch {
	case len(unknown) == 0:
		return nil, nil
	case !im.o.CreateRoles:
		return nil, &importProblem{kind: "role", reason: "roles: there is no " + quoted(unknown) + "; --create-roles makes what is missing"}
	}
	for _, role := range unknown {
		if strings.HasPrefix(strings.ToLower(role), ownRoles) {
			return nil, &importProblem{kind: "role", reason: "roles: " + strconv.Quote(role) + " would be one of the server's own"}
		}
	}
	return unknown, nil
}

func (im *Importer) refuse(e *ImportEntry, p *importProblem) ImportProblem {
	im.skip[e.Line] = struct{}{}
	im.Refused++
	im.Problems[p.kind]++
	return ImportProblem{Entry: e, Kind: p.kind, Reason: p.reason, Account: p.account}
}

// count counts a line that is good.
func (im *Importer) count(e *ImportEntry, fate lineFate) {
	switch fate {
	case lineUnchanged:
		im.Unchanged++
		return
	case lineChanged:
		im.Changed++
		return
	case lineApart:
		im.Apart++
	}
	im.New++
	for n, set := range map[*int]bool{&im.Pending: e.notes.pending, &im.NoSecret: e.notes.noSecret, &im.NoPassword: e.notes.noPassword, &im.ShortTOTP: e.notes.shortTOTP} {
		if set {
			*n++
		}
	}
	for _, format := range e.notes.formats {
		im.Formats[format]++
	}
}

// SetFile says which file is imported, by its SHA-256, for the audit log.
func (im *Importer) SetFile(sum string) { im.o.File = sum }

// FileSum is what SetFile has said.
func (im *Importer) FileSum() string { return im.o.File }

// Cost is about how long a failed login takes where a password is of a cost class.
func (im *Importer) Cost(scheme string) time.Duration { return im.s.hasher.Cost(scheme) }
