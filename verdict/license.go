package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/license"
)

// LicenseType is the header typ of a license (design 5.5).
const LicenseType = "license+sd-jwt"

// licenseClaims stand openly in every license. What is disclosed besides is in disclosed.
type licenseClaims struct {
	Issuer    string `json:"iss"`
	ID        string `json:"id"`
	Version   int    `json:"ver"`
	Type      string `json:"type"`
	IssuedAt  int64  `json:"iat"` // Unix seconds; 0: not stated
	NotBefore int64  `json:"nbf"` // Unix seconds; 0: not stated
	Expires   int64  `json:"exp"` // Unix seconds; 0: unlimited (长期)
	Status    struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`

	disclosed map[string]string // by path; JSON text where the value is no string
}

// readLicense reads what a license says without trusting it.
func readLicense(presentation string) (c licenseClaims, err error) {
	segments := strings.Split(presentation, "~")
	parts, err := jws.Split(segments[0], sdjwt.MaxSize)
	if err != nil {
		return c, err
	}
	if json.Unmarshal(parts.Payload, &c) != nil {
		return c, errors.New("the license has no claims of the agreed form")
	}
	c.disclosed = make(map[string]string)
	for _, text := range segments[1:max(len(segments)-1, 1)] {
		d, err := sdjwt.ParseDisclosure(text)
		if err != nil {
			return c, err
		}
		c.disclosed[d.Name] = plain(d.Value)
	}
	return c, nil
}

// plain is a string's content, or the text of any other value.
func plain(v jsontext.Value) string {
	var s string
	if v.Kind() == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// subject names a license for a person: by its own name and issuer where those are disclosed.
func (c licenseClaims) subject() api.Sentence {
	what, by := cmp.Or(c.disclosed["name"], c.Type), cmp.Or(c.disclosed["issuer_name"], c.Issuer)
	return api.Sentence{En: "the license " + what + " of " + by, Zh: by + "颁发的" + what}
}

// says reports whether the disclosures are exactly these fields.
func (c licenseClaims) says(fields api.Fields) bool {
	if len(c.disclosed) != len(fields) {
		return false
	}
	for path, value := range fields {
		if said, ok := c.disclosed[path]; !ok || said != value {
			return false
		}
	}
	return true
}

// license verifies a license: alone, or as it stands in an answer whose receipt has been looked at.
func (s *batch) license(presentation string, in *answered) (done check.Steps) {
	if !strings.Contains(presentation, "~") {
		presentation += "~" // the issuer-signed JWT alone: no disclosure
	}
	var parts *jws.Parts
	result, err := sdjwt.Verify(presentation, sdjwt.Expect{Typ: LicenseType, Check: func(p *jws.Parts) error {
		parts = p
		return signatureSteps(&done, p, s.verifySM2)
	}})
	done = append(formSteps(done, result.Steps), disclosureSteps(result)...)
	if parts == nil {
		return done
	}
	c, claimsErr := readLicense(presentation)
	if claimsErr != nil {
		done.Result("license-claims", claimsErr)
		return done
	}
	at := s.now()
	signed := pki.SigningTime{At: at, Source: pki.Unstated}
	if c.IssuedAt > 0 {
		signed = pki.SigningTime{At: time.Unix(c.IssuedAt, 0), Source: pki.Claimed}
	}
	if in != nil && in.proven { // at the latest; what the license itself says could be made up by who stole a key that has expired
		if t, err := canonical.ParseTime(in.record.Time); err == nil {
			at = t.Time
			signed = pki.SigningTime{At: at, Source: pki.Stamped}
		}
	}
	leaf := s.licenseChain(&done, parts, signed)
	s.licenseRevocation(&done, parts, signed)
	done.Result("identifier", c.identifier())
	s.authority(&done, c, leaf)
	if in == nil {
		s.current.found.subject = c.subject()
	}
	ended := s.validity(&done, c, in, presentation, at)
	s.noteInForce(ended, s.status(&done, c, in, presentation), in.statusAtRelease(presentation))
	s.presenter(&done, presentation, in, err == nil)
	return done
}

// signatureSteps has both SM2 implementations judge the issuer's signature, each in a step of its own. verifySM2 asks both.
func signatureSteps(s *check.Steps, p *jws.Parts, verifySM2 sm.VerifyFunc) error {
	certs, err := pki.ParseChain(p.Header.X5C)
	if err != nil {
		s.Fail("license-signature", err.Error())
		return err
	}
	pub, err := publicKey(certs[0])
	if err != nil {
		s.Fail("license-signature", err.Error())
		return err
	}
	first := p.Verify(pub, verifySM2)
	other := first
	if errors.Is(first, second.ErrDisagree) {
		first, other = p.Verify(pub, sm.Verify), p.Verify(pub, second.Check)
	}
	s.Result("license-signature", first)
	s.Result("license-signature-second-voice", other)
	return errors.Join(first, other)
}

// formSteps puts the steps before the signature in front of the signature's own.
func formSteps(s check.Steps, list []check.Step) (done check.Steps) {
	for _, step := range list {
		switch {
		case step.Name == sdjwt.StepForm || step.Name == sdjwt.StepType:
			done = append(done, renamed(step, "license-"+step.Name))
		case step.Name == sdjwt.StepSignature && len(s) > 0:
			done = append(done, s...)
		case step.Name == sdjwt.StepSignature:
			done = append(done, renamed(step, "license-signature"))
		}
	}
	return done
}

func renamed(step check.Step, name string) check.Step {
	step.Name = name
	return step
}

// disclosureSteps reports the digest of each disclosure.
func disclosureSteps(r *sdjwt.Result) (done check.Steps) {
	for _, step := range r.Steps {
		if step.Name != sdjwt.StepDisclosures {
			continue
		}
		if step.State != check.OK || len(r.Disclosed) == 0 {
			done = append(done, renamed(step, "disclosures"))
		}
		for _, d := range r.Disclosed {
			done.Pass("disclosure["+d.Name+"]", "its digest is among those signed")
		}
	}
	return done
}

// licenseChain follows x5c to an anchor: at the time of signing, by the table of [pki.SigningTime], and now. It returns what the
// certificate says of its owner, from whichever time holds.
func (s *batch) licenseChain(done *check.Steps, p *jws.Parts, signed pki.SigningTime) pki.Leaf {
	at := func(t time.Time) (pki.Leaf, error) { return s.chains.ChainDER(p.Header.X5C, t, pki.License) }
	now, nowErr := at(s.now())
	end := s.now()
	if certs, err := pki.ParseChain(p.Header.X5C); err == nil {
		end = certs[0].NotAfter
	}
	state, reason := signed.Judge(s.now(), end, func(t time.Time) error {
		_, err := at(t)
		return pathError(err)
	})
	if signed.Source == pki.Unstated {
		done.CannotCheck("chain-at-signing", "the license does not say when it was signed, and no receipt does")
		*done = append(*done, check.Step{Name: "chain-now", State: state, Reason: reason})
		return usageStep(done, now, nowErr)
	}
	then, thenErr := at(signed.At)
	*done = append(*done, check.Step{Name: "chain-at-signing", State: state, Reason: reason})
	if errors.Is(nowErr, pki.ErrExpired) && pathError(thenErr) == nil {
		if signed.Source == pki.Stamped {
			done.CannotCheck("chain-now", "a certificate has expired since; the receipt shows that the license was signed before")
		} else {
			done.CannotCheck("chain-now", "a certificate has expired since, and nothing proves that the license was signed before")
		}
		return usageStep(done, then, thenErr)
	}
	done.Result("chain-now", pathError(nowErr))
	return usageStep(done, now, nowErr)
}

// usageStep says whether the certificate of a chain is for licenses, and whose it is then.
func usageStep(s *check.Steps, leaf pki.Leaf, err error) pki.Leaf {
	switch {
	case errors.Is(err, pki.ErrWrongUsage), errors.Is(err, pki.ErrNoUSCC):
		s.Fail("key-usage", err.Error())
	case err != nil:
		s.CannotCheck("key-usage", "the certificate leads to no anchor")
	default:
		s.Pass("key-usage", pki.License)
	}
	return leaf
}

// pathError leaves out what is no fault of the path.
func pathError(err error) error {
	if errors.Is(err, pki.ErrWrongUsage) || errors.Is(err, pki.ErrNoUSCC) {
		return nil
	}
	return err
}

// identifier checks the identifier and that the open claims say the same as it.
func (c licenseClaims) identifier() error {
	id, err := license.ParseIdentifier(c.ID)
	switch {
	case err != nil:
		return err
	case id.Issuer() != c.Issuer:
		return errors.New("the identifier is of another issuer than iss")
	case id.Version() != c.Version:
		return errors.New("the identifier is of another version than ver")
	}
	return nil
}

// authority checks that the trust names the issuer for the type, and that the signing body is the issuer, or one that it
// delegated the type to.
func (s *batch) authority(done *check.Steps, c licenseClaims, leaf pki.Leaf) {
	id, err := license.ParseIdentifier(c.ID)
	if err != nil {
		done.CannotCheck(StepIssuerOfType, "the license's identifier does not say who issued it")
		done.CannotCheck(StepIssuerAuthority, "the license's identifier does not say who issued it")
		return
	}
	issuerOfType(done, s.Trust, c.Type, id)
	if leaf.USCC == "" {
		done.CannotCheck(StepIssuerAuthority, "the signing body is not established")
		return
	}
	issuerAuthority(done, s.Trust, c.Type, id, leaf.USCC)
}

// validity holds nbf and exp against the day: of the record for a license in an answer, else today. A license that its answer
// calls expired may be so.
func (s *batch) validity(done *check.Steps, c licenseClaims, in *answered, presentation string, at time.Time) *api.InForce {
	now := at.Unix()
	switch {
	case c.NotBefore != 0 && now < c.NotBefore:
		done.Fail("validity", "the license is not valid yet")
		return &api.InForce{State: api.InForceStateNotInForce, AsOf: api.At(at)}
	case c.Expires == 0 || now < c.Expires:
		done.Pass("validity", "on "+string(license.DateOf(at)))
		return nil
	case in != nil && in.status(presentation) != string(license.Valid):
		done.Pass("validity", "the license has expired, and the answer does not call it valid")
	default:
		done.Fail("validity", "the license has expired")
	}
	return inForce(license.Expired, at)
}

// statusFromAnswer looks for an answer that says how a license stands, where no status list does.
func (s *batch) statusFromAnswer(done *check.Steps, identifier, otherwise string) *api.InForce {
	said := s.statusAnswer(identifier)
	switch {
	case said == nil:
		done.CannotCheck("status", otherwise)
		return nil
	case said.Status != api.StatusValid:
		done.Fail("status", fmt.Sprintf("%s as of %s", said.Status, said.AsOf))
	default:
		done.Pass("status", "valid as of "+said.AsOf.String())
	}
	return inForce(license.Status(said.Status), said.AsOf.Time)
}

// statusAnswer is the newest answer to licenses.status about a license among the artefacts, nil if there is none.
func (s *batch) statusAnswer(identifier string) (newest *api.StatusAnswer) {
	for _, d := range s.answers {
		var a api.StatusAnswer
		if d.record.Operation == "licenses.status" && json.Unmarshal(d.answer, &a) == nil && a.Identifier == identifier &&
			(newest == nil || newest.AsOf.Before(a.AsOf.Time)) {
			newest = &a
		}
	}
	return newest
}

// inForce is how a license stood at a moment.
func inForce(is license.Status, at time.Time) *api.InForce {
	state := api.InForceStateNotInForce
	if is == license.Valid {
		state = api.InForceStateInForce
	}
	return &api.InForce{State: state, Status: string(is), AsOf: api.At(at)}
}

// noteInForce notes whether a license is in force, by the first that knows. Of several licenses the one that is worst off counts.
func (s *batch) noteInForce(known ...*api.InForce) {
	is := cmp.Or(append(known, &api.InForce{State: api.InForceStateNotAsked})...)
	order := []api.InForceState{api.InForceStateInForce, api.InForceStateNotAsked, api.InForceStateNotInForce}
	if old := s.current.Beside.InForce; old == nil || slices.Index(order, old.State) < slices.Index(order, is.State) {
		s.current.Beside.InForce = is
	}
}

// statusAtRelease is how a license stood when it was released, by an answer whose receipt holds; nil where none says so.
func (d *answered) statusAtRelease(presentation string) *api.InForce {
	if d == nil || !d.proven {
		return nil
	}
	if is := d.status(presentation); is != "" {
		return inForce(license.Status(is), d.at)
	}
	return nil
}

// status is what the answer says of a license in it.
func (d *answered) status(presentation string) string {
	if d.contents == nil {
		return ""
	}
	for _, l := range d.contents.Licenses {
		if l.License == presentation {
			return string(l.Status)
		}
	}
	for _, m := range d.contents.Materials {
		if m.License == presentation {
			return string(m.Status)
		}
	}
	return ""
}

// presenter says who may use the license: only a receipt shows to whom it was released, and for what.
func (s *batch) presenter(done *check.Steps, presentation string, in *answered, authentic bool) {
	if in == nil && authentic {
		for i := range s.answers {
			if s.answers[i].released(presentation) {
				in = &s.answers[i]
			}
		}
	}
	if in == nil || !in.proven {
		s.current.Beside.Presenter = api.PresenterUnknown
		done.CannotCheck("presentation-right", "only a receipt that names the presenter shows that it may use the license")
		return
	}
	if s.current.Beside.Presenter == "" {
		s.current.Beside.Presenter = api.PresenterEntitled
	}
	done.Pass("presentation-right", "released to "+purposeOf(in.record))
}

// purposeOf says to whom and what for a record is; it names no person.
func purposeOf(r audit.Record) string {
	text := "system " + strconv.Quote(r.System)
	for _, u := range r.Uses {
		if u.Case != "" {
			return text + " for case " + strconv.Quote(u.Case)
		}
	}
	return text
}

// released reports whether the answer released this license with at least these disclosures.
func (d *answered) released(presentation string) bool {
	if d.contents == nil {
		return false
	}
	want := strings.Split(strings.TrimSuffix(presentation, "~"), "~")
	for _, l := range d.contents.all() {
		if first, _, _ := strings.Cut(l.License, "~"); first != want[0] {
			continue
		}
		have := make(map[string]bool)
		for i, text := range strings.Split(strings.TrimSuffix(l.License, "~"), "~") {
			have[strconv.FormatBool(i == 0)+text] = true
		}
		all := true
		for i, text := range want {
			all = all && have[strconv.FormatBool(i == 0)+text]
		}
		if all {
			return true
		}
	}
	return false
}

// An Issue says which bodies issue the licenses of one type.
type Issue struct {
	Type     string   // catalogue id, as licenses name it
	TypeCode string   // type code (证照类型代码) in the identifiers of such licenses, as documents name it; 21 characters
	Issuers  []string // USCCs of the bodies
}

// A Delegation lets another body sign an issuer's licenses of one type.
type Delegation struct {
	Type     string // catalogue id
	TypeCode string // type code in the license's identifier; "" leaves it to the Issues of the same type
	Issuer   string // USCC in the license's identifier
	Delegate string // USCC of the signing certificate
}

func (t *Trust) addIssue(i Issue) error {
	switch {
	case i.Type == "":
		return errors.New("type is required: the catalogue id")
	case license.CheckTypeCode(i.TypeCode) != nil:
		return errors.New("type_code is required: the type code (证照类型代码) of 21 characters")
	case len(i.Issuers) == 0:
		return errors.New("issuers are required")
	case slices.ContainsFunc(i.Issuers, func(code string) bool { return license.CheckUSCC(code) != nil }):
		return errors.New("issuers are unified social credit codes (统一社会信用代码)")
	}
	t.issues = append(t.issues, i)
	return nil
}

func (t *Trust) addDelegation(d Delegation) error {
	switch {
	case d.Type == "":
		return errors.New("type is required")
	case d.TypeCode != "" && license.CheckTypeCode(d.TypeCode) != nil:
		return errors.New("type_code is a type code (证照类型代码) of 21 characters")
	case license.CheckUSCC(d.Issuer) != nil || license.CheckUSCC(d.Delegate) != nil:
		return errors.New("issuer and delegate are unified social credit codes (统一社会信用代码)")
	}
	t.delegations = append(t.delegations, d)
	return nil
}

// Names of the steps on who may issue and sign a license.
const (
	StepIssuerOfType    = "issuer-of-type"
	StepIssuerAuthority = "issuer-authority"
)

// issuerOfType says whether the trust names the issuing body for the type of a license. A document names its type by the code
// alone: typ is "".
func issuerOfType(s *check.Steps, t *Trust, typ string, id license.Identifier) {
	others, mixed := false, false
	for _, i := range t.issues {
		switch sameType, sameCode := typ == "" || i.Type == typ, i.TypeCode == id.TypeCode(); {
		case sameType && sameCode && slices.Contains(i.Issuers, id.Issuer()):
			s.Pass(StepIssuerOfType, "the trust names the issuing body for this type")
			return
		case sameType && sameCode:
			others = true
		case sameCode || typ != "" && sameType:
			mixed = true
		}
	}
	switch {
	case others:
		s.Fail(StepIssuerOfType, "the trust names other bodies for this type than the issuing body of the license")
	case mixed:
		s.Fail(StepIssuerOfType, "the trust binds type and type code otherwise than the license")
	default:
		s.CannotCheck(StepIssuerOfType, "the trust does not say who issues this type")
	}
}

// A delegated is what the trust says of a body that signs for an issuer.
type delegated int

const (
	notDelegated    delegated = iota
	unboundDelegate           // for a type whose code the trust does not say
	boundDelegate
)

// delegate says whether a body may sign an issuer's licenses of a type: both the catalogue id, which documents do not name
// (typ is ""), and the type code must be those of the delegation. One of them may come from the issues of the same type,
// because older trust files name one only.
func (t *Trust) delegate(typ string, id license.Identifier, body string) (best delegated) {
	for _, d := range t.delegations {
		if d.Issuer != id.Issuer() || d.Delegate != body {
			continue
		}
		found := notDelegated
		switch code := id.TypeCode(); {
		case d.TypeCode != "":
			if d.TypeCode == code && (typ == "" || typ == d.Type) {
				found = boundDelegate
			}
		case d.Type == code: // names the code instead of the catalogue id
			found = unboundDelegate
			if typ == "" || t.binds(typ, code) {
				found = boundDelegate
			}
		case (typ == "" || typ == d.Type) && t.binds(d.Type, code):
			found = boundDelegate
		case (typ == "" || typ == d.Type) && !t.bindsAny(d.Type) && license.CheckTypeCode(d.Type) != nil:
			found = unboundDelegate
		}
		best = max(best, found)
	}
	return best
}

// binds tells whether the issues say that a type has a type code.
func (t *Trust) binds(typ, code string) bool {
	return slices.ContainsFunc(t.issues, func(i Issue) bool { return i.Type == typ && i.TypeCode == code })
}

// bindsAny tells whether the issues say which type code a type has.
func (t *Trust) bindsAny(typ string) bool {
	return slices.ContainsFunc(t.issues, func(i Issue) bool { return i.Type == typ })
}

// issuerAuthority says whether a body that signed, or one of several, is the issuing body or its delegate for the type.
func issuerAuthority(s *check.Steps, t *Trust, typ string, id license.Identifier, bodies ...string) {
	best := notDelegated
	for _, body := range bodies {
		if body == id.Issuer() {
			s.Pass(StepIssuerAuthority, "signed by the issuing body itself")
			return
		}
		best = max(best, t.delegate(typ, id, body))
	}
	switch best {
	case boundDelegate:
		s.Pass(StepIssuerAuthority, "signed by a body that the trust names as the issuer's delegate for this type")
	case unboundDelegate:
		s.CannotCheck(StepIssuerAuthority, "the trust names a delegate, but binds the delegation to no type code: add type_code to it, or the type to issues")
	default:
		s.Fail(StepIssuerAuthority, "nobody who signed is the issuing body or a delegate that the trust names for this type")
	}
}
