package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/api"
)

// A chapter is one step of the story as it is to be told.
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

// text is a sentence in both languages.
type text struct{ zh, en string }

// A scene is one step while it is told: what it has to show, and what it has to hold.
type scene struct {
	*story
	chapter
	number int
	lines  []line
	broken string // the first claim that does not hold, in English
	detail string // what the step shows, in English
}

// A line is one thing that a step shows.
type line struct {
	mark    mark
	text    text
	columns [4]string // instead of text, for tables
}

type mark int

const (
	note    mark = iota // a remark
	good                // a claim that holds, a material that is met
	bad                 // a claim that does not hold
	lacking             // a material that is not met, as the story wants it
)

// say adds a remark.
func (s *scene) say(zh, en string, args ...any) {
	s.lines = append(s.lines, line{mark: note, text: text{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)}})
}

// hold adds a claim; the step holds only if every claim does.
func (s *scene) hold(ok bool, zh, en string, args ...any) {
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

// show says in one sentence what the step has shown.
func (s *scene) show(format string, args ...any) { s.detail = fmt.Sprintf(format, args...) }

// outcome is the step's result. A problem's text names nobody, and neither do ours.
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

// stateTerms are the states of a material as people say them.
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

// refusal is the problem that a call must be refused with; another outcome is an error.
func refusal(err error) (*api.Problem, error) {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p, nil
	}
	if err == nil {
		err = errors.New("the call was answered")
	}
	return nil, fmt.Errorf("expected a refusal: %w", err)
}
