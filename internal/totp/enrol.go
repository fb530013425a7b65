package totp

import (
	"encoding/base32"
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the width of the light border around a QR code, in modules (ISO/IEC 18004, section 9.1).
const quiet = 4

// URI is what an authenticator scans to enrol: the key URI format of Google Authenticator,
//
//	otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=ISSUER&algorithm=SHA1&digits=6&period=30
//
// Whatever the names hold, the URI has no character but those above and percent-encoded octets of UTF-8: nothing in a name
// ends the label, adds a parameter, or depends on the reader's character set. Without an issuer there is neither prefix nor parameter.
// An issuer should have no colon, as authenticators cut the label at the first one.
func URI(issuer, account string, secret []byte) string {
	label, parameter := escape(account), ""
	if issuer != "" {
		label = escape(issuer) + ":" + label
		parameter = "&issuer=" + escape(issuer)
	}
	return "otpauth://totp/" + label +
		"?secret=" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret) +
		parameter +
		fmt.Sprintf("&algorithm=SHA1&digits=%d&period=%d", Digits, int(Period.Seconds()))
}

// escape percent-encodes all but the unreserved characters of RFC 3986 section 2.3. A space is %20 and never "+",
// which is a plus sign in a path. Invalid UTF-8 is replaced (U+FFFD), as authenticators refuse to decode it.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(strings.ToValidUTF8(s, "\uFFFD")) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// encode makes the QR code at level L: read from a screen it needs no more, and fewer modules are larger ones.
func encode(uri string) (*qr.Code, error) {
	code, err := qr.Encode(uri, qr.L)
	if err != nil {
		return nil, fmt.Errorf("totp: %w", err)
	}
	return code, nil
}

// SVG draws the QR code of a URI as an image that stands alone: two paths of numbers, and nothing of the URI as text,
// so there is no script, reference or name in it to escape. It scales; its own size is 5 pixels a module.
// A URI of more than 2,953 bytes fits into no QR code and is an error.
func SVG(uri string) (string, error) {
	code, err := encode(uri)
	if err != nil {
		return "", err
	}
	side := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`,
		5*side, 5*side, side, side)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path stroke="#000" d="`, side, side)
	for y := range code.Size {
		pen := -1 // where the last run of this row ended
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			start := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if pen < 0 {
				fmt.Fprintf(&b, "M%d %d.5", start+quiet, y+quiet)
			} else {
				fmt.Fprintf(&b, "m%d 0", start-pen)
			}
			fmt.Fprintf(&b, "h%d", x-start)
			pen = x
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}

// Terminal draws the QR code of a URI for a terminal, two modules to a character. It sets its colours by
// escape sequences, black on white of the fixed palette, and so is the right way round on dark and light terminals.
// Each line ends in a newline.
func Terminal(uri string) (string, error) {
	code, err := encode(uri)
	if err != nil {
		return "", err
	}
	const colours, reset = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString(colours)
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := code.Black(x, y), code.Black(x, y+1); { // outside the code is light
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(reset + "\n")
	}
	return b.String(), nil
}
