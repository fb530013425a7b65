// Package archtest holds the rules of the house: who may import whom, and what no
// file may contain. A package that is new is given its place in the tables here.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ostiary/ostiary"

// Layers, from the outside in. Imports point down this list, never up.
const (
	layerCmd     = "cmd"     // main: wiring, and the one list of dialects
	layerTest    = "test"    // imported by tests alone
	layerSurface = "surface" // what answers requests; surfaces do not know each other
	layerDialect = "dialect" // what a dialect is
	layerWeb     = "web"     // the one generic request function
	layerClient  = "client"  // what asks other servers
	layerStore   = "store"   // SQL
	layerConfig  = "config"  // the settings
	layerAuth    = "auth"    // the core
	layerLeaf    = "leaf"    // knows nothing of Ostiary but other leaves
	layerPublic  = "public"  // for other modules to import
)

// places are the packages below the module's path; the longest that matches counts.
var places = map[string]string{
	"cmd":                          layerCmd,
	"internal/archtest":            layerTest,
	"internal/attack":              layerTest,
	"internal/rehearsal":           layerTest,
	"internal/peertest":            layerTest,
	"internal/deploytest":          layerTest,
	"internal/pgtest":              layerTest,
	"internal/processtest":         layerTest,
	"internal/proxytest":           layerTest,
	"internal/store/storetest":     layerTest,
	"internal/dialect/dialecttest": layerTest,
	"internal/e2e":                 layerTest,
	"internal/fault":               layerTest,
	"internal/dialect/cloudio":     layerSurface,
	"internal/dialect/declared":    layerSurface,
	"internal/dialect/mikrocloud":  layerSurface,
	"internal/dialect/nomic":       layerSurface,
	"internal/dialect/senmo":       layerSurface,
	"internal/verify":              layerSurface,
	"internal/openapi":             layerSurface,
	"internal/acme":                layerSurface,
	"internal/acme/acmetest":       layerTest,
	"internal/dialect":             layerDialect,
	"internal/web":                 layerWeb,
	"internal/web/webtest":         layerTest,
	"internal/shadow":              layerSurface,
	"internal/store":               layerStore,
	"internal/inflight":            layerStore,
	"internal/commandline":         layerLeaf,
	"internal/config":              layerConfig,
	"internal/legacy":              layerClient,
	"internal/legacy/legacytest":   layerTest,
	"internal/writeback":           layerClient,
	"internal/auth":                layerAuth,
	"internal/argon2":              layerLeaf,
	"internal/audit":               layerLeaf,
	"internal/backup":              layerLeaf,
	"internal/disk":                layerLeaf,
	"internal/keyring":             layerLeaf,
	"internal/parity":              layerLeaf,
	"internal/pattern":             layerLeaf,
	"internal/password":            layerLeaf,
	"internal/recent":              layerLeaf,
	"internal/seal":                layerLeaf,
	"internal/strictjson":          layerLeaf,
	"internal/throttle":            layerLeaf,
	"internal/token":               layerLeaf,
	"internal/totp":                layerLeaf,
	"internal/trace":               layerLeaf,
	"internal/unmap":               layerLeaf,
	"internal/trace/otlp":          layerSurface,
	"internal/usage":               layerSurface,
	"internal/metrics":             layerSurface,
	"ostiaryauth":                  layerPublic,
}

// mayImport are the layers that a layer's packages may import, beside their own subpackages.
var mayImport = map[string][]string{
	layerCmd:     {layerSurface, layerDialect, layerWeb, layerClient, layerStore, layerConfig, layerAuth, layerLeaf},
	layerTest:    {layerTest, layerSurface, layerDialect, layerWeb, layerClient, layerStore, layerConfig, layerAuth, layerLeaf, layerPublic},
	layerSurface: {layerDialect, layerWeb, layerClient, layerAuth, layerLeaf},
	layerDialect: {layerWeb, layerClient, layerAuth, layerLeaf},
	layerWeb:     {layerAuth, layerLeaf},
	layerClient:  {layerAuth, layerLeaf},
	layerStore:   {layerAuth, layerLeaf},
	layerConfig:  {layerDialect, layerClient, layerAuth, layerLeaf},
	layerAuth:    {layerLeaf},
	layerLeaf:    {layerLeaf},
	layerPublic:  {},
}

// owners are the places that may import a package from outside. A package of another
// module that is not here has no owner yet, and nobody may import it.
var owners = map[string][]string{
	"database/sql":                             {"internal/store"},
	"modernc.org/sqlite":                       {"internal/store"},
	"github.com/pressly/goose/v3":              {"internal/store"},
	"github.com/jackc/pgx/v5":                  {"internal/store", "internal/config", "internal/pgtest"},
	"github.com/redis/rueidis":                 {"internal/inflight"},
	"github.com/go-jose/go-jose/v4":            {"internal/token", "internal/keyring"},
	"filippo.io/age":                           {"internal/backup", "cmd"},
	"github.com/pelletier/go-toml/v2":          {"internal/config", "internal/dialect/declared"},
	"github.com/go-crypt":                      {"internal/password"},
	"golang.org/x/text/unicode/norm":           {"internal/password", "internal/auth"},
	"golang.org/x/text/secure/precis":          {"internal/auth"},
	"golang.org/x/text/unicode/bidi":           {"internal/auth"},
	"github.com/caddyserver/certmagic":         {"internal/acme"},
	"github.com/mholt/acmez/v3":                {"internal/acme"},
	"go.uber.org/zap":                          {"internal/acme"},
	"rsc.io/qr":                                {"internal/totp"},
	"golang.org/x/crypto":                      {"internal/argon2", "internal/password"},
	"golang.org/x/sys/cpu":                     {"internal/argon2"},
	"github.com/mmcloughlin/avo":               {"internal/argon2/internal"},
	"github.com/google/uuid":                   {""},
	"github.com/santhosh-tekuri/jsonschema/v6": {"internal/openapi"}, // in its tests alone
	"github.com/google/go-cmp":                 {"internal/dialect/dialecttest", "internal/store/storetest"},
	"pgregory.net/rapid":                       {"internal/dialect/dialecttest", "internal/store/storetest"},
	"github.com/rogpeppe/go-internal":          {"cmd", "internal/dialect/dialecttest"},
	"github.com/pires/go-proxyproto":           {"internal/web"},
	"github.com/prometheus":                    {"internal/metrics"},    // in its tests alone
	"go.opentelemetry.io/proto/otlp":           {"internal/trace/otlp"}, // in its tests alone
	"google.golang.org/protobuf":               {"internal/trace/otlp"},
	"go.yaml.in/yaml/v3":                       {"internal/deploytest"},
}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string // direct
	Deps       []string // all
}

// list asks the go command for packages of this module, or for more with -deps.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 2 {
		t.Fatalf("go list found %d packages", len(pkgs))
	}
	return pkgs
}

// below says whether path is dir or in it; everything is below "".
func below(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

// place is where a package of this module belongs: its key in places.
func place(importPath string) (key string, ours bool) {
	rest, ours := strings.CutPrefix(importPath, module+"/")
	for dir := range places {
		if below(rest, dir) && len(dir) > len(key) {
			key = dir
		}
	}
	return key, ours
}

func TestImports_PointOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		from, _ := place(p.ImportPath)
		if from == "" {
			t.Errorf("%s has no place: add it to the table of this test", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			to, ours := place(path)
			if ours && to != "" && to != from && !slices.Contains(mayImport[places[from]], places[to]) {
				t.Errorf("%s (%s) imports %s (%s)", p.ImportPath, places[from], path, places[to])
			}
		}
	}
}

// What a rule of direct imports lets through by way of a third package.
func TestImports_NothingByTheBackDoor(t *testing.T) {
	for _, p := range list(t, "./...") {
		from, _ := place(p.ImportPath)
		for _, path := range p.Deps {
			to, ours := place(path)
			if !ours || to == from {
				continue
			}
			switch layer := places[from]; {
			case layer == layerSurface && (places[to] == layerSurface || places[to] == layerStore || places[to] == layerConfig),
				layer == layerPublic,
				layer == layerAuth && places[to] != layerLeaf,
				layer != layerTest && places[to] == layerTest:
				t.Errorf("%s (%s) depends on %s (%s)", p.ImportPath, layer, path, places[to])
			}
		}
	}
}

func TestImports_CoreKnowsNoWire(t *testing.T) {
	for _, p := range list(t, "./...") {
		from, _ := place(p.ImportPath)
		if layer := places[from]; layer != layerAuth && layer != layerLeaf {
			continue
		}
		for _, path := range p.Imports {
			if below(path, "net/http") || below(path, "database/sql") {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}

func TestImports_OneOwnerEach(t *testing.T) {
	standard := map[string]bool{"C": true}
	pkgs := list(t, "-deps", "./...")
	for _, p := range pkgs {
		standard[p.ImportPath] = p.Standard
	}
	for _, p := range pkgs {
		rest, ours := strings.CutPrefix(p.ImportPath, module+"/")
		if !ours {
			continue
		}
		for _, path := range p.Imports {
			if below(path, module) {
				continue
			}
			owned, mine := ownedBy(path, rest)
			if owned && !mine {
				t.Errorf("%s imports %s, which another package owns", p.ImportPath, path)
			}
			if !owned && !standard[path] {
				t.Errorf("%s imports %s, which has no owner: name one in the table of this test", p.ImportPath, path)
			}
		}
	}
}

// ownedBy says whether an import has owners, and whether the package in dir is one.
func ownedBy(path, dir string) (owned, mine bool) {
	for prefix, places := range owners {
		if below(path, prefix) {
			owned = true
			mine = mine || slices.ContainsFunc(places, func(p string) bool { return below(dir, p) })
		}
	}
	return owned, mine
}
