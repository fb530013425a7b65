package dialecttest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Fuzz is the fuzz target of a dialect's decoders. What can be read is passed on to a
// core whose store is gone, so that nothing costly is done: every request must be
// refused, in the dialect's shape, and never with a fault.
func Fuzz(f *testing.F, s Suite) {
	h := s.open(f, Options{})
	for i, route := range s.Routes {
		good := route.Good(f, h)
		f.Add(uint8(i), good.Header.Get("Authorization"), "", "application/json", []byte(good.Body))
		for _, body := range malformed {
			f.Add(uint8(i), "", good.Header.Get("Authorization"), "", []byte(body))
		}
	}
	f.Add(uint8(0), "Bearer "+Basic("a", "b"), "x y", "text/plain", []byte{0xff})
	if err := h.Store.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, route uint8, authorization, authentication, contentType string, body []byte) {
		path := s.Routes[int(route)%len(s.Routes)].Path
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		for name, value := range map[string]string{"Authorization": authorization, "Authentication": authentication, "Content-Type": contentType} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		w := httptest.NewRecorder()
		h.Handler.ServeHTTP(w, r)
		a := Answer{w.Code, w.Header(), w.Body.String()}
		if a.Status < 400 || a.Status == http.StatusInternalServerError {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if err := a.check(Request{Method: http.MethodPost}); err != nil {
			t.Errorf("%d %s: %v", a.Status, a.Body, err)
		}
		if err := s.Shape(a.Status, a.Body); err != nil {
			t.Errorf("%d: %v", a.Status, err)
		}
	})
}
