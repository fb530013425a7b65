package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Redis is where the guesses in flight are counted.
type Redis struct {
	Addresses      []string
	User, Password string
	Database       int
	TLS, Cluster   bool
}

// Plain are the machines to which the connection is without TLS, so that whoever is on the
// way reads the password, and can make guesses run that should wait.
func (r *Redis) Plain() (hosts []string) {
	for _, address := range r.Addresses {
		host, _, _ := net.SplitHostPort(address)
		if !r.TLS && !onMachine(host) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// Redis is what guess_redis says, or the file that has it; nil if neither is set.
func (s *Server) Redis() (*Redis, error) {
	text := s.GuessRedis
	switch {
	case text != "" && s.GuessRedisFile != "":
		return nil, fmt.Errorf("guess_redis and guess_redis_file: give only one")
	case s.GuessRedisFile != "":
		var err error
		if text, err = readSecret(s.GuessRedisFile); err != nil {
			return nil, fmt.Errorf("guess_redis_file: %w", err)
		}
		if text == "" {
			return nil, fmt.Errorf("guess_redis_file: %s is empty", s.GuessRedisFile)
		}
	case text == "":
		return nil, nil
	}
	r, err := parseRedis(text)
	if err != nil {
		return nil, fmt.Errorf("guess_redis: %w", err)
	}
	return r, nil
}

// parseRedis reads the URL of a Redis, or of a cluster with several addresses. No error has
// any of it, since it may have a password.
func parseRedis(text string) (*Redis, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, end, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@') + 1
	hosts := authority[at:] // which net/url takes for one
	u, err := url.Parse(scheme + "://" + authority[:at] + "x/" + end)
	if err != nil || strings.ContainsAny(authority, "?#") {
		return nil, fmt.Errorf("must be a URL such as redis://127.0.0.1:6379; in its password, write what is neither letter nor digit as %%XX")
	}
	r := &Redis{}
	scheme, cluster := strings.CutSuffix(scheme, "+cluster")
	r.Cluster, r.TLS = cluster, scheme == "rediss"
	if scheme != "redis" && scheme != "rediss" {
		return nil, fmt.Errorf("must begin with redis://, rediss://, redis+cluster:// or rediss+cluster://")
	}
	r.User = u.User.Username()
	r.Password, _ = u.User.Password()
	for address := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), "6379")
		}
		if host, _, _ := net.SplitHostPort(address); host == "" || checkAddress(address) != nil {
			return nil, fmt.Errorf("must name a host and a port, or with +cluster several, separated by commas")
		}
		r.Addresses = append(r.Addresses, address)
	}
	path := strings.Trim(u.Path, "/")
	switch {
	case len(r.Addresses) > 1 && !cluster:
		return nil, fmt.Errorf("only a cluster has several addresses: begin with redis+cluster:// or rediss+cluster://")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("must end with the number of a database, or with nothing: parameters are not known")
	case path == "":
		return r, nil
	case cluster:
		return nil, fmt.Errorf("a cluster has no numbered databases")
	}
	if r.Database, err = strconv.Atoi(path); err != nil || r.Database < 0 {
		return nil, fmt.Errorf("must end with the number of a database, or with nothing")
	}
	return r, nil
}
