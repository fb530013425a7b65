package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/commandline"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
)

// four are the dialects in the order in which they are listed.
var four = []dialect.Dialect{cloudio.Dialect(), mikrocloud.Dialect(), nomic.Dialect(), senmo.Dialect()}

// command is a command line of the shape that the real one has.
type command struct {
	Shared
	Serve struct {
		Server
		Demo bool
	} `cmd:""`
	Account struct {
		Username string
	} `cmd:""`
}

// parse runs the real path: flags, the environment, and a file if it has text.
func parse(t *testing.T, file string, args ...string) (*command, error) {
	t.Helper()
	var c command
	if file != "" {
		path := filepath.Join(t.TempDir(), "ostiary.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	_, err := commandline.New("ostiary", "", &c).Parse(args)
	if err == nil {
		_, err = c.Mounts(four)
	}
	return &c, err
}

// line is an error as a person sees it, without the directory of the test.
func line(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if i := strings.Index(s, "ostiary.toml"); i >= 0 && strings.HasPrefix(s, os.TempDir()) {
		s = s[i:]
	}
	return s
}

func TestConfig_Defaults(t *testing.T) {
	c, err := parse(t, "", "serve")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Shared
	want := Shared{
		Data: "ostiary-data", DatabaseConnections: 16, Realm: "default", LogLevel: "info", LogFormat: "text",
		HashWait: Duration(5 * time.Second), TOTPIssuer: "Ostiary", file: &File{},
		Guess: Guess{
			GuessAccount: 5, GuessKnown: 5, GuessSource: 60, GuessFactor: 10, GuessWall: 100,
			GuessDelay: Duration(time.Second), GuessDelayMax: Duration(15 * time.Minute), GuessDecay: Duration(time.Hour),
			GuessSourceWindow: Duration(10 * time.Minute), GuessFactorWindow: Duration(time.Hour), GuessKnownFor: Duration(30 * 24 * time.Hour),
		},
		KeyRotation: Duration(90 * 24 * time.Hour), KeyAhead: Duration(24 * time.Hour),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Shared{}, File{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Server{
		Listen: "127.0.0.1:8080", HSTS: Duration(365 * 24 * time.Hour), TraceSample: 1,
		MaxConnections: 4096, SourceConnections: 1024, SourceRequests: 256, Usage: true, UsageKeep: Duration(400 * 24 * time.Hour),
	}, c.Serve.Server); diff != "" {
		t.Error(diff)
	}
	if got, want := c.DatabasePath(), filepath.Join("ostiary-data", "ostiary.db"); got != want {
		t.Errorf("DatabasePath: %q, want %q", got, want)
	}
	_, file, err := c.MasterKey()
	if want := filepath.Join("ostiary-data", "master.key"); err != nil || file != want {
		t.Errorf("MasterKey: %q, %v, want %q", file, err, want)
	}
}

// Lifetimes and names that the clients of each dialect expect.
func TestMounts_Defaults(t *testing.T) {
	c, err := parse(t, "", "serve")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Mounts(four)
	if err != nil {
		t.Fatal(err)
	}
	want := []*auth.Mount{
		{
			Dialect: "cloudio", Realm: "default", Issuer: "urn:ostiary:default:cloudio", Algorithm: "RS256",
			SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour,
		},
		{Dialect: "mikrocloud", Realm: "default", SessionIdle: 12 * time.Hour, SessionMax: 24 * time.Hour},
		{
			Dialect: "nomic", Realm: "default", Issuer: "NomicGameManager.Api", Algorithm: "RS256",
			AccessTTL: 2 * time.Hour, SessionMax: 24 * time.Hour,
		},
		{
			Dialect: "senmo", Realm: "default", Issuer: "urn:ostiary:default:senmo", Audience: "ostiary",
			Scope: "openid", Algorithm: "RS256", AccessTTL: time.Hour, SessionIdle: 720 * time.Hour,
			SessionMax: 2160 * time.Hour, RefreshRetry: time.Minute,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const fullMount = `
data = "/srv/ostiary"
database = "sqlite:/srv/db/ostiary.db"
listen = "0.0.0.0:8443"
trusted_proxy = ["10.1.2.3/8", "192.0.2.7", "2001:db8::/32"]
log_level = "debug"
log_format = "json"
hash_slots = 3
hash_wait = "2s"
totp_issuer = "Example"
key_rotation = "30d"
key_ahead = "12h"
rsa_bits = 3072
realm = "staff"

[[mount]]
dialect = "senmo"
host = "Login.Example.COM"
prefix = "/a/b"
realm = "other"
issuer = "https://login.example.com"
audience = "my-app"
assertion_audience = "upstreams"
scope = "openid mail"
algorithm = "EdDSA"
mfa = "append"
access_ttl = "90m"
session_idle = "30d"
session_max = "90d"
refresh_retry = "0s"
cors_origins = ["https://App.Example.com:443", "http://localhost:3000", "capacitor://localhost"]
mode = "own"

[[mount]]
dialect = "nomic"
session_max = "1h"
`

func TestMounts_EveryKey(t *testing.T) {
	c, err := parse(t, fullMount, "serve")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Mounts(four)
	if err != nil {
		t.Fatal(err)
	}
	want := []*auth.Mount{
		{
			Dialect: "senmo", Host: "login.example.com", Prefix: "/a/b", Realm: "other",
			Issuer: "https://login.example.com", Audience: "my-app", Scope: "openid mail", Algorithm: "EdDSA",
			AssertionAudience: "upstreams", AppendCode: true, AccessTTL: 90 * time.Minute, SessionIdle: 720 * time.Hour, SessionMax: 2160 * time.Hour,
			CORSOrigins: []string{"https://app.example.com", "http://localhost:3000", "capacitor://localhost"},
		},
		{
			Dialect: "nomic", Realm: "staff", Issuer: "NomicGameManager.Api", Algorithm: "RS256",
			AccessTTL: time.Hour, SessionMax: time.Hour,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c.Data != "/srv/ostiary" || c.DatabasePath() != "/srv/db/ostiary.db" || c.LogLevel != "debug" ||
		c.LogFormat != "json" || c.HashSlots != 3 || c.HashWait != Duration(2*time.Second) || c.TOTPIssuer != "Example" ||
		c.KeyRotation != Duration(30*24*time.Hour) || c.KeyAhead != Duration(12*time.Hour) || c.RSABits != 3072 {
		t.Errorf("settings of the file are not taken: %+v", c.Shared)
	}
	wantNets := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}
	if diff := cmp.Diff(wantNets, c.Serve.TrustedProxies(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// Flags win over the environment, and that over the file.
func TestConfig_Precedence(t *testing.T) {
	file := "data = \"of-file\"\nhash_slots = 1\ntotp_issuer = \"File\"\nlisten = \"127.0.0.1:1\"\ntrusted_proxy = [\"10.0.0.1\"]\n"
	t.Setenv("OSTIARY_DATA", "of-env")
	t.Setenv("OSTIARY_HASH_SLOTS", "2")
	t.Setenv("OSTIARY_TRUSTED_PROXY", "10.0.0.2,10.0.0.3")
	c, err := parse(t, file, "serve", "--data", "of-flag")
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "of-flag" {
		t.Errorf("data: %q, want the flag's", c.Data)
	}
	if c.HashSlots != 2 {
		t.Errorf("hash_slots: %d, want the environment's", c.HashSlots)
	}
	if c.TOTPIssuer != "File" || c.Serve.Listen != "127.0.0.1:1" {
		t.Errorf("totp_issuer, listen: %q, %q, want the file's", c.TOTPIssuer, c.Serve.Listen)
	}
	if diff := cmp.Diff([]string{"10.0.0.2", "10.0.0.3"}, c.Serve.TrustedProxy); diff != "" {
		t.Error(diff)
	}
	if c.LogLevel != "info" {
		t.Errorf("log_level: %q, want the default", c.LogLevel)
	}
}

func TestConfig_FileOfEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.toml")
	if err := os.WriteFile(path, []byte(`realm = "staff"`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OSTIARY_CONFIG", path)
	c, err := parse(t, "", "account", "--username", "x")
	if err != nil || c.Realm != "staff" {
		t.Errorf("realm: %q, %v, want that of the file", c.Realm, err)
	}
}

// A command that is not serve reads the same file, and leaves serve's keys alone.
func TestConfig_OtherCommand(t *testing.T) {
	c, err := parse(t, fullMount, "account", "--username", "x")
	if err != nil || c.Account.Username != "x" || c.Realm != "staff" {
		t.Errorf("got %+v, %v", c.Account, err)
	}
	if _, err := parse(t, "username = \"root\"\n", "account"); line(err) != `ostiary.toml:1: unknown key "username"` {
		t.Errorf("a flag of one command must not be a key of the file: %v", err)
	}
}

func TestMasterKey_Sources(t *testing.T) {
	const both = "OSTIARY_MASTER_KEY and OSTIARY_MASTER_KEY_FILE: give only one"
	tests := []struct {
		name       string
		env        map[string]string
		file       string
		args       []string
		text, path string
		err        string
	}{
		{name: "environment over file", env: map[string]string{"OSTIARY_MASTER_KEY": "k"}, file: `master_key_file = "f"`, text: "k"},
		{name: "file of environment over file", env: map[string]string{"OSTIARY_MASTER_KEY_FILE": "e"}, file: `master_key_file = "f"`, path: "e"},
		{name: "flag over environment", env: map[string]string{"OSTIARY_MASTER_KEY": "k"}, args: []string{"--master-key-file", "a"}, path: "a"},
		{name: "file", file: `master_key_file = "f"`, path: "f"},
		{name: "both", env: map[string]string{"OSTIARY_MASTER_KEY": "k", "OSTIARY_MASTER_KEY_FILE": "e"}, err: both},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			c, err := parse(t, tt.file, append([]string{"serve"}, tt.args...)...)
			if line(err) != tt.err {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if text, path, _ := c.MasterKey(); err == nil && (string(text) != tt.text || path != tt.path) {
				t.Errorf("got %q, %q, want %q, %q", string(text), path, tt.text, tt.path)
			}
		})
	}
}

func TestDuration_Text(t *testing.T) {
	good := map[string]time.Duration{
		"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "60s": time.Minute, "1h30m": 90 * time.Minute,
		"0d": 0, "0": 0, "-5s": -5 * time.Second, "36500d": 36500 * 24 * time.Hour,
	}
	for text, want := range good {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "-1d", "+1d", "01d", " 1d", "1 d", "1dd", "1d-1h", "1.5d", "36501d", "99999999999999d", "36500d2500000h", "36500d1s", "876001h", "one hour"} {
		var d Duration
		want := badDuration(text).Error()
		if err := d.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestServer_Loopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "localhost.example.com:1": false, "x": false,
	} {
		s := Server{Listen: listen}
		if got := s.Loopback(); got != want {
			t.Errorf("Loopback of %q: %v, want %v", listen, got, want)
		}
	}
}
