package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// What the design promises of memory, of a start and of the binary.
const (
	aimStart  = 20 // ms
	aimIdle   = 20 // MB
	aimBinary = 25 // MB
)

// aimLogin is the memory of a process that hashes in as many slots as there are cores, in MB.
func aimLogin() float64 { return 30 + 19*float64(runtime.NumCPU()) }

// spec is a row of the page, before it is measured.
type spec struct {
	name   string
	limit  string  // the row that bounds this one, and stands before it
	share  float64 // of the limit; 0: all of it
	other  string  // another one of that kind
	others float64 // the share of it
	aim    aim
	like   string // the row of aim.like
	open   func(ctx context.Context, b *bench, r *row) error
}

// value is a figure of the page that is not of a row.
type value struct {
	name, unit string
	below      float64 // what it should be, at the most; 0: nothing was promised
}

// group is what is measured in turns, with its limits. Its values are what run returns.
type group struct {
	name   string
	rows   []spec
	values []value
	run    func(b *bench, ctx context.Context, rows []*row) ([]float64, error)
}

// beside begins the names of what is PocketBase's.
const beside = "PocketBase: "

// groups are what a run measures if nothing else is asked for, in the order of the page.
func groups() []group {
	return []group{
		{"login", loginRows(), []value{
			{"resident memory, most under logins", "MB", aimLogin()},
			{beside + "resident memory, most under logins", "MB", 0},
		}, (*bench).logins},
		{"refresh", refreshRows(), nil, (*bench).inTurns},
		{"verify", verifyRows(), []value{
			{"resident memory, after the load", "MB", 0},
			{beside + "resident memory, after the load", "MB", 0},
		}, (*bench).verifications},
		{"start", nil, []value{
			{"start to the first 200, median", "ms", aimStart},
			{beside + "start to the first 200, median", "ms", 0},
			{"resident memory, idle", "MB", aimIdle},
			{beside + "resident memory, idle", "MB", 0},
			{"size of the binary", "MB", aimBinary},
			{beside + "size of the binary", "MB", 0},
		}, (*bench).starts},
	}
}

// loginRows are logins against what they have to compute: mikrocloud's the bare hash,
// nomic's one signature beside it, senmo's two.
func loginRows() []spec {
	rows := []spec{
		{name: "limit: argon2id of golang.org/x/crypto", open: hashLimit(freshKey, 0)},
		{name: hashed(0), open: hashLimit(pooledKey, 0), limit: "limit: argon2id of golang.org/x/crypto", aim: aim{ratio: 1.7}},
	}
	for signatures, kind := range []struct {
		dialect string
		login   func(b *bench, c *client, i int) worker
	}{{"mikrocloud", (*bench).mikrocloud}, {"nomic", (*bench).nomic}, {"senmo", (*bench).senmo}} {
		if signatures > 0 {
			rows = append(rows, spec{name: hashed(signatures), open: hashLimit(pooledKey, signatures)})
		}
		for _, n := range []int{16, 64, 256} {
			s := spec{name: crowd("logins "+kind.dialect, n), limit: hashed(signatures), aim: aim{ratio: 0.9, spread: 1.5}, open: clientsOf(n, kind.login)}
			if n > 16 {
				s.like = crowd("logins "+kind.dialect, 16)
			}
			rows = append(rows, s)
		}
	}
	const bcrypt = "limit: bcrypt, cost 10"
	rows = append(rows, spec{name: bcrypt, open: bcryptLimit})
	for _, n := range []int{16, pocketMost} {
		rows = append(rows, spec{name: crowd(beside+"logins (bcrypt)", n), limit: bcrypt, open: pocketClients(n, (*pocket).login)})
	}
	return rows
}

func hashed(signatures int) string {
	return "limit: argon2id" + []string{"", " and one RS256", " and two RS256"}[signatures]
}

func committed(rows int) string {
	return fmt.Sprintf("limit: commits with fsync, %d rows each", rows)
}

func crowd(name string, clients int) string { return fmt.Sprintf("%s, %d clients", name, clients) }

// refreshRows are refreshes (senmo, two JWTs) against half the bare signatures; and those that
// sign fast against the commits that so many clients can share, if that is less.
func refreshRows() []spec {
	crowds := []int{16, 64}
	var rows []spec
	for _, n := range crowds {
		rows = append(rows, spec{name: committed(n), open: commitLimit(n)})
	}
	for _, algorithm := range []string{"RS256", "ES256"} {
		limit := "limit: " + algorithm + " signatures"
		rows = append(rows, spec{name: limit, open: signLimit(algorithm)})
		for _, n := range crowds {
			s := spec{name: crowd("refreshes "+algorithm, n), limit: limit, share: 0.5, open: refreshers(algorithm, n)}
			switch {
			case algorithm == "ES256":
				s.aim.rate = 5000
				s.other, s.others = committed(n), float64(n)
			case n == 64:
				s.aim = aim{ratio: 0.65, spread: 3}
			default:
				s.aim.ratio = 0.65
			}
			rows = append(rows, s)
		}
	}
	for _, n := range []int{16, pocketMost} {
		rows = append(rows, spec{name: crowd(beside+"refreshes (HS256, not kept)", n), open: pocketClients(n, (*pocket).refresh)})
	}
	return rows
}

// verifyRows are /ostiary/verify and introspection, against a bare handler that is sent
// the same as the first and answers with the same header.
func verifyRows() []spec {
	const floor = "limit: bare net/http"
	return []spec{
		{name: "limit: RS256 signatures checked", open: checkLimit("RS256")},
		{name: "limit: ES256 signatures checked", open: checkLimit("ES256")},
		{name: floor, open: floorLimit},
		{name: "verifications RS256", limit: floor, aim: aim{rate: 20_000}, open: verifying("RS256")},
		{name: "verifications ES256", limit: floor, open: verifying("ES256")},
		{name: "verifications opaque", limit: floor, aim: aim{rate: 30_000}, open: verifying("opaque")},
		{name: "introspections opaque", limit: floor, open: introspecting},
		{name: beside + "checks (HS256)", limit: floor, open: pocketChecks},
	}
}

// open makes rows of what a run measures.
func (b *bench) open(ctx context.Context, specs []spec) ([]*row, error) {
	var rows []*row
	named := func(name string) *row {
		i := slices.IndexFunc(rows, func(r *row) bool { return r.name == name })
		return rows[i]
	}
	for _, s := range specs {
		if b.alone && strings.HasPrefix(s.name, beside) {
			continue
		}
		r := &row{name: s.name, unit: "/s", share: 1, aim: s.aim}
		if s.limit != "" {
			r.limit = named(s.limit)
		}
		if s.share > 0 {
			r.share = s.share
		}
		if s.other != "" {
			r.other, r.others = named(s.other), s.others
		}
		if s.like != "" {
			r.aim.like = named(s.like)
		}
		if err := s.open(ctx, b, r); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}
