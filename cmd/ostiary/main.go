// Command ostiary is an authentication server that speaks several login APIs, and the
// command line of its operator. Each subcommand has a file of its own; dialects.go is
// the list of the login APIs.
//
// Exit status: 0 done; 1 refused or failed, with one line on standard error; 2 misuse:
// the command line, the environment or the configuration can't be meant so.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/commandline"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/password"
)

// commandLine is all that can be typed.
type commandLine struct {
	config.Shared `group:"Settings:"`

	Serve      serveCmd      `cmd:"" help:"Serve the login APIs. The first start creates everything."`
	Realm      realmCmd      `cmd:"" help:"Realms: closed sets of accounts, keys and sessions."`
	Account    accountCmd    `cmd:"" help:"Accounts: people and services."`
	MFA        mfaCmd        `cmd:"" name:"mfa" help:"Second factors: enrolment, reset, recovery codes."`
	Role       roleCmd       `cmd:"" help:"Roles: who has them, and which datasources they open."`
	Datasource datasourceCmd `cmd:"" help:"Datasources: what roles open."`
	Session    sessionCmd    `cmd:"" help:"Sessions: who is signed in."`
	Budget     budgetCmd     `cmd:"" help:"Guess budgets: who must wait after wrong passwords and codes."`
	Key        keyCmd        `cmd:"" help:"Signing keys of the realm's tokens."`
	Token      tokenCmd      `cmd:"" help:"Tokens of other servers that are to be good here."`
	Audit      auditCmd      `cmd:"" help:"The audit log: what happened, and who did it."`
	Parity     parityCmd     `cmd:"" help:"Where a legacy server's answers and ours differ, and whether it is safe to cut over."`
	Usage      usageCmd      `cmd:"" help:"Who still uses which dialect, and how far the accounts are in a takeover."`
	Backup     backupCmd     `cmd:"" help:"Write all of the database into a file, while the servers go on."`
	Restore    restoreCmd    `cmd:"" help:"Bring a database back from a backup."`
	Database   databaseCmd   `cmd:"" help:"Copy the database to another one, and compare two."`
	Dialect    dialectCmd    `cmd:"" help:"Login APIs that a file declares."`
	Doctor     doctorCmd     `cmd:"" help:"Check the installation, and say what to do about each finding."`
	Ready      readyCmd      `cmd:"" help:"Ask the server whether it can serve."`
	Version    versionCmd    `cmd:"" help:"Show the version of this program."`

	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
	Complete   completeCmd   `cmd:"" name:"__complete" hidden:""`
}

// app is what every command works with.
type app struct {
	context.Context
	set  *config.Shared
	in   io.Reader
	out  *bufio.Writer // flushed at the end; a failure to write is a failure
	err  io.Writer
	args []string
	root *commandline.Command

	typedRealm bool // --realm was typed
	givenRealm bool // or realm is set elsewhere
	typedURL   bool // --database was
	onlyData   bool // --data was, and no database beside it
}

// misuse marks an error as a command line that can't be meant so: exit status 2.
type misuse string

func (m misuse) Error() string { return string(m) }

func misusef(format string, args ...any) error { return misuse(fmt.Sprintf(format, args...)) }

const about = "An authentication server that speaks several login APIs against one store of accounts."

func (commandLine) Help() string {
	return `U is a username, an e-mail address or an id. Every setting is a flag, an environment variable (OSTIARY_...) and a key of the
configuration file. Commands work beside a running server, and need its --data.

Examples:
    ostiary serve --demo
    ostiary serve --data ostiary-data
    ostiary account create --username ada --email ada@example.com --password-stdin < password.txt
    ostiary mfa enroll ada
    ostiary doctor`
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program, from its arguments to its exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{Context: ctx, in: in, out: bufio.NewWriter(out), err: errOut, args: args}
	c, line, err := a.parse()
	if i := slices.IndexFunc(args, func(text string) bool { return !utf8.ValidString(text) || strings.Contains(text, "\x00") }); i >= 0 {
		err = fmt.Errorf("%q is not text in UTF-8", args[i])
	}
	if err != nil {
		return a.fail(misuse(err.Error() + hint(err)))
	}
	if line.Help {
		return a.fail(a.written(line.Command.WriteHelp(a.out)))
	}
	a.set = &c.Shared
	a.typedRealm, a.givenRealm, a.typedURL = line.Typed("realm"), line.Given("realm"), line.Typed("database")
	a.onlyData = line.Typed("data") && !a.typedURL && !line.Typed("database-file")
	command, ok := line.Command.Target.(interface{ Run(*app) error })
	if !ok {
		return a.fail(fmt.Errorf("%s can't be run", line.Command.Path()))
	}
	status := a.fail(a.written(command.Run(a)))
	a.flushLog()
	return status
}

// written is what has gone wrong with a command, and with what it has printed.
func (a *app) written(err error) error {
	if unwritten := a.out.Flush(); !errors.Is(err, unwritten) { // else it has met that itself
		err = errors.Join(err, unwritten)
	}
	return err
}

// flushLog sees that what was said on standard error is there, if anybody reads it.
func (a *app) flushLog() {
	if w, ok := a.err.(*logWriter); ok {
		w.Flush(logFlush)
	}
}

// parse reads the command line, the environment and the configuration file.
func (a *app) parse() (*commandLine, *commandline.Line, error) {
	c := &commandLine{}
	a.root = commandline.New("ostiary", about, c)
	line, err := a.root.Parse(a.args, c.demoData)
	return c, line, err
}

// hint names the help of the command that was misused. The error of a setting names the setting.
func hint(err error) string {
	if bad, ok := errors.AsType[*commandline.Misuse](err); ok {
		return " (see " + bad.Command.Path() + " --help)"
	}
	return ""
}

// fail prints why a command failed, and returns the exit status.
func (a *app) fail(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(a.err, "ostiary: "+strings.TrimPrefix(explain(err), "ostiary: "))
	if _, ok := errors.AsType[misuse](err); ok {
		return 2
	}
	return 1
}

// explain is one line of what an operator can make something of.
func explain(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*auth.Error](err); ok {
		switch {
		case errors.Is(e, password.ErrBreachedFile):
			text = e.Cause.Error() // whose file it is may read where it is
		case e.Detail != "":
			text = e.Detail
		case e.Code == auth.CodeUnavailable && e.Cause != nil:
			text = "the store can't answer: " + e.Cause.Error()
		case e.Code == auth.CodeNotFound:
			text = "there is none any more"
		case e.Cause != nil:
			text = e.Cause.Error()
		}
	}
	return printable(text)
}
