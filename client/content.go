package client

import (
	"crypto/subtle"

	"oncegate/api"
	"oncegate/certs/sm"
	"oncegate/license"
)

// maxContents bounds the artefacts that are tried as the content of another.
const maxContents = 16

// contentOf looks among the other artefacts for what one is about. Where none is, but there is just one that nothing else
// explains, it is that one: so that a content changed by a byte is noticed. It returns -1 when nothing is at hand.
func (s *batch) contentOf(self int, is func(data []byte) bool) int {
	loose, tried := []int{}, 0
	for i, a := range s.all {
		if i == self || len(a.Data) > MaxArtefact {
			continue
		}
		if tried++; tried <= maxContents && is(a.Data) {
			s.contents[i], s.signers[i] = true, self
			return i
		}
		if k := s.kinds[i]; k == Unknown || k == Body || k == Picture {
			loose = append(loose, i)
		}
	}
	if len(loose) != 1 {
		return -1
	}
	if _, known := s.contents[loose[0]]; !known {
		s.contents[loose[0]] = false
	}
	return loose[0]
}

// sm3Is finds the artefact of a digest.
func (s *batch) sm3Is(want []byte) func([]byte) bool {
	return func(data []byte) bool {
		sum := sm.Digest(data)
		return subtle.ConstantTimeCompare(sum[:], want) == 1
	}
}

// proven gives a content the verdict of the signature over it. A time stamp proves that its content existed, not who made it: such a
// content only supports the stamp.
func (s *batch) proven(i int, all []Verified) {
	by, ok := s.signers[i]
	if !ok || all[i].Kind != Content || s.kinds[by] != SignedMessage && s.kinds[by] != SealSignature {
		return
	}
	v := &all[i]
	if v.Verdict != api.VerdictProven || all[by].Verdict == api.VerdictProven {
		return
	}
	v.Verdict, v.Lacks = api.VerdictNotProven, []string{"content-of"}
	v.Says = sentence(v, []license.Step{{Name: "content-of", State: license.NotCheckable, Reason: "the signature over it is not proven"}})
}

// content says of an artefact that something else is about whether it is what was meant.
func (s *batch) content(matches bool) (done steps) {
	if matches {
		done.ok("content-of", "it is what another file here signs, stamps or describes")
	} else {
		done.fail("content-of", "a file here is about something, and this is not it")
	}
	return done
}
