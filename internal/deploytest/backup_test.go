package deploytest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/processtest"
)

type (
	cronJob struct {
		object `yaml:",inline"`
		Spec   struct {
			Schedule    string
			Zone        string `yaml:"timeZone"`
			Concurrency string `yaml:"concurrencyPolicy"`
			Deadline    int    `yaml:"startingDeadlineSeconds"`
			Job         struct {
				Spec struct {
					Backoff  int `yaml:"backoffLimit"`
					Template struct {
						Metadata meta
						Spec     podSpec
					}
				}
			} `yaml:"jobTemplate"`
		}
	}
	claim struct {
		object `yaml:",inline"`
		Spec   struct {
			Modes     []string `yaml:"accessModes"`
			Resources struct{ Requests struct{ Storage string } }
		}
	}
)

// nightly is a server with its files as they are for a backup: the user of the image can read all but the master key.
type nightly struct {
	t              *testing.T
	dir, identity  string
	config, public string
}

func newNightly(t *testing.T) *nightly {
	t.Helper()
	c := newCell(t)
	n := &nightly{t: t, dir: c.dir, identity: filepath.Join(c.dir, "backup.key")}
	run(t, "", tool(t, "age-keygen"), "-o", n.identity)
	n.public = run(t, "", "age-keygen", "-y", n.identity)
	c.file("master.key", key, 0o600, 0, 0)
	n.config = "data = \"" + n.dir + "/data\"\nmaster_key_file = \"" + n.dir + "/master.key\"\n"
	address := processtest.FreeAddress(t)
	c.env = []string{"OSTIARY_MASTER_KEY=" + strings.TrimSpace(key)}
	log, _ := start(t, c.command("serve", "--listen", address))
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
	c.must("quiet otters juggle lanterns", "account", "create", "--username", "ada", "--password-stdin")
	if err := os.Mkdir(n.dir+"/backups", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(n.dir+"/backups", nonroot, nonroot); err != nil {
		t.Fatal(err)
	}
	c.file("date", "#!/bin/sh\nexec "+tool(t, "date")+" -d \"$NOW\" \"$@\"\n", 0o755, 0, 0)
	return n
}

// shell runs a command as the user of the image, at a time.
func (n *nightly) shell(now time.Time, line string, env ...string) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), "/bin/sh", "-ec", line)
	cmd.Dir = n.dir
	cmd.Env = append(env, "NOW="+now.Format(time.RFC3339), "PATH="+n.dir+":/usr/bin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// nights has a backup made three nights on end, the first of them long ago, and sees which there are then.
func (n *nightly) nights(backUp func(now time.Time)) {
	n.t.Helper()
	now := time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	name := func(at time.Time) string { return at.Format("ostiary-2006-01-02T150405Z.backup") }
	old := now.AddDate(0, 0, -31)
	backUp(old)
	long := time.Now().AddDate(0, 0, -32)
	write(n.t, n.dir+"/backups/ostiary-killed.backup.123.partial", "")
	for _, file := range []string{name(old), "ostiary-killed.backup.123.partial"} {
		if err := os.Chtimes(n.dir+"/backups/"+file, long, long); err != nil {
			n.t.Fatal(err)
		}
	}
	backUp(now)
	backUp(now.AddDate(0, 0, 1))
	entries, err := os.ReadDir(n.dir + "/backups")
	if err != nil {
		n.t.Fatal(err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	if want := []string{name(now), name(now.AddDate(0, 0, 1))}; !slices.Equal(there, want) {
		n.t.Fatalf("there are %q, not %q", there, want)
	}
	restored := filepath.Join(n.t.TempDir(), "restored")
	run(n.t, "", "install", "-D", "-m", "0600", n.dir+"/master.key", restored+"/master.key")
	run(n.t, "", processtest.Binary(n.t), "restore", n.dir+"/backups/"+there[1], "--identity", n.identity, "--data", restored)
	if out := run(n.t, "", processtest.Binary(n.t), "account", "list", "--data", restored); !strings.Contains(out, "\nada ") {
		n.t.Errorf("restored:\n%s", out)
	}
}

// TestSystemd_Backup runs what the unit runs, as systemd would.
func TestSystemd_Backup(t *testing.T) {
	n := newNightly(t)
	unit := read(t, deploy+"systemd/ostiary-backup.service")
	lines := regexp.MustCompile(`(?m)^(ExecStart|ExecStartPost)=(.*)$`).FindAllStringSubmatch(unit, -1)
	if len(lines) != 2 || !strings.Contains(unit, "\nStateDirectory=ostiary ostiary-backups\n") || !strings.Contains(unit, "\nUser=ostiary\n") {
		t.Fatalf("%q", lines)
	}
	write(t, n.dir+"/ostiary.toml", n.config)
	write(t, n.dir+"/backup.recipients", n.public)
	for _, file := range []string{"ostiary.toml", "backup.recipients"} {
		if err := os.Chmod(filepath.Join(n.dir, file), 0o644); err != nil { //nolint:gosec // as they are
			t.Fatal(err)
		}
	}
	specifiers := strings.NewReplacer("%%", "%", "$$", "$", "%S/ostiary-backups", n.dir+"/backups", "/usr/local/bin/", n.dir+"/",
		"/etc/ostiary/", n.dir+"/")
	n.nights(func(now time.Time) {
		for _, line := range lines {
			n.shell(now, specifiers.Replace(line[2]), "OSTIARY_DATA="+n.dir+"/data")
		}
	})
}

// TestKubernetes_Backup runs what the containers of the CronJob run.
func TestKubernetes_Backup(t *testing.T) {
	n := newNightly(t)
	all := manifests(t)
	job := all["CronJob ostiary-backup"].(*cronJob)
	pod := job.Spec.Job.Spec.Template.Spec
	if job.Spec.Concurrency != "Forbid" || pod.Restart != "Never" || len(pod.Init) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("%+v", job.Spec)
	}
	server := all["Deployment ostiary"].(*deployment).Spec.Template
	app := "app.kubernetes.io/name"
	if mine := job.Spec.Job.Spec.Template.Metadata.Labels[app]; mine == "" || mine == server.Metadata.Labels[app] ||
		mine != all["NetworkPolicy ostiary-backup"].(*networkPolicy).Spec.PodSelector.MatchLabels[app] {
		t.Errorf("the Service may send it requests, or nothing says what it may reach: %q", mine)
	}
	if s := pod.SecurityContext; s != server.Spec.SecurityContext || pod.Automount == nil || *pod.Automount || pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Errorf("it may do more than the server: %+v", pod)
	}
	at := map[string]string{}
	for _, c := range append(pod.Init, pod.Containers...) {
		sc := c.SecurityContext
		if sc.Escalation == nil || *sc.Escalation || !sc.ReadOnly || strings.Join(sc.Capabilities.Drop, "") != "ALL" {
			t.Errorf("not restricted: %+v", c)
		}
		if len(c.Env) != 1 || c.Env[0].Name != "POD_NAME" || c.Env[0].ValueFrom.FieldRef.FieldPath != "metadata.name" {
			t.Errorf("the environment is %+v", c.Env)
		}
		for _, m := range c.VolumeMounts {
			at[m.Name] = m.MountPath
		}
	}
	for _, v := range pod.Volumes {
		if v.Secret.Name != "" && (len(v.Secret.Items) != 1 || v.Secret.Items[0].Key != "database") {
			t.Errorf("it is given more than the URL: %+v", v)
		}
		if _, made := all["PersistentVolumeClaim "+v.Claim.Name]; v.Claim.Name != "" && !made {
			t.Errorf("there is no %s", v.Claim.Name)
		}
	}
	for name, text := range map[string]string{
		"ostiary.toml": all["ConfigMap ostiary"].(*configMap).Data["ostiary.toml"], "recipients": n.public, "database": "sqlite:" + n.dir + "/data/ostiary.db",
	} {
		write(t, filepath.Join(n.dir, name), strings.ReplaceAll(text, at["database"]+"/database", n.dir+"/database"))
		if err := os.Chown(filepath.Join(n.dir, name), nonroot, nonroot); err != nil {
			t.Fatal(err)
		}
	}
	paths := strings.NewReplacer(at["config"]+"/", n.dir+"/", at["recipients"]+"/", n.dir+"/", at["backups"]+"/", n.dir+"/backups/",
		at["backups"]+" ", n.dir+"/backups ")
	n.nights(func(now time.Time) {
		name := "ostiary-backup-" + now.Format("20060102") + "-x7k2p"
		args := strings.ReplaceAll(strings.Join(pod.Init[0].Args, " "), "$(POD_NAME)", name)
		n.shell(now, "umask 077; exec "+n.dir+"/ostiary "+paths.Replace(args))
		c := pod.Containers[0].Command
		if !slices.Equal(c[:2], []string{"/bin/sh", "-ec"}) {
			t.Fatalf("%q", c)
		}
		n.shell(now, paths.Replace(c[2]), "POD_NAME="+name)
	})
}

// TestOperations_Backups makes the keys, installs the units, and backs up a container as the page says.
func TestOperations_Backups(t *testing.T) {
	tool(t, "age-keygen")
	tool(t, "systemctl")
	_, blocks := section(t, "A backup each night", "sh")
	if len(blocks) != 4 {
		t.Fatalf("%d blocks", len(blocks))
	}
	dir, root := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(root+"/etc/systemd/system", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root+"/etc/ostiary", 0o700); err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs(deploy)
	if err == nil {
		err = os.Symlink(repository, filepath.Join(dir, "deploy"))
	}
	if err != nil {
		t.Fatal(err)
	}
	shell(t, dir, blocks[0])
	shell(t, dir, replaced(t, blocks[1], "/etc/", root+"/etc/", "systemctl enable --now", "systemctl --root="+root+" enable", "systemctl start", ": "))
	if _, err := os.Lstat(root + "/etc/systemd/system/timers.target.wants/ostiary-backup.timer"); err != nil {
		t.Error(err)
	}
	if read(t, root+"/etc/ostiary/backup.recipients") == "" || !strings.Contains(read(t, deploy+"systemd/ostiary-backup.service"), " /etc/ostiary/backup.recipients ") {
		t.Error("the unit is given other recipients")
	}
	pod := manifests(t)["CronJob ostiary-backup"].(*cronJob).Spec.Job.Spec.Template.Spec
	if !strings.Contains(blocks[2], "create configmap "+pod.Volumes[1].ConfigMap.Name+" --from-file=recipients=") ||
		!slices.Contains(pod.Init[0].Args, pod.Init[0].VolumeMounts[1].MountPath+"/recipients") {
		t.Error("the pod asks for other recipients")
	}
	data := filepath.Join(t.TempDir(), "data")
	address := processtest.FreeAddress(t)
	log, _ := start(t, command(t, "serve", "--data", data, "--listen", address))
	work(t, "http://"+address, data, log)
	shell(t, dir, replaced(t, blocks[3], "docker exec ostiary /ostiary", "ostiary"), "OSTIARY_DATA="+data)
	files, err := filepath.Glob(dir + "/ostiary-2*Z.backup")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	// Where a backup fails, no file says that there is one, and no older one goes.
	old := time.Now().Add(-60 * 24 * time.Hour)
	if err := os.Chtimes(files[0], old, old); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", replaced(t, blocks[3], "docker exec ostiary /ostiary", "false"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("a backup that fails exits with 0: %s", out)
	}
	if left, err := filepath.Glob(dir + "/ostiary-2*Z.backup"); err != nil || !slices.Equal(left, files) {
		t.Errorf("%v %v, and %v before", left, err, files)
	}
}

// TestOperations_Recovery restores an installation as the page says, and starts it as its user.
func TestOperations_Recovery(t *testing.T) {
	n := newNightly(t)
	_, blocks := section(t, "Recovery", "sh")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	write(t, n.dir+"/backup.recipients", n.public)
	run(t, "", processtest.Binary(t), "backup", n.dir+"/ostiary.backup", "--data", n.dir+"/data", "--recipients-file", n.dir+"/backup.recipients")
	state, address := n.dir+"/var/lib/ostiary", processtest.FreeAddress(t)
	if err := os.MkdirAll(state, 0o755); err != nil { //nolint:gosec // another user is to pass
		t.Fatal(err)
	}
	config := strings.ReplaceAll(n.config, n.dir+"/data", state) + "listen = \"" + address + "\"\n"
	write(t, n.dir+"/ostiary.toml", config)
	serve := "setpriv --reuid=65532 --regid=65532 --clear-groups env OSTIARY_MASTER_KEY=" + strings.TrimSpace(key) + " " +
		n.dir + "/ostiary serve --data " + state + " --listen " + address + " 2> serve.log &\n" +
		"until ostiary ready --listen " + address + "; do kill -0 $! || { cat serve.log; exit 1; }; sleep 0.2; done"
	commands := replaced(t, blocks[0], "/var/lib/", n.dir+"/var/lib/", "/etc/ostiary/", n.dir+"/",
		"systemctl start ostiary ostiary-backup.timer", serve, "systemctl stop ostiary ostiary-backup.timer", ":",
		"-o ostiary -g ostiary", "-o 65532 -g 65532", "ostiary:ostiary", "65532:65532")
	out := shell(t, n.dir, commands+"ostiary account list --config ostiary.toml\n")
	if !strings.Contains(out, "\nada ") {
		t.Errorf("restored:\n%s", out)
	}
}
