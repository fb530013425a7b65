package auth

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// claim is something that one account alone can have.
type claim [12]byte

func claimOf(what, text string) claim {
	sum := sha256.Sum256([]byte(what + "\x00" + text))
	return claim(sum[:12])
}

// lineOf is a line's number: what 2^32 lines ask for has no place in memory.
func lineOf(e *ImportEntry) uint32 { return uint32(e.Line) } //nolint:gosec // see above

// claim notes what a line asks for, or says which earlier line does.
func (im *Importer) claim(e *ImportEntry, fate *lineFate) *importProblem {
	a := &e.account
	names, problem := im.claimNames(e)
	if problem != nil && a.Apart == "" && a.Source != "" && im.o.Apart {
		*fate, a.Apart = lineApart, a.Source
		names, problem = im.claimNames(e)
	}
	if problem != nil {
		return problem
	}
	claims := append(names, claim(a.Digest[:len(claim{})]))
	if e.number {
		n := strconv.FormatInt(a.Number, 10)
		if line, taken := im.claimed(e, claimOf("number", n)); taken {
			return &importProblem{kind: "number", reason: fmt.Sprintf("the number %s is that of line %d", n, line)}
		}
		claims = append(claims, claimOf("number", n))
		im.reserved[a.Number] = struct{}{}
	}
	for d, subject := range a.Aliases {
		mine := []claim{claimOf("alias "+string(d), subject)}
		if n, ok := asNumber(subject); ok && MayBeNumber(d) {
			mine = append(mine, claimOf("number", strconv.FormatInt(n, 10)))
			im.reserved[n] = struct{}{}
		}
		for _, c := range mine {
			if line, taken := im.claimed(e, c); taken {
				return &importProblem{kind: "alias", reason: fmt.Sprintf("the subject %q in %s is that of line %d", subject, d, line)}
			}
		}
		claims = append(claims, mine...)
	}
	for _, c := range claims {
		im.claims[c] = lineOf(e)
	}
	return nil
}

// claimsOf are about an account that is there: that a line is about it, and that one changes it.
func claimsOf(account uuid.UUID) (about, changes claim) {
	return claimOf("account", account.String()), claimOf("changed", account.String())
}

// otherwise sees that of several lines about one account that is there, which a file has if
// it tells of two people by one name, none changes what another says.
func (im *Importer) otherwise(e *ImportEntry, fate lineFate) *importProblem {
	about, changes := claimsOf(e.target)
	line, taken := im.claimed(e, about)
	if _, changed := im.claims[changes]; e.target != uuid.Nil && taken && (changed || fate == lineChanged) {
		return &importProblem{kind: "changed", account: e.target, reason: fmt.Sprintf("line %d says something else of account %s, which has these names", line, e.target)}
	}
	return nil
}

func (im *Importer) claimAccount(e *ImportEntry, fate lineFate) {
	if e.target == uuid.Nil {
		return
	}
	about, changes := claimsOf(e.target)
	im.claims[about] = lineOf(e)
	if fate == lineChanged {
		im.claims[changes] = lineOf(e)
	}
}

func (im *Importer) claimed(e *ImportEntry, c claim) (line int64, taken bool) {
	by, taken := im.claims[c]
	return int64(by), taken && int64(by) != e.Line
}

func (im *Importer) claimNames(e *ImportEntry) (claims []claim, problem *importProblem) {
	for _, n := range e.account.AllNames() {
		c := claimOf("name "+string(n.Dialect), n.Key)
		if line, taken := im.claimed(e, c); taken {
			kind, what := e.account.describeName(n.Key)
			return nil, &importProblem{kind: kind, reason: fmt.Sprintf("%s is that of line %d", what, line)}
		}
		claims = append(claims, c)
	}
	return claims, nil
}
