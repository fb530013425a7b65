package cloudio

import (
	"testing"

	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// What docs/dialects declares passes all that the dialect in Go does.
func TestDeclared(t *testing.T) {
	d, err := declared.Load("../../../docs/dialects/cloudio.toml")
	if err != nil {
		t.Fatal(err)
	}
	dialecttest.Alike(t, Dialect(), d.Dialect())
	defer func() { suite.Dialect = Dialect() }()
	suite.Dialect = d.Dialect()
	for name, test := range map[string]func(*testing.T){
		"Dialect":                     TestDialect,
		"Threat01_EnumerationByReply": TestThreat01_EnumerationByReply,
		"Login_TwoCredentials":        TestLogin_TwoCredentials,
		"Login_NoToken":               TestLogin_NoToken,
		"Access_CSRF":                 TestAccess_CSRF,
	} {
		t.Run(name, test)
	}
}
