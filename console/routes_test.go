package console

import (
	"slices"
	"strings"
	"testing"

	"oncegate/console/session"
)

// TestRoutesMatch holds the table of pages against the access matrix: every page has its row, and every row a page or a route of the Gate.
func TestRoutesMatch(t *testing.T) {
	d := atDesk(t)
	matrix, err := session.ReadMatrix()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{"GET /console/{file}": true}
	for _, r := range d.console.routes {
		ours[strings.TrimSuffix(r.pattern, "{$}")] = true
		if len(r.operations) == 0 && strings.HasPrefix(r.pattern, "POST ") && r.pattern != "POST /console/holder/check/{id}/invite" { // nothing is asked of who did not consent
			t.Errorf("%s is posted and calls nothing", r.pattern)
		}
		if len(r.operations) > 0 && strings.HasPrefix(r.pattern, "GET ") {
			t.Errorf("%s is read and makes a call: reload and Back would make it again", r.pattern)
		}
	}
	rows := map[string]bool{}
	for _, r := range matrix.Routes() {
		rows[r.Route] = true
		gate := r.Public || slices.ContainsFunc([]string{"sign-", "change-person", "unlock", "place"}, func(part string) bool { return strings.Contains(r.Route, "/console/"+part) })
		if !ours[r.Route] && !gate {
			t.Errorf("the matrix has %s, which is no page", r.Route)
		}
	}
	for pattern := range ours {
		if !rows[pattern] {
			t.Errorf("the page %s stands in no row of the matrix", pattern)
		}
	}
	for _, tab := range tabs {
		for _, role := range tab.roles {
			pattern := "GET " + tab.path
			if tab.post != "" {
				pattern = "POST " + tab.post
			}
			if !matrix.Allow(role, pattern) {
				t.Errorf("the menu shows %s to a %s, who may not open it", pattern, role)
			}
		}
	}
}

// TestClerkPagesAreForClerks walks the matrix: no other role opens a page of the window.
func TestClerkPagesAreForClerks(t *testing.T) {
	matrix, err := session.ReadMatrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range matrix.Routes() {
		if !strings.Contains(r.Route, "/console/window") && !strings.Contains(r.Route, "/console/due") {
			continue
		}
		for _, role := range append([]string{""}, session.Roles...) {
			if ok := matrix.Allow(role, r.Route); ok != (role == session.Clerk) {
				t.Errorf("%q at %s: %v", role, r.Route, ok)
			}
		}
	}
}
