package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"

	"oncegate/canonical"
)

// A Contract is the OpenAPI document in force: which operations there are and what a request to each must look like. It is
// immutable and safe for concurrent use.
type Contract struct {
	operations []*Operation // by id
	byPath     []*Operation // by path: a literal segment goes before a parameter, "{" sorts behind every letter
	byID       map[string]*Operation
}

// An Operation is one row of the contract.
type Operation struct {
	ID     string   // such as "licenses.query": the name in records, policy and metrics
	Method string   // GET or POST
	Path   string   // as the document has it, such as "/v1/cases/{no}/check"
	Signed bool     // needs a call token; false for public artefacts
	Body   bool     // takes a JSON body
	Most   int      // bytes of its longest body: MaxBody, or what the document says in x-max-body
	Title  Sentence // what it does, for people

	segments []segment
	schema   *openapi3.Schema
}

// A segment is one part of a path: a literal, or a parameter with the schema of its value.
type segment struct {
	literal string
	param   string
	schema  *openapi3.Schema
	rest    bool // takes everything that is left, slashes too
}

// NewContract returns the embedded document, checked. It is read once for all.
func NewContract() (*Contract, error) { return theContract() }

var theContract = sync.OnceValues(readContract)

func readContract() (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(Document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(loader.Context, openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("check the OpenAPI document: %w", err)
	}
	c := &Contract{byID: make(map[string]*Operation)}
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(path)
		for method, o := range item.Operations() {
			op, err := newOperation(doc, path, method, item, o)
			if err != nil {
				return nil, err
			}
			c.operations, c.byID[op.ID] = append(c.operations, op), op
		}
	}
	c.byPath = slices.SortedFunc(slices.Values(c.operations), func(a, b *Operation) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(c.operations, func(a, b *Operation) int { return strings.Compare(a.ID, b.ID) })
	return c, nil
}

func newOperation(doc *openapi3.T, path, method string, item *openapi3.PathItem, o *openapi3.Operation) (*Operation, error) {
	op := &Operation{ID: o.OperationID, Method: method, Path: path, Signed: o.Security == nil || len(*o.Security) > 0, Most: MaxBody, Title: titleOf(o.Summary)}
	if most, ok := o.Extensions["x-max-body"].(float64); ok {
		op.Most = int(most)
	}
	if o.RequestBody != nil {
		op.Body, op.schema = true, o.RequestBody.Value.Content["application/json"].Schema.Value
	}
	params := append(slices.Clone(item.Parameters), o.Parameters...)
	for _, text := range strings.Split(path[1:], "/") {
		s := segment{literal: text}
		if name, ok := strings.CutPrefix(text, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			p := params.GetByInAndName(openapi3.ParameterInPath, name)
			if p == nil {
				return nil, fmt.Errorf("operation %s does not describe {%s}", op.ID, name)
			}
			s = segment{param: name, schema: p.Schema.Value, rest: name == "tile"}
		}
		op.segments = append(op.segments, s)
	}
	return op, nil
}

// titleOf takes a summary of the document apart: the English, and the Chinese in brackets behind it.
func titleOf(summary string) Sentence {
	en, zh, ok := strings.Cut(strings.TrimSuffix(summary, ")"), " (")
	if !ok || strings.IndexFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) < 0 {
		return Sentence{En: summary, Zh: summary}
	}
	return Sentence{En: en, Zh: zh}
}

// Operations returns every operation, by id.
func (c *Contract) Operations() []*Operation { return slices.Clone(c.operations) }

// Operation returns the operation of an id, or nil.
func (c *Contract) Operation(id string) *Operation { return c.byID[id] }

// Match finds the operation of a request by its method and escaped path (URL.EscapedPath), and the values of the path's
// parameters. The error is a *Problem; for a method that the address does not take, Allow lists those it does.
func (c *Contract) Match(method, escapedPath string) (*Operation, map[string]string, error) {
	known := false
	for _, op := range c.byPath {
		values, ok := op.match(escapedPath)
		if !ok {
			continue
		}
		if known = true; op.Method == method || op.Method == http.MethodGet && method == http.MethodHead {
			return op, values, op.CheckParams(values)
		}
	}
	if known {
		return nil, nil, NewProblem("method-not-allowed")
	}
	return nil, nil, NewProblem("not-found")
}

// Allow returns the methods that an address takes, sorted, for the header of a 405.
func (c *Contract) Allow(escapedPath string) []string {
	var methods []string
	for _, op := range c.operations {
		if _, ok := op.match(escapedPath); ok && !slices.Contains(methods, op.Method) {
			methods = append(methods, op.Method)
		}
	}
	slices.Sort(methods)
	return methods
}

// match compares an escaped path with the operation's, segment by segment.
func (o *Operation) match(escapedPath string) (map[string]string, bool) {
	path, ok := strings.CutPrefix(escapedPath, "/")
	if !ok {
		return nil, false
	}
	var values map[string]string
	for i, s := range o.segments {
		part, rest, more := strings.Cut(path, "/")
		if s.rest {
			part, rest, more = path, "", false
		}
		if more == (i == len(o.segments)-1) {
			return nil, false
		}
		text, err := url.PathUnescape(part)
		switch {
		case err != nil, s.param == "" && text != s.literal, s.param != "" && text == "":
			return nil, false
		case s.param != "":
			if values == nil {
				values = make(map[string]string, 2)
			}
			values[s.param] = text
		}
		path = rest
	}
	return values, true
}

// CheckParams checks the values of the path's parameters by their schemas. The error is a *Problem.
func (o *Operation) CheckParams(values map[string]string) error {
	for _, s := range o.segments {
		if s.param == "" {
			continue
		}
		var value any = values[s.param]
		if s.schema.Type.Is(openapi3.TypeInteger) {
			if !canonical.IsInteger([]byte(values[s.param])) || strings.HasPrefix(values[s.param], "-") {
				return NewProblem("invalid-field").At("{"+s.param+"}", "is no plain integer from 0")
			}
			continue
		}
		if err := s.schema.VisitJSON(value, openapi3.FailFast()); err != nil {
			return NewProblem("invalid-field").At("{"+s.param+"}", "is not of the form that the contract says")
		}
	}
	return nil
}

// CheckHeaders refuses a request whose headers or query the operation does not take, before its body is read. The error is
// a *Problem.
func (o *Operation) CheckHeaders(r *http.Request) error {
	switch {
	case r.Header.Get("Content-Encoding") != "":
		return NewProblem("content-encoding-refused")
	case r.URL.RawQuery != "" || r.URL.ForceQuery:
		return NewProblem("query-refused")
	case r.ContentLength > int64(o.Most):
		return NewProblem("too-large")
	case !o.Body:
		return nil
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, named := params["charset"]
	if err != nil || media != "application/json" || named && !strings.EqualFold(charset, "utf-8") {
		return NewProblem("unsupported-media-type")
	}
	return nil
}

// ReadBody reads a request's body, at most Most bytes. The error is a *Problem.
func (o *Operation) ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(o.Most)+1))
	switch {
	case errors.As(err, new(*http.MaxBytesError)) || len(body) > o.Most:
		return nil, NewProblem("too-large")
	case err != nil:
		return nil, NewProblem("body-unreadable")
	case !o.Body && len(body) > 0:
		return nil, NewProblem("body-refused")
	}
	return body, nil
}

// Check holds a body against the contract: strict JSON first, then the operation's schema. The error is a *Problem that points
// at up to 16 faults.
func (o *Operation) Check(body []byte) error {
	if !o.Body {
		if len(body) > 0 {
			return NewProblem("body-refused")
		}
		return nil
	}
	if err := checkJSON(body, o.Most); err != nil {
		return err
	}
	return o.checkSchema(body)
}

// Decode checks a body as Operation.Check does and reads it into a T, the operation's request type. The error is a *Problem.
func Decode[T any](o *Operation, body []byte) (T, error) {
	if err := o.Check(body); err != nil || !o.Body {
		var none T
		return none, err
	}
	return decode[T](body)
}
