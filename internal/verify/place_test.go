package verify

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// mountsOf reads "host/prefix=realm …".
func mountsOf(text string) (mounts []*auth.Mount) {
	for word := range strings.FieldsSeq(text) {
		where, realm, _ := strings.Cut(word, "=")
		host, prefix, found := strings.Cut(where, "/")
		if found && prefix != "" {
			prefix = "/" + prefix
		}
		mounts = append(mounts, &auth.Mount{Host: host, Prefix: prefix, Realm: realm, RealmID: uuid.NewSHA1(uuid.Nil, []byte(realm))})
	}
	return mounts
}

func TestPlaces_OneRealmEach(t *testing.T) {
	for mounts, want := range map[string]string{
		"":                   "",
		"/=a /=a":            "/=a",
		"/x=a":               "/=a /x=a",
		"/x=a /y=a":          "/=a /x=a /y=a",
		"/x=a /y=b":          "/x=a /y=b",
		"/=a /x=b":           "/=a /x=b",
		"h/=a i/=b":          "h/=a i/=b",
		"h/x=a i/=b":         "h/=a h/x=a i/=b",
		"h/x=a h/y=b i/z=b":  "h/x=a h/y=b i/=b i/z=b",
		"/=a h/x=b":          "/=a h/x=b",           // the root of h is that of any host: realm a signs in there
		"/x=a h/y=a":         "/=a /x=a h/=a h/y=a", //
		"/x=a h/y=b":         "/x=a h/y=b",          // a root of any host would answer on h for realm a
		"/x=a h/y=b i/=b":    "/x=a h/y=b i/=b",     //
		"/x=a h/=b i/y=a":    "/=a /x=a h/=b i/=a i/y=a",
		"/x=a /y=b h/z=a":    "/x=a /y=b h/z=a",
		"/x=a h/x=b h/=b":    "/=a /x=a h/=b h/x=b",
		"/a/b=a /a/b=a /a=b": "/a=b /a/b=a",
	} {
		places, err := Places(mountsOf(mounts))
		var got []string
		var routes []web.Route
		for _, p := range places {
			prefix := p.Prefix
			if prefix == "" {
				prefix = "/"
			}
			got = append(got, p.Host+prefix+"="+p.Realm)
			routes = append(routes, Routes(nil, p.Host, p.Prefix, p.Realm, p.RealmID)...)
		}
		if text := strings.Join(got, " "); text != want || err != nil {
			t.Errorf("%s: %s, want %s: %v", mounts, text, want, err)
		}
		if _, err := web.NewMux(append(routes, HealthRoutes(nil)...)); err != nil {
			t.Errorf("%s: %v", mounts, err)
		}
	}
	for _, mounts := range []string{"/=a /=b", "/x=a /x=b", "h/=a h/=b", "/=a h/x=a h/x=b"} {
		if places, err := Places(mountsOf(mounts)); err == nil || !strings.Contains(err.Error(), `"a" and "b"`) {
			t.Errorf("%s: %v %v", mounts, places, err)
		}
	}
}

func TestRoutes_RealmOfTheHost(t *testing.T) {
	h := build(t)
	h.account(t, "one", "ada")
	h.account(t, "two", "ada")
	for _, realm := range []string{"one", "two"} {
		for d := range rules {
			g := h.login(t, realm+"/"+string(d), "ada")
			headers := []string{"Authorization: Bearer " + h.token(t, g), "X-CSRF-Token: " + csrfOf(g)}
			for host, asked := range map[string]string{"any.example.com": "one", hostTwo: "two", "TWO.example.com.:443": "two"} {
				what := fmt.Sprintf("a token of %s/%s at %s", realm, d, host)
				r := h.ask(t, "GET", "/ostiary/verify", "", append(headers, "Host: "+host)...)
				if asked == realm && r.StatusCode != 200 {
					t.Errorf("%s: %d %s", what, r.StatusCode, r.body)
				}
				if asked != realm {
					r.refused(t, what, fmt.Sprintf(`Bearer realm="%s", error="invalid_token"`, asked))
				}
			}
			// What a proxy or a client says of the host in other ways counts for nothing.
			r := h.ask(t, "GET", "/ostiary/verify", "", append(headers, "Host: any.example.com", "X-Forwarded-Host: "+hostTwo, "Forwarded: host="+hostTwo)...)
			if (r.StatusCode == http.StatusOK) != (realm == "one") {
				t.Errorf("X-Forwarded-Host with a token of %s: %d", realm, r.StatusCode)
			}
		}
	}
}
