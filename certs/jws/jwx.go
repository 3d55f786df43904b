package jws

// This is the only file of the house that imports jwx. Its v2 is no longer maintained: a move to another version, or
// another library, ends here.

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"github.com/lestrrat-go/jwx/v2/cert"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"oncegate/certs/sm"
)

const algSM2SM3 = jwa.SignatureAlgorithm(sm.Algorithm)

// register teaches jwx our algorithm. jwx keeps it in a table of its own process-wide; doing it once, at first use, keeps
// concurrent callers from replacing a signer that is at work.
var register = sync.OnceFunc(func() {
	jws.RegisterSigner(algSM2SM3, jws.SignerFactoryFn(func() (jws.Signer, error) { return sm2Alg{}, nil }))
	jws.RegisterVerifier(algSM2SM3, jws.VerifierFactoryFn(func() (jws.Verifier, error) { return sm2Alg{}, nil }))
})

// sm2Alg is SM2SM3 for jwx. It accepts only our own key types, so that no key of another algorithm can slip in.
type sm2Alg struct{}

type signingKey struct {
	ctx    context.Context
	signer sm.Signer
}

type verifyingKey struct {
	pub    *ecdsa.PublicKey
	verify sm.VerifyFunc
}

var errKeyType = errors.New("not a key of this algorithm")

func (sm2Alg) Algorithm() jwa.SignatureAlgorithm { return algSM2SM3 }

func (sm2Alg) Sign(input []byte, key any) ([]byte, error) {
	k, ok := key.(signingKey)
	if !ok {
		return nil, errKeyType
	}
	return k.signer.Sign(k.ctx, input)
}

func (sm2Alg) Verify(input, signature []byte, key any) error {
	k, ok := key.(verifyingKey)
	if !ok {
		return errKeyType
	}
	return k.verify(k.pub, input, signature)
}

func sign(key signingKey, h Header, payload []byte) (string, error) {
	register()
	headers := jws.NewHeaders()
	set := func(name string, value any, present bool) error {
		if !present {
			return nil
		}
		return headers.Set(name, value)
	}
	chain := new(cert.Chain)
	for _, der := range h.X5C {
		if err := chain.AddString(base64.StdEncoding.EncodeToString(der)); err != nil {
			return "", fmt.Errorf("sign jws: %w", err)
		}
	}
	err := errors.Join(
		set(jws.TypeKey, h.Typ, h.Typ != ""),
		set(jws.KeyIDKey, h.Kid, h.Kid != ""),
		set(jws.X509CertChainKey, chain, len(h.X5C) > 0),
	)
	if err != nil {
		return "", fmt.Errorf("sign jws: %w", err)
	}
	out, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(h.Alg), key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign jws: %w", err)
	}
	return string(out), nil
}

// verify has the library's verifier of an algorithm judge a signature. The text was taken apart by Split, more strictly than
// the library would, which reads it a second time otherwise.
func verify(alg, input string, signature []byte, key any) error {
	register()
	v, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	if err == nil {
		err = v.Verify([]byte(input), signature, key)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
