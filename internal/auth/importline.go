package auth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/strictjson"
)

// importMembers are the members of a line, which docs/import.md describes. Their order is
// that in which they are digested.
type importMembers struct {
	Realm         string            `json:"realm,omitempty"`
	ID            string            `json:"id,omitempty"`
	Username      string            `json:"username,omitempty"`
	Email         string            `json:"email,omitempty"`
	EmailVerified bool              `json:"email_verified,omitempty"`
	DisplayName   string            `json:"display_name,omitempty"`
	Org           string            `json:"org,omitempty"`
	Names         []importName      `json:"names,omitempty"`
	Number        *int64            `json:"number,omitempty"`
	Kind          string            `json:"kind,omitempty"`
	Disabled      bool              `json:"disabled,omitempty"`
	Roles         []string          `json:"roles,omitempty"`
	Aliases       map[string]string `json:"aliases,omitempty"`
	PasswordHash  string            `json:"password_hash,omitempty"`
	Salt          string            `json:"salt,omitempty"`
	Source        string            `json:"source,omitempty"`
	Pending       bool              `json:"pending,omitempty"`
	Passwords     []importPassword  `json:"passwords,omitempty"`
	Apart         string            `json:"apart,omitempty"`
	Elsewhere     string            `json:"factor_elsewhere,omitempty"`
	RecoveryCodes []string          `json:"recovery_codes,omitempty"`
	Sealed        string            `json:"sealed,omitempty"`
	importSecrets
}

// importName is a name beside the username and the e-mail address, as an export has those of
// accounts that were merged. Without a dialect it is good in all, else in that alone.
type importName struct {
	Name    string `json:"name"`
	Dialect string `json:"dialect,omitempty"`
}

// importPassword is a password of a source, as an export has it.
type importPassword struct {
	Source   string `json:"source"`
	Hash     string `json:"hash,omitempty"`
	Joined   bool   `json:"joined,omitempty"`
	ProvenAt string `json:"proven_at,omitempty"`
}

// importSecrets are the members that an export seals.
type importSecrets struct {
	TOTPSecret     string         `json:"totp_secret,omitempty"`
	TOTPEnrolment  string         `json:"totp_enrolment,omitempty"`
	TOTPLastStep   int64          `json:"totp_last_step,omitempty"`
	RecoveryHashes []string       `json:"recovery_hashes,omitempty"`
	SecretHashes   []importSecret `json:"secret_hashes,omitempty"`
	PastPasswords  []string       `json:"past_passwords,omitempty"`
}

type importSecret struct {
	Hash      string `json:"hash"`
	ExpiresAt string `json:"expires_at,omitempty"` // null: never
}

const byteOrderMark = "\ufeff"

// parseImportJSON reads a line of JSON.
func parseImportJSON(text []byte, ignoreUnknown bool) (m importMembers, err error) {
	if bytes.HasPrefix(text, []byte(byteOrderMark)) { // RFC 8259, section 8.1
		return m, refuseLine("malformed", "a byte order mark stands before the line: JSON has none")
	}
	unknown, err := strictjson.DecodeKnown(text, &m)
	if err != nil {
		return m, lineError(err)
	}
	return m, unknownMembers(unknown, ignoreUnknown)
}

func unknownMembers(names []string, ignore bool) error {
	if len(names) == 0 || ignore {
		return nil
	}
	return refuseLine("malformed", "unknown members: %s; --ignore-unknown leaves them out", quoted(names))
}

// quoted are names as they can be shown, and how many more there are.
func quoted(names []string) string {
	const most = 5
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == most {
			b.WriteString("…")
			break
		}
		if len(name) > 64 {
			name = strings.ToValidUTF8(name[:64], "") + "…"
		}
		text, _ := json.Marshal(name)
		b.Write(text)
	}
	return b.String()
}

// lineError is an error of the reader of JSON, about a line.
func lineError(err error) error {
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return err
	}
	if e.Field == "" {
		return refuseLine("malformed", "the line %s", e.Reason)
	}
	return refuseLine("malformed", "%s: it %s", e.Field, e.Reason)
}

// checkBytes refuses what no format takes. The text is without the end of its line.
func checkBytes(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return refuseLine("malformed", "this is UTF-16: convert the file to UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		return refuseLine("malformed", "the line has a zero byte")
	case !utf8.Valid(text):
		return refuseLine("malformed", "the line is not valid UTF-8, at byte %d", invalidAt(text)+1)
	}
	return nil
}

func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// digest is that of what a line says, however it is written: its order, its spelling of what
// is the same, and the file's format do not count.
func (m importMembers) digest(a *ImportedAccount) [32]byte {
	m.Realm, m.ID, m.Sealed, m.Salt = "", "", "", ""
	m.Kind, m.Roles, m.PasswordHash, m.Source = string(a.Kind), a.Roles, a.PasswordHash, string(a.Source)
	m.RecoveryCodes, m.RecoveryHashes, m.Passwords, m.Pending = nil, nil, nil, false
	for _, p := range a.Passwords {
		m.Passwords = append(m.Passwords, importPassword{Source: string(p.Source), Hash: p.Hash, Joined: p.Joined, ProvenAt: instantText(p.ProvenAt)})
	}
	m.Names = nil
	for _, n := range a.Names {
		m.Names = append(m.Names, importName{Name: n.Key, Dialect: string(n.Dialect)})
	}
	for _, hash := range a.RecoveryCodes {
		m.RecoveryHashes = append(m.RecoveryHashes, hex64(hash))
	}
	m.TOTPSecret, m.TOTPEnrolment = plainBase32(m.TOTPSecret), plainBase32(m.TOTPEnrolment)
	return sumOf(&m)
}

func instantText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// instantOf reads a time (RFC 3339), as an export writes it; "" is the zero time.
func instantOf(what, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.UnixMicro() <= 0 { // the epoch is what the store has for none
		return t, refuseLine("malformed", "%s: this is no time, such as 2026-03-01T12:00:00Z", what)
	}
	return t, nil
}

// importProblem is why a line is refused.
type importProblem struct {
	kind, reason string
	account      uuid.UUID
}

func (p *importProblem) Error() string { return p.reason }

// sortedRoles are roles each once.
func sortedRoles(roles []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(roles)))
}

// importKind is the kind that a line says.
func importKind(kind string) (Kind, error) {
	k := Kind(cmp.Or(kind, string(KindPerson)))
	if k != KindPerson && k != KindService {
		return "", refuseLine("malformed", "kind: it is person or service")
	}
	return k, nil
}
