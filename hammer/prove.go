package hammer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
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

// A Check is the result of one step of a proof.
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

// A prover verifies the receipts of all answers, then the whole log.
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

// A fault counts the errors of a step and keeps the first.
type fault struct {
	first error
	count int
}

// prove compares all answers with a log and its newest checkpoint. The error means that the proof could not be made. A proof that
// does not hold is not an error; the Proof says so.
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
		return nil, errors.New("the trust file must name exactly one log")
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
	p.trust = audit.Trust{Trust: tlog.Trust{Origin: l.Origin, SM2: cacheVerified(sm2), Ed25519: cacheVerified(ed), NewSM3: sm.New}}
	return p, nil
}

// A cachedVerifier is a cache of signature verifications: all receipts of a batch carry the same signature.
type cachedVerifier struct {
	note.Verifier
	known map[string]bool
}

func cacheVerified(v note.Verifier) note.Verifier { return cachedVerifier{v, map[string]bool{}} }

func (r cachedVerifier) Verify(msg, sig []byte) bool {
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

// answered verifies one answer and its receipt.
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

// log verifies the whole log under a checkpoint.
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

// A matchingReader is a log reader that compares every leaf it reads with the receipts.
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
	for _, s := range []struct{ name, detail string }{
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
		check := Check{Name: s.name, OK: true, Detail: s.detail}
		if f := p.faults[s.name]; f != nil {
			proof.Holds, check.OK = false, false
			check.Detail = fmt.Sprintf("%d wrong; the first: %v", f.count, f.first)
		}
		proof.Steps = append(proof.Steps, check)
	}
	return proof
}

// mostHistory bounds how many checkpoints of receipts are checked for consistency with the log, spread evenly from the first to the
// last: each takes a proof of its own.
const mostHistory = 64

// history verifies consistency proofs from the receipts' checkpoints to the newest one: no receipt is from a forked log.
func (p *prover) history(ctx context.Context, r tlog.Reader, newest tlog.Checkpoint, signed string) error {
	view := tlog.NewView(fixed{&cached{Reader: r}, tlog.Head{Size: newest.Size, Checkpoint: signed}}, sm.New)
	for _, c := range spread(p.seen) {
		if c.Size > newest.Size {
			p.wrong(CheckHistory, fmt.Errorf("a receipt's checkpoint has size %d, the log %d", c.Size, newest.Size))
			continue
		}
		proofs, err := view.ProveConsistency(ctx, c.Size, newest.Size)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = tlog.VerifyConsistency(sm.New, c, newest, proofs)
		}
		if err != nil {
			p.wrong(CheckHistory, err)
		}
	}
	return nil
}

// spread picks at most mostHistory checkpoints, the smallest and the largest among them, in order of size.
func spread(seen map[string]tlog.Checkpoint) []tlog.Checkpoint {
	all := make([]tlog.Checkpoint, 0, len(seen))
	for _, c := range seen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b tlog.Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
	if len(all) <= mostHistory {
		return all
	}
	picked := make([]tlog.Checkpoint, mostHistory)
	for i := range picked {
		picked[i] = all[i*(len(all)-1)/(mostHistory-1)]
	}
	return picked
}

// fixed is a log reader whose head does not advance.
type fixed struct {
	tlog.Reader
	head tlog.Head
}

// Head implements tlog.Published.
func (f fixed) Head(context.Context) (tlog.Head, error) { return f.head, nil }

// cached is a read-through cache of tiles and leaf hashes: proofs share most of them.
type cached struct {
	tlog.Reader
	tiles  map[tileKey][]byte
	hashes map[hashKey][]byte
}

type tileKey struct {
	tree  tlog.Tree
	level int
	index uint64
}

type hashKey struct {
	tree       tlog.Tree
	start, end uint64
}

// Tile implements tlog.Reader.
func (c *cached) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	return readThrough(&c.tiles, tileKey{tree, level, index}, func() ([]byte, error) { return c.Reader.Tile(ctx, tree, level, index) })
}

// LeafHashes implements tlog.Reader.
func (c *cached) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	return readThrough(&c.hashes, hashKey{tree, start, end}, func() ([]byte, error) { return c.Reader.LeafHashes(ctx, tree, start, end) })
}

func readThrough[K comparable](known *map[K][]byte, key K, read func() ([]byte, error)) ([]byte, error) {
	if b, ok := (*known)[key]; ok {
		return slices.Clone(b), nil
	}
	b, err := read()
	if err == nil {
		if *known == nil {
			*known = map[K][]byte{}
		}
		(*known)[key] = slices.Clone(b)
	}
	return b, err
}

// answers is a file of all answers, so that a long run takes no memory. Adding one is a write to a buffer.
type answers struct {
	mu    sync.Mutex // protects all below
	file  *os.File
	out   *bufio.Writer
	count int
	err   error // the first that went wrong; nothing is added after it
}

// An answer is the response to a call.
type answer struct {
	kind   kind
	status int
	jti    string
	token  string
	body   []byte
}

func createAnswers(name string) (*answers, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep answers: %w", err)
	}
	return &answers{file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// add keeps an answer.
func (a *answers) add(got answer) {
	var head [2 + 4*4]byte
	head[0] = byte(got.kind)
	binary.BigEndian.PutUint32(head[2:], uint32(got.status))
	for i, part := range [][]byte{[]byte(got.jti), []byte(got.token), got.body} {
		binary.BigEndian.PutUint32(head[6+4*i:], uint32(len(part)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return
	}
	a.out.Write(head[:])
	a.out.WriteString(got.jti)
	a.out.WriteString(got.token)
	_, a.err = a.out.Write(got.body)
	a.count++
}

// each reads all answers back, in the order in which they came.
func (a *answers) each(visit func(answer) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := errors.Join(a.err, a.out.Flush()); err != nil {
		return fmt.Errorf("keep answers: %w", err)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(a.file, 0, 1<<62), 1<<20)
	for range a.count {
		got, err := readAnswer(in)
		if err != nil {
			return fmt.Errorf("read kept answers: %w", err)
		}
		if err := visit(got); err != nil {
			return err
		}
	}
	return nil
}

func readAnswer(in io.Reader) (got answer, err error) {
	var head [2 + 4*4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return got, err
	}
	var parts [3][]byte
	for i := range parts {
		parts[i] = make([]byte, binary.BigEndian.Uint32(head[6+4*i:]))
		if _, err := io.ReadFull(in, parts[i]); err != nil {
			return got, err
		}
	}
	return answer{kind(head[0]), int(binary.BigEndian.Uint32(head[2:])), string(parts[0]), string(parts[1]), parts[2]}, nil
}

func (a *answers) close() error { return a.file.Close() }
