package openapi_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/openapi"
	"github.com/ostiary/ostiary/internal/seal"
	"github.com/ostiary/ostiary/internal/throttle"
)

// unprovoked are the answers that are described and that no request of a test can get.
var unprovoked = map[string]string{
	"GET /ostiary/openapi.json 500": "the document is of the program itself; only a panic could keep it from being made",
}

func (h *house) description(t *testing.T, prefix string) *description {
	t.Helper()
	a := h.ask(t, request{method: "GET", path: prefix + openapi.Path})
	if a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return read(t, a.body)
}

// operations are all that are described, as "GET /ostiary/whoami".
func (d *description) operations() (list []string) {
	for path, item := range d.root["paths"].(object) {
		for method := range item.(object) {
			if method != "parameters" && method != "servers" {
				list = append(list, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(list)
	return list
}

// pointer is where an operation is described.
func pointer(operation string) string {
	method, path, _ := strings.Cut(operation, " ")
	return "/paths/" + escape(path) + "/" + strings.ToLower(method)
}

// tour sends requests, holds requests and answers against the description, and keeps
// which of the answers that are described were seen.
type tour struct {
	*description
	seen map[string]bool
}

func (tour *tour) visit(t *testing.T, h *house, list ...exchange) {
	t.Helper()
	for _, e := range list {
		a := h.ask(t, e.request)
		what := fmt.Sprintf("%s %s %.60q %.90q", e.request.method, e.request.path, e.request.body, e.request.headers)
		if a.StatusCode != e.status {
			t.Errorf("%s: %d %s, want %d", what, a.StatusCode, a.body, e.status)
			continue
		}
		tour.seen[fmt.Sprintf("%s %d", e.operation, e.status)] = true
		for _, err := range tour.answers(t, pointer(e.operation), a) {
			t.Errorf("%s: %d: %v", what, a.StatusCode, err)
		}
		if e.status < 300 {
			for _, err := range tour.asks(t, pointer(e.operation), e.request) {
				t.Errorf("%s: the request is not as described: %v", what, err)
			}
		}
	}
}

// Every answer that is described is got from a real server, and is as described, to the
// last member and header.
func TestDescription_HoldsForRealAnswers(t *testing.T) {
	h := open(t)
	c := newCast(t, h)
	tour := &tour{h.description(t, ""), map[string]bool{}}
	faults, verdicts := c.faults(t), c.verdicts(t)
	tour.visit(t, h, c.good(t)...)
	tour.visit(t, h, c.bad(t, tour.description)...)
	strict := throttle.Policy{Free: 1, First: time.Hour, Max: time.Hour, Decay: time.Hour}
	tour.visit(t, h.beside(t, func(o *auth.Options) {
		o.Budgets = &auth.Budgets{Account: strict, Known: strict, Factor: strict}
	}), c.guesses(t)...)
	// Such a server can't open what is sealed in the store.
	foreign := h.beside(t, func(o *auth.Options) { o.Master = seal.New() })
	tour.visit(t, foreign, of(500, faults)...)
	tour.visit(t, foreign, of(503, verdicts[1:])...)
	h.store.Close()
	tour.visit(t, h.beside(t, func(*auth.Options) {}), of(503, append(faults, verdicts...))...)
	tour.complete(t)
}

// complete tells which answers were described and not seen.
func (tour *tour) complete(t *testing.T) {
	t.Helper()
	described := map[string]bool{}
	for _, operation := range tour.operations() {
		for status := range tour.object(t, pointer(operation)+"/responses") {
			described[operation+" "+status] = true
		}
	}
	for _, what := range slices.Sorted(maps.Keys(described)) {
		if _, known := unprovoked[what]; !tour.seen[what] && !known {
			t.Errorf("%s is described, and no exchange shows it", what)
		}
	}
	for what := range unprovoked {
		if !described[what] || tour.seen[what] {
			t.Errorf("%s is listed as not to be provoked", what)
		}
	}
}
