package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/strictjson"
	"github.com/ostiary/ostiary/internal/token"
)

type tokenCmd struct {
	Import tokenImport `cmd:"" help:"Import opaque tokens, session ids and refresh tokens of another server."`
}

type tokenImport struct {
	File   string `arg:"" help:"JSON Lines, or CSV whose first line names the members; -: standard input."`
	DryRun bool   `help:"Check all lines, and import none."`
	Format string `enum:",jsonl,csv" default:"" placeholder:"jsonl|csv" help:"Default: by the file's name, or jsonl."`
}

func (tokenImport) Help() string {
	return `A line for each token: dialect; kind (bearer, session or refresh); sha256 (hexadecimal or base64) or token; account (a username, e-mail
address or id) or subject (what the dialect calls it); expires_at (RFC 3339, within a year); and issued_at, if that is known. Prefer
sha256, which opens nothing: printf %s "$token" | sha256sum. All lines are checked before the first is imported, and one that is bad
imports nothing. The same file twice changes nothing.

Examples:
    ostiary token import tokens.jsonl --dry-run
    ostiary token import sessions.csv`
}

// tokenLine is a line of the file.
type tokenLine struct {
	Dialect   string `json:"dialect"`
	Kind      string `json:"kind"`
	Token     string `json:"token"`
	SHA256    string `json:"sha256"`
	Account   string `json:"account"`
	Subject   string `json:"subject"`
	ExpiresAt string `json:"expires_at"`
	IssuedAt  string `json:"issued_at"`
}

var tokenMembers = []string{"dialect", "kind", "token", "sha256", "account", "subject", "expires_at", "issued_at"}

const (
	tokenBatch   = 1000 // in one transaction
	tokenReasons = 20   // of bad lines that are shown
	leastToken   = 16   // characters of one that can't be guessed
)

// tokenImporting is an import that runs.
type tokenImporting struct {
	*desk
	a        *app
	file     *importFile
	dialects []auth.Dialect
	header   []string
	seen     map[[32]byte]auth.ForeignRecord
	bad      int
}

func (c *tokenImport) Run(a *app) error {
	file, err := openImport(a, c.File, c.Format)
	if err != nil {
		return err
	}
	defer file.Close()
	all, err := spoken(a.set)
	if err != nil {
		return misuse(err.Error())
	}
	defer a.interruptible()()
	return a.inRealm(func(d *desk) error {
		x := &tokenImporting{desk: d, a: a, file: file, dialects: dialectNames(all), seen: map[[32]byte]auth.ForeignRecord{}}
		lines, err := x.check()
		if err != nil {
			return stopped(a, err)
		}
		imported := 0
		if !c.DryRun {
			if imported, err = x.store(); err != nil {
				return stopped(a, err)
			}
		}
		return a.encoder().Encode(map[string]any{"lines": lines, "imported": imported, "dry_run": c.DryRun})
	})
}

// check reads all lines, and says what is wrong with each.
func (x *tokenImporting) check() (lines int, err error) {
	err = x.each(func(n int64, r auth.ForeignRecord, err error) error {
		if err == nil {
			lines++
			if first, twice := x.seen[r.Hash]; twice && (first.AccountID != r.AccountID || first.Dialect != r.Dialect || first.Kind != r.Kind) {
				err = errors.New("the same token is in an earlier line, of another account, dialect or kind")
			}
			x.seen[r.Hash] = r
		}
		if err == nil {
			return nil
		}
		if auth.CodeOf(err) == auth.CodeUnavailable {
			return err
		}
		if x.bad++; x.bad <= tokenReasons {
			fmt.Fprintf(x.a.err, "%s, line %d: %s\n", x.file.name, n, explain(err))
		}
		return nil
	})
	if err == nil && x.bad > 0 {
		err = fmt.Errorf("%d lines of %s are bad: nothing was imported", x.bad, x.file.name)
	}
	return lines, err
}

// store imports what check has read.
func (x *tokenImporting) store() (imported int, err error) {
	var batch []auth.ForeignRecord
	flush := func() error {
		n, err := x.ImportTokens(x.a, x.realm.ID, batch, x.by)
		imported, batch = imported+n, batch[:0]
		return err
	}
	for _, r := range x.seen {
		if batch = append(batch, r); len(batch) == tokenBatch {
			if err := errors.Join(x.a.Err(), flush()); err != nil {
				return imported, err
			}
		}
	}
	return imported, flush()
}

// each calls fn with each line that is not empty, or with what is wrong with it.
func (x *tokenImporting) each(fn func(n int64, r auth.ForeignRecord, err error) error) error {
	l := &lineReader{r: bufio.NewReaderSize(x.file, 64<<10), sum: sha256.New()}
	if _, err := x.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		line, _, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err = errors.Join(err, x.a.Err()); err != nil {
			return err
		}
		if x.file.csv && x.header == nil {
			if err := x.readHeader(line); err != nil {
				return fmt.Errorf("%s, line 1: %w", x.file.name, err)
			}
			continue
		}
		if len(bytes.TrimSpace(line.Text)) == 0 && line.Reason == "" {
			continue
		}
		r, err := x.record(line)
		if err := fn(line.Line, r, err); err != nil {
			return err
		}
	}
}

func (x *tokenImporting) readHeader(line auth.ImportLine) (err error) {
	if line.Reason != "" {
		return errors.New(line.Reason)
	}
	text := bytes.TrimPrefix(line.Text, []byte("\ufeff")) // which spreadsheets write
	if x.header, err = csvLine(text); err != nil {
		return err
	}
	for i, name := range x.header {
		if !slices.Contains(tokenMembers, name) || slices.Contains(x.header[:i], name) {
			return fmt.Errorf("%q is no member, or is there twice: %s", name, strings.Join(tokenMembers, ", "))
		}
	}
	return nil
}

// csvLine is one record of RFC 4180, without line ends in it.
func csvLine(text []byte) ([]string, error) {
	fields, err := csv.NewReader(bytes.NewReader(text)).Read()
	if err != nil {
		return nil, errors.New("not a line of CSV")
	}
	return fields, nil
}

func (x *tokenImporting) record(line auth.ImportLine) (r auth.ForeignRecord, err error) {
	if line.Reason != "" {
		return r, errors.New(line.Reason)
	}
	t, err := x.parse(line.Text)
	if err != nil {
		return r, err
	}
	if r, err = t.record(); err != nil {
		return r, err
	}
	if !slices.Contains(x.dialects, r.Dialect) {
		return r, fmt.Errorf("dialect: %q is not one of %v", t.Dialect, x.dialects)
	}
	var acc auth.Account
	switch {
	case (t.Account == "") == (t.Subject == ""):
		return r, errors.New("give account or subject")
	case t.Account != "":
		acc, err = x.FindAccountAt(x.a, x.realm.ID, r.Dialect, t.Account)
	default:
		acc, err = x.SubjectAccount(x.a, x.realm.ID, r.Dialect, t.Subject)
	}
	if err != nil {
		return r, err
	}
	r.AccountID = acc.ID
	return r, x.CheckImported(x.a, x.realm.ID, &r)
}

func (x *tokenImporting) parse(text []byte) (t tokenLine, err error) {
	if x.file.csv {
		fields, err := csvLine(text)
		if err == nil && len(fields) != len(x.header) {
			err = fmt.Errorf("%d fields, and the first line has %d", len(fields), len(x.header))
		}
		if err != nil {
			return t, err
		}
		object := map[string]string{}
		for i, name := range x.header {
			object[name] = fields[i]
		}
		if text, err = json.Marshal(object); err != nil {
			return t, err
		}
	}
	members, err := strictjson.Object(text)
	if err != nil {
		return t, fmt.Errorf("not one JSON object: %w", err)
	}
	for name := range members {
		if !slices.Contains(tokenMembers, name) {
			return t, fmt.Errorf("%q is no member: %s", name, strings.Join(tokenMembers, ", "))
		}
	}
	return t, strictjson.Decode(text, &t)
}

// record is what a line says, but for the account.
func (t tokenLine) record() (r auth.ForeignRecord, err error) {
	r = auth.ForeignRecord{Dialect: auth.Dialect(t.Dialect), Kind: auth.ForeignKind(t.Kind)}
	switch {
	case (t.Token == "") == (t.SHA256 == ""):
		return r, errors.New("give token or sha256")
	case t.Token != "":
		hash, ok := token.HashForeign(t.Token)
		if !ok || len(t.Token) < leastToken {
			return r, fmt.Errorf("token: it must be %d to %d characters of visible ASCII, without spaces", leastToken, token.MaxSize)
		}
		r.Hash = hash
	default:
		if r.Hash, err = parseSum(t.SHA256); err != nil {
			return r, err
		}
	}
	if r.ExpiresAt, err = time.Parse(time.RFC3339, t.ExpiresAt); err != nil {
		return r, errors.New("expires_at: it must be a time of RFC 3339, such as 2026-12-31T12:00:00Z")
	}
	if t.IssuedAt != "" {
		if r.CreatedAt, err = time.Parse(time.RFC3339, t.IssuedAt); err != nil {
			return r, errors.New("issued_at: it must be a time of RFC 3339")
		}
	}
	return r, nil
}

// parseSum reads a SHA-256, in hexadecimal or in base64 of either alphabet.
func parseSum(text string) (sum [32]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		b, err = base64.RawStdEncoding.DecodeString(plain)
	}
	if err != nil || len(b) != len(sum) {
		return sum, errors.New("sha256: it must be 32 bytes in hexadecimal or base64")
	}
	return [32]byte(b), nil
}
