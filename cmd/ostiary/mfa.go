package main

import (
	"fmt"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/totp"
)

type mfaCmd struct {
	Enroll   mfaEnroll   `cmd:"" help:"Start an enrolment, and print its QR code."`
	Confirm  mfaConfirm  `cmd:"" help:"Confirm an enrolment with a first code."`
	Reset    mfaReset    `cmd:"" help:"Remove an account's second factor and recovery codes."`
	Recovery mfaRecovery `cmd:"" help:"Make ten new recovery codes; older ones are void."`
}

type mfaEnroll struct{ accountArg }

func (mfaEnroll) Help() string {
	return `Prints the otpauth URI on a line of its own, and its QR code. They stay the same until the enrolment is confirmed, by
"ostiary mfa confirm" or by the first right code at mikrocloud, whose login shows the QR code too; after 7 days it is withdrawn.

Example:
    ostiary mfa enroll ada`
}

func (c *mfaEnroll) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		uri, err := d.EnrollFactor(a, d.realm.ID, acc.ID, d.by)
		if err != nil {
			return err
		}
		qr, err := totp.Terminal(uri)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s\n%s", uri, qr)
		return a.shownOnce(err, "the enrolment of account "+acc.ID.String()+" was started, and could not be shown", "give the command again: it is the same until it is confirmed")
	})
}

type mfaConfirm struct {
	accountArg
	Code string `required:"" help:"The six digits that the authenticator shows."`
}

func (mfaConfirm) Help() string {
	return `From then on every login needs a code. The account's other sessions end.

Example:
    ostiary mfa confirm ada --code 123456`
}

func (c *mfaConfirm) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.ConfirmFactor(a, d.realm.ID, acc.ID, auth.Secret(c.Code), d.by)
	})
}

type mfaReset struct{ accountArg }

func (mfaReset) Help() string {
	return `The account signs in with its password alone again. Its sessions end.

Example:
    ostiary mfa reset ada`
}

func (c *mfaReset) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		return d.ResetFactor(a, d.realm.ID, acc.ID, d.by)
	})
}

type mfaRecovery struct{ accountArg }

func (mfaRecovery) Help() string {
	return `Prints the codes, one a line, this once. Each passes once at mikrocloud's passport in place of a code.

Example:
    ostiary mfa recovery ada`
}

func (c *mfaRecovery) Run(a *app) error {
	return a.onAccount(c.U, func(d *desk, acc auth.Account) error {
		codes, err := d.NewRecoveryCodes(a, d.realm.ID, acc.ID, d.by)
		if err != nil {
			return err
		}
		for _, code := range codes {
			fmt.Fprintln(a.out, code)
		}
		return a.shownOnce(nil, "account "+acc.ID.String()+" has new recovery codes, which could not be shown, and the older ones are void", "give the command again, for others")
	})
}
