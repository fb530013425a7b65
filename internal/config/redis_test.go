package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRedis_URL(t *testing.T) {
	for text, want := range map[string]Redis{
		"redis://127.0.0.1":                          {Addresses: []string{"127.0.0.1:6379"}},
		"redis://[::1]":                              {Addresses: []string{"[::1]:6379"}},
		"redis://cache.example:7000/3":               {Addresses: []string{"cache.example:7000"}, Database: 3},
		"rediss://:s%40cret@cache.example":           {Addresses: []string{"cache.example:6379"}, Password: "s@cret", TLS: true},
		"redis://ostiary:secret@10.0.0.1:1/":         {Addresses: []string{"10.0.0.1:1"}, User: "ostiary", Password: "secret"},
		"redis+cluster://a:1,b:2,c":                  {Addresses: []string{"a:1", "b:2", "c:6379"}, Cluster: true},
		"rediss+cluster://u:p@a.example,b.example:2": {Addresses: []string{"a.example:6379", "b.example:2"}, User: "u", Password: "p", TLS: true, Cluster: true},
	} {
		got, err := parseRedis(text)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"127.0.0.1:6379", "http://a", "redis:a", "redis://", "redis:///0", "redis://a:0x", "redis://a:1,b:2", "redis://a/x", "redis://a/-1",
		"redis+cluster://a/1", "redis://a?db=1", "redis://a#x", "redis://u:sec ret@a", "redis://u:sec%ret@a", "redis://,", "redis+cluster://a,", "sentinel://a",
	} {
		got, err := parseRedis(strings.Replace(text, "u:sec", "u:hidden-sec", 1))
		if err == nil {
			t.Errorf("%s: %+v", text, got)
		} else if strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRedis_Plain(t *testing.T) {
	for text, want := range map[string]int{
		"redis://127.0.0.1": 0, "redis://localhost": 0, "redis://a.example": 1, "rediss://a.example": 0, "redis+cluster://a:1,a:2,b:1,127.0.0.1:1": 2,
	} {
		r, err := parseRedis(text)
		if err != nil || len(r.Plain()) != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
}

func TestRedis_File(t *testing.T) {
	file := filepath.Join(t.TempDir(), "redis")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("rediss://:secret@a.example\n", 0o400)
	s := Server{GuessRedisFile: file}
	if r, err := s.Redis(); err != nil || r.Password != "secret" {
		t.Fatal(err)
	}
	s.GuessRedis = "redis://a"
	if _, err := s.Redis(); err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("both: %v", err)
	}
	for what, text := range map[string]string{"empty": "", "no URL": "secret"} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		write(text, 0o600)
		s = Server{GuessRedisFile: file}
		if _, err := s.Redis(); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	s = Server{}
	if r, err := s.Redis(); err != nil || r != nil {
		t.Errorf("none: %v, %v", r, err)
	}
}

// TestRedis_FlagWins: what is typed wins over what the file says of the other.
func TestRedis_FlagWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis")
	if err := os.WriteFile(path, []byte("redis://of-file.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file string
		args []string
		want string
	}{
		{"guess_redis_file = \"" + path + "\"\n", []string{"--guess-redis", "redis://typed.example"}, "typed.example:6379"},
		{"guess_redis = \"redis://told.example\"\n", []string{"--guess-redis-file", path}, "of-file.example:6379"},
	} {
		got, err := parse(t, c.file, append([]string{"serve"}, c.args...)...)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if r, err := got.Serve.Redis(); err != nil || r.Addresses[0] != c.want {
			t.Errorf("%q: %v, %v", c.args, r, err)
		}
	}
	if _, err := parse(t, "", "serve", "--guess-redis", "redis://a", "--guess-redis-file", path); err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("both: %v", err)
	}
}
