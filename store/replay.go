package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
)

// A replay makes the state again that the records say there is: event sourcing, from what each record binds of its changes. Of columns
// that never change it keeps a digest, so that a million rows fit into a few hundred megabytes.
type replay struct {
	newSM3  func() hash.Hash
	origins map[int64]string // of the logs, by number
	changes audit.StateCheck // that the preimages are those that the records bind
	rows    audit.StateCheck // that the rows are what follows

	cases      map[string]*caseState
	consents   map[string]*consentState
	versions   map[string]*versionState
	policySets map[string]*rowState
	lists      map[string]*listState
	filings    map[string]*filingState
	received   []receivedState // in the order of the log

	adoptions []*adoptionState
	versioned map[int64]int64 // by log: the pos of its first record that binds changes
	unbinding bool            // some record is of a version that binds no changes
	lost      map[int64]bool  // records whose changes cannot be replayed: what stands beside them is not what they bind

	status map[license.Status]license.Status // each text once
	old    map[string]int                    // by table: how many rows no record makes
}

// A rowState is what the records say of one row.
type rowState struct {
	made   bool     // a record makes the row; otherwise records only change it, and it was there before records bound changes
	seen   bool     // the table has it
	pos    int64    // the record that last changed it
	plain  [32]byte // digest of the columns that never change
	person [32]byte // commitment to its personal value
}

type caseState struct {
	rowState
	closed, revision int64
}

type consentState struct {
	rowState
	withdrawn int64
}

type filingState struct {
	rowState
	withdrawn, erased int64
	by                string // who withdrew it
}

// A versionState of a row that no record makes knows what it was set to only.
type versionState struct {
	rowState
	stated, ordered, status license.Status
	statedAt, orderedAt     int64 // statedAt is the column status_at
	statedKnown, orderKnown bool
	list                    *listState // nil where it is not known
}

// A listState is a status list: the record of its first version, that version's place among the issues of its record, and how many records
// changed the status of a slot.
type listState struct {
	pos   int64
	n     int64
	first *versionState
	again []int64 // records that changed the first version: one of the same batch stands for the first in the list's row
	moves int64
	moved int64 // the last record that did

	versions, old int   // rows that stand in it, and those of them that no record makes
	last          int64 // the record that last changed one
}

type receivedState struct {
	pos    int64
	plain  [32]byte
	person [32]byte // commitment to a representative or a result; zero: there is none
	seen   bool
}

// An adoptionState is a record that took rows on as they stood (audit.Adopt).
type adoptionState struct {
	pos      int64
	rows     map[string]int
	made     map[string]int // rows that records had made by then
	first    bool           // the tables were never authenticated before: all rows were taken on
	renaming map[string]int // rows that name the adoption as what changed them last
}

func newReplay(newSM3 func() hash.Hash, origins map[int64]string) *replay {
	r := &replay{
		newSM3: newSM3, origins: origins, changes: audit.StateCheck{Name: audit.StepChanges}, rows: audit.StateCheck{Name: audit.StepReplay},
		cases: map[string]*caseState{}, consents: map[string]*consentState{}, versions: map[string]*versionState{}, policySets: map[string]*rowState{},
		filings: map[string]*filingState{}, lists: map[string]*listState{}, versioned: map[int64]int64{}, lost: map[int64]bool{}, status: map[license.Status]license.Status{}, old: map[string]int{},
	}
	return r
}

// place names a record.
func (r *replay) place(pos int64) (origin string, index *uint64) {
	i := indexOf(pos)
	return r.origins[pos>>indexBits], &i
}

func (r *replay) fault(c *audit.StateCheck, table, key string, pos int64, format string, args ...any) {
	f := audit.StateFault{Table: table, Key: key, What: fmt.Sprintf(format, args...)}
	if pos != 0 {
		f.Log, f.Record = r.place(pos)
	}
	c.Fault(f)
}

// binding is what a record of a version that binds changes ends with, and changing what it has where it binds any. Leaves are in
// canonical form: another step proves that, and nothing that a caller wrote can look like this in JSON.
var (
	binding  = [][]byte{[]byte(`"v":3}`), []byte(`"v":4}`)}
	changing = []byte(`,"changes":"`)
)

// binds reports whether a leaf is of a version that binds changes.
func binds(leaf []byte) bool {
	for _, end := range binding {
		if bytes.HasSuffix(leaf, end) {
			return true
		}
	}
	return false
}

// record takes the next record of the log, with what stands beside it as the preimage of its changes.
func (r *replay) record(pos int64, leaf []byte, changes string) {
	r.changes.Checked++
	number, v3 := pos>>indexBits, binds(leaf)
	_, before := r.versioned[number]
	if v3 && !before {
		r.versioned[number] = pos
	}
	beginning := indexOf(pos) == 0 && !bytes.HasPrefix(leaf, []byte("{")) // the checkpoint of the log that this one recovered from
	r.unbinding = r.unbinding || !v3 && !beginning
	if changes == "" && !bytes.Contains(leaf, changing) {
		return
	}
	bound := ""
	if !beginning {
		record, err := audit.ParseRecord(leaf)
		if err != nil {
			r.lost[pos] = true
			r.fault(&r.changes, "records", "", pos, "the leaf is no record")
			return
		}
		bound = record.Changes
	}
	if bound != audit.BoundDigest(r.newSM3, []byte(changes)) {
		r.lost[pos] = true
		r.fault(&r.changes, "records", "", pos, "what stands beside the record as its changes is not what it binds")
		return
	}
	list, err := audit.ParseBoundList([]byte(changes))
	if err != nil {
		r.lost[pos] = true
		r.fault(&r.changes, "records", "", pos, "the changes of the record cannot be read")
		return
	}
	issued := int64(0)
	for _, raw := range list {
		if err := r.change(pos, raw, &issued); err != nil {
			r.lost[pos] = true
			what := "one of the record's changes is not known"
			if errors.Is(err, errTwice) {
				what = "the record makes a row that is there already"
			}
			r.fault(&r.changes, "records", "", pos, "%s", what)
		}
	}
}

// parse reads a bound form with the room that it is of.
func parse(raw jsontext.Value) (any, error) {
	var named struct {
		Change string `json:"change"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, audit.ErrBound
	}
	room, _, _ := strings.Cut(named.Change, ".")
	switch room {
	case "cases":
		return cases.ParseBound(raw)
	case "register":
		return register.ParseBound(raw)
	}
	return audit.ParseBound(raw)
}

var errTwice = errors.New("the row is there already")

// change makes one change. issued counts the versions that the record issues.
func (r *replay) change(pos int64, raw jsontext.Value, issued *int64) error {
	bound, err := parse(raw)
	if err != nil {
		return err
	}
	switch c := bound.(type) {
	case cases.BoundRegister:
		if r.cases[c.No] != nil {
			return errTwice
		}
		r.cases[c.No] = &caseState{rowState: made(pos, c.Parties, plainCase(c.No, c.Matter, c.Parts, c.Registrar, string(c.Attestation), c.Accepted, c.Registered)), closed: c.Closed, revision: int64(c.Revision)}
	case cases.BoundClose:
		s := entry(r.cases, c.No)
		s.closed, s.revision, s.pos = c.Closed, int64(c.Revision), pos
	case cases.BoundReceive:
		r.received = append(r.received, receivedState{pos: pos, plain: plainReceived(c.CaseNo, c.Matter, c.Material, c.How, c.Digest, c.BySystem, c.At)})
	case cases.BoundSetState:
		r.received = append(r.received, receivedState{pos: pos, plain: plainReceived(c.CaseNo, c.Matter, c.Material, string(c.State), "", c.BySystem, c.At)})
	case cases.BoundHandOver:
		r.received = append(r.received, receivedState{pos: pos, plain: plainReceived(c.CaseNo, "", "", cases.HandOverMark, c.Digest, c.BySystem, c.At)})
	case cases.BoundIssue:
		s := receivedState{pos: pos, plain: plainReceived(c.CaseNo, "", c.LicenseType, cases.ResultMark, "", c.BySystem, c.At)}
		base64.RawURLEncoding.Decode(s.person[:], []byte(c.License)) // 43 characters: ParseBound has looked
		r.received = append(r.received, s)
	case cases.BoundRepresent:
		s := receivedState{pos: pos, plain: plainReceived(c.CaseNo, "", "", c.Kind, c.Mandate, c.BySystem, c.At)}
		base64.RawURLEncoding.Decode(s.person[:], []byte(c.Person)) // 43 characters: ParseBound has looked
		r.received = append(r.received, s)
	case cases.BoundGive:
		if r.consents[c.ID] != nil {
			return errTwice
		}
		r.consents[c.ID] = &consentState{rowState: made(pos, c.Holder, plainConsent(c.ID, c.System, c.Types, c.Matters, c.Expires, c.Evidence, c.Digest, c.Given)), withdrawn: c.Withdrawn}
	case cases.BoundWithdraw:
		s := entry(r.consents, c.ID)
		s.withdrawn, s.pos = c.Withdrawn, pos
	case cases.BoundFile:
		if r.filings[c.ID] != nil {
			return errTwice
		}
		r.filings[c.ID] = &filingState{rowState: made(pos, c.Person, plainFiling(c))}
	case cases.BoundUnfile:
		s := entry(r.filings, c.ID)
		s.withdrawn, s.by, s.pos = c.Withdrawn, c.WithdrawnBy, pos
		if s.erased == 0 {
			s.erased = c.Withdrawn
		}
	case cases.BoundEraseFile:
		s := entry(r.filings, c.ID)
		s.erased, s.pos = c.Erased, pos
	case register.BoundIssue:
		if r.versions[c.Identifier] != nil {
			return errTwice
		}
		r.issue(pos, c, *issued)
		*issued++
	case register.BoundSetStatus:
		s := entry(r.versions, c.Identifier)
		s.stated, s.statedAt, s.statedKnown = r.text(c.Stated), c.StatusAt, true
		r.moved(s, pos)
	case register.BoundOrder:
		s := entry(r.versions, c.Identifier)
		s.ordered, s.orderedAt, s.orderKnown = r.text(c.Ordered), c.OrderedAt, true
		r.moved(s, pos)
	case audit.BoundPolicySet:
		if r.policySets[c.Digest] == nil {
			r.policySets[c.Digest] = &rowState{made: true, pos: pos}
		}
	case audit.BoundAdopt:
		r.adopt(pos, c.Rows)
	}
	return nil
}

// entry is the state of a row that a record changes.
func entry[S any](of map[string]*S, key string) *S {
	if of[key] == nil {
		of[key] = new(S)
	}
	return of[key]
}

func made(pos int64, commitment string, plain [32]byte) rowState {
	s := rowState{made: true, pos: pos, plain: plain}
	base64.RawURLEncoding.Decode(s.person[:], []byte(commitment)) // 43 characters: ParseBound has looked
	return s
}

// text returns a status that equals s, the same one each time.
func (r *replay) text(s license.Status) license.Status {
	if known, ok := r.status[s]; ok {
		return known
	}
	r.status[s] = s
	return s
}

func (r *replay) issue(pos int64, c register.BoundIssue, n int64) {
	if c.Supersedes != "" {
		s := entry(r.versions, c.Supersedes)
		s.stated, s.statedAt, s.statedKnown = license.Superseded, c.Signed, true
		r.moved(s, pos)
		s.status = license.Superseded // whatever was ordered
	}
	l := r.lists[c.List]
	begins := l == nil
	if begins {
		l = &listState{pos: pos, n: n}
		r.lists[c.List] = l
	}
	s := &versionState{
		rowState: made(pos, "", plainVersion(c.Subject, c.Number, c.Type, c.Issuer, c.Serial, c.Identifier, c.Content, c.JWT, c.KeyID, c.Signed, c.List, c.Slot)),
		stated:   r.text(c.Stated), statedAt: c.StatusAt, statedKnown: true,
		ordered: r.text(c.Ordered), orderedAt: c.OrderedAt, orderKnown: true, status: r.text(c.Status), list: l,
	}
	r.versions[c.Identifier] = s
	if begins {
		l.first = s
	}
	if c.Status != license.Valid {
		l.move(pos)
	}
}

// moved derives the status that holds of a version that a record changed.
func (r *replay) moved(s *versionState, pos int64) {
	s.pos, s.status = pos, ""
	if s.statedKnown && s.orderKnown {
		s.status = register.EffectiveStatus(s.stated, s.ordered)
	}
	if s.list != nil {
		s.list.move(pos)
		if s.list.first == s {
			s.list.again = append(s.list.again, pos)
		}
	}
}

func (l *listState) move(pos int64) {
	if l.moved != pos {
		l.moves++
	}
	l.moved = pos
}

func (r *replay) adopt(pos int64, rows map[string]int) {
	r.adoptions = append(r.adoptions, &adoptionState{
		pos: pos, rows: rows, first: len(r.adoptions) == 0 && r.unbinding, renaming: map[string]int{},
		made: map[string]int{
			"cases": count(r.cases, func(s *caseState) bool { return s.made }), "case_received": len(r.received),
			"consents": count(r.consents, func(s *consentState) bool { return s.made }), "filings": count(r.filings, func(s *filingState) bool { return s.made }),
			"versions":     count(r.versions, func(s *versionState) bool { return s.made }),
			"status_lists": len(r.lists), "policy_sets": len(r.policySets),
		},
	})
}

func count[S any](m map[string]S, which func(S) bool) (n int) {
	for _, s := range m {
		if which(s) {
			n++
		}
	}
	return n
}

// The digests of columns that never change, over the values as records bind them.

func plainCase(no, matter string, parts []string, registrar, attestation string, accepted, registered int64) [32]byte {
	return plainOf("cases", append([]any{no, matter, registrar, attestation, accepted, registered, len(parts)}, texts(parts)...)...)
}

func plainReceived(no, matter, material, how, digest, by string, at int64) [32]byte {
	return plainOf("case_received", no, matter, material, how, digest, by, at)
}

func plainConsent(id, system string, types, matters []string, expires int64, evidence, digest string, given int64) [32]byte {
	columns := append([]any{id, system, expires, evidence, digest, given, len(types), len(matters)}, texts(types)...)
	return plainOf("consents", append(columns, texts(matters)...)...)
}

func plainFiling(c cases.BoundFile) [32]byte {
	return plainOf("filings", c.ID, c.Type, c.CaseNo, c.Matter, c.Material, c.Department, c.BySystem, c.Proof, c.Verification, c.Level, c.Digest, c.Media,
		c.Size, c.Filed, string(c.ValidUntil), c.KeepUntil)
}

func plainVersion(subject string, number int, kind, issuer, serial, identifier, content, jwt, keyID string, signed int64, list string, slot int) [32]byte {
	return plainOf("versions", subject, number, kind, issuer, serial, identifier, content, jwt, keyID, signed, list, slot)
}

func texts(list []string) (all []any) {
	for _, s := range list {
		all = append(all, s)
	}
	return all
}

func plainOf(table string, columns ...any) (digest [32]byte) {
	withText(table, columns, func(text []byte) { digest = sha256.Sum256(text) })
	return digest
}
