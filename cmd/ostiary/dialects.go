package main

import (
	"github.com/ostiary/ostiary/internal/dialect"
	"github.com/ostiary/ostiary/internal/dialect/cloudio"
	"github.com/ostiary/ostiary/internal/dialect/mikrocloud"
	"github.com/ostiary/ostiary/internal/dialect/nomic"
	"github.com/ostiary/ostiary/internal/dialect/senmo"
)

// dialects is the list of the login APIs that this server speaks.
func dialects() []dialect.Dialect {
	return []dialect.Dialect{
		cloudio.Dialect(),
		mikrocloud.Dialect(),
		nomic.Dialect(),
		senmo.Dialect(),
	}
}
