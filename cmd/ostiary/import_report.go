package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// rejectBegins is how every file of rejected lines, and every report, begins.
const rejectBegins = `{"line":`

// rejectedLine is a line that was not imported, as --rejects has it.
type rejectedLine struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"` // of the text, if that is no UTF-8
	Cut    bool   `json:"cut,omitempty"`    // of a line that is too long, this is the beginning
}

// reportedLine is one of --report.
type reportedLine struct {
	Line    int64      `json:"line"`
	Kind    string     `json:"kind"`
	Reason  string     `json:"reason"`
	Account *uuid.UUID `json:"account,omitempty"`
}

// shownProblems are how many are shown in full.
const shownProblems = 10

// tell writes problems where they are to go.
func (x *importing) tell(problems []auth.ImportProblem) error {
	for _, p := range problems {
		if len(x.shown) < shownProblems {
			x.shown = append(x.shown, p)
		}
		if x.rejects != nil {
			line := rejectedLine{Line: p.Entry.Line, Reason: p.Reason, Cut: p.Entry.Cut}
			if line.Text = string(p.Entry.Text); !utf8.ValidString(line.Text) {
				line.Text, line.Base64 = "", p.Entry.Text
			}
			out := json.NewEncoder(x.rejects)
			out.SetEscapeHTML(false)
			if err := out.Encode(line); err != nil {
				return err
			}
		}
		if x.report != nil {
			line := reportedLine{Line: p.Entry.Line, Kind: p.Kind, Reason: p.Reason}
			if p.Account != uuid.Nil {
				line.Account = &p.Account
			}
			out := json.NewEncoder(x.report)
			out.SetEscapeHTML(false)
			if err := out.Encode(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// refusal says that lines were refused; nil: none was.
func (x *importing) refusal(rest string) error {
	n := x.im.Refused
	if n == 0 {
		return nil
	}
	first := x.shown[0]
	where := "see them all with --report FILE, or import the others with --rejects FILE"
	switch {
	case x.DryRun && x.Rejects != "" && x.Report == "":
		where = "see them all with --report FILE"
	case x.DryRun && x.Rejects != "":
		where = "they are in " + x.Report
	case x.Rejects != "":
		where = "they are in " + x.Rejects
	case x.Report != "":
		where = "they are in " + x.Report + "; --rejects FILE imports the others"
	}
	more := ""
	if n > 1 {
		more = fmt.Sprintf(" (and %s)", plural(int64(n-1), "line more", "lines more"))
	}
	return fmt.Errorf("%s, line %d: %s%s: %s; %s", x.file.name, first.Entry.Line, first.Reason, more, rest, where)
}

// summary says what became of the lines, or what would.
func (x *importing) summary(would string) {
	c := x.im.ImportCounts
	w := tabwriter.NewWriter(x.a.out, 0, 0, 2, ' ', 0)
	row := func(indent, what string, n int) {
		if n > 0 {
			fmt.Fprintf(w, "%s%s\t%s\n", indent, what, grouped(int64(n)))
		}
	}
	fmt.Fprintf(w, "lines\t%s\n", grouped(int64(c.Lines)))
	fmt.Fprintf(w, "%smade\t%s\n", would, grouped(int64(c.New)))
	row("  ", "pending: their source is asked for the password", c.Pending)
	row("  ", "apart: good in the dialect of their source alone", c.Apart)
	row("  ", "persons without any password: they can't sign in until ostiary account set-password gives one", c.NoPassword)
	row("  ", "services without a secret: ostiary account rotate-secret gives one", c.NoSecret)
	row("  ", "second factors with a secret below 128 bits: enrol them anew", c.ShortTOTP)
	row(would, "changed", c.Changed)
	row("", "unchanged: they were imported before, or stand there twice", c.Unchanged)
	row(would, "refused", c.Refused)
	for _, kind := range auth.ImportKinds {
		row("  ", kind+": "+problemKinds[kind], c.Problems[kind])
	}
	for _, role := range c.Roles {
		fmt.Fprintf(w, "%smade, too: the role %s\n", would, role)
	}
	_ = w.Flush()
	x.formats(c.Formats)
	if len(x.shown) > 0 {
		fmt.Fprintln(x.a.out)
	}
	for _, p := range x.shown {
		fmt.Fprintf(x.a.out, "line %d: %s\n", p.Entry.Line, printable(p.Reason))
	}
	if more := c.Refused - len(x.shown); more > 0 {
		fmt.Fprintf(x.a.out, "and %s\n", plural(int64(more), "line more", "lines more"))
	}
}

// problemKinds say what auth.ImportKinds are.
var problemKinds = map[string]string{
	"malformed": "the line itself is wrong",
	"hash":      "a password hash that is not taken",
	"sealed":    "it can't be opened",
	"role":      "a role that is not there",
	"username":  "the username is another's",
	"email":     "the e-mail address is another's",
	"people":    "the same e-mail address, different people",
	"number":    "the number is another's",
	"alias":     "the subject in a dialect is another's",
	"deleted":   "the account was deleted here",
	"changed":   "it differs from what came from the same source before",
}

// formats says what passwords are hashed with, and what that costs.
func (x *importing) formats(counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	w := tabwriter.NewWriter(x.a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\npassword hash\taccounts\ta failed login takes about\n")
	schemes := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(schemes, func(a, b string) int { return counts[b] - counts[a] })
	for _, scheme := range schemes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", scheme, grouped(int64(counts[scheme])), x.im.Cost(scheme).Round(time.Millisecond))
	}
	_ = w.Flush()
}
