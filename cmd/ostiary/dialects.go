package main

import (
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
)

// dialects is the list of the login APIs that this server speaks in Go.
func dialects() []dialect.Dialect {
	return []dialect.Dialect{
		cloudio.Dialect(),
		mikrocloud.Dialect(),
		nomic.Dialect(),
		senmo.Dialect(),
	}
}

// spoken are these, and those that the configuration declares.
func spoken(set *config.Shared) ([]dialect.Dialect, error) {
	all := dialects()
	for _, path := range set.Definitions() {
		d, err := declared.Load(path, dialectNames(all)...)
		if err != nil {
			return all, err
		}
		all = append(all, d.Dialect())
	}
	return all, nil
}

// mountsOf are the mounts of the configuration, with dialects of either kind.
func mountsOf(set *config.Shared) ([]*auth.Mount, error) {
	all, err := spoken(set)
	if err != nil {
		return nil, err
	}
	return set.Mounts(all)
}

func dialectNames(all []dialect.Dialect) (names []auth.Dialect) {
	for _, d := range all {
		names = append(names, d.Name())
	}
	return names
}
