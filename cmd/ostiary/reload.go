package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/config"
)

// buildWithin is how long a running server may take to build a site. A database that does not answer
// is then given up by each statement as soon as for who waits for it.
const buildWithin = 30 * time.Second

// heed reloads as often as it is told to, beside what waits for the signal to stop.
func (s *server) heed(ctx context.Context, again <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			s.reload(ctx)
		}
	}
}

// reload reads the configuration again. What is wrong with it is one line in the log,
// and everything stays as it was.
func (s *server) reload(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	again := &app{Context: s.Context, in: s.in, out: s.out, err: s.err, args: s.args}
	c, _, err := again.parse()
	if err == nil {
		err = s.apply(ctx, &c.Shared, c.Serve.Server)
	}
	if err != nil {
		s.log.Error("configuration not reloaded, the old one stays", "err", explain(err))
	}
}

func (s *server) apply(ctx context.Context, set *config.Shared, srv config.Server) error {
	s.building.Lock()
	defer s.building.Unlock()
	withFiles := s.settings.TLSCert != "" && srv.TLSCert != ""
	var files pairFiles
	if withFiles {
		var err error
		if files, err = readPair(srv.TLSCert, srv.TLSKey); err != nil {
			return err
		}
		if err := s.cert.mayServe(files); err != nil {
			return err
		}
	}
	// Beside the address that stays, the proxies must still be what keeps passwords safe.
	running := s.settings
	running.TrustedProxy = srv.TrustedProxy
	if err := running.Check(); err != nil {
		return err
	}
	next, err := s.build(ctx, set, srv)
	if err != nil {
		return err
	}
	if err := s.refuse(set, srv); err != nil {
		return err
	}
	if withFiles {
		s.cert.use(s.log, files)
	}
	s.site.Store(next)
	s.rotation.Store(int64(set.KeyRotation))
	s.tracer.SetShare(srv.TraceSample)
	s.limitConnections(srv)
	select {
	case s.retend <- struct{}{}:
	default: // it has yet to see the last one
	}
	for _, name := range s.fixed(set, srv) {
		s.log.Warn("a setting that changed needs a restart", "setting", name)
	}
	// The line is for whoever sent the signal, whatever the level was or is.
	s.level.Set(min(levelOf(set), slog.LevelInfo))
	s.log.Info("configuration reloaded", "mounts", len(next.mounts))
	s.level.Set(levelOf(set))
	return nil
}

// fixed are the settings that follow the process for life, and are not what they were.
// docs/configuration.md names them.
func (s *server) fixed(set *config.Shared, srv config.Server) (changed []string) {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"data", set.Data == s.set.Data},
		{"database", set.Database == s.set.Database},
		{"database_file", set.DatabaseFile == s.set.DatabaseFile},
		{"database_connections", set.DatabaseConnections == s.set.DatabaseConnections},
		{"master_key_file", set.MasterKeyFile == s.set.MasterKeyFile},
		{"log_format", set.LogFormat == s.set.LogFormat},
		{"hash_slots", set.HashSlots == s.set.HashSlots},
		{"hash_wait", set.HashWait == s.set.HashWait},
		{"listen", srv.Listen == s.settings.Listen},
		{"http_listen", srv.HTTPListen == s.settings.HTTPListen},
		{"tls_cert", (srv.TLSCert == "") == (s.settings.TLSCert == "")},
		{"acme_domain", slices.Equal(srv.ACMEDomain, s.settings.ACMEDomain)},
		{"acme_email", srv.ACMEEmail == s.settings.ACMEEmail},
		{"acme_directory", srv.ACMEDirectory == s.settings.ACMEDirectory},
		{"acme_root", srv.ACMERoot == s.settings.ACMERoot},
		{"proxy_protocol", srv.ProxyProtocol == s.settings.ProxyProtocol},
		{"guess_redis", srv.GuessRedis == s.settings.GuessRedis},
		{"guess_redis_file", srv.GuessRedisFile == s.settings.GuessRedisFile},
		{"stop_delay", srv.StopDelay == s.settings.StopDelay},
		{"admin_listen", srv.AdminListen == s.settings.AdminListen},
		{"trace_endpoint", srv.TraceEndpoint == s.settings.TraceEndpoint},
	} {
		if !f.same {
			changed = append(changed, f.name)
		}
	}
	return changed
}
