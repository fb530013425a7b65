package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// head is the head of a request as it goes over the wire, but for the empty line.
func head(request string, lines ...string) string {
	return request + " HTTP/1.1\r\nHost: attack\r\n" + strings.Join(append(lines, ""), "\r\n")
}

// framed is a request with a JSON body.
func framed(request, body string, lines ...string) string {
	lines = append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	return head(request, lines...) + "\r\n" + body
}

func (s *server) dial(source string) (net.Conn, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(s.w.ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(30 * time.Second))
}

// raw sends bytes on a connection of their own and reads the first answer, while it
// sends: the server may have enough of it before the end.
func (s *server) raw(source, text string) answer {
	answers := s.rawAll(source, text, 1)
	return answers[0]
}

// rawAll reads up to so many answers; what is missing has status 0.
func (s *server) rawAll(source, text string, most int) (answers []answer) {
	conn, err := s.dial(source)
	if err != nil {
		return []answer{{body: err.Error()}}
	}
	defer conn.Close()
	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, text) // a server that has enough need not read the rest
	}()
	in := bufio.NewReader(conn)
	for range most {
		a := readAnswer(in)
		a.took = time.Since(began)
		answers = append(answers, a)
		if a.status == 0 {
			break
		}
	}
	_ = conn.Close()
	<-sent
	return answers
}

func readAnswer(in *bufio.Reader) answer {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}
}
