package pkcs11

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/emmansun/gmsm/sm2"
	"github.com/go-json-experiment/json"

	"oncegate/certs/sm"
)

// SM2Profile says how a vendor speaks SM2 through PKCS#11, which has no word for it. The vendor's manual has the numbers;
// as JSON, in a file of the installation:
//
//	{"key_type": "0x80000002", "mechanism": "0x80000105", "input": "digest", "signature": "raw", "point": "octet-string"}
type SM2Profile struct {
	// KeyType is CKA_KEY_TYPE of an SM2 key (CKK_EC where the vendor tells SM2 by its curve).
	KeyType Number `json:"key_type"`
	// Mechanism is the CKM given to C_SignInit, and Parameter the bytes of its parameter, if it has one (base64).
	Mechanism Number `json:"mechanism"`
	Parameter []byte `json:"parameter,omitempty"`
	// Input is what C_Sign takes: "digest" is e = SM3(Z‖M), 32 bytes, made here; "message" is M, and the device makes Z with the
	// default user id.
	Input string `json:"input"`
	// Signature is what C_Sign gives: "raw" r‖s, 64 bytes; "der" the SEQUENCE of GM/T 0009.
	Signature string `json:"signature"`
	// Point is the form of CKA_EC_POINT: "octet-string" DER around 04‖x‖y, as the standard says; "uncompressed" 04‖x‖y bare;
	// "xy" the 64 bytes x‖y.
	Point string `json:"point"`
}

// Number is a CK_ULONG, written in JSON as a text in hexadecimal ("0x80000105") or decimal, because that is how manuals do.
type Number uint64

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 0, 64)
	*n = Number(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (n Number) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(n)), nil }

// ParseSM2Profile reads a profile from strict JSON and checks it.
func ParseSM2Profile(text []byte) (SM2Profile, error) {
	var p SM2Profile
	if len(text) > maxAttribute {
		return p, errors.New("read sm2 profile: too long")
	}
	if err := json.Unmarshal(text, &p, json.RejectUnknownMembers(true)); err != nil {
		return p, fmt.Errorf("read sm2 profile: %w", err)
	}
	return p, p.check()
}

func (p SM2Profile) check() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"input", p.Input, []string{"digest", "message"}},
		{"signature", p.Signature, []string{"raw", "der"}},
		{"point", p.Point, []string{"octet-string", "uncompressed", "xy"}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("sm2 profile: %s is none of %q", c.name, c.allowed)
		}
	}
	if p.Mechanism == 0 {
		return errors.New("sm2 profile: mechanism is missing")
	}
	return nil
}

// SM2Key is an SM2 key on a token. It is safe for concurrent use.
type SM2Key struct {
	key     *Key
	keyID   string
	profile SM2Profile
	public  *ecdsa.PublicKey
}

var _ sm.Signer = (*SM2Key)(nil)

// SM2 finds an SM2 key whose key id, for token headers, is keyID.
func (t *Token) SM2(ctx context.Context, keyID string, o Object, p SM2Profile) (*SM2Key, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	k := &SM2Key{key: &Key{token: t, object: Object{o.Label, slices.Clone(o.ID)}}, keyID: keyID, profile: p}
	public, err := do(ctx, t, func(s *session) (*ecdsa.PublicKey, error) {
		if _, err := k.key.find(s); err != nil {
			return nil, err
		}
		return s.sm2PublicKey(k.key.object, p)
	})
	if err != nil {
		return nil, fmt.Errorf("open sm2 key: %w", err)
	}
	k.public, k.key.public = public, public
	return k, nil
}

func (s *session) sm2PublicKey(o Object, p SM2Profile) (*ecdsa.PublicKey, error) {
	handle, err := s.find(classPublicKey, o)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	kind, err := s.numberOf(handle, attrKeyType)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	if kind != uint64(p.KeyType) {
		return nil, fmt.Errorf("read public key: %w: key type %#x, and the profile says %#x", ErrUnusable, kind, uint64(p.KeyType))
	}
	point, err := s.attribute(handle, attrECPoint)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	switch p.Point {
	case "octet-string":
		point = unwrap(point)
	case "xy":
		point = append([]byte{4}, point...)
	}
	pub, err := sm.ParsePoint(point)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w: %w", ErrUnusable, err)
	}
	return pub, nil
}

// KeyID implements sm.Signer.
func (k *SM2Key) KeyID() string { return k.keyID }

// Public implements sm.Signer.
func (k *SM2Key) Public() *ecdsa.PublicKey { return k.public }

// Sign implements sm.Signer. Where the device disagrees with the profile, or is no SM2 at all, the error is ErrUnusable.
func (k *SM2Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, fmt.Errorf("sign: %w", sm.ErrEmptyMessage)
	}
	data := message
	if k.profile.Input == "digest" {
		var err error
		if data, err = sm2.CalculateSM2Hash(k.public, message, []byte(sm.UserID)); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	rs, err := k.key.sign(ctx, uint64(k.profile.Mechanism), k.profile.Parameter, data)
	if err != nil {
		return nil, err
	}
	if k.profile.Signature == "der" {
		if rs, err = sm.DERToRaw(rs); err != nil {
			return nil, fmt.Errorf("sign: %w: %w", ErrUnusable, err)
		}
	}
	if err := sm.Verify(k.public, message, rs); err != nil {
		return nil, fmt.Errorf("sign: %w: %w", ErrUnusable, err)
	}
	return rs, nil
}
