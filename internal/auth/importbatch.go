package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/audit"
)

const (
	importTries = 12 // of a transaction that others are in the way of
	importWait  = 250 * time.Millisecond
)

// Begin is called between the two passes: it makes the roles that are missing.
func (im *Importer) Begin(ctx context.Context) error {
	for _, role := range im.Roles {
		if err := im.s.CreateRole(ctx, im.realm.ID, role, im.cl); err != nil && CodeOf(err) != CodeConflict {
			return err
		}
	}
	im.ImportCounts = ImportCounts{Problems: map[string]int{}, Formats: map[string]int{}, Lines: im.Lines, Roles: im.Roles, Refused: im.Refused, Unchanged: im.Unchanged}
	return nil
}

// Add imports some lines that were checked, in one transaction. What has come into their way
// since is a problem, and ends the import unless it is Partly.
func (im *Importer) Add(ctx context.Context, entries []*ImportEntry) (problems []ImportProblem, err error) {
	live := slices.DeleteFunc(slices.Clone(entries), func(e *ImportEntry) bool {
		_, settled := im.skip[e.Line]
		return settled
	})
	if len(live) == 0 {
		return nil, nil
	}
	for _, e := range live {
		if _, set := im.apart[e.Line]; set && e.apart == "" {
			e.apart = e.account.Source
		}
	}
	if !im.untouched { // those that are there cost no transaction
		if live, err = im.unknown(ctx, live); err != nil || len(live) == 0 {
			return nil, storeError(err)
		}
	}
	for try := 1; ; try++ {
		var b importBatch
		err = im.s.change(Alone(context.WithoutCancel(ctx)), func(tx Tx) error {
			b = importBatch{Importer: im, tx: tx, ctx: ctx}
			return b.run(live)
		})
		if err == nil {
			return im.added(ctx, &b)
		}
		if why, ok := errors.AsType[*importStopped](err); ok {
			return why.problems, nil
		}
		im.seq = -1 // what is there must be looked up
		if code := CodeOf(err); try == importTries || ctx.Err() != nil || code != CodeUnavailable && code != CodeConflict {
			return nil, err
		}
		if try > 1 {
			im.pause(ctx, importWait)
		}
	}
}

// unknown leaves out the lines that were imported.
func (im *Importer) unknown(ctx context.Context, entries []*ImportEntry) ([]*ImportEntry, error) {
	digests := make([][32]byte, len(entries))
	for i, e := range entries {
		digests[i] = e.account.Digest
	}
	there, err := im.s.store.Imported(ctx, im.realm.ID, digests, im.o.RestoreDeleted)
	return slices.DeleteFunc(entries, func(e *ImportEntry) bool {
		_, imported := there[e.account.Digest]
		if imported {
			im.count(e, lineUnchanged)
		}
		return imported
	}), err
}

func (im *Importer) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// added counts what a transaction has done.
func (im *Importer) added(ctx context.Context, b *importBatch) (problems []ImportProblem, err error) {
	im.seq = b.seq
	for _, p := range b.refused {
		problems = append(problems, im.refuse(p.e, p.problem))
	}
	for _, l := range b.lines {
		im.count(l.e, l.fate)
	}
	if im.o.Pause != nil {
		im.pause(ctx, im.o.Pause())
	}
	return problems, nil
}

// Finish is called after the second pass.
func (im *Importer) Finish(ctx context.Context) error {
	if im.New == 0 {
		return nil
	}
	return im.s.change(ctx, func(tx Tx) error { return tx.SkipNumbers(ctx, im.realm.ID) })
}

// importStopped ends a transaction in which a line turned out to be a problem.
type importStopped struct{ problems []ImportProblem }

func (s *importStopped) Error() string { return "a line can't be imported" }

// importBatch is a transaction of an import.
type importBatch struct {
	*Importer
	tx    Tx
	ctx   context.Context //nolint:containedctx // of one transaction
	quick bool            // nothing is there that would be in the way

	seq     int64
	lines   []fatedLine
	refused []refusedLine
}

type fatedLine struct {
	e    *ImportEntry
	fate lineFate
}

type refusedLine struct {
	e       *ImportEntry
	problem *importProblem
}

func (b *importBatch) run(entries []*ImportEntry) error {
	if err := b.tx.HoldRealm(b.ctx, b.realm.ID); err != nil {
		return err
	}
	if err := b.look(); err != nil {
		return err
	}
	for _, e := range entries { // what an earlier try has found is no longer so
		e.account.Apart, e.target = e.apart, uuid.Nil
	}
	var found *findings
	if !b.quick {
		var err error
		if found, err = b.lookUp(b.ctx, b.tx, entries); err != nil {
			return err
		}
	}
	for _, e := range entries {
		fate, problem := b.decide(e, found)
		if problem != nil {
			b.refused = append(b.refused, refusedLine{e, problem})
			continue
		}
		if fate == lineUnchanged && found.imported[e.account.Digest] == e.account.ID {
			fate = lineDone
		}
		b.lines = append(b.lines, fatedLine{e, fate})
	}
	if len(b.refused) > 0 && !b.o.Partly {
		stopped := &importStopped{}
		for _, r := range b.refused {
			stopped.problems = append(stopped.problems, ImportProblem{Entry: r.e, Kind: r.problem.kind, Reason: r.problem.reason, Account: r.problem.account})
		}
		return stopped
	}
	return b.write()
}

// look tells whether anybody but this import has changed the realm: all that makes an account,
// or gives one a name, is in the audit log.
func (b *importBatch) look() error {
	head, err := b.tx.AuditHead(b.ctx, b.realm.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if b.untouched {
		if b.quick = b.Importer.seq == head.Seq; b.Importer.seq < 0 {
			if b.quick, err = b.tx.Untouched(b.ctx, b.realm.ID); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	b.seq = head.Seq + 1 // of the entry that follows
	return nil
}

// write makes the accounts, and changes those that are there.
func (b *importBatch) write() error {
	var fresh []*ImportEntry
	changed := 0
	for _, l := range b.lines {
		switch l.fate {
		case lineNew, lineApart:
			fresh = append(fresh, l.e)
		case lineChanged:
			changed++
			if err := b.update(l.e); err != nil {
				return err
			}
		}
	}
	if changed > 0 {
		b.seq = -1 // each has as many entries as it has changes
	}
	if len(fresh) == 0 {
		b.seq = -1
		return nil
	}
	if err := b.insert(fresh); err != nil {
		return err
	}
	e := b.s.event(b.realm.ID, audit.AccountsImported, uuid.Nil, b.cl)
	e.Detail = fmt.Sprintf("%d accounts from lines %d to %d of the file with the SHA-256 %s", len(fresh), fresh[0].Line, fresh[len(fresh)-1].Line, b.o.File)
	return b.tx.InsertEvent(b.ctx, e)
}

// insert makes accounts.
func (b *importBatch) insert(fresh []*ImportEntry) error {
	if err := b.giveNumbers(slices.DeleteFunc(slices.Clone(fresh), func(e *ImportEntry) bool { return e.number })); err != nil {
		return err
	}
	accounts := make([]*ImportedAccount, len(fresh))
	schemes := map[string]int{}
	for i, e := range fresh {
		accounts[i] = &e.account
		for _, scheme := range e.notes.schemes {
			schemes[scheme]++
		}
	}
	if err := b.tx.InsertAccounts(b.ctx, b.realm.ID, accounts, b.now); err != nil {
		return b.roleGone(err)
	}
	for _, scheme := range slices.Sorted(maps.Keys(schemes)) {
		if err := b.tx.CountScheme(b.ctx, b.realm.ID, scheme, schemes[scheme]); err != nil {
			return err
		}
	}
	return nil
}

func (b *importBatch) roleGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return Errorf(CodeInvalidInput, "a role of these lines was deleted meanwhile: begin again")
	}
	return err
}

// giveNumbers gives lines numbers from the realm's counter, in their order. It leaves out
// those that other lines name, and those that are somebody's.
func (b *importBatch) giveNumbers(entries []*ImportEntry) error {
	if !b.quick && len(entries) > 0 {
		if err := b.tx.SkipNumbers(b.ctx, b.realm.ID); err != nil {
			return err
		}
	}
	for ask := len(entries); len(entries) > 0; {
		first, err := b.tx.TakeNumbers(b.ctx, b.realm.ID, ask)
		if err != nil {
			return err
		}
		end := first + int64(ask)
		var free []int64
		for n := first; n < end; n++ {
			if _, named := b.reserved[n]; !named {
				free = append(free, n)
			}
		}
		if free, err = b.freeNumbers(free); err != nil {
			return err
		}
		for len(free) > 0 && len(entries) > 0 {
			entries[0].account.Number = free[0]
			free, entries = free[1:], entries[1:]
		}
		for ask = len(entries); ; ask++ {
			if _, named := b.reserved[end]; !named {
				break
			}
			end++
		}
	}
	return nil
}

// freeNumbers are those that no account has or goes by.
func (b *importBatch) freeNumbers(numbers []int64) ([]int64, error) {
	if b.quick {
		return numbers, nil
	}
	taken, err := b.tx.NumbersTaken(b.ctx, b.realm.ID, numbers)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatInt(n, 10)
	}
	subjects, err := b.tx.SubjectsTaken(b.ctx, b.realm.ID, texts)
	for _, s := range subjects {
		if n, ok := asNumber(s.Subject); ok && MayBeNumber(s.Dialect) {
			taken[n] = s.Account
		}
	}
	return slices.DeleteFunc(numbers, func(n int64) bool { _, is := taken[n]; return is }), err
}
