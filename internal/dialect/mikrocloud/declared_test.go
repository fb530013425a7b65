package mikrocloud

import (
	"testing"

	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// What docs/dialects declares passes all that the dialect in Go does.
func TestDeclared(t *testing.T) {
	d, err := declared.Load("../../../docs/dialects/mikrocloud.toml")
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
		"Access":                      TestAccess,
	} {
		t.Run(name, test)
	}
}
