package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

type accountExport struct {
	File      string   `arg:"" optional:"" default:"-" help:"Where to write it; -, the default, is standard output."`
	Recipient []string `sep:"none" placeholder:"age1…" help:"Who can open the secrets in it: a public key of age. May be given again. None: they are left out."`
	Force     bool     `help:"Replace the file if it is there, and is an export."`
}

func (accountExport) Help() string {
	return `One JSON object a line and account, of all realms, or of the one that is set (--realm, OSTIARY_REALM, realm): names, aliases,
roles, and the password's hash. Second factors, recovery codes and services' secrets are sealed, each line's by itself, to the holders
of the --recipient keys, and left out if there are none. docs/export.md says what the members are, and how to open them. The audit log
says who exported what for whom.

Examples:
    ostiary account export accounts.jsonl --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    ostiary account export --realm default | jq -r .email`
}

// exportBegins is how every file of lines begins.
const exportBegins = `{"realm":`

// exportedAccount is a line: the members of an import, and where it comes from.
type exportedAccount struct {
	Realm         string                  `json:"realm"`
	ID            uuid.UUID               `json:"id"`
	Username      string                  `json:"username"`
	Email         string                  `json:"email"`
	EmailVerified bool                    `json:"email_verified"`
	DisplayName   string                  `json:"display_name"`
	Org           string                  `json:"org"`
	Number        int64                   `json:"number"`
	Kind          auth.Kind               `json:"kind"`
	Disabled      bool                    `json:"disabled"`
	Names         []exportedName          `json:"names,omitempty"` // of accounts that were merged into it
	Roles         []string                `json:"roles"`
	Aliases       map[auth.Dialect]string `json:"aliases"`
	PasswordHash  string                  `json:"password_hash"`
	Passwords     []exportedPassword      `json:"passwords,omitempty"` // of sources
	Apart         auth.Dialect            `json:"apart,omitempty"`
	Elsewhere     auth.Dialect            `json:"factor_elsewhere,omitempty"`
	Sealed        string                  `json:"sealed,omitempty"` // accountSecrets, by age, in base64
}

// exportedName is a name that is good in one dialect, or, without one, in all.
type exportedName struct {
	Name    string       `json:"name"`
	Dialect auth.Dialect `json:"dialect,omitempty"`
}

// exportedPassword is a password that is good in the dialect of its source.
type exportedPassword struct {
	Source   auth.Dialect `json:"source"`
	Hash     string       `json:"hash"` // empty: the source knows it
	Joined   bool         `json:"joined"`
	ProvenAt *time.Time   `json:"proven_at"`
}

// accountSecrets are the members of a line that only a recipient can read.
type accountSecrets struct {
	TOTPSecret     string           `json:"totp_secret,omitempty"`     // base32; of a confirmed factor
	TOTPEnrolment  string           `json:"totp_enrolment,omitempty"`  // base32; of one that is not
	TOTPLastStep   int64            `json:"totp_last_step,omitempty"`  // spent, as all steps before it
	RecoveryHashes []string         `json:"recovery_hashes,omitempty"` // SHA-256, hexadecimal
	SecretHashes   []exportedSecret `json:"secret_hashes,omitempty"`
	PastPasswords  []string         `json:"past_passwords,omitempty"` // hashes, the last first
}

type exportedSecret struct {
	Hash      string     `json:"hash"`       // SHA-256, hexadecimal
	ExpiresAt *time.Time `json:"expires_at"` // null: never
}

// accountExporter writes lines.
type accountExporter struct {
	*desk
	a          *app
	recipients []age.Recipient
	prints     []string
	left       [4]int // what was left out: factors, recovery codes, secrets, past passwords
}

func (c *accountExport) Run(a *app) error {
	x := &accountExporter{a: a}
	if err := x.sealTo(c.Recipient); err != nil {
		return err
	}
	defer a.interruptible()()
	err := a.inRealms(a.givenRealm, func(d *desk, realms []auth.Realm) error {
		x.desk = d
		each := func(w io.Writer) error {
			for _, r := range realms {
				if err := x.realmTo(w, r); err != nil {
					return stopped(a, err)
				}
			}
			return nil
		}
		if c.File == "-" {
			return each(a.out)
		}
		return writeWhole(c.File, c.Force, exportFile, each)
	})
	if err == nil && x.left != [4]int{} {
		fmt.Fprintf(a.err, "ostiary: left out, since there is no --recipient: %d second factors, %d recovery codes, %d secrets of services, %d past passwords\n",
			x.left[0], x.left[1], x.left[2], x.left[3])
	}
	return err
}

// sealTo reads the recipients' keys, and names them by the first 16 digits of their SHA-256.
func (x *accountExporter) sealTo(keys []string) error {
	for _, key := range keys {
		list, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil || len(list) != 1 { // it may be a secret one: do not repeat it
			return misusef("--recipient: this is no public key of age; age-keygen -y prints those: age1…")
		}
		sum := sha256.Sum256([]byte(key))
		x.recipients, x.prints = append(x.recipients, list[0]), append(x.prints, hex.EncodeToString(sum[:8]))
	}
	if len(keys) > 0 {
		if _, err := sealFor(x.recipients, nil); err != nil {
			return misusef("--recipient: %v", err)
		}
	}
	return nil
}

// realmTo writes the accounts of a realm, and has the audit log say so, before and after.
func (x *accountExporter) realmTo(w io.Writer, r auth.Realm) error {
	if err := x.NoteExport(x.a, r.ID, x.prints, x.by); err != nil {
		return err
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	accounts, sealed := 0, 0
	err := x.EachHolding(x.a, r.ID, func(h auth.Holding) error {
		line, err := x.line(r, h)
		if err != nil {
			return err
		}
		accounts++
		if line.Sealed != "" {
			sealed++
		}
		return out.Encode(line)
	})
	if err != nil {
		return err
	}
	return x.NoteExported(x.a, r.ID, accounts, sealed, x.by)
}

func (x *accountExporter) line(r auth.Realm, h auth.Holding) (exportedAccount, error) {
	line := exportedAccount{
		Realm: r.Name, ID: h.ID, Username: h.Username, Email: h.Email, EmailVerified: h.EmailVerified, DisplayName: h.DisplayName,
		Org: h.Org, Number: h.Number, Kind: h.Kind, Disabled: h.Disabled, Roles: array(h.Roles), Aliases: h.Aliases,
		PasswordHash: h.PasswordHash, Apart: h.Apart, Elsewhere: h.Elsewhere,
	}
	for _, n := range h.Names {
		line.Names = append(line.Names, exportedName{n.Key, n.Dialect})
	}
	for _, p := range h.Passwords {
		line.Passwords = append(line.Passwords, exportedPassword{p.Source, p.Hash, p.Joined, when(p.ProvenAt)})
	}
	if h.Factor == nil && len(h.RecoveryCodes) == 0 && len(h.Secrets) == 0 && len(h.PastPasswords) == 0 {
		return line, nil
	}
	if len(x.recipients) == 0 {
		if h.Factor != nil {
			x.left[0]++
		}
		x.left[1] += len(h.RecoveryCodes)
		x.left[2] += len(h.Secrets)
		x.left[3] += len(h.PastPasswords)
		return line, nil
	}
	text, err := json.Marshal(secretsOf(h))
	if err != nil {
		return line, err
	}
	line.Sealed, err = sealFor(x.recipients, text)
	return line, err
}

func secretsOf(h auth.Holding) (s accountSecrets) {
	if h.Factor != nil {
		s.TOTPLastStep = h.Factor.LastStep
		secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.TOTP)
		if h.Factor.ConfirmedAt.IsZero() {
			s.TOTPEnrolment = secret
		} else {
			s.TOTPSecret = secret
		}
	}
	for _, hash := range h.RecoveryCodes {
		s.RecoveryHashes = append(s.RecoveryHashes, hex.EncodeToString(hash[:]))
	}
	for _, secret := range h.Secrets {
		s.SecretHashes = append(s.SecretHashes, exportedSecret{hex.EncodeToString(secret.Hash[:]), when(secret.ExpiresAt)})
	}
	s.PastPasswords = h.PastPasswords
	return s
}

// sealFor encrypts a text to each of the recipients (age-encryption.org/v1), in base64.
func sealFor(recipients []age.Recipient, text []byte) (string, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}
