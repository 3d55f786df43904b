// Package second is an independent second SM2 verifier (N-version check), on another library (tjfoc) than signing and verification
// elsewhere use, and the DualVerifier that asks both.
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

// ErrRejected says that the second verifier does not accept a signature.
var ErrRejected = errors.New("second verifier rejects the signature")

// Check verifies rs over message with the second library: nil or an error that is ErrRejected. Inputs are held to the
// same form as in [sm.Verify] first, so that only the arithmetic is compared. A panic of the library is a rejection.
func Check(pub *ecdsa.PublicKey, message, rs []byte) error {
	return CheckAs(pub, []byte(sm.UserID), message, rs)
}

// CheckAs is Check under the given user id, as [sm.VerifyAs].
func CheckAs(pub *ecdsa.PublicKey, userID, message, rs []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: it panicked", ErrRejected)
		}
	}()
	if len(userID) == 0 || len(userID) > sm.MaxUserID {
		return fmt.Errorf("%w: %w", ErrRejected, sm.ErrUserID)
	}
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
	if !sm2.Sm2Verify(key, message, userID, r, s) || atInfinity(key, userID, message, r) {
		return ErrRejected
	}
	return nil
}

// atInfinity reports whether an accepted r is e itself. The library then found sG + tP at infinity and took its x for
// zero; who holds the key can make that happen, and the standard has no such signature (GB/T 32918.2 clause 7.1).
func atInfinity(key *sm2.PublicKey, userID, message []byte, r *big.Int) bool {
	e, err := key.Sm3Digest(message, userID)
	if err != nil {
		return true
	}
	n := key.Curve.Params().N
	return new(big.Int).Mod(new(big.Int).SetBytes(e), n).Cmp(r) == 0
}
