package peertest

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/totp"
)

// accounts are names that have broken enrolment somewhere, and lengths from small to the longest.
var accounts = []string{
	"alice@example.com",
	"",
	`:&?%<svg onload>`,
	`"><script>alert(1)</script>`,
	"a\r\nb",
	"\r\n\r\nSet-Cookie: a=b",
	"🔑 emoji 👩‍🚀",
	"Ünïcödé@bücher.example",
	"日本語",
	"\u202eevil\x00\x1b[31m",
	"&issuer=Evil&secret=AAAA",
	"%41%3A+",
	strings.Repeat("a", 254),
	strings.Repeat("é", 127),
	strings.Repeat("語", 84),
}

// An authenticator's camera: the SVG as librsvg draws it, and zbar reads it.
func TestThreat22_ScannedQREqualsURI(t *testing.T) {
	rsvg, zbar := tool(t, "rsvg-convert"), tool(t, "zbarimg")
	for i, account := range accounts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			uri := totp.URI("Ostiary & Söhne", account, totp.NewSecret())
			svg, err := totp.SVG(uri)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "qr.png")
			run(t, svg, rsvg, "-o", path) // at its own size
			if got := scan(t, zbar, path); got != uri {
				t.Errorf("scanned %q\nwant    %q", got, uri)
			}
			run(t, svg, rsvg, "-w", "900", "-o", path) // and scaled by no whole number
			if got := scan(t, zbar, path); got != uri {
				t.Errorf("scaled: scanned %q\nwant    %q", got, uri)
			}
		})
	}
}

// The lines of the terminal, drawn as a terminal does, are the same code.
func TestTerminal_ScannedEqualsURI(t *testing.T) {
	zbar := tool(t, "zbarimg")
	uri := totp.URI("Ostiary", "alice@example.com", totp.NewSecret())
	text, err := totp.Terminal(uri)
	if err != nil {
		t.Fatal(err)
	}
	const cell = 4
	var img *image.Gray
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line[strings.Index(line, "m")+1:], "\x1b[0m")
		cells := []rune(line)
		if img == nil {
			img = image.NewGray(image.Rect(0, 0, cell*len(cells), 2*cell*len(lines)))
		}
		for x, c := range cells {
			for dy := range 2 * cell {
				dark := c == '█' || c == '▀' && dy < cell || c == '▄' && dy >= cell
				for dx := range cell {
					if !dark {
						img.SetGray(cell*x+dx, 2*cell*i+dy, color.Gray{Y: 255})
					}
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "terminal.png")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := scan(t, zbar, path); got != uri {
		t.Errorf("scanned %q\nwant    %q", got, uri)
	}
}

// The code of oathtool for the secret as the QR code spells it is the server's code of that time.
func TestMatch_Oathtool(t *testing.T) {
	oathtool := tool(t, "oathtool")
	for range 5 {
		secret := totp.NewSecret()
		uri := totp.URI("Ostiary", "alice@example.com", secret)
		_, spelled, _ := strings.Cut(uri, "secret=")
		spelled, _, _ = strings.Cut(spelled, "&")
		if back, err := base32.StdEncoding.DecodeString(spelled); err != nil || !bytes.Equal(back, secret) {
			t.Fatalf("the secret %q: %v", spelled, err)
		}
		for _, at := range []time.Time{time.Unix(0, 0), time.Unix(59, 0), time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC), time.Unix(20000000000, 0)} {
			for off := int64(-3); off <= 3; off++ {
				if at.Unix() < 90 && off < 0 {
					continue
				}
				then := at.Add(time.Duration(off) * totp.Period).UTC()
				code := strings.TrimSpace(run(t, "", oathtool, "--totp", "-b", "--now", then.Format("2006-01-02 15:04:05 UTC"), spelled))
				step, ok := totp.Match(secret, code, at, totp.MaxSkew)
				if want := -1 <= off && off <= 1; ok != want || ok && step != totp.Step(then) {
					t.Errorf("%s, the code %s of %d s off: step %d, %v", at.UTC(), code, 30*off, step, ok)
				}
			}
		}
		before := time.Now()
		code := strings.TrimSpace(run(t, "", oathtool, "--totp", "-b", spelled)) // by its own clock
		if step, ok := totp.Match(secret, code, before, totp.MaxSkew); !ok || step < totp.Step(before) {
			t.Errorf("the present code %s: step %d, %v", code, step, ok)
		}
	}
}
