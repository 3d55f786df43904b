package node

import (
	"strings"
	"testing"
)

func FuzzReadDocument(f *testing.F) {
	for _, name := range []string{"oncegate.yaml", "catalogue.yaml", "matters.yaml", "policy/grants.yaml", "sources/market.yaml.example"} {
		text, err := template.ReadFile("template/" + name)
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
		for _, fault := range readDocument("f.yaml", []byte(text), &c).faults {
			if fault.File != "f.yaml" || fault.Line < 1 || fault.Line > lines || fault.Column < 1 || fault.Reason == "" {
				t.Errorf("a fault without a place: %+v", fault)
			}
		}
	})
}
