// Package backup is the format in which a store is kept in a file, whatever its engine.
//
// A file is
//
//	"ostiary backup 1\n" | chunks | 4 zero bytes | SHA-256 of all before (32 bytes)
//
// A chunk is its length (4 bytes, big endian) and so many bytes. Together they are one gzip stream of
// frames, each a kind (1 byte), a length (4 bytes) and so many bytes:
//
//	H  the Header, as JSON; the first frame
//	T  a Table, as JSON
//	R  some of its rows, as AppendRow makes them, in the order of the primary key
//	E  the Sum of the table's rows, as JSON
//
// The whole may be encrypted with age, which then comes first.
package backup

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"
)

// Kind is what a column holds.
type Kind string

const (
	Integer Kind = "integer" // 64 bits
	Text    Kind = "text"
	Bytes   Kind = "bytes"
)

// Column of a table.
type Column struct {
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Nullable bool   `json:"nullable,omitempty"`
}

// Table is a table's columns, in order. The first Key of them are its primary key.
type Table struct {
	Name    string   `json:"name"`
	Key     int      `json:"key"`
	Columns []Column `json:"columns"`
}

// Same tells whether two tables have the same name and columns.
func (t Table) Same(u Table) bool {
	return t.Name == u.Name && t.Key == u.Key && slices.Equal(t.Columns, u.Columns)
}

// Index is the place of a column; -1: there is none.
func (t Table) Index(column string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == column })
}

// Row is the values of a row, in the order of the columns: int64, string, []byte, or nil.
type Row []any

// CompareKeys orders two rows by their primary keys, as the engines do: texts by their bytes.
func (t Table) CompareKeys(a, b Row) int {
	for i := range t.Key {
		if c := compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return strings.Compare(a, b)
	case []byte:
		b, _ := b.([]byte)
		return bytes.Compare(a, b)
	}
	return 0
}

// Header says what a backup is of.
type Header struct {
	Schema    int64     `json:"schema"`     // of the database
	Program   string    `json:"program"`    // the version that wrote it
	Engine    string    `json:"engine"`     // what the database was
	Time      time.Time `json:"time"`       // what was committed by then is in it
	Epoch     int64     `json:"epoch"`      // how often the store had been restored
	Rows      int64     `json:"rows"`       // in all tables
	MasterKey string    `json:"master_key"` // the fingerprint of the key that opens what is sealed in it
}

// Sum is what can be compared of a table: it is the same in every engine.
type Sum struct {
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Digest makes the Sum of the rows that it is given, in their order.
type Digest struct {
	rows int64
	sum  hash.Hash
	buf  []byte
}

// NewDigest makes one of no rows.
func NewDigest() *Digest { return &Digest{sum: sha256.New()} }

// Add counts a row in.
func (d *Digest) Add(r Row) {
	d.buf = AppendRow(d.buf[:0], r)
	d.add(d.buf)
}

func (d *Digest) add(encoded []byte) {
	d.rows++
	d.sum.Write(encoded)
}

// Sum is that of the rows so far.
func (d *Digest) Sum() Sum { return Sum{d.rows, hex.EncodeToString(d.sum.Sum(nil))} }

// The first byte of a value.
const (
	isNull = iota
	isInteger
	isText
	isBytes
)

// AppendRow writes a row: of each value a byte that says what it is; then a zigzag varint, or
// the length (a varint) and the bytes.
func AppendRow(dst []byte, r Row) []byte {
	for _, v := range r {
		switch v := v.(type) {
		case nil:
			dst = append(dst, isNull)
		case int64:
			dst = binary.AppendVarint(append(dst, isInteger), v)
		case string:
			dst = binary.AppendUvarint(append(dst, isText), uint64(len(v)))
			dst = append(dst, v...)
		case []byte:
			dst = binary.AppendUvarint(append(dst, isBytes), uint64(len(v)))
			dst = append(dst, v...)
		default:
			panic(fmt.Sprintf("backup: a value of type %T", v))
		}
	}
	return dst
}

var errRow = errors.New("a row is not as its table says")

// row reads what AppendRow wrote of a row of the table, and returns what comes after it.
func (t Table) row(from []byte) (Row, []byte, error) {
	r := make(Row, len(t.Columns))
	for i, c := range t.Columns {
		if len(from) == 0 {
			return nil, nil, errRow
		}
		what := from[0]
		from = from[1:]
		switch {
		case what == isNull && c.Nullable:
			continue
		case what == isInteger && c.Kind == Integer:
			v, n := binary.Varint(from)
			if n <= 0 {
				return nil, nil, errRow
			}
			r[i], from = v, from[n:]
			continue
		case what == isText && c.Kind == Text, what == isBytes && c.Kind == Bytes:
		default:
			return nil, nil, errRow
		}
		size, n := binary.Uvarint(from)
		if n <= 0 || size > uint64(len(from)-n) {
			return nil, nil, errRow
		}
		value := from[n : n+int(size)]
		from = from[n+int(size):]
		if what == isText {
			r[i] = string(value)
		} else {
			r[i] = bytes.Clone(value)
		}
	}
	return r, from, nil
}
