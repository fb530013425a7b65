package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/keyring"
)

type keyImport struct {
	File string `arg:"" optional:"" name:"FILE" help:"A public key or certificate in PEM, a JWK, or a JWK Set; -: standard input."`

	VerifyOnly bool        `help:"The only way: tokens signed by the key are verified, and none is signed by it."`
	SecretFile string      `placeholder:"FILE" help:"Instead of FILE: the shared secret of HS256, as its bytes are; one newline at the end of a text is left out."`
	Weak       bool        `help:"Take a secret of less than 32 bytes all the same."`
	Dialect    string      `required:"" help:"Whose tokens these are."`
	Issuer     string      `placeholder:"TEXT" help:"Their iss, exactly. Without it they have none, as only those of cloudio may."`
	Audience   string      `placeholder:"TEXT" help:"Their audience, exactly. Default: any."`
	Kid        string      `placeholder:"TEXT" help:"The kid in their header, if the file does not say it. Without one, they have none."`
	Algorithm  string      `placeholder:"ALG" help:"Default: what the file says, or RS256, ES256, ES384 or EdDSA by the kind of key."`
	Until      momentAhead `required:"" help:"When the key ends: RFC 3339, a date, or how long until then (30d); within a year."`
}

func (keyImport) Help() string {
	return `From then on the tokens that the other server has issued, and issues, are good here until they expire, for the accounts that they name:
by the subject in their dialect (see account alias), or, for cloudio, by a session that token import knows. A token becomes a session
when it comes first, and ends as any other. Public keys join the published ones; a secret never does. Prints each key as one JSON object.

Examples:
    ostiary key import old-jwks.json --verify-only --dialect senmo --issuer https://login.old.example.com --until 2026-12-31
    ostiary key import old.pem --verify-only --dialect nomic --issuer NomicGameManager.Api --until 2026-12-31
    ostiary key import --secret-file old.secret --algorithm HS256 --dialect cloudio --until 2026-12-31`
}

func (c *keyImport) Run(a *app) error {
	n, err := c.keys(a)
	if err != nil {
		return err
	}
	return a.inRealm(func(d *desk) error {
		keys, err := d.ImportKeys(a, d.realm.ID, n, d.by)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := a.encoder().Encode(ofForeign(k, time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// keys reads what is to be imported.
func (c *keyImport) keys(a *app) (n auth.NewForeignKeys, err error) {
	switch {
	case (c.File == "") == (c.SecretFile == ""):
		return n, misusef("give a file with public keys, or --secret-file")
	case c.File != "" && !c.VerifyOnly:
		return n, misusef("say --verify-only: keys of others verify tokens here, and sign none")
	case c.SecretFile != "" && c.Algorithm != keyring.HS256:
		return n, misusef("--secret-file: say --algorithm HS256, which is the one for secrets")
	case !c.Until.After(time.Now()) || c.Until.After(time.Now().Add(auth.ForeignLife)):
		return n, misusef("--until: %s is not in the year that begins now: by then their tokens have lived out their time", stamp(c.Until.Time))
	case c.File != "" && c.Algorithm == keyring.HS256:
		return n, misusef("--algorithm: HS256 is for a shared secret (--secret-file): a public key is none")
	}
	n = auth.NewForeignKeys{Issuer: c.Issuer, Audience: c.Audience, Until: c.Until.Time, Kid: c.Kid}
	if n.Dialect, err = c.dialect(a); err != nil {
		return n, err
	}
	if c.SecretFile != "" {
		n.Secret, err = c.secret(a)
		return n, err
	}
	n.Keys, err = c.public(a)
	return n, err
}

func (c *keyImport) dialect(a *app) (auth.Dialect, error) {
	name, err := knownDialect(a.set, "--dialect", c.Dialect)
	if err != nil {
		return "", err
	}
	all, err := spoken(a.set)
	if err != nil {
		return "", misuse(err.Error())
	}
	for _, d := range all {
		if d.Name() != name {
			continue
		}
		if len(d.Algorithms) == 0 {
			return "", misusef("--dialect: the tokens of %s are opaque: import them by token import", name)
		}
		if c.Issuer == "" && d.Rules.Session == "" {
			return "", misusef("--issuer: say the iss of the tokens of %s", name)
		}
	}
	return name, nil
}

func (c *keyImport) read(a *app, path string) ([]byte, error) {
	from := a.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is longer than 1 MiB", path)
	}
	return text, err
}

func (c *keyImport) public(a *app) ([]keyring.PublicKey, error) {
	text, err := c.read(a, c.File)
	if err != nil {
		return nil, err
	}
	keys, left, err := keyring.ParsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if left > 0 {
		fmt.Fprintf(a.err, "ostiary: %d keys of %s are not for signatures, and left out\n", left, c.File)
	}
	switch {
	case len(keys) == 0:
		return nil, fmt.Errorf("%s: there is no key for signatures in it", c.File)
	case len(keys) > 1 && (c.Kid != "" || c.Algorithm != ""):
		return nil, misusef("--kid and --algorithm are for one key, and %s has %d", c.File, len(keys))
	}
	if c.Kid != "" {
		keys[0].Kid = c.Kid
	}
	if c.Algorithm != "" {
		keys[0].Algorithm = c.Algorithm
	}
	return keys, nil
}

// secret reads a shared secret. What others may know is none: with a public key as the secret
// of an HMAC, anybody could sign.
func (c *keyImport) secret(a *app) ([]byte, error) {
	text, err := c.read(a, c.SecretFile)
	if err != nil {
		return nil, err
	}
	_, spki := x509.ParsePKIXPublicKey(text)
	_, pkcs1 := x509.ParsePKCS1PublicKey(text)
	_, cert := x509.ParseCertificate(text)
	if spki == nil || pkcs1 == nil || cert == nil || bytes.Contains(text, []byte("-----BEGIN ")) || bytes.Contains(text, []byte(`"kty"`)) {
		return nil, fmt.Errorf("%s is a key or a certificate, and no shared secret: with a public key as the secret, anybody could sign", c.SecretFile)
	}
	secret := text
	if utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' }) < 0 {
		secret = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	}
	switch {
	case len(secret) == 0:
		return nil, fmt.Errorf("%s is empty", c.SecretFile)
	case len(secret) < keyring.MinSecret && !c.Weak:
		return nil, fmt.Errorf("%s has %d bytes, and a secret of HS256 needs %d (RFC 7518): whoever has one of its tokens can try secrets; --weak takes it all the same",
			c.SecretFile, len(secret), keyring.MinSecret)
	case len(secret) < keyring.MinSecret:
		fmt.Fprintf(a.err, "ostiary: warning: the secret has %d bytes: whoever has a token signed by it can try secrets, and then sign tokens for anybody; end it soon (ostiary key end)\n", len(secret))
	}
	return secret, nil
}

func ofForeign(k keyring.Foreign, now time.Time) keyJSON {
	state := "verify-only"
	if !k.Alive(now) {
		state = "expired"
	}
	return keyJSON{
		Kid: k.Kid, Algorithm: k.Algorithm, State: state, CreatedAt: k.CreatedAt, ExpiresAt: when(k.ExpiresAt),
		ID: &k.ID, Dialect: k.Dialect, Issuer: k.Issuer, Audience: k.Audience,
	}
}

type keyEnd struct {
	Key string `arg:"" name:"KID" help:"The key's kid, or its id."`
}

func (keyEnd) Help() string {
	return `Servers refuse its tokens within 5 seconds, and the sessions that these have become end at once, with what they have renewed into:
others may have signed them. Prints the key as one JSON object, with how many sessions ended. The realm's own keys end by key rotate.

Example:
    ostiary key end old-2024`
}

func (c *keyEnd) Run(a *app) error {
	if c.Key == "" {
		return misuse("KID: must not be empty")
	}
	return a.inRealm(func(d *desk) error {
		k, n, err := d.EndForeignKey(a, d.realm.ID, c.Key, d.by)
		if err != nil {
			return err
		}
		return errors.Join(a.encoder().Encode(struct {
			keyJSON
			Sessions int `json:"sessions"`
		}{ofForeign(k, time.Now()), n}))
	})
}
