package senmo

import (
	"testing"

	"github.com/ostiary/ostiary/internal/dialect/declared"
	"github.com/ostiary/ostiary/internal/dialect/dialecttest"
)

// What docs/dialects declares passes all that the dialect in Go does.
func TestDeclared(t *testing.T) {
	d, err := declared.Load("../../../docs/dialects/senmo.toml")
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
		"Threat37_RefreshReuse":       TestThreat37_RefreshReuse,
		"Refresh_RetryOff":            TestRefresh_RetryOff,
		"Refresh_Lifetimes":           TestRefresh_Lifetimes,
		"Access":                      TestAccess,
		"Access_RolesAndDatasources":  TestAccess_RolesAndDatasources,
	} {
		t.Run(name, test)
	}
}
