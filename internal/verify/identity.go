package verify

import (
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// identityHeaders are spelled as http.Header keeps them, in the order of setIdentity. The
// last is a JWT of the others, for those behind who do not trust whoever sends headers.
var identityHeaders = [...]string{
	"Ostiary-Subject", "Ostiary-Account", "Ostiary-Username", "Ostiary-Email", "Ostiary-Org",
	"Ostiary-Roles", "Ostiary-Datasources", "Ostiary-Dialect", "Ostiary-Session",
	"Ostiary-Assertion",
}

// setIdentity sets all headers of an identity, the empty ones too: a proxy that copies
// them overwrites whatever its own client has sent under these names.
func setIdentity(h http.Header, who *auth.Identity, assertion string) {
	var room [2 * idLength]byte
	ids := string(appendID(appendID(room[:0], who.Account), who.Session))
	values := &[len(identityHeaders)]string{
		headerText(who.Subject), ids[:idLength], headerText(who.Username), headerText(who.Email), headerText(who.Org),
		headerList(who.Roles), headerList(who.Datasources), headerText(string(who.Dialect)), ids[idLength:],
		assertion,
	}
	for i, name := range identityHeaders {
		h[name] = values[i : i+1 : i+1]
	}
}

const idLength = 36 // of a UUID's text (RFC 9562 section 4)

func appendID(b []byte, id uuid.UUID) []byte {
	b = append(hex.AppendEncode(b, id[:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:])
}

// maxList is how long a list of names may get in a header: proxies have 4 KiB for the
// headers of an answer.
const maxList = 1024

// headerList joins names by commas, of which none is left inside a name. A list that gets
// too long ends after a name, and then in "+" and how many names are left out: no role or
// datasource has a "+" in its name.
func headerList(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return headerText(names[0])
	}
	list := make([]byte, 0, 256)
	end, left := 0, len(names) // of the longest list that has room for its end
	for i, name := range names {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, headerText(name)...)
		if len(list) > maxList {
			return cutList(list[:end], left)
		}
		if rest := len(names) - i - 1; len(list)+len(",+")+len(strconv.Itoa(rest)) <= maxList {
			end, left = len(list), rest
		}
	}
	return string(list)
}

func cutList(list []byte, left int) string {
	if len(list) > 0 {
		list = append(list, ',')
	}
	return string(strconv.AppendInt(append(list, '+'), int64(left), 10))
}

// headerText is a text as it stands in a header: non-ASCII bytes, "%", "," and controls
// are percent-encoded (RFC 3986 section 2.1), and so are spaces at the ends, which are no
// part of a field's value (RFC 9110 section 5.5). Decoding gives the text back.
func headerText(s string) string {
	n := 0
	for i := range len(s) {
		if escapes(s, i) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; escapes(s, i) {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

func escapes(s string, i int) bool {
	c := s[i]
	return c < ' ' || c > '~' || c == '%' || c == ',' || c == ' ' && (i == 0 || i == len(s)-1)
}
