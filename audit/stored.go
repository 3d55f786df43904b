package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/check"
	"oncegate/license"
)

// Stored is a database as VerifyStored reads it. No node may be writing it.
type Stored interface {
	// Records calls yield with every record of every log, the newest first. Nothing of what it gives is trusted.
	Records(ctx context.Context, yield func(StoredRecord) error) error
	// Claims calls yield with every call that is marked as taken.
	Claims(ctx context.Context, yield func(StoredClaim) error) error
	// Horizon is until when calls are refused unread, in microseconds since 1970; 0 for none.
	Horizon(ctx context.Context) (int64, error)
}

// A StoredRecord is a record with what stands beside it. Log is the origin of its log.
type StoredRecord struct {
	Log      string
	Index    uint64
	Leaf     []byte
	Parts    []Sealed
	PartsErr error  // why there are none: the column cannot be read
	Search   []byte // JSON of Index; empty for a leaf of the log's own
	Time     int64  // microseconds since 1970, by which retention finds the record
	Erasable int64  // 1 while a part is there that retention erases
}

// A StoredClaim is a call that is marked as taken by a record.
type StoredClaim struct {
	Log         string
	Index       uint64
	System, JTI string
	Expires     int64 // microseconds since 1970
}

// StoredOptions are what VerifyStored needs beyond Config.
type StoredOptions struct {
	// UnknownKey is the error of Sealer.Open for a blob under a key that it does not have; nil: it says nothing of keys.
	UnknownKey error
	// Claimed reads which claim a recorded call makes, by its token or, where none signs it, by what it asked; zero: none. It
	// verifies nothing.
	Claimed func(r Request) (Claim, error)
	// Vouched reads what the identity service's word in the token of a recorded call says; nil if there is none. It verifies nothing.
	Vouched func(Request) (*Vouched, error)
	// Inputs is told what the gateway's own records hold as inputs, and IndexKeyLost is asked at the end whether Config.IndexKeys lacks a key
	// that search columns were written under: they cannot be made again then. nil: nobody is told, and no key is lost.
	Inputs       func(operation string, inputs jsontext.Value)
	IndexKeyLost func() bool
	// Progress is told how many records are done; nil: nobody asks.
	Progress func(done uint64)
}

// Vouched is what an identity service says of the operator of a call.
type Vouched struct {
	Proof   string   // OperatorBySession or OperatorByCall
	Service string   // the identity service
	Roles   []string // sorted
}

// VerifyStored holds what stands beside the records of a database against them: StepIndexed, StepKept and StepOnce. That the records are
// those of the logs is for others to prove. Config needs no log and no storage: nothing is sought with the search index, which is what
// is being judged.
func VerifyStored(ctx context.Context, config Config, db Stored, o StoredOptions) ([]StateCheck, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("verify what stands beside records: %w", err)
	}
	lost := &lostKeys{Sealer: config.Sealer, unknown: o.UnknownKey}
	config.Sealer = lost
	v := &storedVerifier{
		config: config, options: o, lost: lost, claims: map[place]StoredClaim{}, singles: map[place]uint64{},
		index: StateCheck{Name: StepIndexed}, foreign: StateCheck{Name: StepIndexed}, kept: StateCheck{Name: StepKept}, once: StateCheck{Name: StepOnce},
	}
	if err := v.run(ctx, db); err != nil {
		return nil, fmt.Errorf("verify what stands beside records: %w", err)
	}
	return []StateCheck{v.index, v.kept, v.once}, nil
}

// A place is where a record stands.
type place struct {
	log   string
	index uint64
}

type storedVerifier struct {
	config  Config
	options StoredOptions
	lost    *lostKeys

	index, kept, once StateCheck
	foreign           StateCheck // keyed digests under none of our keys

	horizon int64
	claims  map[place]StoredClaim // that no record was found for yet
	tokens  []tokenAt

	// Orders of erasure newer than the record that is looked at: records come newest first.
	singles map[place]uint64 // what an order of one record is about
	before  string           // up to which time evidence was ordered to be erased; canonical.TimeLayout sorts as time does
	by      uint64           // the record that did
	unread  string           // why some order cannot be read; "" if all can

	unopened uint64 // parts under a key that is lost
}

type tokenAt struct {
	digest [digestSize]byte
	place  place
}

// lostKeys notices that a blob was not opened because its key is not there.
type lostKeys struct {
	Sealer
	unknown error
	times   uint64
}

func (l *lostKeys) Open(blob, aad []byte) ([]byte, error) {
	plain, err := l.Sealer.Open(blob, aad)
	if err != nil && errors.Is(err, l.unknown) {
		l.times++
	}
	return plain, err
}

func (v *storedVerifier) run(ctx context.Context, db Stored) (err error) {
	if v.horizon, err = db.Horizon(ctx); err != nil {
		return err
	}
	if err := db.Claims(ctx, func(c StoredClaim) error {
		p := place{c.Log, c.Index}
		if _, twice := v.claims[p]; twice {
			v.fault(&v.once, "claims", p, "two calls are marked as taken by this one record")
		}
		v.claims[p] = c
		return nil
	}); err != nil {
		return err
	}
	done := uint64(0)
	if err := db.Records(ctx, func(r StoredRecord) error {
		if done++; v.options.Progress != nil && done%256 == 0 {
			v.options.Progress(done)
		}
		v.record(r)
		return ctx.Err()
	}); err != nil {
		return err
	}
	for p := range v.claims {
		v.fault(&v.once, "claims", p, "a call is marked as taken by a record that there is not, or that took none")
	}
	v.twice()
	if v.foreign.Count > 0 && v.options.IndexKeyLost != nil && v.options.IndexKeyLost() {
		v.index.Unknown("persons are found under an index key that the keystore lacks")
	} else {
		v.index.Join(v.foreign)
	}
	if v.unopened > 0 {
		v.kept.Unknown(fmt.Sprintf("%d parts of evidence are sealed under a key that the keystore lacks", v.unopened))
	}
	return nil
}

func (v *storedVerifier) fault(c *StateCheck, table string, p place, what string) {
	c.Fault(StateFault{Table: table, Log: p.log, Record: &p.index, What: what})
}

// record takes the next older record.
func (v *storedVerifier) record(s StoredRecord) {
	p := place{s.Log, s.Index}
	v.index.Checked++
	v.kept.Checked++
	v.once.Checked++
	if s.Index == 0 && recoveredFrom(s.Leaf, s.Log) {
		if len(s.Parts) > 0 || s.PartsErr != nil || len(s.Search) > 0 || s.Erasable != 0 {
			v.fault(&v.kept, "records", p, "evidence or index stands beside a checkpoint, which has none")
		}
		return
	}
	r, err := ParseRecord(s.Leaf)
	if err != nil {
		v.fault(&v.kept, "records", p, "the leaf is no record")
		return
	}
	e := v.evidence(p, s, r)
	v.indexed(p, s, r, e)
	v.taken(p, r, e)
	v.vouched(p, r, e)
	if v.options.Inputs != nil && !r.answers() && e != nil && e.Inputs != nil {
		v.options.Inputs(r.Operation, e.Inputs)
	}
}

// evidence opens what stands beside a record, and looks whether something is gone that nobody ordered to be erased. nil if it cannot be
// opened, or not all of it.
func (v *storedVerifier) evidence(p place, s StoredRecord, r Record) *Evidence {
	if s.PartsErr != nil {
		v.fault(&v.kept, "records", p, "the evidence cannot be read")
		return nil
	}
	if what := v.shape(s, r); what != "" {
		v.fault(&v.kept, "records", p, what)
	}
	e := &Evidence{Index: p.index, Record: r, parts: s.Parts}
	lost := v.lost.times
	unread := false
	v.config.open(e, s.Parts, func() gone {
		by := v.orderOf(p, r)
		unread = by == nil && v.unread != ""
		return gone{by: by, behind: unread}
	})
	if unread {
		v.kept.Unknown(v.unread)
	}
	unopened := v.lost.times - lost
	v.unopened += unopened
	if unopened == 0 {
		for _, step := range e.Steps {
			if step.State == check.Failed {
				v.fault(&v.kept, "records", p, step.Name+": "+step.Reason)
			}
		}
	}
	v.order(p, r, e)
	if unopened > 0 {
		return nil
	}
	return e
}

// shape looks at what parts there are: one request at most, first; one part of inputs, always there; then persons. Their kinds stand in no
// digest: inputs that were taken away could else pass for a person who was erased.
func (v *storedVerifier) shape(s StoredRecord, r Record) string {
	kinds, inputs, erasable := "", 0, int64(0)
	for _, part := range s.Parts {
		switch part.Kind {
		case KindRequest:
			kinds += "1"
		case KindInputs:
			kinds += "2"
			inputs++
		case KindPerson:
			kinds += "3"
		default:
			return "the evidence has a part of a kind that is not known"
		}
		if part.Blob != nil && part.Kind != KindInputs {
			erasable = 1
		}
	}
	switch {
	case inputs != 1 || bytes.Count([]byte(kinds), []byte("1")) > 1 || !slices.IsSorted([]byte(kinds)):
		return "the evidence has not one part of inputs, at most one request before it, and persons behind it"
	case r.answers() && kinds[0] != '1':
		return "the record answers a call, and its evidence has no request"
	case s.Erasable != erasable:
		return "retention does not see that a part is there which it erases, or sees one that is not"
	}
	return ""
}

// order takes what a record orders to be erased.
func (v *storedVerifier) order(p place, r Record, e *Evidence) {
	if r.Operation != OperationErase && r.Operation != OperationRetain {
		return
	}
	if e.Inputs == nil {
		v.unread = "an order of erasure cannot be opened: whether it covers what is gone is not known"
		return
	}
	order := e.Order
	if order == nil { // as it was written before orders had a member of their own
		order = &Order{}
		if json.Unmarshal(e.Inputs, order) != nil {
			return
		}
	}
	if order.Index != nil {
		v.singles[place{p.log, *order.Index}] = p.index
	}
	if order.Before > v.before {
		v.before, v.by = order.Before, p.index
	}
}

// orderOf is the record that ordered the erasure of another's evidence; nil if none did. A retention covers the logs from before a
// recovery too.
func (v *storedVerifier) orderOf(p place, r Record) *uint64 {
	if by, ok := v.singles[p]; ok {
		return &by
	}
	if r.Time < v.before {
		by := v.by
		return &by
	}
	return nil
}

// indexed makes again what search finds a record by.
func (v *storedVerifier) indexed(p place, s StoredRecord, r Record, e *Evidence) {
	var is Index
	if err := json.Unmarshal(s.Search, &is, json.RejectUnknownMembers(true)); err != nil {
		v.fault(&v.index, "records", p, "what search finds the record by cannot be read")
		return
	}
	at, _ := time.Parse(canonical.TimeLayout, r.Time) // ParseRecord has looked
	if !is.Time.Equal(at) || s.Time != at.UnixMicro() {
		v.fault(&v.index, "records", p, "search or retention has another time than the record")
	}
	keys := &keyedDigests{config: v.config, open: e != nil && !slices.ContainsFunc(s.Parts, func(p Sealed) bool { return p.Kind == KindPerson && p.Blob == nil })}
	same := is.System == r.System && is.Operation == r.Operation && len(is.Uses) == len(r.Uses)
	if r.RequestCommitment == "" {
		same = same && is.RequestID == r.RequestID
	} else {
		same = same && keys.match(is.RequestID, true, textIf(e, RequestType, func() string { return e.CommittedRequestID }))
	}
	same = same && keys.match(is.Operator, keys.hasOperator(is, r, e), textIf(e, OperatorType, func() string { return e.Operator }))
	for i := range min(len(is.Uses), len(r.Uses)) {
		same = same && v.indexedUse(is.Uses[i], r, i, e, keys)
	}
	const what = "search finds the record by something else than what stands in it or in its evidence"
	switch {
	case !same:
		v.fault(&v.index, "records", p, what)
	case keys.foreign:
		v.fault(&v.foreign, "records", p, what)
	}
}

func (v *storedVerifier) indexedUse(is IndexUse, r Record, i int, e *Evidence, keys *keyedDigests) bool {
	use := r.Uses[i]
	if is.Matter != use.Matter || is.Material != use.Material || is.LicenseType != use.LicenseType || is.Decision != use.Decision || r.V >= 3 && is.Need != use.Need {
		return false
	}
	if use.CaseCommitment == "" && is.Case != use.Case {
		return false
	}
	if use.CaseCommitment != "" && !keys.match(is.Case, true, textIf(e, CaseType, func() string { return at(e.Cases, i) })) {
		return false
	}
	var holder license.HolderID
	if e != nil {
		holder = at(e.Holders, i)
	}
	return keys.match(is.Holder, use.Holder != "", holder)
}

func at[T any](list []T, i int) (zero T) {
	if i < len(list) {
		return list[i]
	}
	return zero
}

// textIf names a text as a person is named, where evidence is open.
func textIf(e *Evidence, kind string, text func() string) license.HolderID {
	if e == nil {
		return license.HolderID{}
	}
	return textOf(kind, text())
}

// keyedDigests holds digests of the index against whom they are of.
type keyedDigests struct {
	config  Config
	open    bool // all persons of the record are known
	foreign bool // some digest is that of nobody under any of our keys
}

// hasOperator reports whether the record has an operator. Without uses, and before version 3, only the evidence says so.
func (k *keyedDigests) hasOperator(is Index, r Record, e *Evidence) bool {
	switch {
	case k.open:
		return e.Operator != ""
	case r.V >= 3:
		return r.OperatorProof != OperatorNone
	}
	return is.Operator != ""
}

// match reports whether a digest may be that of a person. There is one exactly where somebody is named; whose it is cannot be said once the
// evidence is erased: then its form is looked at. One that is the person's under none of our keys is noted as foreign: it is another's, or
// its key is not there any more.
func (k *keyedDigests) match(digest string, named bool, person license.HolderID) bool {
	if !named {
		return digest == ""
	}
	if person.Code == "" {
		return !k.open && canonical.IsDigest(digest)
	}
	for _, key := range k.config.index {
		if is, _ := keyed(key, person); is == digest {
			return true
		}
	}
	k.foreign = true
	return canonical.IsDigest(digest)
}

// taken holds the call of a record against what is marked as taken.
func (v *storedVerifier) taken(p place, r Record, e *Evidence) {
	claim, claimed := v.claims[p]
	if !r.answers() {
		return // a claim that names it is left over
	}
	delete(v.claims, p)
	if r.TokenDigest != "" {
		t := tokenAt{place: p}
		digest, err := canonical.ParseBase64(r.TokenDigest)
		if err != nil {
			return
		}
		copy(t.digest[:], digest)
		v.tokens = append(v.tokens, t)
	}
	if claimed && claim.System != r.System {
		v.fault(&v.once, "claims", p, "the call is marked as taken for another system than the record's")
		return
	}
	if e == nil || e.Request == nil || v.options.Claimed == nil {
		return
	}
	made, err := v.options.Claimed(*e.Request)
	switch expires := made.Exp.UnixMicro(); {
	case err != nil:
		v.fault(&v.once, "records", p, "the call that the record keeps makes no claim")
	case claimed && (claim.JTI != made.JTI || r.TokenDigest != "" && claim.System != made.System || claim.Expires != expires):
		v.fault(&v.once, "claims", p, "the call that is marked as taken is not the one that the record keeps")
	case !claimed && made.JTI != "" && expires > v.horizon:
		v.fault(&v.once, "claims", p, "the call is not marked as taken any more, and could be made again")
	}
}

// vouched holds what a record says of its operator against the identity service's word in the call that it keeps. A refused call may
// carry a word that was not trusted: then the record says that the operator is asserted.
func (v *storedVerifier) vouched(p place, r Record, e *Evidence) {
	proven := r.OperatorProof == OperatorBySession || r.OperatorProof == OperatorByCall
	if !proven || r.TokenDigest == "" || e == nil || e.Request == nil || v.options.Vouched == nil {
		return // a call without a token carries no word: the caller in the gateway's process knew the person
	}
	word, err := v.options.Vouched(*e.Request)
	if err != nil || word == nil || word.Proof != r.OperatorProof || word.Service != r.OperatorService || !slices.Equal(word.Roles, r.OperatorRoles) {
		v.fault(&v.kept, "records", p, "the record says of its operator what no identity service says in the call that it keeps")
	}
}

// twice finds calls that left two records: one was made again after its mark was taken away.
func (v *storedVerifier) twice() {
	slices.SortFunc(v.tokens, func(a, b tokenAt) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	for i := 1; i < len(v.tokens); i++ {
		if v.tokens[i].digest == v.tokens[i-1].digest {
			v.fault(&v.once, "records", v.tokens[i].place, fmt.Sprintf("the call that the record answers was taken twice, and record %d of %s answers it too", v.tokens[i-1].place.index, v.tokens[i-1].place.log))
		}
	}
}
