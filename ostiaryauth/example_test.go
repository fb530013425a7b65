package ostiaryauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ostiary/ostiary/ostiaryauth"
)

// A server that clients of senmo ask with their access tokens, verified offline.
func Example() {
	login := newLogin() // plays Ostiary, in these examples; yours is at "https://login.example.com"
	defer login.Close()

	verifier, err := ostiaryauth.New(ostiaryauth.Config{
		URL:    login.URL,
		Accept: []ostiaryauth.Credential{ostiaryauth.Senmo{Issuer: "urn:ostiary:default:senmo", Audience: "ostiary"}},
	})
	if err != nil {
		panic(err)
	}
	reports := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := ostiaryauth.FromContext(r.Context())
		fmt.Fprintf(w, "reports for %s", who.Username)
	})
	mux := http.NewServeMux()
	mux.Handle("/reports/", verifier.Handler(ostiaryauth.RequireRole("analyst")(reports)))
	mux.Handle("/payroll/", verifier.Handler(ostiaryauth.RequireDatasource("hr")(reports)))
	server := httptest.NewServer(mux)
	defer server.Close()

	token := login.senmo("ada", []string{"analyst"}, []string{"sales"})
	ask(server.URL+"/reports/", "Authorization", "Bearer "+token)
	ask(server.URL+"/payroll/", "Authorization", "Bearer "+token)
	ask(server.URL+"/reports/", "Authorization", "Bearer "+token[:len(token)-2])
	ask(server.URL+"/reports/", "", "")
	// Output:
	// 200 reports for ada
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"the account lacks a datasource that is needed here"}
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"the credential is not good"}
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"a credential is needed"}
}

// A server behind a proxy that asks /ostiary/verify. It believes the assertion, and no other header.
func ExampleAssertion() {
	login := newLogin()
	defer login.Close()

	verifier, err := ostiaryauth.New(ostiaryauth.Config{
		URL:    login.URL,
		Accept: []ostiaryauth.Credential{ostiaryauth.Assertion{Realm: "default", Audience: "urn:ostiary:default"}},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := ostiaryauth.FromContext(r.Context())
		fmt.Fprintf(w, "%s of %s, by %s; a plain header says %q", who.Username, who.Org, who.Dialect, r.Header.Get("Ostiary-Username"))
	})))
	defer server.Close()

	ask(server.URL, "Ostiary-Assertion", login.assertion("ada", "nomic"), "Ostiary-Username", "root")
	ask(server.URL, "Ostiary-Username", "root")
	// Output:
	// 200 ada of acme, by nomic; a plain header says ""
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"a credential is needed"}
}

// Opaque tokens are introspected, by a service account with the role ostiary:introspect.
func ExampleIntrospection() {
	login := newLogin()
	defer login.Close()

	verifier, err := ostiaryauth.New(ostiaryauth.Config{
		URL:           login.URL,
		Accept:        []ostiaryauth.Credential{ostiaryauth.Mikrocloud{}},
		Introspection: &ostiaryauth.Introspection{Name: "reports", Secret: "ostsvc_example"}, // take it from a file
	})
	if err != nil {
		panic(err)
	}
	if err := verifier.Ready(context.Background()); err != nil { // a wrong secret shows here
		panic(err)
	}
	server := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := ostiaryauth.FromContext(r.Context())
		fmt.Fprintf(w, "%s, with sales: %v", who.Email, who.HasDatasource("sales"))
	})))
	defer server.Close()

	token := login.mikrocloud("ada@example.com", []string{"sales"})
	ask(server.URL, "Authorization", "Bearer "+token)
	login.down()
	ask(server.URL, "Authorization", "Bearer "+login.mikrocloud("bob@example.com", nil)) // not in the cache
	// Output:
	// 200 ada@example.com, with sales: true
	// 503 {"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the credential can't be checked now"}
}

// A server that answers in a shape of its own.
func ExampleVerifier_Verify() {
	login := newLogin()
	defer login.Close()

	verifier, err := ostiaryauth.New(ostiaryauth.Config{
		URL:    login.URL,
		Accept: []ostiaryauth.Credential{ostiaryauth.Senmo{Issuer: "urn:ostiary:default:senmo", Audience: "ostiary"}},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := verifier.Verify(r)
		switch {
		case errors.Is(err, ostiaryauth.ErrUnavailable):
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer realm="reports"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, "sign in first")
		default:
			fmt.Fprint(w, "hello ", who.Username)
		}
	}))
	defer server.Close()

	ask(server.URL, "Authorization", "Bearer "+login.senmo("ada", nil, nil))
	ask(server.URL, "", "")
	// Output:
	// 200 hello ada
	// 401 sign in first
}
