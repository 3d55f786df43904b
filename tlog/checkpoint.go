package tlog

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"

	"oncegate/canonical"
)

const (
	// MaxCheckpoint is the length in bytes of the longest checkpoint that is read.
	MaxCheckpoint = 16 << 10

	// MaxSize is the largest number of leaves of a log: indices are integers of I-JSON.
	MaxSize = 1<<53 - 1

	sm3RootPrefix = "sm3-root "
)

// ErrCheckpoint says that bytes are not a checkpoint of the form this package writes.
var ErrCheckpoint = errors.New("malformed checkpoint")

// Checkpoint is what a checkpoint commits to: a C2SP tlog-checkpoint whose one extension line
// carries the root of the SM3 tree (design 5.6).
type Checkpoint struct {
	Origin string // names the log, and its keys
	Size   uint64 // number of leaves
	SHA256 [HashSize]byte
	SM3    [HashSize]byte
}

// Root returns the root of the given tree.
func (c Checkpoint) Root(tree Tree) []byte {
	if tree == SM3 {
		return c.SM3[:]
	}
	return c.SHA256[:]
}

func (c *Checkpoint) setRoot(tree Tree, root []byte) {
	if tree == SM3 {
		c.SM3 = [HashSize]byte(root)
	} else {
		c.SHA256 = [HashSize]byte(root)
	}
}

// Text returns the text that is signed: origin, size, SHA-256 root and the line of the SM3 root,
// each ended by a newline.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s%s\n", c.Origin, c.Size,
		base64.StdEncoding.EncodeToString(c.SHA256[:]),
		sm3RootPrefix, base64.StdEncoding.EncodeToString(c.SM3[:]))
}

// Signer signs checkpoints. It is called under the storage's lock: it must be quick, and may give up
// when ctx ends. Implementations are safe for concurrent use.
type Signer interface {
	Name() string    // of the key: the log's origin
	KeyHash() uint32 // key id as in a signed note
	Sign(ctx context.Context, msg []byte) ([]byte, error)
}

// noteSigner lends a Signer to package note, which knows no context.
type noteSigner struct {
	Signer
	ctx context.Context
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.Signer.Sign(s.ctx, msg) }

func signCheckpoint(ctx context.Context, c Checkpoint, signers ...Signer) (string, error) {
	list := make([]note.Signer, len(signers))
	for i, s := range signers {
		list[i] = noteSigner{s, ctx}
	}
	msg, err := note.Sign(&note.Note{Text: c.Text()}, list...)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(msg), nil
}

// ParseCheckpoint reads a signed checkpoint of exactly the form that this package writes: four lines
// of text, an empty line, at least one signature line. It checks no signature. Every error is
// ErrCheckpoint.
func ParseCheckpoint(signed string) (Checkpoint, error) {
	c, err := parseCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return c, nil
}

func parseCheckpoint(signed string) (c Checkpoint, err error) {
	if len(signed) > MaxCheckpoint {
		return c, errors.New("too long")
	}
	text, sigs, _ := strings.Cut(signed, "\n\n") // without an empty line there are no signatures
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return c, fmt.Errorf("%d lines of text, not 4", len(lines))
	}
	if !isOrigin(lines[0]) {
		return c, errors.New("origin is no key name")
	}
	c.Origin = lines[0]
	if c.Size, err = parseSize(lines[1]); err != nil {
		return c, err
	}
	if err := parseRoot(&c.SHA256, lines[2]); err != nil {
		return c, fmt.Errorf("root: %w", err)
	}
	sm3, ok := strings.CutPrefix(lines[3], sm3RootPrefix)
	if !ok {
		return c, errors.New("no sm3-root line")
	}
	if err := parseRoot(&c.SM3, sm3); err != nil {
		return c, fmt.Errorf("sm3-root: %w", err)
	}
	return c, checkSignatureLines(sigs)
}

func checkSignatureLines(sigs string) error {
	body, ok := strings.CutSuffix(sigs, "\n")
	if !ok {
		return errors.New("signatures do not end in a newline")
	}
	for line := range strings.SplitSeq(body, "\n") {
		rest, ok := strings.CutPrefix(line, "— ")
		name, sig, _ := strings.Cut(rest, " ")
		if !ok || !isOrigin(name) {
			return errors.New("malformed signature line")
		}
		if len(decodeBase64(sig)) < 5 {
			return errors.New("malformed signature")
		}
	}
	return nil
}

// isOrigin reports whether s can name a key in a signed note: valid UTF-8 without spaces, plus signs
// and control characters.
func isOrigin(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

func parseSize(s string) (uint64, error) {
	n, _ := strconv.ParseUint(s, 10, 64) // what is no number is not written as one either
	if n > MaxSize || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("size is no number of leaves")
	}
	return n, nil
}

func parseRoot(root *[HashSize]byte, s string) error {
	b := decodeBase64(s)
	if len(b) != HashSize {
		return errors.New("not the canonical base64 of a hash")
	}
	copy(root[:], b)
	return nil
}

// decodeBase64 decodes the one encoding of a value, and returns nothing for whatever else: the standard decoder skips newlines and
// ignores stray bits.
func decodeBase64(s string) []byte {
	b, _ := base64.StdEncoding.DecodeString(s)
	if base64.StdEncoding.EncodeToString(b) != s {
		return nil
	}
	return b
}

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
