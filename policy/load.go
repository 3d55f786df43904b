package policy

import (
	"oncegate/fault"
	"oncegate/strictyaml"
)

// Bounds of what New reads.
const (
	maxRules  = 32 << 20 // bytes of one YAML file: some 50,000 grants
	maxGuards = 1 << 20  // bytes of one Cedar file
	maxDepth  = 64       // nesting, so that no file can exhaust a parser's stack
)

var ruleLimits = strictyaml.Limits{Bytes: maxRules, Depth: maxDepth, Values: 1 << 21}

// A placed value knows where it was written, for faults.
type placed[T any] struct {
	value T
	yaml  strictyaml.Value // what it was read from
}

// at is the place of the value, of its entry key, or of that entry's element i (i < 0: the entry).
func (p *placed[T]) at(key string, i int) fault.Place {
	return p.yaml.At(key).Index(i).Place()
}

// rules are the parsed contents of a set's YAML files.
type rules struct {
	grants      []placed[Grant]
	permissions []placed[Permission]
	shares      []placed[Share]
	suspensions []placed[Suspension]
	systems     []placed[System]
	bases       []placed[Basis]
}

// read adds one YAML file. Every element of every list is decoded on its own, so that one file gives all its faults.
func (r *rules) read(file File, f *fault.List) {
	for _, e := range strictyaml.Parse(file.Path, file.Data, ruleLimits, f).Root().Entries() {
		switch e.Key {
		case "grants":
			elements(e.Value, &r.grants)
		case "permissions":
			elements(e.Value, &r.permissions)
		case "shares":
			elements(e.Value, &r.shares)
		case "suspensions":
			elements(e.Value, &r.suspensions)
		case "systems":
			elements(e.Value, &r.systems)
		case "bases":
			elements(e.Value, &r.bases)
		default:
			e.Name.Fault("unknown key %q; a policy file has grants, permissions, shares, suspensions, systems and bases", fault.Clip(e.Key))
		}
	}
}

// elements decodes every element of a list. One with a fault is left out.
func elements[T any](list strictyaml.Value, into *[]placed[T]) {
	for _, element := range list.List() {
		p := placed[T]{yaml: element}
		if element.IsNull() {
			element.Fault("a mapping is expected here")
		} else if element.Decode(&p.value) {
			*into = append(*into, p)
		}
	}
}
