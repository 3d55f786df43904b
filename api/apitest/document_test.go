package apitest

import (
	"strings"
	"testing"

	"oncegate/api"
)

// The document as it is served: readable by tools that know OpenAPI 3.0 and no more of YAML than JSON has, with its server.
func TestServedDocument(t *testing.T) {
	served, err := api.Described("https://gate.example:8443/one#\"once")
	if err != nil {
		t.Fatal(err)
	}
	if err := Plain(served); err != nil {
		t.Error(err)
	}
	d, err := Read(served)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Servers) != 1 || d.Servers[0].URL != "https://gate.example:8443/one#\"once" {
		t.Errorf("servers: %+v", d.Servers)
	}
	for _, bad := range []string{"a: &x {b: 1}\nc: *x", "a: &x {b: 1}\nc:\n  <<: *x", "a: {$ref: '#/b', description: c}", "a:\n  $ref: '#/b'\n  description: c"} {
		if Plain([]byte(bad)) == nil {
			t.Errorf("%q is called plain", bad)
		}
	}
	for _, op := range d.contract.Operations() {
		described := d.Paths.Find(op.Path).GetOperation(op.Method)
		for _, status := range []int{400, 404, 429, 500, 503} {
			if r := described.Responses.Status(status); r == nil || r.Value.Content[api.ProblemType] == nil {
				t.Errorf("%s: status %d has no problem", op.ID, status)
			}
		}
	}
	if n := strings.Count(string(api.Document), "gateway.invalid"); n != 1 {
		t.Errorf("the document names %d addresses of servers", n)
	}
}
