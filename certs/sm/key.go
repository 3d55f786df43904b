package sm

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
)

// PrivateKey is an SM2 private key in memory. Only the room certs looks into it; others pass it on.
type PrivateKey = sm2.PrivateKey

// PointSize is the length of a public key 04‖x‖y in bytes.
const PointSize = 65

// ErrBadKey says that a public key is not a point of the SM2 curve, or not encoded as one.
var ErrBadKey = errors.New("not an sm2 public key")

// GenerateKey makes a new private key. A nil random means crypto/rand.
func GenerateKey(random io.Reader) (*PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	priv, err := sm2.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("generate sm2 key: %w", err)
	}
	return priv, nil
}

// ParsePrivateKey reads the 32-byte scalar d, in [1, n-2].
func ParsePrivateKey(d []byte) (*PrivateKey, error) {
	priv, err := sm2.NewPrivateKey(d)
	if err != nil {
		// The library's text could quote the value.
		return nil, errors.New("parse sm2 private key: not a scalar in [1, n-2]")
	}
	return priv, nil
}

// PrivateBytes returns the 32-byte scalar d of a key. The caller seals it before it is written anywhere.
func PrivateBytes(priv *PrivateKey) []byte {
	return priv.D.FillBytes(make([]byte, 32)) //nolint:staticcheck // sm2 keys have no other accessor
}

// CheckPublicKey refuses what is not a finite point of the SM2 curve: nil, another curve, off the curve, infinity.
func CheckPublicKey(pub *ecdsa.PublicKey) error {
	if pub == nil || pub.X == nil || pub.Y == nil || pub.Curve != sm2.P256() {
		return fmt.Errorf("%w: another curve or nothing", ErrBadKey)
	}
	p := sm2.P256().Params().P
	for _, v := range []*big.Int{pub.X, pub.Y} {
		if v.Sign() < 0 || v.Cmp(p) >= 0 {
			return fmt.Errorf("%w: coordinate out of range", ErrBadKey)
		}
	}
	if !sm2.P256().IsOnCurve(pub.X, pub.Y) {
		return fmt.Errorf("%w: point off the curve", ErrBadKey)
	}
	return nil
}

// MarshalPoint returns 04‖x‖y. The key must be valid ([CheckPublicKey]).
func MarshalPoint(pub *ecdsa.PublicKey) []byte {
	b := make([]byte, PointSize)
	b[0] = 4
	pub.X.FillBytes(b[1:33])
	pub.Y.FillBytes(b[33:])
	return b
}

// ParsePoint reads 04‖x‖y, uncompressed form only.
func ParsePoint(b []byte) (*ecdsa.PublicKey, error) {
	if len(b) != PointSize || b[0] != 4 {
		return nil, fmt.Errorf("%w: not 04 and 64 bytes", ErrBadKey)
	}
	pub, err := sm2.ParseUncompressedPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: point off the curve", ErrBadKey)
	}
	return pub, CheckPublicKey(pub)
}

// MarshalSPKI returns the DER of the key's SubjectPublicKeyInfo: id-ecPublicKey with parameter 1.2.156.10197.1.301.
func MarshalSPKI(pub *ecdsa.PublicKey) ([]byte, error) {
	if err := CheckPublicKey(pub); err != nil {
		return nil, err
	}
	der, err := smx509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("marshal sm2 public key: %w", err)
	}
	return der, nil
}

// MarshalPEM returns the key as SPKI PEM ("PUBLIC KEY").
func MarshalPEM(pub *ecdsa.PublicKey) ([]byte, error) {
	der, err := MarshalSPKI(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParsePEM reads one SPKI PEM block ("PUBLIC KEY") and nothing after it but white space.
func ParsePEM(text []byte) (*ecdsa.PublicKey, error) {
	spki, err := der.Block(text, "PUBLIC KEY")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	key, err := smx509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: not an spki", ErrBadKey)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: another algorithm", ErrBadKey)
	}
	return pub, CheckPublicKey(pub)
}
