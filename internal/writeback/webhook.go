package writeback

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

const (
	patience     = 10 * time.Second // for one answer
	maxAnswer    = 64 << 10         // of which nothing is read but the status
	leastSecret  = 24               // bytes, as Standard Webhooks has them
	mostSecret   = 64
	maxSecret    = 1 << 10 // of the file
	secretPrefix = "whsec_"
)

// Webhook posts each line to a URL, signed as Standard Webhooks 1.0 has it: by HMAC-SHA256
// over id, timestamp and body.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
}

// NewWebhook makes a Target of a URL, with the secret in a file.
func NewWebhook(to *url.URL, secretFile string) (*Webhook, error) {
	secret, err := readSecret(secretFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	return &Webhook{to.String(), secret, &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (w *Webhook) How() string { return "webhook" }

// Tell posts the first line.
func (w *Webhook) Tell(ctx context.Context, lines []auth.WaitingWriteback) (int, error) {
	id, body := lines[0].ID.String(), lines[0].Line
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Ostiary")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", sign(w.secret, id, at, body))
	res, err := w.client.Do(req)
	if err != nil {
		if asked, ok := errors.AsType[*url.Error](err); ok {
			err = asked.Err // without the URL, which may hold a secret
		}
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // so that the connection can be used again
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return 1, nil
	case res.StatusCode == http.StatusBadRequest, res.StatusCode == http.StatusConflict,
		res.StatusCode == http.StatusRequestEntityTooLarge, res.StatusCode == http.StatusUnprocessableEntity:
		return 0, fmt.Errorf("%w with %d", ErrRefused, res.StatusCode)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return 0, fmt.Errorf("answered %d: redirects are not followed", res.StatusCode)
	}
	return 0, fmt.Errorf("answered %d", res.StatusCode)
}

func sign(secret []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// readSecret reads a secret in base64, with or without the prefix of Standard Webhooks. Its
// errors do not quote it.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o007 != 0 {
		return nil, errors.Join(err, fmt.Errorf("%s can be read by everybody: take that away (chmod o-rwx)", path))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(text)), secretPrefix))
	if err != nil || len(secret) < leastSecret || len(secret) > mostSecret {
		return nil, fmt.Errorf("%s: no secret of %d to %d bytes in base64: make one with: openssl rand -base64 32", path, leastSecret, mostSecret)
	}
	return secret, nil
}
