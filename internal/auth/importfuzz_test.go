package auth

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/seal"
)

// fuzzImporter reads lines, and has no store.
func fuzzImporter() *Importer {
	s := New(Options{Master: seal.New(), Dialects: map[Dialect]Rules{"one": {}}, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	return &Importer{
		s: s, realm: Realm{Name: "default"}, now: s.now(), apart: map[int64]struct{}{},
		o: ImportOptions{Hash: func(text, salt string) (string, string, error) {
			return password.ForeignScheme(text, password.ForeignOptions{Salt: salt})
		}},
	}
}

// good holds that what is taken of a line is fit to be stored.
func good(t *testing.T, e *ImportEntry) {
	t.Helper()
	if e.problem != nil {
		if e.problem.reason == "" || e.problem.kind == "" {
			t.Fatalf("refused without a reason: %q", e.Text)
		}
		return
	}
	a := e.account
	if len(a.NameKeys) == 0 || a.Digest == [32]byte{} || a.Kind != KindPerson && a.Kind != KindService || a.Number < 0 {
		t.Fatalf("%q is %+v", e.Text, a)
	}
	for _, hash := range append(hashesOf(a.Passwords), a.PasswordHash) {
		if hash != "" && password.Check(hash) != nil {
			t.Fatalf("%q has the hash %q", e.Text, hash)
		}
	}
	if err := checkTexts(a.Account); err != nil {
		t.Fatalf("%q: %v", e.Text, err)
	}
}

func FuzzImportJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"username":"ada"}`, `{"email":"ada@example.com","email_verified":true,"roles":["a","a"],"aliases":{"one":"7"}}`,
		`{"username":"a","source":"one","pending":true}`, `{"username":"a","passwords":[{"source":"one","hash":"","joined":true,"proven_at":"2026-03-01T12:00:00Z"}]}`,
		`{"username":"a","totp_secret":"jbsw y3dp-ehpk 3pxp","totp_last_step":5,"recovery_codes":["old-code-1"]}`,
		`{"username":"a","kind":"service","secret_hashes":[{"hash":"` + strings.Repeat("00", 32) + `","expires_at":null}]}`,
		`{"username":"a","password_hash":"$2b$10$CwTycUXWue0Thq9StjUM0uJ8.ks8p2qJq5v8eJZVgW7yJw2b1rWm6","past_passwords":["$1$abc$0123456789012345678901"]}`,
		`{"username":"a","username":"b"}`, "{\"username\":\"\xff\"}", "\ufeff{}", `{"username":"a","number":9223372036854775808}`,
	} {
		f.Add([]byte(seed))
	}
	im := fuzzImporter()
	id := uuid.Must(uuid.NewV7())
	f.Fuzz(func(t *testing.T, text []byte) {
		e := im.Prepare(ImportLine{Line: 1, Text: text}, id)
		good(t, e)
		if again := im.Prepare(ImportLine{Line: 1, Text: append(bytes.Clone(text), ' ')}, id); e.problem == nil && again.account.Digest != e.account.Digest {
			t.Fatalf("%q has two digests", text)
		}
	})
}

// FuzzImportCSV reads what encoding/csv reads, but for line breaks within a value.
func FuzzImportCSV(f *testing.F) {
	for _, seed := range []string{`a,b`, `"a,""b",c`, `"a`, `"a"b`, `a"b`, ``, `,`, `"",""`, "a,\xff", `"a`} {
		f.Add([]byte(seed))
	}
	im := fuzzImporter()
	im.columns = []string{"username", "email", "number", "roles", "aliases.one", "disabled", "password_hash"}
	id := uuid.Must(uuid.NewV7())
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsAny(text, "\r\n") {
			return
		}
		good(t, im.Prepare(ImportLine{Line: 1, Text: text}, id))
		got, err := csvRecord(text)
		r := csv.NewReader(bytes.NewReader(text))
		want, wantErr := r.Read()
		if len(text) == 0 {
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q is %q, %v; and by encoding/csv %q, %v", text, got, err, want, wantErr)
		}
	})
}
