package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// ageMagic begins every file that age has encrypted.
const ageMagic = "age-encryption.org/v1\n"

// ErrEncrypted says that a file can't be read without an identity.
var ErrEncrypted = errors.New("it is encrypted: give the file of the age identity that it is for")

// Begins tells whether a file that begins so is a backup, of any version, or encrypted.
func Begins(head []byte) bool {
	return bytes.HasPrefix(head, []byte(magic[:len(magic)-2])) || bytes.HasPrefix(head, []byte(ageMagic))
}

// Recipients are whom a backup is encrypted to.
type Recipients []age.Recipient

// Add adds those of a text: a line each, as age -R reads them.
func (r *Recipients) Add(text string) error {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return errors.New("there is no recipient of age, a line each that begins with age1") // what is there may be a secret
	}
	*r = append(*r, list...)
	return nil
}

// Encrypt encrypts what is written to it; without recipients it is written as it is.
func (r Recipients) Encrypt(to io.Writer) (io.WriteCloser, error) {
	if len(r) == 0 {
		return plain{to}, nil
	}
	w, err := age.Encrypt(to, r...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return w, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// Identities are what a backup is opened by.
type Identities []age.Identity

// ParseIdentities reads the file that age-keygen makes.
func ParseIdentities(from io.Reader) (Identities, error) {
	list, err := age.ParseIdentities(from)
	if err != nil {
		return nil, errors.New("it has no identity of age, a line that begins with AGE-SECRET-KEY-")
	}
	return list, nil
}

// Decrypt decrypts a file that is encrypted, and leaves any other one as it is.
func (ids Identities) Decrypt(from io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(from, chunkSize)
	head, err := buffered.Peek(len(ageMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(head, []byte(ageMagic)) {
		return buffered, nil
	}
	if len(ids) == 0 {
		return nil, ErrEncrypted
	}
	out, err := age.Decrypt(buffered, ids...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, errors.New("it is encrypted to somebody else: none of the identities opens it")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return sealed{out}, nil
}

// sealed says of what age can't decrypt that it is damaged.
type sealed struct{ io.Reader }

func (s sealed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w, or its end is missing: %w", ErrDamaged, err)
	}
	return n, err
}
