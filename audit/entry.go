package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/canonical"
	"oncegate/check"
)

// An Entry is everything that commits together with one record. It is what tlog carries as "attached" and store applies.
type Entry struct {
	Record  []byte   // the leaf
	Sealed  []Sealed // evidence parts, in the order of Record.Evidence
	Index   Index    // what search may find it by
	Changes []any    // values of the change types of cases, register and audit; an unknown type refuses the entry
	Bound   []byte   // the JCS list that Record.Changes is the digest of (BoundDigest): the bound forms of Changes; nil if there are none
}

// A Sealed is one evidence part, sealed; its first plaintext bytes are 32 random ones, so that its digest tells nothing.
type Sealed struct {
	Kind   string // "request", "inputs" or "person"
	Digest []byte // SM3 of the plaintext part, 32 bytes
	Blob   []byte // nil once erased
}

// An Index is the searchable view of a record. Persons are keyed digests HMAC-SM3(K, …), K from the keystore.
type Index struct {
	Time      time.Time  `json:"time"`
	System    string     `json:"system"`
	Operation string     `json:"operation"`
	RequestID string     `json:"request_id"`
	Operator  string     `json:"operator,omitempty"` // keyed digest
	Uses      []IndexUse `json:"uses"`
}

// An IndexUse is the searchable view of one use.
type IndexUse struct {
	Matter      string `json:"matter,omitempty"`
	Case        string `json:"case,omitempty"`
	Material    string `json:"material,omitempty"`
	Need        int    `json:"need,omitempty"` // is_need, for the reuse rate; 0 where it does not count
	LicenseType string `json:"license_type,omitempty"`
	Decision    string `json:"decision"`
	Holder      string `json:"holder,omitempty"` // keyed digest
}

// Changes of audit's own.
type (
	// Claim marks a signed call's jti as used by its system. Refused with ErrReplayed if it is used, or if Exp is at or
	// before the purge horizon.
	Claim struct {
		System, JTI string
		Exp         time.Time
	}
	// PolicySet keeps the files of an activated policy set by its digest; keeping it again changes nothing.
	PolicySet struct {
		Digest string
		Files  []File
	}
	// Adopt takes on tables that were written before records bound their changes: by table name, how many rows are trusted without proof.
	Adopt struct{ Rows map[string]int }
)

// A File is one file of a policy set.
type File = canonical.File

// ErrReplayed says that the jti was used before, or is too old to know.
var ErrReplayed = errors.New("the call was made before")

// ErrTables says that what is stored beside the log is not as the keys of this gateway left it: a row was changed, moved, taken away or
// put back as it once was. Nothing that rests on it is answered (design law 9).
var ErrTables = errors.New("the tables are not as they were left")

// ErrBehind says that the projection that search reads does not cover the records that were asked for: it is being made anew, or the log
// grows faster than it follows.
var ErrBehind = errors.New("search is behind the log: ask again later")

// A Query selects records; empty fields do not restrict. Holder and Operator are keyed digests. What is asked of a use
// (Matter, Case, LicenseType, Holder, Decision) must hold for one and the same use; a record with several such uses is
// found once.
type Query struct {
	From, To                                                                 time.Time // From inclusive, To exclusive
	System, Operator, Operation, Matter, Case, LicenseType, Holder, Decision string
	Before                                                                   uint64 // only records with a smaller index; 0: from the newest
	After                                                                    uint64 // only records from this index on
	Limit                                                                    int    // 1–1000
	Covered                                                                  uint64 // how many records the projection covered for Follow: no other is looked at; 0: all that it covers
	Whole                                                                    bool   // that nothing else matches must be proven
	About                                                                    About  // which records by who may see them
}

// A Row is one record found by a search.
type Row struct {
	Log   string // origin
	Index uint64
	Leaf  []byte
}

// Storage reads what was recorded. Records are written by the log's batches only (tlog.Storage), with the Entry attached.
// Implementations are safe for concurrent use.
type Storage interface {
	// Entry returns the leaf and its sealed parts; fs.ErrNotExist if there is no such index.
	Entry(ctx context.Context, index uint64) ([]byte, []Sealed, error)
	// Search returns matching rows, newest first. It reads a projection that follows the log. The error is ErrBehind if that covers fewer
	// records than q.Covered any more, or, where the page must be whole, than q.Before: a page of several begins where the one before ended.
	Search(ctx context.Context, q Query) ([]Row, error)
	// Follow brings the projection up to the log's head (bounded work per call) and returns how many records it covers and how many there are.
	Follow(ctx context.Context) (covered, size uint64, err error)
	// Rebuild empties the projection; Follow fills it again.
	Rebuild(ctx context.Context) error
	// ByJTI returns the index of the record that a system's call left; fs.ErrNotExist if none.
	ByJTI(ctx context.Context, system, jti string) (uint64, error)
	// PolicySet returns the files of an activated set; fs.ErrNotExist if unknown.
	PolicySet(ctx context.Context, digest string) ([]File, error)
	// Reuse counts the uses of the records in the period (from inclusive, to exclusive) as cases.Tally does, where a record is a check,
	// and Decision the state: per matter, in the order of their codes. An empty matter means all. That no use is left out is proven, among
	// the records covered; covered is as Query.Covered.
	Reuse(ctx context.Context, from, to time.Time, matter string, covered uint64) ([]Reuse, error)
	// Count counts the uses that match a query within each of the periods between the times at, which rise. That none is left out is proven, among the records covered. From, To, Before, Limit and Whole of the query say nothing.
	Count(ctx context.Context, q Query, at []time.Time) ([]Period, error)
	// CountCases counts the cases that a system's calls of an operation were about within a period, each once, of the records that search covers.
	CountCases(ctx context.Context, system, operation string, from, to time.Time) (int, error)
	// Erase deletes the blobs of the sealed request and person parts of one record; their digests stay and the log still
	// verifies. Erasing again changes nothing; fs.ErrNotExist if there is no such index.
	Erase(ctx context.Context, index uint64) error
	// EraseBefore erases as Erase does, oldest first, up to limit records whose Index.Time is before t and that still have
	// a request or person part, and returns how many it erased; 0 means that none is left. Records of a log from before a
	// recovery count too. It works in short steps with rests, so that it may run while the log serves.
	EraseBefore(ctx context.Context, t time.Time, limit int) (int, error)
	// Erasable tells whether EraseBefore would find any.
	Erasable(ctx context.Context, t time.Time) (bool, error)
	// Purge forgets claims with Exp before t and raises the horizon to t; the horizon never falls.
	Purge(ctx context.Context, t time.Time) error
	// Horizon returns the purge horizon; the zero time if nothing was purged.
	Horizon(ctx context.Context) (time.Time, error)
}

// A Reuse is the reuse rate of one matter, cases.Reuse: materials obtained without the applicant out of those required.
type Reuse struct {
	Matter      string
	Numerator   int
	OnFile      int // of the numerator
	Denominator int
}

// MaxStateFaults is how many faults a StateCheck keeps; the rest is counted.
const MaxStateFaults = 100

// A StateFault is one thing in the database that is not what its log says. Key is a case number, an identifier or a digest, never a
// personal value.
type StateFault struct {
	Step   string  `json:"step"`             // of which check: one of the Step constants
	Table  string  `json:"table"`            //
	Key    string  `json:"key,omitempty"`    // of the row; "" where the table as a whole is meant
	Log    string  `json:"log,omitempty"`    // origin of the log that Record stands in
	Record *uint64 `json:"record,omitempty"` // the record that the fault is about; nil for none
	What   string  `json:"what"`             // one sentence
}

// String names the fault.
func (f StateFault) String() string {
	text := "table " + f.Table
	if f.Key != "" {
		text += ", " + f.Key
	}
	if f.Record != nil {
		text += fmt.Sprintf(", record %d of %s", *f.Record, f.Log)
	}
	return text + ": " + f.What
}

// A StateCheck is one step of holding the tables against the log, with what it found. The zero value is usable once it has a name.
type StateCheck struct {
	Name    string
	Checked uint64       // rows or records that were looked at
	Faults  []StateFault // at most MaxStateFaults
	Count   int          // how many faults there are in all

	unknown string // why something could not be checked
}

// Fault notes what is wrong.
func (c *StateCheck) Fault(f StateFault) {
	if c.Count++; len(c.Faults) < MaxStateFaults {
		f.Step = c.Name
		c.Faults = append(c.Faults, f)
	}
}

// Unknown notes that something could not be checked, and why. Only the first reason is kept.
func (c *StateCheck) Unknown(why string) {
	if c.unknown == "" {
		c.unknown = why
	}
}

// Step is the verdict of the check: failed with a fault, not checkable where nothing was wrong and something could not be looked at.
func (c *StateCheck) Step() check.Step {
	switch {
	case c.Count > 0:
		return check.Step{Name: c.Name, State: check.Failed, Reason: fmt.Sprintf("%d faults were found", c.Count)}
	case c.unknown != "":
		return check.Step{Name: c.Name, State: check.NotCheckable, Reason: c.unknown}
	}
	return check.Step{Name: c.Name, State: check.OK}
}

// Join takes in what another check found for the same step.
func (c *StateCheck) Join(other StateCheck) {
	c.Checked += other.Checked
	c.Count += other.Count
	c.Faults = append(c.Faults, other.Faults[:min(len(other.Faults), MaxStateFaults-len(c.Faults))]...)
	c.Unknown(other.unknown)
}
