package rest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"oncegate/adapters/mapping"
)

// The parameters that a template may name.
var parameters = []string{"holder_code", "holder_type", "number"}

func parameter(a mapping.Asked, name string) string {
	switch name {
	case "holder_code":
		return a.HolderCode
	case "holder_type":
		return a.HolderType
	}
	return a.Number
}

// A template is text with parameters: parts with even index are text, those with odd index name a parameter.
type template []string

// parse reads a template.
func parse(s string) (template, error) {
	t := template{""}
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			i = len(s)
		}
		t[len(t)-1] += s[:i]
		if s = s[i:]; s == "" {
			break
		}
		if len(s) > 1 && s[1] == s[0] { // {{ or }}
			t[len(t)-1] += s[:1]
			s = s[2:]
			continue
		}
		name, rest, ok := strings.Cut(s[1:], "}")
		if s[0] == '}' || !ok {
			return nil, errors.New("a brace stands alone; write {{ or }} for one that is meant")
		}
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("unknown parameter {%s}; known are {%s}", name, strings.Join(parameters, "}, {"))
		}
		t = append(t, name, "")
		s = rest
	}
	return t, nil
}

// fill writes the template with each value escaped.
func (t template) fill(a mapping.Asked, escape func(string) string) string {
	var out strings.Builder
	for i, part := range t {
		if i%2 == 1 {
			part = escape(parameter(a, part))
		}
		out.WriteString(part)
	}
	return out.String()
}

func (t template) uses(name string) bool {
	for i := 1; i < len(t); i += 2 {
		if t[i] == name {
			return true
		}
	}
	return false
}

func plain(s string) string { return s }
