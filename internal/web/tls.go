package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"strconv"
	"time"
)

// TLSConfig is how this server speaks TLS: 1.2 and 1.3, with nothing but authenticated
// encryption and forward secrecy (RFC 9325, sections 3.1.1 and 4.2). Which of the suites it is,
// Go decides by the hardware of both sides; those of 1.3 can't be chosen, and are all good.
func TLSConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: certificate,
	}
}

// hsts is the header that has browsers come back by TLS alone (RFC 6797, section 6.1), for
// the names below this one too; nil for none.
func hsts(age time.Duration) []string {
	if age <= 0 {
		return nil
	}
	return []string{"max-age=" + strconv.FormatInt(int64(age/time.Second), 10) + "; includeSubDomains"}
}

// peerFaults is where net/http logs. What it says of a handshake is what a peer did: scanners
// and monitors, which say nothing at all, and clients that are too old.
type peerFaults struct{ log *slog.Logger }

func (p peerFaults) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelInfo
		if bytes.HasSuffix(line, []byte(": EOF\n")) || bytes.Contains(line, []byte("connection reset by peer")) {
			level = slog.LevelDebug
		}
	}
	p.log.Log(context.Background(), level, Printable(string(bytes.TrimSuffix(line, []byte("\n"))), 1024))
	return len(line), nil
}
