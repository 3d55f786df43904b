package audit

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"

	"oncegate/license"
	"oncegate/tlog"
)

// Trust is what a verifier brings along.
type Trust struct {
	tlog.Trust
	Witnesses []note.Verifier // any one of them suffices; none: the witness step is not checkable
}

// A Proof is a receipt with what it may be held against.
type Proof struct {
	Receipt tlog.Receipt
	Answer  []byte    // the answer as JSON, in any form with the same content; nil: not at hand
	Token   string    // compact JWS of the call; empty: not at hand
	Opened  []Opening // commitments whose person is disclosed
}

// An Opening discloses the person behind one commitment.
type Opening struct {
	Use    int // place in Record.Uses
	Holder license.HolderID
	R      []byte
}

// VerifyReceipt checks a receipt offline, and the answer and the call against its record. It returns every step; error is nil
// only when none failed and every line of the checkpoint is there whose key the trust names. The Record is zero unless the receipt's leaf
// is one. Without trust the error says so and no step was taken.
func VerifyReceipt(p Proof, t Trust) (Record, []license.Step, error) {
	logSteps, logErr := tlog.VerifyReceipt(p.Receipt, t.Trust)
	if len(logSteps) == 0 {
		return Record{}, nil, fmt.Errorf("verify receipt: %w", logErr)
	}
	var done checks
	record, err := ParseRecord(p.Receipt.Record)
	done.add(StepRecord, err)
	if err == nil {
		done.answer(t, record, p.Answer)
		done.call(t, record, p.Token)
		done.openings(t, record, p.Opened)
	}
	for _, s := range logSteps {
		done = append(done, license.Step{Name: s.Name, State: license.StepState(s.State), Reason: s.Reason})
	}
	done.witness(t, p.Receipt.Checkpoint)
	if failed := done.failed(); failed != "" {
		return record, done, fmt.Errorf("verify receipt: %w: %s", tlog.ErrUnproven, failed)
	}
	if logErr != nil {
		return record, done, fmt.Errorf("verify receipt: %w", logErr)
	}
	return record, done, nil
}

func (done *checks) answer(t Trust, r Record, answer []byte) {
	if answer == nil {
		done.unknown(StepAnswer, "the answer is not at hand")
		return
	}
	text, err := canonicalize(answer)
	if err == nil && encode(digestOf(t.NewSM3, text)) != r.AnswerDigest {
		err = errors.New("the record is of another answer")
	}
	done.add(StepAnswer, err)
}

func (done *checks) call(t Trust, r Record, token string) {
	switch {
	case token == "":
		done.unknown(StepToken, "the call's token is not at hand")
	case encode(digestOf(t.NewSM3, []byte(token))) != r.TokenDigest:
		done.add(StepToken, errors.New("the record is of another call"))
	default:
		done.add(StepToken, nil)
	}
}

func (done *checks) openings(t Trust, r Record, opened []Opening) {
	for _, o := range opened {
		done.add(StepHolder, o.check(t, r))
	}
}

func (o Opening) check(t Trust, r Record) error {
	if o.Use < 0 || o.Use >= len(r.Uses) || r.Uses[o.Use].Holder == "" {
		return errors.New("the record has no commitment there")
	}
	commitment, err := Commitment(t.NewSM3, o.R, o.Holder)
	if err != nil || len(o.R) != noise || commitment != r.Uses[o.Use].Holder {
		return errors.New("the commitment is of somebody else")
	}
	return nil
}

// witness looks for a co-signature of one known witness. None is no failure: the log is then unwitnessed.
func (done *checks) witness(t Trust, checkpoint string) {
	if len(t.Witnesses) == 0 {
		done.unknown(StepWitness, "no witness is known here: unwitnessed")
		return
	}
	_, err := note.Open([]byte(checkpoint), note.VerifierList(t.Witnesses...))
	var absent *note.UnverifiedNoteError
	if errors.As(err, &absent) {
		done.unknown(StepWitness, "no known witness has co-signed: unwitnessed")
		return
	}
	if err != nil {
		err = errors.New("a witness's line does not verify")
	}
	done.add(StepWitness, err)
}

// ErrNoReceipt says that an answered document has no receipt.
var ErrNoReceipt = errors.New("there is no receipt")

// SplitAnswer takes an answered document apart: {answer, receipt}, or a problem document with its receipt. answer is the
// JSON that the record's answer_digest is of, in canonical form. Every error is ErrForm; that of a document without a receipt is
// ErrNoReceipt too.
func SplitAnswer(document []byte) (answer []byte, receipt tlog.Receipt, err error) {
	if err := checkJSON(document); err != nil {
		return nil, receipt, err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, receipt, fmt.Errorf("read answered document: %w", ErrForm)
	}
	if members["receipt"] == nil {
		return nil, receipt, fmt.Errorf("read answered document: %w: %w", ErrForm, ErrNoReceipt)
	}
	if receipt, err = tlog.ParseReceipt(members["receipt"]); err != nil {
		return nil, receipt, fmt.Errorf("read answered document: %w: %w", ErrForm, err)
	}
	delete(members, "receipt")
	if value, ok := members["answer"]; ok && len(members) == 1 {
		answer, err = Canonical(value)
		return answer, receipt, err
	}
	answer, err = Canonical(members)
	return answer, receipt, err
}
