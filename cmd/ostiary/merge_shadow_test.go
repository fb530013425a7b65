package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/legacy/legacytest"
)

// An account that two were merged into goes by names that are another person's at an old
// server: what that server says of them teaches it no password.
func TestMerge_NameOfAnotherElsewhere(t *testing.T) {
	const first, second = "the first password", "the second password"
	o := takeOver(t, `mode = "own"`, []legacytest.Account{
		{Username: "ada", Email: "another.ada@example.com", Password: oldPass}, {Username: "ada.l", Email: "ada@example.com", Password: second},
	}, "mikrocloud")
	hash := func(text string) string { return fmt.Sprintf("$6$saltsalt$%s", text) }
	must(t, jsonOf("username", "ada", "email", "ada@example.com", "source", "nomic", "password_hash", hash("OrqcY9u4NbrUKaA0Ge.pIqpXm1i8HG4SIAeaCEF/RoARu.OcY0bkFBcD66RYEvRFqqRzIq.klM9te6INM3sTy0"))+"\n"+
		jsonOf("username", "ada.l", "email", "ada@example.com", "source", "mikrocloud", "password_hash", hash("C.IkBN82tPCFKzSn3objtAJ4iJUTWi6Sll1nrtJtt/VUrEzCLNFLTxGg9Gm2w5aTNNdLKMd0zGT5Av/lnlzSi0"))+"\n",
		"account", "import", "--apart", "-", "--data", o.data)
	other := ""
	for line := range strings.Lines(must(t, "", "account", "list", "--json", "--data", o.data)) {
		var account struct{ ID, Username string }
		if err := json.Unmarshal([]byte(line), &account); err != nil {
			t.Fatal(err)
		}
		if account.Username == "ada.l" {
			other = account.ID
		}
	}
	must(t, "", "account", "merge", "ada", other, "--yes", "--data", o.data)
	signsIn := func(mode string, want map[string]int) {
		t.Helper()
		o.mode(mode)
		for password, status := range want {
			if res, text := o.signIn("mikrocloud", "ada", password); res.StatusCode != status {
				t.Errorf("%s, %q: %d %s", mode, password, res.StatusCode, text)
			}
		}
	}
	own := map[string]int{first: http.StatusOK, second: http.StatusOK, oldPass: http.StatusUnauthorized}
	signsIn(`mode = "own"`, own)
	signsIn(`mode = "shadow"`, map[string]int{oldPass: http.StatusOK}) // the old server answers, and to its own ada
	signsIn(`mode = "own"`, own)
}
