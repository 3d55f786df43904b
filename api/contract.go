package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
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
	ID     string // such as "licenses.query": the name in records, policy and metrics
	Method string // GET or POST
	Path   string // as the document has it, such as "/v1/cases/{no}/check"
	Signed bool   // needs a call token; false for public artefacts
	Body   bool   // takes a JSON body
	Most   int    // bytes of its longest body: MaxBody, or what the document says in x-max-body

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
	op := &Operation{ID: o.OperationID, Method: method, Path: path, Signed: o.Security == nil || len(*o.Security) > 0, Most: MaxBody}
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
