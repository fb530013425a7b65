// Package password hashes and verifies passwords, and says which may be chosen.
//
// New hashes are argon2id (RFC 9106) in the PHC string format. Hashes that other
// systems made (argon2 with other parameters, bcrypt, scrypt, PBKDF2, the crypt(3)
// family, and those that Foreign takes) verify too and are reported as stale, so that they are
// replaced at the next login.
//
// Hashing runs in a bounded pool: as many slots as cores, each with memory of its
// own that is used again, before them a first-come-first-served queue with a
// deadline. However many logins arrive, the memory is bounded by slots × 19 MiB,
// and who can't be served in time is told so at once (ErrBusy). A stored hash with
// greater parameters takes more while it is checked; of those over 64 MiB, one is
// checked at a time.
//
// A check that fails costs at least what the check of a new hash costs: for an
// account that does not exist, a format that is cheap, or a hash that can't be
// read. For formats that cost more, Floor tells how long a failed check takes at
// most, so that the caller can answer every failure no sooner than that.
//
// Rules tell whether a password may be chosen (NIST SP 800-63B-4, section 3.1.1.2);
// docs/passwords.md has them in words.
package password
