package web

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// fed is a connection on which bytes come in pieces of a size, or all at once.
type fed struct {
	net.Conn
	data  []byte
	piece int
}

func (f *fed) Read(b []byte) (int, error) {
	if len(f.data) == 0 {
		return 0, io.EOF
	}
	if f.piece > 0 && len(b) > f.piece {
		b = b[:f.piece]
	}
	n := copy(b, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (*fed) RemoteAddr() net.Addr { return nil }

// through is what can be read of a connection on which the bytes come.
func through(t testing.TB, data []byte, piece, buffer int) []byte {
	t.Helper()
	l := &Listener{config: ListenerConfig{Plain: true, Log: slog.New(slog.DiscardHandler)}}
	c := &conn{Conn: &fed{data: bytes.Clone(data), piece: piece}, listener: l}
	var out []byte
	b := make([]byte, buffer)
	for {
		n, err := c.Read(b)
		out = append(out, b[:n]...)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil || len(out) > len(data)+len(malformed) {
			t.Fatalf("%v after %q", err, out)
		}
	}
}

// ordinary are requests that pass as they are, one behind the other.
var ordinary = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n\n\r\x00{}",
	"POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:\t 0005 \t\r\nCookie: a=b\r\nTE: trailers\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
	"PUT / HTTP/1.1\r\nTransfer-encoding:Chunked\r\nHost: x\r\n\r\n5\r\n\r\n\n\x00\r\r\n00a;x\r\n0123456789\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked \r\n\r\nA\r\n0123456789\r\n1;a=\"b\"\r\nx\r\n2 \t\r\nxy\r\n000\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n",
	"DELETE / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 1\r\nEmpty:\r\nContent-Lengths: 1, 2\r\nTransfer: x\r\n\r\nx",
	"POST / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("\n", 9000),
	"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", // behind a POST
}

func TestFraming_OrdinaryPasses(t *testing.T) {
	all := []byte(strings.Join(ordinary, ""))
	for _, piece := range []int{0, 1, 2, 3, 7, 4096} {
		for _, buffer := range []int{1, 5, 4096} {
			if got := through(t, all, piece, buffer); !bytes.Equal(got, all) {
				t.Errorf("pieces of %d, buffer of %d: passed up to %q", piece, buffer, tailOf(got))
			}
		}
	}
	heads, ends := boundaries(all)
	if len(heads) != len(ordinary) || len(ends) != len(ordinary) || ends[len(ends)-1] != len(all) {
		t.Errorf("%d heads and %d ends of %d requests: %v", len(heads), len(ends), len(ordinary), ends)
	}
	sameAsHTTP(t, all)
}

func tailOf(b []byte) []byte { return b[max(0, len(b)-60):] }

func TestFraming_Refuses(t *testing.T) {
	const start = "POST / HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct{ good, bad, why string }{
		{"GET / HTTP/1.1", "\nHost: x\r\n\r\n", badLine},
		{"\r", "\rGET / HTTP/1.1\r\n\r\n", badLine},
		{"\r", "GET / HTTP/1.1\r\n\r\n", badLine},
		{"", "\nGET / HTTP/1.1\r\n\r\n", badLine},
		{start + "A: b", "\nContent-Length: 2\r\n\r\n{}", badLine},
		{start + "Content-", "\n\r\n", badLine},
		{start, "\n", badLine},
		{start + "\r", "\r\n", badLine},
		{start, " folded\r\n\r\n", badFold},
		{start + "A: b\r\n", "\tfolded\r\n\r\n", badFold},
		{start + "Content-Length: 2\r\ncontent-length", ": 2\r\n\r\n{}", badLength},
		{start + "Content-Length: 2", ", 2\r\n\r\n{}", badLength},
		{start + "Content-Length: 2 ", "2\r\n\r\n{}", badLength},
		{start + "Content-Length: ", "+2\r\n\r\n{}", badLength},
		{start + "Content-Length: 0", "x2\r\n\r\n{}", badLength},
		{start + "Content-Length: 922337203685477580", "9\r\n\r\n{}", badLength},
		{start + "Content-Length: \r", "\n\r\n", badLength},
		{start + "Content-Length: 2\r", "\r\n\r\n{}", badLine},
		{start + "Content-Length: 2", "\n\r\n{}", badLength},
		{start + "Content-Length: 2\r\nTransfer-Encoding", ": chunked\r\n\r\n", badBoth},
		{start + "Transfer-Encoding: chunked\r\nContent-Length", ": 2\r\n\r\n", badBoth},
		{start + "Transfer-Encoding: xchunked\r\nContent-Length", ": 2\r\n\r\n", badBoth},
		{start + "Transfer-Encoding: chunked\r\nTransfer-Encoding", ": chunked\r\n\r\n", badCoding},
		{"POST / HTTP/1.0\r\nTransfer-Encoding", ": chunked\r\n\r\n0\r\n\r\n", badCoding},
		{start + "Transfer-Encoding: chunked\r\n\r\n2", "\n{}\r\n0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n", ";\r\n{}\r\n0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n2 ", ";a\r\n{}\r\n0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n0000000000000000", "2\r\n{}\r\n0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}", "0\r\n\r\n", badChunking},
		{start + "Transfer-Encoding: chunked\r\n\r\n2;a", "\n{}\r\n0\r\n\r\n", badLine},
		{start + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "\n", badLine},
		{start + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b", "\n\r\n", badLine},
		{start + "Transfer-Encoding: chunked\r\n\r\n0\r\n", " A: b\r\n\r\n", badFold},
	} {
		var f framing
		if n, why := f.scan([]byte(c.good + c.bad)); n != len(c.good) || why != c.why {
			t.Errorf("%q: %d %q, want %d %q", c.good+c.bad, n, why, len(c.good), c.why)
		}
		for _, buffer := range []int{1, 4096} {
			if got := through(t, []byte(c.good+c.bad), 0, buffer); string(got) != c.good+malformed {
				t.Errorf("%q: passed %q", c.good+c.bad, got)
			}
		}
		sameAsHTTP(t, through(t, []byte(c.good+c.bad), 0, 4096))
	}
	for _, bad := range []string{
		"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\ra HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n",
		start + "A: b\rContent-Length: 2\r\n\r\n", start + "A: b\r\r\n\r\n", start + "A: \x00\r\n\r\n", start + "A\x00: b\r\n\r\n", start + "\rA: b\r\n\r\n",
		start + "Content-Length : 2\r\n\r\n{}", start + "Content-Length\t: 2\r\n\r\n{}",
	} {
		sameAsHTTP(t, through(t, []byte(bad), 0, 4096)) // where sloppy says what net/http did not refuse
	}
	// net/http answers a coding that it does not know with 501. Nothing behind it is read.
	const unknown = start + "Transfer-Encoding: gzip, chunked\r\n\r\n"
	if got := through(t, []byte(unknown+ordinary[0]), 0, 4096); string(got) != unknown {
		t.Errorf("passed %q", got)
	}
}

// boundaries are where framing sees heads and requests end.
func boundaries(data []byte) (heads, ends []int) {
	var f framing
	for i := range data {
		before := f
		if n, why := f.scan(data[i : i+1]); n == 0 || why != "" {
			return heads, ends
		}
		head := before.state == inLineStart && before.cr
		if head {
			heads = append(heads, i+1)
		}
		if f.state == inRequestStart && (head || before.state == inBody || before.state == inTrailerStart) {
			ends = append(ends, i+1)
		}
	}
	return heads, ends
}

// sloppy is what no head may have that gets through.
var sloppy = regexp.MustCompile(`(?is)\x00|\r(?:[^\n]|$)|(?:^|[^\r])\n|\n[ \t]|(\ncontent-length:.*){2}|(\ntransfer-encoding:.*){2}|\ncontent-length:.*\ntransfer-encoding:|\ntransfer-encoding:.*\ncontent-length:|^[^\n]*1\.0\r\n(.*\n)?transfer-encoding:`)

// sameAsHTTP holds what got through against what net/http makes of it: each request that it
// reads ends where framing sees it end. It returns where the last head ends.
func sameAsHTTP(t testing.TB, passed []byte) (read int) {
	t.Helper()
	heads, ends := boundaries(passed)
	source := bytes.NewReader(passed)
	r := bufio.NewReader(source)
	at := func() int { return len(passed) - source.Len() - r.Buffered() }
	for i, post := 0, false; ; i++ {
		for range 4 { // as net/http's server does it
			if next, err := r.Peek(1); post && err == nil && (next[0] == '\r' || next[0] == '\n') {
				_, _ = r.Discard(1)
				continue
			}
			break
		}
		start := at()
		request, err := http.ReadRequest(r)
		if err != nil || request.ProtoMajor != 1 {
			return read
		}
		read = at()
		if i >= len(heads) || read != heads[i] {
			t.Fatalf("head %d of %q ends at %d for net/http, and here %v", i, passed, read, heads)
		}
		if found := sloppy.Find(passed[start:heads[i]]); found != nil {
			t.Fatalf("a head with %q got through: %q", found, passed[start:heads[i]])
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return read // and no more is read of the connection
		}
		if i >= len(ends) || at() != ends[i] {
			t.Fatalf("request %d of %q ends at %d for net/http, and here %v", i, passed, at(), ends)
		}
		post = request.Method == http.MethodPost
		if request.Close {
			return read
		}
	}
}

// What is refused is answered 400 in its turn, behind what came before it, and nothing
// behind it is read.
func TestThreat59_Framing(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyEmpty)}, Route{Path: "/unread", Handler: shows(func(*Request) string { return "x" })})
	const good = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	refused := 0
	for what, rest := range map[string]string{
		"two equal lengths":             "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"a list of equal lengths":       "Content-Length: 2, 2\r\n\r\n{}",
		"two lengths":                   "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
		"a length and chunks":           "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunks and a length":           "Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunks twice":                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"LF alone":                      "X: y\nContent-Length: 2\r\n\r\n{}",
		"a head that ends with LF":      "Content-Length: 2\r\n\n{}",
		"CR alone":                      "X: y\rContent-Length: 2\r\n\r\n{}",
		"NUL":                           "X: \x00\r\nContent-Length: 2\r\n\r\n{}",
		"a folded line":                 "X: y\r\n z\r\nContent-Length: 2\r\n\r\n{}",
		"a folded first line":           " X: y\r\nContent-Length: 2\r\n\r\n{}",
		"white space before the colon":  "Content-Length : 2\r\n\r\n{}",
		"a tab before the colon":        "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
		"LF behind the size of a chunk": "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
		"LF behind the last chunk":      "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\n\r\n",
		"LF in a trailer":               "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\n\r\n",
	} {
		bad := "POST /login HTTP/1.1\r\nHost: x\r\n" + rest
		for before := range 3 {
			conn := dialed(t, h.addr, strings.Repeat(good, before)+bad+good)
			for range before {
				gets(t, what, conn, 200)
			}
			gets(t, what, conn, 400)
			closed(t, what, conn)
		}
		refused++
	}
	conn := dialed(t, h.addr, "POST /login HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"+good)
	gets(t, "chunks in HTTP/1.0", conn, 400)
	closed(t, "chunks in HTTP/1.0", conn)
	conn = dialed(t, h.addr, "POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\n{\r\n0\r\n\r\n"+good)
	gets(t, "a body that is not read", conn, 200)
	closed(t, "a body that is not read", conn)
	if log := h.log.String(); !strings.Contains(log, badBoth) || strings.Count(log, "refused with 400 before") < refused {
		t.Errorf("the log: %s", log)
	}
}

// What is ordinary is answered, one request behind the other.
func TestFraming_KeepAlive(t *testing.T) {
	h := open(t, Options{}, Route{Path: "/login", Handler: greet(BodyEmpty)})
	var all strings.Builder
	requests := []string{
		"Content-Length: 16\r\n\r\n{\"username\":\"a\"}",
		"Transfer-Encoding: chunked\r\n\r\n8\r\n{\"userna\r\n8;x=y\r\nme\":\"a\"}\r\n0\r\nX: y\r\n\r\n",
		"Content-Length: 16\r\n\r\n{\"username\":\"a\"}\r\n", // an empty line, as some clients sent it
	}
	for _, rest := range requests {
		all.WriteString("POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + rest)
	}
	conn := dialed(t, h.addr, strings.Repeat(all.String(), 20))
	for range 20 * len(requests) {
		if got := gets(t, "one of many", conn, 200); !strings.Contains(got, "<a>") {
			t.Fatal(got)
		}
	}
	_, _ = conn.WriteString("POST /login HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n")
	_ = conn.Flush()
	if line, err := conn.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	if line, err := conn.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	for _, b := range []byte("{\"username\":\"a\"}GET /login HTTP/1.1\r\nHost: x\r\n\r\n") {
		_ = conn.WriteByte(b)
		_ = conn.Flush()
	}
	gets(t, "what was expected", conn, 200)
	gets(t, "the request behind it", conn, 405)
}

func dialed(t *testing.T, addr, text string) *bufio.ReadWriter {
	t.Helper()
	h := hall{house: &house{addr: addr}}
	return h.dial(t, here, text)
}

func FuzzFraming(f *testing.F) {
	for i, request := range ordinary {
		f.Add([]byte(request+ordinary[(i+3)%len(ordinary)]), byte(i))
	}
	f.Add([]byte("POST / HTTP/1.1\r\r\nTransfer-Encoding: chunked\r\n\r\n"), byte(1))
	for _, head := range []string{
		"Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n",
		"Content-Length : 2\r\n", "A: b\n", "A: b\r\n c\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999999999999\r\n",
	} {
		f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\n"+head+"\r\n2\r\n{}\r\n0\r\n\r\n"+ordinary[0]), byte(3))
		f.Add([]byte("POST / HTTP/1.0\r\nHost: x\r\n"+head+"\r\n2\r\n{}\r\n0\r\n\r\n"+ordinary[0]), byte(9))
	}
	f.Fuzz(func(t *testing.T, data []byte, piece byte) {
		passed := through(t, data, 0, 4096)
		if in := through(t, data, int(piece), 1+int(piece)/2); !bytes.Equal(in, passed) {
			t.Fatalf("in pieces of %d: %q, and at once %q", piece, in, passed)
		}
		good, refused := bytes.CutSuffix(passed, []byte(malformed))
		if !bytes.HasPrefix(data, good) {
			t.Fatalf("%q became %q", data, passed)
		}
		if read := sameAsHTTP(t, passed); refused && read > len(good) {
			t.Fatalf("the malformed became part of a request: %q", passed)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	request := []byte("GET /ostiary/verify HTTP/1.1\r\nHost: login.example.com\r\nAuthorization: Bearer " + strings.Repeat("x", 600) +
		"\r\nX-Forwarded-For: 192.0.2.1\r\nX-Original-URI: /api/things?x=y\r\nX-Original-Method: GET\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nCookie: a=b; c=d\r\nConnection: keep-alive\r\n\r\n")
	var f framing
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	for b.Loop() {
		if n, why := f.scan(request); n != len(request) || why != "" || f != (framing{}) {
			b.Fatal(n, why)
		}
	}
}
