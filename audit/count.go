package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"oncegate/license"
)

// About says which records somebody may see: what was asked of the gateway, or who looked at records. Auditors judge the one, whoever
// supervises them the other (separation of duties, 职责分离).
type About int

// What records are about.
const (
	AnyRecord    About = iota
	NoInquiry          // all but inquiries
	InquiryAlone       // inquiries alone
)

// inquiries are the operations by which somebody looks at records. That a record is erased or judged is no inquiry: whoever audits must
// find it.
var inquiries = []string{"audit.evidence", "audit.export", "audit.receipt", "audit.record", "audit.reuse", "audit.search", "audit.summary"}

// Inquiries returns the operations by which somebody looks at records, sorted.
func Inquiries() []string { return slices.Clone(inquiries) }

// Has reports whether a record of an operation is one of those meant.
func (a About) Has(operation string) bool {
	return a == AnyRecord || (a == InquiryAlone) == slices.Contains(inquiries, operation)
}

// A Counted is how often a decision was made by one operation within a period.
type Counted struct {
	Operation string
	Decision  string // "" of records about nothing
	Uses      int
	Records   int // that have such a use
}

// A Period is what was counted within one period.
type Period struct {
	Records int       // that match
	Counted []Counted // by operation and decision, in that order
}

// A Summary is what was decided within periods.
type Summary struct {
	Periods       []Period
	Covered, Size uint64 // as in a Page
}

// MaxPeriods is the greatest number of periods of one summary.
const MaxPeriods = 92

// Summarize counts what was decided within each of the periods between the times at, which rise. Ask.From, To, Before, Limit and Whole say
// nothing. That no use is left out is proven, up to the records that search covers. What was counted of periods that have ended long before
// is remembered: records are never changed.
func (a *Auditor) Summarize(ctx context.Context, ask Ask, at []time.Time) (s Summary, err error) {
	if len(at) < 2 || len(at) > MaxPeriods+1 || !slices.IsSortedFunc(at, time.Time.Compare) {
		return s, fmt.Errorf("summarize records: 1 to %d periods in their order are expected", MaxPeriods)
	}
	if ask.Case != "" {
		return s, errors.New("summarize records: cases are not counted: their numbers stand in two forms")
	}
	page, err := a.catchUp(ctx)
	if err == nil && page.Covered < page.Size {
		err = ErrBehind
	}
	if err != nil {
		return s, fmt.Errorf("summarize records: %w", err)
	}
	s.Covered, s.Size = page.Covered, page.Size
	ask.covered = page.Covered
	queries, err := a.queries(ask)
	if err != nil {
		return s, fmt.Errorf("summarize records: %w", err)
	}
	plain := ask.plain()
	known := 0
	if plain {
		s.Periods, known = a.counts.known(ask.About, at)
	}
	rest := make([]Period, len(at)-1-known)
	for _, q := range queries {
		if len(rest) == 0 {
			break
		}
		more, err := a.config.Storage.Count(ctx, q, at[known:])
		if err != nil {
			return s, fmt.Errorf("summarize records: %w", missing(err))
		}
		for i := range rest {
			rest[i].Records += more[i].Records
			rest[i].Counted = joined(rest[i].Counted, more[i].Counted)
		}
	}
	if plain {
		a.counts.learn(ask.About, at[known:], rest, a.config.Now())
	}
	s.Periods = append(s.Periods, rest...)
	return s, nil
}

// plain reports whether an ask restricts nothing.
func (ask Ask) plain() bool {
	return ask.System == "" && ask.Operator == "" && ask.Operation == "" && ask.Matter == "" && ask.Case == "" && ask.LicenseType == "" &&
		ask.Holder.Code == "" && ask.Decision == ""
}

// joined adds counts of disjoint sets of records: each was indexed with one key.
func joined(one, other []Counted) []Counted {
	for _, c := range other {
		at := slices.IndexFunc(one, func(k Counted) bool { return k.Operation == c.Operation && k.Decision == c.Decision })
		if at < 0 {
			one = append(one, c)
			continue
		}
		one[at].Uses += c.Uses
		one[at].Records += c.Records
	}
	slices.SortFunc(one, Counted.compare)
	return one
}

func (c Counted) compare(other Counted) int {
	return slices.Compare([]string{c.Operation, c.Decision}, []string{other.Operation, other.Decision})
}

// settled is how long after its end a period may still get records: their times follow the order of the log to within minutes.
const settled = 2 * time.Hour

// counts remembers what was counted of whole periods. The zero value is usable.
type counts struct {
	mu  sync.Mutex // protects all
	all map[countKey]Period
}

type countKey struct {
	about    About
	from, to int64
}

const maxCounts = 4096

// known returns the counts of the first periods that are remembered.
func (c *counts) known(about About, at []time.Time) (list []Period, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range len(at) - 1 {
		one, ok := c.all[countKey{about, at[i].UnixMicro(), at[i+1].UnixMicro()}]
		if !ok {
			break
		}
		one.Counted = slices.Clone(one.Counted)
		list = append(list, one)
	}
	return list, len(list)
}

func (c *counts) learn(about About, at []time.Time, periods []Period, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= maxCounts {
		c.all = make(map[countKey]Period)
	}
	for i, one := range periods {
		if at[i+1].Add(settled).Before(now) {
			one.Counted = slices.Clone(one.Counted)
			c.all[countKey{about, at[i].UnixMicro(), at[i+1].UnixMicro()}] = one
		}
	}
}

// Judged is one judgement of a record by an auditor.
type Judged struct {
	Index    uint64 // of the record of the judgement
	Evidence Evidence
}

// RecordType is the code type under which a record commits to the number of another record that it is about.
const RecordType = "record"

// NumberOf names a record that another one is about as a person is named: committed to, and found by its keyed digest.
func NumberOf(index uint64) license.HolderID {
	return license.HolderID{Type: RecordType, Code: strconv.FormatUint(index, 10)}
}

// maxJudgements bounds how many judgements of one record are read.
const maxJudgements = 50

// Judgements returns the judgements of a record, newest first: records of the operation that are about it.
func (a *Auditor) Judgements(ctx context.Context, index uint64, operation string) (all []Judged, err error) {
	page, err := a.Search(ctx, Ask{Operation: operation, Holder: NumberOf(index), Limit: maxJudgements})
	if err != nil {
		return nil, err
	}
	for _, f := range page.Found {
		e, err := a.EvidenceOf(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, Judged{f.Index, e})
	}
	return all, nil
}
