package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return `Example:
    ostiary version`
}

func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.out, "ostiary %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// release is the version of a build that says it: -ldflags "-X main.release=v1.2.3".
var release string

// version is that, or what the go command noted at the build: a module's version, or a commit.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	return v
}
