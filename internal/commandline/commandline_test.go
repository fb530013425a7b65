package commandline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// span reads itself.
type span struct{ time.Duration }

func (s *span) UnmarshalText(text []byte) (err error) {
	s.Duration, err = time.ParseDuration(string(text))
	return err
}

type Common struct {
	Data  string `default:"here" env:"COMMANDLINE_DATA" help:"Where it is."`
	Slots int    `default:"1" placeholder:"N" env:"COMMANDLINE_SLOTS"`
	Names []string
	order []string
}

func (c *Common) BeforeSources(l *Line) error {
	c.order = append(c.order, "before "+l.Command.Name)
	l.AddSource(func(_ *Line, v *Value) any {
		return map[string]any{"data": "source", "slots": int64(7), "share": 0.5, "names": []any{"a,b", "c"}}[v.Name]
	})
	return nil
}

func (c *Common) AfterParse(*Line) error {
	c.order = append(c.order, "after")
	if c.Data == "bad" {
		return errors.New("data is bad")
	}
	return nil
}

type add struct {
	U      string  `arg:"" name:"U"`
	Rest   string  `arg:"" optional:""`
	Kind   string  `enum:"person,service" default:"person"`
	Share  float64 `default:"1"`
	On     *bool   `negatable:""`
	Wait   *span
	Many   []string `sep:"none"`
	First  bool     `xor:"choice"`
	Second bool     `xor:"choice"`
}

func (add) Help() string { return "More of it." }

type program struct {
	Common `group:"Settings:"`

	Account struct {
		Add    add      `cmd:"" help:"Add one." aliases:"new"`
		Delete struct{} `cmd:""`
	} `cmd:""`
	Copy struct {
		From     string `required:"" xor:"from" placeholder:"URL"`
		FromFile string `required:"" xor:"from" placeholder:"FILE"`
		HTTPPort int    `required:""`
	} `cmd:""`
	Words struct {
		All []string `arg:"" optional:"" passthrough:""`
	} `cmd:"" hidden:""`
}

func read(args ...string) (*program, *Line, error) {
	p := &program{}
	l, err := New("prog", "It does.", p).Parse(args)
	return p, l, err
}

// What was typed wins over the environment, that over sources, and these over the tags.
func TestParse_Order(t *testing.T) {
	t.Setenv("COMMANDLINE_SLOTS", "010")
	p, l, err := read("account", "new", "--data=typed", "ada", "--no-on", "--wait", "3s", "--many=x,y", "--many", "-", "--", "--rest")
	if err != nil {
		t.Fatal(err)
	}
	a := p.Account.Add
	got := fmt.Sprintln(p.Data, p.Slots, p.Names, a.U, a.Rest, a.Kind, a.Share, *a.On, a.Wait, a.Many, p.order)
	if want := fmt.Sprintln("typed", 10, []string{"a,b", "c"}, "ada", "--rest", "person", 0.5, false, "3s", []string{"x,y", "-"}, []string{"before add", "after"}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if !l.Typed("data") || l.Typed("slots") || l.Command.Target != any(&p.Account.Add) {
		t.Error("Typed or Command is wrong")
	}
}

func TestParse_Lists(t *testing.T) {
	for text, want := range map[string][]string{"a,b": {"a", "b"}, `a\,b,c`: {"a,b", "c"}, "": nil, "a,,b,": {"a", "", "b"}} {
		if p, _, err := read("account", "delete", "--names="+text); err != nil || !cmp.Equal(p.Names, want) {
			t.Errorf("%q: %q, %v", text, p.Names, err)
		}
	}
	if p, _, err := read("words", "--data", "--", "-x"); err != nil || !cmp.Equal(p.Words.All, []string{"--data", "--", "-x"}) {
		t.Errorf("%q, %v", p.Words.All, err)
	}
}

func TestParse_Misuse(t *testing.T) {
	for args, want := range map[string]string{
		"":                               `prog: expected one of "account", "copy"`,
		"acount":                         `prog: unexpected argument acount, did you mean "account"?`,
		"account add":                    `prog account add: expected "<U>"`,
		"account add a b c":              "prog account add: unexpected argument c",
		"account add a --frob":           "prog account add: unknown flag --frob",
		"account add a --sare=1":         `prog account add: unknown flag --sare, did you mean "--share"?`,
		"account add a --share":          "prog account add: --share: needs a value",
		"account add a --share --on":     `prog account add: --share: needs a value; perhaps try --share="--on"?`,
		"account add a --share=x":        `prog account add: --share: "x" is no number`,
		"account add a --kind=dog":       `prog account add: --kind must be one of "person","service" but got "dog"`,
		"account add a --on=perhaps":     `prog account add: --on: bool value must be true, 1, yes, false, 0 or no but got "perhaps"`,
		"account add a --slots=0x1":      `prog account add: --slots: "0x1" is no decimal number that fits`,
		"account add a --first --second": "prog account add: --first and --second can't be used together",
		"copy":                           "prog copy: missing flags: --from=URL or --from-file=FILE, --http-port=INT",
		"copy --from=a --from-file=b --http-port=1": "prog copy: --from and --from-file can't be used together",
	} {
		_, _, err := read(strings.Fields(args)...)
		misuse, ok := errors.AsType[*Misuse](err)
		if !ok {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if got := misuse.Command.Path() + ": " + err.Error(); got != want {
			t.Errorf("%s: %s\nwant %s", args, got, want)
		}
	}
	// What a setting says is no misuse of the command.
	_, _, err := read("account", "delete", "--data=bad")
	if _, ok := errors.AsType[*Misuse](err); ok || err == nil || err.Error() != "data is bad" {
		t.Error(err)
	}
	t.Setenv("COMMANDLINE_SLOTS", "many")
	_, _, err = read("account", "delete")
	if want := `--slots: "many" is no decimal number that fits (from envar COMMANDLINE_SLOTS="many")`; err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestWriteHelp(t *testing.T) {
	t.Setenv("COLUMNS", "70")
	_, l, err := read("account", "add", "--help")
	if err != nil || !l.Help {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.Command.WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	want := `Usage: prog account add (new) <U> [<rest>] [flags]

Add one.

More of it.

Arguments:
  <U>
  [<rest>]

Flags:
  -h, --help             Show context-sensitive help.

      --kind="person"
      --share=1
      --[no-]on
      --wait=WAIT
      --many=MANY
      --first
      --second

Settings:
  --data="here"        Where it is ($COMMANDLINE_DATA).
  --slots=N            ($COMMANDLINE_SLOTS).
  --names=NAMES,...
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDashed(t *testing.T) {
	for name, want := range map[string]string{"Data": "data", "GuessDelayMax": "guess-delay-max", "TOTPIssuer": "totp-issuer", "JSON": "json", "TLSKeyPEM": "tls-key-pem"} {
		if got := dashed(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("account add ada --kind=service --many x")
	f.Add("copy --from=a -- -h --x=")
	f.Fuzz(func(t *testing.T, text string) {
		_, l, err := read(strings.Split(text, " ")...)
		if (l == nil) == (err == nil) {
			t.Error("neither a line nor an error, or both")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without a word")
		}
	})
}
