package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// pocket is PocketBase, as ./pocketbase serves it.
type pocket struct {
	process
	dir string
}

func newPocket(ctx context.Context, binary, dir string) (*pocket, error) {
	if binary == "" {
		binary = filepath.Join(dir, "pocketbase")
		if err := build(ctx, "pocketbase", ".", binary); err != nil {
			return nil, fmt.Errorf("%w; -alone measures without PocketBase", err)
		}
	}
	p := &pocket{dir: filepath.Join(dir, "pocketbase-data")}
	p.binary, p.ready = binary, "/api/health"
	var err error
	if p.address, err = freeAddress(); err != nil {
		return nil, err
	}
	p.counter = "http://" + p.address + mallocsPath
	p.args = []string{"-dir", p.dir, "-listen", p.address}
	p.log, err = os.Create(filepath.Join(dir, "pocketbase.log"))
	return p, err
}

// pocketMost is how many clients PocketBase is asked by at once, and so its accounts: with
// 256, each would wait six seconds for an answer.
const pocketMost = 64

// populate starts PocketBase for the first time, which makes its store and the accounts.
func (p *pocket) populate(ctx context.Context) error {
	args := p.args
	defer func() { p.args = args }()
	p.args = append([]string{"-accounts", strconv.Itoa(pocketMost), "-password", secret}, args...)
	_, err := p.start(ctx)
	return err
}

// login signs in for a token.
func (p *pocket) login(c *client, i int) (worker, error) {
	request := p.loginOf(i)
	return func() error { _, err := c.ok(request); return err }, nil
}

func (p *pocket) loginOf(i int) []byte {
	return post(p.address, "/api/collections/users/auth-with-password",
		fmt.Sprintf(`{"identity":"%s@example.com","password":%q}`, username(i), secret))
}

func (p *pocket) token(c *client, i int) (string, error) {
	body, err := c.ok(p.loginOf(i))
	if err != nil {
		return "", err
	}
	token, err := field(body, "token")
	return string(token), err
}

// refresh asks for another token, which does not end the one that it is asked with.
func (p *pocket) refresh(c *client, i int) (worker, error) {
	token, err := p.token(c, i)
	request := fmt.Appendf(nil, "POST /api/collections/users/auth-refresh HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: %s\r\nContent-Length: 0\r\n\r\n",
		p.address, token)
	return func() error { _, err := c.ok(request); return err }, err
}

// pocketClients are so many clients of PocketBase.
func pocketClients(n int, work func(*pocket, *client, int) (worker, error)) func(context.Context, *bench, *row) error {
	return func(ctx context.Context, b *bench, r *row) error {
		for i := range n {
			c, err := b.connect(ctx, b.pocket.address)
			if err != nil {
				return err
			}
			w, err := work(b.pocket, c, i)
			if err != nil {
				return err
			}
			r.workers, r.clients = append(r.workers, w), append(r.clients, c)
		}
		r.hangUp()
		r.measured(b.pocket.target())
		return nil
	}
}

// pocketChecks asks what needs a token, and does nothing.
func pocketChecks(ctx context.Context, b *bench, r *row) error {
	c, err := b.connect(ctx, b.pocket.address)
	if err != nil {
		return err
	}
	token, err := b.pocket.token(c, 0)
	if err != nil {
		return err
	}
	return b.ask(ctx, r, b.pocket.target(), question{method: "GET", path: "/check", authorization: "Bearer " + token})
}
