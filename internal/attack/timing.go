package main

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	samples = 300  // of each kind of failed login
	telling = 0.62 // a rank statistic that tells two kinds apart; five standard errors from one half
)

// enumerationByTime takes the times of failed logins of every kind, in turns, and sees by
// a rank test whether one can be told from a wrong password.
func enumerationByTime(w *world) (string, error) {
	s := w.serve(unlimited)
	populate(s, bcryptHash)
	var told []string
	figure := ""
	// A machine that is busy with something else tells what it likes; what the server
	// itself tells, it tells each time.
	for range 2 {
		if told, figure = tellTale(s); len(told) == 0 {
			return figure, nil
		}
	}
	return "", fmt.Errorf("told by its time, twice in a row: %s (%s)", strings.Join(told, ", "), figure)
}

func tellTale(s *server) (told []string, figure string) {
	times := failures(s)
	var values []string
	for i, r := range refusals[1:] {
		auc := rank(times[0], times[i+1])
		values = append(values, fmt.Sprintf("%s %.2f", r[0], auc))
		if math.Abs(auc-0.5) > telling-0.5 {
			told = append(told, r[0])
		}
	}
	return told, fmt.Sprintf("AUC against a wrong password, %d samples each: %s (0.5: no difference; told from 0.12 off); median %.0f ms",
		len(times[0]), strings.Join(values, ", "), median(times[0])*1000)
}

// failures takes the times of failed logins. Most of one is waiting for the floor, so
// several people fail at once, each in an order of its own.
func failures(s *server) [][]float64 {
	const people = 8
	times := make([][]float64, len(refusals))
	var mu sync.Mutex
	atOnce(people, func(i int) {
		v := s.from(source(i))
		for range (samples + people - 1) / people {
			for _, kind := range rand.Perm(len(refusals)) {
				a := senmo.login(v, refusals[kind][0], refusals[kind][1])
				if a.status != senmo.failed {
					return
				}
				mu.Lock()
				times[kind] = append(times[kind], a.took.Seconds())
				mu.Unlock()
			}
		}
	})
	if len(times[0]) < samples {
		s.w.must(fmt.Errorf("only %d samples", len(times[0])))
	}
	return times
}

// rank is the Mann-Whitney statistic as a share: how often a value of b is above one of a.
func rank(a, b []float64) float64 {
	above := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case y > x:
				above++
			case y == x:
				above += 0.5
			}
		}
	}
	return above / float64(len(a)*len(b))
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// weakRandomness collects what should be random, and counts its bits.
func weakRandomness(w *world) (string, error) {
	s := w.serve()
	secret := s.service("gateway")
	var f findings
	var mu sync.Mutex
	seen := map[string]bool{}
	var ones, total int
	take := func(text string, opaque bool) {
		mu.Lock()
		defer mu.Unlock()
		if text == "" || seen[text] {
			f.addf("given twice, or not at all: %q", text)
		}
		seen[text] = true
		if !opaque {
			return // such as a JWT, in which not all is random
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) < 32 {
			f.addf("not 256 bits: %q", text)
		}
		for _, b := range raw {
			ones += bits.OnesCount8(b)
		}
		total += 8 * len(raw)
	}
	end := time.Now().Add(8 * time.Second)
	atOnce(8, func(i int) {
		v := s.from(source(i))
		for time.Now().Before(end) && w.ctx.Err() == nil {
			ticket := v.ticket("gateway", secret)
			take(ticket, true)
			take(member(v.passport(ticket, "").body, "auth_token"), true)
			web := v.signIn(cloudio, "gateway", secret)
			take(web.token, false)
			take(member(web.body, "csrf"), false)
			take(member(web.body, "sessionId"), false)
			take(v.signIn(nomic, "gateway", secret).token, false)
			take(v.signIn(senmo, "gateway", secret).refresh, false)
		}
	})
	// Of n fair bits the share of ones is off one half by 1/(2*sqrt(n)), and by five times that about never.
	share := float64(ones) / float64(max(total, 1))
	if total == 0 || math.Abs(share-0.5) > 5/(2*math.Sqrt(float64(total))) {
		f.addf("%d of %d bits are ones", ones, total)
	}
	return fmt.Sprintf("%d tickets, tokens, csrf and session ids, all distinct; %.4f of %d bits are ones", len(seen), share, total), f.err()
}
