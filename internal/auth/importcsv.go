package auth

import (
	"bytes"
	"strconv"
	"strings"
)

// csvMembers are the columns of a CSV file that take text as it is; the others have a type.
var csvMembers = map[string]func(m *importMembers) *string{
	"realm":         func(m *importMembers) *string { return &m.Realm },
	"id":            func(m *importMembers) *string { return &m.ID },
	"username":      func(m *importMembers) *string { return &m.Username },
	"email":         func(m *importMembers) *string { return &m.Email },
	"display_name":  func(m *importMembers) *string { return &m.DisplayName },
	"org":           func(m *importMembers) *string { return &m.Org },
	"kind":          func(m *importMembers) *string { return &m.Kind },
	"password_hash": func(m *importMembers) *string { return &m.PasswordHash },
	"salt":          func(m *importMembers) *string { return &m.Salt },
	"totp_secret":   func(m *importMembers) *string { return &m.TOTPSecret },
	"source":        func(m *importMembers) *string { return &m.Source },
	"apart":         func(m *importMembers) *string { return &m.Apart },
	"sealed":        func(m *importMembers) *string { return &m.Sealed },
}

// csvFlags are those of true or false.
var csvFlags = map[string]func(m *importMembers) *bool{
	"email_verified": func(m *importMembers) *bool { return &m.EmailVerified },
	"disabled":       func(m *importMembers) *bool { return &m.Disabled },
	"pending":        func(m *importMembers) *bool { return &m.Pending },
}

// csvLists are those of several values, with spaces or semicolons between them.
var csvLists = map[string]func(m *importMembers) *[]string{
	"roles":          func(m *importMembers) *[]string { return &m.Roles },
	"recovery_codes": func(m *importMembers) *[]string { return &m.RecoveryCodes },
}

const csvAlias = "aliases."

// csvHeader reads the first line of a CSV file: the names of its columns.
func csvHeader(text []byte, ignoreUnknown bool) ([]string, error) {
	columns, err := csvRecord(text)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(columns))
	var unknown []int // by their numbers: without a header these are values
	for i, name := range columns {
		_, isText := csvMembers[name]
		_, isFlag := csvFlags[name]
		_, isList := csvLists[name]
		alias := strings.HasPrefix(name, csvAlias)
		if name != "number" && !isText && !isFlag && !isList && !alias {
			unknown = append(unknown, i+1)
		} else if seen[name] {
			return nil, refuseLine("malformed", "column %d has the name of one before", i+1)
		}
		seen[name] = true
	}
	switch {
	case len(columns) == 1 && len(unknown) == 1 && strings.ContainsAny(columns[0], ";\t"):
		return nil, refuseLine("malformed", "the columns of the first line must have commas between them")
	case len(unknown) == len(columns):
		return nil, refuseLine("malformed", "the first line must be the header, with the names of members: none of its columns has one")
	case len(unknown) > 0 && !ignoreUnknown:
		return nil, refuseLine("malformed", "the first line must be the header, with the names of members: column %d (of %d such) has none; --ignore-unknown leaves them out",
			unknown[0], len(unknown))
	}
	return columns, nil
}

// parseImportCSV reads a line of CSV by its columns. An empty value is none.
func parseImportCSV(columns []string, text []byte) (m importMembers, err error) {
	values, err := csvRecord(text)
	if err != nil {
		return m, err
	}
	if len(values) != len(columns) {
		return m, refuseLine("malformed", "the line has %d values, and the first line %d columns", len(values), len(columns))
	}
	for i, name := range columns {
		if values[i] == "" {
			continue
		}
		if err := csvValue(&m, name, values[i]); err != nil {
			return m, err
		}
	}
	return m, nil
}

func csvValue(m *importMembers, name, value string) error {
	if place, ok := csvMembers[name]; ok {
		*place(m) = value
		return nil
	}
	if place, ok := csvLists[name]; ok {
		*place(m) = strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ';' })
		return nil
	}
	if place, ok := csvFlags[name]; ok {
		if value != "true" && value != "false" {
			return refuseLine("malformed", "%s: it must be true or false", name)
		}
		*place(m) = value == "true"
		return nil
	}
	if dialect, ok := strings.CutPrefix(name, csvAlias); ok {
		if m.Aliases == nil {
			m.Aliases = map[string]string{}
		}
		m.Aliases[dialect] = value
		return nil
	}
	if name == "number" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return refuseLine("malformed", "number: it must be an integer")
		}
		m.Number = &n
	}
	return nil // what is unknown, and to be left out
}

// csvRecord splits a line (RFC 4180). A quoted value ends on its line: none of the members
// has a line break in it.
func csvRecord(line []byte) (values []string, err error) {
	for {
		var value string
		if value, line, err = csvField(line); err != nil {
			return nil, err
		}
		values = append(values, value)
		if len(line) == 0 {
			return values, nil
		}
		line = line[1:] // the comma
	}
}

// csvField reads a value; the rest is empty, or begins with a comma.
func csvField(line []byte) (value string, rest []byte, err error) {
	if len(line) == 0 || line[0] != '"' {
		end := bytes.IndexByte(line, ',')
		if end < 0 {
			end = len(line)
		}
		if bytes.IndexByte(line[:end], '"') >= 0 {
			return "", nil, refuseLine("malformed", "a quote stands within a value that does not begin with one")
		}
		return string(line[:end]), line[end:], nil
	}
	var b strings.Builder
	for line = line[1:]; ; {
		end := bytes.IndexByte(line, '"')
		if end < 0 {
			return "", nil, refuseLine("malformed", "a quoted value does not end on its line")
		}
		b.Write(line[:end])
		line = line[end+1:]
		switch {
		case len(line) == 0 || line[0] == ',':
			return b.String(), line, nil
		case line[0] != '"':
			return "", nil, refuseLine("malformed", "a quoted value goes on behind its quote")
		}
		b.WriteByte('"')
		line = line[1:]
	}
}
