package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
)

// connect makes a client for the rest of the run.
func (b *bench) connect(ctx context.Context, address string) (*client, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() error { c.hangUp(); return nil })
	return c, nil
}

func loginBody(i int) string {
	return fmt.Sprintf(`{"username":%q,"password":%q}`, username(i), secret)
}

func prefix(algorithm string) string {
	return map[string]string{"RS256": "/rs256", "ES256": "/es256"}[algorithm]
}

// mikrocloud signs in in two steps, and gets an opaque token.
func (b *bench) mikrocloud(c *client, i int) worker {
	login := post(b.server.address, "/user/login", fmt.Sprintf(`{"email":%q,"password":%q}`, username(i), secret))
	return func() error {
		body, err := c.ok(login)
		if err != nil {
			return err
		}
		ticket, err := field(body, "token")
		if err != nil {
			return err
		}
		_, err = c.ok(post(b.server.address, "/user/passport", fmt.Sprintf(`{"totp":"","token":%q}`, ticket)))
		return err
	}
}

// nomic signs in for one JWT.
func (b *bench) nomic(c *client, i int) worker {
	basic := base64.StdEncoding.EncodeToString([]byte(username(i) + ":" + secret))
	request := fmt.Appendf(nil, "POST /api/auth/token HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Basic %s\r\nContent-Length: 0\r\n\r\n",
		b.server.address, basic)
	return func() error { _, err := c.ok(request); return err }
}

// senmo signs in for two JWTs and a refresh token.
func (b *bench) senmo(c *client, i int) worker {
	request := post(b.server.address, "/rs256/v1/auth", loginBody(i))
	return func() error { _, err := c.ok(request); return err }
}

// refresher is a client that presents the refresh token which the last refresh gave it.
func (b *bench) refresher(ctx context.Context, prefix string, i int) (worker, error) {
	c, err := b.connect(ctx, b.server.address)
	if err != nil {
		return nil, err
	}
	return b.refresherOf(c, prefix, i)
}

func (b *bench) refresherOf(c *client, prefix string, i int) (worker, error) {
	body, err := c.ok(post(b.server.address, prefix+"/v1/auth", loginBody(i)))
	if err != nil {
		return nil, err
	}
	token, err := field(body, "refreshToken")
	if err != nil {
		return nil, err
	}
	request := post(b.server.address, prefix+"/v1/auth/refreshtoken", fmt.Sprintf(`{"refreshtoken":"%s"}`, token))
	place := request[len(request)-len(token)-len(`"}`):][:len(token)]
	return func() error {
		body, err := c.ok(request)
		if err != nil {
			return err
		}
		next, err := field(body, "refreshToken")
		if err == nil && copy(place, next) != len(next) {
			err = errors.New("a refresh token of another length")
		}
		return err
	}, nil
}

// clientsOf are so many clients that sign in.
func clientsOf(n int, login func(*bench, *client, int) worker) func(context.Context, *bench, *row) error {
	return func(ctx context.Context, b *bench, r *row) error {
		for i := range n {
			c, err := b.connect(ctx, b.server.address)
			if err != nil {
				return err
			}
			r.workers, r.clients = append(r.workers, login(b, c, i)), append(r.clients, c)
		}
		r.hangUp()
		r.measured(b.server.target())
		return nil
	}
}

// refreshers are so many clients that have signed in.
func refreshers(algorithm string, n int) func(context.Context, *bench, *row) error {
	return func(ctx context.Context, b *bench, r *row) error {
		for i := range n {
			c, err := b.connect(ctx, b.server.address)
			if err != nil {
				return err
			}
			work, err := b.refresherOf(c, prefix(algorithm), i)
			if err != nil {
				return err
			}
			r.workers, r.clients = append(r.workers, work), append(r.clients, c)
		}
		r.hangUp()
		r.measured(b.server.target())
		return nil
	}
}

// connections is how many connections ask one question over and over.
const connections = 32

// asking is a row of clients that ask one question.
func (b *bench) asking(ctx context.Context, name string, to target, q question) (*row, error) {
	r := &row{name: name, unit: "/s"}
	return r, b.ask(ctx, r, to, q)
}

// ask gives a row clients that ask one of these questions, by chance: wrk's, if it is installed.
func (b *bench) ask(ctx context.Context, r *row, to target, list ...question) (err error) {
	r.measured(to)
	if program, fault := exec.LookPath("wrk"); fault == nil {
		r.wrk, err = newWrk(program, b.dir, to.address, list...)
		return err
	}
	var requests [][]byte
	for _, q := range list {
		requests = append(requests, q.bytes(to.address))
	}
	for range connections {
		c, err := b.connect(ctx, to.address)
		if err != nil {
			return err
		}
		r.workers, r.clients = append(r.workers, func() error {
			_, err := c.ok(requests[rand.IntN(len(requests))]) //nolint:gosec // any will do
			return err
		}), append(r.clients, c)
	}
	r.hangUp()
	return nil
}

// verification asks whether an access token of this kind is good.
func (b *bench) verification(ctx context.Context, kind string) (question, error) {
	bearer, err := b.bearer(ctx, kind)
	return question{method: "GET", path: "/ostiary/verify", authorization: "Bearer " + bearer}, err
}

func verifying(kind string) func(context.Context, *bench, *row) error {
	return func(ctx context.Context, b *bench, r *row) error {
		q, err := b.verification(ctx, kind)
		if err != nil {
			return err
		}
		return b.ask(ctx, r, b.server.target(), q)
	}
}

// introspecting is a service that asks what an opaque token means.
func introspecting(ctx context.Context, b *bench, r *row) error {
	const service = "gateway"
	secret, err := b.server.createService(ctx, service)
	if err != nil {
		return err
	}
	token, err := b.bearer(ctx, "opaque")
	if err != nil {
		return err
	}
	return b.ask(ctx, r, b.server.target(), question{
		method: "POST", path: "/ostiary/introspect", form: url.Values{"token": {token}}.Encode(),
		authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(service+":"+secret)),
	})
}

// answerOf asks once, for the header of the answer.
func (b *bench) answerOf(ctx context.Context, to target, q question) (http.Header, error) {
	c, err := b.connect(ctx, to.address)
	if err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(q.bytes(to.address)); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", q.path, answer.Status)
	}
	return answer.Header, answer.Body.Close()
}

// bearer signs in, for an access token of this kind.
func (b *bench) bearer(ctx context.Context, kind string) (string, error) {
	c, err := b.connect(ctx, b.server.address)
	if err != nil {
		return "", err
	}
	if kind != "opaque" {
		body, err := c.ok(post(b.server.address, prefix(kind)+"/v1/auth", loginBody(0)))
		if err != nil {
			return "", err
		}
		token, err := field(body, "accessToken")
		return string(token), err
	}
	body, err := c.ok(post(b.server.address, "/user/login", fmt.Sprintf(`{"email":%q,"password":%q}`, username(0), secret)))
	if err != nil {
		return "", err
	}
	ticket, err := field(body, "token")
	if err != nil {
		return "", err
	}
	if body, err = c.ok(post(b.server.address, "/user/passport", fmt.Sprintf(`{"totp":"","token":%q}`, ticket))); err != nil {
		return "", err
	}
	token, err := field(body, "auth_token")
	return string(token), err
}
