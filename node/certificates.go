package node

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/gateway"
	"oncegate/license"
)

// anchors reads whom the gateway believes.
func (l *loader) anchors() {
	t := l.setup.Trust
	l.unless(len(t.Anchors) > 0, "$.trust.anchors", "there is no anchor: no certificate could be believed")
	l.setup.Anchors = l.pems("anchors", t.Anchors)
	l.setup.SealAnchors = l.pems("seal_anchors", t.Seals)
	l.setup.TimeStampAnchors = l.pems("timestamp_anchors", t.TimeStamps)
	l.setup.Authorities = l.pems("authorities", t.Authorities)
	l.evidence(t.Evidence)
	for i, c := range t.Certificates {
		at := fmt.Sprintf("$.trust.certificates[%d]", i)
		l.unless(len(c.Fingerprint) == 64 && strings.Trim(c.Fingerprint, "0123456789abcdef") == "", at+".fingerprint", "the SM3 of the DER is required, 64 lower-case hex digits")
		l.unless(license.CheckUSCC(c.USCC) == nil, at+".uscc", "not a unified social credit code (统一社会信用代码)")
		l.unless(c.Usage != "", at+".usage", "the usage is missing")
		l.setup.Known[c.Fingerprint] = pki.Known{USCC: c.USCC, Usage: c.Usage}
	}
	for i, d := range t.Delegations {
		at := fmt.Sprintf("$.trust.delegations[%d]", i)
		_, known := l.setup.Catalogue.Type(d.Type)
		l.unless(known || len(l.setup.Catalogue.Types) == 0, at+".type", "there is no license type %q", clip(d.Type))
		l.unless(license.CheckUSCC(d.Issuer) == nil, at+".issuer", "not a unified social credit code (统一社会信用代码)")
		l.unless(license.CheckUSCC(d.Delegate) == nil, at+".delegate", "not a unified social credit code (统一社会信用代码)")
	}
	if len(l.setup.Anchors) == 0 {
		return
	}
	var err error
	if l.chains, err = pki.NewVerifier(pki.Trust{Anchors: l.setup.Anchors, Known: l.setup.Known, Confirm: confirm}); err != nil {
		l.doc.add("$.trust.anchors", "%v", err)
	}
}

// pems reads the certificates in a list of files of the trust.
func (l *loader) pems(list string, names []string) (all []*pki.Certificate) {
	for i, name := range names {
		if certs, ok := l.certificates(fmt.Sprintf("$.trust.%s[%d]", list, i), name); ok {
			all = append(all, certs...)
		}
	}
	return all
}

// evidence reads what was kept of what authorities said; client says what it is.
func (l *loader) evidence(patterns []string) {
	for i, pattern := range patterns {
		at := fmt.Sprintf("$.trust.evidence[%d]", i)
		names, err := filepath.Glob(pattern)
		l.unless(err == nil, at, "is no pattern of file names")
		for _, name := range names {
			if data, ok := l.bytes(at, name); ok {
				l.setup.Evidence = append(l.setup.Evidence, client.Artefact{Name: l.relative(name), Data: data}.Parts()...)
			}
		}
	}
}

// certificates reads a PEM file of certificates. While nothing was made yet, one that is missing is no fault.
func (l *loader) certificates(at, name string) ([]*pki.Certificate, bool) {
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) && l.setup.Unmade {
		l.doc.warn(at, "%s is not there yet; oncegate init makes it", l.relative(name))
		return nil, false
	}
	data, ok := l.bytes(at, name)
	if !ok {
		return nil, false
	}
	certs, err := pki.ParsePEM(data)
	if err != nil {
		l.doc.add(at, "%s is no PEM file of SM2 certificates: %v", l.relative(name), err)
	}
	return certs, err == nil
}

// checkCertificates verifies the certificates of callers, asserters and our own keys.
func (l *loader) checkCertificates() {
	l.callers()
	l.asserters()
	l.checkOwnKeys()
}

func (l *loader) callers() {
	l.setup.Callers = map[string]gateway.System{}
	for i, s := range l.setup.Systems {
		caller := gateway.System{ID: s.ID, Name: s.Name, Department: s.Department, Keys: map[string]gateway.Key{}, Rate: s.Rate, Burst: s.Burst}
		for j, name := range s.Certificates {
			at := fmt.Sprintf("$.systems[%d].certificates[%d]", i, j)
			kid := keyIDOf(name)
			if _, twice := caller.Keys[kid]; twice {
				l.doc.add(at, "key id %q, the file's name without its ending, stands twice", clip(kid))
				continue
			}
			if key, ok := l.verified(at, name, pki.Call, l.uscc(s.Department)); ok {
				caller.Keys[kid] = key
			}
		}
		l.setup.Callers[s.ID] = caller
	}
}

func (l *loader) asserters() {
	l.setup.Asserters = map[string]gateway.Asserter{}
	for i, a := range l.setup.Assertions {
		if a.Certificate == "" {
			continue
		}
		if key, ok := l.verified(fmt.Sprintf("$.assertions[%d].certificate", i), a.Certificate, pki.Attest, ""); ok {
			l.setup.Asserters[a.Issuer] = gateway.Asserter{Name: a.Name, Key: key}
		}
	}
}

// keyIDOf is the key id (kid) that a certificate's file name stands for.
func keyIDOf(name string) string {
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

// verified reads a certificate chain and holds it against the anchors, its usage, and the body it must belong to; an
// empty uscc is any body. One that is out of its dates is a warning: the gateway refuses its calls and says so.
func (l *loader) verified(at, name, usage, uscc string) (gateway.Key, bool) {
	certs, ok := l.certificates(at, name)
	if !ok || l.chains == nil {
		return gateway.Key{}, false
	}
	if problem, fatal := l.holds(certs, usage, uscc); problem != "" {
		l.doc.add(at, "%s: %s", l.relative(name), problem)
		l.doc.faults[len(l.doc.faults)-1].Warning = !fatal
		if fatal {
			return gateway.Key{}, false
		}
	}
	pub, ok := certs[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || sm.CheckPublicKey(pub) != nil {
		l.doc.add(at, "%s: the key is no SM2 key", l.relative(name))
		return gateway.Key{}, false
	}
	return gateway.Key{Public: pub, NotBefore: certs[0].NotBefore, NotAfter: certs[0].NotAfter}, true
}

// holds says what is wrong with a chain, leaf first; "" if nothing is.
func (l *loader) holds(certs []*pki.Certificate, usage, uscc string) (problem string, fatal bool) {
	leaf, err := l.chains.Chain(certs[0], certs[1:], l.now, usage)
	late := errors.Is(err, pki.ErrExpired) || errors.Is(err, pki.ErrNotYetValid)
	if late { // look at the rest of it as of a moment within its dates
		problem = lateness(certs[0], err)
		leaf, err = l.chains.Chain(certs[0], certs[1:], certs[0].NotAfter.Add(-1), usage)
	}
	switch {
	case errors.Is(err, pki.ErrUnknownAnchor):
		return "the certificate does not lead to any of the trust's anchors", true
	case errors.Is(err, pki.ErrWrongUsage):
		return fmt.Sprintf("the certificate is for usage %q (subject OU), and %q is needed here", strings.Join(certs[0].Subject.OrganizationalUnit, "+"), usage), true
	case err != nil && !late:
		return err.Error(), true
	case uscc != "" && leaf.USCC != uscc && err == nil:
		return fmt.Sprintf("the certificate is of body %s, and the department is %s", leaf.USCC, uscc), true
	}
	return problem, false
}

func lateness(c *pki.Certificate, err error) string {
	if errors.Is(err, pki.ErrNotYetValid) {
		return fmt.Sprintf("the certificate is not valid before %s", c.NotBefore.UTC().Format("2006-01-02 15:04 MST"))
	}
	return fmt.Sprintf("the certificate, or an authority above it, has expired (its own last moment is %s)", c.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
}
