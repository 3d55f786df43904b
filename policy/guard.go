package policy

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"oncegate/fault"
)

// A guard is one Cedar rule over every decision. Grants are the permits of a set; a guard restricts what they give:
//
//	forbid, no @fields      refuses
//	forbid, @fields("a,b")  withholds these fields only
//	permit                  adds its @obligation("watermark") to a release, and permits nothing
//
// Every guard has @id, and a forbid has @reason_zh and @reason_en. A guard whose evaluation errs counts as fired, so that
// an error never releases anything.
type guard struct {
	id          string
	effect      effect
	policy      *cedar.Policy
	fields      []string // withheld
	obligations []string
	zh, en      string

	licenseType string   // the one type its scope names; "" with every set
	scoped      bool     // the scope names a license type
	actions     []string // operations its scope names; nil: every one
}

// An effect is what a guard that fires does.
type effect uint8

const (
	refuse effect = iota
	withhold
	oblige
)

// guardReader reads and checks guards.
type guardReader struct {
	*checker
	schema *validator
	guards []*guard
	reads  contextReads
}

// read adds the guards of one Cedar file.
func (r *guardReader) read(file File) {
	if reason := unreadable(file.Data); reason != "" {
		r.AddAt(fault.Place{File: file.Path, Line: 1, Column: 1}, "%s", reason)
		return
	}
	list, err := cedar.NewPolicyListFromBytes(file.Path, file.Data)
	if err != nil {
		r.addSyntax(file.Path, err)
		return
	}
	for _, p := range list {
		at := fault.Place{File: file.Path, Line: p.Position().Line, Column: p.Position().Column}
		g := r.annotated(at, p)
		r.typed(at, g)
		r.guards = append(r.guards, g)
	}
}

// cedarPosition finds the place in the Cedar parser's error text.
var cedarPosition = regexp.MustCompile(`^parser error: (?:parse error at )?<input>:(\d+):(\d+):? ?`)

// addSyntax reports an error of the Cedar parser.
func (r *guardReader) addSyntax(file string, err error) {
	at, message := fault.Place{File: file, Line: 1, Column: 1}, strings.TrimPrefix(err.Error(), "parser error: ")
	if m := cedarPosition.FindStringSubmatch(err.Error()); m != nil {
		message = err.Error()[len(m[0]):]
		at.Line, _ = strconv.Atoi(m[1])
		at.Column, _ = strconv.Atoi(m[2])
	}
	r.AddAt(at, "the Cedar text cannot be read: %s", fault.Clip(message))
}

// annotated reads and checks the annotations of a guard.
func (r *guardReader) annotated(at fault.Place, p *cedar.Policy) *guard {
	notes := p.Annotations()
	g := &guard{id: string(notes["id"]), policy: p, zh: string(notes["reason_zh"]), en: string(notes["reason_en"])}
	r.id(at, "guard", g.id)
	for _, key := range keys(notes) {
		switch key {
		case "id", "reason_zh", "reason_en", "fields", "obligation":
		default:
			r.AddAt(at, "guard %s: unknown annotation @%s; known are @id, @reason_zh, @reason_en, @fields and @obligation", fault.Clip(g.id), fault.Clip(string(key)))
		}
	}
	fields, withholds := notes["fields"]
	obligation, obliges := notes["obligation"]
	g.fields = r.words(at, g.id, "fields", string(fields), withholds, r.anyField)
	g.obligations = r.words(at, g.id, "obligation", string(obligation), obliges, wellFormed)
	switch {
	case p.Effect() == cedar.Permit:
		g.effect = oblige
		if !obliges || withholds {
			r.AddAt(at, "guard %s: a permit guard only adds @obligation; to let fields out write a grant, to keep them back a forbid", fault.Clip(g.id))
		}
		return g
	case withholds:
		g.effect = withhold
	}
	if obliges {
		r.AddAt(at, "guard %s: a forbid guard adds no @obligation; write a permit guard for it", fault.Clip(g.id))
	}
	for _, reason := range [...]string{g.zh, g.en} {
		if strings.TrimSpace(reason) == "" || len(reason) > 1000 {
			r.AddAt(at, "guard %s: @reason_zh and @reason_en must be given, each at most 1000 bytes", fault.Clip(g.id))
			break
		}
	}
	return g
}

// words splits a comma separated annotation.
func (r *guardReader) words(at fault.Place, id, key, value string, present bool, ok func(string) bool) []string {
	if !present {
		return nil
	}
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		if word == "" || !ok(word) {
			r.AddAt(at, "guard %s: @%s holds %q, which is not known", fault.Clip(id), key, fault.Clip(word))
			continue
		}
		words = append(words, word)
	}
	return words
}

// typed checks a guard against the schema and the known names, and notes its scope for the index.
func (r *guardReader) typed(at fault.Place, g *guard) {
	tree := (*ast.Policy)(g.policy.AST())
	for _, reason := range r.schema.check(tree) {
		r.AddAt(at, "guard %s: %s", fault.Clip(g.id), reason)
	}
	switch scope := tree.Principal.(type) {
	case ast.ScopeTypeEq:
		r.entity(at, g.id, scope.Entity)
	case ast.ScopeTypeIn:
		r.entity(at, g.id, scope.Entity)
	case ast.ScopeTypeIsIn:
		r.entity(at, g.id, scope.Entity)
	}
	switch scope := tree.Resource.(type) {
	case ast.ScopeTypeEq:
		g.licenseType, g.scoped = string(scope.Entity.ID), true
		r.entity(at, g.id, scope.Entity)
	case ast.ScopeTypeIn:
		r.entity(at, g.id, scope.Entity)
	case ast.ScopeTypeIsIn:
		r.entity(at, g.id, scope.Entity)
	}
	g.actions = scopedActions(tree.Action)
	for _, condition := range tree.Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			v, _ := n.(ast.NodeValue)
			uid, _ := v.Value.(types.EntityUID)
			r.entity(at, g.id, uid)
			return r.reads.note(n)
		})
	}
}

// scopedActions returns the operations an action scope names; nil if it names none.
func scopedActions(scope ast.IsActionScopeNode) []string {
	switch scope := scope.(type) {
	case ast.ScopeTypeEq:
		return []string{string(scope.Entity.ID)}
	case ast.ScopeTypeIn: // actions have no parents, so that in means equal
		return []string{string(scope.Entity.ID)}
	case ast.ScopeTypeInSet:
		actions := []string{}
		for _, uid := range scope.Entities {
			actions = append(actions, string(uid.ID))
		}
		return actions
	}
	return nil
}

// entity checks that a system or license type named in a guard exists. LicenseType::"" is the resource of operations that
// release no license.
func (r *guardReader) entity(at fault.Place, id string, uid types.EntityUID) {
	name := string(uid.ID)
	if uid.Type == systemEntity && !r.system(name) {
		r.AddAt(at, "guard %s: %q is no known system", fault.Clip(id), fault.Clip(name))
	}
	if uid.Type == licenseTypeEntity && name != "" && !r.licenseType(name) {
		r.AddAt(at, "guard %s: %q is no known license type", fault.Clip(id), fault.Clip(name))
	}
}

// unreadable says why a Cedar file must not reach its parser, which is recursive; empty if it may.
func unreadable(data []byte) string {
	switch {
	case len(data) > maxGuards:
		return fmt.Sprintf("the file is larger than %d bytes", maxGuards)
	case !utf8.Valid(data):
		return "the file is not UTF-8"
	case tooDeep(data):
		return fmt.Sprintf("the file is nested deeper than %d levels", maxDepth)
	}
	return ""
}

// literals are the strings and comments of Cedar, in which brackets are no nesting.
var literals = regexp.MustCompile(`"(?:[^"\\]|\\(?s:.))*"|//[^\n]*`)

// tooDeep bounds the nesting of Cedar: open brackets, and operators in a row that nest without them, such as "!!!".
func tooDeep(data []byte) bool {
	depth, run := 0, 0
	for _, b := range literals.ReplaceAll(data, []byte(`"`)) {
		switch b {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth, run = max(0, depth-1), 0
		case '-', '!':
			run++
		case ' ', '\t', '\r', '\n':
		default:
			run = 0
		}
		if depth > maxDepth || run > 8*maxDepth {
			return true
		}
	}
	return false
}

// Schema is the Cedar schema of guards: what they may read. It is the manual for those who write them.
//
//go:embed schema.cedarschema
var Schema string

// The entity types of the schema.
const (
	systemEntity      types.EntityType = "System"
	licenseTypeEntity types.EntityType = "LicenseType"
	actionEntity      types.EntityType = "Action"
)

// A validator checks guards against Schema. It is the only door to the experimental part of the Cedar library.
type validator struct{ strict *validate.Validator }

func newValidator() *validator {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(Schema)); err != nil {
		panic(err) // the text is a constant
	}
	resolved, err := s.Resolve()
	if err != nil {
		panic(err)
	}
	return &validator{validate.New(resolved, validate.WithStrict())}
}

// perAction finds the operation in a fault of the validator, which reports each fault once for every operation.
var perAction = regexp.MustCompile(` for Action::"[^"]*"`)

// check returns what is wrong with a guard, one line for each fault.
func (v *validator) check(p *ast.Policy) []string {
	err := v.strict.Policy("", p)
	if err == nil {
		return nil
	}
	var reasons []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = fault.Clip(perAction.ReplaceAllString(line, ""))
		if !slices.Contains(reasons, line) {
			reasons = append(reasons, line)
		}
	}
	slices.Sort(reasons) // the validator's own order is not fixed
	return reasons
}

// keys returns annotation keys in a fixed order.
func keys(a cedar.Annotations) []types.AnnotationKey { return slices.Sorted(maps.Keys(a)) }
