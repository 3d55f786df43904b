package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oncegate/audit"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/fault"
	"oncegate/gateway"
	"oncegate/license"
	"oncegate/register"
	"oncegate/verdict"
	"oncegate/witness"
)

// anchors reads the trust anchors and everything else that the gateway trusts.
func (l *loader) anchors() {
	t := l.setup.Trust
	l.unless(len(t.Anchors) > 0, "$.trust.anchors", "there is no trust anchor, so no certificate can be verified")
	l.setup.Anchors = l.readPEMs("anchors", t.Anchors)
	l.setup.SealAnchors = l.readPEMs("seal_anchors", t.Seals)
	l.setup.TimeStampAnchors = l.readPEMs("timestamp_anchors", t.TimeStamps)
	l.setup.Authorities = l.readPEMs("authorities", t.Authorities)
	l.evidence(t.Evidence)
	for i, c := range t.Certificates {
		at := fmt.Sprintf("$.trust.certificates[%d]", i)
		l.unless(len(c.Fingerprint) == 64 && strings.Trim(c.Fingerprint, "0123456789abcdef") == "", at+".fingerprint", "the SM3 of the DER is required, 64 lower-case hex digits")
		l.unless(license.CheckUSCC(c.USCC) == nil, at+".uscc", "not a unified social credit code (统一社会信用代码)")
		l.unless(c.Usage != "", at+".usage", "the usage is missing")
		l.setup.Known[c.Fingerprint] = pki.Known{USCC: c.USCC, Usage: c.Usage}
	}
	for i, u := range t.Usages {
		at := fmt.Sprintf("$.trust.usages[%d]", i)
		_, twice := l.setup.Usages[u.Anchor]
		l.unless(!twice, at+".anchor", "the anchor has a rule already")
		l.setup.Usages[u.Anchor] = pki.UsageRule{From: u.From, Usages: u.Usages}
	}
	for i, d := range t.Delegations {
		at := fmt.Sprintf("$.trust.delegations[%d]", i)
		l.unless(l.knowsType(at, d.Type, d.TypeCode) || d.TypeCode != "" || len(l.setup.Catalogue.Types) == 0, at+".type", "there is no license type %q, and no type_code says which one of another catalogue is meant", fault.Clip(d.Type))
	}
	for i, issue := range t.Issues {
		l.knowsType(fmt.Sprintf("$.trust.issues[%d]", i), issue.Type, issue.TypeCode)
	}
	for i, signer := range t.StatusLists {
		_, err := verdict.ParseEnd(signer.NotAfter)
		l.unless(err == nil, fmt.Sprintf("$.trust.status_lists[%d].not_after", i), "%v", err)
	}
	for i, w := range t.Witnesses {
		l.setup.WitnessKeys = append(l.setup.WitnessKeys, l.witness(fmt.Sprintf("$.trust.witnesses[%d]", i), w))
	}
	if len(l.setup.Anchors) == 0 {
		return
	}
	var err error
	if l.chains, err = pki.NewVerifier(pki.Trust{Anchors: l.setup.Anchors, Known: l.setup.Known, Usages: l.setup.Usages, VerifyBoth: second.VerifyBoth}); err != nil {
		l.doc.Add("$.trust.anchors", "%v", err)
	}
}

// knowsType tells whether a type is in the catalogue, and checks that a type code is the catalogue's.
func (l *loader) knowsType(at, id, code string) bool {
	t, known := l.setup.Catalogue.Type(id)
	l.unless(!known || code == "" || code == t.Code, at+".type_code", "the catalogue says that %s has the type code %s", fault.Clip(id), t.Code)
	return known
}

// witness reads a witness's vkey line from the file that holds it.
func (l *loader) witness(at, text string) string {
	if !lognote.IsVKey(text) {
		data, _ := l.bytes(at, text)
		text = string(data)
	}
	return strings.TrimSpace(text)
}

// witnesses reads whom the log is to be co-signed by.
func (l *loader) witnesses() {
	w, policy := l.setup.Config.Witnesses, &l.setup.AskWitnesses
	if len(w.Members) == 0 {
		l.unless(w.Quorum == 0, "$.witnesses.quorum", "a quorum needs members")
		return
	}
	known := make(map[string]string) // organisations by key
	policy.Quorum.Need = w.Quorum
	for i, m := range w.Members {
		at := fmt.Sprintf("$.witnesses.members[%d]", i)
		l.unless(m.Organization != "" && len(m.Organization) <= 255, at, "say whose witness it is: its organisation, of at most 255 bytes")
		u, err := url.Parse(m.URL)
		l.unless(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil, at+".url", "is no address of a witness, such as https://audit.example")
		line := l.witness(at+".key", m.Key)
		keys, err := lognote.WitnessNoteVerifiers(line)
		if err != nil {
			if line != "" {
				l.doc.Add(at+".key", "%v", err)
			}
			continue
		}
		key := string(keys[0].Key())
		if of, twice := known[key]; twice {
			l.doc.Add(at+".key", "it is the key of another member, of %s: it would count twice", fault.Clip(of))
			continue
		}
		known[key] = m.Organization
		policy.Quorum.Members = append(policy.Quorum.Members, audit.QuorumMember{Witness: keys[0].Name(), Organization: m.Organization, BothTrees: m.BothTrees})
		policy.Ask = append(policy.Ask, witness.Asked{Witness: keys[0].Name(), URL: m.URL, Keys: keys})
		if !slices.Contains(l.setup.WitnessKeys, line) {
			l.setup.WitnessKeys = append(l.setup.WitnessKeys, line)
		}
	}
	if n := len(policy.Quorum.Members); n == len(w.Members) { // else the number of organisations is not known
		if err := policy.Quorum.Check(); err != nil {
			l.doc.Add("$.witnesses", "%v", err)
		}
	}
}

// checkTrust builds the verifier that serve builds at start, so that serve starts with every configuration that check accepts.
func (l *loader) checkTrust() {
	var faults verdict.Faults
	if _, err := verdict.NewTrust(l.setup.trustWithoutKeys()); err != nil && !errors.As(err, &faults) {
		l.doc.Add("$.trust", "%v", err)
	}
	for _, f := range faults {
		path := "$.trust" + strings.TrimPrefix(f.Path, "$")
		switch {
		case f.Path == "$.quorum":
			path = "$.witnesses"
		case strings.HasPrefix(path, "$.trust.evidence"):
			path = "$.trust.evidence" // a pattern may name several files
		case path == fmt.Sprintf("$.trust.status_lists[%d]", len(l.setup.Trust.StatusLists)): // ours
			path = "$.gateway.public_url"
		case strings.HasPrefix(path, "$.trust.usages") && l.setup.Unmade:
			continue // the anchor may be what is not made yet
		}
		at := l.doc.At(path)
		if !slices.ContainsFunc(l.faults, func(old fault.Fault) bool { return old.Place == at }) {
			l.doc.Add(path, "%s", f.Reason)
		}
	}
}

// readPEMs reads the certificates in a list of files of the trust.
func (l *loader) readPEMs(list string, names []string) (all []*pki.Certificate) {
	for i, name := range names {
		if certs, ok := l.certificates(fmt.Sprintf("$.trust.%s[%d]", list, i), name); ok {
			all = append(all, certs...)
		}
	}
	return all
}

// evidence reads kept revocation lists, OCSP responses and status lists. verdict tells which is which.
func (l *loader) evidence(patterns []string) {
	for i, pattern := range patterns {
		at := fmt.Sprintf("$.trust.evidence[%d]", i)
		l.looked = append(l.looked, pattern)
		names, err := filepath.Glob(pattern)
		l.unless(err == nil, at, "is no pattern of file names")
		for _, name := range names {
			if data, ok := l.bytes(at, name); ok {
				l.setup.Evidence = append(l.setup.Evidence, verdict.Artefact{Name: l.relative(name), Data: data}.Parts()...)
			}
		}
	}
}

// certificates reads a PEM file of certificates. Before init has run, a missing file is a warning.
func (l *loader) certificates(at, name string) ([]*pki.Certificate, bool) {
	l.looked = append(l.looked, name)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) && l.setup.Unmade {
		l.doc.Warn(at, "%s is not there yet; oncegate init makes it", l.relative(name))
		return nil, false
	}
	data, ok := l.bytes(at, name)
	if !ok {
		return nil, false
	}
	certs, err := pki.ParsePEM(data)
	if err != nil {
		l.doc.Add(at, "%s is no PEM file of SM2 certificates: %v", l.relative(name), err)
	}
	return certs, err == nil
}

// checkCertificates verifies the certificates of callers, asserters, identity services and our own keys.
func (l *loader) checkCertificates() {
	l.callers()
	l.asserters()
	l.vouchers()
	l.checkOwnKeys()
}

func (l *loader) callers() {
	l.setup.Callers = map[string]gateway.System{}
	for i, s := range l.setup.Systems {
		caller := gateway.System{ID: s.ID, Name: s.Name, Department: s.Department, Keys: map[string]gateway.Key{}, Rate: s.Rate, Burst: s.Burst, Share: s.Share}
		l.readKeys(fmt.Sprintf("$.systems[%d]", i), s.Certificates, pki.Call, l.uscc(s.Department), func(kid string, key gateway.Key) { caller.Keys[kid] = key })
		l.setup.Callers[s.ID] = caller
	}
}

// readKeys hands over the keys of certificates, each under its key id.
func (l *loader) readKeys(at string, names []string, usage, uscc string, add func(kid string, key gateway.Key)) {
	seen := map[string]bool{}
	for i, name := range names {
		at, kid := fmt.Sprintf("%s.certificates[%d]", at, i), KeyIDOf(name)
		if seen[kid] {
			l.doc.Add(at, "key id %q, the file's name without its ending, stands twice", fault.Clip(kid))
			continue
		}
		if key, ok := l.readChain(at, name, usage, uscc); ok {
			seen[kid] = true
			add(kid, key)
		}
	}
}

func (l *loader) asserters() {
	l.setup.Asserters = map[string]gateway.Asserter{}
	for i, a := range l.setup.Assertions {
		if a.Certificate == "" {
			continue
		}
		if key, ok := l.readChain(fmt.Sprintf("$.assertions[%d].certificate", i), a.Certificate, pki.Attest, ""); ok {
			l.setup.Asserters[a.Issuer] = gateway.Asserter{Name: a.Name, Key: key}
		}
	}
}

func (l *loader) vouchers() {
	l.setup.Vouchers = map[string]token.IdentityService{}
	for i, s := range l.setup.IdentityServices {
		service := token.IdentityService{Name: s.Name, Keys: map[string]token.ServiceKey{}, Systems: s.Systems, Roles: s.Roles}
		l.readKeys(fmt.Sprintf("$.identity_services[%d]", i), s.Certificates, pki.Attest, "", func(kid string, key gateway.Key) { service.Keys[kid] = token.ServiceKey(key) })
		l.setup.Vouchers[s.ID] = service
	}
}

// Subjects are the identity services by which holders sign in, each with the type of their codes.
func (s *Setup) Subjects() map[string]string {
	subjects := make(map[string]string)
	for _, service := range s.IdentityServices {
		if service.Subjects != "" {
			subjects[service.ID] = service.Subjects
		}
	}
	return subjects
}

// KeyIDOf is the key id (kid) that a certificate's file name stands for.
func KeyIDOf(name string) string {
	base := filepath.Base(name)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// uscc is the code of a department; "" if there is none.
func (l *loader) uscc(department string) string {
	for _, d := range l.setup.Departments {
		if d.ID == department {
			return d.USCC
		}
	}
	return ""
}

// readChain reads a certificate chain and verifies its path, its usage and the body that it belongs to; an empty uscc is any body. An
// expired certificate is a warning: the gateway refuses its calls and says so.
func (l *loader) readChain(at, name, usage, uscc string) (gateway.Key, bool) {
	certs, ok := l.certificates(at, name)
	if !ok || l.chains == nil {
		return gateway.Key{}, false
	}
	if problem, fatal := l.checkChain(certs, usage, uscc); problem != "" {
		l.doc.Add(at, "%s: %s", l.relative(name), problem)
		l.faults[len(l.faults)-1].Warning = !fatal
		if fatal {
			return gateway.Key{}, false
		}
	}
	pub, ok := certs[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || sm.CheckPublicKey(pub) != nil {
		l.doc.Add(at, "%s: the key is no SM2 key", l.relative(name))
		return gateway.Key{}, false
	}
	return gateway.Key{Public: pub, NotBefore: certs[0].NotBefore, NotAfter: certs[0].NotAfter}, true
}

// checkChain says what is wrong with a chain, leaf first; "" if nothing is.
func (l *loader) checkChain(certs []*pki.Certificate, usage, uscc string) (problem string, fatal bool) {
	leaf, err := l.chains.Chain(certs[0], certs[1:], l.now, usage)
	late := errors.Is(err, pki.ErrExpired) || errors.Is(err, pki.ErrNotYetValid)
	if late { // verify the rest at a time within its validity
		problem = validityProblem(certs[0], err)
		leaf, err = l.chains.Chain(certs[0], certs[1:], certs[0].NotAfter.Add(-1), usage)
	}
	switch {
	case errors.Is(err, pki.ErrUnknownAnchor):
		return "the certificate does not lead to any of the trust's anchors", true
	case errors.Is(err, pki.ErrWrongUsage):
		stated, where := l.usage(certs)
		return fmt.Sprintf("the certificate is for usage %q (%s), and %q is needed here", stated, where, usage), true
	case err != nil && !late:
		return err.Error(), true
	case uscc != "" && leaf.USCC != uscc && err == nil:
		return fmt.Sprintf("the certificate is of body %s, and the department is %s", leaf.USCC, uscc), true
	}
	return problem, false
}

// usage is what a certificate is for, and where it says so.
func (l *loader) usage(certs []*pki.Certificate) (usage, where string) {
	leaf, _ := l.chains.Describe(certs[0], certs[1:], l.now)
	switch l.setup.Usages[leaf.Anchor].From {
	case pki.FromEKU:
		return leaf.Usage, "extended key usage"
	case pki.FromPolicy:
		return leaf.Usage, "certificate policies"
	}
	return leaf.Usage, "subject OU"
}

func validityProblem(c *pki.Certificate, err error) string {
	if errors.Is(err, pki.ErrNotYetValid) {
		return fmt.Sprintf("the certificate is not valid before %s", c.NotBefore.UTC().Format("2006-01-02 15:04 MST"))
	}
	return fmt.Sprintf("the certificate, or an authority above it, has expired (its own last moment is %s)", c.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
}

// TrustConfig is the trust that verifiers of this gateway need: its log, its anchors, its callers, and whatever the configuration trusts.
func (s *Setup) TrustConfig(now func() time.Time) (verdict.TrustConfig, error) {
	signer, err := s.Keys.Signer(keystore.Log, "")
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	ed, err := s.Keys.Ed25519(keystore.Log, "")
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	vkey, err := lognote.MarshalVKey(s.Log.Origin, ed.Public().(ed25519.PublicKey))
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	t := s.trustWithoutKeys()
	t.Logs = []verdict.Log{{Origin: s.Log.Origin, SM2: signer.Public(), Ed25519: vkey}}
	t.Authorities, t.Now = s.AllAuthorities(), now
	for _, id := range slices.Sorted(maps.Keys(s.Callers)) {
		for _, kid := range slices.Sorted(maps.Keys(s.Callers[id].Keys)) {
			t.Callers = append(t.Callers, verdict.Caller{System: id, KeyID: kid, Key: s.Callers[id].Keys[kid].Public})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Vouchers)) {
		v := s.Vouchers[id]
		for _, kid := range slices.Sorted(maps.Keys(v.Keys)) {
			t.IdentityServices = append(t.IdentityServices, verdict.IdentityService{Service: id, KeyID: kid, Key: v.Keys[kid].Public, Systems: v.Systems, Roles: v.Roles})
		}
	}
	return t, nil
}

// trustWithoutKeys is the part of TrustConfig that needs no keystore.
func (s *Setup) trustWithoutKeys() verdict.TrustConfig {
	t := verdict.TrustConfig{
		Anchors: s.Anchors, Gateway: s.Gateway.ID, Witnesses: s.WitnessKeys, Quorum: s.AskWitnesses.Quorum, Known: s.Known, Usages: s.Usages,
		SealAnchors: s.SealAnchors, TimeStampAnchors: s.TimeStampAnchors, Authorities: s.Authorities, Evidence: s.Evidence,
	}
	for _, d := range s.Trust.Delegations {
		t.Delegations = append(t.Delegations, verdict.Delegation{Type: d.Type, TypeCode: s.typeCode(d.Type, d.TypeCode), Issuer: d.Issuer, Delegate: d.Delegate})
	}
	for _, i := range s.Trust.Issues {
		t.Issues = append(t.Issues, verdict.Issue{Type: i.Type, TypeCode: s.typeCode(i.Type, i.TypeCode), Issuers: i.Issuers})
	}
	for _, kind := range s.Catalogue.Types {
		sound := license.CheckTypeCode(kind.Code) == nil && !slices.ContainsFunc(kind.Issuers, func(code string) bool { return license.CheckUSCC(code) != nil })
		if sound && len(kind.Issuers) > 0 { // without issuers, anybody whose certificate says so
			t.Issues = append(t.Issues, verdict.Issue{Type: kind.ID, TypeCode: kind.Code, Issuers: kind.Issuers})
		}
	}
	for _, l := range s.Trust.StatusLists {
		until, _ := verdict.ParseEnd(l.NotAfter) // it was checked
		t.StatusLists = append(t.StatusLists, verdict.ListSigner{URIPrefix: l.URIPrefix, USCC: l.USCC, Fingerprint: l.Fingerprint, NotAfter: until})
	}
	own := register.ListsURL(s.Gateway.PublicURL)
	named := slices.ContainsFunc(t.StatusLists, func(l verdict.ListSigner) bool { return strings.TrimRight(l.URIPrefix, "/")+"/" == own })
	for _, d := range s.Departments {
		if d.ID == s.Gateway.Department && !named { // whose code stands in the certificate of our status lists
			t.StatusLists = append(t.StatusLists, verdict.ListSigner{URIPrefix: own, USCC: d.USCC})
		}
	}
	return t
}

// typeCode is the one that is written, or else the catalogue's; "" where neither says it.
func (s *Setup) typeCode(id, written string) string {
	if kind, ok := s.Catalogue.Type(id); ok && written == "" {
		return kind.Code
	}
	return written
}

// AllAuthorities are the intermediate certificate authorities: those that the configuration names and those above our own keys. Certificates
// in seals come without them.
func (s *Setup) AllAuthorities() []*pki.Certificate {
	all := slices.Clone(s.Authorities)
	for _, k := range s.Keys.List() {
		for _, der := range k.Chain[min(1, len(k.Chain)):] {
			c, err := pki.Parse(der)
			if err == nil && !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		}
	}
	return all
}
