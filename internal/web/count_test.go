package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// What a request comes to is told once, when it is answered; who knows best says it first.
func TestCount_Words(t *testing.T) {
	says := func(err error, words ...auth.Used) Endpoint[None, None] {
		return Endpoint[None, None]{Body: BodyUnread, Run: func(ctx context.Context, _ *Request, _ None) (None, error) {
			for _, w := range words {
				auth.Use(ctx, w)
			}
			return None{}, err
		}}
	}
	var mu sync.Mutex
	var got []string
	count := func(u auth.Used, cl *auth.Client) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprint(u, " ", cl.Address, " ", cl.UserAgent))
	}
	h := open(t, Options{},
		Route{Path: "/in", Handler: says(nil, auth.UsedAdopted, auth.UsedSignedIn), Count: count},
		Route{Path: "/wrong", Handler: says(&auth.Error{Code: auth.CodeBadCredentials}), Count: count},
		Route{Path: "/many", Handler: says(&auth.Error{Code: auth.CodeThrottled}, auth.UsedSignedIn), Count: count},
		Route{Path: "/broken", Handler: says(errors.New("broken"), auth.UsedSignedIn), Count: count},
		Route{Path: "/away", Handler: says(&auth.Error{Code: auth.CodeUnavailable}, auth.UsedBrownout), Count: count},
		Route{Path: "/nothing", Handler: says(nil), Count: count},
		Route{Path: "/own", Handler: says(nil, auth.UsedSignedIn)})
	for i, path := range []string{"/in", "/wrong", "/many", "/broken", "/away", "/nothing", "/own", "/elsewhere", "/in"} {
		h.ask(t, "GET", path, nil, fmt.Sprint("User-Agent: app/", i))
	}
	want := []string{"adopted 127.0.0.1 app/0", "refused 127.0.0.1 app/1", "refused 127.0.0.1 app/2", "failed 127.0.0.1 app/3", "brownout 127.0.0.1 app/4", "failed 127.0.0.1 app/5", "adopted 127.0.0.1 app/8"}
	until(t, "counts", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(slices.Sorted(slices.Values(want)), got) {
		t.Errorf("got %q", got)
	}
}
