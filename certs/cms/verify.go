package cms

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/license"
)

// Steps of a verification, in this order; each stands after [Verifier.Name] and "-". From the second signer on a number
// follows: "cms-signature-2".
const (
	StepParse      = "parse"      // the message is a SignedData
	StepDigest     = "digest"     // the signed attributes are about this content
	StepSigner     = "signer"     // the signer's certificate is there, and is the one meant
	StepSignature  = "signature"  // its key made the signature
	StepChain      = "chain"      // it led to an anchor at the signing time
	StepUsage      = "usage"      // it was for this
	StepRevocation = "revocation" // it was not revoked at that time
)

// Verifier judges messages. The zero value checks what needs no trust; it reports the rest as not checkable.
type Verifier struct {
	// Name begins the name of every step; empty means "cms".
	Name string
	// Chain says whether a certificate led to an anchor at a time, as [pki.Verifier.Chain] does; nil: not checkable.
	Chain func(leaf *pki.Certificate, intermediates []*pki.Certificate, at time.Time, usage string) (pki.Leaf, error)
	// Usage is what the signer's certificate must be for, as pki names it (subject OU, or what trust says). Usages, when not
	// nil, judges the certificate instead.
	Usage  string
	Usages func(*pki.Certificate) error
	// Certificates are known besides those in the message.
	Certificates []*pki.Certificate
	// Revocation says how the signer's certificate stood; nil: not checkable.
	Revocation func(context.Context, Evidence) (license.StepState, string)
	// Voice checks SM2 signatures; nil means [sm.Verify].
	Voice sm.VerifyFunc
	// Foreign also accepts RSA and ECDSA with SHA-2: for time stamps from abroad. SM2 alone otherwise.
	Foreign bool
	// Now is the time for messages that name none; nil means time.Now.
	Now func() time.Time
}

// Evidence is what is known about one signer's certificate when its revocation is judged.
type Evidence struct {
	Certificate *pki.Certificate
	Above       []*pki.Certificate // those that may have issued it, from the message
	At          time.Time          // when it must not have been revoked
	CRLs, OCSP  [][]byte           // from the message, unverified
}

// Result of a verification. It holds when no step failed, and proves what those that are OK say.
type Result struct {
	Message *Message // nil when it could not be parsed
	Content []byte   // what was signed, from the message or from the caller
	Signers []Verdict
	Steps   []license.Step // all of them, signer after signer
}

// Verdict is what was found about one signer.
type Verdict struct {
	Certificate *pki.Certificate // nil when it is not there
	Leaf        pki.Leaf         // zero unless the chain holds and the usage is right
	Time        time.Time        // for which it was judged
	Claimed     bool             // Time is the signer's own word
	Steps       []license.Step
}

// Verify reads and judges a message: [Parse], then [Verifier.Judge].
func (v *Verifier) Verify(ctx context.Context, message, content []byte, at time.Time) Result {
	m, err := Parse(message)
	if err != nil {
		return Result{Steps: []license.Step{v.step(StepParse, 0, err)}}
	}
	return v.Judge(ctx, m, content, at)
}

// Judge judges a message. For a detached one content is what it is about; for an attached one content is nil, or the same.
// Certificates are judged for the time at, such as a time stamp's; zero means the signing time that the signer claims, and
// where it claims none, now.
func (v *Verifier) Judge(ctx context.Context, m *Message, content []byte, at time.Time) Result {
	r := Result{Message: m, Content: m.Content}
	if m.Detached {
		r.Content = content
	}
	if len(m.Signers) == 0 {
		r.Steps = []license.Step{v.step(StepParse, 0, errors.New("nobody signed the message"))}
		return r
	}
	r.Steps = []license.Step{v.step(StepParse, 0, nil)}
	whole := v.content(m, content)
	for i := range m.Signers {
		d := v.signer(ctx, m, &m.Signers[i], i, r.Content, whole, at)
		r.Signers = append(r.Signers, d)
		r.Steps = append(r.Steps, d.Steps...)
	}
	return r
}

// content says whether there is exactly one content to judge.
func (v *Verifier) content(m *Message, content []byte) error {
	switch {
	case m.Detached && content == nil:
		return errors.New("the message has no content inside, and none was given")
	case !m.Detached && content != nil && !bytes.Equal(m.Content, content):
		return errors.New("the content inside is not the content given")
	}
	return nil
}

func (v *Verifier) signer(ctx context.Context, m *Message, s *Signer, i int, content []byte, whole error, at time.Time) (d Verdict) {
	add := func(name string, err error) { d.Steps = append(d.Steps, v.step(name, i, err)) }
	put := func(name string, state license.StepState, reason string) {
		d.Steps = append(d.Steps, license.Step{Name: v.name(name, i), State: state, Reason: reason})
	}
	if whole == nil {
		whole = s.covers(m, content)
	}
	add(StepDigest, whole)
	d.Time, d.Claimed = v.time(s, at)
	var err error
	if d.Certificate, err = v.find(m, s); err != nil {
		add(StepSigner, err)
		for _, name := range []string{StepSignature, StepChain, StepUsage, StepRevocation} {
			put(name, license.NotCheckable, "the signer's certificate is not known")
		}
		return d
	}
	add(StepSigner, nil)
	voice := v.Voice
	if voice == nil {
		voice = sm.Verify
	}
	if m.Detached && content == nil && len(s.Signed) == 0 {
		put(StepSignature, license.NotCheckable, "the content is not there")
	} else {
		add(StepSignature, s.check(d.Certificate, s.signedOctets(content), voice, v.Foreign))
	}
	above := above(d.Certificate, append(m.Certificates[:len(m.Certificates):len(m.Certificates)], v.Certificates...))
	v.trust(&d, above, add, put)
	if v.Revocation == nil {
		put(StepRevocation, license.NotCheckable, "no revocation service or list was given")
		return d
	}
	state, reason := v.Revocation(ctx, Evidence{d.Certificate, above, d.Time, m.CRLs, m.OCSP})
	put(StepRevocation, state, reason)
	return d
}

// trust judges chain and usage, which are two questions to one chain: a certificate for another usage may well lead to an
// anchor.
func (v *Verifier) trust(d *Verdict, above []*pki.Certificate, add func(string, error), put func(string, license.StepState, string)) {
	usage := func() error { return nil }
	if v.Usages != nil {
		usage = func() error { return v.Usages(d.Certificate) }
	}
	if v.Chain == nil {
		put(StepChain, license.NotCheckable, "no trust anchors were given")
		if v.Usages == nil {
			put(StepUsage, license.NotCheckable, "no trust anchors were given")
			return
		}
		add(StepUsage, usage())
		return
	}
	leaf, err := v.Chain(d.Certificate, above, d.Time, v.Usage)
	isOther := errors.Is(err, pki.ErrWrongUsage) || errors.Is(err, pki.ErrNoUSCC)
	if err != nil && !isOther {
		add(StepChain, err)
		if v.Usages == nil {
			put(StepUsage, license.NotCheckable, "the certificate's word counts only when it leads to an anchor")
			return
		}
		add(StepUsage, usage())
		return
	}
	put(StepChain, license.OK, d.when())
	if v.Usages != nil {
		err = usage()
	}
	add(StepUsage, err)
	if err == nil {
		d.Leaf = leaf
	}
}

// when says at which time the chain was judged.
func (d *Verdict) when() string {
	at := d.Time.UTC().Format(time.RFC3339)
	if d.Claimed {
		return "valid at " + at + ", the time that the signer claims"
	}
	return "valid at " + at
}

func (v *Verifier) time(s *Signer, at time.Time) (time.Time, bool) {
	if !at.IsZero() {
		return at, false
	}
	if claimed, ok := s.SigningTime(); ok {
		return claimed, true
	}
	if v.Now != nil {
		return v.Now(), false
	}
	return time.Now(), false
}

// covers checks that what was signed is about content.
func (s *Signer) covers(m *Message, content []byte) error {
	if len(s.Signed) == 0 {
		if !m.ContentType.Equal(GM.Data()) && !m.ContentType.Equal(RFC.Data()) { // some mix the dialects
			return errors.New("a content that is not plain octets needs signed attributes")
		}
		if looksSigned(content) {
			// Else the attributes of one message could be shown as the content of another, under the same signature.
			return errors.New("the content is a set of signed attributes taken from another message")
		}
		return nil
	}
	var kind asn1.ObjectIdentifier
	v, ok := s.attribute(oidContentType)
	if rest, err := asn1.Unmarshal(v, &kind); !ok || err != nil || len(rest) > 0 || !kind.Equal(m.ContentType) {
		return errors.New("the signed attributes are about another type of content")
	}
	h, err := NewHash(s.DigestAlgorithm)
	if err != nil {
		return err
	}
	h.Write(content)
	var digest []byte
	v, ok = s.attribute(oidMessageDigest)
	if rest, err := asn1.Unmarshal(v, &digest); !ok || err != nil || len(rest) > 0 || subtle.ConstantTimeCompare(digest, h.Sum(nil)) != 1 {
		return errors.New("the content is not the one that was signed")
	}
	return nil
}

// looksSigned tells whether content is a DER SET of attributes with a message digest.
func looksSigned(content []byte) bool {
	var set asn1.RawValue
	if rest, err := asn1.Unmarshal(content, &set); err != nil || len(rest) > 0 || content[0] != tagSet {
		return false
	}
	list, err := readAttributes(set.Bytes)
	if err != nil {
		return false
	}
	_, ok := (&Signer{Signed: list}).attribute(oidMessageDigest)
	return ok
}

// find returns the certificate that the signer names, and that its attributes, if they do, name too.
func (v *Verifier) find(m *Message, s *Signer) (*pki.Certificate, error) {
	reason := errors.New("the certificate that the signer names is neither in the message nor known")
	for _, list := range [][]*pki.Certificate{m.Certificates, v.Certificates} {
		for _, c := range list {
			if !s.identifies(c) {
				continue
			}
			_, err := s.bound(c)
			if err == nil {
				return c, nil
			}
			reason = err
		}
	}
	return nil, reason
}

// maxAbove is how many authorities a chain can need, and pki takes.
const maxAbove = 5

// above returns those of certs that may stand above c, nearest first. Self-signed ones are left out: anchors come from the
// verifier.
func above(c *pki.Certificate, certs []*pki.Certificate) []*pki.Certificate {
	var out []*pki.Certificate
	taken := map[*pki.Certificate]bool{c: true}
	for next := []*pki.Certificate{c}; len(next) > 0; next = next[1:] {
		for _, issuer := range certs {
			if taken[issuer] || !bytes.Equal(next[0].RawIssuer, issuer.RawSubject) || bytes.Equal(issuer.RawIssuer, issuer.RawSubject) {
				continue
			}
			if len(out) == maxAbove {
				return out
			}
			taken[issuer] = true
			out, next = append(out, issuer), append(next, issuer)
		}
	}
	return out
}

func (v *Verifier) name(step string, signer int) string {
	name := v.Name
	if name == "" {
		name = "cms"
	}
	if name += "-" + step; signer > 0 {
		name += fmt.Sprintf("-%d", signer+1)
	}
	return name
}

// step is OK, or failed because of err.
func (v *Verifier) step(name string, signer int, err error) license.Step {
	if err != nil {
		return license.Step{Name: v.name(name, signer), State: license.Failed, Reason: err.Error()}
	}
	return license.Step{Name: v.name(name, signer), State: license.OK}
}
