package policy

import (
	"iter"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// guardKey is a place in the guards' index. Guards whose scope names no license type stand apart; guards without an
// operation stand under every operation.
type guardKey struct {
	scoped                 bool
	licenseType, operation string
}

// A guardBucket holds the guards of one place in the index, in the order of the files.
type guardBucket struct {
	forbids []*guard
	permits []*guard
}

// indexGuards files every guard under the operations and the license type of its scope.
func indexGuards(guards []*guard) map[guardKey]*guardBucket {
	index := make(map[guardKey]*guardBucket)
	for _, g := range guards {
		for operation := range operations {
			if g.actions != nil && !slices.Contains(g.actions, operation) {
				continue
			}
			key := guardKey{g.scoped, g.licenseType, operation}
			if index[key] == nil {
				index[key] = new(guardBucket)
			}
			index[key].add(g)
		}
	}
	return index
}

func (w *guardBucket) add(g *guard) {
	if g.effect == oblige {
		w.permits = append(w.permits, g)
	} else {
		w.forbids = append(w.forbids, g)
	}
}

// guardBuckets yields the policies of up to two lists of guards to the Cedar authorizer.
type guardBuckets [2][]*guard

// All implements cedar.PolicyIterator.
func (b *guardBuckets) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, part := range b {
			for _, g := range part {
				if !yield(cedar.PolicyID(g.id), g.policy) {
					return
				}
			}
		}
	}
}

// guardsFor returns the guards that may fire on a question: those of its license type and those of none.
func (s *Set) guardsFor(q *Question) (forbids, permits guardBuckets) {
	for i, key := range [...]guardKey{{true, q.LicenseType, q.Operation}, {false, "", q.Operation}} {
		if w := s.guards[key]; w != nil {
			forbids[i], permits[i] = w.forbids, w.permits
		}
	}
	return forbids, permits
}

// firedGuards returns the guards that fire on a question.
func (s *Set) firedGuards(q *Question) []*guard {
	forbids, permits := s.guardsFor(q)
	if len(forbids[0])+len(forbids[1])+len(permits[0])+len(permits[1]) == 0 {
		return nil
	}
	request := cedar.Request{
		Principal: types.NewEntityUID(systemEntity, types.String(q.System)),
		Action:    types.NewEntityUID(actionEntity, types.String(q.Operation)),
		Resource:  types.NewEntityUID(licenseTypeEntity, types.String(q.LicenseType)),
		Context:   s.reads.context(q),
	}
	entities := &questionEntities{set: s, question: q}
	// Twice, because the authorizer names permits only where no forbid fired.
	fired := s.firing(nil, &forbids, entities, request)
	return s.firing(fired, &permits, entities, request)
}

// firing adds the guards of a bucket that fire, and those whose evaluation errs.
func (s *Set) firing(fired []*guard, b *guardBuckets, entities *questionEntities, request cedar.Request) []*guard {
	if len(b[0])+len(b[1]) == 0 {
		return fired
	}
	_, diagnostic := cedar.Authorize(b, entities, request)
	for _, reason := range diagnostic.Reasons {
		fired = append(fired, s.guardByID[reason.PolicyID])
	}
	for _, err := range diagnostic.Errors {
		fired = append(fired, s.guardByID[err.PolicyID])
	}
	return fired
}

// contextReads is the set of context attributes that the guards of a set read. Only those are built for a decision: a
// record of all of them costs more than the guards themselves.
type contextReads struct {
	all   bool // some guard uses the context as a whole
	names map[string]bool
}

// note looks at one node of a guard's condition and says whether its children are worth looking at.
func (r *contextReads) note(n ast.IsNode) bool {
	var arg ast.IsNode
	var name types.String
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		arg, name = n.Arg, n.Value
	case ast.NodeTypeHas:
		arg, name = n.Arg, n.Value
	case ast.NodeTypeVariable:
		r.all = r.all || n.Name == "context"
	}
	if v, _ := arg.(ast.NodeTypeVariable); v.Name == "context" {
		r.names[string(name)] = true
		return false
	}
	return true
}

// context builds the context record of a question.
func (r *contextReads) context(q *Question) types.Record {
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

// questionEntities are the Cedar entities of one question, made lazily. They are built when a guard first reads them; most guards read none.
type questionEntities struct {
	set         *Set
	question    *Question
	system      *types.Entity
	licenseType *types.Entity
}

var _ cedar.EntityGetter = (*questionEntities)(nil)

// Get returns the asking system or the license type asked about; no other entity has attributes.
func (f *questionEntities) Get(uid types.EntityUID) (types.Entity, bool) {
	switch {
	case uid.Type == systemEntity && string(uid.ID) == f.question.System:
		if f.system == nil {
			f.system = f.set.systemEntityOf(f.question, uid)
		}
		return *f.system, true
	case uid.Type == licenseTypeEntity && string(uid.ID) == f.question.LicenseType:
		if f.licenseType == nil {
			f.licenseType = f.set.typeEntityOf(f.question, uid)
		}
		return *f.licenseType, true
	}
	return types.Entity{UID: uid}, false
}

// systemEntityOf are the attributes of principal. An empty department is left out, so that a guard that reads it errs, and
// thereby fires, instead of comparing with nothing.
func (s *Set) systemEntityOf(q *Question, uid types.EntityUID) *types.Entity {
	m := types.RecordMap{
		"tags":      stringSet(s.systems[q.System].Tags),
		"suspended": types.Boolean(s.suspendedSystem(q)),
	}
	if q.Department != "" {
		m["department"] = types.String(q.Department)
	}
	return &types.Entity{UID: uid, Attributes: types.NewRecord(m)}
}

// typeEntityOf are the attributes of resource.
func (s *Set) typeEntityOf(q *Question, uid types.EntityUID) *types.Entity {
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
