package timestamp

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Steps of a verification besides those of package cms, which stand between the policy and the time as "timestamp-digest",
// "timestamp-signer", "timestamp-signature", "timestamp-chain", "timestamp-usage" and "timestamp-revocation".
const (
	StepParse   = "timestamp-parse"   // it is a token
	StepImprint = "timestamp-imprint" // it is about this data
	StepNonce   = "timestamp-nonce"   // it answers this request; only where one was made
	StepPolicy  = "timestamp-policy"  // it was made by a policy that is accepted
	StepTime    = "timestamp-time"    // it does not come from the future
)

// tolerance is how far an authority's clock may be ahead of the verifier's.
const tolerance = 5 * time.Minute

// Verifier judges tokens. The zero value checks what needs no trust and reports the rest as not checkable.
type Verifier struct {
	// Chain says whether the authority's certificate led to an anchor at the token's time, as [pki.Verifier.Chain] does; it
	// is asked for usage [pki.TimeStamp], but what counts is the extended key usage: timeStamping, critical and alone.
	Chain func(leaf *pki.Certificate, intermediates []*pki.Certificate, at time.Time, usage string) (pki.Leaf, error)
	// Certificates of authorities are known besides those in the token.
	Certificates []*pki.Certificate
	// Policies that are accepted; nil means any.
	Policies []asn1.ObjectIdentifier
	// Revocation says how the authority's certificate stood; nil: not checkable.
	Revocation func(context.Context, cms.Evidence) (check.State, string)
	// VerifySM2 checks SM2 signatures; nil means [sm.Verify].
	VerifySM2 sm.VerifyFunc
	// Foreign also accepts tokens signed with RSA or ECDSA and SHA-2.
	Foreign bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Result of a verification.
type Result struct {
	Time   time.Time // genTime; zero when a step failed
	Info   Info      // zero when the token cannot be read
	Signer cms.Verdict
	Steps  []check.Step
}

// Check verifies a token over the value of a signature, or over any other data. The time is zero when a step failed. What
// could not be checked, such as a chain without anchors, does not fail: read the steps.
func (v *Verifier) Check(token, signature []byte) (time.Time, []check.Step) {
	r := v.Verify(context.Background(), token, signature, nil)
	return r.Time, r.Steps
}

// Verify is Check with a context for the revocation hook, and against the nonce of a request if it is not nil.
func (v *Verifier) Verify(ctx context.Context, token, data []byte, nonce *big.Int) (r Result) {
	t, err := ParseToken(token)
	r.add(StepParse, err, "")
	if err != nil {
		return r
	}
	r.Info = t.Info
	want, err := ImprintOf(t.Imprint.Algorithm, data)
	if err == nil && !want.Equal(t.Imprint) {
		err = errors.New("the token is about other data")
	}
	r.add(StepImprint, err, "")
	if nonce != nil {
		err = nil
		if t.Nonce == nil || t.Nonce.Cmp(nonce) != 0 {
			err = errors.New("the token does not answer this request: another nonce, or none")
		}
		r.add(StepNonce, err, "")
	}
	err = nil
	if v.Policies != nil && !slices.ContainsFunc(v.Policies, t.Policy.Equal) {
		err = fmt.Errorf("policy %v is not accepted", t.Policy)
	}
	r.add(StepPolicy, err, "policy "+t.Policy.String())

	m := cms.Verifier{
		Name: "timestamp", Chain: v.Chain, Usage: pki.TimeStamp, Certificates: v.Certificates, Revocation: v.Revocation,
		VerifySM2: v.VerifySM2, Foreign: v.Foreign, Bound: true, Now: v.Now,
		Usages: func(c *pki.Certificate) error { return CheckAuthority(c, t.Name) },
	}
	signed := m.Judge(ctx, t.Message, nil, t.Time)
	r.Signer = signed.Signers[0] // ParseToken saw exactly one
	r.Steps = append(r.Steps, r.Signer.Steps...)

	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	err = nil
	if t.Time.After(now.Add(tolerance)) {
		err = errors.New("the token's time is in the future")
	}
	r.add(StepTime, err, t.Time.Format(time.RFC3339Nano))
	if r.Failure() == nil {
		r.Time = t.Time
	}
	return r
}

// Failure is nil when no step failed, else says which did.
func (r *Result) Failure() error {
	if s, found := check.FirstFailed(r.Steps); found {
		return fmt.Errorf("%s: %s", s.Name, s.Reason)
	}
	return nil
}

func (r *Result) add(name string, err error, note string) {
	s := check.Pass(name, note)
	if err != nil {
		s = check.Fail(name, err.Error())
	}
	r.Steps = append(r.Steps, s)
}

var extendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// CheckAuthority checks what RFC 3161 section 2.3 asks of an authority's certificate; and that it is the authority's that the
// token names, if it names one.
func CheckAuthority(c *pki.Certificate, name []byte) error {
	critical := slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(extendedKeyUsage) && e.Critical })
	switch {
	case !critical || len(c.UnknownExtKeyUsage) > 0 || !slices.Equal(c.ExtKeyUsage, []smx509.ExtKeyUsage{smx509.ExtKeyUsageTimeStamping}):
		return errors.New("the certificate's extended key usage is not timeStamping, critical and alone")
	case c.KeyUsage&^(smx509.KeyUsageDigitalSignature|smx509.KeyUsageContentCommitment) != 0:
		return errors.New("the certificate's key is for more than signing")
	case name != nil && !bytes.Equal(name, c.RawSubject):
		return errors.New("the token names another authority than its certificate")
	}
	return nil
}
