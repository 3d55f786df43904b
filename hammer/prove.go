package hammer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/verdict"
)

// A Proof says whether everything that was answered is in the log, as it was answered.
type Proof struct {
	Holds   bool    `json:"holds"`
	Answers int     `json:"answers"`  // with a receipt
	Others  int     `json:"others"`   // without: replays and other callers who proved nobody, fixed 429 and 503
	LogSize uint64  `json:"log_size"` // of the checkpoint that is proven
	Steps   []Check `json:"steps"`
}

// A Check is one thing that was proven, or was not.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// The steps of a proof, in order.
const (
	CheckReceipts   = "every-receipt-verifies-offline"
	CheckUnrecorded = "unrecorded-answers-are-the-fixed-ones"
	CheckOnce       = "no-call-answered-twice"
	CheckPlaces     = "no-two-answers-share-a-record"
	CheckTrees      = "both-trees-verify-whole"
	CheckRecords    = "every-answer-has-its-record"
	CheckTokens     = "no-call-recorded-twice"
	CheckSize       = "checkpoint-covers-every-answer"
	CheckHistory    = "every-receipt-is-of-this-history"
)

// unrecorded are the codes of answers that have no record (design law 1).
var unrecorded = map[string]bool{"token-replayed": true, "too-many-requests": true, "record-unavailable": true}

// A prover goes through what was answered, then through the log.
type prover struct {
	proof   Proof
	trust   audit.Trust
	whole   *verdict.Trust
	records map[uint64][sha256.Size]byte // by index, of the receipts
	twice   map[string]bool              // jti that have an answer
	seen    map[string]tlog.Checkpoint   // checkpoints of the receipts
	faults  map[string]*fault            // by step
	done    atomic.Int64
	meter   *meter
}

// A fault is the first thing wrong in a step, and how many there are.
type fault struct {
	first error
	count int
}

// prove holds what was answered against a log and its newest checkpoint. An error says that the proof could not be made; that it
// does not hold is no error, but stands in the Proof.
func prove(ctx context.Context, a *answers, trustFile string, log tlog.Reader, checkpoint string, m *meter) (Proof, error) {
	p, err := newProver(trustFile)
	if err != nil {
		return Proof{}, fmt.Errorf("prove: %w", err)
	}
	p.meter = m
	m.start("verifying receipts", &p.done, a.count)
	err = a.each(func(got answer) error {
		p.done.Add(1)
		p.answered(got)
		return ctx.Err()
	})
	m.stop()
	if err != nil {
		return Proof{}, fmt.Errorf("prove: %w", err)
	}
	if err := p.log(ctx, log, checkpoint); err != nil {
		return Proof{}, fmt.Errorf("prove: %w", err)
	}
	return p.result(), nil
}

func newProver(trustFile string) (*prover, error) {
	config, err := verdict.ReadTrust(trustFile)
	if err != nil {
		return nil, err
	}
	if len(config.Logs) != 1 {
		return nil, errors.New("the trust names not one log")
	}
	p := &prover{records: map[uint64][sha256.Size]byte{}, twice: map[string]bool{}, seen: map[string]tlog.Checkpoint{}, faults: map[string]*fault{}}
	if p.whole, err = verdict.NewTrust(config); err != nil {
		return nil, err
	}
	l := config.Logs[0]
	sm2, err := lognote.SM2NoteVerifier(l.Origin, l.SM2, nil)
	if err != nil {
		return nil, err
	}
	ed, err := lognote.Ed25519NoteVerifier(l.Ed25519)
	if err != nil {
		return nil, err
	}
	p.trust = audit.Trust{Trust: tlog.Trust{Origin: l.Origin, SM2: remember(sm2), Ed25519: remember(ed), NewSM3: sm.New}}
	return p, nil
}

// A remembering verifier verifies each signature once: all receipts of a batch bring the same.
type remembering struct {
	note.Verifier
	known map[string]bool
}

func remember(v note.Verifier) note.Verifier { return remembering{v, map[string]bool{}} }

func (r remembering) Verify(msg, sig []byte) bool {
	key := string(msg) + "\x00" + string(sig)
	ok, known := r.known[key]
	if !known {
		ok = r.Verifier.Verify(msg, sig)
		r.known[key] = ok
	}
	return ok
}

// wrong notes a fault of a step.
func (p *prover) wrong(step string, err error) {
	if p.faults[step] == nil {
		p.faults[step] = &fault{first: err}
	}
	p.faults[step].count++
}

// answered takes one answer.
func (p *prover) answered(got answer) {
	document, receipt, err := audit.SplitAnswer(got.body)
	if err != nil {
		p.proof.Others++
		if code := codeOf(got.status, got.body); !unrecorded[code] {
			p.wrong(CheckUnrecorded, fmt.Errorf("an answer %q has no receipt: %w", code, err))
		}
		return
	}
	p.proof.Answers++
	if p.twice[got.jti] {
		p.wrong(CheckOnce, fmt.Errorf("call %s has two answers", got.jti))
	}
	p.twice[got.jti] = true
	if _, _, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: document, Token: got.token}, p.trust); err != nil {
		p.wrong(CheckReceipts, fmt.Errorf("record %d: %w", receipt.Index, err))
	}
	if _, taken := p.records[receipt.Index]; taken {
		p.wrong(CheckPlaces, fmt.Errorf("two answers name record %d", receipt.Index))
	}
	p.records[receipt.Index] = sha256.Sum256(receipt.Record)
	if _, known := p.seen[receipt.Checkpoint]; !known {
		if c, err := tlog.ParseCheckpoint(receipt.Checkpoint); err == nil {
			p.seen[receipt.Checkpoint] = c
		}
	}
}

// log goes through the whole log under a checkpoint.
func (p *prover) log(ctx context.Context, r tlog.Reader, checkpoint string) error {
	p.done.Store(0)
	p.meter.start("verifying the log", &p.done, 0)
	defer p.meter.stop()
	reader := &matchingReader{Reader: r, prover: p, found: map[uint64]bool{}, tokens: map[string]uint64{}}
	c, _, err := p.whole.VerifyLog(ctx, reader, checkpoint, func(done, _ uint64) { p.done.Store(int64(done)) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.wrong(CheckTrees, err)
	}
	p.proof.LogSize = c.Size
	for index := range p.records {
		if !reader.found[index] {
			p.wrong(CheckRecords, fmt.Errorf("record %d was answered and is not in the log", index))
		}
		if index >= c.Size {
			p.wrong(CheckSize, fmt.Errorf("record %d was answered and the checkpoint has only %d", index, c.Size))
		}
	}
	if uint64(p.proof.Answers) > c.Size {
		p.wrong(CheckSize, fmt.Errorf("%d were answered and the checkpoint has only %d", p.proof.Answers, c.Size))
	}
	return p.history(ctx, r, c, checkpoint)
}

// A matchingReader holds every leaf that passes through against the receipts.
type matchingReader struct {
	tlog.Reader
	*prover
	found  map[uint64]bool
	tokens map[string]uint64 // token digest → record
}

// Leaves implements tlog.Reader.
func (r *matchingReader) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	leaves, err := r.Reader.Leaves(ctx, start, end)
	for i, leaf := range leaves {
		r.match(start+uint64(i), leaf)
	}
	return leaves, err
}

func (r *matchingReader) match(index uint64, leaf []byte) {
	if want, answered := r.records[index]; answered {
		r.found[index] = true
		if sha256.Sum256(leaf) != want {
			r.wrong(CheckRecords, fmt.Errorf("record %d is not the one that was answered", index))
		}
	}
	record, err := audit.ParseRecord(leaf)
	if err != nil || record.TokenDigest == "" {
		return // VerifyLog says if it is no record
	}
	if first, twice := r.tokens[record.TokenDigest]; twice && first != index {
		r.wrong(CheckTokens, fmt.Errorf("records %d and %d are of the same call", first, index))
	}
	r.tokens[record.TokenDigest] = index
}

// result lists all steps, those that hold too.
func (p *prover) result() Proof {
	proof := p.proof
	proof.Holds = true
	for _, s := range []struct{ name, held string }{
		{CheckReceipts, fmt.Sprintf("%d receipts, answers and calls", proof.Answers)},
		{CheckUnrecorded, fmt.Sprintf("%d answers without a record, all of the fixed kinds", proof.Others)},
		{CheckOnce, fmt.Sprintf("%d calls with one answer each", len(p.twice))},
		{CheckPlaces, fmt.Sprintf("%d records", len(p.records))},
		{CheckTrees, fmt.Sprintf("%d entries in the SM3 and the SHA-256 tree", proof.LogSize)},
		{CheckRecords, fmt.Sprintf("%d records, byte for byte", len(p.records))},
		{CheckTokens, "every token digest stands once"},
		{CheckSize, fmt.Sprintf("size %d, answers %d", proof.LogSize, proof.Answers)},
		{CheckHistory, fmt.Sprintf("%d checkpoints of receipts", len(p.seen))},
	} {
		check := Check{Name: s.name, OK: true, Detail: s.held}
		if f := p.faults[s.name]; f != nil {
			proof.Holds, check.OK = false, false
			check.Detail = fmt.Sprintf("%d wrong; the first: %v", f.count, f.first)
		}
		proof.Steps = append(proof.Steps, check)
	}
	return proof
}
