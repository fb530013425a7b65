package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/writeback"
)

// writebackEvery is how often it is looked whether an old system is to be told something.
const writebackEvery = time.Second

// outlets are the ways back that a configuration has. It says loudly what they weaken.
func (s *server) outlets(ctx context.Context, svc *auth.Service, set *config.Shared) (all []*writeback.Outlet, err error) {
	tables, err := set.Writebacks()
	if err != nil {
		return nil, err
	}
	told := map[uuid.UUID]bool{}
	for _, w := range tables {
		realm, err := svc.Realm(ctx, w.Realm)
		if auth.CodeOf(err) == auth.CodeNotFound {
			return nil, fmt.Errorf("a [[writeback]] is for realm %q, which is not there: make it with: ostiary realm create %s", w.Realm, w.Realm)
		}
		if err != nil {
			return nil, err
		}
		target, to, err := writebackTarget(w)
		if err != nil {
			return nil, fmt.Errorf("writeback of realm %s: %w", w.Realm, err)
		}
		if time.Now().Before(w.End) {
			s.log.Warn("NEW PASSWORDS LEAVE THIS SERVER: each is hashed a second time for an old system and told to it, so that whoever reads it there can guess at it as before; take [[writeback]] away when there is no way back any more",
				"realm", w.Realm, "format", w.Format, "to", to, "until", w.Until)
		} else {
			s.log.Info("the time of a [[writeback]] is over: what waits is still told, and the table can go then", "realm", w.Realm, "until", w.Until)
		}
		told[realm.ID] = true
		o := writeback.Options{Realm: realm.ID, Name: w.Realm, Target: target, By: s.by, Log: s.log}
		if s.metrics != nil {
			o.Observe = s.metrics.WroteBack
		}
		all = append(all, writeback.NewOutlet(o))
	}
	return all, s.warnUntold(svc, told)
}

func writebackTarget(w config.Writeback) (target writeback.Target, to string, err error) {
	if w.URL == nil {
		f, err := writeback.NewFile(w.File)
		return f, w.File, err
	}
	h, err := writeback.NewWebhook(w.URL, w.WebhookSecretFile)
	return h, w.URL.Host, err
}

// warnUntold tells of what waits for an old system that is no longer named.
func (s *server) warnUntold(svc *auth.Service, told map[uuid.UUID]bool) error {
	realms, err := svc.Realms(s)
	if err != nil {
		return err
	}
	for _, r := range realms {
		if told[r.ID] {
			continue
		}
		n, _, err := svc.WritebackBacklog(s, r.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			s.log.Warn("an old system was to be told of changes, and no [[writeback]] says how: they wait", "realm", r.Name, "waiting", n)
		}
	}
	return nil
}

// writeBack tells the old systems what waits for them, if it is this process's turn. What
// one of them does keeps no other waiting.
func (s *server) writeBack(ctx context.Context) {
	next := time.NewTicker(writebackEvery)
	defer next.Stop()
	var telling sync.WaitGroup
	defer telling.Wait()
	var told sync.Map // the realms whose old systems are being told
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if !s.tidying.mine() {
			continue
		}
		site := s.site.Load()
		mine := func() bool { return s.tidying.mine() && s.site.Load() == site } // a reload may name others
		for _, o := range site.back {
			if _, busy := told.LoadOrStore(o.Realm, true); busy {
				continue
			}
			telling.Go(func() {
				defer told.Delete(o.Realm)
				for o.Work(ctx, backlog{s, site.svc}, mine) && mine() {
				}
			})
		}
	}
}

// tellsBack tells whether an old system is told of a realm.
func (s *server) tellsBack(realm uuid.UUID) bool {
	return slices.ContainsFunc(s.site.Load().back, func(o *writeback.Outlet) bool { return o.Realm == realm })
}

// backlog is the core as an outlet sees it: it is used only while there is a site, and that
// is not held while an old system is asked.
type backlog struct {
	server *server
	svc    *auth.Service
}

var errNoSite = errors.New("the database is being read anew")

func (b backlog) WaitingWritebacks(ctx context.Context, realm uuid.UUID, limit int) ([]auth.WaitingWriteback, error) {
	if !b.server.serving.TryRLock() {
		return nil, errNoSite
	}
	defer b.server.serving.RUnlock()
	return b.svc.WaitingWritebacks(ctx, realm, limit)
}

func (b backlog) WrittenBack(ctx context.Context, all []auth.WaitingWriteback, how string, cl auth.Client) error {
	if !b.server.serving.TryRLock() {
		return errNoSite
	}
	defer b.server.serving.RUnlock()
	return b.svc.WrittenBack(ctx, all, how, cl)
}

func (b backlog) WritebackRefused(ctx context.Context, w auth.WaitingWriteback) (time.Time, error) {
	if !b.server.serving.TryRLock() {
		return time.Time{}, errNoSite
	}
	defer b.server.serving.RUnlock()
	return b.svc.WritebackRefused(ctx, w)
}
