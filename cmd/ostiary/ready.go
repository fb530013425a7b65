package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ostiary/ostiary/internal/config"
)

type readyCmd struct {
	Server unchecked `embed:""`
}

func (readyCmd) Help() string {
	return `Asks the server at the address of these settings whether it can serve, for whatever watches a container or a service and has no
curl. Exit status 0 if it can. It reads neither the database nor the master key.

Examples:
    ostiary ready
    ostiary ready --listen 127.0.0.1:8443 --tls-cert chain.pem --tls-key key.pem`
}

func (c *readyCmd) Run(a *app) error {
	srv := config.Server(c.Server)
	status, body, err := ask(a, &srv, "/ostiary/readyz")
	switch {
	case err != nil:
		return fmt.Errorf("nothing answers at %s: %w", srv.Listen, err)
	case status == http.StatusForbidden && strings.Contains(body, "declared proxies only"):
		return remedied{srv.Listen + " answers its declared proxies only", "add this machine to trusted_proxy, or ask through the proxy"}
	case status != http.StatusOK || body != "ready":
		return fmt.Errorf("%s can't serve now: status %d: its log says why", srv.Listen, status)
	}
	_, err = fmt.Fprintln(a.out, "ready")
	return err
}
