package policy

import (
	_ "embed"
	"fmt"
	"maps"
	"oncegate/fault"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Schema is the Cedar schema of guards: what they may read. It is the manual for those who write them.
//
//go:embed schema.cedarschema
var Schema string

// The entity types of the schema.
const (
	systemEntity      types.EntityType = "System"
	licenseTypeEntity types.EntityType = "LicenseType"
	actionEntity      types.EntityType = "Action"
)

// A validator checks guards against Schema. It is the only door to the experimental part of the Cedar library.
type validator struct{ strict *validate.Validator }

func newValidator() (*validator, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(Schema)); err != nil {
		return nil, fmt.Errorf("read the guards' schema: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("resolve the guards' schema: %w", err)
	}
	return &validator{validate.New(resolved, validate.WithStrict())}, nil
}

// perAction finds the operation in a fault of the validator, which reports each fault once for every operation.
var perAction = regexp.MustCompile(` for Action::"[^"]*"`)

// check returns what is wrong with a guard, one line for each fault.
func (v *validator) check(p *ast.Policy) []string {
	err := v.strict.Policy("", p)
	if err == nil {
		return nil
	}
	var reasons []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = fault.Clip(perAction.ReplaceAllString(line, ""))
		if !slices.Contains(reasons, line) {
			reasons = append(reasons, line)
		}
	}
	slices.Sort(reasons) // the validator's own order is not fixed
	return reasons
}

// keys returns annotation keys in a fixed order.
func keys(a cedar.Annotations) []types.AnnotationKey { return slices.Sorted(maps.Keys(a)) }
