package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// Writeback is one [[writeback]] of the file: an old system that is told, for a while, of
// the passwords that are chosen here.
type Writeback struct {
	Realm  string `toml:"realm"`
	Until  string `toml:"until"`  // RFC 3339
	Format string `toml:"format"` // of the hashes

	File              string `toml:"file"`    // this one, or the other
	Webhook           string `toml:"webhook"` // https, or http to this machine
	WebhookSecretFile string `toml:"webhook_secret_file"`

	End time.Time `toml:"-"` // Until
	URL *url.URL  `toml:"-"` // Webhook
}

// longestWriteback is how far ahead until may be: a way back is no state to live in.
const longestWriteback = 366 * 24 * time.Hour

// Writebacks are the [[writeback]] tables, checked, in their order.
func (s *Shared) Writebacks() (all []Writeback, err error) {
	if s.file == nil {
		return nil, nil
	}
	seen, files := map[string]bool{}, map[string]bool{}
	for i, w := range s.file.writebacks {
		err := w.settle(time.Now())
		if err == nil && seen[w.Realm] {
			err = fmt.Errorf("realm: a [[writeback]] before has it too")
		}
		file := filepath.Clean(w.File)
		if err == nil && w.File != "" && files[file] {
			err = fmt.Errorf("file: a [[writeback]] before has it too")
		}
		if err != nil {
			name := ""
			if auth.RealmName.MatchString(w.Realm) {
				name = " (" + w.Realm + ")"
			}
			return nil, fmt.Errorf("%s: writeback %d%s: %w", s.file.name, i+1, name, err)
		}
		seen[w.Realm], files[file] = true, true
		all = append(all, w)
	}
	return all, nil
}

func (w *Writeback) settle(now time.Time) (err error) {
	switch {
	case w.Realm == "":
		return fmt.Errorf("realm: missing")
	case !auth.RealmName.MatchString(w.Realm):
		return fmt.Errorf("realm: %s", badRealm(w.Realm))
	case w.Until == "":
		return fmt.Errorf("until: missing")
	}
	if w.End, err = time.Parse(time.RFC3339, w.Until); err != nil {
		return fmt.Errorf("until: must be a time such as 2027-01-31T00:00:00Z")
	}
	if w.End.After(now.Add(longestWriteback)) {
		return fmt.Errorf("until: must be at most a year ahead")
	}
	if w.Format == "" {
		return fmt.Errorf("format: missing")
	}
	if err := oneOf(w.Format, password.MakeFormats()...); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if (w.File == "") == (w.Webhook == "") {
		return fmt.Errorf("file, webhook: give one of them")
	}
	if (w.Webhook == "") != (w.WebhookSecretFile == "") {
		return fmt.Errorf("webhook_secret_file: goes with webhook, and webhook with it")
	}
	if w.Webhook == "" {
		return nil
	}
	if w.URL, err = hookURL(w.Webhook); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// hookURL is one that may be told of hashes. Its errors do not quote the URL, which may
// hold a secret.
func hookURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return nil, fmt.Errorf("must be a URL such as https://old.example.com/writeback")
	}
	if u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("must have no user and no fragment")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("must be https, or http to this machine alone")
	}
	return u, nil
}
