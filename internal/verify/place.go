package verify

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// Place is where one realm answers.
type Place struct {
	Host    string // "" is any host
	Prefix  string
	Realm   string
	RealmID uuid.UUID
}

type address struct{ host, prefix string }

// Places works out which realm answers where: beside each mount its own realm; and at the
// root of a host where all mounts are below prefixes, their realm, if they share one. It
// refuses mounts of two realms in one place.
//
// Requests to a host that no route names go to those of any host. So these mounts count
// on each host, and a root of any host is given only if it is no named host's wrong answer.
func Places(mounts []*auth.Mount) ([]Place, error) {
	places := map[address]Place{}
	hosts := map[string]bool{}
	for _, m := range mounts {
		at := address{m.Host, m.Prefix}
		p := Place{Host: m.Host, Prefix: m.Prefix, Realm: m.Realm, RealmID: m.RealmID}
		if other, taken := places[at]; taken && other.RealmID != p.RealmID {
			return nil, fmt.Errorf("the realms %q and %q have mounts on one host and prefix (%q, %q)", other.Realm, p.Realm, m.Host, m.Prefix)
		}
		places[at] = p
		hosts[m.Host] = true
	}
	if _, taken := places[address{}]; !taken {
		for _, root := range roots(mounts, places, hosts) {
			places[address{root.Host, ""}] = root
		}
	}
	return sorted(places), nil
}

// roots are the places to be added while no mount is at the root of any host.
func roots(mounts []*auth.Mount, places map[address]Place, hosts map[string]bool) (added []Place) {
	everywhere := true
	for host := range hosts {
		if _, taken := places[address{host, ""}]; taken {
			continue
		}
		realm, shared := sharedRealm(mounts, host)
		if !shared {
			everywhere = false
		} else if host != "" {
			added = append(added, Place{Host: host, Realm: realm.Realm, RealmID: realm.RealmID})
		}
	}
	if realm, shared := sharedRealm(mounts, ""); shared && everywhere {
		added = append(added, Place{Realm: realm.Realm, RealmID: realm.RealmID})
	}
	return added
}

// sharedRealm is a mount of the one realm that all mounts share which answer on a host.
func sharedRealm(mounts []*auth.Mount, host string) (realm *auth.Mount, shared bool) {
	for _, m := range mounts {
		if m.Host != host && m.Host != "" {
			continue
		}
		if realm != nil && realm.RealmID != m.RealmID {
			return nil, false
		}
		realm = m
	}
	return realm, realm != nil
}

func sorted(places map[address]Place) []Place {
	out := make([]Place, 0, len(places))
	for _, p := range places {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Prefix, b.Prefix))
	})
	return out
}
