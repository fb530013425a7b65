package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// shown is the certificate that clients of a server see.
func shown(t *testing.T, p *process) []byte {
	t.Helper()
	got, err := handshake(strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true}) // it may be over
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const day = 24 * time.Hour

func TestLapse_States(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name        string
		begun, left time.Duration
		state, text string
	}{
		{"good", 60 * day, 30 * day, fine, ""},
		{"two weeks and a bit", 76 * day, 14*day + time.Minute, fine, ""},
		{"less than two weeks", 76 * day, 14*day - time.Minute, warn, "ends 2026-05-15 11:59:00Z"},
		{"of six days, half gone", 3 * day, 3 * day, fine, ""},
		{"of six days, one left", 5 * day, day, warn, "ends 2026-05-02 12:00:00Z"},
		{"over", 90 * day, -time.Second, wrong, "ended 2026-05-01 11:59:59Z"},
		{"to come", -time.Hour, 90 * day, wrong, "is good only from 2026-05-01 13:00:00Z on"},
	} {
		if state, text := lapse(&x509.Certificate{NotBefore: now.Add(-c.begun), NotAfter: now.Add(c.left)}, now); state != c.state || text != c.text {
			t.Errorf("%s: %s %q, want %s %q", c.name, state, text, c.state, c.text)
		}
	}
}

// What is served is watched: a warning each day before its end, and an error each day after.
func TestLapse_SaidOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log, cert, key := loaded(t)
		other, otherKey := certificate(t, 5*day) // of seven: the last two and a third are few
		replace(t, cert, other)
		replace(t, key, otherKey)
		s.cert.reread(s.log)
		for _, want := range []struct {
			after              time.Duration
			warnings, failures int
		}{{2 * day, 0, 0}, {day, 1, 0}, {day, 1, 0}, {day - time.Hour, 1, 0}, {2 * time.Hour, 0, 1}, {12 * time.Hour, 0, 0}, {day, 0, 1}} {
			log.Reset()
			ctx, stop := context.WithTimeout(t.Context(), want.after)
			s.tendCertificate(ctx)
			stop()
			if text := log.String(); strings.Count(text, "level=WARN") != want.warnings || strings.Count(text, "level=ERROR") != want.failures {
				t.Errorf("%+v:\n%s", want, text)
			}
		}
	})
}

// A pair that no client would take does not take the place of one that is good, by SIGHUP
// or without it.
func TestLapse_KeepsTheGoodOne(t *testing.T) {
	cert, key := certificate(t, 100*day)
	oldCert, oldKey := certificate(t, -time.Hour)
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	good := leafOf(t, cert)
	replace(t, cert, oldCert)
	replace(t, key, oldKey)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `level=ERROR msg="configuration not reloaded, the old one stays" err="tls_cert: \S+ ended \S+ \S+: put one there that is good now"`)
	if got := shown(t, p); !bytes.Equal(got, good) {
		t.Error("the good certificate is not served any more")
	}

	s, log, cert, key := loaded(t)
	good = leafOf(t, cert)
	replace(t, cert, oldCert)
	replace(t, key, oldKey)
	for range 3 {
		s.cert.reread(s.log)
	}
	if got := s.cert.served.Load().Leaf.Raw; !bytes.Equal(got, good) || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("replaced, or not said once:\n%s", log.String())
	}
}

// A server that is not there helps nobody: it starts, and says what is wrong.
func TestLapse_Starts(t *testing.T) {
	cert, key := certificate(t, -time.Hour)
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	p.waitFor(t, `level=ERROR msg="clients refuse the certificate that is served: .* err="ended `)
	oldCert, oldKey := certificate(t, -time.Minute)
	replace(t, cert, oldCert)
	replace(t, key, oldKey)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `msg="configuration reloaded"`)
	if got := shown(t, p); !bytes.Equal(got, leafOf(t, oldCert)) {
		t.Error("of two that are over, the newer one is not served")
	}
}
