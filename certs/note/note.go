// Package note has the two signature lines of a checkpoint (design 5.6) as signers and verifiers for
// golang.org/x/mod/sumdb/note: SM2 with SM3, and Ed25519 as C2SP signed-note has it.
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
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"oncegate/certs/sm"
)

// sm2Type is the signature type: 0xff says that a name follows, as C2SP signed-note reserves it.
const sm2Type = "\xffoncegate/sm2-sm3/v1"

const ed25519Type = "\x01"

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

// Ed25519NoteVerifier verifies the Ed25519 line that the C2SP vkey line ("name+hash+base64") describes.
func Ed25519NoteVerifier(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return nil, fmt.Errorf("read vkey line: %w", err)
	}
	return v, nil
}

// MarshalVKey returns the C2SP vkey line of an Ed25519 log key, without a line end.
func MarshalVKey(name string, pub ed25519.PublicKey) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(name, pub)
}

// ParseVKey reads a C2SP vkey line: the name and the Ed25519 key.
func ParseVKey(vkey string) (name string, pub ed25519.PublicKey, err error) {
	vkey = strings.TrimSpace(vkey)
	v, err := Ed25519NoteVerifier(vkey)
	if err != nil {
		return "", nil, err
	}
	key, err := base64.StdEncoding.DecodeString(vkey[strings.LastIndexByte(vkey[:len(v.Name())+10], '+')+1:])
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return "", nil, errors.New("read vkey line: not an ed25519 key")
	}
	return v.Name(), ed25519.PublicKey(key[1:]), nil
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
