package auth

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/strictjson"
	"github.com/ostiary/ostiary/internal/totp"
)

func refuseLine(kind, reason string, args ...any) error {
	return &importProblem{kind: kind, reason: fmt.Sprintf(reason, args...)}
}

// account makes the account of a line. Whether anything of it is taken is not looked at.
func (im *Importer) account(m *importMembers, a *ImportedAccount, notes *importNotes) error {
	if err := im.opened(m); err != nil {
		return err
	}
	kind, err := importKind(m.Kind)
	if err != nil {
		return err
	}
	a.RealmID, a.Kind, a.Version, a.Origin = im.realm.ID, kind, 1, OriginImport
	a.Username, a.Email, a.EmailVerified = m.Username, m.Email, m.EmailVerified
	a.DisplayName, a.Org, a.Disabled, a.Roles = m.DisplayName, m.Org, m.Disabled, sortedRoles(m.Roles)
	if m.Number != nil {
		if a.Number = *m.Number; a.Number < 1 {
			return refuseLine("malformed", "number: it must be positive")
		}
	}
	if err := checkTexts(a.Account); err != nil {
		return malformed(err)
	}
	if a.NameKeys, err = nameKeys(m.Username, m.Email); err != nil {
		return malformed(err)
	}
	steps := []func(*importMembers, *ImportedAccount, *importNotes) error{im.names, im.otherNames, im.passwords, im.factor, im.serviceSecrets}
	for _, step := range steps {
		if err := step(m, a, notes); err != nil {
			return err
		}
	}
	notes.noPassword = kind == KindPerson && a.PasswordHash == "" && len(a.Passwords) == 0
	a.Digest = m.digest(a)
	return nil
}

// malformed is what the core says of a value, as a line's problem.
func malformed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Detail != "" {
		return refuseLine("malformed", "%s", e.Detail)
	}
	return err
}

// opened adds what is sealed.
func (im *Importer) opened(m *importMembers) error {
	if m.Sealed == "" {
		return nil
	}
	if im.o.Open == nil {
		return refuseLine("sealed", "sealed: give --identity with a key that opens it; without the member the account comes without its second factor, recovery codes and secrets")
	}
	text, err := im.o.Open(m.Sealed)
	if err != nil {
		return refuseLine("sealed", "sealed: %v", err)
	}
	if plain, _ := json.Marshal(m.importSecrets); string(plain) != "{}" {
		return refuseLine("malformed", "sealed: what it has stands beside it, too")
	}
	unknown, err := strictjson.DecodeKnown(text, &m.importSecrets)
	if err != nil {
		return refuseLine("sealed", "sealed: what is in it is no object of an export")
	}
	return unknownMembers(unknown, im.o.IgnoreUnknown)
}

// names are what an account is called elsewhere, and what it may do.
func (im *Importer) names(m *importMembers, a *ImportedAccount, _ *importNotes) error {
	if m.Realm != "" && m.Realm != im.realm.Name {
		return refuseLine("malformed", "realm: the line is of the realm %q, and this import goes into %q: import each realm's lines with its --realm, or leave the member out", m.Realm, im.realm.Name)
	}
	if m.EmailVerified && m.Email == "" {
		return refuseLine("malformed", "email_verified: there is no e-mail address")
	}
	for what, d := range map[string]string{"source": m.Source, "apart": m.Apart} {
		if _, ok := im.s.dialects[Dialect(d)]; d != "" && !ok {
			return refuseLine("malformed", "%s: there is no dialect %q", what, d)
		}
	}
	a.Source, a.Apart = Dialect(m.Source), Dialect(m.Apart)
	if a.Source == "" {
		a.Source = im.o.Source
	}
	for d, subject := range m.Aliases {
		if _, ok := im.s.dialects[Dialect(d)]; !ok {
			return refuseLine("malformed", "aliases: there is no dialect %q", d)
		}
		if err := checkText("subject", subject); err != nil || subject == "" {
			return refuseLine("malformed", "aliases: the subject in %s must be text of 1 to %d characters, without control characters", d, maxName)
		}
		if a.Aliases == nil {
			a.Aliases = map[Dialect]string{}
		}
		a.Aliases[Dialect(d)] = subject
	}
	im.numberAlias(m, a)
	for _, role := range a.Roles {
		if !AccessName.MatchString(role) {
			return refuseLine("malformed", "roles: %s is no name of a role", quoted([]string{role}))
		}
	}
	return nil
}

// otherNames are those beside the username and the e-mail address.
func (im *Importer) otherNames(m *importMembers, a *ImportedAccount, _ *importNotes) error {
	for _, n := range m.Names {
		if _, ok := im.s.dialects[Dialect(n.Dialect)]; n.Dialect != "" && !ok {
			return refuseLine("malformed", "names: there is no dialect %q", n.Dialect)
		}
		username, email := n.Name, ""
		if strings.Contains(n.Name, "@") {
			username, email = "", n.Name
		}
		keys, err := nameKeys(username, email)
		if err != nil {
			return malformed(err)
		}
		name := AccountName{Dialect: Dialect(n.Dialect), Key: keys[0]}
		if name.Dialect != a.Apart || !slices.Contains(a.NameKeys, name.Key) {
			a.Names = append(a.Names, name)
		}
	}
	slices.SortFunc(a.Names, compareNames)
	a.Names = slices.Compact(a.Names)
	return nil
}

func compareNames(x, y AccountName) int {
	return cmp.Or(strings.Compare(string(x.Dialect), string(y.Dialect)), strings.Compare(x.Key, y.Key))
}

// AllNames are all of a line's, each once, with where it is good. One that is good everywhere is
// kept apart, too, if the account is.
func (a *ImportedAccount) AllNames() []AccountName {
	names := make([]AccountName, 0, len(a.NameKeys)+len(a.Names))
	for _, key := range a.NameKeys {
		names = append(names, AccountName{Dialect: a.Apart, Key: key})
	}
	for _, n := range a.Names {
		if n.Dialect = cmp.Or(n.Dialect, a.Apart); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// numberAlias notes that the number of a line is what its source calls the account, if that goes
// by numbers: tokens of the source are found by aliases alone.
func (im *Importer) numberAlias(m *importMembers, a *ImportedAccount) {
	by := im.s.dialects[a.Source].Subject
	if a.Source == "" || m.Number == nil || by == nil || a.Aliases[a.Source] != "" {
		return
	}
	number := strconv.FormatInt(*m.Number, 10)
	if by(Account{Number: *m.Number}) != number {
		return
	}
	if a.Aliases == nil {
		a.Aliases = map[Dialect]string{}
	}
	a.Aliases[a.Source] = number
}

// passwords are those of the account, and of its sources.
func (im *Importer) passwords(m *importMembers, a *ImportedAccount, notes *importNotes) error {
	if a.Kind == KindService && (m.PasswordHash != "" || m.Pending || len(m.Passwords) > 0 || len(m.PastPasswords) > 0) {
		return refuseLine("malformed", "a service has no password: leave it out, and give it a secret with ostiary account rotate-secret once it is here")
	}
	hash, scheme, err := im.hash("password_hash", m.PasswordHash, m.Salt)
	if err != nil {
		return err
	}
	notes.add(scheme)
	pending := m.Pending
	switch {
	case m.Salt != "" && m.PasswordHash == "":
		return refuseLine("malformed", "salt: there is no password_hash that it is of")
	case pending && a.Source == "":
		return refuseLine("malformed", "pending: say which server knows the password, by source or --source")
	case pending && hash != "":
		return refuseLine("malformed", "pending: there is a password_hash, and so nobody is to be asked")
	case im.o.Pending && a.Source != "" && a.Kind == KindPerson && hash == "" && len(m.Passwords) == 0:
		pending = true
	}
	for _, p := range m.Passwords {
		s := SourceHash{Source: Dialect(p.Source), Joined: p.Joined}
		if _, ok := im.s.dialects[s.Source]; !ok {
			return refuseLine("malformed", "passwords: there is no dialect %q", p.Source)
		}
		if s.Hash, scheme, err = im.hash("passwords", p.Hash, ""); err != nil {
			return err
		}
		notes.add(scheme)
		if s.ProvenAt, err = instantOf("passwords: proven_at", p.ProvenAt); err != nil {
			return err
		}
		a.Passwords = append(a.Passwords, s)
	}
	if a.Source != "" && (hash != "" || pending) {
		a.Passwords = append(a.Passwords, SourceHash{Source: a.Source, Hash: hash})
		hash = ""
	}
	slices.SortFunc(a.Passwords, func(x, y SourceHash) int { return strings.Compare(string(x.Source), string(y.Source)) })
	for i, p := range a.Passwords {
		if i > 0 && p.Source == a.Passwords[i-1].Source {
			return refuseLine("malformed", "passwords: there are two of %s", p.Source)
		}
		notes.pending = notes.pending || p.Hash == ""
	}
	a.PasswordHash = hash
	for _, past := range m.PastPasswords {
		if past, _, err = im.hash("past_passwords", past, ""); err != nil {
			return err
		}
		a.PastPasswords = append(a.PastPasswords, past)
	}
	if len(notes.formats) > 1 {
		notes.schemes = a.schemes()
	} else if !slices.Contains(notes.formats, password.DefaultScheme) {
		notes.schemes = notes.formats
	}
	return nil
}

// hash is the form in which a hash of another system is stored, and its cost class.
func (im *Importer) hash(what, text, salt string) (stored, scheme string, err error) {
	if text == "" {
		return "", "", nil
	}
	stored, scheme, err = im.o.Hash(text, salt)
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), password.ErrUnsupported.Error()+": ")
		return "", "", refuseLine("hash", "%s: %s", what, reason)
	}
	return stored, scheme, nil
}

const (
	leastTOTP = 10 // bytes; RFC 4226, section 4, asks for 16, and recommends 20
	goodTOTP  = 16
	mostTOTP  = 128

	mostAhead = time.Hour // of a last step: clocks differ
)

// factor is the second factor, with what stands in for it.
func (im *Importer) factor(m *importMembers, a *ImportedAccount, notes *importNotes) error {
	text := m.TOTPSecret + m.TOTPEnrolment
	if a.Elsewhere = Dialect(m.Elsewhere); m.Elsewhere != "" {
		if _, ok := im.s.dialects[a.Elsewhere]; !ok {
			return refuseLine("malformed", "factor_elsewhere: there is no dialect %q", m.Elsewhere)
		}
	}
	switch {
	case a.Kind == KindService && (text+m.Elsewhere != "" || len(m.RecoveryCodes)+len(m.RecoveryHashes) > 0):
		return refuseLine("malformed", "a service has no second factor")
	case m.TOTPSecret != "" && m.TOTPEnrolment != "":
		return refuseLine("malformed", "totp_enrolment: there is a totp_secret, too")
	case m.TOTPSecret == "" && len(m.RecoveryCodes)+len(m.RecoveryHashes) > 0:
		return refuseLine("malformed", "recovery codes stand in for a second factor, and there is no totp_secret")
	case text == "":
		return nil
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plainBase32(text))
	switch {
	case err != nil:
		return refuseLine("malformed", "totp_secret: this is not base32 (RFC 4648)")
	case len(secret) < leastTOTP:
		return refuseLine("malformed", "totp_secret: it has %d bits, and must have %d at least", len(secret)*8, leastTOTP*8)
	case len(secret) > mostTOTP:
		return refuseLine("malformed", "totp_secret: it is longer than %d bytes", mostTOTP)
	case m.TOTPLastStep < 0:
		return refuseLine("malformed", "totp_last_step: it must not be negative")
	case m.TOTPLastStep > totp.Step(im.now.Add(mostAhead)):
		return refuseLine("malformed", "totp_last_step: this is more than an hour ahead (Unix time / 30), and no code would be good until then")
	}
	notes.shortTOTP = len(secret) < goodTOTP
	a.Factor = &Factor{Secret: im.s.master.Seal(secret, factorRow(a.ID)), LastStep: m.TOTPLastStep, CreatedAt: im.now}
	if m.TOTPSecret != "" {
		a.Factor.ConfirmedAt = im.now
	}
	return im.recovery(m, a)
}

// plainBase32 is base32 as people and programs pass it on: in groups, in small letters, padded.
func plainBase32(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, text)
	return strings.ToUpper(strings.TrimRight(text, "="))
}

func (im *Importer) recovery(m *importMembers, a *ImportedAccount) error {
	for _, code := range m.RecoveryCodes {
		text, ok := totp.RecoveryText(code)
		if !ok {
			return refuseLine("malformed", "recovery_codes: a code has 8 to 64 visible characters of ASCII, without spaces")
		}
		a.RecoveryCodes = append(a.RecoveryCodes, sha256.Sum256([]byte(text)))
	}
	for _, text := range m.RecoveryHashes {
		hash, err := sumOfHex(text)
		if err != nil {
			return refuseLine("malformed", "recovery_hashes: %v", err)
		}
		a.RecoveryCodes = append(a.RecoveryCodes, hash)
	}
	slices.SortFunc(a.RecoveryCodes, func(x, y [32]byte) int { return bytes.Compare(x[:], y[:]) })
	a.RecoveryCodes = slices.Compact(a.RecoveryCodes)
	return nil
}

func (im *Importer) serviceSecrets(m *importMembers, a *ImportedAccount, notes *importNotes) error {
	if len(m.SecretHashes) > 0 && a.Kind != KindService {
		return refuseLine("malformed", "secret_hashes: a person has none")
	}
	for _, s := range m.SecretHashes {
		hash, err := sumOfHex(s.Hash)
		if err != nil {
			return refuseLine("malformed", "secret_hashes: %v", err)
		}
		secret := ServiceSecret{Hash: hash}
		if secret.ExpiresAt, err = instantOf("secret_hashes: expires_at", s.ExpiresAt); err != nil {
			return err
		}
		a.Secrets = append(a.Secrets, secret)
	}
	notes.noSecret = a.Kind == KindService && len(a.Secrets) == 0
	return nil
}

func sumOfHex(text string) (sum [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(sum) {
		return sum, errors.New("this is no SHA-256 in hexadecimal")
	}
	return [32]byte(raw), nil
}

func hex64(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// sumOf is the SHA-256 of what a line says.
func sumOf(m *importMembers) [32]byte {
	text, err := json.Marshal(m)
	if err != nil { // there is nothing in it that could fail
		panic(err)
	}
	return sha256.Sum256(text)
}

// importNotes are what is counted of a line that is good.
type importNotes struct {
	pending, shortTOTP, noSecret, noPassword bool
	formats                                  []string // the cost class of each password
	schemes                                  []string // those that the floor of the realm follows
}

// add notes the cost class of a password; "": there is none.
func (n *importNotes) add(scheme string) {
	if scheme != "" {
		n.formats = append(n.formats, scheme)
	}
}
