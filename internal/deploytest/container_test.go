package deploytest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/processtest"
)

const nonroot = 65532

// cell is a directory that is the root of a file system with nothing in it but the program, a data directory, and two
// secrets as Kubernetes and Docker hand them over: root's, and for the program's group to read.
type cell struct {
	t   *testing.T
	dir string
	env []string
}

func newCell(t *testing.T) *cell {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("TEST_PEERS") == "1" {
			t.Log("only root can change the root of a file system")
		}
		t.Skip("only root can change the root of a file system")
	}
	c := &cell{t: t, dir: t.TempDir()}
	for dir := c.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) { // another user is to pass
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is the point
			t.Fatal(err)
		}
	}
	program := read(t, processtest.Binary(t))
	c.file("ostiary", program, 0o755, 0, 0)
	if err := os.Mkdir(filepath.Join(c.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(c.dir, "data"), nonroot, nonroot); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cell) file(name, text string, mode os.FileMode, uid, gid int) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	write(c.t, path, text)
	if err := os.Chown(path, uid, gid); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		c.t.Fatal(err)
	}
}

// command is the program in there, as the user of the image.
func (c *cell) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "/ostiary", args...)
	cmd.Path, cmd.Dir, cmd.Env = "/ostiary", "/", append([]string{"OSTIARY_DATA=/data"}, c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.dir, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
	return cmd
}

func (c *cell) must(stdin string, args ...string) string {
	c.t.Helper()
	cmd := c.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// work makes an account and signs it in.
func work(t *testing.T, url, data string, log func() string) {
	t.Helper()
	await(t, http.DefaultClient, url+"/ostiary/readyz", log)
	run(t, "quiet otters juggle lanterns", processtest.Binary(t), "account", "create", "--data", data, "--username", "ada", "--password-stdin")
	signIn(t, http.DefaultClient, url)
}

func signIn(t *testing.T, client *http.Client, url string) {
	t.Helper()
	res, err := client.Post(url+"/v1/auth", "application/json", strings.NewReader(`{"username":"ada","password":"quiet otters juggle lanterns"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a login: %s", res.Status)
	}
}

// key is a master key.
const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

// TestContainer_EmptyRoot runs the program where nothing else is: no /etc, no /tmp, no /proc, no shell.
func TestContainer_EmptyRoot(t *testing.T) {
	c := newCell(t)
	c.file("master.key", key, 0o440, 0, nonroot)
	c.env = []string{"OSTIARY_MASTER_KEY_FILE=/master.key"}
	address := processtest.FreeAddress(t)
	log, stop := start(t, c.command("serve", "--listen", address))
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
	c.must("quiet otters juggle lanterns", "account", "create", "--username", "ada", "--password-stdin")
	signIn(t, http.DefaultClient, "http://"+address)
	if out := c.must("", "ready", "--listen", address); out != "ready\n" {
		t.Errorf("ready says %q", out)
	}
	if out := c.must("", "audit", "list"); !strings.Contains(out, fmt.Sprintf("cli: uid %d", nonroot)) {
		t.Errorf("who did it is not known by its number:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v\n%s", err, log())
	}
	if strings.Contains(log(), "level=WARN") || strings.Contains(log(), "level=ERROR") {
		t.Errorf("the log complains:\n%s", log())
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("written beside the data: %v %v", entries, err)
	}
}

// TestContainer_NothingWritable has the store in PostgreSQL, and no place to write to.
func TestContainer_NothingWritable(t *testing.T) {
	c := newCell(t)
	c.file("master.key", key, 0o440, 0, nonroot)
	c.file("database", pgtest.URL(t)+"\n", 0o440, 0, nonroot)
	if err := os.Remove(filepath.Join(c.dir, "data")); err != nil {
		t.Fatal(err)
	}
	c.env = []string{"OSTIARY_MASTER_KEY_FILE=/master.key", "OSTIARY_DATABASE_FILE=/database"}
	address := processtest.FreeAddress(t)
	log, stop := start(t, c.command("serve", "--listen", address))
	await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
	c.must("quiet otters juggle lanterns", "account", "create", "--username", "ada", "--password-stdin")
	signIn(t, http.DefaultClient, "http://"+address)
	if err := stop(); err != nil {
		t.Errorf("stopped: %v\n%s", err, log())
	}
	if entries, err := os.ReadDir(c.dir); err != nil || len(entries) != 3 {
		t.Errorf("written: %v %v", entries, err)
	}
}

// dockerfile are the instructions of a Dockerfile, without comments.
func dockerfile(t *testing.T) (lines [][2]string) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, deploy+"Dockerfile"), "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if word, rest, found := strings.Cut(strings.TrimSpace(line), " "); found {
			lines = append(lines, [2]string{word, rest})
		}
	}
	return lines
}

func TestDockerfile_AsBuiltAndRun(t *testing.T) {
	var all []string
	last := map[string]string{} // of the last stage
	for _, l := range dockerfile(t) {
		if l[0] == "FROM" {
			last = map[string]string{}
		}
		last[l[0]] = l[1]
		all = append(all, l[0]+" "+l[1])
	}
	text := strings.Join(all, "\n")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../../go.mod"))
	if !strings.Contains(text, "FROM golang:"+version[1]+"-") {
		t.Errorf("it is not built with Go %s of go.mod:\n%s", version[1], text)
	}
	recipe := regexp.MustCompile(`(?m)^build:.*\n\t(.*) -o bin/ostiary ./cmd/ostiary$`).FindStringSubmatch(read(t, "../../Makefile"))
	const release = " -X main.release=$VERSION"
	if recipe == nil || !strings.Contains(strings.Replace(text, release, "", 1), recipe[1]+" -o /out/ostiary ./cmd/ostiary") {
		t.Errorf("it is not built as make build does: %q\n%s", recipe, text)
	}
	flags := strings.ReplaceAll(release, "$VERSION", "v9.9.9")
	if said := run(t, "", "go", "run", "-ldflags", flags, "../../cmd/ostiary", "version"); !strings.Contains(text, release) || !strings.HasPrefix(said, "ostiary v9.9.9 ") {
		t.Errorf("the version of the build's argument is not the program's: %s", said)
	}
	for word, want := range map[string]string{
		"FROM": "gcr.io/distroless/static-debian12:nonroot", "USER": fmt.Sprintf("%d:%d", nonroot, nonroot),
		"ENTRYPOINT": `["/ostiary"]`, "CMD": `["serve"]`, "ENV": "OSTIARY_DATA=/data", "VOLUME": "/data",
	} {
		if last[word] != want {
			t.Errorf("%s is %q, want %q", word, last[word], want)
		}
	}
	if !strings.HasSuffix(last["HEALTHCHECK"], `CMD ["/ostiary", "ready"]`) { // as TestContainer_EmptyRoot runs it
		t.Errorf("HEALTHCHECK is %q", last["HEALTHCHECK"])
	}
}

// TestDockerfile_Context builds the program from what the build is sent, and nothing else.
func TestDockerfile_Context(t *testing.T) {
	ignored := read(t, deploy+"Dockerfile.dockerignore")
	if !strings.HasPrefix(ignored, "*\n") {
		t.Fatalf("not everything else is left out:\n%s", ignored)
	}
	var kept []string
	for line := range strings.Lines(ignored[2:]) {
		kept = append(kept, strings.TrimPrefix(strings.TrimSpace(line), "!"))
	}
	deps := run(t, "", "go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}{{end}}", "../../cmd/ostiary")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for dir := range strings.FieldsSeq(deps) {
		top, _, _ := strings.Cut(strings.TrimPrefix(dir, root+"/"), "/")
		if n++; !strings.Contains(" "+strings.Join(kept, " ")+" ", " "+top+" ") {
			t.Errorf("%s is needed, and left out", dir)
		}
	}
	if n < 10 {
		t.Errorf("%d packages", n)
	}
}
