// Package apitest validates answers against the OpenAPI document that a gateway serves, as a client generated from it would.
package apitest

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"oncegate/api"
)

// A Document is a served OpenAPI document.
type Document struct {
	*openapi3.T
	contract *api.Contract
}

// Read reads a served document and checks it, its examples too.
func Read(served []byte) (*Document, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(served)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(loader.Context, openapi3.EnableExamplesValidation()); err != nil {
		return nil, err
	}
	contract, err := api.NewContract()
	return &Document{doc, contract}, err
}

// Check holds an answer against what the document says of the operation at a method and an escaped path: its status, media type
// and body. An error is a problem everywhere, also where there is no operation. The body of an answer to HEAD is not looked at.
func (d *Document) Check(method, escapedPath string, status int, header http.Header, body []byte) error {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("status %d: Content-Type %q: %w", status, header.Get("Content-Type"), err)
	}
	schema := d.Components.Schemas["Problem"].Value
	if op, _, _ := d.contract.Match(method, escapedPath); op != nil {
		described := d.Paths.Find(op.Path).GetOperation(op.Method)
		if described == nil || described.OperationID != op.ID {
			return fmt.Errorf("operation %s is not described", op.ID)
		}
		answer := described.Responses.Status(status)
		if answer == nil {
			return fmt.Errorf("operation %s: status %d is not described", op.ID, status)
		}
		content := answer.Value.Content[media]
		if content == nil {
			return fmt.Errorf("operation %s: media type %s of status %d is not described", op.ID, media, status)
		}
		schema = content.Schema.Value
	} else if media != api.ProblemType {
		return fmt.Errorf("status %d is of media type %s", status, media)
	}
	if method == http.MethodHead {
		return nil
	}
	if media != "application/json" && media != api.ProblemType {
		return schema.VisitJSON(string(body))
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("status %d: the body is no JSON: %w", status, err)
	}
	if err := schema.VisitJSON(value); err != nil {
		return fmt.Errorf("%s %s: status %d: %w", method, escapedPath, status, err)
	}
	if code, _ := value.(map[string]any)["status"].(float64); media == api.ProblemType && int(code) != status {
		return fmt.Errorf("a problem of status %v has HTTP status %d", code, status)
	}
	return nil
}

// Sent is Check of an answer that was received, whose body was read.
func (d *Document) Sent(r *http.Response, body []byte) error {
	return d.Check(r.Request.Method, r.Request.URL.EscapedPath(), r.StatusCode, r.Header, body)
}

// Plain finds what tools choke on: anchors, aliases and merge keys, which are YAML's and not OpenAPI's, and members beside a $ref,
// which OpenAPI 3.0 ignores.
func Plain(served []byte) error {
	file, err := parser.ParseBytes(served, 0)
	if err != nil {
		return err
	}
	w := &walker{}
	for _, doc := range file.Docs {
		ast.Walk(w, doc)
	}
	return errors.Join(w.found...)
}

type walker struct{ found []error }

func (w *walker) Visit(n ast.Node) ast.Visitor {
	at := func(what string) {
		w.found = append(w.found, fmt.Errorf("line %d: %s", n.GetToken().Position.Line, what))
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		at("an anchor")
	case *ast.AliasNode:
		at("an alias")
	case *ast.MergeKeyNode:
		at("a merge key")
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.String() == "$ref" && len(n.Values) > 1 {
				at("a $ref with siblings")
			}
		}
	}
	return w
}

// Paths returns a path for each operation, with its parameters filled in.
func Paths(c *api.Contract) map[string]string {
	paths := make(map[string]string)
	for _, op := range c.Operations() {
		paths[op.ID] = strings.NewReplacer("{no}", "SP-1", "{id}", "1", "{index}", "0", "{level}", "0", "{tile}", "000.p/1").Replace(op.Path)
	}
	return paths
}
