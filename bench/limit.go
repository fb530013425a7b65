package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"runtime"

	xargon2 "golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/ostiary/ostiary/internal/argon2"
	"github.com/ostiary/ostiary/internal/password"
)

// ownMallocs is how often this process has allocated memory.
func ownMallocs() (float64, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs), nil
}

// onAllCores gives a row of a limit a worker for each core.
func (r *row) onAllCores(make func() worker) {
	for range runtime.GOMAXPROCS(0) {
		r.workers = append(r.workers, make())
	}
	r.mallocs = ownMallocs
}

// pooledKey hashes in memory that is kept, with the parameters of new hashes.
func pooledKey() worker {
	p, buffer, salt := password.Default, new(argon2.Buffer), make([]byte, 16)
	return func() error {
		_, err := buffer.Key([]byte(secret), salt, p.Time, p.Memory, p.Threads, 32)
		return err
	}
}

// freshKey is the same by golang.org/x/crypto, which allocates the memory each time.
func freshKey() worker {
	p, salt := password.Default, make([]byte, 16)
	return func() error {
		xargon2.IDKey([]byte(secret), salt, p.Time, p.Memory, p.Threads, 32)
		return nil
	}
}

// hashLimit is a hash on all cores, and so many signatures after each.
func hashLimit(hasher func() worker, signatures int) func(context.Context, *bench, *row) error {
	return func(_ context.Context, _ *bench, r *row) error {
		sign, _, err := signer("RS256")
		r.onAllCores(func() worker {
			hash := hasher()
			return func() error {
				err := hash()
				for range signatures {
					err = errors.Join(err, sign())
				}
				return err
			}
		})
		return err
	}
}

// bcryptLimit is the hash that PocketBase checks, on all cores.
func bcryptLimit(_ context.Context, _ *bench, r *row) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), 10)
	r.onAllCores(func() worker {
		return func() error { return bcrypt.CompareHashAndPassword(hash, []byte(secret)) }
	})
	return err
}

// signer makes the signature of a JWT's length of bytes, and nothing else; and checks it.
func signer(algorithm string) (sign, check worker, err error) {
	var key crypto.Signer
	var verify func(sum, signature []byte) bool
	switch algorithm {
	case "RS256":
		private, fault := rsa.GenerateKey(rand.Reader, 2048)
		key, err = private, fault
		verify = func(sum, signature []byte) bool {
			return rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum, signature) == nil
		}
	case "ES256":
		private, fault := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		key, err = private, fault
		verify = func(sum, signature []byte) bool { return ecdsa.VerifyASN1(&private.PublicKey, sum, signature) }
	default:
		err = fmt.Errorf("no limit for %s", algorithm)
	}
	if err != nil {
		return nil, nil, err
	}
	message := make([]byte, 512)
	sum := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	sign = func() error {
		sum := sha256.Sum256(message)
		_, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		return err
	}
	check = func() error {
		sum := sha256.Sum256(message)
		if !verify(sum[:], signature) {
			return errors.New("a signature that does not verify")
		}
		return nil
	}
	return sign, check, err
}

// signLimit is the bare signature on all cores, and checkLimit its check.
func signLimit(algorithm string) func(context.Context, *bench, *row) error {
	return func(_ context.Context, _ *bench, r *row) error {
		sign, _, err := signer(algorithm)
		r.onAllCores(func() worker { return sign })
		return err
	}
}

func checkLimit(algorithm string) func(context.Context, *bench, *row) error {
	return func(_ context.Context, _ *bench, r *row) error {
		_, check, err := signer(algorithm)
		r.onAllCores(func() worker { return check })
		return err
	}
}

// floorLimit is the bare net/http server, asked what the server is asked to verify.
func floorLimit(ctx context.Context, b *bench, r *row) error {
	q, err := b.verification(ctx, "RS256")
	if err != nil {
		return err
	}
	header, err := b.answerOf(ctx, b.server.target(), q)
	if err != nil {
		return err
	}
	header.Del("Date") // net/http adds it
	floor, stop, err := startFloor(ctx, header)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, stop)
	return b.ask(ctx, r, floor, q)
}

// serveFloor is a bare net/http server, whose answers have the header that it reads from
// in. It says its address on out, and ends with in: also if the process that holds the
// other end is killed.
func serveFloor(in io.Reader, out io.Writer) error {
	input := bufio.NewReader(in)
	header, err := textproto.NewReader(input).ReadMIMEHeader()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == mallocsPath {
			n, _ := ownMallocs()
			fmt.Fprintf(w, "%s %.0f\n", mallocsName, n)
			return
		}
		maps.Copy(w.Header(), header)
		w.WriteHeader(http.StatusOK)
	}), ReadHeaderTimeout: patience}
	fmt.Fprintln(out, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, input)
		_ = s.Close()
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
