package files

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/adapters/adaptertest"
)

// TestYAML: a configuration as the house reads it has no fault.
func TestYAML(t *testing.T) {
	const sample = `
dir: /srv/drops/tax
pattern: estate-*.csv
time: yyyyMMdd
marker: .ok
max_age: 48h
encoding: gb18030
separator: "\t"
record:
  type: real-estate-certificate
  number: no
  issuer: {name: {const: 某局}, code: {const: "11100000MB03271699"}}
  status: {const: valid}
  holders: {code: 证件号码, name: 姓名, type: {const: "111"}}
  fields: {location: 坐落}
`
	var cfg Config
	if err := yaml.NewDecoder(strings.NewReader(sample), yaml.DisallowUnknownField()).Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	if faults := cfg.Check(adaptertest.Catalogue()); len(faults) > 0 {
		t.Fatal(faults)
	}
	if cfg.MaxAge != 48*time.Hour || cfg.Separator != "\t" {
		t.Errorf("%+v", cfg)
	}
}
