package totp

import (
	"encoding/base32"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// names are what a person or an operator may be called, or call themselves.
var names = []string{
	"alice@example.com", "Ostiary", "", "a b", "a+b", "a:b", ":", "&issuer=Evil", "?secret=AAAA", "#", "/../..", "%", "%3A", "%00", "\x00",
	`:&?%<svg onload>`, `"><script>alert(1)</script>`, "' onload='x", "a\r\nb", "\r\n\r\nSet-Cookie: a=b", "\x1b[31m", "🔑 emoji 👩‍🚀",
	"Ünïcödé", "日本語", "\u202eevil", "\u00a0", "\ufeff", "]]>", "<!--", "&amp;", "~-._", strings.Repeat("é", 120),
}

// read is how a careful authenticator reads a key URI.
func read(t testing.TB, uri string) (label string, query url.Values) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		t.Fatalf("%q: %+v", uri, u)
	}
	query, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("%q: %v", uri, err)
	}
	return strings.TrimPrefix(u.Path, "/"), query
}

func checkURI(t testing.TB, issuer, account string, secret []byte) {
	t.Helper()
	uri := URI(issuer, account, secret)
	label, query := read(t, uri)
	want := map[string]string{
		"secret": strings.TrimRight(base32.StdEncoding.EncodeToString(secret), "="), "algorithm": "SHA1", "digits": "6", "period": "30",
	}
	wantLabel := account
	if issuer != "" {
		want["issuer"] = issuer
		wantLabel = issuer + ":" + account
	}
	if label != wantLabel {
		t.Errorf("%q: the label is read as %q, want %q", uri, label, wantLabel)
	}
	if len(query) != len(want) {
		t.Errorf("%q: the parameters are %v", uri, query)
	}
	for name, value := range want {
		if len(query[name]) != 1 || query.Get(name) != value {
			t.Errorf("%q: %s is read as %q, want %q", uri, name, query[name], value)
		}
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || strings.IndexByte(`"'<>\^{|}+#;`+"`", c) >= 0 {
			t.Errorf("%q: holds %q", uri, c)
		}
	}
	if strings.Count(uri, "?") != 1 || strings.Count(uri, "&") != len(want)-1 {
		t.Errorf("%q: a name adds a parameter", uri)
	}
}

func TestURI(t *testing.T) {
	const want = "otpauth://totp/Ostiary:alice%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" +
		"&issuer=Ostiary&algorithm=SHA1&digits=6&period=30"
	if got := URI("Ostiary", "alice@example.com", vectorSecret); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := URI("A b", "c", nil); !strings.HasPrefix(got, "otpauth://totp/A%20b:c?secret=&issuer=A%20b&") {
		t.Errorf("a space: %s", got)
	}
	if label, _ := read(t, URI("", "a\xffb", nil)); label != "a\uFFFDb" {
		t.Errorf("invalid UTF-8: %q", label)
	}
}

func TestThreat22_URIInjection(t *testing.T) {
	for _, issuer := range names {
		for _, account := range names {
			checkURI(t, issuer, account, vectorSecret)
		}
	}
}

func FuzzURI(f *testing.F) {
	for _, name := range names {
		f.Add("Ostiary", name, vectorSecret)
		f.Add(name, "alice", []byte{})
	}
	f.Fuzz(func(t *testing.T, issuer, account string, secret []byte) {
		checkURI(t, strings.ToValidUTF8(issuer, "?"), strings.ToValidUTF8(account, "?"), secret)
		uri := URI(issuer, account, secret)
		svg, err := SVG(uri)
		if (err != nil) != (len(uri) > 2953) {
			t.Fatalf("%d bytes: %v", len(uri), err)
		}
		if err == nil {
			checkSVG(t, svg)
		}
	})
}

var (
	svgForm = regexp.MustCompile(`^<svg xmlns="http://www\.w3\.org/2000/svg" width="\d+" height="\d+" viewBox="0 0 \d+ \d+" shape-rendering="crispEdges">` +
		`<path fill="#fff" d="M0 0h\d+v\d+H0z"/><path stroke="#000" d="[Mmh0-9 .]+"/></svg>$`)
	strokeForm = regexp.MustCompile(`([Mm])(\d+) (\d+)(?:\.5)?h(\d+)|h(\d+)`)
)

func checkSVG(t testing.TB, svg string) {
	t.Helper()
	if !svgForm.MatchString(svg) {
		t.Fatalf("another form: %s", svg)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local != "svg" && e.Name.Local != "path" {
			t.Fatalf("an element %s", e.Name.Local)
		}
	}
}

func TestThreat22_SVGInjection(t *testing.T) {
	for _, name := range names {
		svg, err := SVG(URI(name, name, vectorSecret))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		checkSVG(t, svg)
		raw, err := SVG(name) // even of a text that URI did not make
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		checkSVG(t, raw)
	}
}

// modules reads the dark modules of an SVG back, with its quiet zone.
func modules(t *testing.T, svg string) [][]bool {
	t.Helper()
	side, err := strconv.Atoi(regexp.MustCompile(`viewBox="0 0 (\d+) `).FindStringSubmatch(svg)[1])
	if err != nil {
		t.Fatal(err)
	}
	grid := make([][]bool, side)
	for y := range grid {
		grid[y] = make([]bool, side)
	}
	x, y := 0, 0
	_, d, _ := strings.Cut(svg, `stroke="#000" d="`)
	for _, m := range strokeForm.FindAllStringSubmatch(d, -1) {
		dx, _ := strconv.Atoi(m[2])
		if m[1] == "M" {
			x = dx
			y, _ = strconv.Atoi(m[3])
		} else {
			x += dx
		}
		run, _ := strconv.Atoi(m[4])
		for range run {
			grid[y][x] = true
			x++
		}
	}
	return grid
}

func TestSVG_Modules(t *testing.T) {
	uri := URI("Ostiary", "alice@example.com", vectorSecret)
	svg, err := SVG(uri)
	if err != nil {
		t.Fatal(err)
	}
	code, err := encode(uri)
	if err != nil {
		t.Fatal(err)
	}
	grid := modules(t, svg)
	if len(grid) != code.Size+8 {
		t.Fatalf("%d modules wide, of %d", len(grid), code.Size)
	}
	for y := range grid {
		for x := range grid {
			if grid[y][x] != code.Black(x-4, y-4) {
				t.Fatalf("module %d, %d", x, y)
			}
		}
	}
	if len(svg) > 4096 {
		t.Errorf("%d bytes", len(svg))
	}
}

func TestTerminal_Modules(t *testing.T) {
	uri := URI("Ostiary", "alice@example.com", vectorSecret)
	svg, err := SVG(uri)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Terminal(uri)
	if err != nil {
		t.Fatal(err)
	}
	grid := modules(t, svg)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != (len(grid)+1)/2 {
		t.Fatalf("%d lines for %d modules", len(lines), len(grid))
	}
	at := func(x, y int) bool { return y < len(grid) && grid[y][x] }
	for i, line := range lines {
		line, ok := strings.CutPrefix(line, "\x1b[38;5;16;48;5;231m")
		line, ok2 := strings.CutSuffix(line, "\x1b[0m")
		cells := []rune(line)
		if !ok || !ok2 || len(cells) != len(grid) {
			t.Fatalf("line %d: %q", i, line)
		}
		for x, c := range cells {
			top, bottom := c == '█' || c == '▀', c == '█' || c == '▄'
			if top != at(x, 2*i) || bottom != at(x, 2*i+1) || !strings.ContainsRune("█▀▄ ", c) {
				t.Fatalf("line %d, column %d: %q", i, x, c)
			}
		}
	}
}

func TestQR_TooLong(t *testing.T) {
	for size, fits := range map[int]bool{2953: true, 2954: false, 1 << 20: false} {
		uri := strings.Repeat("a", size)
		if _, err := SVG(uri); (err == nil) != fits {
			t.Errorf("SVG of %d bytes: %v", size, err)
		}
		if _, err := Terminal(uri); (err == nil) != fits {
			t.Errorf("Terminal of %d bytes: %v", size, err)
		}
	}
	// The longest names there are: an issuer of 64 characters outside ASCII, an address of 254 octets.
	if _, err := SVG(URI(strings.Repeat("語", 64), strings.Repeat("é", 127), NewSecret())); err != nil {
		t.Error(err)
	}
}
