package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"

	"oncegate/canonical"
)

// long is the length in bytes from which a body is looked through by tooMany before the validator sees it.
const long = 64 << 10

// checkSchema holds a body that checkJSON let pass against the operation's schema. Why a body does not fit is looked for only
// where one does not.
func (o *Operation) checkSchema(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value, canonical.Checked); err != nil {
		return NewProblem("malformed-json")
	}
	if len(body) > long {
		if p := tooMany(o.schema, value, nil); p != nil {
			return p
		}
	}
	if o.schema.VisitJSON(value, openapi3.FailFast()) == nil {
		return nil
	}
	return schemaProblem(flatten(o.schema.VisitJSON(value, every...), nil, nil))
}

// every has the validator report every fault, without quoting values.
var every = []openapi3.SchemaValidationOption{openapi3.MultiErrors(), openapi3.DisableSchemaErrorDetails()}

// tooMany finds an array with more items than it may have, or an object with many more members than are known. A long body of these
// would cost the validator seconds, which makes an error for each item and member; it is told of this one place alone.
func tooMany(s *openapi3.Schema, value any, at []string) *Problem {
	switch v := value.(type) {
	case map[string]any:
		if s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has && len(v) > len(s.Properties)+maxFaults {
			return NewProblem("unknown-field").Point(misfit{at, &openapi3.SchemaError{Value: v, Schema: s, SchemaField: "properties"}}.places()...)
		}
		for _, part := range s.AllOf {
			if p := tooMany(part.Value, v, at); p != nil {
				return p
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if p := tooMany(s.Properties[name].Value, v[name], append(slices.Clip(at), name)); p != nil {
				return p
			}
		}
	case []any:
		if s.MaxItems != nil && uint64(len(v)) > *s.MaxItems {
			return NewProblem("invalid-field").Point(misfit{at, &openapi3.SchemaError{Value: v, Schema: s, SchemaField: "maxItems"}}.places()...)
		}
		for i, item := range v {
			if s.Items == nil {
				break
			}
			if p := tooMany(s.Items.Value, item, append(slices.Clip(at), strconv.Itoa(i))); p != nil {
				return p
			}
		}
	}
	return nil
}

// schemaProblem turns the validator's errors into one problem. What is unknown goes before what is missing, and that before
// what has a wrong value, because a misspelt member is all three.
func schemaProblem(found []misfit) *Problem {
	code, rank := "invalid-field", 0
	var faults []Fault
	read := make(map[string]bool) // objects whose unknown members have been looked for
	for _, m := range found {
		switch {
		case m.err.SchemaField == "properties" && rank < 2:
			code, rank = "unknown-field", 2
		case m.err.SchemaField == "required" && rank < 1:
			code, rank = "missing-field", 1
		}
		if m.err.SchemaField == "properties" { // the validator reports an object once for each unknown member, and places finds all of them
			object := fmt.Sprintf("%p %q", m.err.Schema, m.at)
			if read[object] {
				continue
			}
			read[object] = true
		}
		faults = append(faults, m.places()...)
	}
	if own := found[0].code(); rank == 0 && !slices.ContainsFunc(found, func(m misfit) bool { return m.code() != own }) {
		code = own
	}
	return NewProblem(code).Point(faults...)
}

// A misfit is an error of the validator, and where it is.
type misfit struct {
	at  []string
	err *openapi3.SchemaError
}

// code is the code of a body that breaks only rules of this schema on which members stand together: the schema says it in
// x-problem.
func (m misfit) code() string {
	if own, ok := m.err.Schema.Extensions["x-problem"].(string); ok && isRule(m.err) {
		return own
	}
	return "invalid-field"
}

// isRule reports whether an error is about which members stand together.
func isRule(e *openapi3.SchemaError) bool {
	return e.SchemaField == "oneOf" || e.SchemaField == "allOf"
}

// flatten lists the errors in err, which is of a value at a place. The validator looks no further into an object that breaks a
// rule on which members stand together. Members that are wrong in themselves are reported instead of the rule.
func flatten(err error, at []string, found []misfit) []misfit {
	if many, ok := err.(openapi3.MultiError); ok {
		for _, e := range many {
			found = flatten(e, at, found)
		}
		return found
	}
	e, ok := errors.AsType[*openapi3.SchemaError](err)
	if !ok {
		return found
	}
	m := misfit{append(slices.Clip(at), e.JSONPointer()...), e}
	if isRule(e) {
		if more := m.members(); len(more) > 0 {
			return append(found, more...)
		}
	}
	return append(found, m)
}

// members are the errors of an object that breaks a rule, but for that rule.
func (m misfit) members() []misfit {
	bare := *m.err.Schema
	bare.OneOf, bare.AllOf = nil, nil
	found := flatten(bare.VisitJSON(m.err.Value, every...), m.at, nil)
	for _, part := range m.err.Schema.AllOf {
		if part.Ref != "" {
			found = flatten(part.Value.VisitJSON(m.err.Value, every...), m.at, found)
		}
	}
	return found
}

// places says where an error is. The validator reports an unknown member at its object, so that it is looked for here.
func (m misfit) places() []Fault {
	at, e := m.at, m.err
	object, ok := e.Value.(map[string]any)
	if e.SchemaField != "properties" || !ok {
		return []Fault{{Pointer: joinPointer(at), Reason: reason(e)}}
	}
	var faults []Fault
	for name := range object {
		if _, known := e.Schema.Properties[name]; !known {
			faults = append(faults, Fault{Pointer: joinPointer(append(slices.Clip(at), name)), Reason: reason(e)})
		}
	}
	return faults
}

// reason says what the contract expects, from the schema alone: the value is never repeated.
func reason(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "oneOf":
		return "is not just one of: " + titles(s.OneOf)
	case "allOf":
		return "is not: " + titles(s.AllOf)
	case "properties":
		return "is not known here"
	case "required":
		return "is missing"
	case "type", "nullable":
		return "is not of type " + strings.Join(s.Type.Slice(), " or ")
	case "enum":
		return fmt.Sprintf("is none of %v", s.Enum)
	case "pattern":
		return "is not of the form " + s.Pattern
	case "minLength":
		return fmt.Sprintf("has fewer than %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("has more than %d characters", *s.MaxLength)
	case "minItems":
		return fmt.Sprintf("has fewer than %d items", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("has more than %d items", *s.MaxItems)
	case "minProperties":
		return fmt.Sprintf("has fewer than %d members", s.MinProps)
	case "uniqueItems":
		return "names an item twice"
	case "minimum":
		return fmt.Sprintf("is below %d", int64(*s.Min))
	case "maximum":
		return fmt.Sprintf("is above %d", int64(*s.Max))
	default:
		return "is not as the contract says"
	}
}

// titles names the alternatives of a rule.
func titles(list openapi3.SchemaRefs) string {
	var names []string
	for _, part := range list {
		if part.Value.Title != "" {
			names = append(names, part.Value.Title)
		}
	}
	return strings.Join(names, "; ")
}
