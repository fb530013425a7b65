package pgtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a PostgreSQL, and is as bad as a network can be.
type Proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	away  bool
	delay time.Duration
	fault CommitFault
	met   int // faults that happened
	trips int // messages that a client waited for
}

// CommitFault is what becomes of the next COMMIT.
type CommitFault int

// What can become of a COMMIT. In each case the client's connection ends without an answer.
const (
	CommitPasses     CommitFault = iota
	CommitLost                   // it does not reach the server, which waits for it for a while
	CommitUnanswered             // the server commits
	CommitLate                   // the server commits a while after the client's connection has ended
)

// NewProxy starts one before the server of a URL, and returns the URL to use in its place.
func NewProxy(t testing.TB, url string) (p *Proxy, through string) {
	t.Helper()
	l, err := net.Listen("tcp", FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(url, "@")
	target, _, _ := strings.Cut(rest, "/")
	p = &Proxy{target: target, listener: l, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
	})
	return p, strings.Replace(url, "@"+target+"/", "@"+l.Addr().String()+"/", 1)
}

// SetDelay is how long each message of a client takes to the server.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// SetAway has connections end as soon as they are made, and ends those that there are.
func (p *Proxy) SetAway(away bool) {
	p.mu.Lock()
	p.away = away
	p.mu.Unlock()
	if away {
		p.Cut()
	}
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	clear(p.conns)
}

// AtCommit has something become of the next COMMIT.
func (p *Proxy) AtCommit(f CommitFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Met is how many faults have happened.
func (p *Proxy) Met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// Trips is how often a client has sent something and waited for the answer.
func (p *Proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.carry(client)
	}
}

// hold notes connections, which end with Cut.
func (p *Proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.away {
			_ = conn.Close()
		} else {
			p.conns[conn] = true
		}
	}
	return !p.away
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(p.conns, conn)
	}
}

// takeFault is what becomes of a COMMIT that comes now.
func (p *Proxy) takeFault() (f CommitFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, p.fault = p.fault, CommitPasses
	if f != CommitPasses {
		p.met++
	}
	return f
}

func (p *Proxy) carry(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.hold(client, server) {
		_ = client.Close()
		return
	}
	l := &link{Proxy: p, client: client, server: server, committed: make(chan struct{})}
	defer p.drop(client, server)
	go l.answers()
	_ = l.requests() // why it has ended, the test knows
}

// link is one connection.
type link struct {
	*Proxy
	client, server net.Conn
	mu             sync.Mutex
	mute           bool // no answer passes
	committed      chan struct{}
}

func (l *link) muted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mute
}

// answers passes on what the server says.
func (l *link) answers() {
	buffer := make([]byte, 16<<10)
	for {
		n, err := l.server.Read(buffer)
		if l.muted() {
			if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) || err != nil {
				close(l.committed)
				return
			}
		} else if _, failed := l.client.Write(buffer[:n]); failed != nil || err != nil {
			l.drop(l.client, l.server)
			return
		}
	}
}

// requests passes on the messages of the client (PostgreSQL's documentation, "Message Formats").
func (l *link) requests() error {
	if err := l.start(); err != nil {
		return err
	}
	commits := map[string]bool{} // prepared statements
	var held []byte              // until a client waits for an answer
	fault := CommitPasses
	for {
		kind, message, err := l.message()
		if err != nil {
			return err
		}
		held = append(binary.BigEndian.AppendUint32(append(held, kind), uint32(len(message)+4)), message...)
		name, rest, _ := strings.Cut(string(message), "\x00")
		statement, _, _ := strings.Cut(rest, "\x00")
		switch {
		case kind == 'P':
			commits[name] = strings.HasPrefix(statement, "COMMIT")
		case kind == 'Q' && strings.HasPrefix(name, "COMMIT"), kind == 'B' && commits[statement]:
			fault = l.takeFault()
		}
		switch {
		case kind != 'S' && kind != 'Q' && kind != 'p' && kind != 'X': // PostgreSQL's client sends more at once
			continue
		case fault != CommitPasses:
			return l.suffer(fault, held)
		}
		l.Proxy.mu.Lock()
		delay := l.delay
		l.trips++
		l.Proxy.mu.Unlock()
		time.Sleep(delay)
		if _, err := l.server.Write(held); err != nil {
			return err
		}
		held = held[:0]
	}
}

// late is how long the server has yet to wait when a client has gone.
const late = 300 * time.Millisecond

// suffer does what is to become of a COMMIT; after it the connection ends.
func (l *link) suffer(f CommitFault, commit []byte) error {
	l.mu.Lock()
	l.mute = true
	l.mu.Unlock()
	if f != CommitUnanswered {
		_ = l.client.Close()
		time.Sleep(late)
	}
	if f == CommitLost {
		return nil
	}
	if _, err := l.server.Write(commit); err != nil {
		return err
	}
	<-l.committed
	return nil
}

// start passes on the first message, which has no kind.
func (l *link) start() error {
	var size [4]byte
	if _, err := io.ReadFull(l.client, size[:]); err != nil {
		return err
	}
	if _, err := l.server.Write(size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(l.server, l.client, int64(binary.BigEndian.Uint32(size[:]))-4)
	return err
}

func (l *link) message() (kind byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(l.client, head[:]); err != nil {
		return 0, nil, err
	}
	message = make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	_, err = io.ReadFull(l.client, message)
	return head[0], message, err
}
