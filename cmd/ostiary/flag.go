package main

import "errors"

// accountName is the value of --account. An empty one is refused: a script whose variable
// is not set must not mean everybody. So is a second one, of which the first would be lost.
type accountName string

// UnmarshalText reads one.
func (n *accountName) UnmarshalText(text []byte) error {
	switch {
	case len(text) == 0:
		return errors.New("must not be empty")
	case *n != "":
		return errors.New("give one account")
	}
	*n = accountName(text)
	return nil
}
