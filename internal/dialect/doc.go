// Package dialect says what a login API is to the server: what it is called, what its
// clients expect unless the configuration says otherwise, which of its tokens are
// access credentials, and its routes.
//
// # How to add a fifth
//
// A dialect is a package below this one. Take nomic, the shortest, as the model:
//
//  1. The package comment says where the wire format comes from, lists the endpoints
//     in a table, and names what is odd about them. Who reads it knows what the
//     clients were told.
//  2. Unexported structs say what goes over the wire, their fields in the order in
//     which the original sends them. A field whose absence must be told from "" is a
//     pointer; null and absence are the same. Names count exactly, and what is not
//     documented is ignored.
//  3. A [web.Endpoint] for each route names its methods, what its body is, and a
//     function that calls the core once ([auth.Service.SignIn] for a login of one
//     step, BeginSignIn and CompleteSignIn for two, Renew, Refresh) and dresses the
//     [auth.Grant]. Methods, sizes, content types, decoding, doubled credentials,
//     Retry-After, no-store and CORS are the endpoint's work, not the dialect's.
//  4. One total function, a [web.Encoder], gives every [auth.Code] its status and body.
//     What is refused about a credential must look the same whatever the reason is:
//     bad_credentials says nothing of its Detail, and where the dialect has no step
//     for a second factor, factor_required and factor_invalid look like it.
//  5. If its tokens are JWTs, Rules.Accept says which of them open doors, and refuses
//     the bare form (Presented.Bare), which is cloudio's alone. A dialect whose tokens
//     are opaque refuses every JWT. Rules.Audience names the claim that holds the mount's
//     audience, if that is not aud, and Rules.Subject says what an account is called if
//     it has no alias.
//  6. Dialect returns all this, with the lifetimes and names that clients expect in
//     Defaults. It goes into the one list, in cmd/ostiary, and into the table of
//     places in internal/archtest.
//
// If two dialects share a path, one of them must be able to tell its requests by their
// headers alone: web.Route.Claims. No SQL, no hashing, no token logic, no clock: if a
// dialect needs some, the core lacks something.
//
// # What shows that it is right
//
// testdata/ holds exchanges, good and bad, as the original's documentation has them,
// with placeholders for what is random (dialecttest/golden.go tells the format).
// dialecttest.Run replays them against a real server and checks what every dialect must
// keep: that each code is mapped, each route has good and bad exchanges, and every rule
// for requests holds. dialecttest.Fuzz is the fuzz target of its decoders. The tests of
// dialecttest itself hold what must be true among dialects: add the new one to their
// list, so that its tokens are tried at the others' doors.
package dialect
