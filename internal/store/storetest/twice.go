package storetest

import (
	"context"
	"errors"

	"github.com/ostiary/ostiary/internal/auth"
)

// Twice is a store that runs each transaction twice, as one does that could not commit it at
// first: what comes to nothing then must leave nothing behind, in the store or elsewhere.
type Twice struct{ auth.Store }

var errAgain = errors.New("once more")

// InTx implements auth.Store.
func (s Twice) InTx(ctx context.Context, fn func(tx auth.Tx) error) error {
	err := s.Store.InTx(ctx, func(tx auth.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Store.InTx(ctx, fn)
}
