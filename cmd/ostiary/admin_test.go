package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/keyring"
)

// adminAddress finds where a server shows its metrics.
var adminAddress = regexp.MustCompile(`msg"?[=:]"serving metrics"[ ,]"?address"?[=:]"?([^\s",]+)`)

// admin is the URL of a server's metrics and the like.
func (p *process) admin(t testing.TB) string {
	t.Helper()
	m := adminAddress.FindStringSubmatch(p.err.String())
	if m == nil {
		t.Fatalf("no address of metrics: %s", p.err.String())
	}
	return "http://" + m[1]
}

// fetch asks once.
func fetch(t testing.TB, url string) (status int, answer string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// metric is the value of a metric with these labels; -1 if there is none.
func metric(t testing.TB, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(line)
			}
			return value
		}
	}
	return -1
}

func TestAdmin_Metrics(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--admin-listen", "127.0.0.1:0", "--guess-account", "2")
	must(t, "a password of adalbertine", "account", "create", "--data", data, "--username", "adalbertine", "--password-stdin")
	for _, try := range []struct {
		name, password string
		want           int
	}{{"adalbertine", "a password of adalbertine", 200}, {"adalbertine", "wrong", 400}, {"nobody", "wrong", 400}, {"nobody", "wrong", 400}, {"nobody", "wrong", 429}} {
		if status, answer := login(t, p.url, try.name, try.password); status != try.want {
			t.Fatalf("%v: %d %s", try, status, answer)
		}
	}
	_, answer := login(t, p.url, "adalbertine", "a password of adalbertine")
	tok := regexp.MustCompile(`"accessToken":"([^"]+)"`).FindStringSubmatch(answer)
	if tok == nil {
		t.Fatal(answer)
	}
	for range 3 {
		r, err := http.NewRequest(http.MethodGet, p.url+"/ostiary/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tok[1])
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		res.Body.Close()
	}
	fetch(t, p.url+"/a/path/that/a-client-chose")
	status, text := fetch(t, p.admin(t)+"/metrics")
	if status != 200 {
		t.Fatal(status, text)
	}
	for name, want := range map[string]float64{
		`ostiary_logins_total{dialect="senmo",outcome="signed_in"}`:                                         2,
		`ostiary_logins_total{dialect="senmo",outcome="wrong_password"}`:                                    1,
		`ostiary_logins_total{dialect="senmo",outcome="unknown_name"}`:                                      2,
		`ostiary_logins_total{dialect="senmo",outcome="throttled"}`:                                         1,
		`ostiary_guesses_throttled_total{budget="account"}`:                                                 1,
		`ostiary_guesses_reserving`:                                                                         0,
		`ostiary_verifications_total{outcome="ok"}`:                                                         3,
		`ostiary_session_lookups_total{source="memory"}`:                                                    2,
		`ostiary_session_lookups_total{source="store"}`:                                                     1,
		`ostiary_http_request_duration_seconds_count{dialect="senmo",route="/v1/auth",status="2xx"}`:        2,
		`ostiary_http_request_duration_seconds_count{dialect="senmo",route="/v1/auth",status="4xx"}`:        4,
		`ostiary_http_request_duration_seconds_count{dialect="senmo",route="/ostiary/verify",status="2xx"}`: 3,
		`ostiary_http_request_duration_seconds_count{dialect="",route="",status="4xx"}`:                     1,
		`ostiary_http_errors_total{code="bad_credentials"}`:                                                 3,
		`ostiary_audit_entries_total{kind="signed_in"}`:                                                     2,
		`ostiary_audit_entries_total{kind="budget_spent"}`:                                                  1,
		`ostiary_password_hash_slots_in_use`:                                                                0,
		`ostiary_connections{listener="admin_listen"}`:                                                      1,
		`ostiary_store_errors_total{fault="other"}`:                                                         0,
		`ostiary_store_connections_max`:                                                                     5,
	} {
		if name == `ostiary_store_connections_max` {
			if metric(t, text, name) < want {
				t.Errorf("%s %v, not %v at least", name, metric(t, text, name), want)
			}
		} else if got := metric(t, text, name); got != want {
			t.Errorf("%s %v, not %v", name, got, want)
		}
	}
	if hashed := metric(t, text, "ostiary_password_hash_duration_seconds_count"); hashed < 5 {
		t.Errorf("%v hashes", hashed)
	}
	now := float64(time.Now().UnixMicro()) / 1e6
	since := metric(t, text, `ostiary_signing_key_since_timestamp_seconds{algorithm="RS256",realm="default"}`)
	until := metric(t, text, `ostiary_signing_key_until_timestamp_seconds{algorithm="RS256",realm="default"}`)
	if since < now-300 || since > now || until-since != 90*24*3600 {
		t.Errorf("the key signs from %v until %v", since, until)
	}
	head, signed := metric(t, text, `ostiary_audit_head{realm="default"}`), metric(t, text, `ostiary_audit_checkpoint{realm="default"}`)
	if head < 10 || signed < 1 || signed > head || metric(t, text, `ostiary_audit_checkpoint_timestamp_seconds{realm="default"}`) < now-300 {
		t.Errorf("head %v, signed %v", head, signed)
	}
	if strings.Contains(text, "a-client-chose") || strings.Contains(text, "adalbertine") || strings.Contains(text, "127.0.0.1") {
		t.Error("the metrics have what a client sent")
	}
}

// What is for clients is not answered where the metrics are, nor the other way round.
func TestAdmin_BackupAndCertificate(t *testing.T) {
	cert, key := certificate(t, 100*day)
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--admin-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	const backups = "ostiary_last_backup_timestamp_seconds"
	_, text := fetch(t, p.admin(t)+"/metrics")
	if at := metric(t, text, backups); at != 0 {
		t.Errorf("a backup at %v, before there was one", at)
	}
	left := regexp.MustCompile(`(?m)^ostiary_certificate_expiry_timestamp_seconds\{domain="[^"]*"\} (\S+)$`).FindStringSubmatch(text)
	if left == nil {
		t.Fatalf("no certificate: %s", text)
	}
	if until, err := strconv.ParseFloat(left[1], 64); err != nil || time.Until(time.Unix(int64(until), 0)).Round(day) != 100*day {
		t.Errorf("the certificate ends at %v, %v", until, err)
	}
	before := time.Now().Unix()
	if _, _, status := command(t, "", "backup", filepath.Join(data, "none", "x"), "--data", data); status == 0 {
		t.Fatal("a backup to nowhere")
	}
	if _, text = fetch(t, p.admin(t)+"/metrics"); metric(t, text, backups) != 0 {
		t.Error("a backup that failed counts")
	}
	must(t, "", "backup", filepath.Join(t.TempDir(), "backup"), "--data", data)
	_, text = fetch(t, p.admin(t)+"/metrics")
	if at := metric(t, text, backups); at < float64(before) || at > float64(time.Now().Unix()) {
		t.Errorf("a backup at %v, not at %v", at, before)
	}
}

func TestAdmin_NoDoorOfClients(t *testing.T) {
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--admin-listen", "[::1]:0")
	admin := p.admin(t)
	if !strings.HasPrefix(admin, "http://[::1]:") {
		t.Fatal(admin)
	}
	for path, want := range map[string]int{
		"/metrics": 200, "/healthz": 200, "/readyz": 200, "/": 404, "/v1/auth": 404, "/user/login": 404, "/api/auth/token": 404, "/metrics/": 404,
		"/ostiary/verify": 404, "/ostiary/healthz": 404, "/ostiary/readyz": 404, "/.well-known/jwks.json": 404, "/debug/pprof/": 404,
	} {
		if status, answer := fetch(t, admin+path); status != want {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if status, _ := fetch(t, p.url+path); status != 404 {
			t.Errorf("a client gets %s: %d", path, status)
		}
		if status, _, err := post(http.DefaultClient, admin+path, "{}"); err != nil || status != 405 {
			t.Errorf("POST %s: %d, %v", path, status, err)
		}
	}
	if strings.Contains(p.err.String(), "level=WARN") {
		t.Errorf("nothing is wrong:\n%s", p.err.String())
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

// While the database is away, the metrics are there, and say so.
func TestAdmin_WithoutDatabase(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data, "--admin-listen", "127.0.0.1:0")
	admin := p.admin(t)
	path := filepath.Join(data, "ostiary.db")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if status, _ := fetch(t, admin+"/readyz"); status != 503 {
		t.Errorf("readyz: %d", status)
	}
	if status, _ := fetch(t, admin+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if status, _ := login(t, p.url, "ada", "a password"); status != 503 {
		t.Errorf("login: %d", status)
	}
	status, text := fetch(t, admin+"/metrics")
	if status != 200 || metric(t, text, `ostiary_logins_total{dialect="senmo",outcome="unavailable"}`) != 1 || metric(t, text, "ostiary_password_hash_slots") < 1 {
		t.Errorf("%d %s", status, text)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if status, _ := fetch(t, admin+"/readyz"); status != 200 {
		t.Errorf("readyz: %d", status)
	}
}

func TestAdmin_Addresses(t *testing.T) {
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--admin-listen", "0.0.0.0:0")
	if !strings.Contains(p.err.String(), `level=WARN msg="the metrics are not on a loopback address`) {
		t.Errorf("no warning: %s", p.err.String())
	}
	_, errOut, status := command(t, "", "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--admin-listen", strings.TrimPrefix(p.url, "http://"))
	if status != 1 || !strings.Contains(errOut, "admin_listen: listen tcp 127.0.0.1") {
		t.Errorf("an address that is taken: %d %s", status, errOut)
	}
	off := serve(t, filepath.Join(t.TempDir(), "data"))
	if adminAddress.MatchString(off.err.String()) {
		t.Error("there are metrics that nobody asked for")
	}
}

// The next key's time, if there is one, and that of the setting, which a reload changes.
func TestSigningKeys_Until(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(h int) time.Time { return now.Add(time.Duration(h) * time.Hour) }
	keys := []keyring.Record{
		{Algorithm: "RS256", SignsFrom: at(20)}, {Algorithm: "RS256", SignsFrom: at(-5)}, {Algorithm: "RS256", SignsFrom: at(-50), ExpiresAt: at(9)},
		{Algorithm: "ES256", SignsFrom: at(-7)}, {Algorithm: "EdDSA", SignsFrom: at(-90), ExpiresAt: at(-1)},
	}
	got := signingKeys(keys, int64(100*time.Hour), now)
	if len(got) != 2 || !got[0].Since.Equal(at(-5)) || !got[0].Until.Equal(at(20)) || !got[1].Since.Equal(at(-7)) || !got[1].Until.Equal(at(93)) {
		t.Errorf("%+v", got)
	}
	if got := signingKeys(keys, 0, now); !got[0].Until.Equal(at(20)) || !got[1].Until.IsZero() {
		t.Errorf("never by itself: %+v", got)
	}

	file := filepath.Join(t.TempDir(), "ostiary.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key_rotation = \"10d\"\n")
	p := serve(t, filepath.Join(t.TempDir(), "data"), "--admin-listen", "127.0.0.1:0", "--config", file)
	life := func() float64 {
		_, text := fetch(t, p.admin(t)+"/metrics")
		return metric(t, text, `ostiary_signing_key_until_timestamp_seconds{algorithm="ES256",realm="default"}`) -
			metric(t, text, `ostiary_signing_key_since_timestamp_seconds{algorithm="ES256",realm="default"}`)
	}
	if got := life(); got != 10*24*3600 {
		t.Errorf("%v", got)
	}
	write("key_rotation = \"20d\"\n")
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "configuration reloaded")
	if got := life(); got != 20*24*3600 {
		t.Errorf("%v", got)
	}
}
