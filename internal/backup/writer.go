package backup

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

const (
	headFrame  = 'H'
	tableFrame = 'T'
	rowsFrame  = 'R'
	endFrame   = 'E'

	maxFrame  = 64 << 20
	rowsBytes = 64 << 10 // of a frame of rows, a row more or less
)

// Writer writes a backup: for each table Table, Row for each of its rows, and End; then Close.
type Writer struct {
	chunks *chunkWriter
	zip    *gzip.Writer
	digest *Digest
	rows   []byte
}

// NewWriter begins a backup.
func NewWriter(to io.Writer, h Header) (*Writer, error) {
	chunks, err := newChunkWriter(to)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewWriterLevel(chunks, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := &Writer{chunks: chunks, zip: zip}
	return w, w.json(headFrame, h)
}

// Table begins a table.
func (w *Writer) Table(t Table) error {
	w.digest, w.rows = NewDigest(), w.rows[:0]
	return w.json(tableFrame, t)
}

// Row writes a row of it.
func (w *Writer) Row(r Row) error {
	before := len(w.rows)
	w.rows = AppendRow(w.rows, r)
	w.digest.add(w.rows[before:])
	if len(w.rows) < rowsBytes {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	err := w.frame(rowsFrame, w.rows)
	w.rows = w.rows[:0]
	return err
}

// End ends a table.
func (w *Writer) End() (Sum, error) {
	if err := w.flush(); err != nil {
		return Sum{}, err
	}
	sum := w.digest.Sum()
	return sum, w.json(endFrame, sum)
}

// Close ends the backup. Until it has, what was written passes for no backup.
func (w *Writer) Close() error {
	if err := w.zip.Close(); err != nil {
		return err
	}
	return w.chunks.Close()
}

func (w *Writer) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.frame(kind, text)
}

func (w *Writer) frame(kind byte, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("a row of %d bytes is more than a backup can hold", len(body))
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))
	if _, err := w.zip.Write(head); err != nil {
		return err
	}
	_, err := w.zip.Write(body)
	return err
}
