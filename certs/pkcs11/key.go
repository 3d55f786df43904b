package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
)

// Key is a private key on a token, for ECDSA on P-256 or RSA (PKCS#1 v1.5 and PSS with SHA-256, -384, -512). It is safe for
// concurrent use.
type Key struct {
	token  *Token
	object Object
	public crypto.PublicKey

	mu         sync.Mutex // protects the two below
	handle     uint64     // of the private key
	generation uint64     // under which the handle was found
}

var _ crypto.Signer = (*Key)(nil)

// Key finds a private key and its public half, which must be on the token too (most tools put it there).
func (t *Token) Key(ctx context.Context, o Object) (*Key, error) {
	k := &Key{token: t, object: Object{o.Label, slices.Clone(o.ID)}}
	public, err := do(ctx, t, func(s *session) (crypto.PublicKey, error) {
		if _, err := k.find(s); err != nil {
			return nil, err
		}
		return s.publicKey(k.object)
	})
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	k.public = public
	return k, nil
}

// find returns the handle of the private key, found once per generation of the token.
func (k *Key) find(s *session) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handle != invalidHandle && k.generation == s.generation {
		return k.handle, nil
	}
	handle, err := s.find(classPrivateKey, k.object)
	if err != nil {
		return 0, err
	}
	k.handle, k.generation = handle, s.generation
	return handle, nil
}

// publicKey reads the public half of an EC or RSA key.
func (s *session) publicKey(o Object) (crypto.PublicKey, error) {
	handle, err := s.find(classPublicKey, o)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	kind, err := s.numberOf(handle, attrKeyType)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	switch kind {
	case keyTypeEC:
		point, err := s.attribute(handle, attrECPoint)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unwrap(point))
		if err != nil {
			return nil, fmt.Errorf("read public key: %w: not a point of P-256", ErrUnusable)
		}
		return pub, nil
	case keyTypeRSA:
		modulus, err1 := s.attribute(handle, attrModulus)
		exponent, err2 := s.attribute(handle, attrPublicExponent)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
		if n.BitLen() < 2048 || n.BitLen() > 8*maxSignature || e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3 {
			return nil, fmt.Errorf("read public key: %w: an rsa key that nobody should use", ErrUnusable)
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	}
	return nil, fmt.Errorf("read public key: key type %#x is neither ec nor rsa: %w", kind, errors.ErrUnsupported)
}

// unwrap takes the OCTET STRING off a point. The standard puts it there, and some devices leave it out.
func unwrap(point []byte) []byte {
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 && len(inner) > 0 {
		return inner
	}
	return point
}

// Public returns an *ecdsa.PublicKey or *rsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign signs a digest as [crypto.Signer] says; the device makes its own randomness. It waits as long as the token's Wait.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.SignContext(context.Background(), digest, opts)
}

// SignContext is Sign, bounded by ctx too.
func (k *Key) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() == 0 || len(digest) != opts.HashFunc().Size() {
		return nil, errors.New("sign: want a digest, and which hash made it")
	}
	switch pub := k.public.(type) {
	case *ecdsa.PublicKey:
		return k.signECDSA(ctx, pub, digest)
	case *rsa.PublicKey:
		return k.signRSA(ctx, pub, digest, opts)
	}
	return nil, errors.ErrUnsupported
}

func (k *Key) signECDSA(ctx context.Context, pub *ecdsa.PublicKey, digest []byte) ([]byte, error) {
	rs, err := k.sign(ctx, mechanismECDSA, nil, digest[:min(len(digest), 32)])
	if err != nil {
		return nil, err
	}
	if len(rs) != 64 {
		return nil, fmt.Errorf("sign: %w: %d bytes", ErrUnusable, len(rs))
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])})
	if err != nil || !ecdsa.VerifyASN1(pub, digest, der) {
		return nil, fmt.Errorf("sign: %w: the signature does not verify", ErrUnusable)
	}
	return der, nil
}

// sign is one C_Sign by a mechanism.
func (k *Key) sign(ctx context.Context, mechanism uint64, parameter, data []byte) ([]byte, error) {
	// The device may go on after the wait is over, and must not read what the caller changes then.
	parameter, data = bytes.Clone(parameter), bytes.Clone(data)
	sig, err := do(ctx, k.token, func(s *session) ([]byte, error) {
		handle, err := k.find(s)
		if err != nil {
			return nil, err
		}
		return s.sign(handle, mechanism, parameter, data)
	})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// A digestMethod is how a hash is named inside RSA signatures.
type digestMethod struct {
	prefix    []byte // DigestInfo of RFC 8017 section 9.2 up to the digest
	mechanism uint64
	mgf       uint64
}

func digestMethodOf(h crypto.Hash) (digestMethod, bool) {
	prefix := func(id, size byte) []byte {
		return []byte{0x30, 0x11 + size, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, id, 5, 0, 4, size}
	}
	switch h {
	case crypto.SHA256:
		return digestMethod{prefix(1, 32), mechanismSHA256, mgf1SHA256}, true
	case crypto.SHA384:
		return digestMethod{prefix(2, 48), mechanismSHA384, mgf1SHA384}, true
	case crypto.SHA512:
		return digestMethod{prefix(3, 64), mechanismSHA512, mgf1SHA512}, true
	}
	return digestMethod{}, false
}

func (k *Key) signRSA(ctx context.Context, pub *rsa.PublicKey, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	method, ok := digestMethodOf(hash)
	if !ok {
		return nil, fmt.Errorf("sign: rsa with %s: %w", hash, errors.ErrUnsupported)
	}
	var sig []byte
	var err error
	if pss, is := opts.(*rsa.PSSOptions); is {
		// CK_RSA_PKCS_PSS_PARAMS, with a salt as long as the digest, the only one that everybody takes.
		if l := pss.SaltLength; l != rsa.PSSSaltLengthEqualsHash && l != rsa.PSSSaltLengthAuto && l != len(digest) {
			return nil, fmt.Errorf("sign: a salt of %d bytes: %w", l, errors.ErrUnsupported)
		}
		parameter := slices.Concat(number(method.mechanism), number(method.mgf), number(uint64(len(digest))))
		if sig, err = k.sign(ctx, mechanismRSAPSS, parameter, digest); err == nil {
			err = rsa.VerifyPSS(pub, hash, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			return nil, err
		}
	} else {
		if sig, err = k.sign(ctx, mechanismRSAPKCS, nil, slices.Concat(method.prefix, digest)); err == nil {
			err = rsa.VerifyPKCS1v15(pub, hash, digest, sig)
		} else {
			return nil, err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w: the signature does not verify", ErrUnusable)
	}
	return sig, nil
}
