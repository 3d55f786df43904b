package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/check"
	"oncegate/client"
	"oncegate/install"
	"oncegate/license"
	"oncegate/tlog"
	"oncegate/verdict"
)

// A story is the state that the chapters share.
type story struct {
	*stage
	print   *printer
	began   time.Time
	callers map[string]caller
	food    exchange              // of step 1
	refused uint64                // where the log has the refusal of step 4
	checks  map[string]api.Counts // the last check of each case
	reuse   api.Counts
}

// An exchange is a call and its answer, for use in later steps.
type exchange struct {
	no    string // the case
	index uint64 // in the log
	raw   []byte
	token string
	body  []byte

	copied []byte // the annotated copy of the business license
}

// operators are the operator codes by system.
var operators = map[string]string{
	"acceptance": "ZHCK-07", "food-approval": "SPXK-12", "land-approval": "BDC-31", "invest-platform": "TZXM-02", "audit-office": "SJ-01",
	"samr-licenses": "ZZGL-03",
}

func newStory(st *stage, p *printer) *story {
	return &story{stage: st, print: p, began: time.Now(), checks: make(map[string]api.Counts)}
}

// as returns the client for calls as a system.
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

// accept has the acceptance platform register a case; registering attests it.
func (s *story) accept(ctx context.Context, no, matter string, parties ...api.Party) error {
	acceptance, err := s.as("acceptance")
	if err != nil {
		return err
	}
	_, err = acceptance.RegisterCase(ctx, api.CaseRequest{No: no, Matter: matter, Accepted: api.At(time.Now()), Parties: parties})
	return err
}

// check has a system check the materials of a case, and keeps its counts for the reuse rate.
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

// verifyAll verifies artefacts offline, each against the others, and returns the number of steps that are ok.
func (s *story) verifyAll(artefacts ...verdict.Artefact) (steps int, err error) {
	for _, v := range s.trust.Verify(artefacts...) {
		if err := v.Err(); err != nil {
			return steps, fmt.Errorf("verify %s: %w", v.Name, err)
		}
		for _, step := range v.Steps {
			if step.State == check.OK {
				steps++
			}
		}
	}
	return steps, nil
}

// gauge reads one series of the gateway's metrics, such as oncegate_source_seconds_count{outcome="ok",source="x"}, or 0 if there is
// none yet.
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

// A chapter is one step of the demo: its name, its title and the function that runs it.
type chapter struct {
	name  string // stable, for machines
	title text
	tell  func(ctx context.Context, s *scene) error
}

var chapters = []chapter{
	{"food-permit", text{"企业开食品店：材料从源头复用，无需提交", "A company opens a food shop (食品经营许可): nothing is uploaded"}, foodShop},
	{"real-estate-transfer", text{"夫妻过户房产：一个数据源中断，办件容缺继续", "A couple transfers a flat (不动产转移登记): one source is down, the case goes on"}, flat},
	{"investment-chain", text{"投资项目一件事：取一次，用八次", "An investment project (一件事): one business license, fetched once, used eight times"}, chain},
	{"not-a-party", text{"查询与办件无关的人：拒绝，留痕", "A clerk asks about a person who is no party of the case: refused, and recorded"}, stranger},
	{"revocation", text{"源头吊销：下一次核验即知", "A license is revoked at the source (吊销): the next check says so"}, revocation},
	{"audit", text{"审计：找到、离线验证、计算复用率", "An auditor finds it all, verifies it offline, and sees the reuse rate (复用率)"}, auditing},
	{"tampering", text{"有人改动日志副本的一个字节", "Somebody edits one byte of a copy of the log"}, tampering},
}

// A text is a sentence in Chinese and English.
type text struct{ zh, en string }

// A scene is a step under way: the lines it prints and the claims it checks.
type scene struct {
	*story
	chapter
	number int
	lines  []line
	broken string // the first claim that failed, in English
	detail string // summary of the step, in English
}

// A line is a line of a step's output: a sentence or a row of a table.
type line struct {
	mark    mark
	text    text
	columns [4]string // instead of text, for tables
}

type mark int

const (
	note    mark = iota // a remark
	good                // a claim that holds, a material that is met
	bad                 // a claim that failed
	lacking             // a material that is not met, as the story expects
)

// say adds a remark.
func (s *scene) say(zh, en string, args ...any) {
	s.lines = append(s.lines, line{mark: note, text: text{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)}})
}

// claim adds an assertion with its text; the step is ok only if every claim is.
func (s *scene) claim(ok bool, zh, en string, args ...any) {
	l := line{mark: good, text: text{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)}}
	if !ok {
		l.mark = bad
		if s.broken == "" {
			s.broken = "does not hold: " + l.text.en
		}
	}
	s.lines = append(s.lines, l)
}

// row adds a line of a table.
func (s *scene) row(m mark, columns ...string) {
	l := line{mark: m}
	copy(l.columns[:], columns)
	s.lines = append(s.lines, l)
}

// show sets the summary of the step.
func (s *scene) show(format string, args ...any) { s.detail = fmt.Sprintf(format, args...) }

// outcome returns the step's result. Its texts name no person: problems carry no names, and neither do ours.
func (s *scene) outcome(err error, took time.Duration) Step {
	step := Step{Name: s.name, OK: err == nil && s.broken == "", MS: took.Milliseconds(), Detail: s.detail}
	switch {
	case err != nil:
		step.Detail = "stopped: " + err.Error()
	case s.broken != "":
		step.Detail = s.broken
	}
	return step
}

// stateTerms are the display names of a material's states, in both languages.
var stateTerms = map[api.MaterialState]string{
	api.MaterialStateMet: "已满足 met", api.MaterialStateMissing: "查无 missing", api.MaterialStateLapsed: "已失效 lapsed",
	api.MaterialStateMismatched: "不符 mismatched", api.MaterialStateDenied: "不可获取 denied", api.MaterialStateUnavailable: "暂不可用 unavailable",
	api.MaterialStateCovered: "已由窗口收取 covered",
}

// material adds a checked material to the table.
func (s *scene) material(m api.CheckedMaterial) {
	how, state := lacking, stateTerms[m.State]
	if m.State == api.MaterialStateMet {
		how = good
	}
	if m.Source != "" {
		department, _ := s.departmentOf(m.Source)
		state += "  ← " + department
	}
	s.row(how, m.Name, m.NameEn, state)
}

// refusal returns the problem of a refused call. A call that was answered, or failed otherwise, is an error.
func refusal(err error) (*api.Problem, error) {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p, nil
	}
	if err == nil {
		err = errors.New("the call was answered")
	}
	return nil, fmt.Errorf("expected a refusal: %w", err)
}

// A caller is one department's system with its own key, its client, and a copy of the last call it sent.
type caller struct {
	*client.Client
	sent *recorder
}

// callersOf makes a client for every system that the story needs, each with an operator of its own.
func (st *stage) callersOf(operators map[string]string) (map[string]caller, error) {
	all := make(map[string]caller, len(operators))
	for system, operator := range operators {
		signer, err := install.CallerSigner(st.setup, st.callers, system)
		if err != nil {
			return nil, err
		}
		sent := &recorder{}
		c, err := client.New(client.Config{
			BaseURL: st.node.PublicURL(), Gateway: st.setup.Gateway.ID, System: system, Operator: operator,
			Signer: signer, Trust: st.trust, HTTP: &http.Client{Transport: sent},
		})
		if err != nil {
			return nil, err
		}
		all[system] = caller{c, sent}
	}
	return all, nil
}

// A recorder is an HTTP transport that keeps the last request, so that it can be filed beside the answer.
type recorder struct {
	mu    sync.Mutex
	token string
	body  []byte
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if err = firstOf(err, req.Body.Close()); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.mu.Lock()
	r.token, r.body = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), body
	r.mu.Unlock()
	return http.DefaultTransport.RoundTrip(req)
}

// last returns token and body of the last call.
func (r *recorder) last() (token string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token, r.body
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// usesOf reads the uses in a receipt's record.
func usesOf(r tlog.Receipt) ([]audit.Use, error) {
	record, err := audit.ParseRecord(r.Record)
	return record.Uses, err
}
