package interop_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The document that a running gateway serves passes Redocly's recommended rules without an error or a warning.
// ONCEGATE_TEST_REDOCLY is the program that npm ci installs from openapi/.
func TestOpenAPI(t *testing.T) {
	redocly := os.Getenv("ONCEGATE_TEST_REDOCLY")
	if redocly == "" {
		t.Skip("ONCEGATE_TEST_REDOCLY is not set: ./test.sh installs it")
	}
	g := serve(t)
	served, err := fetch(t.Context(), http.DefaultClient, g.base+"/openapi.yaml")
	must(t, err)
	path := filepath.Join(t.TempDir(), "openapi.yaml")
	must(t, os.WriteFile(path, served, 0o600))
	cmd := exec.CommandContext(t.Context(), redocly, "lint", "--config", "openapi/redocly.yaml", "--format", "json", "--max-problems", "1000", path)
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1")
	out, failed := cmd.Output()
	var report struct {
		Totals   struct{ Errors, Warnings int }
		Problems []struct {
			RuleID   string `json:"ruleId"`
			Message  string
			Location []struct{ Pointer string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("redocly lint: %v, %v: %s", failed, err, out)
	}
	for _, p := range report.Problems {
		t.Errorf("%s: %s %+v", p.RuleID, p.Message, p.Location)
	}
	if failed != nil || report.Totals.Errors+report.Totals.Warnings != len(report.Problems) {
		t.Errorf("redocly lint: %v, %+v", failed, report.Totals)
	}
}
