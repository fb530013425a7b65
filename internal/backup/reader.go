package backup

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Reader reads a backup: Table until io.EOF, and after each Row until io.EOF. Only once
// Table has said io.EOF is it known that all was as it was written.
type Reader struct {
	Header Header

	chunks *chunkReader
	zip    *gzip.Reader
	table  Table
	inside bool // a table has not ended
	digest *Digest
	rows   []byte // of a frame, not yet read
	last   Row
	body   bytes.Buffer
}

// NewReader reads the beginning of a backup. Errors are ErrForeign, ErrNewer, ErrTruncated
// and ErrDamaged, or the reader's own.
func NewReader(from io.Reader) (*Reader, error) {
	chunks, err := newChunkReader(from)
	if err != nil {
		return nil, err
	}
	r := &Reader{chunks: chunks}
	if r.zip, err = gzip.NewReader(chunks); err != nil {
		return nil, r.explain(err)
	}
	r.zip.Multistream(false)
	kind, body, err := r.frame()
	if err != nil {
		return nil, unexpected(err)
	}
	if kind != headFrame {
		return nil, ErrDamaged
	}
	return r, parse(body, &r.Header)
}

// Table reads on to the next table; what is left of the one before is read, too.
func (r *Reader) Table() (Table, error) {
	for r.inside {
		if _, err := r.Row(); err != nil && !errors.Is(err, io.EOF) {
			return Table{}, err
		}
	}
	kind, body, err := r.frame()
	if errors.Is(err, io.EOF) {
		return Table{}, r.end()
	}
	if err != nil {
		return Table{}, err
	}
	var t Table
	if kind != tableFrame {
		return t, ErrDamaged
	}
	if err := parse(body, &t); err != nil {
		return t, err
	}
	if t.Key < 1 || t.Key > len(t.Columns) {
		return t, ErrDamaged
	}
	r.table, r.inside, r.digest, r.last = t, true, NewDigest(), nil
	return t, nil
}

// end sees that nothing follows the last table.
func (r *Reader) end() error {
	switch n, err := r.chunks.Read(make([]byte, 1)); {
	case n > 0:
		return ErrDamaged
	case !errors.Is(err, io.EOF):
		return r.explain(err)
	}
	return io.EOF
}

// Row reads the next row of the table, or io.EOF once all were there that were written.
func (r *Reader) Row() (Row, error) {
	if !r.inside {
		return nil, io.EOF
	}
	if len(r.rows) == 0 {
		kind, body, err := r.frame()
		switch {
		case err != nil:
			return nil, unexpected(err)
		case kind == rowsFrame && len(body) > 0:
			r.rows = body
		case kind == endFrame:
			var sum Sum
			if err := parse(body, &sum); err != nil {
				return nil, err
			}
			if sum != r.digest.Sum() {
				return nil, fmt.Errorf("%w: table %s has other rows than were written", ErrDamaged, r.table.Name)
			}
			r.inside = false
			return nil, io.EOF
		default:
			return nil, ErrDamaged
		}
	}
	row, rest, err := r.table.row(r.rows)
	if err != nil {
		return nil, fmt.Errorf("%w: table %s: %w", ErrDamaged, r.table.Name, err)
	}
	r.digest.add(r.rows[:len(r.rows)-len(rest)])
	r.rows = rest
	if r.last != nil && r.table.CompareKeys(r.last, row) >= 0 {
		return nil, fmt.Errorf("%w: table %s is out of order", ErrDamaged, r.table.Name)
	}
	r.last = row
	return row, nil
}

// Skip reads all that is left, and returns what it says of its tables.
func (r *Reader) Skip() (sums map[string]Sum, err error) {
	sums = map[string]Sum{}
	for {
		t, err := r.Table()
		if errors.Is(err, io.EOF) {
			return sums, nil
		}
		for err == nil {
			_, err = r.Row()
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		sums[t.Name] = r.digest.Sum()
	}
}

// Sum is that of the table's rows so far.
func (r *Reader) Sum() Sum { return r.digest.Sum() }

// frame reads a frame; io.EOF where the stream ends before one.
func (r *Reader) frame() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r.zip, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, err
		}
		return 0, nil, r.explain(err)
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrame {
		return 0, nil, ErrDamaged
	}
	r.body.Reset() // and grow with what is really there
	if _, err := io.CopyN(&r.body, r.zip, size); err != nil {
		return 0, nil, r.explain(unexpected(err))
	}
	return head[0], r.body.Bytes(), nil
}

// explain says what an error of the stream means.
func (r *Reader) explain(err error) error {
	if e := r.chunks.err; e != nil && !errors.Is(e, io.EOF) {
		return e // the cause of all others
	}
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return err
}

// unexpected is an end where there must be more.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return err
}

func parse(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
