package seal

import (
	"context"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/license"
)

// Steps of a verification, in order.
const (
	StepForm             = "seal-form"              // the DER and its version
	StepValues           = "seal-values"            // values that the standard does not know
	StepDataHash         = "seal-data-hash"         // dataHash is the digest of Signature.xml
	StepPropertyInfo     = "seal-property-info"     // propertyInfo is the path of Signature.xml
	StepSignature        = "seal-signature"         // the signer signed toSign
	StepMade             = "seal-made"              // the maker signed the seal
	StepListed           = "seal-signer-listed"     // the signer is on the seal's list
	StepSignerChain      = "seal-signer-chain"      // the signer's certificate leads to an anchor, valid at the time
	StepSignerUsage      = "seal-signer-usage"      // it is for sealing
	StepSignerRevocation = "seal-signer-revocation" //
	StepMakerChain       = "seal-maker-chain"       // the maker's certificate leads to an anchor, valid at the time
	StepMakerUsage       = "seal-maker-usage"       // it is for making seals
	StepMakerRevocation  = "seal-maker-revocation"  //
	StepPeriod           = "seal-period"            // the seal was valid at the time
	StepPeriodNow        = "seal-period-now"        // the seal is valid now
	StepStatus           = "seal-status"            // nobody has withdrawn the seal
	StepTime             = "seal-time"              // whether the time is proven; the hook's steps come after it
)

// Expect is what a verifier brings. Everything it leaves out makes a step not checkable, never ok.
type Expect struct {
	// DataHash is the SM3 of the Signature.xml as it lies in the package; nil when only the signature is at hand.
	DataHash []byte
	// PropertyInfo is the absolute path of that file; empty when only the signature is at hand.
	PropertyInfo string
	// Trust holds the anchors of signers and makers; nil when there are none.
	Trust *pki.Verifier
	// Intermediates are authorities between them: seals carry none.
	Intermediates []*pki.Certificate
	// Now is the moment of judging; zero means time.Now.
	Now time.Time
	// Verify checks SM2 signatures; nil means [sm.Verify].
	Verify sm.VerifyFunc
	// Revocation says whether a certificate was revoked at a time. chain is the leaf and the authorities that may be above
	// it. The step's name is set by the caller.
	Revocation func(ctx context.Context, chain []*pki.Certificate, at time.Time) license.Step
	// Status says whether the seal was withdrawn.
	Status func(ctx context.Context, s *Seal, at time.Time) license.Step
	// TimeStamp judges a token over signature and gives its time. The time is believed when none of the steps failed and
	// at least one is ok.
	TimeStamp func(token, signature []byte) (time.Time, []license.Step)
}

// A Report is what a verification found.
type Report struct {
	Steps     []license.Step // one of each Step constant, in order, then the time stamp's
	Signer    Party
	Maker     Party
	SealID    string
	SealName  string
	Time      time.Time // at which certificates and seal were judged; zero when the signature names none
	Stamped   bool      // Time is from a time stamp that holds; else it is what the signer says
	Signature *Signature
}

// Verify reads a signature and judges it. What cannot be read has a failed [StepForm] and nothing else checkable.
func Verify(ctx context.Context, der []byte, e Expect) *Report { return &Report{} }

// Verify judges a signature that was read.
func (s *Signature) Verify(ctx context.Context, e Expect) *Report { return &Report{} }
