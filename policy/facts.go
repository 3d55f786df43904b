package policy

import (
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// A reading is the set of context attributes that the guards of a set read. Only those are built for a decision: a
// record of all of them costs more than the guards themselves.
type reading struct {
	all   bool // some guard uses the context as a whole
	names map[string]bool
}

// note looks at one node of a guard's condition and says whether its children are worth looking at.
func (r *reading) note(n ast.IsNode) bool {
	var arg ast.IsNode
	var name types.String
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		arg, name = n.Arg, n.Value
	case ast.NodeTypeHas:
		arg, name = n.Arg, n.Value
	case ast.NodeTypeVariable:
		r.all = r.all || n.Name == "context"
		return true
	default:
		return true
	}
	if v, ok := arg.(ast.NodeTypeVariable); ok && v.Name == "context" {
		r.names[string(name)] = true
		return false
	}
	return true
}

// context builds the context record of a question.
func (r *reading) context(q *Question) types.Record {
	if !r.all && len(r.names) == 0 {
		return types.Record{}
	}
	m := make(types.RecordMap, len(r.names))
	for _, a := range attributes {
		if r.all || r.names[a.name] {
			m[types.String(a.name)] = a.of(q)
		}
	}
	return types.NewRecord(m)
}

// attributes are the context of the schema, each with its value for a question.
var attributes = [...]struct {
	name string
	of   func(*Question) types.Value
}{
	{"matter", func(q *Question) types.Value { return types.String(q.Matter) }},
	{"material", func(q *Question) types.Value { return types.String(q.Material) }},
	{"role", func(q *Question) types.Value { return types.String(q.Role) }},
	{"attestation", func(q *Question) types.Value { return types.String(q.Attestation) }},
	{"basis", func(q *Question) types.Value { return types.String(q.Basis) }},
	{"consent", func(q *Question) types.Value { return types.Boolean(q.Consent) }},
	{"fields", func(q *Question) types.Value { return stringSet(q.Fields) }},
	{"age", func(q *Question) types.Value { return types.Long((q.Age + time.Second - 1) / time.Second) }},
	{"purpose", func(q *Question) types.Value { return types.String(purpose(q)) }},
	{"operator_proof", func(q *Question) types.Value { return types.String(proofOf(q)) }},
	{"operator_roles", func(q *Question) types.Value { return stringSet(provenRoles(q)) }},
	{"now", func(q *Question) types.Value { return types.NewDatetime(q.Now) }},
}

// purpose is the purpose of a question, an answer where it states none.
func purpose(q *Question) string {
	if q.Purpose == "" {
		return Answer
	}
	return q.Purpose
}

func stringSet(list []string) types.Set {
	values := make([]types.Value, len(list))
	for i, s := range list {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

// facts are the entities of one question. They are built when a guard first reads them; most guards read none.
type facts struct {
	set         *Set
	question    *Question
	system      *types.Entity
	licenseType *types.Entity
}

var _ cedar.EntityGetter = (*facts)(nil)

// Get returns the asking system or the license type asked about; no other entity has attributes.
func (f *facts) Get(uid types.EntityUID) (types.Entity, bool) {
	switch {
	case uid.Type == systemEntity && string(uid.ID) == f.question.System:
		if f.system == nil {
			f.system = f.set.systemFacts(f.question, uid)
		}
		return *f.system, true
	case uid.Type == licenseTypeEntity && string(uid.ID) == f.question.LicenseType:
		if f.licenseType == nil {
			f.licenseType = f.set.typeFacts(f.question, uid)
		}
		return *f.licenseType, true
	}
	return types.Entity{UID: uid}, false
}

// systemFacts are the attributes of principal. An empty department is left out, so that a guard that reads it errs, and
// thereby fires, instead of comparing with nothing.
func (s *Set) systemFacts(q *Question, uid types.EntityUID) *types.Entity {
	m := types.RecordMap{
		"tags":      stringSet(s.systems[q.System].Tags),
		"suspended": types.Boolean(s.suspendedSystem(q)),
	}
	if q.Department != "" {
		m["department"] = types.String(q.Department)
	}
	return &types.Entity{UID: uid, Attributes: types.NewRecord(m)}
}

// typeFacts are the attributes of resource.
func (s *Set) typeFacts(q *Question, uid types.EntityUID) *types.Entity {
	share, provider := s.share(q.LicenseType), q.Provider
	if provider == "" {
		provider = share.Provider
	}
	return &types.Entity{UID: uid, Attributes: types.NewRecord(types.RecordMap{
		"share":     types.Long(share.Attribute),
		"sensitive": types.Boolean(share.Sensitive),
		"provider":  types.String(provider),
		"suspended": types.Boolean(s.suspendedType(q)),
	})}
}
