package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/check"
	"oncegate/client"
	"oncegate/license"
	"oncegate/verdict"
)

// A story is what the chapters share.
type story struct {
	*stage
	print   *printer
	began   time.Time
	callers map[string]caller
	food    kept                  // what step 1 leaves behind
	refused uint64                // where the log has the refusal of step 4
	checks  map[string]api.Counts // the last check of each case
	reuse   api.Counts
}

// kept is a call and its answer, to which later steps come back.
type kept struct {
	no    string // the case
	index uint64 // in the log
	raw   []byte
	token string
	body  []byte

	copied []byte // the annotated copy of the business license
}

// Who acts in each system. Operators' codes are the departments' own.
var operators = map[string]string{
	"acceptance": "ZHCK-07", "food-approval": "SPXK-12", "land-approval": "BDC-31", "invest-platform": "TZXM-02", "audit-office": "SJ-01",
	"samr-licenses": "ZZGL-03",
}

func newStory(st *stage, p *printer) *story {
	return &story{stage: st, print: p, began: time.Now(), checks: make(map[string]api.Counts)}
}

// as returns the client of a system.
func (s *story) as(system string) (caller, error) {
	if s.callers == nil {
		var err error
		if s.callers, err = s.stage.callersOf(operators); err != nil {
			return caller{}, err
		}
	}
	return s.callers[system], nil
}

// caseNo numbers the n-th case of this run.
func (s *story) caseNo(n int) string {
	began := s.began.In(license.Shanghai())
	return fmt.Sprintf("SP-%s%03d-%04d", began.Format("20060102-150405"), began.Nanosecond()/1e6, n)
}

func party(role string, h license.HolderID) api.Party {
	return api.Party{Role: role, Holder: api.HolderID{Type: h.Type, Code: h.Code}}
}

// accept has the acceptance platform register a case, which it thereby attests.
func (s *story) accept(ctx context.Context, no, matter string, parties ...api.Party) error {
	acceptance, err := s.as("acceptance")
	if err != nil {
		return err
	}
	_, err = acceptance.RegisterCase(ctx, api.CaseRequest{No: no, Matter: matter, Accepted: api.At(time.Now()), Parties: parties})
	return err
}

// check has a system check the materials of a case, and keeps what it counts.
func (s *story) check(ctx context.Context, system, no string) (*client.Answered[api.CheckAnswer], error) {
	c, err := s.as(system)
	if err != nil {
		return nil, err
	}
	a, err := c.Check(ctx, no, api.CheckRequest{})
	if err == nil {
		s.checks[no] = a.Answer.Reuse
	}
	return a, err
}

// find returns a material of a check by its code.
func find(a api.CheckAnswer, code string) api.CheckedMaterial {
	for _, m := range a.Materials {
		if m.Material == code {
			return m
		}
	}
	return api.CheckedMaterial{}
}

// met counts the materials that are met.
func met(a api.CheckAnswer) (n int) {
	for _, m := range a.Materials {
		if m.State == api.MaterialStateMet {
			n++
		}
	}
	return n
}

// proven verifies artefacts offline, each against the others, and returns how many steps held.
func (s *story) proven(artefacts ...verdict.Artefact) (held int, err error) {
	for _, v := range s.trust.Verify(artefacts...) {
		if err := v.Err(); err != nil {
			return held, fmt.Errorf("verify %s: %w", v.Name, err)
		}
		for _, step := range v.Steps {
			if step.State == check.OK {
				held++
			}
		}
	}
	return held, nil
}

// gauge reads one figure of the gateway's metrics, such as oncegate_source_seconds_count{outcome="ok",source="x"}; 0 where
// there is none yet.
func (s *story) gauge(ctx context.Context, series string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.node.AdminAddr()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, nil
}
