package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ProblemType is the media type of a problem (RFC 9457).
const ProblemType = "application/problem+json"

// Who is at fault.
const (
	Caller  = "caller"  // the call must change
	Gateway = "gateway" // the operator of the gateway must act, or time must pass
	Policy  = "policy"  // a grant, a guard or a consent is missing
	Source  = "source"  // the department's system must act, or time must pass
)

// A Problem is an error as the outside sees it. It carries nothing internal and nothing personal. Make one with NewProblem,
// so that its texts come from the table; add what belongs to the occurrence afterwards.
type Problem struct {
	Type       string         `json:"type"`
	Title      string         `json:"title"` // the English sentence
	Status     int            `json:"status"`
	Detail     string         `json:"detail,omitzero"`      // of this occurrence; must not repeat what the caller sent
	Code       string         `json:"code"`                 // stable; what programs branch on
	Party      string         `json:"party"`                // Caller, Gateway, Policy or Source
	Retry      bool           `json:"retry"`                // the same call may succeed later
	RetryAfter int            `json:"retry_after,omitzero"` // seconds; 0: as the caller sees fit
	Zh         string         `json:"zh"`
	En         string         `json:"en"`
	Advice     Sentence       `json:"advice"` // what to do next
	Faults     []Fault        `json:"faults,omitempty"`
	Nonce      string         `json:"nonce,omitzero"` // where recorded
	Time       Time           `json:"time,omitzero"`  // where recorded
	Operation  string         `json:"operation,omitzero"`
	Receipt    jsontext.Value `json:"receipt,omitzero"` // where recorded: over the document without this member
}

// NewProblem returns the problem of a code as the table has it. An unknown code is a fault of ours and becomes "internal".
func NewProblem(code string) *Problem {
	k, ok := ByCode(code)
	if !ok {
		k, _ = ByCode("internal")
	}
	return &Problem{
		Type: "urn:oncegate:problem:" + k.Code, Title: k.En, Status: k.Status, Code: k.Code, Party: k.Party,
		Retry: k.Retry, RetryAfter: k.RetryAfter, Zh: k.Zh, En: k.En, Advice: Sentence{Zh: k.AdviceZh, En: k.AdviceEn},
	}
}

// At adds a fault at a place of the body, given as a JSON pointer, and returns p.
func (p *Problem) At(pointer, reason string) *Problem {
	p.Faults = append(p.Faults, Fault{Pointer: pointer, Reason: reason})
	return p
}

// Error returns the code and the English sentence, and the first place that is wrong.
func (p *Problem) Error() string {
	if len(p.Faults) > 0 {
		return fmt.Sprintf("%s: %s (%s: %s)", p.Code, p.En, p.Faults[0].Pointer, p.Faults[0].Reason)
	}
	return p.Code + ": " + p.En
}

// Is reports whether target is a problem of the same code, so that errors.Is(err, api.NewProblem("case-not-usable")) works.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// Bytes returns the RFC 8785 bytes of the document without its receipt: what the record's answer_digest is over.
func (p *Problem) Bytes() []byte {
	bare := *p
	bare.Receipt = nil
	b, err := Canonical(&bare)
	if err != nil { // only invalid UTF-8 in a sentence could do that
		b, _ = Canonical(NewProblem("internal"))
	}
	return b
}

// Body returns the document as it goes over the wire. Without a receipt these are the Bytes.
func (p *Problem) Body() []byte {
	b := p.Bytes()
	if p.Receipt == nil {
		return b
	}
	// The receipt follows the signed members: anybody who removes it and canonicalizes has the answer bytes again.
	return fmt.Appendf(b[:len(b)-1:len(b)-1], `,"receipt":%s}`, []byte(p.Receipt))
}

// Write sends the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", ProblemType)
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	body := p.Body()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone: nobody is left to tell
}

// AsProblem returns the problem in err's chain, or the problem "internal".
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return NewProblem("internal")
}
