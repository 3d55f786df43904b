package client

import (
	"context"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/tlog"
)

// A Verified is what came of one artefact.
type Verified struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Verdict says whether it is authentic. It is empty for a file that Supports another one.
	Verdict  api.Verdict    `json:"verdict,omitempty"`
	Supports bool           `json:"supports,omitempty"`
	Says     api.Sentence   `json:"says"`            // the verdict for a person
	Lacks    []string       `json:"lacks,omitempty"` // what is not proven: the steps that stand between it and proven
	Beside   api.Beside     `json:"beside,omitzero"` // what is known beside authenticity
	Steps    []license.Step `json:"steps"`
	// Signatures say who signed what is not ours alone: documents, messages, seals, time stamps.
	Signatures []Signature `json:"signatures,omitempty"`

	found found
}

// found is what a verification found out besides its steps.
type found struct {
	subject    api.Sentence // what it is, for a person
	checkpoint string       // of the log that it stands in; "" if it stands in none
}

// Verify verifies artefacts, each by itself and against the others: a call against its body and its receipt, a license against
// a status list and against the receipt of the answer that released it. It asks nobody, and believes nothing that is not in t.
// Results come in the order given, each with at least one step.
func (t *Trust) Verify(artefacts ...Artefact) []Verified {
	s := t.gather(artefacts)
	_ = s.signatures(context.Background(), func(int) bool { return true }) // bytes at hand are read without an error
	out := make([]Verified, len(artefacts))
	for i, a := range artefacts {
		out[i] = s.verified(i)
		out[i].Name = a.Name
	}
	supports := make([]bool, len(out))
	for i := range out {
		supports[i] = s.supports(i, out)
	}
	for i, yes := range supports {
		if yes {
			out[i].support()
		}
	}
	return out
}

// verified is the result of one artefact: at least one step, and a verdict.
func (s *sheaf) verified(i int) Verified {
	v, done := s.signed[i]
	s.current = &v
	if !done {
		v.Steps = s.verify(s.all[i], s.kinds[i])
	}
	if matches, is := s.contents[i]; is && (s.kinds[i] == Unknown || s.kinds[i] == Picture || s.kinds[i] == Body && len(s.calls) == 0) {
		s.kinds[i], v.Steps = Content, s.content(matches)
	}
	if v.Kind = s.kinds[i]; len(v.Steps) == 0 {
		v.Steps = []license.Step{{Name: "recognised", State: license.Failed, Reason: errNoSteps.Error()}}
	}
	if step, compared := s.histories[i]; compared {
		v.Steps = append(v.Steps, step)
	}
	s.conclude(&v)
	return v
}

// A sheaf is all that is verified together.
type sheaf struct {
	*Trust
	current *Verified // whose steps are taken at the moment
	kinds   []Kind
	bodies  map[string]bool      // base64url SM3 of every artefact that may be a call's body
	loose   []string             // those digests of bodies that are nothing else
	calls   []string             // tokens of calls
	answers []answered           // answers and refusals whose receipts hold
	read    map[string]answered  // every document read so far, by its digest
	held    []*heldList          // status lists
	heldBy  map[string]*heldList // the same by their text
	extra   []Artefact           // certificates, for the chains of others

	all         []Artefact
	evidence    *revocation.Evidence
	between     []*pki.Certificate   // authorities of the trust and among the artefacts
	loose509    []*pki.Certificate   // other certificates among the artefacts: messages may name them without holding them
	values      [][]byte             // signature values of seals in documents: what time stamps are about
	contents    map[int]bool         // artefacts that others are about, and whether they are what was meant
	signed      map[int]Verified     // documents, messages, seals and time stamps
	stampsValue map[int]bool         // time stamps over the value of a signature in a document
	histories   map[int]license.Step // what came of comparing checkpoints and receipts with one another
}

// An answered is a document with a receipt, taken apart.
type answered struct {
	answer  []byte // canonical
	receipt tlog.Receipt
	record  audit.Record // zero unless the receipt's leaf is one
	at      time.Time    // of the record
	steps   steps
	proven  bool // every step of the receipt holds
}

// gather looks at everything once, so that verify can hold one artefact against the others.
func (t *Trust) gather(artefacts []Artefact) *sheaf {
	s := &sheaf{
		Trust: t, bodies: make(map[string]bool), read: make(map[string]answered), all: artefacts,
		evidence: &revocation.Evidence{Verify: t.voice}, between: slices.Clone(t.authorities),
		contents: make(map[int]bool), signed: make(map[int]Verified), stampsValue: make(map[int]bool), histories: make(map[int]license.Step), heldBy: make(map[string]*heldList), current: new(Verified),
	}
	for _, a := range t.kept {
		s.gatherEvidence(kindOf(a.Data), a.Data)
	}
	for _, a := range artefacts {
		kind := kindOf(a.Data)
		s.kinds = append(s.kinds, kind)
		s.gatherEvidence(kind, a.Data)
		switch kind {
		case Call:
			s.calls = append(s.calls, strings.TrimSpace(string(a.Data)))
		case Certificate:
			s.extra = append(s.extra, a)
			s.gatherCertificates(a.Data)
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
	s.compareHistories()
	for i, a := range artefacts { // what nobody recognises may be the body of a call
		if s.kinds[i] == Unknown && len(a.Data) <= MaxArtefact && s.isBody(a.Data) {
			s.kinds[i] = Body
		}
	}
	return s
}

// gatherCertificates takes certificates that others may need.
func (s *sheaf) gatherCertificates(data []byte) {
	certs, _ := readCertificates(data)
	for _, c := range certs {
		switch {
		case len(s.between)+len(s.loose509) >= maxCertificates:
			return
		case c.IsCA:
			s.between = append(s.between, c)
		default:
			s.loose509 = append(s.loose509, c)
		}
	}
}

// maxCertificates bounds the certificates of a sheaf, so that looking for an authority costs little.
const maxCertificates = 256

// signatures verifies what is signed in the ways of documents, before what they are about. Time stamps go last: they may be
// over a signature in a document.
func (s *sheaf) signatures(ctx context.Context, wanted func(i int) bool) error {
	for _, late := range []bool{false, true} {
		for i := range s.all {
			if late != (s.kinds[i] == TimeStamp) || !wanted(i) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.signature(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature verifies one such artefact. The libraries that read it were not all written with strangers in mind: a panic is a
// file that cannot be read.
func (s *sheaf) signature(ctx context.Context, i int) (err error) {
	var v Verified
	s.current = &v
	defer func() {
		if p := recover(); p != nil {
			v.Steps = []license.Step{{Name: "readable", State: license.Failed, Reason: "its reader gave up"}}
		}
		if v.Steps != nil {
			s.signed[i] = v
		}
	}()
	switch s.kinds[i] {
	case Document:
		v.Steps, v.Signatures, err = s.document(ctx, i)
	case SignedMessage:
		v.Steps, v.Signatures = s.signedMessage(ctx, i)
	case Seal:
		v.Steps, v.Signatures = s.sealAlone(ctx, s.all[i].Data)
	case SealSignature:
		v.Steps, v.Signatures = s.sealSignature(ctx, i)
	case TimeStamp:
		v.Steps, v.Signatures = s.timeStamp(ctx, i)
	}
	return err
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
	case Picture:
		return s.picture(a.Data)
	case StatusList:
		return s.statusList(a.Data)
	case Revocations:
		return s.revocations(a)
	case OCSPAnswer:
		return s.ocspAnswer(a.Data)
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
