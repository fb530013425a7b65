package declared

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

// Route is what a definition says of a route, for people.
type Route struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Flow   string `json:"flow"`
	From   string `json:"from"` // where what the flow needs is
	Status int    `json:"status"`
}

// Routes are the routes, as they stand in the file.
func (d *Definition) Routes() (all []Route) {
	for _, r := range d.routes {
		var from []string
		for name, f := range r.from {
			from = append(from, name+" in "+f.String())
		}
		slices.Sort(from)
		if r.when != nil {
			from = append(from, strings.TrimSpace("if "+r.when.String()+" "+r.is))
		}
		all = append(all, Route{r.method, r.path, string(r.flow), strings.Join(from, ", "), r.status})
	}
	return all
}

func (f *from) String() string {
	return strings.TrimSpace(cmp.Or(f.member, strings.Join(f.headers, " or ")+" "+f.scheme))
}

// Status is that of an error, where a route does not say otherwise.
func (d *Definition) Status(code auth.Code) int {
	return cmp.Or(d.errors[code].status, web.Status(code))
}
