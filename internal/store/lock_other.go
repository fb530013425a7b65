//go:build !unix

package store

// lockDir keeps two first starts in one directory apart, where the system can.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
