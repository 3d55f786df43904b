package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"hash"

	"oncegate/check"

	"github.com/transparency-dev/merkle/proof"
	"golang.org/x/mod/sumdb/note"
)

// ErrUnproven says that something was read well but is not what it claims to be.
var ErrUnproven = errors.New("not proven")

// Trust is what a verifier brings along to judge a log's artefacts.
type Trust struct {
	Origin  string
	SM2     note.Verifier // of the SM2 line; required
	Ed25519 note.Verifier // of the Ed25519 line; nil leaves that line unchecked
	NewSM3  func() hash.Hash
}

// The steps of VerifyReceipt, in order; those of VerifyCheckpoint are the first four.
const (
	StepCheckpoint = "checkpoint-form"
	StepOrigin     = "checkpoint-origin"
	StepSM2        = "checkpoint-sm2-signature"
	StepEd25519    = "checkpoint-ed25519-signature"
	StepSM3Tree    = "record-in-sm3-tree"
	StepSHA256Tree = "record-in-sha256-tree"
)

// VerifyReceipt proves offline that r.Record is entry r.Index of the log t names. Both proofs and
// the SM2 line must hold, and the Ed25519 line where t knows its key. It returns every step taken,
// and an error that is ErrUnproven if one of these does not hold.
func VerifyReceipt(r Receipt, t Trust) ([]check.Step, error) {
	c, steps, err := VerifyCheckpoint(r.Checkpoint, t)
	if c == (Checkpoint{}) {
		return steps, err
	}
	h := newHashers(t.NewSM3)
	for _, tree := range Trees {
		steps = append(steps, check.Result("record-in-"+tree.String()+"-tree", verifyInclusion(h.of(tree), r, c)))
	}
	return steps, failure(steps, t)
}

// VerifyCheckpoint checks origin and signatures of a signed checkpoint as VerifyReceipt does. The
// Checkpoint returned is zero unless its form is right; it is proven only if err is nil.
func VerifyCheckpoint(signed string, t Trust) (Checkpoint, []check.Step, error) {
	if t.SM2 == nil || t.NewSM3 == nil || t.Origin == "" {
		return Checkpoint{}, nil, fmt.Errorf("%w: trust names no log, no SM2 key or no SM3", ErrUnproven)
	}
	c, err := ParseCheckpoint(signed)
	if err != nil {
		steps := []check.Step{check.Result(StepCheckpoint, err)}
		return Checkpoint{}, steps, failure(steps, t)
	}
	steps := []check.Step{check.Result(StepCheckpoint, nil), check.Result(StepOrigin, checkOrigin(c.Origin, t.Origin))}
	steps = append(steps, signatureStep(StepSM2, signed, t.SM2, true))
	steps = append(steps, signatureStep(StepEd25519, signed, t.Ed25519, false))
	return c, steps, failure(steps, t)
}

func checkOrigin(got, want string) error {
	if got != want {
		return fmt.Errorf("checkpoint is of log %q, not of %q", got, want)
	}
	return nil
}

// signatureStep checks the line of one key. A missing line refutes the checkpoint only where no checkpoint goes without it;
// else the checkpoint is merely not proven.
func signatureStep(name, signed string, v note.Verifier, required bool) check.Step {
	if v == nil {
		return check.CannotCheck(name, "the key is not known here")
	}
	_, err := note.Open([]byte(signed), note.VerifierList(v))
	var absent *note.UnverifiedNoteError
	if errors.As(err, &absent) {
		if !required {
			return check.CannotCheck(name, "the checkpoint has no line of this key")
		}
		err = errors.New("the checkpoint has no line of this key")
	}
	return check.Result(name, err)
}

func verifyInclusion(h *hasher, r Receipt, c Checkpoint) error {
	if r.Index >= c.Size {
		return fmt.Errorf("index %d is beyond the checkpoint's size %d", r.Index, c.Size)
	}
	leaf := h.HashLeaf(r.Record)
	if err := proof.VerifyInclusion(h, r.Index, c.Size, leaf, r.Proofs.Of(h.tree), c.Root(h.tree)); err != nil {
		return fmt.Errorf("record is not entry %d under the %s root", r.Index, h.tree)
	}
	return nil
}

// VerifyConsistency proves that the log of size to.Size extends the one of from.Size in both trees.
// It checks no signature: both checkpoints must be proven already. The error is ErrUnproven.
func VerifyConsistency(newSM3 func() hash.Hash, from, to Checkpoint, p Proofs) error {
	h := newHashers(newSM3)
	if from.Origin != to.Origin {
		return fmt.Errorf("%w: checkpoints are of two logs", ErrUnproven)
	}
	if from.Size > to.Size {
		return fmt.Errorf("%w: size %d is not above %d", ErrUnproven, to.Size, from.Size)
	}
	for _, tree := range Trees {
		if err := verifyConsistency(h.of(tree), from, to, p.Of(tree)); err != nil {
			return fmt.Errorf("%w: size %d does not extend size %d in the %s tree", ErrUnproven, to.Size, from.Size, tree)
		}
	}
	return nil
}

func verifyConsistency(h *hasher, from, to Checkpoint, p [][]byte) error {
	// The library does not look at the root of an empty tree.
	if from.Size == 0 && !bytes.Equal(from.Root(h.tree), h.EmptyRoot()) {
		return errors.New("root of an empty tree is wrong")
	}
	return proof.VerifyConsistency(h, from.Size, to.Size, p, from.Root(h.tree), to.Root(h.tree))
}

// failure names the first step that failed, or a line that is not there though its key is known.
func failure(steps []check.Step, t Trust) error {
	for _, s := range steps {
		if s.State == check.Failed || s.Name == StepEd25519 && s.State == check.NotCheckable && t.Ed25519 != nil {
			return fmt.Errorf("%w: %s: %s", ErrUnproven, s.Name, s.Reason)
		}
	}
	return nil
}
