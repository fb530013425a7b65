package web

import (
	"bufio"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"
)

// Over TLS the framing is net/http's own. Where it says nothing of a length that came
// beside chunks, nothing behind the request is read.
func TestThreat59_FramingTLS(t *testing.T) {
	h, config := floodHall(t)
	const next = "GET /address HTTP/1.1\r\nHost: x\r\n\r\n"
	const login = "POST /login HTTP/1.1\r\nHost: x\r\n"
	said := func(text string) *bufio.ReadWriter {
		config := config.Clone()
		config.NextProtos = []string{"http/1.1"}
		conn, err := tls.Dial("tcp", h.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, text)
		return bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
	}
	for _, c := range []struct {
		what, head string
		status     int
		goesOn     bool
	}{
		{"a length", "Content-Length: 2\r\n\r\n{}", 200, true},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, false},
		{"a length and chunks", "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, false},
		{"two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, false},
		{"two equal lengths", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, true},
		{"chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, false},
		{"another coding", "Transfer-Encoding: gzip\r\n\r\n", 501, false},
		{"white space before the colon", "Content-Length : 2\r\n\r\n{}", 400, false},
		{"NUL", "X: \x00\r\nContent-Length: 2\r\n\r\n{}", 400, false},
		{"CR alone", "X: y\rz\r\nContent-Length: 2\r\n\r\n{}", 400, false},
		{"a folded first line", " X: y\r\nContent-Length: 2\r\n\r\n{}", 400, false},
		{"LF behind the size of a chunk", "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 400, false},
		{"a folded line", "X: y\r\n z\r\nContent-Length: 2\r\n\r\n{}", 200, true},
		{"a folded trailer", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n", 200, false},
		{"LF alone", "X: y\nContent-Length: 2\r\n\r\n{}", 200, true},
	} {
		conn := said(login + c.head + next)
		response := gets(t, c.what, conn, c.status)
		if c.goesOn {
			gets(t, "behind "+c.what, conn, 200)
		} else if rest, err := io.ReadAll(conn); err != nil || strings.Contains(string(rest), "HTTP/1.1 ") {
			t.Errorf("behind %s (%s): %q %v", c.what, response, rest, err)
		}
	}
	conn := said("POST /login HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next)
	text, err := io.ReadAll(conn)
	if err != nil || strings.Count(string(text), "HTTP/1.") != 1 {
		t.Errorf("chunks in HTTP/1.0: %q %v", text, err)
	}
}
