package main

import (
	"context"
	"errors"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store"
)

// adoptAudit takes over the logs of an older version, in the start that has brought them
// into the chain, or in the next one if that was cut short.
func (s *server) adoptAudit(svc *auth.Service) error {
	old, err := s.store.Value(s, store.UnsealedLogs)
	if err != nil || old == "" {
		return err
	}
	if err := svc.AdoptAudit(s, s.by); err != nil {
		return err
	}
	return s.store.DropValue(s, store.UnsealedLogs)
}

// tendAudit does what is due for the realms' audit logs: it signs them, and deletes what is
// older than audit_keep, so many entries of each. It reports whether there is more to delete,
// and whether all went well.
func (s *server) tendAudit(ctx context.Context, entries, times int) (more, ok bool) {
	svc := s.site.Load().svc
	realms, err := svc.Realms(ctx)
	for _, r := range realms {
		again, failed := svc.TendAudit(ctx, r, entries, times)
		more, err = more || again, errors.Join(err, failed)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the audit log was not signed or cut, it is tried again", "err", err)
	}
	return more && err == nil, err == nil
}

// lastSignature is how long the signatures at the end may take.
const lastSignature = 10 * time.Second

// signAudit signs what nobody has signed yet: at the start, what was written after the
// last server has ended, or was killed; at the end, what this one has written.
func (s *server) signAudit(ctx context.Context) {
	svc := s.site.Load().svc
	realms, err := svc.Realms(ctx)
	for _, r := range realms {
		err = errors.Join(err, svc.SignAudit(ctx, r))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the audit log was not signed, it will be later", "err", err)
	}
}

func (s *server) signAuditLast() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s), lastSignature)
	defer cancel()
	s.signAudit(ctx)
}
