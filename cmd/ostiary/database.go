package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/store"
)

type databaseCmd struct {
	Copy   databaseCopy   `cmd:"" help:"Copy all of a database to another one, also to PostgreSQL and back."`
	Verify databaseVerify `cmd:"" help:"See whether two databases have the same in them."`
	Resume databaseResume `cmd:"" help:"Have a database take writes again that was moved elsewhere."`
}

// databasePair are the two that a command is about.
type databasePair struct {
	From     string `required:"" xor:"from" placeholder:"URL" help:"The one that there is: sqlite:PATH or postgres://USER@HOST/NAME."`
	To       string `required:"" xor:"to" placeholder:"URL" help:"The other one."`
	FromFile string `required:"" xor:"from" placeholder:"FILE" help:"File that holds the URL of --from, for one with a password."`
	ToFile   string `required:"" xor:"to" placeholder:"FILE" help:"File that holds the URL of --to."`
}

// at is the configuration of a command for another database.
func (a *app) at(flag, url string) (*config.Shared, error) {
	if url == "" {
		return nil, misusef("--%s: must not be empty", flag)
	}
	if err := config.CheckDatabase(url); err != nil {
		return nil, misusef("--%s: %v", flag, err)
	}
	set := *a.set
	set.Database, set.DatabaseFile = url, ""
	return &set, nil
}

// of is the configuration for the database that a flag names, or a file.
func (a *app) of(flag, url, file string) (*config.Shared, error) {
	if file != "" {
		text, err := config.ReadDatabase(file)
		if err != nil {
			return nil, misusef("--%s-file: %v", flag, err)
		}
		return a.at(flag+"-file", text)
	}
	set, err := a.at(flag, url)
	if err == nil && set.HasPassword() {
		fmt.Fprintf(a.err, "ostiary: --%s: %s: give the URL in a file (--%s-file), or leave the password to PGPASSFILE\n", flag, shownPassword, flag)
	}
	return set, err
}

func (c *databasePair) sets(a *app) (from, to *config.Shared, err error) {
	if from, err = a.of("from", c.From, c.FromFile); err != nil {
		return nil, nil, err
	}
	if to, err = a.of("to", c.To, c.ToFile); err != nil {
		return nil, nil, err
	}
	one, errOne := os.Stat(from.DatabasePath())
	two, errTwo := os.Stat(to.DatabasePath())
	if from.DatabaseName() == to.DatabaseName() || errOne == nil && errTwo == nil && os.SameFile(one, two) {
		return nil, nil, misusef("--from and --to are the same database")
	}
	return from, to, nil
}

type databaseVerify struct{ databasePair }

func (databaseVerify) Help() string {
	return `Reads all of both, each as it is at one moment, and compares the number of rows and the digest of each table.

Examples:
    ostiary database verify --from sqlite:ostiary-data/ostiary.db --to postgres://ostiary@db.example.com/ostiary`
}

func (c *databaseVerify) Run(a *app) (err error) {
	defer a.interruptible()()
	defer func() { err = stopped(a, err) }()
	from, to, err := c.sets(a)
	if err != nil {
		return err
	}
	var both [2]store.Sums
	for i, set := range []*config.Shared{from, to} {
		st, err := openStore(a, set)
		if err != nil {
			return err
		}
		defer st.Close()
		if both[i], err = a.sumsOf(st, "verify "+st.Info().Path); err != nil {
			return err
		}
	}
	l := a.list(listFlags{}, "TABLE", "ROWS", "OTHER", "DIGEST", "OTHER")
	var differ []string
	for _, t := range store.Tables {
		one, two := both[0][t.Name], both[1][t.Name]
		if err := l.row(nil, t.Name, one.Rows, two.Rows, one.SHA256[:16], two.SHA256[:16]); err != nil {
			return err
		}
		if one != two {
			differ = append(differ, t.Name)
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	if len(differ) > 0 {
		return fmt.Errorf("they differ in %s", strings.Join(differ, ", "))
	}
	return nil
}

type databaseResume struct{}

func (databaseResume) Help() string {
	return `For the source of a copy with --retire, if its servers are to go on all the same. What is written to both is in neither of them whole.

Examples:
    ostiary database resume --data ostiary-data`
}

func (databaseResume) Run(a *app) error {
	st, err := openStore(a, a.set)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := usable(a, st); err != nil {
		return err
	}
	if err := st.TakeWrites(a); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s takes writes again\n", st.Info().Path)
	return err
}

// sumsOf reads all of a database.
func (a *app) sumsOf(st *store.Store, what string) (store.Sums, error) {
	n, err := st.Snapshot(a)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	total, err := rowsOf(a, n)
	if err != nil {
		return nil, err
	}
	p := a.progress()
	defer p.end()
	p.start(what, total)
	return n.Sums(a, p.step)
}
