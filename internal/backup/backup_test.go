package backup

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

var (
	people = Table{"account", 1, []Column{{"id", Bytes, false}, {"name", Text, false}, {"number", Integer, false}, {"note", Text, true}}}
	pairs  = Table{"pair", 2, []Column{{"a", Text, false}, {"b", Integer, false}, {"raw", Bytes, true}}}
	header = Header{Schema: 44, Program: "v1", Engine: "SQLite 3.53.0", Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Epoch: 2, MasterKey: "ab"}
)

func rowsOf(t Table) (rows []Row) {
	if t.Name == "pair" {
		return []Row{{"", int64(math.MinInt64), nil}, {"", int64(0), []byte{}}, {"ä\x00", int64(7), []byte{0, 1}}, {"🦊", int64(math.MaxInt64), nil}}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		row := Row{[]byte(fmt.Sprintf("%08d", i)), fmt.Sprint(random.Uint64()), int64(i) - 50, nil}
		if i%3 == 0 {
			row[3] = strings.Repeat("x", i%200)
		}
		rows = append(rows, row)
	}
	return rows
}

// write makes a backup of two tables.
func write(t testing.TB, to io.Writer) {
	t.Helper()
	w, err := NewWriter(to, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []Table{people, pairs} {
		if err := w.Table(table); err != nil {
			t.Fatal(err)
		}
		for _, r := range rowsOf(table) {
			if err := w.Row(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.End(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBackup_RoundTrip(t *testing.T) {
	var file bytes.Buffer
	write(t, &file)
	r, err := NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header != header {
		t.Errorf("%+v", r.Header)
	}
	for _, want := range []Table{people, pairs} {
		table, err := r.Table()
		if err != nil || !table.Same(want) {
			t.Fatalf("%+v %v", table, err)
		}
		for i, row := range rowsOf(want) {
			got, err := r.Row()
			if err != nil || !reflect.DeepEqual(got, row) {
				t.Fatalf("%s %d: %q %v, want %q", want.Name, i, got, err, row)
			}
		}
		if _, err := r.Row(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last row: %v", err)
		}
	}
	if _, err := r.Table(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last table: %v", err)
	}
}

// TestCheck_EveryBit: whichever bit of a file is another one, and wherever it ends, it is refused.
func TestCheck_EveryBit(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, header)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Table(pairs), w.Row(rowsOf(pairs)[0]), w.Row(rowsOf(pairs)[2])); err != nil {
		t.Fatal(err)
	}
	if _, err := w.End(); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	if _, sums, err := check(bytes.NewReader(whole)); err != nil || sums["pair"].Rows != 2 {
		t.Fatal(sums, err)
	}
	for i := range whole {
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[i] ^= 1 << bit
			if _, _, err := check(bytes.NewReader(bad)); !ours(err) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
		if _, _, err := check(bytes.NewReader(whole[:i])); !ours(err) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	if _, _, err := check(bytes.NewReader(append(whole, 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

func ours(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer)
}

func TestReader_Foreign(t *testing.T) {
	for text, want := range map[string]error{
		"": ErrForeign, "SQLite format 3\x00 and more of it": ErrForeign, "ostiary backup 2\nxxxx": ErrNewer, "ostiary ba": ErrTruncated, magic: ErrTruncated,
	} {
		if _, err := NewReader(strings.NewReader(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestReader_Order: rows that are not in the order of the primary key, or twice, are refused.
func TestReader_Order(t *testing.T) {
	row := rowsOf(pairs)
	for _, rows := range [][]Row{{row[1], row[0]}, {row[1], row[1]}} {
		var file bytes.Buffer
		w, err := NewWriter(&file, header)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Table(pairs), w.Row(rows[0]), w.Row(rows[1])); err != nil {
			t.Fatal(err)
		}
		if _, err := w.End(); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if _, _, err := check(&file); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", rows, err)
		}
	}
}

func TestEncrypt_OnlyToWhomItIs(t *testing.T) {
	mine, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var to Recipients
	if err := to.Add("# the safe\n" + mine.Recipient().String() + "\n"); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	out, err := to.Encrypt(&file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, out)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file.Bytes(), []byte(magic)) {
		t.Error("it is not encrypted")
	}
	open := func(text []byte, ids ...string) error {
		list, err := ParseIdentities(strings.NewReader(strings.Join(ids, "\n") + "\n"))
		if len(ids) > 0 && err != nil {
			t.Fatal(err)
		}
		in, err := list.Decrypt(bytes.NewReader(text))
		if err == nil {
			_, _, err = check(in)
		}
		return err
	}
	if err := open(file.Bytes(), other.String(), mine.String()); err != nil {
		t.Error(err)
	}
	if err := open(file.Bytes()); !errors.Is(err, ErrEncrypted) {
		t.Errorf("without an identity: %v", err)
	}
	if err := open(file.Bytes(), other.String()); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("by another identity: %v", err)
	}
	if err := open(file.Bytes()[:file.Len()-100], mine.String()); !ours(err) {
		t.Errorf("cut: %v", err)
	}
	bad := bytes.Clone(file.Bytes())
	bad[len(bad)-100] ^= 1
	if err := open(bad, mine.String()); !ours(err) {
		t.Errorf("changed: %v", err)
	}
	if err := to.Add("AGE-SECRET-KEY-1QPZR"); err == nil || strings.Contains(err.Error(), "QPZR") {
		t.Errorf("a secret for a recipient: %v", err)
	}
}

// FuzzReader: whatever a file says, reading it ends, with an error that says why.
func FuzzReader(f *testing.F) {
	frames := func(kind byte, body string) string {
		return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))) + body
	}
	rows := AppendRow(AppendRow(nil, Row{"a", int64(1), nil}), Row{"a", int64(2), []byte{1}})
	sum := NewDigest()
	sum.Add(Row{"a", int64(1), nil})
	sum.Add(Row{"a", int64(2), []byte{1}})
	table, _ := json.Marshal(pairs)
	end, _ := json.Marshal(sum.Sum())
	f.Add([]byte(frames('H', "{}") + frames('T', string(table)) + frames('R', string(rows)) + frames('E', string(end))))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Behind the digest that would refuse nearly all: the frames as they are.
		var outer bytes.Buffer
		chunks, err := newChunkWriter(&outer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chunks.Write(zipped(t, data)); err != nil || chunks.Close() != nil {
			t.Fatal(err)
		}
		for _, in := range [][]byte{data, append([]byte(magic), data...), outer.Bytes()} {
			if _, sums, err := check(bytes.NewReader(in)); err != nil && !ours(err) || err == nil && sums == nil {
				t.Fatalf("%v %v", sums, err)
			}
		}
	})
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// check reads a whole backup, and returns what it says of its tables.
func check(from io.Reader) (h Header, sums map[string]Sum, err error) {
	r, err := NewReader(from)
	if err != nil {
		return h, nil, err
	}
	sums, err = r.Skip()
	return r.Header, sums, err
}
