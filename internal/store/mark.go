package store

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// ErrLog says that what lies beside a SQLite database is the write-ahead log of another one.
// SQLite would copy it into this one, whose pages would be lost.
var ErrLog = errors.New("the write-ahead log beside the database is of another database, which would overwrite this one")

// Of the first page of a database (https://www.sqlite.org/fileformat.html#the_database_header),
// and of its write-ahead log (#wal_file_format).
const (
	headSize      = 100
	headPages     = 28 // where the number of pages is
	headMark      = 60 // where the user version is, which is the mark
	logHeadSize   = 32
	frameHeadSize = 24
	logMagic      = 0x377f0682 // the last bit is the order of the checksums' bytes
)

// mark gives a database that has none and that nobody else has open a mark of its own, the user
// version: from here on, no log of another is taken for one of this file. It is given once, since it
// takes several syncs, and not by way of a log, so that a log always has that of its file, whatever
// was lost. If it can't be given now, the next start does.
func mark(ctx context.Context, path string) {
	head, err := headOf(path, headSize)
	if err != nil || len(head) == headSize && binary.BigEndian.Uint32(head[headMark:]) != 0 {
		return
	}
	db, err := sql.Open("sqlite", plainDSN(path, "busy_timeout(250)", "locking_mode(EXCLUSIVE)", "synchronous(EXTRA)"))
	if err != nil {
		return
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil || mode != "delete" {
		return
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	own := binary.BigEndian.Uint32(random[:])>>1 | 1
	// With the log again: this connection leaves no journal for a loss of power to bring back.
	_, _ = conn.ExecContext(ctx, "PRAGMA user_version = "+strconv.FormatUint(uint64(own), 10)+"; PRAGMA journal_mode = WAL")
}

// checkLog sees that the write-ahead log beside a database is its own: ErrLog if it is not. Beside
// a process that writes it looks again, until nothing has changed meanwhile.
func checkLog(path string) error {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file // SQLite has the log beside that one
	}
	for {
		head, err := headOf(path, headSize)
		if err != nil {
			return err
		}
		log, last, err := readLog(path + "-wal")
		if err != nil {
			return err
		}
		if len(head) < headSize || last.pages == 0 || last.of(head) {
			return nil
		}
		headNow, err := headOf(path, headSize)
		logNow, logErr := headOf(path+"-wal", logHeadSize)
		if err = errors.Join(err, logErr); err != nil {
			return err
		}
		if string(head) == string(headNow) && string(log) == string(logNow) {
			return fmt.Errorf("%w: if %s was brought from elsewhere, move %[2]s-wal and %[2]s-shm away, else bring back the database that they are of", ErrLog, path)
		}
	}
}

// headOf reads how a file begins; nothing, if it is not there.
func headOf(path string, size int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, size)
	n, err := io.ReadFull(f, head)
	return head[:n], nothingMore(err)
}

// lastCommit is what the log says of the database as of its last transaction.
type lastCommit struct {
	pages uint32 // how many it has; 0: there is no transaction
	first bool   // its first page is in the log
	mark  uint32 // then: the one in it
}

// of tells whether the log is that of a file. Each change of the number of pages has the first
// page in the log; without it, the number is the one that the file has.
func (c lastCommit) of(head []byte) bool {
	if c.first {
		return c.mark == binary.BigEndian.Uint32(head[headMark:])
	}
	return c.pages == binary.BigEndian.Uint32(head[headPages:])
}

// readLog reads a log as SQLite will: up to the first frame that is not of it or not whole. The head
// is how the log begins.
func readLog(path string) (head []byte, last lastCommit, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return head, last, nil
	}
	if err != nil {
		return nil, last, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	head = make([]byte, logHeadSize)
	if _, err := io.ReadFull(in, head); err != nil {
		return head, last, nothingMore(err)
	}
	be := binary.BigEndian
	magic, size := be.Uint32(head), be.Uint32(head[8:])
	if magic&^1 != logMagic || size < 512 || size > 65536 || size&(size-1) != 0 {
		return head, last, nil
	}
	sum := checksum{order: binary.LittleEndian}
	if magic&1 != 0 {
		sum.order = be
	}
	if sum.add(head[:24]); !sum.is(head[24:]) {
		return head, last, nil
	}
	frame := make([]byte, frameHeadSize+size)
	for open := last; ; {
		if _, err := io.ReadFull(in, frame); err != nil {
			return head, last, nothingMore(err)
		}
		page := frame[frameHeadSize:]
		sum.add(frame[:8])
		if sum.add(page); !sum.is(frame[16:]) || string(frame[8:16]) != string(head[16:24]) {
			return head, last, nil
		}
		if be.Uint32(frame) == 1 {
			open.first, open.mark = true, be.Uint32(page[headMark:])
		}
		if open.pages = be.Uint32(frame[4:]); open.pages != 0 { // a transaction ends with this frame
			last = open
		}
	}
}

// nothingMore turns the end of a file into no error.
func nothingMore(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// checksum is the one of write-ahead logs (fileformat.html#checksum_algorithm).
type checksum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

func (c *checksum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		c.s0 += c.order.Uint32(b) + c.s1
		c.s1 += c.order.Uint32(b[4:]) + c.s0
	}
}

func (c *checksum) is(stored []byte) bool {
	return c.s0 == binary.BigEndian.Uint32(stored) && c.s1 == binary.BigEndian.Uint32(stored[4:])
}
