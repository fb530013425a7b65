package main

import (
	"context"
	"errors"
	"time"
)

// tendAudit does what is due for the realms' audit logs: it signs them, and deletes what is
// older than audit_keep. It reports whether there is more to delete.
func (s *server) tendAudit(ctx context.Context) (more bool) {
	svc := s.site.Load().svc
	realms, err := svc.Realms(ctx)
	for _, r := range realms {
		again, failed := svc.TendAudit(ctx, r)
		more, err = more || again, errors.Join(err, failed)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the audit log was not signed or cut, it is tried again", "err", err)
	}
	return more && err == nil
}

// lastSignature is how long the signatures at the end may take.
const lastSignature = 5 * time.Second

// signAudit signs what has been written until the end.
func (s *server) signAudit() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s), lastSignature)
	defer cancel()
	svc := s.site.Load().svc
	realms, err := svc.Realms(ctx)
	for _, r := range realms {
		err = errors.Join(err, svc.SignAudit(ctx, r))
	}
	if err != nil {
		s.log.Warn("the audit log was not signed at the end, it will be at the next start", "err", err)
	}
}
