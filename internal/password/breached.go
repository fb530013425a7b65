package password

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Breached are the passwords of known data breaches, as Have I Been Pwned gives them out:
// their SHA-1 hashes with how often each was seen. They are one file, sorted by hash, with
// lines such as
//
//	000000005AD76BD555C1D6D771DE417A4B87E4B4:10
//
// or a directory of one file for each first five digits, such as 00000.txt, without them
// in its lines. Nothing is kept in memory: each question opens the file.
type Breached struct{ path string }

// ErrBreachedFile is wrapped by the errors of a file that is not there, or not as it should be.
var ErrBreachedFile = errors.New("the file of breached passwords")

const (
	hashDigits  = 2 * sha1.Size
	rangeDigits = 5       // of the names in a directory
	maxLine     = 128     // bytes; those of the file have about 50
	maxRange    = 1 << 20 // bytes; those of a directory have about 40,000
	samples     = 16      // looked up by Verify
)

// NewBreached is for the passwords at a path; Verify tells whether they can be used.
func NewBreached(path string) *Breached { return &Breached{path} }

// Path is where the passwords are.
func (b *Breached) Path() string { return b.path }

// Verify looks here and there whether the file, or the directory, is what it should be.
func (b *Breached) Verify() error {
	for i := range samples {
		first := fmt.Sprintf("%05X", i*(1<<20-1)/(samples-1)) // 00000 to FFFFF
		if _, err := b.find(first + strings.Repeat(first[:1], hashDigits-rangeDigits)); err != nil {
			return err
		}
	}
	return nil
}

// Has tells whether a password is among them. Its error wraps ErrBreachedFile.
func (b *Breached) Has(password string) (bool, error) {
	return b.find(fmt.Sprintf("%X", sha1.Sum([]byte(password)))) // not for secrecy: they are published so
}

func (b *Breached) find(hash string) (found bool, err error) {
	info, err := os.Stat(b.path)
	switch {
	case err != nil:
	case !info.IsDir() && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is neither a file nor a directory", b.path)
	case info.IsDir():
		found, err = findInRange(filepath.Join(b.path, hash[:rangeDigits]+".txt"), hash[rangeDigits:])
	default:
		found, err = findInFile(b.path, hash)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrBreachedFile, err)
	}
	return found, err
}

func findInRange(path, hash string) (found bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRange+1))
	if err != nil {
		return false, err
	}
	if len(text) == 0 || len(text) > maxRange {
		return false, fmt.Errorf("%s: it is empty, or longer than %d KiB", path, maxRange>>10)
	}
	for line := range bytes.Lines(text) {
		got, count, err := parseLine(line, len(hash))
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		found = found || count && got == hash
	}
	return found, nil
}

func findInFile(path, hash string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	found, err := search(file, info.Size(), hash)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return found, err
}

// search looks for a hash in lines that are sorted by it, of which it reads about as many
// as their number has binary digits.
func search(r io.ReaderAt, size int64, hash string) (bool, error) {
	if size == 0 {
		return false, errors.New("it is empty")
	}
	from, to := int64(0), size // both are the start of a line, or the end
	above, below := "", "G"    // of what was read, the nearest hashes: "G" is above all
	for from < to {
		start, line, err := lineAt(r, from, from+(to-from)/2, size)
		if err != nil {
			return false, err
		}
		got, count, err := parseLine(line, len(hash))
		if err != nil {
			return false, fmt.Errorf("at byte %d: %w", start, err)
		}
		if got <= above || got >= below {
			return false, fmt.Errorf("at byte %d: it is not sorted by hash", start)
		}
		switch {
		case got == hash:
			return count, nil
		case got < hash:
			from, above = start+int64(len(line)), got
		default:
			to, below = start, got
		}
	}
	return false, nil
}

// lineAt reads the line that the byte at is in; from is the start of a line at or before it.
func lineAt(r io.ReaderAt, from, at, size int64) (start int64, line []byte, err error) {
	start = max(from, at-maxLine)
	text := make([]byte, min(size, at+maxLine)-start)
	if n, err := r.ReadAt(text, start); n < len(text) {
		return start, nil, fmt.Errorf("it has become shorter: %w", err)
	}
	if i := bytes.LastIndexByte(text[:at-start], '\n'); i >= 0 {
		start, text = start+int64(i)+1, text[i+1:]
	} else if start > from {
		return start, nil, fmt.Errorf("at byte %d: no line that is short enough", start)
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i+1]
	}
	return start, text, nil
}

// parseLine reads the digits of a hash, a colon, and how often it was seen: 0 is padding,
// which says nothing.
func parseLine(line []byte, digits int) (hash string, seen bool, err error) {
	hash, count, ok := strings.Cut(strings.TrimRight(string(line), "\r\n "), ":")
	if !ok || len(hash) != digits || strings.Trim(hash, "0123456789ABCDEF") != "" ||
		count == "" || len(count) > 19 || strings.Trim(count, "0123456789") != "" {
		return "", false, fmt.Errorf("no line of %d digits (0-9, A-F) of a SHA-1 hash, a colon and a number", digits)
	}
	return hash, strings.Trim(count, "0") != "", nil
}
