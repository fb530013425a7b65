package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// frames speak HTTP/2 (RFC 9113) as no client library would.
type frames struct {
	*tls.Conn
	in *bufio.Reader
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameWindow, frameContinuation = 0, 1, 3, 4, 8, 9

	endStream, endHeaders = 1, 4
)

func newFrames(t *testing.T, h *hall, config *tls.Config) *frames {
	t.Helper()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", h.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatal("no HTTP/2")
	}
	f := &frames{conn, bufio.NewReader(conn)}
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	_ = f.send(frameSettings, 0, 0, nil)
	return f
}

func (f *frames) send(kind, flags byte, stream uint32, payload []byte) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	_, err := f.Write(append(b, payload...))
	return err
}

// next reads a frame.
func (f *frames) next() (kind byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err = io.ReadFull(f.in, head[:]); err != nil {
		return 0, 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[:])>>8)
	_, err = io.ReadFull(f.in, payload)
	return head[3], binary.BigEndian.Uint32(head[5:]), payload, err
}

// ends reads until the server closes the connection.
func (f *frames) ends(t *testing.T) {
	t.Helper()
	for {
		if _, _, _, err := f.next(); err != nil {
			if isTimeout(err) {
				t.Error("the connection goes on")
			}
			return
		}
	}
}

// posts is a head without a body in HPACK (RFC 7541): POST https://x PATH.
func posts(path string) []byte {
	b := []byte{0x83, 0x87, 0x01, 1, 'x', 0x04, byte(len(path))}
	return append(b, path...)
}

func floodHall(t *testing.T) (*hall, *tls.Config) {
	pair, pool := certificate(t, ecKey(t))
	h := newHall(t, ListenerConfig{Limits: Limits{Connections: 100, PerSource: 100}},
		TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }), Options{})
	return h, &tls.Config{RootCAs: pool}
}

// canary is answered beside whatever else goes on.
func (h *hall) canary(t *testing.T, config *tls.Config) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + h.addr + "/address")
	if err != nil {
		t.Fatalf("a canary: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("a canary: %s %s", response.Proto, response.Status)
	}
}

// Requests that are reset at once (CVE-2023-44487) never have more of them answered at once
// than a connection may have streams, and who goes on is shown the door.
func TestThreat60_RapidReset(t *testing.T) {
	h, config := floodHall(t)
	f := newFrames(t, h, config.Clone())
	head := posts("/wait")
	go func() {
		for stream := uint32(1); stream < 200_000; stream += 2 {
			if f.send(frameHeaders, endStream|endHeaders, stream, head) != nil ||
				f.send(frameReset, 0, stream, []byte{0, 0, 0, 8}) != nil {
				return
			}
		}
	}()
	f.ends(t)
	if inside := h.inside.Load(); inside > 32 {
		t.Errorf("%d requests are being answered", inside)
	}
	h.canary(t, config)
	close(h.leave)
	until(t, "none is left", func() bool { return h.inside.Load() == 0 })
}

// More streams than there may be are refused, and the others answered.
func TestThreat60_ManyStreams(t *testing.T) {
	h, config := floodHall(t)
	f := newFrames(t, h, config.Clone())
	for stream := uint32(1); stream < 2*82; stream += 2 {
		if err := f.send(frameHeaders, endStream|endHeaders, stream, posts("/wait")); err != nil {
			t.Fatal(err)
		}
	}
	for refused := 0; refused < 50; {
		kind, _, payload, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		if kind == frameReset && bytes.Equal(payload, []byte{0, 0, 0, 7}) { // REFUSED_STREAM
			refused++
		}
	}
	until(t, "as many inside as there may be", func() bool { return h.inside.Load() == 32 })
	h.canary(t, config)
	close(h.leave)
	until(t, "none is left", func() bool { return h.inside.Load() == 0 })
}

// A head without an end (CVE-2023-45288) takes no memory, and ends the connection.
func TestThreat60_Continuation(t *testing.T) {
	h, config := floodHall(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 2 {
		f := newFrames(t, h, config.Clone())
		if err := f.send(frameHeaders, endStream, 1, posts("/address")); err != nil {
			t.Fatal(err)
		}
		go func() {
			fields := bytes.Repeat(append([]byte{0x00, 1, 'x', 100}, strings.Repeat("x", 100)...), 157) // a frame holds no more
			for range 10_000 {
				if f.send(frameContinuation, 0, 1, fields) != nil {
					return
				}
			}
		}()
		f.ends(t)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
	h.canary(t, config)
	if strings.Contains(h.log.String(), "panic") {
		t.Error(h.log.String())
	}
}

// A connection of HTTP/2 that only opens streams whose bodies do not come is one that
// waits, and its streams end in time like others.
func TestThreat60_StreamsWithoutBodies(t *testing.T) {
	h, config := floodHall(t)
	h.listener.SetLimits(Limits{Connections: 100, PerSource: 10})
	f := newFrames(t, h, config.Clone())
	for stream := uint32(1); stream < 20; stream += 2 {
		if err := f.send(frameHeaders, endHeaders, stream, posts("/wait")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "as many places as streams", func() bool {
		h.listener.mu.Lock()
		defer h.listener.mu.Unlock()
		return h.listener.taken == 10
	})
	h.canary(t, config)
	f.ends(t)
}
