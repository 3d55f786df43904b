package sm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/emmansun/gmsm/sm2"
)

// Signer makes SM2 signatures with one key. The key may live in hardware (密码机): signing takes a context, may fail, and
// the private part is never asked for. Implementations are safe for concurrent use.
type Signer interface {
	// KeyID names the key under its owner; it stands in token headers as kid.
	KeyID() string
	// Public returns the key that verifies; callers do not change it.
	Public() *ecdsa.PublicKey
	// Sign returns r‖s over message, user id [UserID]. ErrEmptyMessage for an empty message.
	Sign(ctx context.Context, message []byte) (rs []byte, err error)
}

// KeySigner signs with a private key in this process.
type KeySigner struct {
	keyID string
	priv  *PrivateKey
	rand  io.Reader
}

var _ Signer = (*KeySigner)(nil)

// NewSigner returns a signer for priv. A nil random means crypto/rand; the nonce is hedged, so that even a broken source
// does not leak the key (it is mixed with key and message).
func NewSigner(keyID string, priv *PrivateKey, random io.Reader) (*KeySigner, error) {
	if priv == nil {
		return nil, errors.New("make sm2 signer: no private key")
	}
	if err := CheckPublicKey(&priv.PublicKey); err != nil {
		return nil, fmt.Errorf("make sm2 signer: %w", err)
	}
	if random == nil {
		random = rand.Reader
	}
	return &KeySigner{keyID, priv, random}, nil
}

// NewDeterministicSigner is NewSigner with RFC 6979 nonces: the same message always gives the same signature.
// For tests and for artefacts that must be reproducible byte by byte.
func NewDeterministicSigner(keyID string, priv *PrivateKey) (*KeySigner, error) {
	s, err := NewSigner(keyID, priv, nil)
	if err != nil {
		return nil, err
	}
	s.rand = nil
	return s, nil
}

func (s *KeySigner) KeyID() string { return s.keyID }

func (s *KeySigner) Public() *ecdsa.PublicKey { return &s.priv.PublicKey }

func (s *KeySigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if len(message) == 0 {
		return nil, fmt.Errorf("sign: %w", ErrEmptyMessage)
	}
	der, err := s.priv.Sign(s.rand, message, sm2.NewSM2SignerOption(true, []byte(UserID)))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return DERToRaw(der)
}

// CryptoSigner shows a Signer as a [crypto.Signer] and [crypto.MessageSigner] for the certificate library, bound to ctx.
// It signs messages only, never a bare digest.
type CryptoSigner struct {
	Ctx    context.Context
	Signer Signer
}

// Public implements crypto.Signer.
func (c CryptoSigner) Public() crypto.PublicKey { return c.Signer.Public() }

// SignMessage implements crypto.MessageSigner: a DER signature over message.
func (c CryptoSigner) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	rs, err := c.Signer.Sign(c.Ctx, message)
	if err != nil {
		return nil, err
	}
	return RawToDER(rs)
}

// Sign implements crypto.Signer for callers that say, by an SM2 option, that they hand over the message and not its hash.
func (c CryptoSigner) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := opts.(*sm2.SM2SignerOption); !ok {
		return nil, errors.New("sign: an sm2 key signs messages, not digests")
	}
	return c.SignMessage(random, message, opts)
}
