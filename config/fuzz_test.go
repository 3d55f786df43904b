package config

import (
	"os"
	"strings"
	"testing"

	"oncegate/fault"
	"oncegate/strictyaml"
)

func FuzzReadDocument(f *testing.F) {
	for _, name := range []string{"oncegate.yaml", "catalogue.yaml", "matters.yaml", "policy/grants.yaml", "sources/market.yaml.example"} {
		text, err := os.ReadFile("../install/template/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{"", "a", "{", "- &a [*a]\n", "gateway: &a\n  <<: *a\n", "limits: {call: 3}\n", "departments: [~, {}, 1]\n", "systems: [{rate: .inf}]\n", "? {a: b}\n: c\n", "!!binary x", "gateway: !!map {}", "sources: [{sqldb: {queries: [{record: {number: {codes: 3}}}]}}]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c Config
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2 // the library counts both
		var faults fault.List
		strictyaml.Decode("f.yaml", []byte(text), limits, &c, &faults)
		for _, f := range faults {
			if at := f.Place; at.File != "f.yaml" || at.Line < 1 || at.Line > lines || at.Column < 1 || f.Reason == "" {
				t.Errorf("a fault without a place: %+v", f)
			}
		}
	})
}
