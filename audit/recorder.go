package audit

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/license"
	"oncegate/tlog"
)

// A Log appends a leaf together with what must commit with it; *tlog.Log is one. A refusal keeps its errors.Is.
type Log interface {
	Append(ctx context.Context, leaf []byte, attached any) (tlog.Receipt, error)
}

// A View proves what was read of the log that a Log appends to; *tlog.Log and its *tlog.View are ones.
type View interface {
	// Prove proves that every leaf stands in the log at its index and with these bytes, under the newest checkpoint that the log
	// trusts, and returns what that says. tlog.ErrUnproven: a leaf, a tile or the head is not what was committed.
	Prove(ctx context.Context, leaves []tlog.Leaf) (tlog.Checkpoint, error)
}

// A Sealer encrypts bytes at rest under a key whose id stands in the blob, bound to aad. Open fails if either was changed.
// It keeps none of its arguments, which the caller uses again. Implementations are safe for concurrent use.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(blob, aad []byte) ([]byte, error)
}

// Config is what Recorder and Auditor work with.
type Config struct {
	// Self is the gateway's id: the system of its own records.
	Self string

	// Log takes the records. Recorder requires it; an Auditor without it only reads.
	Log Log

	// View and Storage read what was recorded. Auditor requires them.
	View    View
	Storage Storage

	// Sealer seals and opens evidence.
	Sealer Sealer

	// NewSM3 returns a fresh SM3 state; HMAC-SM3 is built on it.
	NewSM3 func() hash.Hash

	// IndexKeys are the keys K of the keyed digests that search finds persons by, 32 bytes each. The first writes;
	// all are searched, so that a new key can be put in front without touching old records.
	IndexKeys [][]byte

	// Rand yields what makes evidence unguessable. Default crypto/rand.
	Rand io.Reader

	// Now is the clock. Default time.Now.
	Now func() time.Time

	hashes *hashpool.Pool   // SM3
	index  []*hashpool.Pool // HMAC-SM3 under each of IndexKeys
}

const (
	indexKeySize = 32 // length of a key in bytes
	digestSize   = 32 // of a digest
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Self == "":
		return c, errors.New("the gateway has no id")
	case c.Sealer == nil || c.NewSM3 == nil:
		return c, errors.New("sealer and SM3 are required")
	case len(c.IndexKeys) == 0:
		return c, errors.New("an index key is required")
	}
	for _, key := range c.IndexKeys {
		if len(key) != indexKeySize {
			return c, errors.New("an index key is not 32 bytes long")
		}
	}
	c.hashes = hashpool.New(c.NewSM3)
	for _, key := range c.IndexKeys {
		c.index = append(c.index, hashpool.NewHMAC(c.NewSM3, key))
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// digest is the SM3 of data in base64url.
func (c Config) digest(data []byte) string {
	sum := c.hashes.Sum(data)
	return canonical.Base64(sum[:])
}

// A Draft is what the gateway knows of a call when it is about to answer.
type Draft struct {
	Operation          string    // such as "licenses.query"
	System             string    // id of the asking system
	Operator           string    // code of the operator (经办人) as the system states it; may be empty
	OperatorProof      string    // how the operator is known; empty: OperatorAsserted where one is named, else OperatorNone
	OperatorRoles      []string  // what the operator may act as, sorted; with OperatorService only
	OperatorService    string    // identity service that vouches for the operator; needed for OperatorBySession and OperatorByCall
	RequestID          string    // as it is to stand in the record
	CommittedRequestID string    // a request id that is to stand there as a commitment, because it may hold anything; then RequestID is empty
	Time               time.Time // what the record says; zero: when it is made
	Token              string    // compact JWS of the call
	Body               []byte    // exact body bytes
	Answer             []byte    // exact answer bytes, RFC 8785; those of Canonical
	Policy             string    // digest of the policy set that decided
	Uses               []Use     // Recorder fills in their commitments

	// Inputs are the inputs of every decision, any value that JSON can say, without personal codes: what Replay
	// returns. Reasons are the real reasons of refusals. Both stand in the sealed evidence only.
	Inputs, Reasons any

	// Erase is what the record orders to be erased, nil if it is no order. It stands in the sealed evidence, where it outlives every
	// erasure. Auditor.Erase carries it out.
	Erase *Order

	Claim   *Claim // the call's jti; nil where none is claimed
	Changes []any  // what else commits with the record; each is a Change

	hidden *hidden // by Recorder.Hide
}

// record makes the record, of the uses of the draft; persons have commitments already.
func (d Draft) record(c Config, now time.Time, persons people, evidence, changes string) Record {
	r := Record{
		Changes:           changes,
		V:                 d.version(),
		Time:              now.Format(canonical.TimeLayout),
		System:            d.System,
		Operation:         d.Operation,
		OperatorProof:     d.operatorProof(),
		OperatorService:   d.OperatorService,
		RequestID:         d.RequestID,
		RequestCommitment: persons.find(requestID(d.CommittedRequestID)).commitment,
		Policy:            d.Policy,
		Evidence:          evidence,
		Uses:              d.Uses,
	}
	if d.Token != "" {
		r.TokenDigest = c.digest([]byte(d.Token))
	}
	if len(d.OperatorRoles) > 0 {
		r.OperatorRoles = d.OperatorRoles
	}
	if d.Answer != nil {
		r.AnswerDigest = c.digest(d.Answer)
	}
	by := persons.find(operator(d.Operator)).commitment
	for i := range r.Uses {
		use := &r.Uses[i]
		use.Holder, use.Operator = persons.find(use.Person).commitment, by
		use.CaseCommitment = persons.find(caseNumber(use.CommittedCase)).commitment
	}
	return r
}

// operatorProof is how the operator is known: where the draft does not say, by the calling system's word, if it names one.
func (d Draft) operatorProof() string {
	switch {
	case d.OperatorProof != "":
		return d.OperatorProof
	case d.Operator == "":
		return OperatorNone
	}
	return OperatorAsserted
}

// version is the lowest schema version that can say what the draft says, so that nodes of an earlier version go on reading what does not
// concern them.
func (d Draft) version() int {
	if d.OperatorService != "" {
		return 4
	}
	return 3
}

// index makes what search may find the record by.
func (d Draft) index(now time.Time, persons people) Index {
	index := Index{
		Time:      now,
		System:    d.System,
		Operation: d.Operation,
		RequestID: cmp.Or(d.RequestID, persons.find(requestID(d.CommittedRequestID)).keyed),
		Operator:  persons.find(operator(d.Operator)).keyed,
		Uses:      make([]IndexUse, len(d.Uses)),
	}
	for i, use := range d.Uses {
		index.Uses[i] = IndexUse{
			Matter:      use.Matter,
			Case:        cmp.Or(use.Case, persons.find(caseNumber(use.CommittedCase)).keyed),
			Material:    use.Material,
			Need:        use.Need,
			LicenseType: use.LicenseType,
			Decision:    use.Decision,
			Holder:      persons.find(use.Person).keyed,
		}
	}
	return index
}

// changes puts the claim first: a used jti is the one refusal that leaves no record.
func (d Draft) changes() []any {
	if d.Claim == nil {
		return d.Changes
	}
	return append([]any{*d.Claim}, d.Changes...)
}

// ErrTooLarge says that a record would be longer than MaxRecord: too many materials in one call.
var ErrTooLarge = errors.New("the record is too large")

// A Recorder writes records. It is safe for concurrent use.
type Recorder struct{ config Config }

// NewRecorder returns a Recorder that appends to config.Log.
func NewRecorder(config Config) (*Recorder, error) {
	config, err := config.withDefaults()
	if err == nil && config.Log == nil {
		err = errors.New("a log is required")
	}
	if err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	return &Recorder{config}, nil
}

// Record makes the record of a call with its evidence and appends it. When it returns its receipt, the record and every
// change of the draft are durable, and the answer may leave. ErrTooLarge: nothing was appended. Otherwise the error is the
// log's or, with errors.Is intact, the storage's refusal (ErrReplayed and those of the change types): nothing of the entry
// was kept. The draft's uses become the record's: concurrent calls must not share them.
func (r *Recorder) Record(ctx context.Context, d Draft) (tlog.Receipt, error) {
	entry, err := r.config.entry(d)
	if err != nil {
		return tlog.Receipt{}, fmt.Errorf("make record: %w", err)
	}
	receipt, err := r.config.Log.Append(ctx, entry.Record, entry)
	if err != nil {
		return tlog.Receipt{}, fmt.Errorf("append record: %w", err)
	}
	return receipt, nil
}

// A Randomness opens the commitments to one person in one record: Commitment with R is what stands there. Whoever has both can try out
// whom a commitment is to; so it goes to nobody but who knows the person already.
type Randomness struct {
	Person license.HolderID // type OperatorType for an operator
	R      []byte           // 32 bytes
}

// Hide draws the randomness of the draft's commitments before it is recorded, so that the answer that the record binds can return it:
// that of each distinct person, the operator first. The draft's persons must not change afterwards, and Record takes the draft
// once.
func (r *Recorder) Hide(d *Draft) ([]Randomness, error) {
	h, err := r.config.hide(*d)
	if err != nil {
		return nil, fmt.Errorf("hide persons: %w", err)
	}
	d.hidden = h
	drawn := make([]Randomness, len(h.persons))
	for i, p := range h.persons {
		drawn[i] = Randomness{p.HolderID, p.r}
	}
	return drawn, nil
}

// errRehide says that a draft was changed, or recorded already, after Hide.
var errRehide = errors.New("the draft's persons changed after Hide, or it was recorded before")

// entry makes everything that commits with the record.
func (c Config) entry(d Draft) (Entry, error) {
	now := d.Time
	if now.IsZero() {
		now = c.Now()
	}
	now = now.UTC().Truncate(time.Millisecond)
	var err error
	switch {
	case d.hidden == nil:
		if d.hidden, err = c.hide(d); err != nil {
			return Entry{}, err
		}
	case !d.hidden.of(d):
		return Entry{}, errRehide
	}
	persons, random := d.hidden.persons, d.hidden.random
	d.hidden.random = nil // no part of another record begins with it
	sealed, err := c.seal(d, persons, &random)
	if err != nil {
		return Entry{}, err
	}
	changes := d.changes()
	bound, err := c.bound(changes)
	if err != nil {
		return Entry{}, err
	}
	digest := ""
	if bound != nil {
		digest = c.digest(bound)
	}
	record := d.record(c, now, persons, c.evidenceDigest(sealed), digest)
	if err := cmp.Or(record.checkV3(), record.checkV4()); err != nil { // no leaf may be written that cannot be read
		return Entry{}, err
	}
	leaf, err := canonical.Marshal(record)
	if err != nil {
		return Entry{}, err
	}
	if len(leaf) > MaxRecord {
		return Entry{}, ErrTooLarge
	}
	return Entry{Record: leaf, Sealed: sealed, Index: d.index(now, persons), Changes: changes, Bound: bound}, nil
}

// Room that a use may still need when Fits is asked before the sources are: the longest decision, source, freshness and commitment.
const (
	decisionRoom  = 32
	sourceRoom    = 64
	freshnessRoom = 48

	changesRoom = len(`"changes":"",`) + canonical.DigestLen
	needRoom    = len(`"need":0,`)

	commitmentRoom = len(`"request_commitment":"",`) + canonical.DigestLen // the longer of the members that may be missing
)

// Fits reports whether the record of a draft will be small enough, whatever the sources answer. It is asked when the
// uses are known (material, matter, case, basis, license type, rules and fields) and before any source is asked; where rules
// and fields are not decided yet, put in all that could be. Token, body and answer do not count.
func Fits(d Draft) bool {
	r := Record{V: Version, Time: canonical.TimeLayout, System: d.System, Operation: d.Operation, RequestID: d.RequestID, Policy: d.Policy, OperatorProof: OperatorAsserted,
		OperatorRoles: d.OperatorRoles, OperatorService: d.OperatorService}
	spare := 4*canonical.DigestLen + changesRoom
	if d.CommittedRequestID != "" {
		spare += commitmentRoom
	}
	for _, use := range d.Uses {
		if use.CommittedCase != "" {
			spare += commitmentRoom
		}
		if use.Need == 0 {
			spare += needRoom
		}
		spare += 2*canonical.DigestLen + room(use.Decision, decisionRoom) + room(use.Source, sourceRoom) + room(use.Freshness, freshnessRoom)
		use.Holder, use.Operator, use.CaseCommitment = "", "", "" // of a record that was made before
		r.Uses = append(r.Uses, use)
	}
	leaf, err := canonical.Marshal(r)
	return err == nil && len(leaf)+spare <= MaxRecord
}

func room(known string, most int) int { return max(0, most-len(known)) }

// An Own is something the gateway did itself: a policy set activated, keys, systems or configuration changed, evidence
// erased, calls refused by a limit.
type Own struct {
	Operation string // such as "policy.activate"
	System    string // the system it concerns; empty: the gateway itself
	RequestID string // may be empty
	Policy    string // digest of the policy set in force; empty before the first
	Inputs    any    // what was done, without personal codes: sealed with the record
	Erase     *Order // as Draft.Erase
	Changes   []any  // such as PolicySet
}

// RecordOwn records it, as Record does. Such a record answers nobody: token_digest and answer_digest are empty.
func (r *Recorder) RecordOwn(ctx context.Context, own Own) (tlog.Receipt, error) {
	system := own.System
	if system == "" {
		system = r.config.Self
	}
	return r.Record(ctx, Draft{
		Operation: own.Operation,
		System:    system,
		RequestID: own.RequestID,
		Policy:    own.Policy,
		Inputs:    own.Inputs,
		Erase:     own.Erase,
		Changes:   own.Changes,
	})
}

// Activate records that a policy set is in force from now, and keeps its files by their digest so that every decision
// made with it can be replayed.
func (r *Recorder) Activate(ctx context.Context, files []File) (tlog.Receipt, error) {
	set := PolicySet{Files: files}
	var err error
	if set.Digest, err = canonical.FilesDigest(r.config.NewSM3, files); err != nil {
		return tlog.Receipt{}, err
	}
	return r.RecordOwn(ctx, Own{Operation: "policy.activate", Policy: set.Digest, Changes: []any{set}})
}
