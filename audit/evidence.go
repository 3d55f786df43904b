package audit

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/license"
)

// Kinds of evidence parts, in stored order: at most one request, one of inputs, then one part for each person.
const (
	KindRequest = "request" // the call: token and body
	KindInputs  = "inputs"  // what decisions were made of, and the real reasons
	KindPerson  = "person"  // one person and the r of the commitments
)

// noise is the number of random bytes that every part begins with, so that its digest tells nothing of the rest.
const noise = 32

// What the parts hold after the noise, as JSON.
type (
	requestPart struct {
		Body  string `json:"body"` // base64url of the exact bytes
		Token string `json:"token"`
	}
	inputsPart struct {
		Inputs  jsontext.Value `json:"inputs"`
		Reasons jsontext.Value `json:"reasons"`
	}
	inputsDraft struct { // as it is written
		Inputs  any `json:"inputs"`
		Reasons any `json:"reasons"`
	}
	personPart struct {
		Code string `json:"code"`
		R    string `json:"r"` // base64url
		Type string `json:"type"`
	}
)

// A person is somebody a record is about, with the r that hides them in it.
type person struct {
	license.HolderID
	r          []byte
	commitment string
}

// people are the distinct persons of one record, the operator first.
type people []person

// commitment returns the commitment of one of them, "" for nobody.
func (p people) commitment(id license.HolderID) string {
	for _, one := range p {
		if one.HolderID == id {
			return one.commitment
		}
	}
	return ""
}

// gather draws an r for each distinct person of the draft.
func (c Config) gather(d Draft) (people, error) {
	var found people
	add := func(id license.HolderID) error {
		if id.Code == "" || found.commitment(id) != "" {
			return nil
		}
		r, err := c.random(noise)
		if err != nil {
			return err
		}
		commitment, err := Commitment(c.NewSM3, r, id)
		found = append(found, person{id, r, commitment})
		return err
	}
	if err := add(operator(d.Operator)); err != nil {
		return nil, err
	}
	for _, use := range d.Uses {
		if err := add(use.Person); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// seal makes the evidence parts of a draft, in stored order.
func (c Config) seal(d Draft, persons people) ([]Sealed, error) {
	var parts []Sealed
	add := func(kind string, content any) error {
		part, err := c.sealPart(kind, content)
		parts = append(parts, part)
		return err
	}
	if d.Token != "" || d.Body != nil {
		if err := add(KindRequest, requestPart{encode(d.Body), d.Token}); err != nil {
			return nil, err
		}
	}
	if err := add(KindInputs, inputsDraft{d.Inputs, d.Reasons}); err != nil {
		return nil, err
	}
	for _, p := range persons {
		if err := add(KindPerson, personPart{p.Code, encode(p.r), p.Type}); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func (c Config) sealPart(kind string, content any) (Sealed, error) {
	text, err := exactJSON(content)
	if err != nil {
		return Sealed{}, fmt.Errorf("write %s part: %w", kind, err)
	}
	plain, err := c.random(noise)
	if err != nil {
		return Sealed{}, err
	}
	plain = append(plain, text...)
	part := Sealed{Kind: kind, Digest: digestOf(c.NewSM3, plain)}
	if part.Blob, err = c.Sealer.Seal(plain, partContext(kind, part.Digest)); err != nil {
		return Sealed{}, fmt.Errorf("seal %s part: %w", kind, err)
	}
	return part, nil
}

// partContext binds a blob to its kind and, by the digest that the record commits to, to its record.
func partContext(kind string, digest []byte) []byte {
	return append([]byte("oncegate/evidence/v1\x00"+kind+"\x00"), digest...)
}

// evidenceDigest is SM3 over the JCS list of the parts' digests.
func (c Config) evidenceDigest(parts []Sealed) (string, error) {
	list := make([]string, len(parts))
	for i, part := range parts {
		list[i] = encode(part.Digest)
	}
	text, err := Canonical(list)
	if err != nil {
		return "", err
	}
	return encode(digestOf(c.NewSM3, text)), nil
}

func (c Config) random(n int) ([]byte, error) {
	b := make([]byte, n, n+512)
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}
