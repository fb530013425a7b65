package peertest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/processtest"
)

// program is a file that a page shows, with its name in the first line.
var program = regexp.MustCompile("(?ms)^```js\n// (\\w+\\.mjs)\n(.*?)^```$")

// TestDocs_ResourceServers makes the files that docs/resource-servers.md shows for Node,
// and runs the commands of all that it has to say after Go, as they are written.
func TestDocs_ResourceServers(t *testing.T) {
	tool(t, "curl")
	node := tool(t, "node")
	text, err := os.ReadFile("../../docs/resource-servers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, found := strings.Cut(string(text), "\n## Node with jose\n")
	if !found {
		t.Fatal("the page has no part for Node")
	}
	s := start(t, "")
	for _, args := range []string{
		"role create analyst", "datasource create sales", "role grant analyst --datasource sales",
		"account create --username grace --password-stdin --role analyst",
	} {
		run(t, "quiet otters juggle lanterns", s.binary, append(strings.Fields(args), "--data", s.data)...)
	}
	page = strings.NewReplacer("http://127.0.0.1:8080", s.url, "8081", freePort(t), "8082", freePort(t)).Replace(page)
	dir := t.TempDir()
	modules, err := filepath.Abs("../../test/peers/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	files := program.FindAllStringSubmatch(page, -1)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f[1]), []byte(f[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.follow(t, dir, page); n != 5 || len(files) != 2 {
		t.Errorf("%d pieces and %d programs", n, len(files))
	}
	// Its server can't tell good from bad while it can't have the keys.
	away := strings.ReplaceAll(files[0][2], s.url, "http://"+processtest.FreeAddress(t)) + `
const token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAA";
for (const who of [byAssertion, byAccessToken]) {
	const bad = await who({ headers: {} }).catch(statusOf);
	const unknown = await who({ headers: { "ostiary-assertion": token, authorization: "Bearer " + token.replace("FUzI", "SUzI") } }).catch(statusOf);
	console.log(bad, unknown);
}`
	if err := os.WriteFile(filepath.Join(dir, "away.mjs"), []byte(away), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "", node, filepath.Join(dir, "away.mjs")); out != "401 503\n401 503\n" {
		t.Errorf("without keys: %s", out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	address := processtest.FreeAddress(t)
	return address[strings.LastIndex(address, ":")+1:]
}
