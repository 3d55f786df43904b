package sm

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/emmansun/gmsm/sm2"
)

// SignatureSize is the length of a signature r‖s in bytes.
const SignatureSize = 64

var (
	// ErrBadSignature says that a well-formed signature does not belong to message and key.
	ErrBadSignature = errors.New("sm2 signature does not verify")
	// ErrSignatureForm says that the bytes are no signature: wrong length, r or s out of [1, n-1], or not strict DER.
	ErrSignatureForm = errors.New("sm2 signature is malformed")
	// ErrEmptyMessage says that nothing was given to sign or verify. The two SM2 libraries disagree about the empty
	// message, so the house never signs it.
	ErrEmptyMessage = errors.New("an empty message is never signed")
	// ErrUserID says that a user id (用户标识) is empty or longer than MaxUserID.
	ErrUserID = errors.New("not an sm2 user id")
)

// MaxUserID is the longest user id in bytes: its length in bits stands in two bytes of ZA (GB/T 32918.2 clause 5.5).
const MaxUserID = 8191

// VerifyFunc is the shape of [Verify]. Verifiers take it as a field, so that a second verifier can listen.
type VerifyFunc func(pub *ecdsa.PublicKey, message, rs []byte) error

// Verify reports whether rs is the SM2 signature of message under pub: nil, or an error that is ErrBadSignature,
// ErrSignatureForm, ErrEmptyMessage or ErrBadKey. It never panics, whatever the input.
func Verify(pub *ecdsa.PublicKey, message, rs []byte) error {
	return VerifyAs(pub, []byte(UserID), message, rs)
}

// VerifyAs is Verify for a signature made under the given user id: for what others signed under an id of their own, which
// the verifier must know from elsewhere. ErrUserID when it cannot be one; the empty id is refused because libraries put
// the default in its place without saying so.
func VerifyAs(pub *ecdsa.PublicKey, userID, message, rs []byte) error {
	if len(userID) == 0 || len(userID) > MaxUserID {
		return fmt.Errorf("%w: %d bytes", ErrUserID, len(userID))
	}
	if len(message) == 0 {
		return ErrEmptyMessage
	}
	if err := CheckPublicKey(pub); err != nil {
		return err
	}
	der, err := RawToDER(rs)
	if err != nil {
		return err
	}
	if !sm2.VerifyASN1WithSM2(pub, userID, message, der) {
		return ErrBadSignature
	}
	return nil
}

// pair is SM2Signature of GM/T 0009 clause 7.3.
type pair struct{ R, S *big.Int }

// RawToDER turns r‖s into the DER SEQUENCE that certificates and OpenSSL use.
func RawToDER(rs []byte) ([]byte, error) {
	if len(rs) != SignatureSize {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrSignatureForm, len(rs), SignatureSize)
	}
	p := pair{new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])}
	if err := p.check(); err != nil {
		return nil, err
	}
	return asn1.Marshal(p)
}

// DERToRaw turns a DER SEQUENCE into r‖s. Trailing bytes, further members, long lengths and padded integers are refused:
// the bytes must be the only DER encoding of the pair.
func DERToRaw(der []byte) ([]byte, error) {
	// The longest DER of two 33-byte integers is 72 bytes.
	if len(der) > 72 {
		return nil, fmt.Errorf("%w: DER of %d bytes", ErrSignatureForm, len(der))
	}
	var p pair
	rest, err := asn1.Unmarshal(der, &p)
	if err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: not one DER sequence of two integers", ErrSignatureForm)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	again, err := asn1.Marshal(p)
	if err != nil || string(again) != string(der) {
		return nil, fmt.Errorf("%w: not the canonical DER", ErrSignatureForm)
	}
	rs := make([]byte, SignatureSize)
	p.R.FillBytes(rs[:32])
	p.S.FillBytes(rs[32:])
	return rs, nil
}

// ReadSignature reads a signature value as GM/T 0009 has it, DER, or bare r‖s, as interfaces of devices pass it and some software
// writes it: exactly 64 bytes that are no DER. bare says which it was. Nothing else is accepted.
func ReadSignature(value []byte) (rs []byte, bare bool, err error) {
	if rs, err = DERToRaw(value); err == nil || len(value) != SignatureSize {
		return rs, false, err
	}
	if _, err := RawToDER(value); err != nil {
		return nil, false, err
	}
	return value, true, nil
}

func (p pair) check() error {
	n := sm2.P256().Params().N
	for _, v := range []*big.Int{p.R, p.S} {
		if v.Sign() <= 0 || v.Cmp(n) >= 0 {
			return fmt.Errorf("%w: r or s out of range", ErrSignatureForm)
		}
	}
	return nil
}
