package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/totp"
)

// exportEstate is a data directory with an account that has everything: its TOTP secret
// and recovery codes, and the service's secrets, are returned.
func exportEstate(t *testing.T) (data string, secret []byte, codes, secrets []string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ostiary.toml") // a policy that remembers passwords
	if err := os.WriteFile(file, []byte("[[policy]]\nrealm = \"default\"\npassword_policy = \"mikrocloud\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(stdin string, args ...string) string {
		return must(t, stdin, append(args, "--data", data, "--config", file)...)
	}
	at("", "role", "create", "clerk")
	at("Quiet otters juggle 7 lanterns!", "account", "create", "--username", "Ada", "--email", "ada@example.com", "--email-verified",
		"--display-name", "Ada <Lovelace>", "--org", "acme", "--number", "7", "--role", "clerk", "--password-stdin")
	at("Lanterns juggle 7 quiet otters!", "account", "set-password", "ada", "--password-stdin")
	at("", "account", "alias", "ada", "--dialect", "nomic", "--subject", "old id 7")
	uri, err := url.Parse(strings.SplitN(at("", "mfa", "enroll", "ada"), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if secret, err = base32.StdEncoding.DecodeString(uri.Query().Get("secret")); err != nil {
		t.Fatal(err)
	}
	at("", "mfa", "confirm", "ada", "--code", totp.Code(secret, totp.Step(time.Now())))
	codes = strings.Fields(at("", "mfa", "recovery", "ada"))
	at("", "account", "disable", "ada")
	made := at("", "account", "create", "--username", "robot", "--kind", "service")
	rotated := at("", "account", "rotate-secret", "robot", "--overlap", "24h")
	for _, text := range []string{made, rotated} {
		var object accountJSON
		if err := json.Unmarshal([]byte(text), &object); err != nil || object.Secret == "" {
			t.Fatal(err, text)
		}
		secrets = append(secrets, object.Secret)
	}
	at("", "account", "create", "--username", "bob", "--no-password")
	at("", "mfa", "enroll", "bob")
	return data, secret, codes, secrets
}

// exportLines reads an export.
func exportLines(t *testing.T, text string) (lines []exportedAccount) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var line exportedAccount
		d.DisallowUnknownFields()
		if err := d.Decode(&line); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

// unseal opens a line's sealed member.
func unseal(t *testing.T, line exportedAccount, id age.Identity) (s accountSecrets) {
	t.Helper()
	sealed, err := base64.StdEncoding.DecodeString(line.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestAccountExport_Everything(t *testing.T) {
	data, secret, codes, secrets := exportEstate(t)
	mine, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "accounts.jsonl")
	out, stderr, status := command(t, "", "account", "export", file, "--data", data,
		"--recipient", mine.Recipient().String(), "--recipient", theirs.Recipient().String())
	if status != 0 || out != "" || stderr != "" {
		t.Fatalf("%d: %s%s", status, out, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	base := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	for name, clear := range map[string]string{
		"the TOTP secret in base32": base, "in hexadecimal": hex.EncodeToString(secret), "in base64": base64.RawStdEncoding.EncodeToString(secret)[:26],
		"as it is": string(secret), "a recovery code": codes[0], "its hash": sha(codes[0]),
		"a service's secret": secrets[0], "the hash of a service's secret": sha(secrets[1]), "a password": "otters",
	} {
		if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(clear))) {
			t.Errorf("the file has %s", name)
		}
	}
	lines := exportLines(t, string(text))
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), text)
	}
	ada := lines[0]
	if !regexp.MustCompile(`^{"realm":"default","id":"[0-9a-f-]{36}","username":"Ada","email":"ada@example.com","email_verified":true,"display_name":"Ada <Lovelace>","org":"acme","number":7,"kind":"person","disabled":true,"roles":\["clerk"\],"aliases":{"nomic":"old id 7"},"password_hash":"\$argon2id\$v=19\$[^"]+","sealed":"[A-Za-z0-9+/=]+"}\n`).Match(text) {
		t.Errorf("ada is %.700s", text)
	}
	for name, id := range map[string]age.Identity{"the first": mine, "the second": theirs} {
		s := unseal(t, ada, id)
		if s.TOTPSecret != base || s.TOTPEnrolment != "" || s.TOTPLastStep < totp.Step(time.Now())-20 || len(s.RecoveryHashes) != 10 || len(s.PastPasswords) != 1 ||
			!strings.HasPrefix(s.PastPasswords[0], "$argon2id$") || s.PastPasswords[0] == ada.PasswordHash || s.SecretHashes != nil {
			t.Errorf("%s recipient reads %+v", name, s)
		}
		for _, code := range codes {
			if !strings.Contains(strings.Join(s.RecoveryHashes, " "), sha(code)) {
				t.Errorf("no hash of the code %s", code)
			}
		}
	}
	robot := unseal(t, lines[1], mine)
	if len(robot.SecretHashes) != 2 || lines[1].Kind != "service" || lines[1].PasswordHash != "" {
		t.Fatalf("the robot is %+v, with %+v", lines[1], robot)
	}
	for _, h := range robot.SecretHashes {
		if last := h.Hash == sha(secrets[1]); !last && (h.Hash != sha(secrets[0]) || h.ExpiresAt == nil) || last && h.ExpiresAt != nil {
			t.Errorf("a secret of the robot is %+v", h)
		}
	}
	if bob := unseal(t, lines[2], mine); len(bob.TOTPEnrolment) != 32 || bob.TOTPSecret != "" {
		t.Errorf("an enrolment that is not confirmed: %+v", bob)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := base64.StdEncoding.DecodeString(ada.Sealed)
	if _, err := age.Decrypt(bytes.NewReader(sealed), stranger); err == nil {
		t.Error("a stranger can open it")
	}
	log := must(t, "", "audit", "list", "--data", data, "--kind", "accounts_exported", "--json")
	want := `"actor":"cli: [^"]+".*"detail":"begun, secrets sealed to ` + sha(mine.Recipient().String())[:16] + " " + sha(theirs.Recipient().String())[:16] + `"` +
		`(?s:.*)"actor":"cli: [^"]+".*"detail":"3 accounts, 3 of them with sealed secrets"`
	if !regexp.MustCompile(want).MatchString(log) {
		t.Errorf("the audit log has\n%s\nand no\n%s", log, want)
	}
}

func TestAccountExport_LeftOut(t *testing.T) {
	data, _, _, _ := exportEstate(t)
	must(t, "", "realm", "create", "other", "--data", data)
	must(t, "", "account", "create", "--data", data, "--realm", "other", "--username", "eve", "--no-password")
	const left = "ostiary: left out, since there is no --recipient: 2 second factors, 10 recovery codes, 2 secrets of services, 1 past passwords\n"
	out, stderr, status := command(t, "", "account", "export", "--data", data)
	if status != 0 || stderr != left {
		t.Fatalf("%d: %s", status, stderr)
	}
	lines := exportLines(t, out)
	if len(lines) != 4 || lines[3].Realm != "other" || lines[3].Username != "eve" || strings.Contains(out, "sealed") {
		t.Errorf("all realms:\n%s", out)
	}
	if out, stderr, status = command(t, "", "account", "export", "-", "--data", data, "--realm", "other"); status != 0 || stderr != "" {
		t.Fatalf("%d: %s", status, stderr)
	}
	if lines := exportLines(t, out); len(lines) != 1 || lines[0].Username != "eve" {
		t.Errorf("one realm:\n%s", out)
	}
	t.Setenv("OSTIARY_REALM", "other") // says the same
	if lines := exportLines(t, must(t, "", "account", "export", "-", "--data", data)); len(lines) != 1 || lines[0].Username != "eve" {
		t.Errorf("one realm, by the environment: %+v", lines)
	}
	t.Setenv("OSTIARY_REALM", "default")
	if log := must(t, "", "audit", "list", "--data", data, "--kind", "accounts_exported", "--json"); strings.Count(log, `"detail":"begun, without secrets"`) != 1 {
		t.Errorf("the audit log has\n%s", log)
	}
}

func TestAccountExport_File(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, "", "account", "create", "--data", data, "--username", "eve", "--no-password")
	dir := t.TempDir()
	file := filepath.Join(dir, "accounts.jsonl")
	export := func(args ...string) (string, int) {
		_, stderr, status := command(t, "", append([]string{"account", "export", file, "--data", data}, args...)...)
		return stderr, status
	}
	events := func() int {
		return strings.Count(must(t, "", "audit", "list", "--data", data, "--kind", "accounts_exported", "--json"), "\n")
	}
	if stderr, status := export(); status != 0 {
		t.Fatal(stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatal(info, err)
	}
	if stderr, status := export(); status != 1 || !strings.Contains(stderr, "is there: give another name, or --force") || events() != 2 {
		t.Errorf("a file that is there: %d: %s", status, stderr)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	must(t, "", "account", "create", "--data", data, "--username", "bob", "--no-password")
	if stderr, status := export("--force"); status != 0 {
		t.Errorf("--force: %s", stderr)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(after, before) || len(after) == len(before) {
		t.Errorf("replaced: %v\n%s", err, after)
	}
	file = filepath.Join(dir, "other")
	// What a killed one left is not in the way, and goes when it is old.
	old, young := file+".1.partial", file+".2.partial"
	for _, left := range []string{old, young, file + ".partial"} {
		if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Now(), time.Now().Add(-2*dead)); err != nil {
		t.Fatal(err)
	}
	if stderr, status := export(); status != 0 {
		t.Errorf("remains: %d: %s", status, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.partial")); !slices.Equal(left, []string{young, file + ".partial"}) {
		t.Errorf("left behind: %q", left)
	}
	file = filepath.Join(dir, "none", "x")
	if stderr, status := export(); status != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("no directory: %d: %s", status, stderr)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "age1xyz", id.String(), hybrid.Recipient().String(), id.Recipient().String() + "\n" + id.Recipient().String()} {
		if stderr, status := export("--recipient", text, "--recipient", id.Recipient().String()); status != 2 || strings.Contains(stderr, "SECRET") {
			t.Errorf("%q is no recipient: %d: %s", text, status, stderr)
		}
	}
}

// TestWriteWhole_NothingHalf sees that what fails leaves nothing, and what came meanwhile stays.
func TestWriteWhole_NothingHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	const first = exportBegins + `"a"}`
	half := func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return io.ErrUnexpectedEOF }
	if err := writeWhole(path, false, exportFile, half); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	err := writeWhole(path, false, exportFile, func(w io.Writer) error {
		_, _ = io.WriteString(w, "late")
		return os.WriteFile(path, []byte(first), 0o600)
	})
	if text, _ := os.ReadFile(path); err == nil || string(text) != first {
		t.Errorf("%v: %s", err, text)
	}
	if err := writeWhole(path, true, exportFile, half); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if text, _ := os.ReadFile(path); string(text) != first {
		t.Errorf("replaced by half: %s", text)
	}
}

// TestWriteWhole_AtOnce sees that of two that write one file neither gives the other's half
// its name, whatever the one that is late has left.
func TestWriteWhole_AtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	text := func(of string) string { return exportBegins + strings.Repeat(of, 1<<16) + "}" }
	write := func(of string, meanwhile func()) error {
		return writeWhole(path, true, exportFile, func(w io.Writer) error {
			_, err := io.WriteString(w, text(of))
			meanwhile()
			return err
		})
	}
	err := write("a", func() {
		inner := write("b", func() {})
		if got, err := os.ReadFile(path); inner != nil || err != nil || string(got) != text("b") {
			t.Errorf("the second: %v %v, %d bytes", inner, err, len(got))
		}
	})
	if got, readErr := os.ReadFile(path); err != nil || readErr != nil || string(got) != text("a") {
		t.Errorf("the first: %v %v, %d bytes", err, readErr, len(got))
	}
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- write("c", func() { close(begun); <-end })
	}()
	<-begun
	if err := write("d", func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text("c") {
			t.Errorf("while another writes: %v, %d bytes", err, len(got))
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestForce_ReplacesWhatItWrote sees that no command writes over the store it reads, or
// anything else but a file of its own kind.
func TestForce_ReplacesWhatItWrote(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data) // with its -wal and -shm
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, "", "account", "create", "--data", data, "--username", "eve", "--no-password")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	to := []string{"--force", "--data", data, "--recipient", id.Recipient().String()}
	export := filepath.Join(dir, "export")
	for _, args := range [][]string{{"backup", file}, {"backup", file}, {"account", "export", export}, {"account", "export", export}} {
		must(t, "", append(args, to...)...)
	}
	for _, args := range [][]string{{"account", "export", file}, {"backup", export}} {
		if _, stderr, status := command(t, "", append(args, to...)...); status != 1 || !strings.Contains(stderr, " only\n") {
			t.Errorf("%q: %d %s", args, status, stderr)
		}
	}
	must(t, "", "backup", file, "--force", "--data", data)
	must(t, "", "backup", file, "--force", "--data", data)
	if err := os.WriteFile(file, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{file, dir}
	for _, name := range []string{"ostiary.db", "ostiary.db-wal", "ostiary.db-shm", "master.key"} {
		paths = append(paths, filepath.Join(data, name))
	}
	for _, path := range paths {
		before, _ := os.ReadFile(path)
		for want, args := range map[string][]string{"--force replaces a backup only": {"backup", path}, "--force replaces an export only": {"account", "export", path}} {
			_, stderr, status := command(t, "", append(args, to...)...)
			if status != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%q: %d %s", args, status, stderr)
			}
		}
		if after, _ := os.ReadFile(path); path != filepath.Join(data, "ostiary.db-wal") && path != filepath.Join(data, "ostiary.db-shm") && !bytes.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
	empty := filepath.Join(dir, "x.db-wal")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, status := command(t, "", append([]string{"backup", empty}, to...)...); status != 1 {
		t.Error("an empty log of SQLite was replaced")
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, "", "doctor", "--data", data)
}
