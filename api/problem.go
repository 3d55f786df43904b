package api

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"

	"oncegate/canonical"
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
	Type       string   `json:"type"`
	Title      string   `json:"title"` // the English sentence
	Status     int      `json:"status"`
	Detail     string   `json:"detail,omitzero"`      // of this occurrence; must not repeat what the caller sent
	Code       string   `json:"code"`                 // stable; what programs branch on
	Party      string   `json:"party"`                // Caller, Gateway, Policy or Source
	Retry      bool     `json:"retry"`                // the same call may succeed later
	RetryAfter int      `json:"retry_after,omitzero"` // seconds; 0: as the caller sees fit
	Zh         string   `json:"zh"`
	En         string   `json:"en"`
	Advice     Sentence `json:"advice"` // what to do next
	Faults     []Fault  `json:"faults,omitempty"`
	Nonce      string   `json:"nonce,omitzero"` // where recorded
	Time       Time     `json:"time,omitzero"`  // where recorded
	Operation  string   `json:"operation,omitzero"`
	// Commitments open those of the record to persons whom the call names.
	Commitments Commitments    `json:"commitments,omitzero"`
	Receipt     jsontext.Value `json:"receipt,omitzero"` // where recorded: over the document without this member
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
	return p.Point(Fault{Pointer: pointer, Reason: reason})
}

// maxFaults is how many places a problem points at: maxItems of its faults in the document.
const maxFaults = 16

// moreFaults stands last where more places are wrong than a problem points at.
var moreFaults = Fault{Reason: "more places are wrong than are listed here"}

// Point adds places of the body that are wrong and returns p. They stand sorted, each once, because whoever finds them may walk
// maps; of too many the first are kept, and moreFaults.
func (p *Problem) Point(faults ...Fault) *Problem {
	all := append(p.Faults, faults...)
	listed := len(all)
	all = slices.DeleteFunc(all, func(f Fault) bool { return f == moreFaults })
	cut := len(all) < listed
	slices.SortFunc(all, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Reason, b.Reason))
	})
	all = slices.Compact(all)
	if cut || len(all) > maxFaults {
		all = append(all[:min(len(all), maxFaults-1)], moreFaults)
	}
	p.Faults = all
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
	b, err := canonical.Marshal(&bare)
	if err != nil { // only invalid UTF-8 in a sentence could do that
		b, _ = canonical.Marshal(NewProblem("internal"))
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

// ofStatus are the codes of errors that are known by nothing but their HTTP status.
var ofStatus = map[int]string{
	http.StatusBadRequest: "request-malformed", http.StatusNotFound: "not-found", http.StatusMethodNotAllowed: "method-not-allowed",
	http.StatusPreconditionFailed: "precondition-failed", http.StatusRequestedRangeNotSatisfiable: "range-impossible",
	http.StatusExpectationFailed: "expectation-refused", http.StatusRequestHeaderFieldsTooLarge: "header-too-large",
	http.StatusNotImplemented: "transfer-encoding-refused", http.StatusHTTPVersionNotSupported: "http-version-refused",
	http.StatusServiceUnavailable: "log-unavailable",
}

// ForStatus returns the problem of an error that was made by somebody else, such as net/http, with a status alone.
func ForStatus(status int) *Problem { return NewProblem(ofStatus[status]) }

// Problems serves what next serves, and makes problems of errors that are not JSON: those of handlers that do not know this
// contract, such as http.ServeContent and http.ServeMux. Their headers stay, Allow above all.
func Problems(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&problemWriter{ResponseWriter: w}, r)
	})
}

// A problemWriter replaces errors.
type problemWriter struct {
	http.ResponseWriter
	replaced bool // what is written now is the body of such an error
}

// WriteHeader writes the whole problem where the status is an error's.
func (w *problemWriter) WriteHeader(status int) {
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if status < 400 || media == "application/json" || media == ProblemType {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.replaced = true
	for _, of := range []string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified"} { // of the body that is not sent
		w.Header().Del(of)
	}
	ForStatus(status).Write(w.ResponseWriter)
}

func (w *problemWriter) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *problemWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A Kind is one row of the problem table.
type Kind struct {
	Code       string `yaml:"code"`
	Status     int    `yaml:"status"`      // HTTP status
	Party      string `yaml:"party"`       // Caller, Gateway, Policy or Source
	Retry      bool   `yaml:"retry"`       // the same call may succeed later
	RetryAfter int    `yaml:"retry_after"` // seconds
	Zh         string `yaml:"zh"`
	En         string `yaml:"en"`
	AdviceZh   string `yaml:"advice_zh"`
	AdviceEn   string `yaml:"advice_en"`
}

//go:embed problems.yaml
var problems []byte

// table reads the embedded table once. It cannot fail in a binary whose tests ran.
var table = sync.OnceValue(func() map[string]Kind {
	kinds, err := parseTable(problems)
	if err != nil {
		panic(err)
	}
	byCode := make(map[string]Kind, len(kinds))
	for _, k := range kinds {
		byCode[k.Code] = k
	}
	return byCode
})

func parseTable(data []byte) ([]Kind, error) {
	var kinds []Kind
	if err := yaml.UnmarshalWithOptions(data, &kinds, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the problem table: %w", err)
	}
	return kinds, nil
}

// ByCode returns the row of a code.
func ByCode(code string) (Kind, bool) {
	k, ok := table()[code]
	return k, ok
}

// Kinds returns the whole table in its own order, for documents and tests.
func Kinds() []Kind {
	kinds, err := parseTable(problems)
	if err != nil {
		panic(err)
	}
	return kinds
}
