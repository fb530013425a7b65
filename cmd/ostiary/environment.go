package main

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/commandline"
)

// strayVariables are the variables of the environment that begin like settings and are
// none: names with a slip in them, which would otherwise go unnoticed.
func (a *app) strayVariables(environ []string) (stray []string) {
	known := []string{"OSTIARY_MASTER_KEY"} // which has no flag
	a.root.Walk(func(c *commandline.Command) {
		for _, flag := range c.Flags {
			known = append(known, flag.Env)
		}
	})
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "OSTIARY_") && !ofKubernetes(name) && !slices.Contains(known, name) {
			stray = append(stray, name)
		}
	}
	slices.Sort(stray)
	return stray
}

// ofKubernetes tells whether Kubernetes sets a variable in every container beside a
// service that is called ostiary: OSTIARY_SERVICE_HOST, OSTIARY_PORT_8080_TCP, and so on.
func ofKubernetes(name string) bool {
	return strings.HasPrefix(name, "OSTIARY_SERVICE_") || name == "OSTIARY_PORT" || strings.HasPrefix(name, "OSTIARY_PORT_")
}
