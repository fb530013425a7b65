package config

import (
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

// Guess is how many wrong guesses are forgiven, and what comes after them; docs/budgets.md
// says what each means.
type Guess struct {
	// GuessAccount, GuessKnown, GuessSource and GuessFactor are how many wrong guesses cost
	// nothing: at one account from strangers and from each source that it knows, from one
	// source, and at one second factor. 0: no limit.
	GuessAccount int `toml:"guess_account" default:"5" placeholder:"N" env:"OSTIARY_GUESS_ACCOUNT" help:"Wrong passwords for one account, from sources that never signed it in, before the next must wait. 0: no limit."`
	GuessKnown   int `toml:"guess_known" default:"5" placeholder:"N" env:"OSTIARY_GUESS_KNOWN" help:"The same for each source that signed the account in. 0: no limit."`
	GuessSource  int `toml:"guess_source" default:"60" placeholder:"N" env:"OSTIARY_GUESS_SOURCE" help:"Wrong guesses from one source (an IPv4 address, an IPv6 /64) in --guess-source-window. 0: no limit."`
	GuessFactor  int `toml:"guess_factor" default:"10" placeholder:"N" env:"OSTIARY_GUESS_FACTOR" help:"Wrong codes for one second factor in --guess-factor-window before the next must wait. 0: no limit."`
	// GuessDelay is the wait after the last that cost nothing; each one more doubles it, up to GuessDelayMax.
	GuessDelay    Duration `toml:"guess_delay" default:"1s" env:"OSTIARY_GUESS_DELAY" help:"The first wait; each wrong guess more doubles it."`
	GuessDelayMax Duration `toml:"guess_delay_max" default:"15m" env:"OSTIARY_GUESS_DELAY_MAX" help:"The longest wait."`
	// GuessDecay is the time in which one wrong password is forgotten.
	GuessDecay Duration `toml:"guess_decay" default:"1h" env:"OSTIARY_GUESS_DECAY" help:"The time in which one wrong password is forgotten; more than --guess-delay-max."`
	// GuessWall is how many wrong passwords leave only known sources, until an operator helps. 0: none.
	GuessWall int `toml:"guess_wall" default:"100" placeholder:"N" env:"OSTIARY_GUESS_WALL" help:"Wrong passwords after which only known sources pass, until account unlock or a new password. 0: never."`

	GuessSourceWindow Duration `toml:"guess_source_window" default:"10m" env:"OSTIARY_GUESS_SOURCE_WINDOW" help:"The time that --guess-source is for."`
	GuessFactorWindow Duration `toml:"guess_factor_window" default:"1h" env:"OSTIARY_GUESS_FACTOR_WINDOW" help:"The time that --guess-factor is for."`
	// GuessKnownFor is how long a source stays known to an account that it signed in.
	GuessKnownFor Duration `toml:"guess_known_for" default:"30d" env:"OSTIARY_GUESS_KNOWN_FOR" help:"How long a source stays known to an account that it signed in. 0s: none is ever known."`
	// GuessExempt are networks whose sources have no budget of their own: many people share them.
	GuessExempt []string `toml:"guess_exempt" placeholder:"CIDR" env:"OSTIARY_GUESS_EXEMPT" help:"Networks to which --guess-source does not apply; the accounts' limits still do."`
}

// maxGuesses is a limit that limits nothing.
const maxGuesses = 1_000_000

// leastWindow keeps a window longer than what it is written with.
const leastWindow = Duration(time.Second)

func (g *Guess) checkGuesses() error {
	for _, free := range []struct {
		key string
		n   int
	}{
		{"guess_account", g.GuessAccount}, {"guess_known", g.GuessKnown}, {"guess_source", g.GuessSource},
		{"guess_factor", g.GuessFactor}, {"guess_wall", g.GuessWall},
	} {
		if free.n < 0 || free.n > maxGuesses {
			return fmt.Errorf("%s: must be between 0 and %d", free.key, maxGuesses)
		}
	}
	switch {
	case g.GuessWall != 0 && g.GuessWall <= max(g.GuessAccount, g.GuessKnown):
		return fmt.Errorf("guess_wall (%d) must be 0, or more than guess_account and guess_known", g.GuessWall)
	case g.GuessDelay < Duration(time.Millisecond):
		return fmt.Errorf("guess_delay: must be at least 1ms")
	case g.GuessDelayMax < g.GuessDelay:
		return fmt.Errorf("guess_delay_max (%s) must not be less than guess_delay (%s)", g.GuessDelayMax, g.GuessDelay)
	case g.GuessDecay <= g.GuessDelayMax:
		return fmt.Errorf("guess_decay (%s) must be more than guess_delay_max (%s): else the wrong guesses of whoever waits each time would be forgotten as they come", g.GuessDecay, g.GuessDelayMax)
	case g.GuessSourceWindow < leastWindow:
		return fmt.Errorf("guess_source_window: must be at least %s", leastWindow)
	case g.GuessFactorWindow < leastWindow:
		return fmt.Errorf("guess_factor_window: must be at least %s", leastWindow)
	case g.GuessKnownFor < 0:
		return fmt.Errorf("guess_known_for: must not be negative")
	}
	for _, text := range g.GuessExempt {
		network, err := parsePrefix(text)
		if err != nil {
			return fmt.Errorf("guess_exempt: %w", err)
		}
		if network.Bits() == 0 {
			return fmt.Errorf("guess_exempt: %q is everybody: for no limit at all, set guess_source = 0", text)
		}
	}
	return nil
}

// Budgets are the guess budgets of these limits.
func (g *Guess) Budgets() auth.Budgets {
	account := throttle.Policy{
		Free: g.GuessAccount, First: time.Duration(g.GuessDelay), Max: time.Duration(g.GuessDelayMax),
		Decay: time.Duration(g.GuessDecay), Wall: g.GuessWall,
	}
	known, factor := account, account
	known.Free = g.GuessKnown
	factor.Free, factor.Wall = g.GuessFactor, 0
	factor.Decay = time.Duration(g.GuessFactorWindow) / time.Duration(max(1, g.GuessFactor))
	b := auth.Budgets{
		Account: account, Known: known, Factor: factor,
		Source:   throttle.Policy{Free: g.GuessSource, Window: time.Duration(g.GuessSourceWindow)},
		KnownFor: time.Duration(g.GuessKnownFor),
	}
	for _, text := range g.GuessExempt {
		if p, err := parsePrefix(text); err == nil { // checkGuesses has refused the others
			b.Exempt = append(b.Exempt, p)
		}
	}
	return b
}
