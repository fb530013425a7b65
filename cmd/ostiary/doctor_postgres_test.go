package main

import (
	"bufio"
	"io"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/store"
)

// Each thing that can be wrong with a server is found, and what is right is not.
func TestDoctor_JudgesTheServer(t *testing.T) {
	sound := store.Server{Fsync: "on", FullPageWrites: "on", SynchronousCommit: "on", Used: 10, Connections: 97}
	for _, c := range []struct {
		name            string
		change          func(s *store.Server)
		state, text, do string
	}{
		{"no fsync", func(s *store.Server) { s.Fsync = "off" }, wrong, "fsync is off: what was acknowledged may be lost", "set fsync to on"},
		{"torn pages", func(s *store.Server) { s.FullPageWrites = "off" }, wrong, "full_page_writes is off", "set full_page_writes"},
		{"asynchronous", func(s *store.Server) { s.SynchronousCommit = "off" }, wrong, "synchronous_commit is off", "set synchronous_commit"},
		{"local", func(s *store.Server) { s.SynchronousCommit, s.Standbys = "local", "ANY 1 (*)" }, warn, "a fail-over may lose", "set synchronous_commit to on"},
		{"standbys", func(s *store.Server) { s.Standbys = "ANY 1 (*)" }, fine, "on those of its standbys", ""},
		{"forbidden", func(s *store.Server) { s.Forbidden = []string{"session"} }, wrong, "may not read and write session", "GRANT"},
		{"of another", func(s *store.Server) { s.Foreign = 3 }, warn, "3 tables belong to another user", "REASSIGN OWNED"},
		{"none left", func(s *store.Server) { s.Used = 97 }, wrong, "no connections are left of 97", "max_connections"},
		{"few left", func(s *store.Server) { s.Used = 85 }, warn, "12 connections are left of 97, and one more node may take 16", "max_connections"},
		{"enough", func(s *store.Server) { s.Used = 81 }, fine, "16 connections are left", ""},
		{"ahead", func(s *store.Server) { s.Ahead = 4 * time.Second }, warn, "are 4s apart", "time service"},
		{"behind", func(s *store.Server) { s.Ahead = -time.Minute }, warn, "are 1m0s apart", "time service"},
		{"near", func(s *store.Server) { s.Ahead = -2 * time.Second }, fine, "less than 3s apart", ""},
	} {
		d := &doctor{app: &app{Context: t.Context(), set: &config.Shared{DatabaseConnections: 16}, out: bufio.NewWriter(io.Discard)}}
		s := sound
		c.change(&s)
		d.judgeServer(s)
		subject := "database"
		if s.Ahead != 0 {
			subject = "clock"
		}
		if !has(d.findings, c.state, subject, c.text, c.do) {
			t.Errorf("%s: %+v", c.name, d.findings)
		}
		for _, f := range d.findings {
			if c.state == fine && f.State != fine {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}
