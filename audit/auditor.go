package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/license"
	"oncegate/tlog"
)

// MaxPage is the greatest number of records of one page.
const MaxPage = 1000

// followSteps bounds how far a search waits for a projection that is behind.
const followSteps = 64

// An Auditor finds, opens and proves records. It is safe for concurrent use.
type Auditor struct {
	config   Config
	slice    uint64 // of a page that is proven whole
	patience time.Duration
	counts   counts
}

// NewAuditor returns an Auditor over config.Storage and config.View.
func NewAuditor(config Config) (*Auditor, error) {
	config, err := config.withDefaults()
	if err == nil && (config.Storage == nil || config.View == nil) {
		err = errors.New("storage and a view of the log are required")
	}
	if err != nil {
		return nil, fmt.Errorf("make auditor: %w", err)
	}
	return &Auditor{config: config, slice: wholeSlice, patience: wholePatience}, nil
}

// An Ask is what an auditor looks for; empty fields do not restrict. What is asked of a use (Matter, Case, LicenseType,
// Holder, Decision) must hold for one and the same use.
type Ask struct {
	From, To    time.Time // From inclusive, To exclusive
	System      string
	Operator    string // code of the operator
	Operation   string
	Matter      string
	Case        string
	LicenseType string
	Holder      license.HolderID // zero: anybody
	Decision    string
	Before      uint64 // where the page before ended (Page.Next); 0: from the newest
	Limit       int    // 1–MaxPage; 0: 100
	Whole       bool   // that nothing else was found must be proven; such a page may end before it is full
	About       About  // which records by who may see them

	covered, after uint64 // what the page says that search covers; no record before is looked at
}

// A Found is one leaf that was found. It is proven to stand in the log at its index.
type Found struct {
	Log    string // origin of the log it stands in
	Index  uint64
	Record Record
	Fault  string // why the leaf is no record that is known here, such as one of a newer version; Record is zero then

	leaf []byte // as it was proven
}

// A Page is a part of what was found, newest first. Search reads a projection of the log: what is newer than Covered
// records is not found yet. The leaves are proven, and so is Size; that none is missing is not.
type Page struct {
	Found         []Found
	Next          uint64 // Ask.Before of the next page; 0: there is none
	Covered, Size uint64 // how many records the projection covers, and how many there are
}

// Search finds records. Persons are asked for in plain form and sought by their keyed digests. Every leaf is proven to be in the log
// before it is read as a record (design law 9): where one is not, the error is tlog.ErrUnproven and there is no page, because a page that
// went on without it, or with its altered words, would be signed as though it were whole.
func (a *Auditor) Search(ctx context.Context, ask Ask) (Page, error) {
	if ask.Limit == 0 {
		ask.Limit = 100
	}
	if ask.Limit < 0 || ask.Limit > MaxPage {
		return Page{}, fmt.Errorf("search records: limit %d is not within 1–%d", ask.Limit, MaxPage)
	}
	page, err := a.catchUp(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("search records: %w", err)
	}
	ask.covered = page.Covered
	var rows []Row
	if ask.Whole {
		rows, page.Next, err = a.whole(ctx, ask)
	} else {
		rows, err = a.rows(ctx, ask)
	}
	if err != nil {
		return Page{}, fmt.Errorf("search records: %w", err)
	}
	if err := a.prove(ctx, rows); err != nil {
		return Page{}, fmt.Errorf("search records: %w", err)
	}
	for _, row := range rows {
		page.Found = append(page.Found, a.found(row))
	}
	if len(rows) == ask.Limit {
		page.Next = rows[len(rows)-1].Index // 0 only if that is the oldest record of all
	}
	return page, nil
}

// A page that is proven whole is read in slices of records, and ends after the first beyond its time: how many records there are of a period
// bounds neither what a call costs nor what a report can be about. The next page goes on from where it came to.
const (
	wholeSlice    = 1 << 18 // records
	wholePatience = 4 * time.Second
)

// whole returns the rows of a page that is proven, and where the next one begins if this one ended before it was full.
func (a *Auditor) whole(ctx context.Context, ask Ask) (rows []Row, next uint64, err error) {
	begun, limit := time.Now(), ask.Limit
	end := ask.covered
	if ask.Before != 0 {
		end = ask.Before
	}
	for end > 0 && len(rows) < limit {
		if next > 0 && time.Since(begun) >= a.patience {
			return rows, next, nil
		}
		ask.Before, ask.after, ask.Limit = end, end-min(end, a.slice), limit-len(rows)
		more, err := a.rows(ctx, ask)
		if err != nil {
			return nil, 0, err
		}
		rows, end, next = append(rows, more...), ask.after, ask.after
	}
	return rows, 0, nil
}

// catchUp lets the projection follow the log, some way: up to the checkpoint of the moment, which is trusted. What is appended meanwhile
// makes no page incomplete.
func (a *Auditor) catchUp(ctx context.Context) (page Page, err error) {
	c, err := a.config.View.Prove(ctx, nil)
	if err != nil {
		return page, err
	}
	for range followSteps {
		page.Covered, _, err = a.config.Storage.Follow(ctx)
		if err != nil || page.Covered >= c.Size {
			break
		}
	}
	if err == nil && page.Covered > c.Size { // as records are appended
		if c, err = a.config.View.Prove(ctx, nil); err == nil && page.Covered > c.Size {
			err = fmt.Errorf("%w: the search index says that it covers %d records of %d", tlog.ErrUnproven, page.Covered, c.Size)
		}
		c.Size = page.Covered
	}
	page.Size = c.Size
	return page, missing(err)
}

// prove proves what a search found.
func (a *Auditor) prove(ctx context.Context, rows []Row) error {
	leaves := make([]tlog.Leaf, len(rows))
	for i, row := range rows {
		leaves[i] = tlog.Leaf{Index: row.Index, Data: row.Leaf}
	}
	c, err := a.config.View.Prove(ctx, leaves)
	for _, row := range rows {
		if err == nil && row.Log != c.Origin {
			err = fmt.Errorf("%w: record %d is of log %q, not of %q", tlog.ErrUnproven, row.Index, row.Log, c.Origin)
		}
	}
	return err
}

// find asks the projection. A record that it names and that is not there was removed, or never was: that is an error, and not a shorter
// page.
func (a *Auditor) find(ctx context.Context, query Query) ([]Row, error) {
	rows, err := a.config.Storage.Search(ctx, query)
	return rows, missing(err)
}

// missing marks what is not there though something stored says that it is.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %v", tlog.ErrUnproven, err)
	}
	return err
}

// rows asks every query and returns what they find together, newest first, each record once.
func (a *Auditor) rows(ctx context.Context, ask Ask) ([]Row, error) {
	queries, err := a.queries(ask)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, query := range queries {
		more, err := a.find(ctx, query)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.Index, a.Index) })
	rows = slices.CompactFunc(rows, func(a, b Row) bool { return a.Log == b.Log && a.Index == b.Index })
	return rows[:min(len(rows), ask.Limit)], nil
}

// queries are one for each key that the index was ever written with, where persons are asked for; and where a case is, one by its number
// and one for each key by its keyed digest, as which a number stands that is nothing but a caller's word.
func (a *Auditor) queries(ask Ask) (all []Query, err error) {
	byPerson := ask.Holder.Code != "" || ask.Operator != ""
	for i, key := range a.config.index {
		query, err := queryOf(key, ask)
		if err != nil {
			return nil, err
		}
		if i == 0 || byPerson {
			all = append(all, query)
		}
		if ask.Case != "" {
			if query.Case, err = keyed(key, caseNumber(ask.Case)); err != nil {
				return nil, fmt.Errorf("digest case: %w", err)
			}
			all = append(all, query)
		}
	}
	return all, nil
}

func queryOf(key *hashpool.Pool, ask Ask) (Query, error) {
	holder, err := keyed(key, ask.Holder)
	if err != nil {
		return Query{}, fmt.Errorf("digest holder: %w", err)
	}
	by, err := keyed(key, operator(ask.Operator))
	if err != nil {
		return Query{}, fmt.Errorf("digest operator: %w", err)
	}
	return Query{
		From: ask.From, To: ask.To,
		System: ask.System, Operation: ask.Operation, Operator: by,
		Matter: ask.Matter, Case: ask.Case, LicenseType: ask.LicenseType, Decision: ask.Decision, Holder: holder,
		Before: ask.Before, After: ask.after, Limit: ask.Limit, Covered: ask.covered, Whole: ask.Whole, About: ask.About,
	}, nil
}

func (a *Auditor) found(row Row) Found {
	record, err := ParseRecord(row.Leaf)
	if err != nil {
		return Found{Log: row.Log, Index: row.Index, Fault: err.Error(), leaf: row.Leaf}
	}
	return Found{Log: row.Log, Index: row.Index, Record: record, leaf: row.Leaf}
}

// Reuse returns the reuse rate of each matter in a period, as cases.Tally defines it. An empty matter means all. The rate does not say of
// how many records it is: where search is behind the log, there is none (ErrBehind).
func (a *Auditor) Reuse(ctx context.Context, from, to time.Time, matter string) ([]Reuse, error) {
	page, err := a.catchUp(ctx)
	if err == nil && page.Covered < page.Size {
		err = ErrBehind
	}
	if err != nil {
		return nil, fmt.Errorf("count reuse: %w", err)
	}
	rates, err := a.config.Storage.Reuse(ctx, from, to, matter, page.Covered)
	if err != nil {
		return nil, fmt.Errorf("count reuse: %w", err)
	}
	return rates, nil
}

// A Replay is all that it takes to make a recorded decision again.
type Replay struct {
	Record Record
	Inputs jsontext.Value // as Draft.Inputs was recorded
	Policy []File         // the files of the policy set that decided; nil if the record names none
}

// Replay returns the recorded inputs of the decisions of a record together with the policy set that made them, each held
// against the record. The error is fs.ErrNotExist if there is no such record or set, or ErrAltered.
func (a *Auditor) Replay(ctx context.Context, index uint64) (Replay, error) {
	evidence, err := a.Evidence(ctx, index)
	if err != nil {
		return Replay{}, fmt.Errorf("replay: %w", err)
	}
	replay := Replay{Record: evidence.Record, Inputs: evidence.Inputs}
	if replay.Record.Policy == "" {
		return replay, nil
	}
	if replay.Policy, err = a.PolicyFiles(ctx, replay.Record.Policy); err != nil {
		return Replay{}, fmt.Errorf("replay record %d: %w", index, err)
	}
	return replay, nil
}

// PolicyFiles returns the files of an activated policy set, held against its digest; fs.ErrNotExist if it is not known.
func (a *Auditor) PolicyFiles(ctx context.Context, digest string) ([]File, error) {
	files, err := a.config.Storage.PolicySet(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("read policy set: %w", err)
	}
	if is, _ := canonical.FilesDigest(a.config.NewSM3, files); is != digest { // none where they are no set
		return nil, fmt.Errorf("the stored policy set: %w", ErrAltered)
	}
	return files, nil
}
