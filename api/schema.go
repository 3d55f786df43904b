package api

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
)

// maxFaults bounds the places that one problem points at.
const maxFaults = 16

// checkSchema holds a body that CheckJSON let pass against the operation's schema.
func (o *Operation) checkSchema(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return NewProblem("malformed-json")
	}
	err := o.schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.DisableSchemaErrorDetails())
	if err == nil {
		return nil
	}
	return schemaProblem(err)
}

// schemaProblem turns the validator's errors into one problem. What is unknown goes before what is missing, and that before
// what has a wrong value, because a misspelt member is all three.
func schemaProblem(err error) *Problem {
	code, found := "invalid-field", flatten(err, nil)
	rank := 0
	var faults []Fault
	for _, e := range found {
		switch {
		case e.SchemaField == "properties" && rank < 2:
			code, rank = "unknown-field", 2
		case e.SchemaField == "required" && rank < 1:
			code, rank = "missing-field", 1
		}
		faults = append(faults, places(e)...)
	}
	// The validator walks maps: only sorted do faults come in the same order each time.
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Reason, b.Reason))
	})
	faults = slices.Compact(faults)
	p := NewProblem(code)
	p.Faults = faults[:min(len(faults), maxFaults)]
	return p
}

func flatten(err error, found []*openapi3.SchemaError) []*openapi3.SchemaError {
	if many, ok := err.(openapi3.MultiError); ok {
		for _, e := range many {
			found = flatten(e, found)
		}
		return found
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		found = append(found, e)
	}
	return found
}

// places says where an error is. The validator reports an unknown member at its object, so that it is looked for here.
func places(e *openapi3.SchemaError) []Fault {
	at := e.JSONPointer()
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
