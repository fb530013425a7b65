package writeback

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

func lines(texts ...string) (all []auth.WaitingWriteback) {
	for _, text := range texts {
		all = append(all, auth.WaitingWriteback{WritebackRecord: auth.WritebackRecord{ID: uuid.Must(uuid.NewV7())}, Line: []byte(text)})
	}
	return all
}

func tellFile(t *testing.T, path string, texts ...string) {
	t.Helper()
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Tell(t.Context(), lines(texts...)); n != len(texts) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("the file has %q, %v; want %q", got, err, want)
	}
}

func TestFile_Appends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "back.jsonl")
	tellFile(t, path, `{"a":1}`, `{"a":2}`)
	tellFile(t, path, `{"a":3}`)
	wantFile(t, path, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil { // it was taken away
		t.Fatal(err)
	}
	tellFile(t, path, `{"a":4}`)
	wantFile(t, path, "{\"a\":4}\n")
}

// Who takes the file away at any moment, reads it and deletes it, gets each line that was told.
func TestFile_TakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "back.jsonl")
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var taken bytes.Buffer
	take := func() {
		if os.Rename(path, path+".1") == nil {
			text, err := os.ReadFile(path + ".1")
			if err != nil {
				t.Error(err)
			}
			taken.Write(text)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				take()
			}
		}
	}()
	var told []string
	for i := range 500 {
		line := fmt.Sprintf(`{"n":%d}`, i)
		if n, err := f.Tell(t.Context(), lines(line)); err == nil && n == 1 {
			told = append(told, line)
		}
	}
	close(stop)
	<-stopped
	take()
	if len(told) == 0 {
		t.Error("no line was told")
	}
	for _, line := range told {
		if !strings.Contains(taken.String(), line+"\n") {
			t.Errorf("%s is lost", line)
		}
	}
}

// A crash in the middle of a line leaves no line behind that nobody can read.
func TestFile_TornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "back.jsonl")
	for torn, whole := range map[string]string{
		"": "", `{"a`: "", "{\"a\":1}\n{\"a\":": "{\"a\":1}\n", "{\"a\":1}\n" + strings.Repeat("x", 10_000): "{\"a\":1}\n", "{\"a\":1}\n": "{\"a\":1}\n",
	} {
		if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		tellFile(t, path, `{"a":2}`)
		wantFile(t, path, whole+"{\"a\":2}\n")
	}
}

func TestFile_Refuses(t *testing.T) {
	dir := t.TempDir()
	shown := filepath.Join(dir, "shown")
	if err := os.WriteFile(shown, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		shown: "can be read by others: set it to 0600", pipe: "no regular file", dir: "is a directory", filepath.Join(dir, "no", "file"): "no such file",
	} {
		if _, err := NewFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// A disk that is full takes nothing, and what it took of a line is taken back.
func TestFile_Full(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	f := &File{"/dev/full"}
	if n, err := f.Tell(t.Context(), lines("{}")); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

var secret = []byte("0123456789abcdef0123456789abcdef")

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// newWebhook is one to a server that answers as it is told.
func newWebhook(t *testing.T, answer http.HandlerFunc) (*Webhook, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL + "/back?key=of-mine")
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWebhook(to, secretFile(t, "whsec_"+base64.StdEncoding.EncodeToString(secret)+"\n", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return w, server
}

func TestWebhook_Signed(t *testing.T) {
	var got *http.Request
	var body []byte
	w, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		rw.WriteHeader(http.StatusNoContent)
	})
	all := lines(`{"event":"password_changed"}`, `{"event":"account_disabled"}`)
	if n, err := w.Tell(t.Context(), all); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	at := got.Header.Get("Webhook-Timestamp")
	if got.Method != http.MethodPost || got.URL.Path != "/back" || got.URL.RawQuery != "key=of-mine" || got.Header.Get("Content-Type") != "application/json" ||
		got.Header.Get("Webhook-Id") != all[0].ID.String() || string(body) != string(all[0].Line) || len(at) < 10 {
		t.Errorf("%+v %s", got, body)
	}
	if want := sign(secret, all[0].ID.String(), at, all[0].Line); got.Header.Get("Webhook-Signature") != want {
		t.Errorf("signature %s, want %s", got.Header.Get("Webhook-Signature"), want)
	}
}

// The example of the specification of Standard Webhooks.
func TestWebhook_StandardVector(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("%s", got)
	}
}

func TestWebhook_Answers(t *testing.T) {
	for status, refused := range map[int]bool{400: true, 409: true, 413: true, 422: true, 301: false, 307: false, 401: false, 403: false, 404: false, 410: false, 429: false, 500: false, 503: false} {
		asked := 0
		w, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
			asked++
			rw.Header().Set("Location", "/elsewhere")
			rw.WriteHeader(status)
		})
		n, err := w.Tell(t.Context(), lines("{}"))
		if n != 0 || err == nil || errors.Is(err, ErrRefused) != refused || asked != 1 {
			t.Errorf("%d: %d, %v after %d requests", status, n, err, asked)
		}
	}
}

func TestWebhook_Away(t *testing.T) {
	w, server := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	if n, err := w.Tell(t.Context(), lines("{}")); n != 0 || err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "of-mine") {
		t.Errorf("aborted: %d, %v", n, err)
	}
	server.Close()
	if n, err := w.Tell(t.Context(), lines("{}")); n != 0 || err == nil || strings.Contains(err.Error(), "of-mine") {
		t.Errorf("closed: %d, %v", n, err)
	}
}

// One that does not answer, or never ends, is not waited for.
func TestWebhook_Slow(t *testing.T) {
	release := make(chan struct{})
	w, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) { <-release })
	defer close(release)
	if w.client.Timeout != patience {
		t.Errorf("patience of %v", w.client.Timeout)
	}
	w.client.Timeout = 50 * time.Millisecond
	if n, err := w.Tell(t.Context(), lines("{}")); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	endless, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = rw.Write(make([]byte, 1<<10))
		}
	})
	if n, err := endless.Tell(t.Context(), lines("{}")); n != 1 || err != nil {
		t.Errorf("endless: %d, %v", n, err)
	}
}

func TestWebhook_Secret(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(secret)
	for text, ok := range map[string]bool{good: true, "whsec_" + good + "\n": true, " " + good + " ": true, "": false, "whsec_": false, "not base64 at all": false,
		good[:16]: false, base64.StdEncoding.EncodeToString(make([]byte, 65)): false, strings.Repeat("A", 4096): false} {
		_, err := NewWebhook(new(url.URL), secretFile(t, text, 0o600))
		if (err == nil) != ok || err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := NewWebhook(new(url.URL), secretFile(t, good, 0o604)); err == nil || !strings.Contains(err.Error(), "chmod o-rwx") {
		t.Errorf("one that everybody reads: %v", err)
	}
}
