package deploytest

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/processtest"
)

// section is what docs/operations.md says under a heading, and the blocks of a language in it.
func section(t *testing.T, heading, language string) (text string, blocks []string) {
	t.Helper()
	_, text, found := strings.Cut(read(t, "../../docs/operations.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return text, blocks
}

// shell runs commands of the page, with the program in the path.
func shell(t *testing.T, dir, commands string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"+commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "PATH="+filepath.Dir(processtest.Binary(t))+":"+os.Getenv("PATH"))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// TestOperations_Systemd installs as the page says, below another root, and starts what the unit starts.
func TestOperations_Systemd(t *testing.T) {
	tool(t, "systemctl")
	tool(t, "systemd-sysusers")
	_, blocks := section(t, "systemd", "sh")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	repository, root := t.TempDir(), t.TempDir()
	for from, to := range map[string]string{deploy: "deploy", filepath.Dir(processtest.Binary(t)): "bin"} {
		from, err := filepath.Abs(from)
		if err == nil {
			err = os.Symlink(from, filepath.Join(repository, to))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(root+"/etc", 0o755); err != nil { //nolint:gosec // as it is
		t.Fatal(err)
	}
	address := processtest.FreeAddress(t)
	elsewhere := strings.NewReplacer("/usr/", root+"/usr/", "/etc/", root+"/etc/", "/var/", root+"/var/", "127.0.0.1:8080", address,
		"systemd-sysusers", "systemd-sysusers --root="+root, "systemctl enable --now", "systemctl --root="+root+" enable")
	shell(t, repository, elsewhere.Replace(blocks[0]))
	if passwd := read(t, root+"/etc/passwd"); !strings.Contains(passwd, "ostiary:") {
		t.Errorf("no user: %s", passwd)
	}
	if _, err := os.Lstat(root + "/etc/systemd/system/multi-user.target.wants/ostiary.service"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(root + "/etc/ostiary/master.key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v %v", info, err)
	}
	text := read(t, root+"/etc/systemd/system/ostiary.service")
	line := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(text)
	words := strings.Fields(elsewhere.Replace(line[1]))
	cmd := exec.Command(words[0], words[1:]...)
	state := root + "/var/lib/ostiary"
	specifiers := strings.NewReplacer("%S", root+"/var/lib", "%d", root+"/etc/ostiary")
	for _, m := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		cmd.Env = append(cmd.Env, specifiers.Replace(m[1]))
	}
	if len(cmd.Env) != 2 {
		t.Fatalf("%q", cmd.Env)
	}
	log, stop := start(t, cmd)
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
	if _, err := os.Stat(filepath.Join(state, "master.key")); err == nil {
		t.Error("the server made a key of its own")
	}
	if out := shell(t, repository, elsewhere.Replace(blocks[1])); !strings.Contains(out, "USERNAME") {
		t.Errorf("the commands say:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestOperations_Compose makes the secrets as the page says, and uses them.
func TestOperations_Compose(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	_, blocks := section(t, "Compose", "sh")
	repository := t.TempDir()
	dir := filepath.Join(repository, "deploy/compose")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	certificate(t, filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem"))
	shell(t, repository, blocks[0])
	var c compose
	strict(t, []byte(read(t, deploy+"compose/compose.yaml")), &c)
	files := []string{"./secrets/tls.pem"}
	for _, secret := range c.Secrets {
		files = append(files, secret.File)
	}
	for _, file := range files {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != 0o440 || info.Size() == 0 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
	if url := read(t, dir+"/secrets/database"); !regexp.MustCompile(`^postgres://ostiary:[A-Za-z0-9_-]{32}@postgres:5432/ostiary\?sslmode=disable\n$`).MatchString(url) {
		t.Errorf("the URL is %q", url)
	}
	address := processtest.FreeAddress(t)
	log, _ := start(t, command(t, "serve", "--listen", address, "--master-key-file", dir+"/secrets/master.key"))
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
}

// TestOperations_Kubernetes: the secrets that the page makes have the names that the manifest mounts.
func TestOperations_Kubernetes(t *testing.T) {
	_, blocks := section(t, "Kubernetes", "sh")
	all := manifests(t)
	pod := all["Deployment ostiary"].(*deployment).Spec.Template.Spec
	made := map[string][]string{}
	for _, m := range regexp.MustCompile(`create secret (?:generic|tls) (\S+) (.*)`).FindAllStringSubmatch(blocks[0], -1) {
		for _, f := range regexp.MustCompile(`--from-file=(\S+)`).FindAllStringSubmatch(m[2], -1) {
			made[m[1]] = append(made[m[1]], f[1])
		}
		if strings.Contains(m[2], "--cert=") && strings.Contains(m[2], "--key=") { // of type kubernetes.io/tls
			made[m[1]] = []string{"tls.crt", "tls.key"}
		}
	}
	config := all["ConfigMap ostiary"].(*configMap).Data["ostiary.toml"]
	for _, v := range pod.Volumes {
		if v.Secret.Name == "" {
			continue
		}
		for _, m := range pod.Containers[0].VolumeMounts {
			for _, found := range regexp.MustCompile(`"`+m.MountPath+`/([^"]+)"`).FindAllStringSubmatch(config, -1) {
				if m.Name == v.Name && !slices.Contains(made[v.Secret.Name], found[1]) {
					t.Errorf("%s/%s is nowhere made: %v", m.MountPath, found[1], made)
				}
			}
		}
	}
	if len(made) != 2 || !strings.Contains(blocks[0], "--config "+pod.Containers[0].Args[2]) {
		t.Errorf("made: %v", made)
	}
}

// TestOperations_PostgreSQL makes the user and the database as the page says, and starts a server on them.
func TestOperations_PostgreSQL(t *testing.T) {
	p := pgtest.Start(t, pgtest.Options{})
	_, blocks := section(t, "PostgreSQL", "sql")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	admin := "postgres://postgres@" + p.Address() + "/postgres?sslmode=disable"
	for statement := range strings.SplitSeq(strings.TrimSpace(blocks[0]), ";\n") { // pgtest has made a user of that name
		if err := pgtest.Exec(admin, strings.ReplaceAll(statement, "ostiary", "of_the_page")); err != nil {
			t.Fatal(err)
		}
	}
	dir, address := t.TempDir(), processtest.FreeAddress(t)
	database := write(t, filepath.Join(dir, "database"), "postgres://of_the_page@"+p.Address()+","+processtest.FreeAddress(t)+"/of_the_page?sslmode=disable")
	log, _ := start(t, command(t, "serve", "--listen", address, "--data", dir, "--database-file", database))
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
}

// TestOperations_Drill loses a machine and brings it back, as the page says, on either engine.
func TestOperations_Drill(t *testing.T) {
	tool(t, "age-keygen")
	_, keys := section(t, "A backup each night", "sh")
	_, blocks := section(t, "Drill", "sh")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for name, restored := range map[string]func(t *testing.T) string{
		"SQLite":     func(*testing.T) string { return "--data restored" },
		"PostgreSQL": func(t *testing.T) string { return "--data restored --database '" + pgtest.URL(t) + "'" },
	} {
		t.Run(name, func(t *testing.T) {
			where := restored(t)
			lost, other := filepath.Join(t.TempDir(), "ostiary-data"), t.TempDir()
			address := processtest.FreeAddress(t)
			ctx, cancel := context.WithCancel(t.Context())
			log, stop := start(t, exec.CommandContext(ctx, processtest.Binary(t), "serve", "--data", lost, "--listen", address))
			work(t, "http://"+address, lost, log)
			write(t, filepath.Join(other, "master.key"), read(t, filepath.Join(lost, "master.key")))
			shell(t, other, keys[0]+"ostiary backup ostiary.backup --recipients-file backup.recipients\n", "OSTIARY_DATA="+lost)
			cancel() // the machine is gone
			_ = stop()
			if err := os.RemoveAll(lost); err != nil {
				t.Fatal(err)
			}
			production := filepath.Join(t.TempDir(), "production.db")
			settings := write(t, filepath.Join(t.TempDir(), "ostiary.toml"), "database = \"sqlite:"+production+"\"\n")
			commands := replaced(t, blocks[0], "127.0.0.1:8090", address, "--data restored", where)
			out := shell(t, other, commands+`
code=$(curl -s -o /dev/null -w '%{http_code}' http://`+address+`/v1/auth -H 'Content-Type: application/json' \
  -d '{"username":"ada","password":"quiet otters juggle lanterns"}')
echo "login $code"`, "OSTIARY_CONFIG="+settings, "OSTIARY_DATA="+filepath.Dir(production))
			if _, err := os.Stat(production); err == nil {
				t.Error("it was restored where the settings of the shell say")
			}
			for _, want := range []string{"\nada ", "\nready\n", "\nlogin 200\n"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// TestOperations_Table: what the log is said to say, it says; and the commands can be called so.
func TestOperations_Table(t *testing.T) {
	text, _ := section(t, "At three in the morning", "sh")
	rows := regexp.MustCompile(`(?m)^\|([^|]*)\|([^|]*)\|(.*)\|$`).FindAllStringSubmatch(text, -1)
	if len(rows) < 15 {
		t.Fatalf("%d rows", len(rows))
	}
	source := sources(t)
	quoted := regexp.MustCompile("`([^`]+)`")
	dir, address := filepath.Join(t.TempDir(), "data"), processtest.FreeAddress(t)
	log, _ := start(t, command(t, "serve", "--listen", address, "--data", dir))
	work(t, "http://"+address, dir, log)
	run(t, "", processtest.Binary(t), "mfa", "enroll", "ada", "--data", dir)
	ran := 0
	for _, row := range rows {
		for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
			if !strings.Contains(source, m[1]) {
				t.Errorf("no log says %q", m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(row[3], -1) {
			args, found := strings.CutPrefix(m[1], "ostiary ")
			if !found {
				continue
			}
			if args == "doctor" {
				args += " --listen " + address
			}
			run(t, "", processtest.Binary(t), append(strings.Fields(args), "--data", dir)...)
			ran++
		}
	}
	if ran < 8 {
		t.Errorf("%d commands", ran)
	}
}

// sources is the program's text.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../../cmd/*/*.go", "../../internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				all.WriteString(read(t, file))
			}
		}
	}
	return all.String()
}
