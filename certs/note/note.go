// Package note implements the signature lines of a checkpoint (design 5.6) as signers and verifiers of signed notes
// (golang.org/x/mod/sumdb/note): SM2 with SM3, and Ed25519 as C2SP signed-note has it. It also verifies the lines of
// witnesses, which co-sign checkpoints: C2SP tlog-cosignature.
//
// SM2 line: key name = origin, type 0xff ‖ "oncegate/sm2-sm3/v1", public key 04‖x‖y, key id
// SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4], signature r‖s (64 bytes) over the note text, user id 1234567812345678.
package note

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"oncegate/certs/sm"
)

// sm2Type is the signature type: 0xff says that a name follows, as C2SP signed-note reserves it.
const sm2Type = "\xffoncegate/sm2-sm3/v1"

// Key types of C2SP signed-note with Ed25519 keys.
const (
	ed25519Type     = "\x01"
	cosignatureType = "\x04" // Ed25519 under tlog-cosignature, with the time of the signature
)

// Signer makes one signature line. It is x/mod's note.Signer, but with a context, because the key may be in hardware.
type Signer struct {
	name string
	hash uint32
	sign func(ctx context.Context, msg []byte) ([]byte, error)
}

// Name returns the key name, which is the log's origin.
func (s *Signer) Name() string { return s.name }

// KeyHash returns the key id as the note package wants it.
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign signs the note text.
func (s *Signer) Sign(ctx context.Context, msg []byte) ([]byte, error) { return s.sign(ctx, msg) }

// Bind shows the signer as note.Signer under ctx.
func (s *Signer) Bind(ctx context.Context) note.Signer { return bound{s, ctx} }

type bound struct {
	*Signer
	ctx context.Context
}

func (b bound) Sign(msg []byte) ([]byte, error) { return b.sign(b.ctx, msg) }

// SM2NoteSigner returns the signer of the SM2 line of origin name.
func SM2NoteSigner(name string, key sm.Signer) (*Signer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &Signer{name, SM2KeyHash(name, key.Public()), key.Sign}, nil
}

// Ed25519NoteSigner returns the signer of the Ed25519 line of origin name.
func Ed25519NoteSigner(name string, key ed25519.PrivateKey) (*Signer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("make note signer: not an ed25519 private key")
	}
	pub := key.Public().(ed25519.PublicKey)
	sign := func(ctx context.Context, msg []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("sign note: %w", err)
		}
		return ed25519.Sign(key, msg), nil
	}
	return &Signer{name, keyHash(name, ed25519Type, pub), sign}, nil
}

// verifier implements note.Verifier.
type verifier struct {
	name   string
	hash   uint32
	verify func(msg, sig []byte) bool
}

func (v verifier) Name() string                { return v.name }
func (v verifier) KeyHash() uint32             { return v.hash }
func (v verifier) Verify(msg, sig []byte) bool { return v.verify(msg, sig) }

// SM2NoteVerifier verifies the SM2 line of origin name. A nil verify means [sm.Verify].
func SM2NoteVerifier(name string, pub *ecdsa.PublicKey, verify sm.VerifyFunc) (note.Verifier, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := sm.CheckPublicKey(pub); err != nil {
		return nil, fmt.Errorf("make note verifier: %w", err)
	}
	if verify == nil {
		verify = sm.Verify
	}
	return verifier{name, SM2KeyHash(name, pub), func(msg, sig []byte) bool {
		return verify(pub, msg, sig) == nil
	}}, nil
}

// A vkey is a verifier key of C2SP signed-note, "name+hash+base64(type‖key)", with an Ed25519 key.
type vkey struct {
	name string
	hash uint32
	typ  string
	key  ed25519.PublicKey
}

// cutVKey splits a verifier key at its first two plus signs, which neither a name nor a key id holds.
func cutVKey(text string) (name, hash, key string, ok bool) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), "+")
	hash, key, ok = strings.Cut(rest, "+")
	return name, hash, key, ok && name != "" && len(hash) == 8
}

// IsVKey tells whether text is written as a verifier key, valid or not: where a file name may stand instead.
func IsVKey(text string) bool {
	_, _, _, ok := cutVKey(text)
	return ok
}

// parseVKey reads a verifier key with an Ed25519 key of any type.
func parseVKey(text string) (v vkey, err error) {
	name, hash, encoded, ok := cutVKey(text)
	if !ok {
		return v, errors.New("read vkey line: not of the form name+hash+key")
	}
	if err := checkName(name); err != nil {
		return v, fmt.Errorf("read vkey line: %w", err)
	}
	id, err := strconv.ParseUint(hash, 16, 32)
	if err != nil {
		return v, errors.New("read vkey line: the key id is not hexadecimal")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return v, errors.New("read vkey line: the key is not base64")
	}
	v = vkey{name, uint32(id), string(key[:1]), key[1:]}
	switch {
	case v.typ != ed25519Type && v.typ != cosignatureType:
		return v, fmt.Errorf("read vkey line: key type 0x%02x is not supported; 0x01 and 0x04 (Ed25519) are", key[0])
	case len(v.key) != ed25519.PublicKeySize:
		return v, errors.New("read vkey line: not an ed25519 key")
	case keyHash(v.name, v.typ, v.key) != v.hash:
		return v, errors.New("read vkey line: the key id is of another name or key")
	}
	return v, nil
}

// Ed25519NoteVerifier verifies the Ed25519 line of a log that the C2SP vkey line ("name+hash+base64") describes: key type
// 0x01. Witnesses' keys are read by [WitnessNoteVerifiers].
func Ed25519NoteVerifier(text string) (note.Verifier, error) {
	v, err := parseVKey(text)
	switch {
	case err != nil:
		return nil, err
	case v.typ != ed25519Type:
		return nil, errors.New("read vkey line: a witness's key (type 0x04) signs no checkpoints of its own; a log's key has type 0x01")
	}
	return verifier{v.name, v.hash, func(msg, sig []byte) bool { return ed25519.Verify(v.key, msg, sig) }}, nil
}

// A Witness verifies the lines of one witness under one key id.
type Witness struct {
	verifier
	key       ed25519.PublicKey
	timestamp bool // its lines carry the time of the signature
}

// WitnessNoteVerifiers verify the lines of the witness that a C2SP vkey line describes: cosignature/v1
// (c2sp.org/tlog-cosignature), for key type 0x04. A key of type 0x01 has two verifiers, because witnesses hand it out for both:
// plain Ed25519 over the note text, and cosignature/v1 by the same key under the key id that type 0x04 gives. The text of a
// note that carries a cosignature must be a checkpoint; this does not judge it.
func WitnessNoteVerifiers(text string) ([]*Witness, error) {
	v, err := parseVKey(text)
	if err != nil {
		return nil, err
	}
	timestamped := &Witness{verifier{v.name, keyHash(v.name, cosignatureType, v.key), func(msg, sig []byte) bool {
		t, plain, ok := cutTimestamp(sig)
		return ok && ed25519.Verify(v.key, cosigned(t, msg), plain)
	}}, v.key, true}
	if v.typ == cosignatureType {
		return []*Witness{timestamped}, nil
	}
	plain := &Witness{verifier{v.name, v.hash, func(msg, sig []byte) bool { return ed25519.Verify(v.key, msg, sig) }}, v.key, false}
	return []*Witness{plain, timestamped}, nil
}

// Key is the witness's public key: the same one may be written with both key types.
func (w *Witness) Key() ed25519.PublicKey { return w.key }

// SignedAt is when a line of this witness says that it was signed, to the second; zero if its lines say nothing. It is
// signed with the line: of a line that does not verify it says nothing.
func (w *Witness) SignedAt(sig note.Signature) time.Time {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || !w.timestamp || len(raw) < 4 {
		return time.Time{}
	}
	t, _, ok := cutTimestamp(raw[4:])
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// cutTimestamp splits a cosignature/v1 into its time in Unix seconds and the Ed25519 signature.
func cutTimestamp(sig []byte) (t uint64, plain []byte, ok bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return 0, nil, false
	}
	t = binary.BigEndian.Uint64(sig)
	return t, sig[8:], t < 1<<40 // far beyond any clock, and within what time.Unix takes
}

// WitnessNoteSigner returns the signer of a witness's lines: cosignature/v1 (c2sp.org/tlog-cosignature) under name, each with the time
// that now gives. The text that it signs must be a checkpoint; this does not judge it.
func WitnessNoteSigner(name string, key ed25519.PrivateKey, now func() time.Time) (*Signer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("make note signer: not an ed25519 private key")
	}
	sign := func(ctx context.Context, msg []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("sign note: %w", err)
		}
		t := uint64(now().Unix())
		return append(binary.BigEndian.AppendUint64(nil, t), ed25519.Sign(key, cosigned(t, msg))...), nil
	}
	return &Signer{name, keyHash(name, cosignatureType, key.Public().(ed25519.PublicKey)), sign}, nil
}

// MarshalWitnessVKey returns the C2SP vkey line of a witness's key (type 0x04), without a line end.
func MarshalWitnessVKey(name string, pub ed25519.PublicKey) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	encoded := base64.StdEncoding.EncodeToString(append([]byte(cosignatureType), pub...))
	return fmt.Sprintf("%s+%08x+%s", name, keyHash(name, cosignatureType, pub), encoded), nil
}

// cosigned is the message under a cosignature/v1 of a checkpoint.
func cosigned(t uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", t), text...)
}

// Ed25519NoteVerifiers verify the lines that a log's own Ed25519 keys make under a name, the present key's and those of retired
// ones.
func Ed25519NoteVerifiers(name string, keys ...ed25519.PublicKey) (list []note.Verifier, err error) {
	for _, key := range keys {
		vkey, err := MarshalVKey(name, key)
		if err != nil {
			return nil, err
		}
		v, err := Ed25519NoteVerifier(vkey)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// MarshalVKey returns the C2SP vkey line of an Ed25519 log key, without a line end.
func MarshalVKey(name string, pub ed25519.PublicKey) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(name, pub)
}

// ParseVKey reads a C2SP vkey line of a log: the name and the Ed25519 key.
func ParseVKey(text string) (name string, pub ed25519.PublicKey, err error) {
	v, err := parseVKey(text)
	if err == nil && v.typ != ed25519Type {
		err = errors.New("read vkey line: not a log's key")
	}
	if err != nil {
		return "", nil, err
	}
	return v.name, v.key, nil
}

// SM2KeyHash is the key id of an SM2 line.
func SM2KeyHash(name string, pub *ecdsa.PublicKey) uint32 {
	return keyHash(name, sm2Type, sm.MarshalPoint(pub))
}

func keyHash(name, typ string, key []byte) uint32 {
	h := sha256.New()
	h.Write([]byte(name + "\n" + typ))
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// checkName holds the name to what signed-note allows: UTF-8, no space, no '+'.
func checkName(name string) error {
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsSpace) || strings.Contains(name, "+") {
		return fmt.Errorf("note key name %q has a space or a plus, or is empty", name)
	}
	return nil
}
