package cms

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Steps of a verification, in this order; each stands after [Verifier.Name] and "-". From the second signer on a number
// follows: "cms-signature-2".
const (
	StepParse      = "parse"      // the message is a SignedData
	StepDigest     = "digest"     // the signed attributes are about this content
	StepSigner     = "signer"     // the signer's certificate is there, and is the one meant
	StepSignature  = "signature"  // its key made the signature
	StepTimeStamp  = "timestamp"  // a token beside the signature says when it existed; only where there is one
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
	// Bound demands that the signed attributes name the certificate (signingCertificate or signingCertificateV2), as RFC 3161
	// section 2.4.2 does of time stamps.
	Bound bool
	// Digest is the SM3 of what a detached message may be about instead of the content: its messageDigest may be this itself. The
	// signatures of OFD (type Sign) are over the SM3 of Signature.xml or over Signature.xml, and their judge has the digest.
	Digest []byte
	// Certificates are known besides those in the message.
	Certificates []*pki.Certificate
	// Revocation says how the signer's certificate stood; nil: not checkable.
	Revocation func(context.Context, Evidence) (check.State, string)
	// TimeStamp judges a token over a signature, as timestamp.Verifier.Check does; nil: not checkable.
	TimeStamp func(token, signature []byte) (time.Time, []check.Step)
	// VerifySM2 checks SM2 signatures; nil means [sm.Verify].
	VerifySM2 sm.VerifyFunc
	// Foreign also accepts RSA and ECDSA with SHA-2: for time stamps from abroad. SM2 alone otherwise.
	Foreign bool
	// Now is the time for messages that name none; nil means time.Now.
	Now func() time.Time
}

// Evidence is what is known about one signer's certificate when its revocation is judged.
type Evidence struct {
	Certificate     *pki.Certificate
	Above           []*pki.Certificate // those that may have issued it, from the message
	pki.SigningTime                    // when it must not have been revoked
	CRLs, OCSP      [][]byte           // from the message, unverified
	Unsigned        []Attribute        // of the signer, such as further evidence
}

// Result of a verification. It holds when no step failed, and proves what those that are OK say.
type Result struct {
	Message *Message // nil when it could not be parsed
	Content []byte   // what was signed, from the message or from the caller
	Signers []Verdict
	Steps   []check.Step // all of them, signer after signer
}

// Verdict is what was found about one signer.
type Verdict struct {
	Certificate *pki.Certificate // nil when it is not there
	Leaf        pki.Leaf         // zero unless the chain held at Time and the usage is right
	Time        time.Time        // for which it was judged
	Claimed     bool             // Time is the signer's own word
	Stamped     bool             // Time is a time stamp's
	Steps       []check.Step

	judgedAt pki.SigningTime // Time, with its source
}

// Verify reads and judges a message: [Parse], then [Verifier.Judge].
func (v *Verifier) Verify(ctx context.Context, message, content []byte, at time.Time) Result {
	m, err := Parse(message)
	if err != nil {
		return Result{Steps: []check.Step{v.step(StepParse, 0, err)}}
	}
	return v.Judge(ctx, m, content, at)
}

// Judge judges a message. For a detached one content is what it is about; for an attached one content is nil, or the same.
// Certificates are judged for the time at, which somebody else than the signer vouches for, such as a time stamp; zero means the
// time of the token beside the signature if that holds, else the signing time that the signer claims, and where it claims none,
// now. Which of these it is decides what an expired or revoked certificate means: [pki.SigningTime]. Once ctx has ended, the steps of
// the signers left say so.
func (v *Verifier) Judge(ctx context.Context, m *Message, content []byte, at time.Time) Result {
	r := Result{Message: m, Content: m.Content}
	if m.Detached {
		r.Content = content
	}
	if len(m.Signers) == 0 {
		r.Steps = []check.Step{v.step(StepParse, 0, errors.New("the message has no signer"))}
		return r
	}
	r.Steps = []check.Step{v.step(StepParse, 0, nil)}
	whole := m.whole(content)
	digests := &contentDigests{content: r.Content}
	for i := range m.Signers {
		j := judgement{Verifier: v, contentDigests: digests, m: m, s: &m.Signers[i], n: i}
		j.judge(ctx, whole, at)
		r.Signers = append(r.Signers, j.d)
		r.Steps = append(r.Steps, j.d.Steps...)
	}
	return r
}

// judgement is the verification of one signer.
type judgement struct {
	*Verifier
	*contentDigests // of what it is held against
	m               *Message
	s               *Signer
	n               int // which signer, from 0
	d               Verdict
}

func (j *judgement) add(step string, err error) {
	j.d.Steps = append(j.d.Steps, j.step(step, j.n, err))
}

func (j *judgement) put(step string, state check.State, reason string) {
	j.d.Steps = append(j.d.Steps, check.Step{Name: j.name(step, j.n), State: state, Reason: reason})
}

// judge goes through the steps; whole says whether there is one content.
func (j *judgement) judge(ctx context.Context, whole error, at time.Time) {
	if err := sm.Interrupted(ctx); err != nil {
		whole = err
	}
	if whole == nil {
		whole = j.covers()
	}
	j.add(StepDigest, whole)
	stamp := j.stamped(j.s, j.n)
	j.d.judgedAt = j.signingTime(j.s, at, stamp.at)
	j.d.Time, j.d.Claimed = j.d.judgedAt.At, j.d.judgedAt.Source == pki.Claimed
	j.d.Stamped = j.d.judgedAt.Source == pki.Stamped && at.IsZero()
	var err error
	j.d.Certificate, err = j.find(j.m, j.s)
	j.add(StepSigner, err)
	if j.d.Certificate == nil {
		for _, step := range []string{StepSignature, StepChain, StepUsage, StepRevocation} {
			j.put(step, check.NotCheckable, "the signer's certificate is not known")
		}
		return
	}
	j.signature()
	if stamp.step.Name != "" {
		j.d.Steps = append(j.d.Steps, stamp.step)
	}
	above := pki.Above(j.d.Certificate, j.m.Certificates, j.Certificates)
	j.trust(above)
	j.revocation(ctx, above)
}

func (j *judgement) signature() {
	if j.m.Detached && j.content == nil && len(j.s.Signed) == 0 {
		j.put(StepSignature, check.NotCheckable, "the content is not there")
		return
	}
	verify := j.VerifySM2
	if verify == nil {
		verify = sm.Verify
	}
	note, err := j.s.check(j.d.Certificate, j.s.signedOctets(j.content), verify, j.Foreign)
	if err != nil {
		j.add(StepSignature, err)
		return
	}
	j.put(StepSignature, check.OK, note)
}

// revocation asks whether the signer's certificate was revoked.
func (j *judgement) revocation(ctx context.Context, above []*pki.Certificate) {
	if j.Revocation == nil {
		j.put(StepRevocation, check.NotCheckable, "no revocation service or list was given")
		return
	}
	state, reason := j.Revocation(ctx, Evidence{j.d.Certificate, above, j.d.judgedAt, j.m.CRLs, j.m.OCSP, j.s.Unsigned})
	j.put(StepRevocation, state, reason)
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

// step is the step of a signer that err decides.
func (v *Verifier) step(name string, signer int, err error) check.Step {
	return check.Result(v.name(name, signer), err)
}

// whole says whether there is exactly one content to judge.
func (m *Message) whole(content []byte) error {
	switch {
	case m.Detached && content == nil:
		return errors.New("the message has no content inside, and none was given")
	case !m.Detached && content != nil && !bytes.Equal(m.Content, content):
		return errors.New("the content inside is not the content given")
	}
	return nil
}

// covers checks that what was signed is about the content.
func (j *judgement) covers() error {
	s := j.s
	if len(s.Signed) == 0 {
		if !isData(j.m.ContentType) {
			return errors.New("a content that is not plain octets needs signed attributes")
		}
		if looksSigned(j.content) {
			return errAttributes
		}
		return nil
	}
	var kind asn1.ObjectIdentifier
	v, ok := s.attribute(oidContentType)
	if rest, err := asn1.Unmarshal(v, &kind); !ok || err != nil || len(rest) > 0 || !kind.Equal(j.m.ContentType) && !(isData(kind) && isData(j.m.ContentType)) {
		return errors.New("the signed attributes are about another type of content")
	}
	want, err := j.digest(s.DigestAlgorithm)
	if err != nil {
		return err
	}
	var digest []byte
	v, ok = s.attribute(oidMessageDigest)
	if rest, err := asn1.Unmarshal(v, &digest); !ok || err != nil || len(rest) > 0 {
		return errContent
	}
	ofContent := subtle.ConstantTimeCompare(digest, want) == 1
	known := j.m.Detached && s.DigestAlgorithm.Equal(SM3) && len(j.Digest) == sm.DigestSize && subtle.ConstantTimeCompare(digest, j.Digest) == 1
	if !ofContent && !known {
		return errContent
	}
	return nil
}

var (
	errContent = errors.New("the content is not the one that was signed")
	// errAttributes: else the attributes of one message could be shown as the content of another, under the same signature, and
	// the content of one as the attributes of another.
	errAttributes = errors.New("the content is a set of signed attributes, which is never signed without attributes of its own")
)

// isData tells whether a content type means plain octets. The two families name it differently, and some mix them: software in
// use writes one beside the attribute contentType of the other.
func isData(kind asn1.ObjectIdentifier) bool { return kind.Equal(GM.Data()) || kind.Equal(RFC.Data()) }

// A contentDigests holds the digests of one content, each made once however many signers name it.
type contentDigests struct {
	content []byte
	known   map[string][]byte
}

func (d *contentDigests) digest(of asn1.ObjectIdentifier) ([]byte, error) {
	if sum, ok := d.known[of.String()]; ok {
		return sum, nil
	}
	h, err := NewHash(of)
	if err != nil {
		return nil, err
	}
	h.Write(d.content)
	sum := h.Sum(nil)
	if d.known == nil {
		d.known = make(map[string][]byte)
	}
	d.known[of.String()] = sum
	return sum, nil
}

// looksSigned tells whether content is a SET that begins with an Attribute: what a signature covers when there are signed
// attributes (RFC 5652 section 5.4). Whether it is a set that we would read does not matter, because others may.
func looksSigned(content []byte) bool {
	in := der.Read(content, ErrMalformed)
	set := in.Set("attributes")
	in.End("attributes")
	attribute := set.Sequence("attributes")
	attribute.Content(der.OID, "attributes")
	return in.Err() == nil
}

// signingTime is the time for which a signer's certificate is judged. The caller's time goes first, then that of the time stamp, which is zero
// when none holds, then the signer's own.
func (v *Verifier) signingTime(s *Signer, given, stamped time.Time) pki.SigningTime {
	claimed, ok := s.SigningTime()
	switch {
	case !given.IsZero():
		return pki.SigningTime{At: given, Source: pki.Stamped}
	case !stamped.IsZero():
		return pki.SigningTime{At: stamped, Source: pki.Stamped}
	case ok:
		return pki.SigningTime{At: claimed, Source: pki.Claimed}
	}
	return pki.SigningTime{At: v.now(), Source: pki.Unstated}
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// stamp is what was found about the token beside a signature; its step has no name when there is none.
type stamp struct {
	at   time.Time
	step check.Step
}

// stamped judges that token, by [pki.StampState].
func (v *Verifier) stamped(s *Signer, signer int) stamp {
	token, name := s.TimeStamp(), v.name(StepTimeStamp, signer)
	switch {
	case token == nil:
		return stamp{}
	case v.TimeStamp == nil:
		return stamp{step: check.CannotCheck(name, "no time stamp verifier was given")}
	}
	at, steps := v.TimeStamp(token, s.Signature)
	state, by := pki.StampState(at, steps)
	switch {
	case state == check.OK:
		return stamp{at, check.Pass(name, "signed by "+at.UTC().Format(time.RFC3339))}
	case by.Name == "":
		return stamp{step: check.CannotCheck(name, "the time stamp could not be checked to its end")}
	}
	return stamp{step: check.Step{Name: name, State: state, Reason: by.Name + ": " + by.Reason}}
}
