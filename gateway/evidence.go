package gateway

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// An input is one entry of the sealed evidence: a question to the policy with what it answered, and what the answer to the
// caller rested on besides. Nothing in it names a person: it outlives the erasure of who it was about.
type input struct {
	Question *policy.Question `json:"question,omitempty"`
	Decision *policy.Decision `json:"decision,omitempty"` // missing where the case did not support the question
	Case     *caseInput       `json:"case,omitempty"`
	Consent  string           `json:"consent,omitempty"` // id of the consent that stood
	Role     string           `json:"role,omitempty"`    // why the role was not confirmed
	Found    *foundInput      `json:"found,omitempty"`
	Judged   *judgedInput     `json:"judged,omitempty"`
	Asked    any              `json:"asked,omitempty"` // where nothing was decided, or besides
	Said     string           `json:"said,omitempty"`  // code of the problem that a refused caller was told
}

// A caseInput is what the case said.
type caseInput struct {
	No        string         `json:"no"`
	Revision  int            `json:"revision"`
	Registrar string         `json:"registrar"`
	Reasons   []cases.Reason `json:"reasons,omitempty"` // why it does not support the question
}

// A foundInput is what the source said.
type foundInput struct {
	State    license.Found `json:"state"`
	Source   string        `json:"source,omitempty"`
	AsOf     api.Time      `json:"as_of"`
	Stale    bool          `json:"stale,omitempty"`
	Records  int           `json:"records,omitempty"`
	Error    string        `json:"error,omitempty"`    // why it is unavailable; where a kept copy stood in, why the source was
	Versions []string      `json:"versions,omitempty"` // identifiers of the signed versions that left
	Form     string        `json:"form,omitempty"`     // in which an annotated copy was wanted besides
}

// A judgedInput is how a material was judged.
type judgedInput struct {
	State    cases.State    `json:"state"`
	Reason   cases.Reason   `json:"reason,omitempty"`
	Record   int            `json:"record"`
	Covered  string         `json:"covered,omitempty"`
	Received []receivedNote `json:"received,omitempty"`
	From     license.Date   `json:"from,omitempty"`
	Day      license.Date   `json:"day"`
	Deadline license.Date   `json:"deadline,omitempty"`
	Filing   string         `json:"filing,omitempty"`  // id of the filed material that stands in
	Unfiled  cases.Reason   `json:"unfiled,omitempty"` // why what is on file does not
}

// A receivedNote is what the window received for a material.
type receivedNote struct {
	How string    `json:"how"`
	By  string    `json:"by"`
	At  time.Time `json:"at"`
}

// explain fills in what the answer of a use rested on. A use that was never decided gets an entry without a decision.
func (u *licenseUse) explain(c *call) {
	if u.input == nil {
		q := c.withPerson(u.question)
		u.input = &input{Question: &q}
		c.inputs = append(c.inputs, u.input)
	}
	u.input.Consent = u.consent
	if u.facts.Case != "" || len(u.facts.Reasons) > 0 {
		u.input.Case = &caseInput{No: u.facts.Case, Revision: u.facts.Revision, Registrar: u.facts.Registrar, Reasons: u.facts.Reasons}
	}
	if u.role != nil {
		u.input.Role = reasonCode(u.role)
	}
	if f := u.finding; f.State != "" {
		u.input.Found = &foundInput{State: f.State, Source: f.Source, AsOf: api.At(f.AsOf), Stale: f.Stale, Records: len(f.Records), Versions: u.versions, Form: string(u.form)}
		if err := errors.Join(f.Err, u.sourceErr); err != nil {
			u.input.Found.Error = err.Error()
		}
	}
	u.input.Judged = u.judged
}

// recorded is a use as the record states it.
func (u *licenseUse) recorded(c *call) audit.Use {
	use := audit.Use{
		Material: u.question.Material, Matter: u.question.Matter, Case: u.facts.Case, Basis: u.question.Basis,
		LicenseType: u.question.LicenseType, Decision: cmp.Or(u.outcome, outcomeDenied), Rules: notNil(u.decision.Rules), Fields: notNil(u.fields),
		Source: u.finding.Source, Person: u.ask.Holder,
	}
	if u.finding.State == license.IsFound || u.finding.State == license.IsNotFound {
		use.Freshness = string(c.config.freshness(u.finding)) + " " + api.At(u.finding.AsOf).String()
	}
	if !u.filedAt.IsZero() {
		use.Freshness = outcomeFiled + " " + api.At(u.filedAt).String()
	}
	return use
}

// released notes fields that left, or were compared.
func (u *licenseUse) released(fields ...string) {
	u.fields = slices.Concat(u.fields, fields)
	slices.Sort(u.fields)
	u.fields = slices.Compact(u.fields)
}

// usesOf returns the record entries of uses and of what confirmed their roles, confirmations first, and completes the evidence.
func (c *call) usesOf(wanted ...*licenseUse) (uses []audit.Use) {
	seen := make(map[*licenseUse]bool)
	add := func(u *licenseUse) {
		if u != nil && !seen[u] {
			seen[u] = true
			u.explain(c)
			uses = append(uses, u.recorded(c))
		}
	}
	for _, u := range wanted {
		add(u.confirm)
	}
	for _, u := range wanted {
		add(u)
	}
	return uses
}

// caseUse is a record entry that releases no license: a case was registered, closed or changed.
func caseUse(k cases.Case, rules []string) audit.Use {
	return audit.Use{Case: k.No, Matter: k.Matter, Basis: "case", Decision: outcomeNoted, Rules: notNil(rules), Fields: []string{}}
}

// preconditions are optimistic locks: the record is refused if a case or consent that a decision rests on has changed.
func preconditions(c *call, wanted []*licenseUse) (changes []any) {
	seen := make(map[any]bool)
	for _, u := range wanted {
		if o := (cases.StillOpen{No: u.facts.Case, Revision: u.facts.Revision}); o.No != "" && !seen[o] {
			seen[o] = true
			changes = append(changes, o)
		}
		for _, id := range []string{u.consent, u.confirmConsent()} {
			if id != "" && !seen[id] {
				seen[id] = true
				changes = append(changes, cases.StillGiven{ID: id, At: c.now})
			}
		}
	}
	return changes
}

func (u *licenseUse) confirmConsent() string {
	if u.confirm == nil {
		return ""
	}
	return u.confirm.consent
}

// residentDigits is the length of a 公民身份号码.
const residentDigits = 18

// withoutPersons keeps a person's id number out of a free text that outlives the erasure of evidence, such as why an auditor asks, where
// somebody wrote it by mistake. It is no proof that a text names nobody: what can be a commitment is one instead.
func withoutPersons(text string, today license.Date) string {
	if namesPerson(text, today) {
		return "withheld"
	}
	return text
}

// namesPerson reports whether a text holds a right 公民身份号码 (GB 11643) of somebody born before today: also in full-width characters,
// with a lower-case x, or in groups with separators between them. Case numbers are often made of a region, the day of acceptance and a
// serial; one of today's is no person's.
func namesPerson(text string, today license.Date) bool {
	joined := make([]byte, 0, len(text))
	var starts []int // of groups, in joined
	apart := true
	for _, r := range license.NormalCode(text) {
		if !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z') {
			apart = true
			continue
		}
		if apart {
			starts, apart = append(starts, len(joined)), false
		}
		joined = append(joined, byte(r))
	}
	whole := func(from, to int) bool { // groups, or within one
		i, exact := slices.BinarySearch(starts, from)
		if i < len(starts) && exact {
			i++
		}
		if i == len(starts) || starts[i] >= to { // no group begins inside
			return true
		}
		_, ends := slices.BinarySearch(starts, to)
		return exact && (ends || to == len(joined))
	}
	for i := 0; i+residentDigits <= len(joined); i++ {
		number := string(joined[i : i+residentDigits])
		if license.CheckResidentID(number) == nil && license.Date(number[6:10]+"-"+number[10:12]+"-"+number[12:14]).Before(today) && whole(i, i+residentDigits) {
			return true
		}
	}
	return false
}

// isUUID reports whether a text has the form of RFC 9562, in which a request id may stand openly in a record, and whether so many decimal
// digits follow one another there that they may be a person's number. Both cost nothing on the way of every call.
func isUUID(text string) (uuid, suspect bool) {
	digits := 0
	for i := range len(text) {
		b, dash := text[i], i == 8 || i == 13 || i == 18 || i == 23
		switch {
		case dash && b == '-':
		case !dash && b >= '0' && b <= '9':
			digits++
			suspect = suspect || digits >= residentDigits-1
		case !dash && (b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'):
			digits = 0
		default:
			return false, false
		}
	}
	return len(text) == 36, suspect
}

// requestID decides how a request id stands in the record: open where it is a UUID without a person's digits in it; else hidden, as a
// commitment.
func requestID(id string, today license.Date) (open, hidden string) {
	if uuid, suspect := isUUID(id); !uuid || suspect && namesPerson(strings.ReplaceAll(id, "-", ""), today) {
		return "", id
	}
	return id, ""
}
