package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// ServerConfig is what Server needs to know.
type ServerConfig struct {
	Addr     string
	Handler  http.Handler
	Log      *slog.Logger
	CertFile string // with KeyFile: serve TLS
	KeyFile  string
}

// Server makes a server with limits for everything that a client could draw out.
// With a certificate, call ServeTLS(listener, "", "") on it, else Serve.
func Server(c ServerConfig) (*http.Server, error) {
	s := &http.Server{
		Addr:              c.Addr,
		Handler:           c.Handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		// "OPTIONS *" is a path that does not exist, like any other.
		DisableGeneralOptionsHandler: true,
	}
	if c.CertFile == "" && c.KeyFile == "" {
		return s, nil
	}
	certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the TLS certificate: %w", err)
	}
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	return s, nil
}
