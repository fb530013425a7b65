package peertest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestOpenAPI_ValidForOthers has the description of each place checked by a validator of
// others, and one that was broken refused by it.
func TestOpenAPI_ValidForOthers(t *testing.T) {
	node := tool(t, "node")
	s := start(t, mounts)
	for _, prefix := range []string{"", "/es"} {
		resp, err := http.Get(s.url + prefix + "/ostiary/openapi.json")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s %v", resp.Status, text, err)
		}
		const operation = `"operationId":"whoami"`
		for what, document := range map[string]string{
			"as it is":         string(text),
			"a name twice":     strings.Replace(string(text), operation, `"operationId":"logout"`, 1),
			"a dead reference": strings.Replace(string(text), "#/components/schemas/Whoami", "#/components/schemas/Nobody", 1),
		} {
			var got struct {
				OpenAPI, Errors string
				Valid           bool
			}
			if err := json.Unmarshal([]byte(run(t, document, node, "../../test/peers/openapi.mjs")), &got); err != nil {
				t.Fatal(err)
			}
			if want := what == "as it is"; got.OpenAPI != "3.1.0" || got.Valid != want {
				t.Errorf("%q, %s: %+v", prefix, what, got)
			}
		}
	}
}
