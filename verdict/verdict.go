// Package verdict is the offline verifier of a gateway's artefacts: licenses, answers, receipts, checkpoints, documents, seals and time
// stamps, against trust that the verifier brings. Each gets a verdict.
//
//	trust, err := verdict.LoadTrust("trust/trust.json")
//	for _, v := range trust.Verify(verdict.Artefact{Name: "answer.json", Data: data}) { fmt.Println(v.Name, v.Verdict, v.Says.En) }
//
// A verification has one of three verdicts on authenticity: proven, refuted or not proven. [Needs] lists what each kind of artefact
// needs to be proven; [Verified.Err] is nil for nothing less. What is known beside authenticity (witnesses, status, presenter) stands
// in [Verified.Beside], and [Requirement] makes it part of what is needed.
package verdict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/ofd"
	"oncegate/certs/seal"
	"oncegate/certs/timestamp"
	"oncegate/check"
	"oncegate/tlog"
)

// Errors of [Verified.Err].
var (
	// ErrUnproven says that something was not proven: a step failed, or one that proof needs could not be taken.
	ErrUnproven = tlog.ErrUnproven

	// ErrRefuted says that a step failed: it is not what it claims to be. It is an ErrUnproven too.
	ErrRefuted error = refuted{}
)

type refuted struct{}

func (refuted) Error() string { return "refuted" }

func (refuted) Unwrap() error { return ErrUnproven }

// Kinds of the parts of artefacts. They have proofs of their own.
const (
	partLicense Kind = "license in an answer" // a license in an answer: license[0]/…
	partSeal    Kind = "seal in a document"   // an electronic seal in a document: signature[0]/…
	partSign    Kind = "signature in a document"
	partUse     Kind = "use in a record"           // use[0]/…
	partList    Kind = "revocation list in a file" // list[0]/…
)

// A proof is the list of what an artefact of a kind needs to be proven. A step that is in neither list is needed wherever it is
// taken: whoever adds a step decides nothing by forgetting this table.
type proof struct {
	needs []string // must have been taken, and be ok; "a|b": one of both
	open  []string // may be not checkable: it says something beside authenticity, or about another file
}

// proofs say for each kind what proven needs. docs/verify.md prints them.
var proofs = map[Kind]proof{
	License: {
		needs: []string{"license-form", "license-type", "license-signature", "license-signature-second-voice", "chain-now", "key-usage",
			"key-revocation", "identifier", StepIssuerOfType, StepIssuerAuthority, "validity"},
		open: []string{"chain-at-signing", "status", StepListRevocation, "presentation-right"},
	},
	partLicense: {
		needs: []string{"license-form", "license-type", "license-signature", "license-signature-second-voice", "chain-at-signing",
			"key-usage", "key-revocation", "identifier", StepIssuerOfType, StepIssuerAuthority, "validity", "fields-as-disclosed"},
		open: []string{"chain-now", "status", StepListRevocation, "presentation-right"},
	},
	Answer: {
		needs: []string{"document", "record-parsed", "answer-digest", tlog.StepCheckpoint, tlog.StepOrigin, tlog.StepSM2, tlog.StepSM3Tree,
			tlog.StepSHA256Tree, "operation-in-record", "answer-time"},
		open: []string{"token-digest", "witness", audit.StepQuorum, audit.StepWitnessedTime, "one-history", stepOperatorProof, "record-about-operator", "record-about-holder"},
	},
	Refusal: {
		needs: []string{"document", "record-parsed", "answer-digest", tlog.StepCheckpoint, tlog.StepOrigin, tlog.StepSM2, tlog.StepSM3Tree,
			tlog.StepSHA256Tree, "operation-in-record"},
		open: []string{"token-digest", "witness", audit.StepQuorum, audit.StepWitnessedTime, "one-history", stepOperatorProof, "record-about-operator", "record-about-holder"},
	},
	Report: {needs: []string{StepReportForm, StepReportPages, StepReportChain, StepReportQuestion, StepReportRecords, StepReportComplete}},
	Receipt: {
		needs: []string{"record-parsed", tlog.StepCheckpoint, tlog.StepOrigin, tlog.StepSM2, tlog.StepSM3Tree, tlog.StepSHA256Tree},
		open:  []string{"answer-digest", "token-digest", "witness", audit.StepQuorum, audit.StepWitnessedTime, "one-history", stepOperatorProof},
	},
	Checkpoint: {
		needs: []string{tlog.StepCheckpoint, tlog.StepOrigin, tlog.StepSM2},
		open:  []string{"witness", audit.StepQuorum, "one-history"},
	},
	Call: {
		needs: []string{"call-form", "call-signature", "call-window"},
		open:  []string{"call-audience", "call-body", stepActor, "call-recorded"},
	},
	Body:        {needs: []string{"body-of-call"}},
	Certificate: {needs: []string{"certificate-form", "anchor|chain-now"}},
	Key:         {needs: []string{"key-in-trust"}},
	StatusList: {
		needs: []string{StepListForm, StepListSignature, StepListSigner, StepListRevocation, StepListValidity},
		open:  []string{StepListAge, StepListLatest},
	},
	Document: {
		needs: []string{ofd.StepPackage, ofd.StepUnique, ofd.StepXML, ofd.StepDocument, ofd.StepSigned, ofd.StepCoverage, "identifier",
			StepIssuerOfType, StepIssuerAuthority, "validity"},
		open: []string{"status", "copy-original", ofd.StepListContent}, // the References name digests of the same files
	},
	partSeal: {
		needs: []string{ofd.StepForm, ofd.StepMethod, ofd.StepMissing, ofd.StepReferences, seal.StepForm, seal.StepDataHash,
			seal.StepPropertyInfo, seal.StepSignature, seal.StepMade, seal.StepListed, seal.StepSignerChain, seal.StepSignerUsage,
			seal.StepSignerRevocation, seal.StepMakerChain, seal.StepMakerUsage, seal.StepMakerRevocation, seal.StepPeriod},
		open: []string{seal.StepStatus, seal.StepPeriodNow, seal.StepTime, ofd.StepExtent}, // another signature may cover the rest: ofd-coverage
	},
	partSign: {
		needs: []string{ofd.StepForm, ofd.StepMethod, ofd.StepMissing, ofd.StepReferences, "cms-parse", "cms-digest", "cms-signature",
			"cms-chain", "cms-usage", "cms-revocation"},
		open: []string{ofd.StepExtent},
	},
	SignedMessage: {needs: []string{"cms-parse", "cms-signature", "cms-chain", "cms-usage", "cms-revocation"}},
	Seal: {
		needs: []string{seal.StepForm, seal.StepMade, seal.StepMakerChain, seal.StepMakerUsage, seal.StepMakerRevocation, seal.StepPeriod},
		open:  []string{seal.StepStatus},
	},
	SealSignature: {
		needs: []string{seal.StepForm, seal.StepDataHash, seal.StepSignature, seal.StepMade, seal.StepListed, seal.StepSignerChain,
			seal.StepSignerUsage, seal.StepSignerRevocation, seal.StepMakerChain, seal.StepMakerUsage, seal.StepMakerRevocation, seal.StepPeriod},
		open: []string{seal.StepPropertyInfo, seal.StepStatus, seal.StepPeriodNow, seal.StepTime},
	},
	TimeStamp: {needs: []string{timestamp.StepParse, timestamp.StepImprint, "timestamp-signature", "timestamp-chain", "timestamp-usage",
		"timestamp-revocation", timestamp.StepTime}},
	partUse:     {open: []string{"record-about-holder"}}, // a role that a source confirmed is of somebody whom the call does not name
	partList:    {needs: []string{"revocation-list-form", "revocation-list-signature", "revocation-list-authority", "revocation-list-time"}},
	Revocations: {needs: []string{"revocation-list-form", "revocation-list-signature", "revocation-list-authority", "revocation-list-time"}},
	OCSPAnswer:  {needs: []string{"ocsp-answer-form", "ocsp-answer-signature", "ocsp-answer-authority", "ocsp-answer-time"}},
	Picture:     {needs: []string{"picture-released"}},
	Content:     {needs: []string{"content-of"}},
	Unknown:     {needs: []string{"recognised"}},
}

// A Need says what an artefact of a kind, or a part of one, needs to be proven.
type Need struct {
	Kind  Kind
	Place string   // of a part: how the names of its steps begin, such as "license[0]/"; "" for a whole artefact
	Steps []string // must have been taken, and be ok; "a|b": one of both
	Open  []string // may be not checkable
}

// Needs lists for every kind what proven needs. A step that stands in neither list of its kind is needed wherever it is taken.
func Needs() (list []Need) {
	for _, k := range []struct {
		kind  Kind
		place string
	}{
		{License, ""}, {partLicense, "license[0]/"}, {Answer, ""}, {partUse, "use[0]/"}, {Refusal, ""}, {Report, ""}, {Receipt, ""}, {Checkpoint, ""}, {Call, ""}, {Body, ""},
		{Document, ""}, {partSeal, "signature[0]/"}, {partSign, "signature[0]/"}, {SignedMessage, ""}, {Seal, ""}, {SealSignature, ""},
		{TimeStamp, ""}, {StatusList, ""}, {Revocations, ""}, {partList, "list[0]/"}, {OCSPAnswer, ""}, {Certificate, ""}, {Key, ""},
		{Picture, ""}, {Content, ""}, {Unknown, ""},
	} {
		p := proofs[k.kind]
		list = append(list, Need{k.kind, k.place, slices.Clone(p.needs), slices.Clone(p.open)})
	}
	return list
}

// partOf names the kind of a part of an artefact by the place that the names of its steps begin with.
func partOf(place string, list []check.Step) Kind {
	switch what, _, _ := strings.Cut(place, "["); what {
	case "license":
		return partLicense
	case "receipt-inside":
		return Receipt
	case "list":
		return partList
	case "use":
		return partUse
	case "certificate":
		return Certificate
	case "signature":
		if slices.ContainsFunc(list, func(s check.Step) bool { return strings.HasPrefix(s.Name, place+"/seal-") }) {
			return partSeal
		}
		return partSign
	}
	return Unknown
}

// lacks are the steps that stand between an artefact, or the part of it at a place, and proven.
func (p proof) lacks(place string, list []check.Step) (lack []check.Step) {
	for _, s := range list {
		if s.State != check.OK && !slices.Contains(p.open, strings.TrimPrefix(s.Name, place)) {
			lack = append(lack, s)
		}
	}
	for _, name := range p.needs {
		alternatives := strings.Split(name, "|")
		if !slices.ContainsFunc(list, func(s check.Step) bool {
			return slices.Contains(alternatives, strings.TrimPrefix(s.Name, place))
		}) {
			lack = append(lack, check.Step{Name: place + alternatives[0], State: check.NotCheckable, Reason: "the verification did not come to this step"})
		}
	}
	return lack
}

// lacking applies the proof of a kind, and of the kinds of its parts, to the steps of an artefact.
func lacking(kind Kind, list []check.Step) (lack []check.Step) {
	var own []check.Step
	var places []string
	parts := make(map[string][]check.Step)
	for _, s := range list {
		place, _, nested := strings.Cut(s.Name, "/")
		switch {
		case !nested:
			own = append(own, s)
			continue
		case parts[place] == nil:
			places = append(places, place)
		}
		parts[place] = append(parts[place], s)
	}
	if kind != Revocations || len(places) == 0 { // a file of several lists has no steps of its own
		lack = proofs[kind].lacks("", own)
	}
	for _, place := range places {
		lack = append(lack, proofs[partOf(place, parts[place])].lacks(place+"/", parts[place])...)
	}
	return lack
}

// conclude sets the verdict of an artefact from its steps, and from what the trust requires beside them.
func (s *batch) conclude(v *Verified) {
	lack := append(lacking(v.Kind, v.Steps), s.required(v)...)
	if s.withoutEd25519(v.found.checkpoint) {
		lack = slices.DeleteFunc(lack, func(step check.Step) bool { return strings.HasSuffix(step.Name, tlog.StepEd25519) })
	}
	failed := slices.IndexFunc(v.Steps, func(step check.Step) bool { return step.State == check.Failed })
	switch {
	case failed >= 0:
		v.Verdict, lack = api.VerdictRefuted, v.Steps[failed:failed+1]
	case len(lack) > 0:
		v.Verdict = api.VerdictNotProven
		for _, step := range lack[:min(len(lack), maxLacks)] {
			v.Lacks = append(v.Lacks, step.Name)
		}
	default:
		v.Verdict = api.VerdictProven
	}
	v.Says = sentence(v, lack)
}

// maxLacks bounds the steps that a result names as lacking.
const maxLacks = 64

// withoutEd25519 reports whether the trust names no Ed25519 key of the log of a checkpoint: the SM2 line alone counts then.
func (t *Trust) withoutEd25519(checkpoint string) bool {
	log, err := t.logOf(checkpoint)
	return err == nil && log.Ed25519 == nil
}

// A Requirement says what must stand beside authenticity for an artefact to be proven. The zero value requires nothing.
type Requirement struct {
	Witnesses int  // how many of the known witnesses must have co-signed a checkpoint
	Quorum    bool // the quorum of organisations must stand, in both trees
	InForce   bool // licenses must be known to be in force
	Presenter bool // a receipt must show to whom a license was released
}

// required are the steps that the trust requires beside authenticity and that do not hold.
func (s *batch) required(v *Verified) (lack []check.Step) {
	add := func(name, reason string) {
		lack = append(lack, check.Step{Name: name, State: check.NotCheckable, Reason: reason})
	}
	b := v.Beside
	if w := b.Witnessed; w != nil && w.Count < s.require.Witnesses {
		add("witness", fmt.Sprintf("the trust requires %d witnesses, and %d have co-signed", s.require.Witnesses, w.Count))
	}
	if w := b.Witnessed; w != nil && s.require.Quorum && (w.Quorum == nil || w.Quorum.Trees != api.WitnessQuorumTreesBoth) {
		add(audit.StepQuorum, "the trust requires a quorum of witnesses in both trees, and none stands")
	}
	if b.InForce != nil && s.require.InForce && b.InForce.State != api.InForceStateInForce {
		add("status", "the trust requires that the license is known to be in force")
	}
	if b.Presenter != "" && s.require.Presenter && b.Presenter != api.PresenterEntitled {
		add("presentation-right", "the trust requires a receipt that names the presenter")
	}
	return lack
}

// supports reports whether an artefact is there for another one: a key, a certificate, a list, a stamp, a call or a body beside
// what it supports has no verdict of its own. One that fails supports nothing.
func (s *batch) supports(self int, all []Verified) bool {
	v := all[self]
	if v.Verdict == api.VerdictRefuted {
		return false
	}
	switch v.Kind {
	case Call:
		return check.Find(v.Steps, "call-recorded").State == check.OK
	case Body:
		return check.Find(v.Steps, "body-of-call").State == check.OK
	case TimeStamp:
		return s.stampsValue[self]
	case Content:
		by, ok := s.signers[self]
		return ok && s.kinds[by] == TimeStamp
	case Key, Certificate, Revocations, OCSPAnswer, StatusList:
		return slices.ContainsFunc(all, func(other Verified) bool { return !slices.Contains(evidence, other.Kind) && other.Kind != Unknown })
	}
	return false
}

// evidence are the kinds that prove something about others.
var evidence = []Kind{Key, Certificate, Revocations, OCSPAnswer, StatusList}

// Worst is the verdict on several artefacts: refuted before not proven before proven. Supporting files count only by what they
// support. It is not-proven where there is nothing to judge.
func Worst(all []Verified) api.Verdict {
	worst := -1
	order := []api.Verdict{api.VerdictProven, api.VerdictNotProven, api.VerdictRefuted}
	for _, v := range all {
		worst = max(worst, slices.Index(order, v.Verdict))
	}
	if worst < 0 {
		return api.VerdictNotProven
	}
	return order[worst]
}

// Err is nil for what is proven and for files that support something else; ErrRefuted with the first step that failed, or
// ErrUnproven with the first that is lacking.
func (v Verified) Err() error {
	if v.Verdict == api.VerdictProven || v.Supports {
		return nil
	}
	if err := Failure(v.Steps); err != nil {
		return err
	}
	if len(v.Lacks) > 0 {
		return fmt.Errorf("%w: %s: %s", ErrUnproven, v.Lacks[0], check.Find(v.Steps, v.Lacks[0]).Reason)
	}
	return fmt.Errorf("%w: %w", ErrUnproven, errNoSteps)
}

// Failure returns an error that is ErrRefuted and names the first failed step; nil if none failed.
func Failure(list []check.Step) error {
	for _, s := range list {
		if s.State == check.Failed {
			return fmt.Errorf("%w: %s: %s", ErrRefuted, s.Name, s.Reason)
		}
	}
	return nil
}

var errNoSteps = errors.New("nothing was checked")
