package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/processtest"
	"github.com/ostiary/ostiary/internal/store"
)

// moved is a store in SQLite with a server, and a copy of it in PostgreSQL that hangs at the
// last large table.
type moved struct {
	*estate
	from, to string
	copy     *exec.Cmd
	out      *processtest.Log
	db       *sql.DB
	lock     *sql.Tx
}

func hanging(t *testing.T) *moved {
	t.Helper()
	m := &moved{estate: strong(t), to: pgtest.URL(t), out: &processtest.Log{}}
	m.from = "sqlite:" + filepath.Join(m.data, "ostiary.db")
	s, err := store.CreatePostgres(t.Context(), m.to, 0)
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	if m.db, err = sql.Open("pgx", m.to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.db.Close() })
	if m.lock, err = m.db.BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.lock.Exec("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	m.copy = exec.Command("ostiary", "database", "copy", "--from", m.from, "--to", m.to)
	m.copy.Stdout, m.copy.Stderr = m.out, m.out
	if err := m.copy.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var n int
		if err := m.db.QueryRow("SELECT COUNT(*) FROM account").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return m
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("no account in a minute: %s", m.out)
		}
	}
}

// TestDatabase_CopyIsKilled: while a copy runs, the servers on its source refuse writes and
// go on to read. A copy that is killed leaves nothing that could be used, and goes on where
// it was; then all is there, and the source takes writes again.
func TestDatabase_CopyIsKilled(t *testing.T) {
	m := hanging(t)
	defer func() { _ = m.copy.Process.Kill() }()
	req, err := http.NewRequest("POST", m.p.url+"/v1/auth", strings.NewReader(jsonOf("username", "ada", "password", diskPass)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a login: %d %v", res.StatusCode, res.Header)
	}
	m.p.waitFor(t, "takes no writes: it is being copied to postgres://")
	if status := get(t, m.p.url+"/ostiary/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
	if _, errOut, status := command(t, diskPass, "account", "create", "--username", "late", "--password-stdin", "--data", m.data); status != 1 || !strings.Contains(errOut, "it is being copied") {
		t.Errorf("a command: %d %s", status, errOut)
	}
	if err := m.copy.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.copy.Wait()
	if err := m.lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"account", "list"}, {"serve", "--listen", "127.0.0.1:0"}, {"restore", "-"}} {
		if _, errOut, status := command(t, "", append(args, "--data", m.data, "--database", m.to)...); status != 1 ||
			args[0] != "restore" && !strings.Contains(errOut, "run the same ostiary database copy again") {
			t.Errorf("%q of half a copy: %d %s", args, status, errOut)
		}
	}
	said := must(t, "", "database", "copy", "--from", m.from, "--to", m.to)
	if !strings.Contains(said, "1 account") || !strings.Contains(said, "each table with the same digest") {
		t.Error(said)
	}
	must(t, "", "database", "verify", "--from", m.from, "--to", m.to)
	must(t, diskPass, "account", "create", "--username", "late", "--password-stdin", "--data", m.data)
	if _, errOut, status := command(t, "", "database", "verify", "--from", m.from, "--to", m.to); status != 1 || !strings.Contains(errOut, "they differ in") || !strings.Contains(errOut, "account") {
		t.Errorf("after a change: %d %s", status, errOut)
	}
}

// TestDatabase_CopyIsInterrupted: who has interrupted a copy is told how to go on.
func TestDatabase_CopyIsInterrupted(t *testing.T) {
	m := hanging(t)
	if err := m.copy.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := m.copy.Wait(); err == nil || !strings.Contains(fmt.Sprint(m.out), "ostiary: interrupted: give the command again to go on\n") {
		t.Errorf("%v: %s", err, m.out)
	}
	if err := m.lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	must(t, "", "database", "copy", "--from", m.from, "--to", m.to)
}

// TestDatabase_CopySeesWhoWritesAllTheSame: what a server writes that does not know of the
// copy, or whose clock is another one, is in the copy too.
func TestDatabase_CopySeesWhoWritesAllTheSame(t *testing.T) {
	m := hanging(t)
	s, err := store.Open(t.Context(), m.data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	realm, err := s.RealmByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	err = s.InTx(store.Unrefused(t.Context()), func(tx auth.Tx) error {
		return tx.InsertEvent(t.Context(), audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: realm.ID, At: time.Now(), Kind: audit.SignedIn})
	})
	if err = errors.Join(err, m.lock.Rollback(), m.copy.Wait()); err != nil {
		t.Fatalf("%v: %s", err, m.out)
	}
	must(t, "", "database", "verify", "--from", m.from, "--to", m.to)
}

// TestDatabase_RetireHasAll: what is written while the copy is verified, since the refusal had
// lapsed, is in the copy before the source retires.
func TestDatabase_RetireHasAll(t *testing.T) {
	data := t.TempDir()
	if err := serve(t, data).Stop(); err != nil {
		t.Fatal(err)
	}
	x := &copying{app: &app{Context: t.Context(), err: io.Discard}}
	var err error
	if x.from, err = store.Open(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	defer x.from.Close()
	if x.to, err = store.Create(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer x.to.Close()
	if err := beginFill(x.app, x.to, store.Copying); err != nil {
		t.Fatal(err)
	}
	let, err := x.hold()
	if err != nil {
		t.Fatal(err)
	}
	defer let()
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	realm, err := x.from.RealmByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	write := func() error {
		return x.from.InTx(t.Context(), func(tx auth.Tx) error {
			return tx.InsertEvent(t.Context(), audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: realm.ID, At: time.Now(), Kind: audit.SignedIn})
		})
	}
	if err := errors.Join(x.from.TakeWrites(t.Context()), write()); err != nil {
		t.Fatal(err)
	}
	if err := x.finish(true); err != nil {
		t.Fatal(err)
	}
	if err := write(); err == nil {
		t.Error("the source takes writes")
	}
	from, err := x.sumsOf(x.from, "source")
	if err != nil {
		t.Fatal(err)
	}
	if to, err := x.sumsOf(x.to, "target"); err != nil || from.Digest() != to.Digest() {
		t.Errorf("the copy lacks what was written: %v", err)
	}
}

// TestDatabase_RetireFails: wherever the end of a copy fails or is interrupted, the source takes
// writes again, and the same once more does all of it.
func TestDatabase_RetireFails(t *testing.T) {
	const refuse = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN COALESCE(NEW, OLD); END $$; CREATE TRIGGER refuse BEFORE %s`
	for name, c := range map[string]struct{ to, from string }{
		"to say that the copy is whole": {to: fmt.Sprintf(refuse, "RAISE 'refused'", "INSERT OR UPDATE ON store_info FOR EACH ROW WHEN (NEW.name = 'copied' AND NEW.value <> 'copying') EXECUTE FUNCTION refuse()")},
		"to have the copy take writes":  {to: fmt.Sprintf(refuse, "RAISE 'refused'", "DELETE ON store_info FOR EACH ROW WHEN (OLD.name = 'refuse_writes') EXECUTE FUNCTION refuse()")},
		"to have the source take none":  {from: "CREATE TRIGGER refuse BEFORE INSERT ON store_info WHEN NEW.name = 'refuse_writes' AND NEW.value LIKE '%moved%' BEGIN SELECT RAISE(ABORT, 'refused'); END"},
		"interrupted":                   {to: fmt.Sprintf(refuse, "PERFORM pg_sleep(1)", "INSERT OR UPDATE ON store_info FOR EACH ROW WHEN (NEW.name = 'copied' AND NEW.value <> 'copying') EXECUTE FUNCTION refuse()")},
	} {
		t.Run(name, func(t *testing.T) {
			data, to := filepath.Join(t.TempDir(), "data"), pgtest.URL(t)
			if err := serve(t, data).Stop(); err != nil {
				t.Fatal(err)
			}
			from := filepath.Join(data, "ostiary.db")
			s, err := store.CreatePostgres(t.Context(), to, 0)
			if err != nil || s.Close() != nil {
				t.Fatal(err)
			}
			run := func(driver, url, statement string) {
				t.Helper()
				db, err := sql.Open(driver, url)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			again := []string{"database", "copy", "--from", "sqlite:" + from, "--to", to, "--retire"}
			if c.to != "" {
				run("pgx", to, c.to)
			} else {
				run("sqlite", from, c.from)
			}
			if name == "interrupted" {
				interruptAt(t, data, to, again)
				return
			}
			if out, errOut, status := command(t, "", again...); status != 1 || !strings.Contains(errOut, "refused") {
				t.Fatalf("%d %s%s", status, out, errOut)
			}
			must(t, diskPass, "account", "create", "--username", "late", "--password-stdin", "--data", data)
			if c.to != "" {
				run("pgx", to, "DROP FUNCTION refuse CASCADE")
			} else {
				run("sqlite", from, "DROP TRIGGER refuse")
			}
			must(t, "", again...)
			if out := must(t, "", "account", "list", "--data", data, "--database", to); !strings.Contains(out, "late") {
				t.Errorf("the copy has %s", out)
			}
			if _, errOut, status := command(t, "", "role", "create", "more", "--data", data); status != 1 || !strings.Contains(errOut, "it was moved to") {
				t.Errorf("the source, after that: %d %s", status, errOut)
			}
		})
	}
}

// interruptAt interrupts a copy while it says that it is whole: what it is at, it ends.
func interruptAt(t *testing.T, data, to string, args []string) {
	t.Helper()
	db, err := sql.Open("pgx", to)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := processtest.Start(exec.Command("ostiary", args...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.Try(func() error {
		var n int
		err := db.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'").Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("it has not come to its end")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if <-p.Done; p.Failed != nil {
		t.Errorf("it ended by %v: %s", p.Failed, p.Log.Tail())
	}
	must(t, "", "account", "list", "--data", data, "--database", to)
}

// TestDatabase_Move: all that lives in the source lives in the copy, and with --retire
// nothing is lost: the source takes no writes until it is told to. A copy in use is no target.
func TestDatabase_Move(t *testing.T) {
	e := strong(t)
	from, to := "sqlite:"+filepath.Join(e.data, "ostiary.db"), pgtest.URL(t)
	e.run(diskPass, "account", "create", "--username", "bob", "--password-stdin")
	status, answer := login(t, e.p.url, "bob", diskPass)
	if status != http.StatusOK {
		t.Fatal(status, answer)
	}
	refresh := memberOf(t, answer, "tokens", "refreshToken")
	recovery := strings.Fields(e.run("", "mfa", "recovery", "ada"))[0]
	must(t, "", "database", "copy", "--from", from, "--to", to, "--online")
	if status, answer = login(t, e.p.url, "bob", diskPass); status != http.StatusOK {
		t.Fatalf("while it was copied online, and after that: %d %s", status, answer)
	}
	bearer := "Authorization: Bearer " + memberOf(t, answer, "tokens", "accessToken")
	guess(t, e.p.url, "ada")
	budgets := e.run("", "budget", "list", "--json")
	must(t, "", "database", "copy", "--from", from, "--to", to, "--retire")
	if status, _ := login(t, e.p.url, "bob", diskPass); status != http.StatusServiceUnavailable {
		t.Errorf("a login at what was moved: %d", status)
	}
	if status, a := e.ask("GET", "/ostiary/verify", "", bearer); status != http.StatusOK {
		t.Errorf("a verification there: %d %s", status, a)
	}
	if _, errOut, status := command(t, "", "serve", "--data", e.data, "--listen", "127.0.0.1:0"); status != 1 || !strings.Contains(errOut, "it was moved to postgres://") {
		t.Errorf("another server there: %d %s", status, errOut)
	}
	there := &estate{t: t, data: e.data, tokens: map[string]string{}}
	there.serve("--database", to)
	if got := must(t, "", "budget", "list", "--json", "--data", e.data, "--database", to); got != budgets {
		t.Errorf("budgets:\n%s\nwere\n%s", got, budgets)
	}
	if status, a := there.ask("GET", "/ostiary/verify", "", bearer); status != http.StatusOK {
		t.Errorf("a token: %d %s", status, a)
	}
	if status, a := there.ask("POST", "/v1/auth/refreshtoken", jsonOf("refreshtoken", refresh)); status != http.StatusOK {
		t.Errorf("a refresh token: %d %s", status, a)
	}
	_, answer = there.ask("POST", "/user/login", jsonOf("email", "ada", "password", diskPass))
	if status, a := there.ask("POST", "/user/passport", jsonOf("token", memberOf(t, answer, "token"), "totp", recovery)); status != http.StatusOK {
		t.Errorf("a recovery code: %d %s", status, a)
	}
	must(t, "", "audit", "verify", "--data", e.data, "--database", to)
	for _, more := range [][]string{nil, {"--online"}} {
		if _, errOut, status := command(t, "", append([]string{"database", "copy", "--from", from, "--to", to}, more...)...); status != 1 || !strings.Contains(errOut, "database resume") {
			t.Errorf("from what was moved: %d %s", status, errOut)
		}
	}
	e.run("", "database", "resume")
	if status, answer := login(t, e.p.url, "bob", diskPass); status != http.StatusOK {
		t.Errorf("after resume: %d %s", status, answer)
	}
	if err := there.p.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, errOut, status := command(t, "", "database", "copy", "--from", from, "--to", to); status != 1 || !strings.Contains(errOut, "has been used since it was copied") {
		t.Errorf("over what is in use: %d %s", status, errOut)
	}
	back := filepath.Join(t.TempDir(), "back")
	must(t, "", "database", "copy", "--from", to, "--to", "sqlite:"+filepath.Join(back, "ostiary.db"))
	key, err := os.ReadFile(filepath.Join(e.data, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(back, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "audit", "verify", "--data", back)
	if info, err := os.Stat(back); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}

// TestDatabase_Misuse: what can't be meant so is said before anything is touched.
func TestDatabase_Misuse(t *testing.T) {
	dir := t.TempDir()
	one, two := "sqlite:"+filepath.Join(dir, "one.db"), "sqlite:"+filepath.Join(dir, "two.db")
	urls := t.TempDir()
	file := func(name, url string) string {
		path := filepath.Join(urls, name)
		if err := os.WriteFile(path, []byte(url+"\n"), 0o400); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"copy", "--from", one, "--to", one}, 2, "are the same database"},
		{[]string{"copy", "--from", one}, 2, "--to"},
		{[]string{"copy", "--from", "mysql://u:secret@h/d", "--to", one}, 2, "--from: must be"},
		{[]string{"copy", "--from", one, "--to", two, "--online", "--retire"}, 2, "can't be used together"},
		{[]string{"copy", "--from-file", "nowhere", "--to", one}, 2, "--from-file: open nowhere"},
		{[]string{"copy", "--from", one, "--to-file", file("to", "mysql://u:secret@h/d")}, 2, "--to-file: must be"},
		{[]string{"copy", "--from", one, "--from-file", file("from", two), "--to", two}, 2, "can't be used together"},
		{[]string{"copy", "--from-file", file("one", one), "--to-file", file("same", one)}, 2, "are the same database"},
		{[]string{"verify", "--from-file", file("pg", "postgres://u:secret@127.0.0.1:1/d"), "--to", two}, 1, "can't be reached"},
		{[]string{"copy", "--from", one, "--to", two}, 1, "there is no store at"},
		{[]string{"verify", "--from", one, "--to", two}, 1, "there is no store at"},
	} {
		_, errOut, status := command(t, "", append([]string{"database"}, c.args...)...)
		if status != c.status || !strings.Contains(errOut, c.want) || strings.Contains(errOut, "secret") || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%q: %d %s", c.args, status, errOut)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	_, errOut, status := command(t, "", "database", "verify", "--from", "postgres://u:secret@127.0.0.1:1/d", "--to", one)
	if warned := "ostiary: --from: " + shownPassword + ": give the URL in a file (--from-file)"; status != 1 || !strings.HasPrefix(errOut, warned) || strings.Contains(errOut, "secret") {
		t.Errorf("a password on the command line: %d %s", status, errOut)
	}
}

func TestProgress_Line(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := &progress{bar: true, what: "copy 1", total: 1_000_000, done: 250_000, lines: -1, began: now.Add(-5 * time.Second)}
	want := "copy 1  [######..................]  25 %  250,000 of 1,000,000 rows  50,000/s  15s left"
	if got := p.line(now); got != want {
		t.Errorf("%q", got)
	}
	p = &progress{bar: true, what: "importing", total: 1_000_000, done: 250_000, lines: 5000, began: now.Add(-5 * time.Second)}
	want = "importing  [######..................]  25 %  5,000 lines  1,000/s  15s left"
	if got := p.line(now); got != want {
		t.Errorf("%q", got)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := fmt.Sprint(grouped(n)); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

func TestProgress_NullIsNoTerminal(t *testing.T) {
	for _, path := range []string{os.DevNull, "/dev/full"} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Logf("%s: %v", path, err)
			continue
		}
		defer f.Close()
		if isTerminal(f) {
			t.Errorf("a backup to %s is refused", path)
		}
	}
}
