package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// shutdown ends the server under load and starts it again, several times.
func shutdown(w *world) (string, error) {
	const restarts = 3
	clients := w.crowd(32)
	s := w.serve(slowly, "guess_source = 0")
	s.account("ada")
	s.account("grace")
	var g guesses
	var late atomic.Int32
	for range restarts {
		g.take(nomic, nomic.login(s.from(stranger), "ada", mistaken))
		restart(s, &g.findings, clients, &late)
		g.want("a login after the restart", senmo.login(s.from(owner), "grace", passphrase), 200)
	}
	for range 5 - restarts {
		g.take(nomic, nomic.login(s.from(stranger), "ada", mistaken))
	}
	if n := g.evaluated.Load(); n != 5 {
		g.addf("%d guesses evaluated, not 5", n)
	}
	g.want("the right password past the limit, counted over all restarts", nomic.login(s.from(stranger), "ada", passphrase), 429)
	return fmt.Sprintf("SIGTERM with %d logins in flight, %d times: all answered, %d of them after it; new connections refused; guesses counted on",
		clients, restarts, late.Load()), g.err()
}

// restart has many logins under way, of which some have sent half of their body, when it
// tells the server to stop. It counts those that are answered later.
func restart(s *server, f *findings, clients int, late *atomic.Int32) {
	text := framed("POST /v1/auth", object("username", "grace", "password", passphrase))
	var sent, all sync.WaitGroup
	signalled := make(chan struct{})
	for i := range clients {
		conn, err := s.dial(source(i))
		s.w.must(err)
		part := len(text)
		if i%4 == 0 {
			part -= 20
		}
		sent.Add(1)
		all.Go(func() {
			defer conn.Close()
			_, err := io.WriteString(conn, text[:part])
			sent.Done()
			if part < len(text) && err == nil {
				<-signalled
				_, err = io.WriteString(conn, text[part:])
			}
			if err != nil {
				f.addf("a login in flight: %v", err)
				return
			}
			if a := readAnswer(bufio.NewReader(conn)); f.want("a login in flight", a, 200) && closed(signalled) {
				late.Add(1)
			}
		})
	}
	sent.Wait()
	time.Sleep(50 * time.Millisecond) // until the server has taken them all
	before := len(s.log())
	s.w.must(s.process.Cmd.Process.Signal(syscall.SIGTERM))
	refuses := false
	for range 2000 { // the kernel refuses once the listener is closed
		conn, err := net.DialTimeout("tcp", s.address, time.Second)
		if refuses = err != nil; refuses {
			break
		}
		_ = conn.Close()
		time.Sleep(time.Millisecond)
	}
	if !refuses || strings.Contains(s.log()[before:], "msg=stopped") {
		f.addf("a server that stops takes new connections, or does not wait for half a body")
	}
	close(signalled)
	all.Wait()
	if err := s.process.Stopped(); err != nil {
		f.addf("%v", err)
	}
	s.start()
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
