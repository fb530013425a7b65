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
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/argon2"
	"github.com/ostiary/ostiary/internal/audit"
	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
	"github.com/ostiary/ostiary/internal/store"
)

// onAllCores makes a worker for each core.
func onAllCores(make func() worker) []worker {
	var workers []worker
	for range runtime.GOMAXPROCS(0) {
		workers = append(workers, make())
	}
	return workers
}

// hashLimits are argon2id with the parameters of new hashes, in memory that is kept, on
// all cores: alone, and with two signatures after each.
func hashLimits() (bare, signed *row, err error) {
	hasher := func() worker {
		p, buffer, salt := password.Default, new(argon2.Buffer), make([]byte, 16)
		return func() error {
			_, err := buffer.Key([]byte(secret), salt, p.Time, p.Memory, p.Threads, 32)
			return err
		}
	}
	sign, err := signer("RS256")
	if err != nil {
		return nil, nil, err
	}
	bare = &row{name: "limit: argon2id", unit: "/s", workers: onAllCores(hasher)}
	signed = &row{name: "limit: argon2id and two RS256", unit: "/s", workers: onAllCores(func() worker {
		hash := hasher()
		return func() error { return errors.Join(hash(), sign(), sign()) }
	})}
	return bare, signed, nil
}

// signer makes the signature of a JWT's length of bytes, and nothing else.
func signer(algorithm string) (worker, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("no limit for %s", algorithm)
	}
	message := make([]byte, 512)
	return func() error {
		sum := sha256.Sum256(message)
		_, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		return err
	}, err
}

// signLimit is the bare signature on all cores.
func signLimit(algorithm string) (*row, error) {
	sign, err := signer(algorithm)
	return &row{name: "limit: " + algorithm + " signatures", unit: "/s", workers: onAllCores(func() worker { return sign })}, err
}

// commitLimit is the smallest transaction of the store, by as many clients as refresh
// at once: one row, and a share in a sync of the disk.
func commitLimit(ctx context.Context, dir string, clients int) (*row, func() error, error) {
	st, err := store.Create(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	realm := uuid.Must(uuid.NewV7())
	r := &row{name: fmt.Sprintf("limit: commits, %d writers", clients), unit: "/s"}
	for range clients {
		r.workers = append(r.workers, func() error {
			return st.InTx(ctx, func(tx auth.Tx) error {
				return tx.InsertEvent(ctx, audit.Event{ID: uuid.Must(uuid.NewV7()), RealmID: realm, At: time.Now(), Kind: audit.TokenRefreshed})
			})
		})
	}
	return r, st.Close, nil
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
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
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
