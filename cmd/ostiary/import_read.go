package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

const (
	maxImportLine = 1 << 20  // bytes
	importBytes   = 32 << 20 // of the lines of one transaction at the most
	importCut     = 1000     // of a line that is too long, so much is kept
)

// importLines are in one transaction at the most: it takes some tenths of a second.
var importLines = 10_000

// importAlone is how many times as many there are while no server waits for them: fewer pages
// of the indexes are then written again and again.
const importAlone = 8

// importFile is a file that is read twice.
type importFile struct {
	*os.File
	name  string
	csv   bool
	size  int64
	lines int64 // of the pass that was last
	gone  func()
}

// openImport opens a file. What can be read only once is copied into one that only its owner
// can read, and that has no name where that is possible.
func openImport(a *app, path, format string) (*importFile, error) {
	f := &importFile{name: path, csv: format == "csv" || format == "" && strings.HasSuffix(strings.ToLower(path), ".csv")}
	from := a.in
	if path == "-" {
		f.name = "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if info.IsDir() {
			return nil, errors.Join(fmt.Errorf("%s is a directory", path), file.Close())
		}
		if info.Mode().IsRegular() {
			f.File, f.size = file, info.Size()
			return f, nil
		}
		defer file.Close()
		from = file
	}
	return f, f.spool(from)
}

func (f *importFile) spool(from io.Reader) (err error) {
	if f.File, err = os.CreateTemp("", "ostiary-import-*"); err != nil { // mode 0600
		return err
	}
	if os.Remove(f.Name()) != nil { // it is to go when it is closed
		f.gone = func() { _ = os.Remove(f.Name()) }
	}
	if f.size, err = io.Copy(f.File, from); err != nil {
		f.Close()
	}
	return err
}

func (f *importFile) Close() {
	_ = f.File.Close()
	if f.gone != nil {
		f.gone()
	}
}

// lineReader reads lines, and keeps no more of one than it may have.
type lineReader struct {
	r    *bufio.Reader
	sum  hash.Hash
	line int64
}

// next returns a line without its end, and how many bytes it had with it.
func (l *lineReader) next() (line auth.ImportLine, size int, err error) {
	l.line++
	line.Line = l.line
	for {
		part, err := l.r.ReadSlice('\n')
		_, _ = l.sum.Write(part)
		size += len(part)
		switch {
		case size <= maxImportLine:
			line.Text = append(line.Text, part...)
		case line.Reason == "":
			line.Text = append(line.Text, part...)
			line.Text = append([]byte(nil), line.Text[:importCut]...)
			line.Reason, line.Cut = fmt.Sprintf("the line is longer than %d MiB", maxImportLine>>20), true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || size == 0) {
			return line, size, err
		}
		line.Text = bytes.TrimSuffix(bytes.TrimSuffix(line.Text, []byte("\n")), []byte("\r"))
		return line, size, nil
	}
}

// importGroup are lines that become one transaction.
type importGroup struct {
	lines   []auth.ImportLine
	ids     []uuid.UUID
	bytes   int64
	err     error
	entries []*auth.ImportEntry
	ready   sync.WaitGroup
}

// prepare reads the lines, on so many processors.
func (g *importGroup) prepare(im *auth.Importer, workers int) {
	g.entries = make([]*auth.ImportEntry, len(g.lines))
	for w := range workers {
		g.ready.Go(func() {
			for i := w; i < len(g.lines); i += workers {
				g.entries[i] = im.Prepare(g.lines[i], g.ids[i])
			}
		})
	}
}

// pass reads the file from its beginning, and hands its lines on in their order. It returns
// the SHA-256 of the file.
func (x *importing) pass(what string, each func([]*auth.ImportEntry) error) ([]byte, error) {
	if _, err := x.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	l := &lineReader{r: bufio.NewReaderSize(x.file, 64<<10), sum: sha256.New()}
	x.progress.startLines(what, x.file.size)
	defer x.progress.end()
	if x.file.csv {
		if err := x.header(l); err != nil {
			return nil, err
		}
	}
	groups, stop := make(chan *importGroup), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { x.read(l, groups, stop) })
	defer reading.Wait()
	defer close(stop)
	for g := range groups {
		g.ready.Wait()
		if g.err != nil {
			return nil, g.err
		}
		if err := x.a.Err(); err != nil {
			return nil, err
		}
		if len(g.entries) > 0 {
			if err := each(g.entries); err != nil {
				return nil, err
			}
		}
		x.progress.stepLines(len(g.entries), g.bytes)
	}
	x.file.lines = l.line - 1
	return l.sum.Sum(nil), nil
}

func (x *importing) header(l *lineReader) error {
	line, _, err := l.next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s, line 1: the file is empty", x.file.name)
	}
	if err == nil && line.Reason != "" {
		err = errors.New(line.Reason)
	}
	if err == nil {
		err = x.im.Header(line.Text)
	}
	if err != nil {
		return fmt.Errorf("%s, line 1: %w", x.file.name, err)
	}
	return nil
}

// read reads groups of lines, one ahead of that which is worked at.
func (x *importing) read(l *lineReader, groups chan<- *importGroup, stop <-chan struct{}) {
	defer close(groups)
	for end := false; !end; {
		g, most := &importGroup{}, x.lines()
		for len(g.lines) < most && g.bytes < importBytes {
			line, size, err := l.next()
			if err != nil {
				if end = true; !errors.Is(err, io.EOF) {
					g.err = err
				}
				break
			}
			g.bytes += int64(size)
			if len(bytes.TrimSpace(line.Text)) == 0 && line.Reason == "" {
				continue
			}
			g.lines = append(g.lines, line)
			g.ids = append(g.ids, uuid.Must(uuid.NewV7()))
		}
		g.prepare(x.im, x.workers)
		select {
		case groups <- g:
		case <-stop:
			return
		}
	}
}

var firebaseLine = regexp.MustCompile(`(?m)^[ \t"]*(algorithm|base64_signer_key|base64_salt_separator|rounds|mem_cost)"?[ \t]*[:=][ \t]*"?([^",\s]+)`)

// readFirebase reads what the console of Firebase shows as the project's password hash parameters.
func readFirebase(path string) (*password.Firebase, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, m := range firebaseLine.FindAllSubmatch(text, -1) {
		values[string(m[1])] = string(m[2])
	}
	rounds, err1 := strconv.Atoi(values["rounds"])
	memory, err2 := strconv.Atoi(values["mem_cost"])
	if values["base64_signer_key"] == "" || values["base64_salt_separator"] == "" || err1 != nil || err2 != nil {
		return nil, fmt.Errorf("--firebase-config: %s must have base64_signer_key, base64_salt_separator, rounds and mem_cost, a line each", path)
	}
	return &password.Firebase{SignerKey: values["base64_signer_key"], SaltSeparator: values["base64_salt_separator"], Rounds: rounds, MemoryCost: memory}, nil
}
