package seal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
)

// maxToken bounds a time-stamp token in bytes: one with a whole chain inside has 5 kB.
const maxToken = 128 << 10

// A Holder has a seal and a key that may use it (签章者).
type Holder struct {
	Seal        *Seal // of version 4
	Signer      sm.Signer
	Certificate *pki.Certificate // of Signer's key, usage [pki.Seal]; on the seal's list
	Now         func() time.Time // nil means time.Now
	// VerifyBoth checks the signature before it leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
	// TimeStamp gets a time-stamp token over signature, which is the content of the BIT STRING (SM2Signature DER). Nil
	// means no time stamp. When it fails, signing fails.
	TimeStamp func(ctx context.Context, signature []byte) (token []byte, err error)
	// Evidence shows that the certificate was not revoked when it signed; it travels under the signature, so that the
	// document verifies without network years later. Nil means none.
	Evidence *revocation.Evidence
}

// Sign seals a document: dataHash is the SM3 of its Signature.xml, propertyInfo the absolute path of that file in the
// package. A signer who is not on the seal's list is ErrNotListed, a seal or certificate that is not valid now is
// ErrPeriod, a foreign key ErrKey, a seal of another version ErrVersion.
func Sign(ctx context.Context, h Holder, dataHash [sm.DigestSize]byte, propertyInfo string) (*Signature, error) {
	s, err := h.sign(ctx, dataHash[:], propertyInfo)
	if err != nil {
		return nil, fmt.Errorf("seal document: %w", err)
	}
	return s, nil
}

func (h Holder) sign(ctx context.Context, dataHash []byte, propertyInfo string) (*Signature, error) {
	now := clock(h.Now)
	if err := h.check(now); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(propertyInfo, "/") || !ascii(propertyInfo) {
		return nil, fmt.Errorf("%w: propertyInfo is not an absolute path in ASCII", ErrSpec)
	}
	extensions, err := h.extensions()
	if err != nil {
		return nil, err
	}
	toSign, err := marshalToSign(h.Seal.Raw, now, dataHash, propertyInfo, extensions)
	if err != nil {
		return nil, err
	}
	value, err := signDER(ctx, h.Signer, h.VerifyBoth, toSign)
	if err != nil {
		return nil, err
	}
	token, err := h.stamp(ctx, value)
	if err != nil {
		return nil, err
	}
	der, err := marshalSignature(toSign, h.Certificate.Raw, value, token)
	if err != nil {
		return nil, err
	}
	return ParseSignature(der)
}

func (h Holder) extensions() ([]Extension, error) {
	if h.Evidence == nil || len(h.Evidence.Lists)+len(h.Evidence.Responses) == 0 {
		return nil, nil
	}
	der, err := h.Evidence.Marshal()
	return []Extension{{ID: revocation.OIDRevocationValues, Value: der}}, err
}

// check reports whether the holder may use the seal now.
func (h Holder) check(now time.Time) error {
	if err := owns(h.Signer, h.Certificate, now); err != nil {
		return err
	}
	switch {
	case h.Seal == nil || h.Seal.Version != version:
		return fmt.Errorf("%w: documents are sealed with version %d", ErrVersion, version)
	case !h.Seal.Signers.Has(h.Certificate.Raw):
		return ErrNotListed
	case now.Before(h.Seal.From) || now.After(h.Seal.To):
		return fmt.Errorf("%w: the seal", ErrPeriod)
	}
	return nil
}

func (h Holder) stamp(ctx context.Context, value []byte) ([]byte, error) {
	if h.TimeStamp == nil {
		return nil, nil
	}
	token, err := h.TimeStamp(ctx, value)
	if err == nil && (len(token) == 0 || len(token) > maxToken) {
		err = errors.New("the token is empty or too long")
	}
	if err != nil {
		return nil, fmt.Errorf("get time stamp: %w", err)
	}
	return token, nil
}
