package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// slowTests are the attacks of slowhttptest: slow heads, slow bodies, slow reading, ranges.
var slowTests = [][]string{
	{"-H", "-i", "5", "-x", "24", "-t", "POST", "-u", "/v1/auth"},
	{"-B", "-i", "5", "-x", "10", "-s", "8192", "-f", "application/json", "-u", "/user/login"},
	{"-X", "-n", "5", "-w", "10", "-y", "100", "-z", "10", "-k", "3", "-u", "/ostiary/openapi.json"},
	{"-R", "-a", "10", "-b", "3000", "-u", "/.well-known/jwks.json"},
}

func slowClients(w *world) (string, error) {
	program, err := exec.LookPath("slowhttptest")
	if err != nil {
		return "", fmt.Errorf("%w: slowhttptest is not installed", errNotRun)
	}
	const connections = 1200
	s := w.serve()
	s.account("ada")
	var f findings
	var drips sync.WaitGroup
	var headTook, bodyTook time.Duration
	drips.Go(func() { headTook = drip(s, head("POST /v1/auth"), "X-A: b\r\n") })
	drips.Go(func() { bodyTook = drip(s, framed("POST /v1/auth", strings.Repeat(" ", 1000))[:120], " ") })
	var all []time.Duration
	for _, test := range slowTests {
		waits := canaries(w, s, &f, func(ctx context.Context) {
			args := append(slices.Clone(test), "-c", strconv.Itoa(connections), "-r", "500", "-l", "9", "-p", "5")
			last := slices.Index(args, "-u") + 1
			args[last] = "http://" + s.address + args[last]
			out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
			if err != nil && ctx.Err() == nil {
				f.addf("slowhttptest %s: %v %.200s", test[0], err, out)
			}
		})
		if len(waits) < 3 {
			f.addf("slowhttptest %s: only %d logins meanwhile", test[0], len(waits))
		}
		if worst := slices.Max(append(waits, 0)); w.slower(worst, time.Second) {
			f.addf("slowhttptest %s: the canary signed in after %v", test[0], worst)
		}
		all = append(all, waits...)
	}
	drips.Wait()
	if headTook > 13*time.Second || bodyTook > 24*time.Second {
		f.addf("a slow head was cut off after %v, a slow body after %v", headTook, bodyTook)
	}
	f.errs = append(f.errs, floods(s).errs...)
	slices.Sort(all)
	return fmt.Sprintf("%d slow connections, four ways (-H -B -X -R): a canary from their address signed in within %.0f ms (median of %d: %.0f); a head is cut off after %.0f s, a body after %.0f",
		connections, ms(all[len(all)-1]), len(all), ms(all[len(all)/2]), headTook.Seconds(), bodyTook.Seconds()), f.err()
}

// canaries signs in, from the address that the attack comes from, over and over while it
// lasts, on a new connection each.
func canaries(w *world, s *server, f *findings, attack func(context.Context)) (waits []time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		attack(ctx)
	}()
	for !closed(done) && len(f.errs) < 10 {
		began := time.Now()
		if a := s.raw("127.0.0.1", framed("POST /v1/auth", object("username", "ada", "password", passphrase), "Connection: close")); f.want("the canary", a, 200) {
			waits = append(waits, time.Since(began))
		}
		time.Sleep(200 * time.Millisecond)
	}
	<-done
	return waits
}

// drip sends something and then a little more each half second, and returns how long the
// server bears it.
func drip(s *server, first, more string) time.Duration {
	began := time.Now()
	conn, err := s.dial(stranger)
	if err != nil {
		return 0
	}
	defer conn.Close()
	_, err = io.WriteString(conn, first)
	for buffer := make([]byte, 4096); err == nil && time.Since(began) < 30*time.Second; {
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, err = conn.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_, err = io.WriteString(conn, more)
		}
	}
	return time.Since(began)
}

// floods sends more of a head than is taken.
func floods(s *server) *findings {
	var f findings
	many := make([]string, 20_000)
	for i := range many {
		many[i] = fmt.Sprintf("X-%d: y", i)
	}
	for name, lines := range map[string][]string{
		"20,000 headers": many, "a cookie of 1 MB": {"Cookie: a=" + strings.Repeat("b", 1<<20)}, "10,000 cookies": {"Cookie: " + strings.Repeat("a=b; ", 10_000)},
		"a header of 1 MB": {"X-A: " + strings.Repeat("b", 1<<20)}, "a name of 1 MB": {strings.Repeat("b", 1<<20) + ": x"},
	} {
		f.want(name, s.raw(stranger, head("GET /ostiary/verify", lines...)+"\r\n"), 431, 400)
	}
	f.want("a path of 1 MB", s.raw(stranger, head("GET /"+strings.Repeat("a", 1<<20))+"\r\n"), 431, 414, 400)
	f.want("the preface of HTTP/2", s.raw(stranger, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+strings.Repeat("\x00\x00\x00\x04\x01\x00\x00\x00\x00", 1000)), 400, 404, 505)
	return &f
}
