package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/store"
)

// memberOf is a member of a JSON object, or of one in it.
func memberOf(t testing.TB, text string, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	member, _ := v.(string)
	if member == "" {
		t.Fatalf("no %q in %s", path, text)
	}
	return member
}

// used is what was given out before a backup or after it, and used after it.
type used struct{ refresh, bearers, tickets, codes, recovery []string }

// spend makes a backup in the midst of what people do: of each that works once it is
// there unspent, and is spent afterwards.
func spend(t *testing.T, e *estate, backup func()) (u used) {
	ask := func(path, body string) string {
		t.Helper()
		status, answer := e.ask("POST", path, body)
		if status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", path, body, status, answer)
		}
		return answer
	}
	ticket := func(name string) string {
		return memberOf(t, ask("/user/login", jsonOf("email", name, "password", diskPass)), "token")
	}
	senmo := func(path, body string) {
		answer := ask(path, body)
		u.refresh = append(u.refresh, memberOf(t, answer, "tokens", "refreshToken"))
		u.bearers = append(u.bearers, memberOf(t, answer, "tokens", "accessToken"))
	}
	bearer := func() {
		u.bearers = append(u.bearers, memberOf(t, ask("/user/passport", jsonOf("token", ticket("bob"))), "auth_token"))
	}
	e.run(diskPass, "account", "create", "--username", "bob", "--password-stdin")
	u.recovery = strings.Fields(e.run("", "mfa", "recovery", "ada"))[:2]
	senmo("/v1/auth", jsonOf("username", "bob", "password", diskPass))
	bearer()
	u.tickets = []string{ticket("ada"), ticket("ada"), ticket("ada")}
	backup()
	senmo("/v1/auth/refreshtoken", jsonOf("refreshtoken", u.refresh[0]))
	senmo("/v1/auth", jsonOf("username", "bob", "password", diskPass))
	bearer()
	u.codes = []string{e.code(0), e.code(1)}
	ask("/user/passport", jsonOf("token", u.tickets[0], "totp", u.codes[1]))
	ask("/user/passport", jsonOf("token", u.tickets[1], "totp", u.recovery[0]))
	return u
}

// TestThreat69_RestoreEndsWhatMayBeSpent: what was spent after a backup stays spent in the
// store that is restored from it, whatever its engine, and what was given out is void. The
// store is good for all else.
func TestThreat69_RestoreEndsWhatMayBeSpent(t *testing.T) {
	e := strong(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identity, file := filepath.Join(dir, "age.txt"), filepath.Join(dir, "backup")
	if err := os.WriteFile(identity, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte(strings.Repeat("secret of old ", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	const alive = "alive; echo $HOME 'x"
	for _, kid := range []string{"ended", alive} {
		e.run("", "key", "import", "--secret-file", old, "--algorithm", "HS256", "--kid", kid, "--dialect", "cloudio", "--until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}
	e.run("", "key", "end", "ended")
	u := spend(t, e, func() { e.run("", "backup", file, "--recipient", id.Recipient().String()) })
	var last struct{ ID string }
	if err := json.Unmarshal([]byte(e.run("", "key", "end", alive)), &last); err != nil { // since the backup
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(e.data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	_, oldKeys := e.ask("GET", "/.well-known/jwks.json", "")
	e.p.Kill()
	for engine, flags := range map[string]func(t *testing.T) []string{
		"SQLite":     func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string { return []string{"--database", pgtest.URL(t)} },
	} {
		t.Run(engine, func(t *testing.T) {
			data := restoredFrom(t, key)
			at := append([]string{"--data", data}, flags(t)...)
			run := func(args ...string) string { return must(t, diskPass, append(args, at...)...) }
			said := run("restore", file, "--identity", identity)
			for _, want := range []string{"2 accounts", "epoch 1", "2 sessions were ended", "1 account needs new ones", "end those again that were ended since:\n    ostiary key end " + last.ID + ` --realm default  # 'alive; echo $HOME '\''x' of cloudio, until `} {
				if !strings.Contains(said, want) {
					t.Errorf("the report lacks %q: %s", want, said)
				}
			}
			restored := &estate{t: t, data: data, factor: e.factor, tokens: map[string]string{}}
			restored.serve(at[2:]...)
			u.allRefused(t, restored, oldKeys, func() string { return run("mfa", "recovery", "ada") })
			if n := len(run("account", "create", "--username", "new", "--password-stdin")); n == 0 {
				t.Error("no account")
			}
			if a := run("account", "show", "new", "--json"); !regexp.MustCompile(`"number":[1-9]\d{6}`).MatchString(a) {
				t.Errorf("a number that may have been given: %s", a)
			}
			if log := run("audit", "list", "--kind", "store_restored"); !strings.Contains(log, "epoch 1") {
				t.Errorf("the audit log: %s", log)
			}
			run("audit", "verify")
			if engine == "SQLite" && refreshKey(t, data) == refreshKey(t, e.data) {
				t.Error("refresh tokens are made with the same key")
			}
			if err := restored.p.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, errOut, status := command(t, "", append([]string{"restore", file, "--identity", identity}, at...)...); status != 1 || !strings.Contains(errOut, "has accounts") {
				t.Errorf("over accounts: %d %s", status, errOut)
			}
		})
	}
}

// refreshKey is the key of a store's refresh tokens, sealed.
func refreshKey(t *testing.T, data string) string {
	t.Helper()
	s, err := store.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	realm, err := s.RealmByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return string(realm.RefreshKey)
}

// allRefused tries all again; renew makes new recovery codes, which are good.
func (u used) allRefused(t *testing.T, e *estate, oldKeys string, renew func() string) {
	t.Helper()
	refused := func(what string, want int, method, path, body string, headers ...string) {
		t.Helper()
		if status, a := e.ask(method, path, body, headers...); status != want {
			t.Errorf("%s: %d %s", what, status, a)
		}
	}
	for i, token := range u.refresh {
		refused(fmt.Sprintf("refresh token %d", i), http.StatusBadRequest, "POST", "/v1/auth/refreshtoken", jsonOf("refreshtoken", token))
	}
	for i, token := range u.bearers {
		refused(fmt.Sprintf("token %d", i), http.StatusUnauthorized, "GET", "/ostiary/verify", "", "Authorization: Bearer "+token)
	}
	_, answer := e.ask("POST", "/user/login", jsonOf("email", "ada", "password", diskPass))
	ticket := memberOf(t, answer, "token")
	for _, code := range append(u.codes, u.recovery...) {
		refused("code "+code, http.StatusUnauthorized, "POST", "/user/passport", jsonOf("token", ticket, "totp", code))
	}
	codes := strings.Fields(renew())
	for i, ticket := range u.tickets {
		refused(fmt.Sprintf("ticket %d", i), http.StatusUnauthorized, "POST", "/user/passport", jsonOf("token", ticket, "totp", codes[i]))
	}
	if status, a := e.ask("POST", "/user/passport", jsonOf("token", ticket, "totp", codes[0])); status != http.StatusOK {
		t.Errorf("a new recovery code, with a new ticket: %d %s", status, a)
	}
	_, keys := e.ask("GET", "/.well-known/jwks.json", "")
	var before, after struct{ Keys []struct{ Kid string } }
	if json.Unmarshal([]byte(oldKeys), &before) != nil || json.Unmarshal([]byte(keys), &after) != nil || len(before.Keys) == 0 || len(after.Keys) == 0 {
		t.Fatalf("keys: %s, %s", oldKeys, keys)
	}
	for _, k := range before.Keys {
		if strings.Contains(keys, k.Kid) {
			t.Errorf("key %s is still published", k.Kid)
		}
	}
}

// TestBackup_Online: a backup has one moment of a store that is written all the time.
func TestBackup_Online(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
				if status, _, err := post(http.DefaultClient, p.url+"/v1/auth", jsonOf("username", "ada", "password", diskPass)); err == nil && status == http.StatusOK {
					n++
				}
			}
		}
	}()
	key, err := os.ReadFile(filepath.Join(data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		file := filepath.Join(t.TempDir(), "backup")
		must(t, "", "backup", file, "--data", data)
		into := restoredFrom(t, key)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		if out, errOut, status := command(t, string(text), "restore", "-", "--data", into); status != 0 {
			t.Fatalf("%d %s%s", status, out, errOut)
		}
		must(t, "", "audit", "verify", "--data", into) // the log is whole: it has each entry up to its head
		must(t, "", "doctor", "--data", into)
	}
	close(stop)
	if n := <-done; n == 0 {
		t.Error("nobody could sign in meanwhile")
	}
}

// TestRestore_Refused: what is no whole backup is refused before anything is touched, and
// so is one without its master key. The error is one line that says why.
func TestRestore_Refused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	must(t, diskPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	must(t, "", "backup", file, "--data", data)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	into := filepath.Join(dir, "data")
	if err := os.Mkdir(into, 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, text []byte, want string) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, errOut, status := command(t, "", "restore", file, "--data", into)
		if status != 1 || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s: %d %s", what, status, errOut)
		}
		if _, err := os.Stat(filepath.Join(into, "ostiary.db")); err == nil {
			t.Errorf("%s: there is a database", what)
		}
	}
	refused("no key", whole, "put the master key")
	if err := os.WriteFile(filepath.Join(into, "master.key"), []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("another key", whole, "is not the master key")
	if err := os.WriteFile(filepath.Join(into, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("cut", whole[:len(whole)-40], "not whole")
	refused("changed", flipped, "damaged")
	refused("another file", []byte("SQLite format 3\x00, as of a copy of the database itself"), "no backup of Ostiary")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "restore", file, "--data", into)
	// From a pipe what is wrong is seen late: then nobody can use the store until it is restored.
	pipe := restoredFrom(t, key)
	if _, errOut, status := command(t, string(whole[:len(whole)-10]), "restore", "-", "--data", pipe); status != 1 || !strings.Contains(errOut, "not whole") {
		t.Errorf("a pipe that ends: %d %s", status, errOut)
	}
	for _, args := range [][]string{{"account", "list"}, {"serve", "--listen", "127.0.0.1:0"}, {"backup", filepath.Join(dir, "other")}} {
		if _, errOut, status := command(t, "", append(args, "--data", pipe)...); status != 1 || !strings.Contains(errOut, "run ostiary restore again") {
			t.Errorf("%q: %d %s", args, status, errOut)
		}
	}
	if out, errOut, status := command(t, string(whole), "restore", "-", "--data", pipe); status != 0 {
		t.Errorf("again: %d %s%s", status, out, errOut)
	}
	must(t, "", "audit", "verify", "--data", pipe)
}

// TestBackup_FullDisk: of a backup that had no room there is nothing left, and it says so.
func TestBackup_FullDisk(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	small := smallDisk(t, "4k")
	_, errOut, status := command(t, "", "backup", filepath.Join(small, "backup"), "--data", data)
	if status != 1 || !strings.Contains(errOut, "no space left") {
		t.Errorf("%d %s", status, errOut)
	}
	if left, err := os.ReadDir(small); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// smallDisk is a directory on a disk of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0700", "ostiary-test", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}
