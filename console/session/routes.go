package session

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"oncegate/fault"
	"oncegate/strictyaml"
)

//go:embed routes.yaml
var routesFile []byte

// Any, as a role of a route, is whoever is signed in.
const Any = "any"

// A Route is one row of the access matrix.
type Route struct {
	Route  string   `yaml:"route"` // method and path of net/http.ServeMux
	Public bool     `yaml:"public"`
	Roles  []string `yaml:"roles"`
	Fresh  bool     `yaml:"fresh"`
	Locked bool     `yaml:"locked"` // open to a session that is locked
}

// A Matrix says which role may open which route (role-based access control). It never changes.
type Matrix struct {
	routes map[string]Route
	mux    *http.ServeMux // finds the row of a request
}

// ReadMatrix reads the matrix that the program brings.
func ReadMatrix() (*Matrix, error) { return parseMatrix(routesFile) }

func parseMatrix(data []byte) (*Matrix, error) {
	var file struct {
		Routes []Route `yaml:"routes"`
	}
	var faults fault.List
	strictyaml.Decode("routes.yaml", data, strictyaml.Limits{Bytes: 1 << 20, Depth: 16, Values: 1 << 14}, &file, &faults)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	m := &Matrix{routes: map[string]Route{}, mux: http.NewServeMux()}
	for _, r := range file.Routes {
		switch {
		case m.routes[r.Route].Route != "" || !strings.Contains(r.Route, " /console/"):
			return nil, fmt.Errorf("routes.yaml: %q stands twice, or is none of the console's", r.Route)
		case r.Public == (len(r.Roles) > 0) || r.Public && r.Fresh:
			return nil, fmt.Errorf("routes.yaml: %q is either public or has roles", r.Route)
		case slices.ContainsFunc(r.Roles, func(role string) bool { return role != Any && !slices.Contains(Roles, role) }):
			return nil, fmt.Errorf("routes.yaml: %q names a role that does not exist", r.Route)
		}
		m.routes[r.Route] = r
		m.mux.Handle(r.Route, http.NotFoundHandler())
	}
	return m, nil
}

// Of returns the row of a request; false if no route matches.
func (m *Matrix) Of(r *http.Request) (Route, bool) {
	_, pattern := m.mux.Handler(r)
	row, ok := m.routes[pattern]
	return row, ok
}

// Routes are all rows, in no order.
func (m *Matrix) Routes() (all []Route) {
	for _, r := range m.routes {
		all = append(all, r)
	}
	return all
}

// Allow reports whether a role may open a route. "" is the role of nobody who is signed in.
func (m *Matrix) Allow(role, route string) bool {
	r, known := m.routes[route]
	return known && (r.Public || role != "" && (slices.Contains(r.Roles, role) || slices.Contains(r.Roles, Any)))
}

// allows reports whether one of a session's roles may open a row.
func (r Route) allows(s *Session) bool {
	return r.Public || s != nil && (slices.Contains(r.Roles, Any) || slices.ContainsFunc(r.Roles, s.Has))
}
