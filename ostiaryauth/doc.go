// Package ostiaryauth tells a server written with net/http who its requests speak for, whichever login API of Ostiary
// their clients have signed in with. It needs the standard library and nothing else.
//
//	verifier, err := ostiaryauth.New(ostiaryauth.Config{
//		URL:    "https://login.example.com",
//		Accept: []ostiaryauth.Credential{ostiaryauth.Senmo{Issuer: "urn:ostiary:default:senmo", Audience: "ostiary"}},
//	})
//	…
//	mux.Handle("/reports/", verifier.Handler(ostiaryauth.RequireRole("analyst")(reports)))
//
// A handler behind it finds the Identity by FromContext.
//
// # What is accepted
//
// What Config.Accept lists, and nothing else. Kinds of credentials exclude each other: a token is good as one of them
// at most, and id tokens, refresh tokens and tickets are good as none (RFC 8725 section 3.12).
//
//	kind         where                            typ      what must hold, beside signature and dates
//	Assertion    Ostiary-Assertion                at+jwt   iss urn:ostiary:<Realm>:<dialect>, aud Audience
//	Cloudio      Authorization, Bearer or bare    JWT      iss Issuer, csrf the X-CSRF-Token
//	Nomic        Authorization, Bearer            JWT      iss Issuer, aud Audience (or none, and none configured)
//	Senmo        Authorization, Bearer            JWT      iss Issuer, token_use access, client_id Audience
//	Mikrocloud   Authorization, Bearer            opaque   introspection says that it lives
//
// Two Authorization headers in a request are refused with 401, as /ostiary/verify does it (RFC 6750 would have 400 too).
// Cookies, queries and bodies are not looked at.
//
// # Which way to choose
//
// Behind a proxy that asks /ostiary/verify, accept an Assertion: one format for all dialects, with roles and
// datasources, verified offline. Nothing else of the request is believed then, neither Authorization nor any other header
// that begins with "Ostiary-": whoever gets round the proxy brings no assertion. The others are for servers that clients
// ask themselves. A server that is asked both ways has two Verifiers, for two listeners.
//
// What a credential says of its account differs:
//
//	                Subject, Session   Username, AuthTime   Org   Roles, Datasources   Account, AMR   Email
//	introspected    yes                yes                  yes   yes                  yes            yes
//	Assertion       yes                yes                  yes   yes                  yes            no
//	Senmo           yes                yes                  no    yes                  no             no
//	Cloudio         yes                no                   yes   no                   no             no
//	Nomic           yes                no                   no    no                   no             no
//
// So RequireRole behind Cloudio or Nomic lets nobody through unless Introspection.Always is set. A senmo token whose
// lists were too long for it says so in Omitted; it is introspected if there is an Introspection.
//
// # JWTs
//
// They are verified offline, by the JWK Set of Config.URL. The key alone says which algorithm it verifies: RS256 with
// 2048 to 8192 bits, ES256, or EdDSA with Ed25519. A header has alg, kid and typ, and nothing else; base64url has its
// one spelling; no name is there twice in JSON. A token is at most 16 KiB long, an assertion 256 KiB. exp and iat are
// required. exp has no leeway; iat and nbf have a Leeway of a minute.
//
// The set is kept for as long as its Cache-Control says, but 10 seconds at least and an hour at most, and 5 minutes if it
// does not say; it is renewed in the background when three quarters of that are over. A kid that is not in it has it
// asked for again, at most once in 10 seconds (KeysInterval). If Ostiary can't be asked, the last set is used for another
// hour (KeysKept), and then JWTs are answered with 503.
//
// So a rotation by schedule, which publishes a key before it signs, is not noticed. A key that is withdrawn at once
// (ostiary key rotate --now) is good here until the set runs out, or until the first token of the new key comes.
//
// A JWT is good until it expires, also when its session has ended before: with assertions that is five minutes at most,
// with the others the life of the token, which at cloudio is that of a session: 24 hours, unless the mount has an
// access_ttl. Introspection.Always shortens it to seconds.
//
// # Introspection
//
// Ostiary is asked by HTTP Basic, as a service account with the role ostiary:introspect. That a token lives is remembered
// for 2 seconds (Introspection.CacheFor, 5 at most) from when it was asked, under the token's SHA-256 and for 8,192
// tokens at most; that it does not is not remembered. Requests with the same token at the same time share one question,
// which is given up once none of them waits any more. 256 tokens are asked about at once; beyond that the answer is 503. A
// token whose session has ended is refused after CacheFor, or, if Ostiary is slow, 5 seconds, which is how long an answer
// is waited for; to that come the 2 seconds for which Ostiary remembers roles.
//
// If Ostiary does not answer, or refuses the service account, the answer is 503 with Retry-After and never 401, since the
// credential may be good.
package ostiaryauth
