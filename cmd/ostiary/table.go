package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
)

// page is how many rows a list reads at a time.
const page = 500

// listFlags are those of every list.
type listFlags struct {
	JSON bool `name:"json" help:"One JSON object a line."`
}

// list prints rows as JSON, one object a line, or as a table.
type list struct {
	out   io.Writer
	json  *json.Encoder
	table *tabwriter.Writer
}

func (a *app) list(f listFlags, header ...string) *list {
	l := &list{out: a.out}
	if f.JSON {
		l.json = a.encoder()
		return l
	}
	l.table = tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(l.table, strings.Join(header, "\t"))
	return l
}

// row prints one row: object for JSON, cells for the table.
func (l *list) row(object any, cells ...any) error {
	if l.json != nil {
		return l.json.Encode(object)
	}
	texts := make([]string, len(cells))
	for i, c := range cells {
		if texts[i] = printable(cell(c)); texts[i] == "" {
			texts[i] = "-"
		}
	}
	_, err := fmt.Fprintln(l.table, strings.Join(texts, "\t"))
	return err
}

// end prints what the table has kept to itself for the width of its columns.
func (l *list) end() error {
	if l.table != nil {
		return l.table.Flush()
	}
	return nil
}

func cell(v any) string {
	switch v := v.(type) {
	case time.Time:
		return stamp(v)
	case uuid.UUID:
		if v == uuid.Nil {
			return ""
		}
		return v.String()
	}
	return fmt.Sprint(v)
}

// stamp is a time as lists show it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// when is a time in JSON: RFC 3339, or null.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *app) encoder() *json.Encoder {
	e := json.NewEncoder(printableJSON{a.out})
	e.SetEscapeHTML(false)
	return e
}

// printableJSON writes JSON, in which what printable leaves out is escaped.
type printableJSON struct{ to io.Writer }

func (p printableJSON) Write(text []byte) (int, error) {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r == '\n' || !unprintable(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	if _, err := p.to.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// printable keeps what was stored from moving the cursor or starting a line of its own.
func printable(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		if unprintable(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
