package client

import (
	"slices"
	"strings"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
	"oncegate/license"
	"oncegate/tlog"
)

// A Verified is what came of one artefact. It holds as a whole only when no step failed.
type Verified struct {
	Name  string         `json:"name"`
	Kind  Kind           `json:"kind"`
	Steps []license.Step `json:"steps"`
}

// Err is nil if no step failed, else ErrUnproven with the first that did.
func (v Verified) Err() error { return Failure(v.Steps) }

// Verify verifies artefacts, each by itself and against the others: a call against its body and its receipt, a license against
// a status list and against the receipt of the answer that released it. It asks nobody, and believes nothing that is not in t.
// Results come in the order given, each with at least one step.
func (t *Trust) Verify(artefacts ...Artefact) []Verified {
	s := t.gather(artefacts)
	out := make([]Verified, len(artefacts))
	for i, a := range artefacts {
		out[i] = Verified{Name: a.Name, Kind: s.kinds[i], Steps: s.verify(a, s.kinds[i])}
		if len(out[i].Steps) == 0 {
			out[i].Steps = []license.Step{{Name: "recognised", State: license.Failed, Reason: errNoSteps.Error()}}
		}
	}
	return out
}

// A sheaf is all that is verified together.
type sheaf struct {
	*Trust
	kinds   []Kind
	bodies  map[string]bool        // base64url SM3 of every artefact that may be a call's body
	loose   []string               // those digests of bodies that are nothing else
	calls   []string               // tokens of calls
	answers []answered             // answers and refusals whose receipts hold
	read    map[string]answered    // every document read so far, by its digest
	lists   map[string]*listStatus // status lists that hold, by the URI they are published under
	extra   []Artefact             // certificates, for the chains of others
}

// listStatus is a status list and what was found about it.
type listStatus struct {
	token *statuslist.Token
	err   error
}

// An answered is a document with a receipt, taken apart.
type answered struct {
	answer  []byte // canonical
	receipt tlog.Receipt
	record  audit.Record // zero unless the receipt's leaf is one
	steps   steps
	proven  bool // no step failed
}

// gather looks at everything once, so that verify can hold one artefact against the others.
func (t *Trust) gather(artefacts []Artefact) *sheaf {
	s := &sheaf{Trust: t, bodies: make(map[string]bool), lists: make(map[string]*listStatus), read: make(map[string]answered)}
	for _, a := range artefacts {
		kind := kindOf(a.Data)
		s.kinds = append(s.kinds, kind)
		switch kind {
		case Call:
			s.calls = append(s.calls, strings.TrimSpace(string(a.Data)))
		case Certificate:
			s.extra = append(s.extra, a)
		case StatusList:
			if list, uri := s.readList(a.Data); uri != "" && list.err == nil {
				s.lists[uri] = list
			}
		}
		if len(a.Data) <= MaxArtefact {
			digest := sm.DigestB64(a.Data)
			s.bodies[digest] = true
			if kind == Body {
				s.loose = append(s.loose, digest)
			}
		}
	}
	for i, a := range artefacts {
		if s.kinds[i] == Answer || s.kinds[i] == Refusal {
			if d := s.readAnswered(a.Data); d.proven {
				s.answers = append(s.answers, d)
			}
		}
	}
	for i, a := range artefacts { // what nobody recognises may be the body of a call
		if s.kinds[i] == Unknown && len(a.Data) <= MaxArtefact && s.isBody(a.Data) {
			s.kinds[i] = Body
		}
	}
	return s
}

func (s *sheaf) verify(a Artefact, kind Kind) (done steps) {
	switch kind {
	case License:
		return s.license(strings.TrimSpace(string(a.Data)), nil)
	case Answer, Refusal:
		return s.answered(a.Data)
	case Receipt:
		return s.receipt(a.Data)
	case Checkpoint:
		return s.checkpoint(a.Data)
	case Call:
		return s.call(strings.TrimSpace(string(a.Data)))
	case Body:
		return s.body(a.Data)
	case Certificate:
		return s.certificate(a.Data)
	case Key:
		return s.key(a.Data)
	case StatusList:
		return s.statusList(a.Data)
	}
	if len(a.Data) > MaxArtefact {
		done.fail("recognised", "it is larger than anything that is verified")
		return done
	}
	done.fail("recognised", "it is nothing that a gateway hands out")
	return done
}

// isBody reports whether some call among the artefacts is of this body.
func (s *sheaf) isBody(data []byte) bool {
	digest := sm.DigestB64(data)
	return slices.ContainsFunc(s.calls, func(call string) bool {
		c, err := readClaims(call)
		return err == nil && c.Body == digest
	})
}
