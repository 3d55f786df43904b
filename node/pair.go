package node

import (
	"context"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Pair is what an authority that certifies in pairs (双证书) gives for one signing key: its certificate, and an encryption
// key of the authority's making with a certificate of its own, wrapped to the signing key (SM2EnvelopedKey, GB/T 35276).
type Pair struct {
	Signing, Encryption []*pki.Certificate // leaf first, without the root
	Enveloped           []byte             // DER
}

// IssuePair certifies a signing key and makes the encryption key beside it. This small authority keeps no copy of that, as
// licensed ones must: what was encrypted to a lost key is lost.
func (a *Authority) IssuePair(ctx context.Context, r pki.Request) (p Pair, err error) {
	if p.Signing, err = a.Issue(ctx, r); err != nil {
		return Pair{}, err
	}
	key, err := sm.GenerateKey(nil)
	if err != nil {
		return Pair{}, err
	}
	if p.Enveloped, err = keystore.SealEnveloped(nil, r.Public, key); err != nil {
		return Pair{}, err
	}
	r.Usage, r.Public = pki.Encryption, &key.PublicKey
	p.Encryption, err = a.Issue(ctx, r)
	return p, err
}
