package verdict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/license"
)

// The steps that say whom a record is about. The second stands under each use that is about somebody, "use[0]/record-about-holder".
const (
	stepOperator = "record-about-operator"
	stepHolder   = "record-about-holder"
)

// Bounds of what is tried: persons in a body, and HMACs for one answer.
const (
	maxNamed = 64
	maxTries = 4096
)

var (
	errOtherOperator = errors.New("the record is about another operator than the call's")
	errOtherHolder   = errors.New("the record is about somebody else")
)

// persons recomputes the commitments of a record with the randomness that the answer returns: to the operator of the call, and to the
// holders whom the call's body names or, where it is not at hand, whose codes the licenses in the answer disclose. A step is not
// checkable where call or holder is not at hand, or where the answer opens nothing: it was made before answers did, or the caller
// did not name the person, as with those by whom a source confirms a role.
func (s *batch) persons(d answered) (done check.Steps) {
	var a opened
	if len(d.record.Uses) == 0 || json.Unmarshal(d.answer, &a, canonical.Checked) != nil {
		return nil
	}
	call := s.tokenOf(d.receipt)
	var named []license.HolderID
	operator, missing := "", "the call is not at hand"
	if call != "" {
		if claims, err := readClaims(call); err != nil {
			missing = "the call cannot be read"
		} else {
			operator, missing = claims.Operator, ""
			named = personsIn(s.bodyWith(claims.Body))
		}
	}
	if missing != "" {
		done.CannotCheck(stepOperator, missing)
	} else {
		a.operator(&done, d.record, operator)
	}
	for _, p := range a.Persons { // whom an auditor opened, beside what a caller wrote, which is about nobody
		if p.Type == audit.CaseType || p.Type == audit.RequestType {
			continue
		}
		named = append(named, license.HolderID{Type: p.Type, Code: p.Code})
	}
	a.holders(&done, d.record, named)
	return done
}

// opened are the parts of an answer that say whom its record is about.
type opened struct {
	Code        string                `json:"code"` // of a problem
	Commitments api.Commitments       `json:"commitments"`
	Licenses    []api.License         `json:"licenses"`
	Materials   []api.CheckedMaterial `json:"materials"`
	Persons     []api.EvidencePerson  `json:"persons"`
}

// operator compares every use's commitment with the operator whom the call names, "" for none.
func (a opened) operator(done *check.Steps, r audit.Record, operator string) {
	committed := func(u audit.Use) bool { return u.Operator != "" }
	switch {
	case operator == "" && slices.ContainsFunc(r.Uses, committed):
		done.Fail(stepOperator, "the record names an operator, and the call none")
		return
	case operator == "":
		done.Pass(stepOperator, "the call names none")
		return
	case !slices.ContainsFunc(r.Uses, committed):
		done.Fail(stepOperator, "the record names no operator, and the call one")
		return
	case a.Commitments.Operator == "":
		done.CannotCheck(stepOperator, "the answer does not return the randomness of the commitment")
		return
	}
	want, err := commitment(a.Commitments.Operator, license.HolderID{Type: audit.OperatorType, Code: operator})
	if err == nil && slices.ContainsFunc(r.Uses, func(u audit.Use) bool { return u.Operator != want }) {
		err = errOtherOperator
	}
	done.Result(stepOperator, err)
}

// holders compares the uses' commitments with the persons whom the call names. Of an answer that is no refusal every one of them must
// stand in the record, where all of it is opened.
func (a opened) holders(done *check.Steps, r audit.Record, named []license.HolderID) {
	tries, all, found := 0, true, make(map[license.HolderID]bool)
	for i, u := range r.Uses {
		if u.Holder == "" {
			continue
		}
		name := fmt.Sprintf("use[%d]/%s", i, stepHolder)
		among := named
		if len(among) == 0 {
			among = a.disclosed(u)
		}
		text, opens := a.randomness(i)
		if tries += len(among); !opens || len(among) == 0 || tries > maxTries {
			all = false
		}
		switch {
		case !opens:
			done.CannotCheck(name, "the answer does not return the randomness of the commitment")
		case len(among) == 0:
			done.CannotCheck(name, "neither the call's body nor a license that discloses the holder's code is at hand")
		case tries > maxTries:
			done.CannotCheck(name, "there are too many persons to try")
		default:
			err := errOtherHolder
			for _, person := range among {
				got, wrong := commitment(text, person)
				if wrong != nil {
					err = wrong
				} else if got == u.Holder {
					found[person], err = true, nil
				}
			}
			all = all && err == nil
			done.Result(name, err)
		}
	}
	if !all || a.Code != "" {
		return
	}
	for _, person := range named {
		if !found[person] {
			done.Fail(stepHolder, "the record is not about a person whom the call names")
			return
		}
	}
}

// randomness is what opens the commitment of a use.
func (a opened) randomness(use int) (string, bool) {
	for _, h := range a.Commitments.Holders {
		if slices.Contains(h.Uses, use) {
			return h.R, true
		}
	}
	return "", false
}

// disclosed are the holders that the licenses released by a use may be about: of codes whose type is not disclosed, of each type of the
// national list.
func (a opened) disclosed(u audit.Use) (holders []license.HolderID) {
	of := func(fields api.Fields) {
		for path, code := range fields {
			name, place, _ := strings.Cut(path, ".")
			if name != license.FieldHolderCode {
				continue
			}
			if kind := fields[strings.TrimSuffix(license.FieldHolderCodeType+"."+place, ".")]; kind != "" {
				holders = append(holders, license.HolderID{Type: kind, Code: code}.Normal())
				continue
			}
			for _, kind := range license.HolderCodes() {
				holders = append(holders, license.HolderID{Type: kind.Code, Code: code}.Normal())
			}
		}
	}
	for _, l := range a.Licenses {
		if l.LicenseType == u.LicenseType && u.Decision == "release" {
			of(l.Fields)
		}
	}
	for _, m := range a.Materials {
		if m.Matter == u.Matter && m.Material == u.Material && m.LicenseType == u.LicenseType && m.License != "" {
			of(m.Fields)
		}
	}
	return holders
}

// commitment is what stands in a record for a person. text is r as an answer has it.
func commitment(text string, person license.HolderID) (string, error) {
	r, err := canonical.ParseBase64(text)
	if err != nil || len(r) != 32 {
		return "", errors.New("the answer's randomness is not 32 bytes")
	}
	return audit.Commitment(sm.New, r, person)
}

// bodyWith finds the body of a call among the artefacts by its digest; nil if it is not there.
func (s *batch) bodyWith(digest string) []byte {
	if !s.bodies[digest] {
		return nil
	}
	for _, a := range s.all {
		if len(a.Data) <= MaxArtefact && sm.DigestB64(a.Data) == digest {
			return a.Data
		}
	}
	return nil
}

// personsIn are the persons that a call's body names, each once: holders wherever they stand in it, and the operator that an auditor
// looks for.
func personsIn(body []byte) (named []license.HolderID) {
	var value any
	if body == nil || json.Unmarshal(body, &value) != nil {
		return nil
	}
	add := func(person license.HolderID) {
		if len(named) < maxNamed && !slices.Contains(named, person) {
			named = append(named, person)
		}
	}
	var walk func(v any, depth int)
	walk = func(v any, depth int) {
		if depth > api.MaxDepth {
			return
		}
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item, depth+1)
			}
		case map[string]any:
			kind, typed := v["type"].(string)
			code, coded := v["code"].(string)
			if typed && coded && len(v) == 2 {
				add(license.HolderID{Type: kind, Code: code}.Normal())
				return
			}
			for _, item := range v {
				walk(item, depth+1)
			}
		}
	}
	walk(value, 1)
	if top, ok := value.(map[string]any); ok {
		if operator, ok := top["operator"].(string); ok {
			add(license.HolderID{Type: audit.OperatorType, Code: operator})
		}
	}
	return named
}
