package verify

import (
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
)

// TestThreat45_MovedAlias: once a subject is another account's, no token that was issued
// for it to the first one is good any more, so that no two people go by one subject. The
// session goes on under the new subject.
func TestThreat45_MovedAlias(t *testing.T) {
	h := build(t)
	other := h.node(t)
	ctx, realm, none := t.Context(), h.one.ID, auth.Client{}
	ada, bob := h.account(t, "one", "ada"), h.account(t, "one", "bob")
	gate := h.gate(t)
	alias := func(a auth.Account, subject string) {
		t.Helper()
		if err := h.svc.SetAlias(ctx, realm, a.ID, plain, subject, none); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(node *house, bearer, subject string) {
		t.Helper()
		r, assertion := node.verdict(t, bearer)
		if _, claims := node.opened(t, assertion); r.Header.Get("Ostiary-Subject") != subject || claims["sub"] != subject {
			t.Errorf("%s and %v, want %s", r.Header.Get("Ostiary-Subject"), claims["sub"], subject)
		}
	}
	alias(ada, "7")
	g := h.login(t, "one/plain", "ada")
	refresh, err := h.svc.RefreshToken(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	old := h.token(t, g)
	for _, node := range []*house{h, other} {
		shows(node, "Authorization: Bearer "+old, "7")
	}
	alias(ada, "")
	alias(bob, "7")
	shows(h, "Authorization: Bearer "+h.token(t, h.login(t, "one/plain", "bob")), "7")

	refused := func(node *house) {
		t.Helper()
		for _, door := range bearerDoors {
			method, path, _ := strings.Cut(door, " ")
			body := `{"current":"` + pass + `","new":"another horse battery"}`
			node.ask(t, method, path, body, "Authorization: Bearer "+old).refused(t, door, challengeInvalid)
		}
		node.call(t, gate, "introspect", old).is(t, "introspection", 200, dead)
		if _, err := node.svc.Renew(ctx, node.mounts["one/plain"], auth.Presented{Token: old}, none); auth.CodeOf(err) != auth.CodeTokenInvalid {
			t.Errorf("renewal: %v", err)
		}
	}
	refused(h)
	g, err = h.svc.Refresh(ctx, g.Mount, refresh, none)
	if err != nil {
		t.Fatal(err)
	}
	fresh := "Authorization: Bearer " + h.token(t, g)
	// The other node has seen the session a moment ago, when its subject was 7.
	for _, node := range []*house{h, other} {
		shows(node, fresh, "nada")
	}
	h.clock.add(viewTime)
	refused(other)
	shows(other, fresh, "nada")
}
