// Package second is the independent second voice on SM2 signatures: another library (tjfoc), other code, other mistakes.
//
// It only ever verifies. It sees public keys, messages and the canonical 64 bytes r‖s; never a private key, a DER
// signature or a ciphertext, where that library has known faults. Its verdict never turns a reject into an accept.
package second

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/tjfoc/gmsm/sm2"

	"oncegate/certs/sm"
)

// ErrRejected says that the second voice does not accept a signature.
var ErrRejected = errors.New("second verifier rejects the signature")

// Check verifies rs over message with the second library: nil or an error that is ErrRejected. Inputs are held to the
// same form as in [sm.Verify] first, so that only the arithmetic is compared. A panic of the library is a rejection.
func Check(pub *ecdsa.PublicKey, message, rs []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: it panicked", ErrRejected)
		}
	}()
	if len(message) == 0 {
		return fmt.Errorf("%w: %w", ErrRejected, sm.ErrEmptyMessage)
	}
	if err := sm.CheckPublicKey(pub); err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	if _, err := sm.RawToDER(rs); err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	// Its own curve object, and copies: nothing of ours is shared with it.
	key := &sm2.PublicKey{Curve: sm2.P256Sm2(), X: new(big.Int).Set(pub.X), Y: new(big.Int).Set(pub.Y)}
	if !key.Curve.IsOnCurve(key.X, key.Y) {
		return fmt.Errorf("%w: point off its curve", ErrRejected)
	}
	r, s := new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])
	if !sm2.Sm2Verify(key, message, []byte(sm.UserID), r, s) {
		return ErrRejected
	}
	return nil
}
