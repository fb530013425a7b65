package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// line is a line of an export, read by nothing of ours.
type line struct {
	Type, Realm          string
	Seq                  int64
	ID, At, Kind         string
	Account, Session     *string
	Dialect, Address     string
	RequestID            string `json:"request_id"`
	Actor, Token, Detail string
	Hash, Previous       string
	Key, Signature       string
}

func exported(t *testing.T, text string) (e line) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// sum is the hash of an entry, by docs/audit.md.
func (e line) sum() string {
	var b strings.Builder
	opt := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, s := range []string{"ostiary audit v1", e.Previous, e.Realm, fmt.Sprint(e.Seq), e.ID, e.At, e.Kind, opt(e.Account), opt(e.Session),
		e.Dialect, e.Address, e.RequestID, e.Actor, e.Token, e.Detail} {
		fmt.Fprintf(&b, "%d:%s,", len(s), s)
	}
	h := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(h[:])
}
