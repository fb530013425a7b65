package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/internal/acme"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/metrics"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/shadow"
	"github.com/ostiary/ostiary/internal/store"
	"github.com/ostiary/ostiary/internal/throttle"
	"github.com/ostiary/ostiary/internal/trace"
	"github.com/ostiary/ostiary/internal/trace/otlp"
	"github.com/ostiary/ostiary/internal/unmap"
	"github.com/ostiary/ostiary/internal/usage"
	"github.com/ostiary/ostiary/internal/web"
)

// drain is how long requests in flight may take after SIGTERM.
const drain = 30 * time.Second

// signalledTwice is how soon after the first a second SIGTERM means no more than it.
const signalledTwice = time.Second

type serveCmd struct {
	config.Server
	Demo bool `help:"Make one account for each dialect, with random passwords, and print a curl line for each. Loopback only."`
}

func (serveCmd) Help() string {
	return `SIGTERM and SIGINT finish what is in flight (behind a load balancer, set --stop-delay); SIGHUP reads the configuration again: docs/configuration.md says which settings
it applies, and the log names those that changed and need a restart.

Examples:
    ostiary serve --demo
    ostiary serve --data /var/lib/ostiary --config /etc/ostiary.toml
    ostiary serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem
    ostiary serve --admin-listen 127.0.0.1:9464 --trace-endpoint http://127.0.0.1:4318 --trace-sample 0.01
    ostiary serve --listen 0.0.0.0:443 --http-listen 0.0.0.0:80 --acme-domain login.example.com`
}

// server is the running process.
type server struct {
	*app
	settings config.Server
	log      *slog.Logger
	level    slog.LevelVar
	store    *store.Store
	master   seal.Key
	hasher   *password.Hasher
	by       auth.Client

	gate   *throttle.Gate   // of all sites, so that a reload lets nobody guess more
	watch  *auth.AuditWatch // likewise, so that none makes the process forget
	shared auth.Reserver    // likewise; nil where there are no other nodes
	feed   *auth.Feed       // likewise, so that what is known to have changed stays known
	site   atomic.Pointer[site]
	cert   pair
	acme   *acme.Manager // nil without acme_domain
	leaves atomic.Bool   // it has been told to stop
	// serving is held by all who use the site, and for as long as there is none of the
	// database that is there now; then refuser answers.
	serving  sync.RWMutex
	refuser  atomic.Pointer[http.Handler]
	plain    atomic.Pointer[http.Handler] // of http_listen
	doors    doors                        // of the clients
	answers  bool                         // they are answered there
	failed   chan error                   // why one of the doors has ended
	building sync.Mutex                   // held by who builds a site
	retend   chan struct{}                // wakes tendKeys

	tidying, keys *turn // whose turn it is, among the processes on the database
	bounds        bounds

	usage    *usage.Meter
	states   states           // of the accounts, for the metrics
	metrics  *metrics.Metrics // nil without admin_listen
	scraped  atomic.Pointer[http.Handler]
	admin    *web.Listener // nil without admin_listen
	admins   doors         // its one
	rotation atomic.Int64  // key_rotation, as it was set last
	tally    *shadow.Tally // of all sites
	tracer   *trace.Tracer // nil without trace_endpoint
	sender   *otlp.Sender  // likewise
}

func (c *serveCmd) Run(a *app) (err error) {
	if c.Demo {
		if err := c.mayDemo(a.set); err != nil {
			return err
		}
	}
	signal.Ignore(syscall.SIGPIPE)       // whoever reads the log may leave
	again := make(chan os.Signal, 1)     // one that comes during the start is heeded after it
	signal.Notify(again, syscall.SIGHUP) // and must not end a migration
	defer signal.Stop(again)
	slots := spareProcessors(a.set.HashSlots)
	s := &server{app: a, settings: c.Server, hasher: password.New(slots, time.Duration(a.set.HashWait)), by: itself(), gate: throttle.NewGate(), watch: auth.NewAuditWatch(), feed: auth.NewFeed(nil), retend: make(chan struct{}, 1), failed: make(chan error, 4)}
	s.log = s.newLog()
	for _, name := range a.strayVariables(os.Environ()) {
		s.log.Warn("an environment variable is no setting: look for a slip in its name (ostiary serve --help has them all)", "variable", name)
	}
	end := make(chan os.Signal, 1)
	defer signal.Stop(end) // when the store is closed
	s.serving.Lock()       // until there is a site
	if err := s.open(); err != nil {
		s.closeDoors()
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	defer s.closeDoors()
	endSharing, err := s.shareGuesses()
	if err != nil {
		return err
	}
	defer endSharing()
	if err := s.observe(); err != nil {
		return err
	}
	s.tally = s.newTally()
	s.usage = usage.New(s.store, s.log, time.Now)
	if c.Demo {
		unlock, err := s.lockDemo()
		if err != nil {
			return err
		}
		defer unlock()
	}
	if err := s.refuse(a.set, c.Server); err != nil { // from here on they are counted
		return err
	}
	site, err := s.build(s, a.set, c.Server)
	if err != nil {
		return err
	}
	s.site.Store(site)
	s.rotation.Store(int64(a.set.KeyRotation))
	s.serving.Unlock()
	// Signals are caught before anybody can know that there is a process to be signalled.
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	if err := s.openDoors(); err != nil {
		return err
	}
	if s.metrics != nil {
		handler := s.metrics.Handler()
		s.scraped.Store(&handler)
	}
	if err := s.openAdmin(); err != nil {
		return err
	}
	var accounts []demoAccount
	if c.Demo {
		if accounts, err = s.makeDemo(site); err != nil {
			return err
		}
	}
	if !s.answers {
		s.doors.serve(s.failed)
	}
	s.log.Info("serving", "address", s.doors.address(), "tls", c.TLS(), "mounts", len(site.mounts),
		"store", s.store.Info().Path, "version", version())
	boundMemory() // no sooner: it has the collector run
	if c.Demo {
		a.flushLog()
		if err := a.printDemo(s.doors.address(), accounts); err != nil {
			return err
		}
	}
	s.tidying = newTurn(s.store, s.log, func() string { return tidyTurn })
	s.keys = newTurn(s.store, s.log, func() string { return keysTurn + namesOf(signers(s.site.Load().mounts)) })
	tending, stop := context.WithCancel(a)
	defer s.endTurns()
	defer s.signAuditLast()
	tended := s.tendAll(tending, site, again, c.Demo)
	defer tended.Wait() // the store is closed with nobody in it
	defer stop()
	return s.wait(append(s.doors, s.admins...), end)
}

// tendAll begins what a server does beside answering. It ends with the context.
func (s *server) tendAll(ctx context.Context, site *site, again <-chan os.Signal, demo bool) *sync.WaitGroup {
	tasks := []func(context.Context){
		func(ctx context.Context) { s.feed.Follow(ctx, s.store, s.log) },
		s.followStore, s.tidying.keep, s.keys.keep, s.tend, s.usage.Run, s.tendBrownouts, s.tendStates, s.tally.Run,
		s.tendKeys, s.writeBack, s.tendCertificate,
		func(ctx context.Context) { s.warm(ctx, site) },
		func(ctx context.Context) { s.heed(ctx, again) },
		giveBack,
	}
	if s.sender != nil {
		tasks = append(tasks, s.sender.Run)
	}
	if !demo {
		tasks = append(tasks, s.noteDemo)
	}
	var tended sync.WaitGroup
	for _, task := range tasks {
		tended.Go(func() { task(ctx) })
	}
	return &tended
}

// open opens or creates the store, its master key, and the realm "default".
func (s *server) open() (err error) {
	lost, err := lostDatabase(s.set)
	if err != nil {
		return err
	}
	s.warnDatabase()
	if err = s.reach(); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	// Unless another first start has made it meanwhile, and its master key.
	if lost != "" && s.store.Info().Before == 0 {
		s.log.Warn("this looks like a lost database, and a new, empty one was made: if there were accounts, stop, move this one away with its -wal and -shm, and bring the old one back",
			"database", s.set.DatabaseName(), "because", lost)
	}
	if i := s.store.Info(); i.Before != 0 && i.Before != i.Schema {
		s.log.Info("the database was brought up to date", "store", i.Path, "schema_before", i.Before, "schema", i.Schema)
	}
	if err := s.prepare(); err != nil {
		_ = s.store.Close()
		return err
	}
	return nil
}

func (s *server) prepare() (err error) {
	if err := s.store.Know(s); err != nil {
		return err
	}
	if denied, err := s.store.Forbidden(s); err != nil || len(denied) > 0 {
		return cmp.Or(err, error(remedied{"the user of the database may not read and write " + strings.Join(denied, ", "), "let it own the tables: REASSIGN OWNED, or GRANT ALL ON ALL TABLES"}))
	}
	made := ""
	if s.master, made, err = firstUnlock(s, s.store, s.set); err != nil {
		return err
	}
	if made != "" && s.set.Postgres() {
		s.log.Info("the master key was made: keep a copy elsewhere, and bring one to every other node on this database", "file", made)
	}
	if info, err := os.Stat(s.set.Data); err == nil && info.Mode().Perm()&0o077 != 0 {
		s.log.Warn("others can look into the data directory: set it to 0700", "data", s.set.Data, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
	o := coreOptions(s.set, s.store, s.master, s.hasher, s.log)
	o.Watch = s.watch
	svc := auth.New(o)
	if err := s.adoptAudit(svc); err != nil {
		return err
	}
	if _, err = svc.Realm(s, "default"); auth.CodeOf(err) == auth.CodeNotFound {
		_, err = svc.CreateRealm(s, "default", s.by)
	}
	if err != nil && auth.CodeOf(err) != auth.CodeConflict { // another process was first
		return err
	}
	return svc.WatchAudit(s)
}

// wait serves until a signal says to stop, and finishes what is in flight.
func (s *server) wait(open doors, end <-chan os.Signal) error {
	select {
	case err := <-s.failed:
		return err
	case sig := <-end:
		s.log.Info("stopping", "signal", sig.String())
	}
	// A second one ends the process at once, but for one that comes with the first: who signals a group of
	// processes and this one in it, as timeout does, sends two.
	time.AfterFunc(signalledTwice, func() { signal.Reset(syscall.SIGTERM, syscall.SIGINT) })
	s.leaves.Store(true)
	select {
	case err := <-s.failed:
		return err
	case <-time.After(time.Duration(s.settings.StopDelay)):
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s), drain)
	defer cancel()
	if err := open.shutdown(ctx); err != nil {
		s.log.Warn("some requests did not end in time", "after", drain)
		open.close()
	}
	s.log.Info("stopped")
	return nil
}

// warm has the realms measure their floors, and lets go of the code that was for the start alone.
func (s *server) warm(ctx context.Context, site *site) {
	for _, m := range site.mounts {
		site.svc.Warm(ctx, m.RealmID)
	}
	unmap.Program()
}

const tendEvery = time.Minute

// tend does what is due now and then, if it is this process's turn: it deletes what nothing
// can use any more.
func (s *server) tend(ctx context.Context) {
	next := time.NewTimer(tendEvery)
	defer next.Stop()
	s.signAudit(ctx)
	var left overdue
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-s.tidying.taken:
		}
		if !s.tidying.mine() || !s.serving.TryRLock() {
			left = overdue{}
			s.site.Load().svc.WatchClock()
			next.Reset(tendEvery)
			continue
		}
		began := time.Now()
		times := left.times(began)
		more, audited := s.tendAudit(ctx, left.rows(), times)
		more = s.tendUsage(ctx, left.rows()) || more
		s.serving.RUnlock()
		n, err := s.store.Sweep(ctx, time.Now(), left.rows(), times, s.site.Load().svc.Budgets())
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("old rows not deleted", "err", err)
			left.failed()
			next.Reset(tendEvery)
		case n >= left.rows() || more: // there may be more
			next.Reset(left.pause(time.Since(began)))
			left.more(began)
		case !audited:
			left.failed()
			next.Reset(tendEvery)
		default:
			left = overdue{}
			next.Reset(tendEvery)
		}
	}
}
