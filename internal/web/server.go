package web

import (
	"crypto/tls"
	"log"
	"log/slog"
	"net/http"
	"time"
)

// ServerConfig is what Server needs to know.
type ServerConfig struct {
	Addr    string
	Handler http.Handler
	Log     *slog.Logger
	TLS     *tls.Config // of TLSConfig; nil for plain HTTP
}

// Server makes a server with limits for everything that a client could draw out.
// With TLS, call ServeTLS(listener, "", "") on it, else Serve.
func Server(c ServerConfig) *http.Server {
	return &http.Server{
		Addr:              c.Addr,
		TLSConfig:         c.TLS,
		Handler:           c.Handler,
		ConnContext:       connContext,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(peerFaults{c.Log}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 32,
			// What comes before it is read. A body of MaxBody needs no more.
			MaxReceiveBufferPerConnection: 64 << 10,
			MaxReceiveBufferPerStream:     64 << 10,
		},
		// "OPTIONS *" is a path that does not exist, like any other.
		DisableGeneralOptionsHandler: true,
	}
}
