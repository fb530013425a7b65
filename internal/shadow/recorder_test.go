package shadow

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/ostiary/ostiary/internal/legacy"
)

// Nobody keeps an answer about a credential, whatever the old server says of it.
func TestPass_NoStore(t *testing.T) {
	for name, c := range map[string]struct{ theirs, want []string }{
		"nothing":     {nil, []string{"no-store"}},
		"kept":        {[]string{"public, max-age=60"}, []string{"no-store"}},
		"another's":   {[]string{`private="no-store"`}, []string{"no-store"}},
		"theirs":      {[]string{"no-cache, No-Store"}, []string{"no-cache, No-Store"}},
		"in two":      {[]string{"no-cache", "no-store"}, []string{"no-cache", "no-store"}},
		"in no order": {[]string{"no-store,max-age=0"}, []string{"no-store,max-age=0"}},
	} {
		w := httptest.NewRecorder()
		header := http.Header{}
		if c.theirs != nil {
			header["Cache-Control"] = c.theirs
		}
		pass(w, &legacy.Answer{Status: http.StatusOK, Header: header, Body: []byte("{}")})
		if got := w.Header()["Cache-Control"]; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
