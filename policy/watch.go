package policy

import (
	"iter"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// guardKey is a place in the guards' index. Guards whose scope names no license type stand apart; guards without an
// operation stand under every operation.
type guardKey struct {
	scoped                 bool
	licenseType, operation string
}

// A watch is the guards of one place in the index, in the order of the files.
type watch struct {
	forbids []*guard
	permits []*guard
}

// indexGuards files every guard under the operations and the license type of its scope.
func indexGuards(guards []*guard) map[guardKey]*watch {
	index := make(map[guardKey]*watch)
	for _, g := range guards {
		for operation := range operations {
			if g.actions != nil && !slices.Contains(g.actions, operation) {
				continue
			}
			key := guardKey{g.scoped, g.licenseType, operation}
			if index[key] == nil {
				index[key] = new(watch)
			}
			index[key].add(g)
		}
	}
	return index
}

func (w *watch) add(g *guard) {
	if g.effect == oblige {
		w.permits = append(w.permits, g)
	} else {
		w.forbids = append(w.forbids, g)
	}
}

// bucket yields the policies of up to two lists of guards to the Cedar authorizer.
type bucket [2][]*guard

// All implements cedar.PolicyIterator.
func (b *bucket) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
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

// watching returns the guards that may fire on a question: those of its license type and those of none.
func (s *Set) watching(q *Question) (forbids, permits bucket) {
	for i, key := range [...]guardKey{{true, q.LicenseType, q.Operation}, {false, "", q.Operation}} {
		if w := s.guards[key]; w != nil {
			forbids[i], permits[i] = w.forbids, w.permits
		}
	}
	return forbids, permits
}

// guarded returns the guards that fire on a question.
func (s *Set) guarded(q *Question) []*guard {
	forbids, permits := s.watching(q)
	if len(forbids[0])+len(forbids[1])+len(permits[0])+len(permits[1]) == 0 {
		return nil
	}
	request := cedar.Request{
		Principal: types.NewEntityUID(systemEntity, types.String(q.System)),
		Action:    types.NewEntityUID(actionEntity, types.String(q.Operation)),
		Resource:  types.NewEntityUID(licenseTypeEntity, types.String(q.LicenseType)),
		Context:   s.reads.context(q),
	}
	facts := &facts{set: s, question: q}
	// Twice, because the authorizer names permits only where no forbid fired.
	fired := s.firing(nil, &forbids, facts, request)
	return s.firing(fired, &permits, facts, request)
}

// firing adds the guards of a bucket that fire, and those whose evaluation errs.
func (s *Set) firing(fired []*guard, b *bucket, facts *facts, request cedar.Request) []*guard {
	if len(b[0])+len(b[1]) == 0 {
		return fired
	}
	_, diagnostic := cedar.Authorize(b, facts, request)
	for _, reason := range diagnostic.Reasons {
		fired = append(fired, s.guardByID[reason.PolicyID])
	}
	for _, err := range diagnostic.Errors {
		fired = append(fired, s.guardByID[err.PolicyID])
	}
	return fired
}
