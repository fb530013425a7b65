package main

import (
	"net"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/web"
)

// bounds are the listeners of all doors.
type bounds []*web.Listener

// bound bounds the connections of a door.
func (s *server) bound(l net.Listener, secure bool) net.Listener {
	s.spareFiles()
	out := web.Listen(l, web.ListenerConfig{Log: s.log, Plain: !secure, ProxyProtocol: s.settings.ProxyProtocol, Limits: limits(s.settings)})
	s.bounds = append(s.bounds, out)
	return out
}

// limitConnections applies the settings of a reload.
func (s *server) limitConnections(srv config.Server) {
	for _, l := range s.bounds {
		l.SetLimits(limits(srv))
	}
}

func limits(srv config.Server) web.Limits {
	return web.Limits{Connections: srv.MaxConnections, PerSource: srv.SourceConnections, TrustedProxies: srv.TrustedProxies()}
}

// spareFiles says so if the system gives the process fewer files than connections.
func (s *server) spareFiles() {
	const own = 64 // the store, the log, and what is open for a moment
	if most, ok := openFiles(); ok && most < uint64(s.settings.MaxConnections)+own {
		s.log.Warn("the process may open fewer files than it may have connections: raise its limit (LimitNOFILE, ulimit -n), or lower max_connections",
			"files", most, "max_connections", s.settings.MaxConnections)
	}
}
