package audit

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/license"
)

// Kinds of evidence parts, in stored order: at most one request, one of inputs, then one part for each person.
const (
	KindRequest = "request" // the call: token and body
	KindInputs  = "inputs"  // what decisions were made of, and the real reasons
	KindPerson  = "person"  // one person and the r of the commitments
)

// saltSize is the number of random bytes that every part begins with, so that its digest tells nothing of the rest.
const saltSize = 32

// What the parts hold after the salt, as JSON.
type (
	requestPart struct {
		Body  string `json:"body"` // base64url of the exact bytes
		Token string `json:"token"`
	}
	inputsPart struct {
		Erase   *Order         `json:"erase,omitempty"`
		Inputs  jsontext.Value `json:"inputs"`
		Reasons jsontext.Value `json:"reasons"`
	}
	inputsDraft struct { // as it is written
		Erase   *Order `json:"erase,omitempty"`
		Inputs  any    `json:"inputs"`
		Reasons any    `json:"reasons"`
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
	keyed      string // what the index holds instead
}

// people are the distinct persons of one record, the operator first.
type people []person

// find returns one of them, the zero person for nobody.
func (p people) find(id license.HolderID) person {
	for _, one := range p {
		if one.HolderID == id {
			return one
		}
	}
	return person{}
}

// peopleOf are the distinct persons of the draft, and the texts that are committed to as persons are, not hidden yet.
func peopleOf(d Draft) people {
	var found people
	add := func(id license.HolderID) {
		if id.Code != "" && found.find(id).Code == "" {
			found = append(found, person{HolderID: id})
		}
	}
	add(operator(d.Operator))
	for _, use := range d.Uses {
		add(use.Person)
	}
	for _, use := range d.Uses {
		add(caseNumber(use.CommittedCase))
	}
	add(requestID(d.CommittedRequestID))
	return found
}

// A hidden is the persons of a draft with their commitments, and the randomness that is left for the evidence parts.
type hidden struct {
	persons people
	random  randomPool
}

// hide draws the randomness of a record and gives each of its persons an r.
func (c Config) hide(d Draft) (*hidden, error) {
	h := &hidden{persons: peopleOf(d)}
	var err error
	if h.random, err = c.draw(2 + 2*len(h.persons)); err != nil {
		return nil, err
	}
	for i := range h.persons {
		p := &h.persons[i]
		pair, err := pairOf(p.HolderID)
		if err != nil {
			return nil, fmt.Errorf("write person: %w", err)
		}
		p.r = h.random.next()
		p.commitment = commit(c.NewSM3, p.r, pair)
		p.keyed = keyedDigest(c.index[0], pair)
	}
	return h, nil
}

// of reports whether these are the persons of a draft, in order, and were not recorded yet.
func (h *hidden) of(d Draft) bool {
	return h.random != nil && slices.EqualFunc(h.persons, peopleOf(d), func(a, b person) bool { return a.HolderID == b.HolderID })
}

// A randomPool is randomness for one record, read at once.
type randomPool []byte

// draw draws so many salts.
func (c Config) draw(times int) (randomPool, error) {
	b := make(randomPool, times*saltSize)
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}

// next takes a salt off, which is never given out again.
func (c *randomPool) next() []byte {
	b := (*c)[:saltSize:saltSize]
	*c = (*c)[saltSize:]
	return b
}

// seal makes the evidence parts of a draft, in stored order.
func (c Config) seal(d Draft, persons people, random *randomPool) ([]Sealed, error) {
	parts := make([]Sealed, 0, 2+len(persons))
	add := func(kind string, content any) error {
		part, err := c.sealPart(kind, content, random.next())
		parts = append(parts, part)
		return err
	}
	if d.Token != "" || d.Body != nil {
		if err := add(KindRequest, requestPart{canonical.Base64(d.Body), d.Token}); err != nil {
			return nil, err
		}
	}
	if err := add(KindInputs, inputsDraft{d.Erase, d.Inputs, d.Reasons}); err != nil {
		return nil, err
	}
	for _, p := range persons {
		if err := add(KindPerson, personPart{p.Code, canonical.Base64(p.r), p.Type}); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func (c Config) sealPart(kind string, content any, start []byte) (Sealed, error) {
	plain := plaintexts.Get().(*bytes.Buffer)
	defer plaintexts.Put(plain)
	plain.Reset()
	plain.Write(start)
	if err := writeExact(plain, content); err != nil {
		return Sealed{}, fmt.Errorf("write %s part: %w", kind, err)
	}
	digest := c.hashes.Sum(plain.Bytes())
	part := Sealed{Kind: kind, Digest: digest[:]}
	var err error
	if part.Blob, err = c.Sealer.Seal(plain.Bytes(), partContext(kind, part.Digest)); err != nil {
		return Sealed{}, fmt.Errorf("seal %s part: %w", kind, err)
	}
	return part, nil
}

// plaintexts are buffers for parts: a part is in the clear while it is sealed, and nobody keeps it.
var plaintexts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// partContext binds a blob to its kind and, by the digest that the record commits to, to its record.
func partContext(kind string, digest []byte) []byte {
	return append([]byte("oncegate/evidence/v1\x00"+kind+"\x00"), digest...)
}

// evidenceDigest is SM3 over the JCS list of the parts' digests.
func (c Config) evidenceDigest(parts []Sealed) string {
	list := append(make([]byte, 0, 2+len(parts)*(canonical.DigestLen+3)), '[')
	for i, part := range parts {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, '"')
		list = base64.RawURLEncoding.AppendEncode(list, part.Digest)
		list = append(list, '"')
	}
	return c.digest(append(list, ']'))
}

// The code types under which a record commits to what is no holder.
const (
	OperatorType = "operator"   // an operator (经办人)
	CaseType     = "case"       // a case number that is nothing but the caller's word
	RequestType  = "request-id" // a request id that is no UUID
)

// Commitment returns HMAC-SM3(r, JCS([type, code])) in base64url: what stands for a person in a record. r is 32 random
// bytes per person and record, so that nobody who lacks r can link or guess.
func Commitment(newSM3 func() hash.Hash, r []byte, person license.HolderID) (string, error) {
	pair, err := pairOf(person)
	if err != nil {
		return "", fmt.Errorf("write person: %w", err)
	}
	return commit(newSM3, r, pair), nil
}

func commit(newSM3 func() hash.Hash, r, pair []byte) string {
	mac := hmac.New(newSM3, r)
	mac.Write(pair)
	return canonical.Base64(mac.Sum(nil))
}

// pairOf is JCS([type, code]).
func pairOf(person license.HolderID) ([]byte, error) {
	return canonical.AppendStrings(nil, person.Type, person.Code)
}

// keyed is the digest that the index holds instead of the person, "" for nobody. It is the same over all records, so it
// never leaves the database.
func keyed(key *hashpool.Pool, person license.HolderID) (string, error) {
	if person.Code == "" {
		return "", nil
	}
	pair, err := pairOf(person)
	if err != nil {
		return "", fmt.Errorf("write person: %w", err)
	}
	return keyedDigest(key, pair), nil
}

func keyedDigest(key *hashpool.Pool, pair []byte) string {
	sum := key.Sum(pair)
	return canonical.Base64(sum[:])
}

// operator names an operator as a person. Without a code it is nobody, as every person is.
func operator(code string) license.HolderID { return textOf(OperatorType, code) }

// caseNumber and requestID name texts that a caller wrote as persons are named, because they may be a person's number: committed to,
// sealed, found and erased alike.
func caseNumber(no string) license.HolderID { return textOf(CaseType, no) }

func requestID(id string) license.HolderID { return textOf(RequestType, id) }

func textOf(kind, text string) license.HolderID { return license.HolderID{Type: kind, Code: text} }
