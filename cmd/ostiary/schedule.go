package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// signer is an algorithm that a realm signs with.
type signer struct {
	realm     string
	realmID   uuid.UUID
	algorithm string
}

// signers are what the realms of the mounts sign with: each mount its tokens, and each
// realm its assertions.
func signers(mounts []*auth.Mount) (all []signer) {
	for _, m := range mounts {
		all = append(all, signer{m.Realm, m.RealmID, auth.AssertionAlgorithm})
		if m.Algorithm != "" {
			all = append(all, signer{m.Realm, m.RealmID, m.Algorithm})
		}
	}
	slices.SortFunc(all, func(a, b signer) int {
		return strings.Compare(a.realm+" "+a.algorithm, b.realm+" "+b.algorithm)
	})
	return slices.Compact(all)
}

// namesOf names signers: processes that sign for the same realms alike take turns.
func namesOf(signers []signer) string {
	names := make([]string, len(signers))
	for i, k := range signers {
		names[i] = k.realm + "/" + k.algorithm
	}
	return strings.Join(names, ",")
}

// tendKeys has each signing key replaced in time, if it is this process's turn. What fails
// is tried again. A reload wakes it: with other settings a key may be due earlier.
func (s *server) tendKeys(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.keys.taken:
		case <-s.retend:
		}
		wait := tendEvery
		if !s.keys.mine() || !s.serving.TryRLock() {
			timer.Reset(wait)
			continue
		}
		site := s.site.Load()
		for _, k := range signers(site.mounts) {
			due, err := site.svc.TendKeys(ctx, k.realmID, k.algorithm, auth.Client{Actor: "schedule"})
			switch {
			case err != nil && ctx.Err() == nil:
				s.log.Warn("signing key not rotated, it is tried again", "realm", k.realm, "algorithm", k.algorithm, "err", err)
			case err == nil && !due.IsZero():
				wait = min(wait, time.Until(due))
			}
		}
		s.serving.RUnlock()
		timer.Reset(max(wait, 100*time.Millisecond))
	}
}
