package seal

import (
	"context"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Holder has a seal and a key that may use it (签章者).
type Holder struct {
	Seal        *Seal
	Signer      sm.Signer
	Certificate *pki.Certificate // of Signer's key, usage [pki.Seal]; on the seal's list
	Now         func() time.Time // nil means time.Now
	// Confirm checks the signature before it leaves; nil means [sm.Verify]. Give it both voices.
	Confirm sm.VerifyFunc
	// TimeStamp gets a time-stamp token over signature, which is the content of the BIT STRING (SM2Signature DER). Nil
	// means no time stamp. When it fails, signing fails.
	TimeStamp func(ctx context.Context, signature []byte) (token []byte, err error)
}

// Sign seals a document: dataHash is the SM3 of its Signature.xml, propertyInfo the absolute path of that file in the
// package. A signer who is not on the seal's list is ErrNotListed, a seal or certificate that is not valid now is
// ErrPeriod, a foreign key ErrKey.
func Sign(ctx context.Context, h Holder, dataHash [sm.DigestSize]byte, propertyInfo string) (*Signature, error) {
	return nil, ErrForm
}
