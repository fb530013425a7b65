package nomic

import (
	"testing"

	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// What docs/dialects declares passes all that the dialect in Go does.
func TestDeclared(t *testing.T) {
	d, err := declared.Load("../../../docs/dialects/nomic.toml")
	if err != nil {
		t.Fatal(err)
	}
	dialecttest.Alike(t, Dialect(), d.Dialect())
	defer func() { suite.Dialect = Dialect() }()
	suite.Dialect = d.Dialect()
	for name, test := range map[string]func(*testing.T){
		"Dialect":                     TestDialect,
		"Threat01_EnumerationByReply": TestThreat01_EnumerationByReply,
		"Renew_UntilTheSessionEnds":   TestRenew_UntilTheSessionEnds,
		"Renew_Refuses":               TestRenew_Refuses,
		"Subject_Alias":               TestSubject_Alias,
		"Token_Audience":              TestToken_Audience,
	} {
		t.Run(name, test)
	}
}
