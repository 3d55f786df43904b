package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"oncegate/canonical"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxReceipt is the length in bytes of the longest receipt that is read.
const MaxReceipt = 128 << 10

// maxProof is the length of the longest possible proof: one hash for each bit of an index.
const maxProof = 64

// ErrReceipt says that bytes are not a receipt.
var ErrReceipt = errors.New("malformed receipt")

// Receipt proves that a record is in a log, together with that log's keys and nothing else
// (design 5.6). Its JSON form is made by MarshalJSON and read by ParseReceipt.
type Receipt struct {
	Record     []byte // the leaf
	Index      uint64 // position in the log, from 0
	Proofs     Proofs // inclusion of Record at Index in the tree of Checkpoint
	Checkpoint string // signed note, verbatim
}

// Proofs holds a proof in each tree: HashSize bytes each, from the leaf to the root.
type Proofs struct{ SM3, SHA256 [][]byte }

// Of returns the proof in the given tree.
func (p Proofs) Of(tree Tree) [][]byte {
	if tree == SM3 {
		return p.SM3
	}
	return p.SHA256
}

func (p *Proofs) set(tree Tree, proof [][]byte) {
	if tree == SM3 {
		p.SM3 = proof
	} else {
		p.SHA256 = proof
	}
}

// receiptJSON is a Receipt on the wire, to be read. Pointers tell what is missing.
type receiptJSON struct {
	Record     *string     `json:"record"`
	Index      *uint64     `json:"index"`
	Proofs     *proofsJSON `json:"proofs"`
	Checkpoint *string     `json:"checkpoint"`
}

type proofsJSON struct {
	SM3    []string `json:"sm3"`
	SHA256 []string `json:"sha256"`
}

// MarshalJSON returns {record, index, proofs: {sm3, sha256}, checkpoint}: the record in unpadded
// base64url, the hashes in standard base64.
func (r Receipt) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 256+2*len(r.Record)+48*(len(r.Proofs.SM3)+len(r.Proofs.SHA256))+len(r.Checkpoint))
	b = append(b, `{"record":"`...)
	b = base64.RawURLEncoding.AppendEncode(b, r.Record)
	b = append(b, `","index":`...)
	b = strconv.AppendUint(b, r.Index, 10)
	b = append(b, `,"proofs":{"sm3":`...)
	b = appendProof(b, r.Proofs.SM3)
	b = append(b, `,"sha256":`...)
	b = appendProof(b, r.Proofs.SHA256)
	b = append(b, `},"checkpoint":`...)
	b, err := jsontext.AppendQuote(b, r.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("write receipt: checkpoint: %w", err)
	}
	return append(b, '}'), nil
}

func appendProof(b []byte, proof [][]byte) []byte {
	b = append(b, '[')
	for i, hash := range proof {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, hash)
		b = append(b, '"')
	}
	return append(b, ']')
}

// UnmarshalJSON is ParseReceipt.
func (r *Receipt) UnmarshalJSON(data []byte) error {
	parsed, err := ParseReceipt(data)
	if err == nil {
		*r = parsed
	}
	return err
}

// ParseReceipt reads a receipt strictly: exactly the members that MarshalJSON writes, each once, in
// canonical base64, within MaxReceipt, and with a well-formed checkpoint. It verifies nothing. Every
// error is ErrReceipt.
func ParseReceipt(data []byte) (Receipt, error) {
	r, err := parseReceipt(data)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return r, nil
}

func parseReceipt(data []byte) (r Receipt, err error) {
	if len(data) > MaxReceipt {
		return r, errors.New("too long")
	}
	var wire receiptJSON
	if err := json.Unmarshal(data, &wire, json.RejectUnknownMembers(true)); err != nil {
		// The library's error may quote the input, which may be anything.
		return r, errors.New("not the JSON of a receipt")
	}
	if wire.Record == nil || wire.Index == nil || wire.Proofs == nil || wire.Checkpoint == nil {
		return r, errors.New("a member is missing")
	}
	if r.Record, err = canonical.ParseBase64(*wire.Record); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if len(r.Record) == 0 || len(r.Record) > MaxLeaf {
		return r, errors.New("record is empty or too long")
	}
	if r.Index = *wire.Index; r.Index >= MaxSize {
		return r, errors.New("index is too large")
	}
	if r.Proofs.SM3, err = decodeProof(wire.Proofs.SM3); err != nil {
		return r, fmt.Errorf("sm3 proof: %w", err)
	}
	if r.Proofs.SHA256, err = decodeProof(wire.Proofs.SHA256); err != nil {
		return r, fmt.Errorf("sha256 proof: %w", err)
	}
	r.Checkpoint = *wire.Checkpoint
	_, err = ParseCheckpoint(r.Checkpoint)
	return r, err
}

func decodeProof(list []string) ([][]byte, error) {
	if list == nil {
		return nil, errors.New("missing")
	}
	if len(list) > maxProof {
		return nil, errors.New("too long")
	}
	proof := make([][]byte, len(list))
	for i, s := range list {
		var h [HashSize]byte
		if err := parseRoot(&h, s); err != nil {
			return nil, err
		}
		proof[i] = h[:]
	}
	return proof, nil
}
