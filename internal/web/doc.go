// Package web is what all surfaces share of HTTP, so that a handler shrinks to
// its meaning.
//
// A request passes Middleware (request id, true client address, deadline, one
// log line, panic → 500), the mux of NewMux (host, and exact path or tree, CORS), and an
// Endpoint, which checks in this order: the method, doubled credentials, the
// content type, the size, and the body; then that its source has not too many requests at once. Then it runs the endpoint's function,
// maps its error to the surface's own shape, and marshals the answer before it
// touches a header.
package web
