package verdict

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/tlog"
)

// A Verified is what came of one artefact.
type Verified struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Verdict says whether it is authentic. It is empty for a file that Supports another one.
	Verdict  api.Verdict  `json:"verdict,omitempty"`
	Supports bool         `json:"supports,omitempty"`
	Says     api.Sentence `json:"says"`            // the verdict for a person
	Lacks    []string     `json:"lacks,omitempty"` // what is not proven: the steps that stand between it and proven
	Beside   api.Beside   `json:"beside,omitzero"` // what is known beside authenticity
	Steps    []check.Step `json:"steps"`
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
// a status list and against the receipt of the answer that released it. It asks nobody, and trusts nothing that is not in t.
// Results come in the order given, each with at least one step.
func (t *Trust) Verify(artefacts ...Artefact) []Verified {
	return t.VerifyContext(context.Background(), artefacts...)
}

// VerifyContext is [Trust.Verify] until the context ends. From then on nothing is proven: each result has a step that says so.
func (t *Trust) VerifyContext(ctx context.Context, artefacts ...Artefact) []Verified {
	s := t.gather(ctx, artefacts, true)
	_ = s.signatures(s.ctx, func(int) bool { return true }) // bytes at hand are read without an error
	out := make([]Verified, len(artefacts))
	for i, a := range artefacts {
		out[i] = s.verified(i)
		out[i].Name = a.Name
	}
	supports := make([]bool, len(out))
	for i := range out {
		s.proven(i, out)
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
func (s *batch) verified(i int) Verified {
	v, done := s.signed[i]
	s.current = &v
	if !done {
		s.next(i)
		v.Steps = s.verify(s.all[i], s.kinds[i])
	}
	if matches, is := s.contents[i]; is && (s.kinds[i] == Unknown || s.kinds[i] == Picture || s.kinds[i] == Body && len(s.calls) == 0) {
		s.kinds[i], v.Steps = Content, s.content(matches)
	}
	if s.ctx.Err() != nil { // whatever was found, it is not all
		(*check.Steps)(&v.Steps).CannotCheck("complete", "the verification was broken off")
	}
	if v.Kind = s.kinds[i]; len(v.Steps) == 0 {
		v.Steps = []check.Step{{Name: "recognised", State: check.Failed, Reason: errNoSteps.Error()}}
	}
	if step, compared := s.histories[i]; compared {
		v.Steps = append(v.Steps, step)
	}
	s.conclude(&v)
	return v
}

// A batch is the state of one verification call: the artefacts that are verified together, what was found in them, and the budget of work
// that is left (a bound on the cost of hostile files).
type batch struct {
	*Trust
	current *Verified // whose steps are taken at the moment

	ctx                   context.Context // of the call; it ends every loop
	each                  bool            // each artefact has a budget of its own
	budget                *sm.Budget      // of the call; the four below, in place of those of the trust, draw on it
	verifySM2             sm.VerifyFunc
	chains, seals, stamps *pki.Verifier
	unread                int // bytes of signature values that may still be read out of documents

	kinds           []Kind
	bodies          map[string]bool            // base64url SM3 of every artefact that may be a call's body
	unmatchedBodies []string                   // those digests of bodies that are nothing else
	calls           map[string]string          // tokens of calls, by their digest
	callsOf         map[string]bool            // digests of the bodies that they are of
	answers         []answered                 // answers and refusals whose receipts hold
	read            map[string]answered        // every document read so far, by its digest
	statusLists     []*statusListItem          // status lists
	statusListOf    map[string]*statusListItem // the same by their text

	all            []Artefact
	evidence       *revocation.Evidence
	intermediates  []*pki.Certificate // authorities of the trust and among the artefacts
	endEntityCerts []*pki.Certificate // other certificates among the artefacts: messages may name them without holding them
	values         [][]byte           // signature values of seals in documents: what time stamps are about
	contents       map[int]bool       // artefacts that others are about, and whether they are what was meant
	signers        map[int]int        // what those are contents of
	signed         map[int]Verified   // documents, messages, seals and time stamps
	stampsValue    map[int]bool       // time stamps over the value of a signature in a document
	histories      map[int]check.Step // what came of comparing checkpoints and receipts with one another
}

// An answered is a document with a receipt, taken apart.
type answered struct {
	answer   []byte    // canonical
	contents *contents // of the answer; nil when it is not of the contract's form
	receipt  tlog.Receipt
	record   audit.Record // zero unless the receipt's leaf is one
	at       time.Time    // of the record
	steps    check.Steps
	proven   bool // every step of the receipt holds
}

// gather looks at everything once, so that verify can hold one artefact against the others.
func (t *Trust) gather(ctx context.Context, artefacts []Artefact, each bool) *batch {
	s := &batch{
		Trust: t, ctx: ctx, each: each, verifySM2: t.verifySM2, chains: t.chains, seals: t.seals, stamps: t.stamps,
		bodies: make(map[string]bool), calls: make(map[string]string), callsOf: make(map[string]bool),
		statusListOf: make(map[string]*statusListItem), read: make(map[string]answered), all: artefacts, intermediates: slices.Clone(t.authorities),
		contents: make(map[int]bool), signers: make(map[int]int), signed: make(map[int]Verified), stampsValue: make(map[int]bool), histories: make(map[int]check.Step), current: new(Verified),
	}
	for _, a := range t.kept { // what the trust itself brings is not charged to the call
		s.gatherEvidence(kindOf(a.Data), a.Data)
	}
	s.bound()
	s.evidence = &revocation.Evidence{Lists: slices.Clip(t.evidence.Lists), Responses: slices.Clip(t.evidence.Responses), Verify: s.verifySM2}
	for i, a := range artefacts {
		s.next(i)
		kind := kindOf(a.Data)
		s.kinds = append(s.kinds, kind)
		s.gatherEvidence(kind, a.Data)
		switch kind {
		case Call:
			compact := strings.TrimSpace(string(a.Data))
			s.calls[sm.DigestB64([]byte(compact))] = compact
			if c, err := readClaims(compact); err == nil {
				s.callsOf[c.Body] = true
			}
		case Certificate:
			s.gatherCertificates(a.Data)
		}
		if len(a.Data) <= MaxArtefact {
			digest := sm.DigestB64(a.Data)
			s.bodies[digest] = true
			if kind == Body {
				s.unmatchedBodies = append(s.unmatchedBodies, digest)
			}
		}
	}
	for i, a := range artefacts {
		s.next(i)
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
func (s *batch) gatherCertificates(data []byte) {
	certs, _ := readCertificates(data)
	for _, c := range certs {
		switch {
		case len(s.intermediates)+len(s.endEntityCerts) >= maxCertificates:
			return
		case c.IsCA:
			s.intermediates = append(s.intermediates, c)
		default:
			s.endEntityCerts = append(s.endEntityCerts, c)
		}
	}
}

// Bounds of what one call may cost, against artefacts that cost far more to verify than to send. A signature check is made by
// both SM2 implementations and takes 1.3 ms; the second implementation digests 1 MiB in 18 ms.
const (
	// callChecks is how many different signature checks a call to licenses.verify may cost. [Trust.Verify], which verifies the
	// files of whoever runs it, has so many for each artefact, so that one file takes nothing from another.
	callChecks = 64
	// callBytes is how many bytes of long messages, such as revocation lists, may be digested for signature checks, and how many
	// of signature values read out of documents, where they are packed; twice the artefacts' own length where that is more.
	callBytes = 2 << 20
)

// bound sets the budget of signature checks and bytes that all verification from now on draws on.
func (s *batch) bound() {
	bytes := 0
	for _, a := range s.all {
		bytes += 2 * len(a.Data)
	}
	s.unread = max(callBytes, bytes)
	s.budget = sm.NewBudget(callChecks, s.unread, s.Trust.verifySM2)
	s.verifySM2 = s.budget.Within(s.ctx)
	s.chains, s.seals, s.stamps = s.chains.With(s.verifySM2), s.seals.With(s.verifySM2), s.stamps.With(s.verifySM2)
}

// next begins the work for one artefact.
func (s *batch) next(i int) {
	if s.each {
		bytes := max(callBytes, 2*len(s.all[i].Data))
		s.budget.Allow(callChecks, bytes)
		s.unread = max(s.unread, bytes)
	}
}

// take allows to read a signature value of n bytes.
func (s *batch) take(n int) error {
	if n > s.unread {
		return sm.ErrBudget
	}
	s.unread -= n
	return sm.Interrupted(s.ctx)
}

// maxCertificates bounds the certificates of a batch, so that looking for an authority costs little.
const maxCertificates = 256

// signatures verifies what is signed in the ways of documents, before what they are about. Time stamps go last: they may be
// over a signature in a document.
func (s *batch) signatures(ctx context.Context, wanted func(i int) bool) error {
	for _, late := range []bool{false, true} {
		for i := range s.all {
			if late != (s.kinds[i] == TimeStamp) || !wanted(i) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			s.next(i)
			if err := s.signature(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature verifies one such artefact. The libraries that read it were not all written with strangers in mind: a panic is a
// file that cannot be read.
func (s *batch) signature(ctx context.Context, i int) (err error) {
	var v Verified
	s.current = &v
	defer func() {
		if p := recover(); p != nil {
			v.Steps = []check.Step{{Name: "readable", State: check.Failed, Reason: "its reader gave up"}}
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

func (s *batch) verify(a Artefact, kind Kind) (done check.Steps) {
	switch kind {
	case License:
		return s.license(strings.TrimSpace(string(a.Data)), nil)
	case Answer, Refusal:
		return s.answered(a.Data)
	case Report: // its pages may be many, and each has a budget of its own
		done.CannotCheck("recognised", "a report is verified alone, page by page")
		return done
	case Receipt:
		return s.receipt(a.Data)
	case Checkpoint:
		return s.checkpoint(a.Data)
	case Call:
		return s.call(strings.TrimSpace(string(a.Data)))
	case Body:
		return s.body(a.Data)
	case Certificate:
		return s.certificates(a.Data)
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
	case Document, SignedMessage, Seal, SealSignature, TimeStamp:
		return nil // judged by signatures, unless that was broken off
	}
	if len(a.Data) > MaxArtefact {
		done.Fail("recognised", "it is larger than anything that is verified")
		return done
	}
	done.Fail("recognised", "it is nothing that a gateway hands out")
	return done
}

// isBody reports whether some call among the artefacts is of this body.
func (s *batch) isBody(data []byte) bool {
	return len(s.callsOf) > 0 && s.callsOf[sm.DigestB64(data)]
}

// VerifyRequest verifies what a call to licenses.verify brings: a license, a document, an answer with its receipt, or a receipt
// alone. It fills gateway.Config.Verify: all of the answer but its nonce, time and operation. The error is a *api.Problem if the request
// brings none of these, or more than one.
func (t *Trust) VerifyRequest(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	var none api.VerifyAnswer
	if err := ctx.Err(); err != nil {
		return none, err
	}
	var receipt []byte
	if v.Receipt.Checkpoint != "" {
		var err error
		if receipt, err = json.Marshal(v.Receipt); err != nil {
			return none, api.NewProblem("invalid-field").At("/receipt", "is no receipt")
		}
	}
	alone := func(kind Kind, verify func(*batch) check.Steps) (api.VerifyAnswer, error) {
		s := t.gather(ctx, nil, false)
		s.current.Kind = kind
		s.current.Steps = verify(s)
		s.conclude(s.current)
		return verifyAnswer(*s.current), ctx.Err()
	}
	alleged, document, answer := v.License != "", v.Document != "", v.Answer != nil
	switch {
	case document && !alleged && !answer && receipt == nil:
		return t.verifyDocument(ctx, v)
	case v.Beside != nil:
		return none, api.NewProblem("invalid-field").At("/beside", "is for documents")
	case alleged && !document && !answer && receipt == nil:
		return alone(License, func(s *batch) check.Steps { return s.license(v.License, nil) })
	case answer && !document && !alleged && receipt != nil:
		return alone(Answer, func(s *batch) check.Steps {
			return s.answered(api.Envelope{Answer: v.Answer, Receipt: receipt}.Bytes())
		})
	case receipt != nil && !document && !alleged && !answer:
		return alone(Receipt, func(s *batch) check.Steps { return s.receipt(receipt) })
	}
	return none, api.NewProblem("invalid-field").At("", "has neither a license, nor a document, nor an answer with its receipt, nor a receipt alone")
}

// documents are the kinds that are verified for callers. Of others the result would tell what the gateway knows, such as whose
// key a key is.
var documents = []Kind{Document, SignedMessage, Seal, SealSignature, TimeStamp, Revocations, OCSPAnswer, StatusList, License, Picture}

// verifyDocument verifies a file with those that belong to it.
func (t *Trust) verifyDocument(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	var all []Artefact
	for i, text := range append([]string{v.Document}, v.Beside...) {
		data, err := canonical.ParseBase64(text)
		if err != nil {
			place := "/document"
			if i > 0 {
				place = fmt.Sprintf("/beside/%d", i-1)
			}
			return api.VerifyAnswer{}, api.NewProblem("invalid-field").At(place, "is not unpadded base64url")
		}
		all = append(all, Artefact{Data: data})
	}
	s := t.gather(ctx, all, false)
	if kind := s.kinds[0]; !slices.Contains(documents, kind) {
		v := Verified{Kind: kind}
		if kind == Unknown {
			(*check.Steps)(&v.Steps).Fail("recognised", "it is no document of a known kind")
		} else { // a true one is not refuted
			(*check.Steps)(&v.Steps).CannotCheck("recognised", "files of this kind are not verified for callers")
		}
		s.conclude(&v)
		return verifyAnswer(v), nil
	}
	// What lies beside is looked at as far as the document needs it: a time stamp may be over a signature in another one.
	wanted := func(i int) bool { return i == 0 || s.kinds[0] == TimeStamp && s.kinds[i] == Document }
	if err := s.signatures(ctx, wanted); err != nil {
		return api.VerifyAnswer{}, err
	}
	return verifyAnswer(s.verified(0)), ctx.Err()
}

// maxSteps bounds the steps of an answer. The first that failed stand in it.
const maxSteps = 4096

func verifyAnswer(v Verified) api.VerifyAnswer {
	a := api.VerifyAnswer{
		Kind: string(v.Kind), Verdict: v.Verdict, Says: v.Says, Lacks: v.Lacks, Beside: v.Beside, Steps: []api.Step{}, Signatures: v.Signatures,
	}
	if len(v.Steps) > maxSteps {
		slices.SortStableFunc(v.Steps, func(a, b check.Step) int { return rank(a.State) - rank(b.State) })
		v.Steps = v.Steps[:maxSteps]
	}
	for _, s := range v.Steps {
		a.Steps = append(a.Steps, api.Step{Name: s.Name, State: api.StepState(s.State), Reason: s.Reason})
	}
	return a
}

func rank(s check.State) int {
	return slices.Index([]check.State{check.Failed, check.NotCheckable, check.OK}, s)
}

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
	v.Says = sentence(v, []check.Step{{Name: "content-of", State: check.NotCheckable, Reason: "the signature over it is not proven"}})
}

// content says of an artefact that something else is about whether it is what was meant.
func (s *batch) content(matches bool) (done check.Steps) {
	if matches {
		done.Pass("content-of", "it is what another file here signs, stamps or describes")
	} else {
		done.Fail("content-of", "a file here is about something, and this is not it")
	}
	return done
}
