package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// connect makes a client for the rest of the run.
func (b *bench) connect(ctx context.Context, address string) (*client, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, c.conn.Close)
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(longest)
	}
	return c, c.conn.SetDeadline(end)
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

// asking is a row of clients that ask for one token's identity.
func (b *bench) asking(ctx context.Context, name, address, bearer string) (*row, error) {
	r := &row{name: fmt.Sprintf("%s, %d clients", name, clients), unit: "/s"}
	request := get(address, "/ostiary/verify", bearer)
	for range clients {
		c, err := b.connect(ctx, address)
		if err != nil {
			return nil, err
		}
		r.workers = append(r.workers, func() error { _, err := c.ok(request); return err })
	}
	return r, nil
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
