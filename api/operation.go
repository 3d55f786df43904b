package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"oncegate/canonical"

	"github.com/getkin/kin-openapi/openapi3"
)

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
