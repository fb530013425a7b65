package ostiaryauth

import (
	"errors"
	"fmt"
)

// What Verify says of a request. Errors that wrap these give a reason for the log, which never quotes a token.
var (
	// ErrNoCredential says that the request has no credential: Handler answers 401.
	ErrNoCredential = errors.New("ostiaryauth: no credential")
	// ErrInvalid says that the credential is not good here, or not now, or that there are two: Handler answers 401.
	ErrInvalid = errors.New("ostiaryauth: invalid credential")
	// ErrUnavailable says that the credential could not be checked, because Ostiary can't be asked: Handler
	// answers 503 with Retry-After.
	ErrUnavailable = errors.New("ostiaryauth: cannot be checked now")
)

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalid, reason) }

func isInvalid(err error) bool { return errors.Is(err, ErrInvalid) }
