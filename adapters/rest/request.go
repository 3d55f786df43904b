package rest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/adapters/mapping"
	"oncegate/fault"
)

// A request is a Call's templates, parsed.
type request struct {
	method string
	path   template
	query  map[string]template
	form   map[string]template
	body   any // YAML tree with templates for texts; nil: none
	all    []template
}

// compile parses every template and reports their faults, with paths from the Call.
func (c Call) compile() (*request, fault.List) {
	f := &fault.List{}
	r := &request{method: cmp.Or(c.Method, http.MethodPost), query: map[string]template{}, form: map[string]template{}}
	read := func(path, s string) template {
		t, err := parse(s)
		f.Unless(err == nil, path, "%v", err)
		r.all = append(r.all, t)
		return t
	}
	r.path = read("$.path", c.Path)
	for i := 0; i < len(r.path); i += 2 {
		_, err := escapedPath(r.path[i])
		f.Unless(err == nil, "$.path", "the path is not escaped as a URL needs it, or has ? or #")
	}
	f.Unless(c.Path == "" || strings.HasPrefix(c.Path, "/"), "$.path", "a path begins with /")
	for name, s := range c.Query {
		r.query[name] = read("$.query."+name, s)
	}
	for name, s := range c.Form {
		r.form[name] = read("$.form."+name, s)
	}
	if c.Body != nil {
		r.body = compileBody(c.Body, "$.body", maxDepth, read, f)
	}
	return r, *f
}

func compileBody(v any, path string, depth int, read func(path, s string) template, f *fault.List) any {
	if depth == 0 {
		f.Unless(false, path, "nested too deeply")
		return nil
	}
	switch v := v.(type) {
	case string:
		return read(path, v)
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = compileBody(e, path+"."+k, depth-1, read, f)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = compileBody(e, fmt.Sprintf("%s[%d]", path, i), depth-1, read, f)
		}
		return l
	case nil, bool, int, int64, uint64, float64:
		return v
	}
	f.Unless(false, path, "only texts, numbers, true, false, null, lists and maps can be sent; quote it")
	return nil
}

func (r *request) uses(name string) bool {
	return slices.ContainsFunc(r.all, func(t template) bool { return t.uses(name) })
}

// escapedPath refuses text that would not stay a path.
func escapedPath(s string) (string, error) {
	if strings.ContainsAny(s, "?#\\ ") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("not a path")
	}
	return url.PathUnescape(s)
}

// write returns the URL below base, the body and its type for a question.
func (r *request) write(base string, a mapping.Asked) (target string, body []byte, contentType string, err error) {
	for i := 1; i < len(r.path); i += 2 {
		if v := parameter(a, r.path[i]); v == "" || strings.Trim(v, ".") == "" { // would change the path
			return "", nil, "", fmt.Errorf("%w: {%s} is empty or dots and cannot stand in a path", mapping.ErrCannotAsk, r.path[i])
		}
	}
	target = strings.TrimSuffix(base, "/") + r.path.fill(a, url.PathEscape)
	if q := values(r.query, a).Encode(); q != "" {
		target += "?" + q
	}
	switch {
	case r.body != nil:
		body, err = json.Marshal(fillBody(r.body, a), json.Deterministic(true))
		if err != nil {
			return "", nil, "", errors.New("cannot write the question as JSON")
		}
		return target, body, "application/json", nil
	case len(r.form) > 0:
		return target, []byte(values(r.form, a).Encode()), "application/x-www-form-urlencoded", nil
	}
	return target, nil, "", nil
}

func values(m map[string]template, a mapping.Asked) url.Values {
	v := url.Values{}
	for name, t := range m {
		v.Set(name, t.fill(a, plain))
	}
	return v
}

func fillBody(v any, a mapping.Asked) any {
	switch v := v.(type) {
	case template:
		return v.fill(a, plain)
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = fillBody(e, a)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = fillBody(e, a)
		}
		return l
	}
	return v
}
