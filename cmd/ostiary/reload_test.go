package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
)

// The settings that the page says need a restart are those that a reload warns about.
func TestReload_Fixed(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|.*\\| restart \\|$").FindAllStringSubmatch(string(page), -1) {
		want = append(want, strings.Split(strings.ReplaceAll(row[1], "`", ""), ", ")...)
	}
	s := &server{app: &app{set: &config.Shared{}}}
	other := &config.Shared{
		Data: "a", Database: "a", DatabaseFile: "a", DatabaseConnections: 1, MasterKeyFile: "a", Realm: "a", LogLevel: "a", LogFormat: "a", HashSlots: 1, HashWait: 1,
		Guess: config.Guess{GuessAccount: 1, GuessSource: 1, GuessFactor: 1}, TOTPIssuer: "a", KeyRotation: 1, KeyAhead: 1, RSABits: 1,
	}
	got := s.fixed(other, config.Server{
		GuessRedis: "a", GuessRedisFile: "a", Listen: "a", HTTPListen: "a", ACMEDomain: []string{"a"}, ACMEEmail: "a", ACMEDirectory: "a", ACMERoot: "a", HSTS: 1, AdminListen: "a", TraceEndpoint: "a", TraceSample: 0.5, TLSCert: "a", TLSKey: "a", TrustedProxy: []string{"a"}, ProxyProtocol: true, StopDelay: 1,
	})
	got = slices.DeleteFunc(got, func(name string) bool { return name == "tls_cert" }) // of which the page says more
	if len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("a reload warns about %q, the page says that %q need a restart", got, want)
	}
	if got := s.fixed(s.set, s.settings); got != nil {
		t.Errorf("nothing has changed: %q", got)
	}
}

// The address stays, whatever the file says now: it must not be left without its proxy.
func TestReload_KeepsTheProxy(t *testing.T) {
	s := &server{app: &app{set: &config.Shared{}}, settings: config.Server{
		Listen: "0.0.0.0:80", TrustedProxy: []string{"10.0.0.1"}, MaxConnections: 1, SourceConnections: 1, SourceRequests: 1, UsageKeep: config.Duration(24 * time.Hour),
	}}
	err := s.apply(t.Context(), s.set, config.Server{Listen: "127.0.0.1:80"})
	if err == nil || !strings.Contains(err.Error(), "listen: 0.0.0.0:80 is not a loopback address") {
		t.Errorf("reloaded: %v", err)
	}
}
