package main

import (
	"crypto/tls"
	"log/slog"

	"github.com/ostiary/ostiary/internal/config"
)

// reload reads the configuration again. What is wrong with it is one line in the log,
// and everything stays as it was.
func (s *server) reload() {
	again := &app{Context: s.Context, in: s.in, out: s.out, err: s.err, args: s.args}
	c, _, err := again.parse()
	if err == nil {
		err = s.apply(&c.Shared, c.Serve.Server)
	}
	if err != nil {
		s.log.Error("configuration not reloaded, the old one stays", "err", explain(err))
	}
}

func (s *server) apply(set *config.Shared, srv config.Server) error {
	var cert *tls.Certificate
	if s.cert.Load() != nil && srv.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(srv.TLSCert, srv.TLSKey)
		if err != nil {
			return err
		}
		cert = &pair
	}
	// What follows the process for life stays as it is.
	for name, changed := range map[string]bool{
		"listen":   srv.Listen != s.settings.Listen,
		"tls_cert": (srv.TLSCert == "") != (s.settings.TLSCert == ""),
		"store":    set.Data != s.set.Data || set.DatabasePath() != s.set.DatabasePath(),
		"hash":     set.HashSlots != s.set.HashSlots || set.HashWait != s.set.HashWait,
	} {
		if changed {
			s.log.Warn("a setting that changed needs a restart", "setting", name)
		}
	}
	next, err := s.build(set, srv)
	if err != nil {
		return err
	}
	if cert != nil {
		s.cert.Store(cert)
	}
	s.site.Store(next)
	// The line is for whoever sent the signal, whatever the level was or is.
	s.level.Set(min(levelOf(set), slog.LevelInfo))
	s.log.Info("configuration reloaded", "mounts", len(next.mounts))
	s.level.Set(levelOf(set))
	return nil
}
