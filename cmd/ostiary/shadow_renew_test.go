package main

import (
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/legacy/legacytest"
)

// What an old server gives for a token that is not known here is of nobody who is shut out here,
// and no way round a reset.
func TestShadow_RenewedThere(t *testing.T) {
	t.Parallel()
	o := takeOver(t, `mode = "shadow"`, []legacytest.Account{adaThere}, "senmo")
	o.signIn("senmo", "ada", oldPass)
	must(t, "newer pass phrase of ada", "account", "set-password", "ada", "--password-stdin", "--data", o.data)
	res, text := o.signIn("senmo", "ada", oldPass) // which the old server lets in alone
	if res.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	refresh := func() (*reply, string) {
		return o.post("/v1/auth/refreshtoken", jsonOf("refreshtoken", memberOf(t, text, "tokens", "refreshToken")), "")
	}
	if res, again := refresh(); res.StatusCode != http.StatusOK {
		t.Fatal(again)
	} else {
		text = again
	}
	must(t, "", "account", "disable", "ada", "--data", o.data)
	if res, again := refresh(); res.StatusCode != http.StatusBadRequest {
		t.Errorf("disabled: %d %s", res.StatusCode, again)
	}
	must(t, "", "account", "enable", "ada", "--data", o.data)
	o.mode(`mode = "own"`)
	if res, again := refresh(); res.StatusCode != http.StatusBadRequest {
		t.Errorf("the tokens of the password from before the reset are good: %d %s", res.StatusCode, again)
	}
}
