package sqldb

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"oncegate/license"
)

// TestReadme: the configuration in the README is read strictly and has no fault.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "```yaml\n")
	snippet, _, ok := strings.Cut(text2, "```")
	if !ok {
		t.Fatal("no YAML in the README")
	}
	var house struct {
		SQL Config `yaml:"sqldb"`
	}
	if err := yaml.NewDecoder(strings.NewReader(snippet), yaml.DisallowUnknownField()).Decode(&house); err != nil {
		t.Fatal(err)
	}
	cat := &license.Catalogue{Types: []license.Type{{ID: "business-license"}}}
	if faults := house.SQL.Check(cat); len(faults) > 0 {
		t.Error(faults)
	}
}
