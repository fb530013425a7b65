package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ostiary/ostiary/internal/totp"
)

// device is a client of a person: an application that was written from the documentation of
// its dialect, and knows nothing of what stands behind the address.
type device struct {
	*person
	w        *world
	habit    habit
	lastStep int64 // of the codes that it has used

	// What it was given.
	access, csrf, refresh string
}

// habit is how a device uses what it was given.
type habit int

const (
	signsIn habit = iota // all the time
	keeps                // signs in once, in the beginning, and goes on by renewing
	sleeps               // signs in once, and comes back when all have moved
)

// act is a round of what the device does, each with a request or two.
func (d *device) act(ctx context.Context) error {
	now := d.w.now()
	if d.late && now < moved {
		return nil
	}
	steps := []func(context.Context) error{d.signIn, d.check, d.renew, d.check}
	if d.habit != signsIn && d.access != "" {
		steps = []func(context.Context) error{d.check}
		if d.habit == keeps || now >= moved {
			steps = append(steps, d.renew, d.check)
		}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// answer has the members of all dialects' answers.
type answer struct {
	JWT          string `json:"jwt"`
	CSRF         string `json:"csrf"`
	Token        string `json:"token"`
	MFAEnabled   bool   `json:"mfa_enabled"`
	AuthToken    string `json:"auth_token"`
	UserName     string `json:"userName"`
	EmailAddress string `json:"emailAddress"`
	Tokens       struct {
		ID      string `json:"idToken"`
		Access  string `json:"accessToken"`
		Refresh string `json:"refreshToken"`
	} `json:"tokens"`
}

func (d *device) signIn(ctx context.Context) error {
	basic := base64.StdEncoding.EncodeToString([]byte(d.name() + ":" + d.Password))
	var a answer
	switch d.dialect {
	case "cloudio":
		err := d.post(ctx, "/v1/auth", "Token "+basic, map[string]string{}, &a)
		if err == nil && a.EmailAddress != d.Email {
			err = fmt.Errorf("somebody else signs in: %q instead of %q", a.EmailAddress, d.Email)
		}
		if err != nil {
			return err
		}
		d.access, d.csrf = a.JWT, a.CSRF
	case "mikrocloud":
		return d.signInTwice(ctx)
	case "nomic":
		if err := d.post(ctx, "/api/auth/token", "Basic "+basic, nil, &a); err != nil {
			return err
		}
		d.access = a.Token
	case "senmo":
		if err := d.post(ctx, "/v1/auth", "", map[string]string{"username": d.name(), "password": d.Password}, &a); err != nil {
			return err
		}
		d.access, d.refresh = a.Tokens.Access, a.Tokens.Refresh
	}
	return nil
}

// signInTwice is the login of two steps. A code is good once, so that an account with a
// second factor can't sign in more often than its authenticator has new ones.
func (d *device) signInTwice(ctx context.Context) error {
	var code any
	if d.secret != nil {
		step := max(d.lastStep+1, totp.Step(time.Now()))
		if step > totp.Step(time.Now())+totp.MaxSkew {
			return nil
		}
		d.lastStep = step
		code = totp.Code(d.secret, step)
	}
	var a answer
	if err := d.post(ctx, "/user/login", "", map[string]string{"email": d.name(), "password": d.Password}, &a); err != nil {
		return err
	}
	if a.MFAEnabled != (d.secret != nil) {
		return fmt.Errorf("mfa_enabled is %v", a.MFAEnabled)
	}
	if err := d.post(ctx, "/user/passport", "", map[string]any{"totp": code, "token": a.Token}, &a); err != nil {
		return err
	}
	d.access = a.AuthToken
	return nil
}

// renew gets another token with the one that there is, where the dialect has that.
func (d *device) renew(ctx context.Context) error {
	var a answer
	switch d.dialect {
	case "nomic":
		if err := d.post(ctx, "/api/auth/token", "Bearer "+d.access, nil, &a); err != nil {
			return err
		}
		d.access = a.Token
	case "senmo":
		if err := d.post(ctx, "/v1/auth/refreshtoken", "", map[string]string{"refreshtoken": d.refresh}, &a); err != nil {
			return err
		}
		d.access, d.refresh = a.Tokens.Access, a.Tokens.Refresh
	}
	return nil
}

// check shows the token to a service of the company's, which asks Ostiary whose it is.
func (d *device) check(ctx context.Context) error {
	if d.w.now() < known || d.access == "" {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.w.address+"/ostiary/verify", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.access)
	if d.csrf != "" {
		r.Header.Set("X-Csrf-Token", d.csrf)
	}
	_, header, err := d.w.send(r, d.String()+" shows its token")
	if err != nil {
		return err
	}
	if got := header.Get("Ostiary-Email"); got != d.Email {
		return d.w.failed(fmt.Errorf("%s shows its token: it is that of %q", d, got))
	}
	return nil
}

// post makes a request of the dialect, where its clients find it now.
func (d *device) post(ctx context.Context, path, credential string, body, into any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.w.base(d.dialect)+path, content)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", d.dialect+"-app/2.1")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	text, _, err := d.w.send(r, d.String()+" at "+path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return d.w.failed(fmt.Errorf("%s at %s: %w", d, path, err))
	}
	return nil
}

func (d *device) String() string {
	return d.name() + [...]string{signsIn: "", keeps: "'s long session", sleeps: "'s old session"}[d.habit]
}

// errSeen is wrapped by errors that are counted already.
var errSeen = errors.New("a request failed")
