// Package jws signs and verifies compact JSON Web Signatures (RFC 7515) with SM2 and SM3.
//
// It is stricter than JOSE: three segments of unpadded base64url that decode to one value only, a header of known
// members without duplicates, and an algorithm that the caller fixes. The header's "alg" must equal it; it never
// chooses. The library behind it stands in one file, jwx.go.
package jws

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/sm"
)

var (
	// ErrForm says that the text is no compact JWS of ours.
	ErrForm = errors.New("malformed jws")
	// ErrDuplicate says that the header names a member twice.
	ErrDuplicate = errors.New("jws header has a duplicate member")
	// ErrCrit says that the header demands extensions ("crit"); we have none.
	ErrCrit = errors.New("jws demands critical extensions")
	// ErrAlgorithm says that the header's algorithm is not the one expected.
	ErrAlgorithm = errors.New("jws has another algorithm")
	// ErrSignature says that the signature is not the key's over these bytes.
	ErrSignature = errors.New("jws signature does not verify")
)

// Header is the protected header. X5C holds DER certificates, leaf first.
type Header struct {
	Alg string
	Typ string
	Kid string
	X5C [][]byte
}

// Parts is a JWS taken apart but not verified.
type Parts struct {
	Header    Header
	Payload   []byte
	Signature []byte
	// SigningInput is what the signature covers: the first two segments with the dot between.
	SigningInput string
}

// wire is the header as it stands on the wire. Unknown members are refused: what we do not understand we do not obey.
type wire struct {
	Alg string   `json:"alg"`
	Typ string   `json:"typ,omitzero"`
	Kid string   `json:"kid,omitzero"`
	X5C []string `json:"x5c,omitzero"`
}

// maxChain bounds x5c.
const maxChain = 6

// Split takes a compact JWS of at most limit bytes apart. Errors are ErrForm, ErrDuplicate or
// ErrCrit.
func Split(compact string, limit int) (*Parts, error) {
	if len(compact) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForm, limit)
	}
	seg := strings.Split(compact, ".")
	if len(seg) != 3 || seg[0] == "" || seg[1] == "" || seg[2] == "" {
		return nil, fmt.Errorf("%w: not three segments", ErrForm)
	}
	var raw [3][]byte
	for i, s := range seg {
		b, err := sm.ParseB64(s)
		if err != nil {
			return nil, fmt.Errorf("%w: segment %d is not base64url", ErrForm, i+1)
		}
		raw[i] = b
	}
	h, err := parseHeader(raw[0])
	if err != nil {
		return nil, err
	}
	return &Parts{
		Header: h, Payload: raw[1], Signature: raw[2],
		SigningInput: compact[:len(seg[0])+1+len(seg[1])],
	}, nil
}

func parseHeader(raw []byte) (Header, error) {
	var w wire
	err := json.Unmarshal(raw, &w, json.RejectUnknownMembers(true))
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return Header{}, ErrDuplicate
	case demandsExtensions(raw):
		return Header{}, ErrCrit
	case err != nil || raw[0] != '{':
		return Header{}, fmt.Errorf("%w: header is no object, or has an unknown or mistyped member", ErrForm)
	}
	if len(w.X5C) > maxChain {
		return Header{}, fmt.Errorf("%w: x5c of more than %d", ErrForm, maxChain)
	}
	h := Header{Alg: w.Alg, Typ: w.Typ, Kid: w.Kid}
	for _, s := range w.X5C {
		// RFC 7515 section 4.1.6: standard base64 here, not base64url.
		der, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return Header{}, fmt.Errorf("%w: x5c is not base64", ErrForm)
		}
		h.X5C = append(h.X5C, der)
	}
	return h, nil
}

// demandsExtensions tells whether the header has "crit", whatever else is wrong with it.
func demandsExtensions(raw []byte) bool {
	if !bytes.Contains(raw, []byte("crit")) {
		return false
	}
	var w struct {
		Crit jsontext.Value `json:"crit"`
	}
	return json.Unmarshal(raw, &w) == nil && w.Crit != nil
}

// Sign returns the compact JWS of payload, algorithm [sm.Algorithm], with typ, kid and x5c of h; h.Alg is ignored.
func Sign(ctx context.Context, signer sm.Signer, h Header, payload []byte) (string, error) {
	h.Alg = sm.Algorithm
	return sign(signingKey{ctx, signer}, h, payload)
}

// Verify checks an SM2SM3 signature under pub. A nil verify means [sm.Verify]. Errors are ErrAlgorithm or ErrSignature.
func (p *Parts) Verify(pub *ecdsa.PublicKey, verify sm.VerifyFunc) error {
	if verify == nil {
		verify = sm.Verify
	}
	return p.verifyAs(sm.Algorithm, verifyingKey{pub, verify})
}

// VerifyES256 checks an ES256 signature: credentials of other issuers, and the examples of the RFCs.
func (p *Parts) VerifyES256(pub *ecdsa.PublicKey) error {
	return p.verifyAs("ES256", pub)
}

func (p *Parts) verifyAs(alg string, key crypto.PublicKey) error {
	if p.Header.Alg != alg {
		return fmt.Errorf("%w than %s", ErrAlgorithm, alg)
	}
	return verify(alg, p.SigningInput, p.Signature, key)
}
