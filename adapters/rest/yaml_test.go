package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
)

const sample = `
base_url: https://10.1.2.3/api
tls: {ca: city-ca.pem, server_name: police.example}
auth: {header: X-Api-Key, secret: {env: POLICE_KEY}}
idle_timeout: 30s
calls:
  - path: /query
    body:
      who: {kind: "{holder_type}", code: "{holder_code}"}
      page: {from: 1, size: 50, exact: true, sort: null, ratio: 0.5}
      want: [all, "{number}"]
    answer:
      records: /data/list
      holders: /owners
      success: {path: /code, values: ["0"]}
      not_found:
        - mark: {path: /code, values: [E404]}
        - {status: 404, no_body: true}
    record:
      type: real-estate-certificate
      number: /no
      issuer: {name: {const: 某局}, code: {const: "11100000MB03271699"}}
      status: {const: valid}
      holders: {code: /owners/-/id, name: /owners/-/name, type: {const: "111"}}
      fields: {location: /site}
`

// TestYAML: a configuration as the house reads it has no fault, and its body goes out with the types it was written in.
func TestYAML(t *testing.T) {
	var cfg Config
	if err := yaml.NewDecoder(strings.NewReader(sample), yaml.DisallowUnknownField()).Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	if faults := cfg.Check(adaptertest.Catalogue()); len(faults) > 0 {
		t.Fatal(faults)
	}
	if cfg.IdleTimeout != 30*time.Second {
		t.Errorf("idle timeout %v", cfg.IdleTimeout)
	}
	r, _ := cfg.Calls[0].compile()
	_, body, _, err := r.write("https://x", mapping.Asked{HolderCode: `1"2`, HolderType: "111", Number: "n"})
	want := `{"page":{"exact":true,"from":1,"ratio":0.5,"size":50,"sort":null},"want":["all","n"],"who":{"code":"1\"2","kind":"111"}}`
	if err != nil || string(body) != want {
		t.Errorf("%s, %v; want %s", body, err, want)
	}
}
