package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// patience is how long a client waits for one answer.
const patience = 30 * time.Second

// client is one keep-alive connection that sends requests prepared as bytes. It reads
// no more of HTTP than the answers measured here need (RFC 9112: a status line, fields,
// and a body of Content-Length), since the load takes its processor time from the server.
type client struct {
	connect func() (net.Conn, error)
	conn    net.Conn
	in      *bufio.Reader
	body    []byte
	used    time.Time
}

// longestIdle is how long a connection may rest: less than any server closes it after.
const longestIdle = 5 * time.Second

// dial makes a client whose connections end with ctx's deadline.
func dial(ctx context.Context, address string) (*client, error) {
	connect := func() (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if end, ok := ctx.Deadline(); ok && err == nil {
			err = conn.SetDeadline(end)
		}
		return conn, err
	}
	conn, err := connect()
	if err != nil {
		return nil, err
	}
	return &client{connect: connect, conn: conn, in: bufio.NewReaderSize(conn, 16<<10), used: time.Now()}, nil
}

// hangUp is for when others have their turn: a server counts the connections of one address.
func (c *client) hangUp() {
	_ = c.conn.Close()
	c.used = time.Time{}
}

// do sends a request and reads its answer. The body is good until the next call.
func (c *client) do(request []byte) (status int, body []byte, err error) {
	if time.Since(c.used) > longestIdle {
		_ = c.conn.Close() // the other end may have done so
		conn, err := c.connect()
		if err != nil {
			return 0, nil, err
		}
		c.conn = conn
		c.in.Reset(conn)
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	status, body, err = c.read()
	c.used = time.Now()
	return status, body, err
}

var (
	errAnswer     = errors.New("an answer that this client does not understand")
	errRefused    = errors.New("the server is too busy, and says so")
	contentLength = []byte("Content-Length: ")
)

func (c *client) read() (status int, body []byte, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < len("HTTP/1.1 200\r\n") || string(line[:9]) != "HTTP/1.1 " {
		return 0, nil, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, errAnswer
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if len(line) == len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, errAnswer
			}
		}
	}
	switch {
	case status == 204:
		length = 0
	case length < 0 || length > 1<<20:
		return 0, nil, errAnswer
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	for n := 0; n < length; {
		m, err := c.in.Read(c.body[n:])
		if err != nil {
			return 0, nil, err
		}
		n += m
	}
	return status, c.body, nil
}

// ok is do, where everything but a 200 is an error.
func (c *client) ok(request []byte) ([]byte, error) {
	status, body, err := c.do(request)
	if err == nil && status == 503 {
		return body, errRefused
	}
	if err == nil && status != 200 {
		err = fmt.Errorf("%s answers %d: %.200s", bytes.SplitN(request, []byte(" HTTP"), 2)[0], status, body)
	}
	return body, err
}

// post is a request with a JSON body.
func post(host, path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, host, len(body), body)
}

// get is a request with a bearer token, or with none.
func get(host, path, bearer string) []byte {
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", path, host)
	if bearer != "" {
		request = fmt.Appendf(request, "Authorization: Bearer %s\r\n", bearer)
	}
	return append(request, "\r\n"...)
}

// question is a request with a credential, which a row asks over and over.
type question struct{ method, path, authorization, form string }

const formType = "application/x-www-form-urlencoded"

func (q question) bytes(host string) []byte {
	request := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: %s\r\n", q.method, q.path, host, q.authorization)
	if q.form != "" {
		request = fmt.Appendf(request, "Content-Type: %s\r\nContent-Length: %d\r\n", formType, len(q.form))
	}
	return append(request, "\r\n"+q.form...)
}

// field is the text of a member in compact JSON, without escapes.
func field(body []byte, name string) ([]byte, error) {
	_, rest, found := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return nil, fmt.Errorf("no %q in %.200q", name, body)
	}
	return value, nil
}
