package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	magic     = "ostiary backup 1\n"
	maxChunk  = 1 << 20
	chunkSize = 64 << 10
)

// Errors of a file that can't be read.
var (
	ErrForeign   = errors.New("it is no backup of Ostiary")
	ErrNewer     = errors.New("it is a backup in a format that this version does not know: use a newer ostiary")
	ErrTruncated = errors.New("it is not whole: its end is missing")
	ErrDamaged   = errors.New("it is damaged: it is not as it was written")
)

// chunkWriter writes the outer form of a file.
type chunkWriter struct {
	to  io.Writer
	sum hash.Hash
	buf []byte
}

func newChunkWriter(to io.Writer) (*chunkWriter, error) {
	w := &chunkWriter{sum: sha256.New(), buf: make([]byte, 4, 4+chunkSize)}
	w.to = io.MultiWriter(to, w.sum)
	_, err := io.WriteString(w.to, magic)
	return w, err
}

func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *chunkWriter) flush() error {
	size := len(w.buf) - 4
	if size == 0 {
		return nil
	}
	binary.BigEndian.PutUint32(w.buf, uint32(size))
	_, err := w.to.Write(w.buf)
	w.buf = w.buf[:4]
	return err
}

func (w *chunkWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := w.to.Write(make([]byte, 4)); err != nil {
		return err
	}
	_, err := w.to.Write(w.sum.Sum(nil))
	return err
}

// chunkReader reads what chunkWriter wrote: io.EOF once the digest has been seen to be right.
type chunkReader struct {
	from io.Reader
	sum  hash.Hash
	rest []byte
	buf  []byte
	err  error
}

func newChunkReader(from io.Reader) (*chunkReader, error) {
	r := &chunkReader{from: from, sum: sha256.New()}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(from, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case string(head) == magic:
	case n > 0 && bytes.HasPrefix([]byte(magic), head):
		return nil, ErrTruncated
	case n == len(magic) && bytes.HasPrefix(head, []byte(magic[:len(magic)-2])):
		return nil, ErrNewer
	default:
		return nil, ErrForeign
	}
	r.sum.Write(head)
	return r, nil
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads a chunk, or the end.
func (r *chunkReader) next() error {
	var head [4]byte
	if err := r.full(head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	switch {
	case size == 0:
		return r.end()
	case size > maxChunk:
		return ErrDamaged
	case int(size) > cap(r.buf):
		r.buf = make([]byte, size)
	}
	if err := r.full(r.buf[:size]); err != nil {
		return err
	}
	r.rest = r.buf[:size]
	return nil
}

func (r *chunkReader) end() error {
	want := r.sum.Sum(nil)
	got := make([]byte, len(want))
	if err := r.full(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return ErrDamaged
	}
	switch n, err := io.ReadFull(r.from, got[:1]); {
	case n > 0:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

func (r *chunkReader) full(p []byte) error {
	_, err := io.ReadFull(r.from, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	r.sum.Write(p)
	return err
}
