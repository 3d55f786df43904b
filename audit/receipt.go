package audit

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"

	"oncegate/canonical"
	"oncegate/check"
	"oncegate/license"
	"oncegate/tlog"
)

// Trust is what a verifier brings along.
type Trust struct {
	tlog.Trust
	Witnesses []note.Verifier // of their lines; one witness may have several, under one name. None: the witness step is not checkable
	Quorum    Quorum          // of which organisations the witnesses are, and how many must have co-signed; zero: nothing is said of that
}

// A Proof is a receipt with what it may be held against.
type Proof struct {
	Receipt tlog.Receipt
	Answer  []byte    // the answer as JSON, in any form with the same content; nil: not at hand
	Split   bool      // Answer is as SplitAnswer returns it: canonical already
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
func VerifyReceipt(p Proof, t Trust) (Record, []check.Step, error) {
	logSteps, logErr := tlog.VerifyReceipt(p.Receipt, t.Trust)
	if len(logSteps) == 0 {
		return Record{}, nil, fmt.Errorf("verify receipt: %w", logErr)
	}
	var done check.Steps
	record, err := ParseRecord(p.Receipt.Record)
	done.Result(StepRecord, err)
	if err == nil {
		checkAnswer(&done, t, record, p)
		checkToken(&done, t, record, p.Token)
		checkOpenings(&done, t, record, p.Opened)
	}
	done = append(append(done, logSteps...), WitnessStep(p.Receipt.Checkpoint, t.Witnesses))
	if t.Quorum.Need > 0 {
		w := t.Quorum.Judge(Cosignatures(p.Receipt.Checkpoint, t.Witnesses))
		done = append(done, QuorumStep(w, t.Quorum))
		if recorded, err := time.Parse(time.RFC3339, record.Time); err == nil {
			done = append(done, WitnessedTimeStep(w, recorded))
		}
	}
	if failed, found := check.FirstFailed(done); found {
		return record, done, fmt.Errorf("verify receipt: %w: %s", tlog.ErrUnproven, failed.Name)
	}
	if logErr != nil {
		return record, done, fmt.Errorf("verify receipt: %w", logErr)
	}
	return record, done, nil
}

func checkAnswer(done *check.Steps, t Trust, r Record, p Proof) {
	text, err := p.Answer, error(nil)
	switch {
	case text == nil:
		done.CannotCheck(StepAnswer, "the answer is not at hand")
		return
	case !p.Split:
		text, err = reformat(text)
	}
	if err == nil && canonical.Digest(t.NewSM3, text) != r.AnswerDigest {
		err = errors.New("the record is of another answer")
	}
	done.Result(StepAnswer, err)
}

func checkToken(done *check.Steps, t Trust, r Record, token string) {
	switch {
	case token == "":
		done.CannotCheck(StepToken, "the call's token is not at hand")
	case canonical.Digest(t.NewSM3, []byte(token)) != r.TokenDigest:
		done.Result(StepToken, errors.New("the record is of another call"))
	default:
		done.Result(StepToken, nil)
	}
}

func checkOpenings(done *check.Steps, t Trust, r Record, opened []Opening) {
	for _, o := range opened {
		done.Result(StepHolder, o.check(t, r))
	}
}

func (o Opening) check(t Trust, r Record) error {
	if o.Use < 0 || o.Use >= len(r.Uses) || r.Uses[o.Use].Holder == "" {
		return errors.New("the record has no commitment there")
	}
	if commitment, _ := Commitment(t.NewSM3, o.R, o.Holder); len(o.R) != saltSize || commitment != r.Uses[o.Use].Holder {
		return errors.New("the commitment is of somebody else")
	}
	return nil
}

// A Cosignature is what one known witness says of a checkpoint.
type Cosignature struct {
	Witness string    // name of its key
	Time    time.Time // when it says that it signed; zero if its lines carry no time, or none is valid
	State   check.State
}

// timestamped is a verifier whose lines carry the time of the signature, as C2SP cosignature/v1 has it.
type timestamped interface {
	SignedAt(note.Signature) time.Time
}

// Cosignatures judges the lines of each known witness: OK where one is valid, Failed where a line of it is not, NotCheckable
// where there is none. Verifiers of one name are one witness; its time is the latest. The order is that of witnesses. A cosignature/v1 covers the
// note's text, the root of the SM3 tree included, but a public witness has judged the growth of the SHA-256 tree only.
func Cosignatures(checkpoint string, witnesses []note.Verifier) (list []Cosignature) {
	for _, v := range witnesses {
		one := cosignature(checkpoint, v)
		i := slices.IndexFunc(list, func(c Cosignature) bool { return c.Witness == one.Witness })
		switch {
		case i < 0:
			list = append(list, one)
		case one.State == check.Failed, list[i].State == check.NotCheckable, list[i].State == check.OK && one.Time.After(list[i].Time):
			list[i] = one
		}
	}
	return list
}

func cosignature(checkpoint string, v note.Verifier) Cosignature {
	c := Cosignature{Witness: v.Name(), State: check.Failed}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(v))
	if _, absent := errors.AsType[*note.UnverifiedNoteError](err); absent {
		c.State = check.NotCheckable
	}
	if err != nil {
		return c
	}
	c.State = check.OK
	if t, ok := v.(timestamped); ok {
		c.Time = t.SignedAt(n.Sigs[0])
	}
	return c
}

// WitnessStep says in a step which known witnesses have co-signed a checkpoint, when, and how many are known. A line of a
// known witness that is not valid fails. No line is no failure: the log is then unwitnessed.
func WitnessStep(checkpoint string, witnesses []note.Verifier) check.Step {
	step := check.Step{Name: StepWitness, State: check.NotCheckable, Reason: "no witness is known here: unwitnessed"}
	list := Cosignatures(checkpoint, witnesses)
	var signed []string
	for _, c := range list {
		switch {
		case c.State == check.Failed:
			return check.Step{Name: StepWitness, State: check.Failed, Reason: fmt.Sprintf("the line of witness %q is not valid", c.Witness)}
		case c.State == check.OK && c.Time.IsZero():
			signed = append(signed, c.Witness+" at a time it does not state")
		case c.State == check.OK:
			signed = append(signed, c.Witness+" at "+c.Time.Format(time.RFC3339))
		}
	}
	switch {
	case len(signed) > 0:
		step.State, step.Reason = check.OK, fmt.Sprintf("co-signed by %d of %d known witnesses: %s", len(signed), len(list), strings.Join(signed, ", "))
	case len(list) > 0:
		step.Reason = fmt.Sprintf("none of %d known witnesses has co-signed: unwitnessed", len(list))
	}
	return step
}

// ErrNoReceipt says that an answered document has no receipt.
var ErrNoReceipt = errors.New("there is no receipt")

// SplitAnswer takes an answered document apart: {answer, receipt}, or a problem document with its receipt. answer is the
// JSON that the record's answer_digest is of, in canonical form. Every error is ErrForm; that of a document without a receipt is
// ErrNoReceipt too.
func SplitAnswer(document []byte) (answer []byte, receipt tlog.Receipt, err error) {
	if err := canonical.Check(document, limits); err != nil {
		return nil, receipt, err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(document, &members, canonical.Checked); err != nil {
		return nil, receipt, fmt.Errorf("read answered document: %w", canonical.ErrForm)
	}
	if members["receipt"] == nil {
		return nil, receipt, fmt.Errorf("read answered document: %w: %w", canonical.ErrForm, ErrNoReceipt)
	}
	if receipt, err = tlog.ParseReceipt(members["receipt"]); err != nil {
		return nil, receipt, fmt.Errorf("read answered document: %w: %w", canonical.ErrForm, err)
	}
	delete(members, "receipt")
	answer = members["answer"]
	if answer == nil || len(members) > 1 {
		answer, _ = json.Marshal(members, json.Deterministic(true), canonical.Checked) // they were read a moment ago
	}
	answer, err = canonical.ReformatChecked(answer)
	return answer, receipt, err
}

// VerifyLog reads a whole log and proves that it is the one of a checkpoint, which tlog.VerifyCheckpoint has proven before,
// and that every entry is a record; entry 0 may be the last checkpoint of the log that this one recovered from. It stops at
// the first thing wrong with a *tlog.CorruptError that names the entry. progress, if not nil, is called with the number of
// entries done and of all.
func VerifyLog(ctx context.Context, r tlog.Reader, c tlog.Checkpoint, newSM3 func() hash.Hash, progress func(done, total uint64)) error {
	reader := &recordReader{Reader: r, origin: c.Origin}
	if err := tlog.VerifyLog(ctx, reader, c, newSM3, progress); err != nil {
		return fmt.Errorf("verify records: %w", err)
	}
	if reader.wrong != nil {
		return fmt.Errorf("verify records: %w", reader.wrong)
	}
	return nil
}

// recordReader parses every leaf that passes through it. An altered leaf is for the trees to find: what it finds stands
// only where the trees have nothing to say.
type recordReader struct {
	tlog.Reader
	origin string
	wrong  *tlog.CorruptError
}

func (r *recordReader) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	leaves, err := r.Reader.Leaves(ctx, start, end)
	for i, leaf := range leaves {
		index := start + uint64(i)
		if r.wrong != nil || index == 0 && recoveredFrom(leaf, r.origin) {
			continue
		}
		if _, err := ParseRecord(leaf); err != nil {
			r.wrong = &tlog.CorruptError{Entry: index, Reason: err.Error()}
		}
	}
	return leaves, err
}

// recoveredFrom reports whether a leaf is a checkpoint of another log.
func recoveredFrom(leaf []byte, origin string) bool {
	old, err := tlog.ParseCheckpoint(string(leaf))
	return err == nil && old.Origin != origin
}

// Steps that Evidence and VerifyReceipt report, besides the log's own (tlog.StepSM3Tree and so on). Each evidence part has
// a step of its own, StepPart and its kind.
const (
	StepRecord      = "record-parsed"
	StepEvidence    = "evidence-digest"
	StepPart        = "evidence-part-"
	StepToken       = "token-digest"
	StepAnswer      = "answer-digest"
	StepCommitments = "person-commitments"
	StepHolder      = "holder-commitment"
	StepWitness     = "witness"

	StepQuorum        = "witness-quorum" // a quorum of organisations has co-signed; only where the trust states one
	StepWitnessedTime = "witnessed-time" // by a quorum, within ten minutes of the record's time
)

// Steps of holding the tables of a database against its logs (StateCheck).
const (
	StepTags    = "tables-authentic"   // every row has a tag of our keys, and together they add up
	StepChanges = "changes-bound"      // what records bind of their changes stands beside them
	StepReplay  = "rows-as-recorded"   // every row is what the changes of the records make of it
	StepIndexed = "search-as-recorded" // what search finds a record by follows from the record
	StepKept    = "evidence-kept"      // evidence is what records name, and nothing is gone without an order
	StepOnce    = "calls-once"         // no call was taken twice, and none was forgotten too early
	StepCopies  = "copies-authentic"   // kept copies and originals have a tag of our keys
)
