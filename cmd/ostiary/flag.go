package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ostiary/ostiary/internal/config"
)

// flagValues are how accounts, numbers and durations are read, on the command line and from
// the environment: numbers are decimal (010 is ten), and durations may have days, as in the
// configuration file.
func flagValues() []kong.Option {
	return []kong.Option{
		kong.KindMapper(reflect.Int, kong.MapperFunc(decimal)),
		kong.KindMapper(reflect.Int64, kong.MapperFunc(decimal)),
		kong.TypeMapper(reflect.TypeFor[accountName](), kong.MapperFunc(account)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(duration)),
	}
}

// accountName is the value of --account. An empty one is refused: a script whose variable
// is not set must not mean everybody. So is a second one, of which the first would be lost.
type accountName string

func account(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("account", &text); err != nil {
		return err
	}
	switch {
	case text == "":
		return errors.New("must not be empty")
	case target.String() != "":
		return errors.New("give one account")
	}
	target.SetString(text)
	return nil
}

func decimal(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("number")
	if err != nil {
		return err
	}
	text := fmt.Sprint(token.Value) // of the file, it is a number already
	n, err := strconv.ParseInt(text, 10, target.Type().Bits())
	if err != nil {
		return fmt.Errorf("%q is no decimal number that fits", text)
	}
	target.SetInt(n)
	return nil
}

func duration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	var d config.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}
