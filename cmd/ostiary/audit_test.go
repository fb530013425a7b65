package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const auditPass = "the password of an audited account"

// audited is the data of a server that has written some entries, and has stopped.
func audited(t *testing.T) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, auditPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	for i := range 12 {
		password := auditPass
		if i%3 == 2 {
			password = "wrong"
		}
		login(t, p.url, "ada", password)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	return data
}

// edit changes a database that no server has open, as its administrator can.
func edit(t *testing.T, data string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "ostiary.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func copyData(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(to, "master.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

var headLine = regexp.MustCompile(`(?m)^head (\d+:[0-9a-f]{64})$`)

// TestAuditVerify_Tampered changes real databases in each of the ways of a forger.
func TestAuditVerify_Tampered(t *testing.T) {
	data := audited(t)
	out := must(t, "", "audit", "verify", "--data", data)
	head := headLine.FindStringSubmatch(out)
	if head == nil || !strings.HasPrefix(head[1], "16:") {
		t.Fatalf("a good log: %s", out)
	}
	must(t, "", "audit", "verify", "--data", data, "--head", head[1])
	for _, c := range []struct {
		name string
		do   []string
		want string
	}{
		{"changed", []string{"UPDATE audit_event SET detail = 'disabled' WHERE seq = 7"}, "entry 7: changed"},
		{"changed by a microsecond", []string{"UPDATE audit_event SET at = at + 1 WHERE seq = 7"}, "entry 7: changed"},
		{"a value of another length", []string{"UPDATE audit_event SET account_id = CAST(account_id || x'00' AS BLOB) WHERE seq = 7"}, "entry 7: changed"},
		{"a number that is no time", []string{"UPDATE audit_event SET at = 9223372036854775807 WHERE seq = 7"}, "entry 7: changed"},
		{"a short hash", []string{"UPDATE audit_event SET hash = x'00' WHERE seq = 7"}, "entry 7: changed"},
		{"removed", []string{"DELETE FROM audit_event WHERE seq = 7"}, "entry 7: missing"},
		{"the beginning removed", []string{"DELETE FROM audit_event WHERE seq < 7"}, "entries 1 to 6: missing"},
		{"swapped", []string{"UPDATE audit_event SET seq = -1 WHERE seq = 7", "UPDATE audit_event SET seq = 7 WHERE seq = 9", "UPDATE audit_event SET seq = 9 WHERE seq = -1"},
			"entry 7: moved: what stands here is entry 9\nentry 9: moved: what stands here is entry 7"},
		{"the end removed", []string{"DELETE FROM audit_event WHERE seq > 14"}, "entries 15 to 16: missing"},
		{"the end removed, and its head", []string{"DELETE FROM audit_event WHERE seq > 14",
			"UPDATE audit_head SET seq = 14, hash = (SELECT hash FROM audit_event WHERE seq = 14)"}, "entries 15 to 16: missing: they were signed at "},
		{"all removed", []string{"DELETE FROM audit_event", "DELETE FROM audit_head"}, "entries 1 to 16: missing: they were signed at "},
		{"one added", []string{"INSERT INTO audit_event SELECT realm_id, 17, id, at, kind, account_id, session_id, dialect, address, request_id, actor, token, detail, hash FROM audit_event WHERE seq = 16"},
			"entry 17: changed"},
		{"the checkpoint", []string{"UPDATE audit_checkpoint SET hash = x'" + strings.Repeat("00", 32) + "' WHERE seq = 16"}, "entry 16: its checkpoint was not signed"},
		{"no checkpoint", []string{"DELETE FROM audit_checkpoint"}, "entries 1 to 16: no checkpoint agrees"},
		{"hidden from lists", []string{`DROP INDEX audit_event_at; CREATE INDEX audit_event_at ON audit_event (realm_id, at) WHERE seq <> 7; PRAGMA writable_schema = ON;
			UPDATE sqlite_master SET sql = 'CREATE INDEX audit_event_at ON audit_event (realm_id, at)' WHERE name = 'audit_event_at'`}, "an index leaves entries out of lists: "},
		{"everything", []string{"DELETE FROM audit_event", "DELETE FROM audit_checkpoint", "DELETE FROM audit_head"}, "entry 1: missing: a log begins with the creation of its realm"},
		{"a cut", []string{"DELETE FROM audit_event WHERE seq < 17", "UPDATE audit_checkpoint SET cut = 1 WHERE seq = 16"}, "entries 1 to 16: missing"},
	} {
		bad := copyData(t, data)
		edit(t, bad, c.do...)
		out, errOut, status := command(t, "", "audit", "verify", "--data", bad)
		if status != 1 || !strings.Contains(out, c.want) || strings.Contains(out, "head ") && headLine.MatchString(out) {
			t.Errorf("%s: %d, want %q\n%s%s", c.name, status, c.want, out, errOut)
		}
		if strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "the audit log is not as it was written: that of realm default: ") {
			t.Errorf("%s: %s", c.name, errOut)
		}
	}
	forged := copyData(t, data)
	forge(t, forged, 7)
	out, _, status := command(t, "", "audit", "verify", "--data", forged)
	if status != 1 || !strings.Contains(out, " to 16: not what was signed at ") || strings.Contains(out, "changed") {
		t.Errorf("a chain computed anew: %d\n%s", status, out)
	}
	edit(t, forged, "DELETE FROM audit_checkpoint WHERE seq > 2")
	if out, _, status = command(t, "", "audit", "verify", "--data", forged); status != 1 || !strings.Contains(out, "entries 3 to 16: the head of the log was written by somebody else") {
		t.Errorf("and its checkpoint removed: %d\n%s", status, out)
	}
	if out, _, status = command(t, "", "audit", "verify", "--data", forged, "--head", head[1]); status != 1 || !strings.Contains(out, "entries 1 to 16: not what the given head is of") {
		t.Errorf("and a head from elsewhere: %d\n%s", status, out)
	}
	var report struct {
		OK       bool
		Findings []struct {
			What        string
			First, Last int64
		}
	}
	out, _, status = command(t, "", "audit", "verify", "--data", forged, "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 1 || report.OK || len(report.Findings) != 1 || report.Findings[0].Last != 16 {
		t.Errorf("%d, %v, %s", status, err, out)
	}
}

// forge changes an entry and computes the chain anew from there on, as whoever knows the
// format can, by what an export tells him.
func forge(t *testing.T, data string, from int) {
	t.Helper()
	edit(t, data, fmt.Sprintf("UPDATE audit_event SET address = '198.51.100.66' WHERE seq = %d", from))
	previous := ""
	var statements []string
	for line := range strings.Lines(must(t, "", "audit", "export", "--data", data)) {
		e := exported(t, line)
		if e.Type != "entry" {
			continue
		}
		if e.Seq >= int64(from) {
			e.Previous = previous
			hash := e.sum()
			statements = append(statements, fmt.Sprintf("UPDATE audit_event SET hash = x'%s' WHERE seq = %d", hash, e.Seq), fmt.Sprintf("UPDATE audit_head SET hash = x'%s'", hash))
			e.Hash = hash
		}
		previous = e.Hash
	}
	edit(t, data, statements...)
}

// TestServe_SaysTampered: a running server that finds something says so, before it signs on.
func TestServe_SaysTampered(t *testing.T) {
	data := audited(t)
	edit(t, data, "DELETE FROM audit_event WHERE seq = 7", "DELETE FROM audit_checkpoint WHERE seq > 2")
	serve(t, data).waitFor(t, `level=ERROR msg="the audit log is not as it was written, and is neither signed nor cut until that is settled: .*" realm=default what=missing found="entry 7: missing"`)
}

// TestAuditVerify_EveryRealm: what is wrong in one of them is found, and said of that one.
func TestAuditVerify_EveryRealm(t *testing.T) {
	data := audited(t)
	must(t, "", "realm", "create", "--data", data, "staff")
	edit(t, data, "DELETE FROM audit_event WHERE seq = 1 AND realm_id = (SELECT id FROM realm WHERE name = 'staff')")
	out, errOut, status := command(t, "", "audit", "verify", "--data", data)
	if status != 1 || !strings.Contains(out, "realm default\n18 entries") && !strings.Contains(out, "realm default\n16 entries") || !strings.Contains(out, "realm staff\nentry 1: missing\n") ||
		errOut != "ostiary: the audit log is not as it was written: that of realm staff: 1 found\n" {
		t.Errorf("%d\n%s%s", status, out, errOut)
	}
	must(t, "", "audit", "verify", "--data", data, "--realm", "default")
	out, _, status = command(t, "", "doctor", "--data", data)
	if status != 1 || !regexp.MustCompile(`(?m)^ok +audit log of realm default `).MatchString(out) ||
		!regexp.MustCompile(`(?m)^wrong +audit log of realm staff +entry 1: missing: ostiary audit verify --realm staff says all of it`).MatchString(out) {
		t.Errorf("doctor: %d\n%s", status, out)
	}
	must(t, "", "audit", "cut", "--data", data, "--realm", "staff", "--through", "2")
	out = must(t, "", "audit", "verify", "--data", data, "--realm", "staff")
	if !regexp.MustCompile(`(?m)^the entries up to 2 are deleted, the last of them at .*\nentry 3, .*: audit_cut: up to 2:[0-9a-f]{64}, with something wrong: entry 1: missing\nthe last 1, `).MatchString(out) {
		t.Errorf("cut:\n%s", out)
	}
}

// TestServe_Launders: no restart makes good what somebody who can write the database has
// made up, or removed, even if he takes every seal and signature away; nor do logins.
func TestServe_Launders(t *testing.T) {
	data := audited(t)
	for name, do := range map[string][]string{
		"no seal":             {"UPDATE audit_head SET seal = x''"},
		"a seal once broken":  {"UPDATE audit_head SET seal = zeroblob(32)"},
		"everything, removed": {"DELETE FROM audit_event", "DELETE FROM audit_head"},
	} {
		bad := copyData(t, data)
		if name != "everything, removed" {
			forge(t, bad, 7)
		}
		edit(t, bad, append(do, "DELETE FROM audit_checkpoint")...)
		if out, _, status := command(t, "", "audit", "verify", "--data", bad); status != 1 {
			t.Errorf("%s: before: %d %s", name, status, out)
		}
		for range 2 {
			p := serve(t, bad)
			p.waitFor(t, "level=ERROR msg=\"the audit log is not as it was written")
			login(t, p.url, "ada", auditPass)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(p.err.String(), "the audit log was signed") || strings.Contains(p.err.String(), "taken over") {
				t.Errorf("%s:\n%s", name, p.err.String())
			}
		}
		if out, _, status := command(t, "", "audit", "verify", "--data", bad); status != 1 || !strings.Contains(out, "the head of the log was written by somebody else") {
			t.Errorf("%s: %d %s", name, status, out)
		}
	}
}

// TestAuditList_Follow: entries come as they are written, one JSON object a line.
func TestAuditList_Follow(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	must(t, auditPass, "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	cmd := exec.CommandContext(t.Context(), "ostiary", "audit", "list", "--data", data, "--follow", "--json", "--kind", "sign_in_failed", "--kind", "signed_in", "--limit", "3")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i, password := range []string{"wrong", auditPass, auditPass} {
		login(t, p.url, "ada", password)
		if !lines.Scan() {
			t.Fatalf("%d: the list has ended: %v", i, lines.Err())
		}
		var e struct{ Kind string }
		want := map[bool]string{true: "signed_in", false: "sign_in_failed"}[password == auditPass]
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Kind != want {
			t.Errorf("%d: %s, %v", i, lines.Text(), err)
		}
	}
	if lines.Scan() {
		t.Errorf("more than was asked for: %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestAuditList_FollowBack: a log that no longer goes as far ends the list, and says so.
func TestAuditList_FollowBack(t *testing.T) {
	data := audited(t)
	cmd := exec.CommandContext(t.Context(), "ostiary", "audit", "list", "--data", data, "--follow", "--json", "--after", "15")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("no entry")
	}
	edit(t, data, "DELETE FROM audit_event WHERE seq > 12", "UPDATE audit_head SET seq = 12, hash = (SELECT hash FROM audit_event WHERE seq = 12)")
	if lines.Scan() {
		t.Errorf("more: %s", lines.Text())
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(errOut.String(), "has gone back, from entry 16 to 12") {
		t.Errorf("%v, %s", err, errOut.String())
	}
}

// TestUpgrade_ChainsOlderLog: a database of the schema 33, which had no chain, has one after
// the first start, with all that was in it.
func TestUpgrade_ChainsOlderLog(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/schema33/master.key")
	if err == nil {
		err = os.WriteFile(filepath.Join(data, "master.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile("testdata/schema33/ostiary.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	db, err := io.ReadAll(unzip)
	if err == nil {
		err = os.WriteFile(filepath.Join(data, "ostiary.db"), db, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, errOut, status := command(t, "", "audit", "verify", "--data", data); status != 1 || !strings.Contains(errOut, "start ostiary serve once") {
		t.Errorf("before: %d %s", status, errOut)
	}
	p := serve(t, data)
	p.waitFor(t, `level=WARN msg="the audit log of an older version was taken over as it is" realm=default head=12:[0-9a-f]{64}`)
	p.waitFor(t, `msg="the audit log was signed" realm=second head=4:`)
	if out := must(t, "", "audit", "verify", "--data", data); !strings.Contains(out, "13 entries from number 1 on, and 1 checkpoints") {
		t.Errorf("after: %s", out)
	}
	must(t, "", "audit", "verify", "--data", data, "--realm", "second")
	list := must(t, "", "audit", "list", "--data", data)
	for _, line := range []string{`1 .* realm_created .* server +- +default`, `6 .* role_created .* cli: root +- +auditor`, `8 .* sign_in_failed .* senmo +127\.0\.0\.1 +- +- +wrong_password`,
		`11 .* alias_set .* nomic .*"ünï \\"q\\""`, `12 .* account_deleted `, `13 .* audit_adopted .* server .* the entries up to 12:[0-9a-f]{64}`} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(list) {
			t.Errorf("nothing like %s in\n%s", line, list)
		}
	}
	if status, answer := login(t, p.url, "ada", "a fixture of the older schema"); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if out := must(t, "", "audit", "list", "--data", data, "--after", "13"); !strings.Contains(out, "14 ") || !strings.Contains(out, "signed_in") {
		t.Errorf("an entry that follows: %s", out)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	p = serve(t, data)
	time.Sleep(10 * time.Millisecond)
	if strings.Contains(p.err.String(), "taken over") {
		t.Errorf("taken over again:\n%s", p.err.String())
	}
	must(t, "", "audit", "verify", "--data", data)
}
