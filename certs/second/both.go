package second

import (
	"crypto/ecdsa"

	"oncegate/certs/sm"
)

// VerifyBoth verifies with both implementations, for signatures that nobody waits for. It has the shape of sm.VerifyFunc. The error is
// ErrDisagree where they come to different results.
func VerifyBoth(pub *ecdsa.PublicKey, message, rs []byte) error {
	fast, other := sm.Verify(pub, message, rs), Check(pub, message, rs)
	if (fast == nil) != (other == nil) {
		return ErrDisagree
	}
	return fast
}
