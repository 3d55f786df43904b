package docs_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/api"
)

// TestPythonOperations holds the Python client's table of operations against the contract. Written by go test ./docs -update.
func TestPythonOperations(t *testing.T) {
	const file = "../clients/python/oncegate_client/operations.py"
	contract, err := api.NewContract()
	must(t, err)
	var b strings.Builder
	b.WriteString("\"\"\"The operations of the contract: method and path. Generated from the OpenAPI document by `go test ./docs -update`.\"\"\"\n\nOPERATIONS = {\n")
	for _, op := range contract.Operations() {
		if op.Signed && op.ID != "log.entries" { // bytes, not JSON
			fmt.Fprintf(&b, "    %q: (%q, %q),\n", op.ID, op.Method, op.Path)
		}
	}
	b.WriteString("}\n")
	if *update {
		must(t, os.WriteFile(file, []byte(b.String()), 0o644))
		return
	}
	if diff := cmp.Diff(b.String(), read(t, file)); diff != "" {
		t.Errorf("%s is not true any more; go test ./docs -update mends it (-is, +says):\n%s", file, diff)
	}
}
