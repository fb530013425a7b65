package openapi_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/openapi"
)

// A start must not wait for a document that nobody may ask for.
func TestRoute_MakesNoDocument(t *testing.T) {
	if made := testing.AllocsPerRun(10, func() { openapi.Route("", "", nil) }); made > 20 {
		t.Errorf("a route takes %v allocations, as if the document were made with it", made)
	}
}
