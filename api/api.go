// Package api is the API contract: the OpenAPI document, the wire types generated from it, the strict decoding of requests,
// the canonical encoding of answers, and the table of problems (RFC 9457) with their texts.
//
// The gateway serves exactly this contract; the client sends and reads the same types.
package api

import (
	"bytes"
	_ "embed"
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml

// Document is the OpenAPI document, but for the address of its server. It must not be changed.
//
//go:embed openapi.yaml
var Document []byte

// unserved is the address in Document.
const unserved = "https://gateway.invalid"

// Described returns the document as a gateway serves it at /openapi.yaml: servers has its public base URL.
func Described(publicURL string) ([]byte, error) {
	quoted, err := jsontext.AppendQuote(nil, publicURL) // a YAML string too
	if err != nil {
		return nil, err
	}
	return bytes.Replace(Document, []byte(unserved), quoted, 1), nil
}

// CloseRequest is the body of cases.close: there is nothing to say.
type CloseRequest struct{}

// An Answered is what every answered operation returns: the answer and the receipt whose record binds the answer's RFC 8785
// bytes. A client that checks receipts reads an Envelope first, because the digest is over the bytes.
type Answered[T any] struct {
	Answer  T       `json:"answer"`
	Receipt Receipt `json:"receipt"`
}

// An Envelope is an Answered whose parts are still bytes.
type Envelope struct {
	Answer  jsontext.Value `json:"answer"`
	Receipt jsontext.Value `json:"receipt"`
}

// Bytes returns the envelope as it goes over the wire, its parts verbatim.
func (e Envelope) Bytes() []byte {
	var b bytes.Buffer
	b.Grow(len(e.Answer) + len(e.Receipt) + len(`{"answer":,"receipt":}`))
	b.WriteString(`{"answer":`)
	b.Write(e.Answer)
	b.WriteString(`,"receipt":`)
	b.Write(e.Receipt)
	b.WriteByte('}')
	return b.Bytes()
}

// A Stamp is what every answer and every recorded problem carries besides what it says.
type Stamp struct {
	Nonce       string // 128 random bits, so that nobody finds an answer by guessing its content
	Time        Time
	Operation   string
	Commitments Commitments // opens those of the answer's record
}

// Stamped returns an answer with what of the stamp is not empty. An answer of an operation that asks about nobody has no place
// for commitments; what is no struct stays as it is.
func Stamped(answer any, s Stamp) any {
	t := reflect.TypeOf(answer)
	if t.Kind() != reflect.Struct {
		return answer
	}
	v := reflect.New(t).Elem()
	v.Set(reflect.ValueOf(answer))
	stamp := reflect.ValueOf(s)
	for i := range stamp.NumField() {
		if field := v.FieldByName(stamp.Type().Field(i).Name); field.IsValid() && !stamp.Field(i).IsZero() {
			field.Set(stamp.Field(i))
		}
	}
	return v.Interface()
}

// Stamp stamps a problem that is recorded.
func (p *Problem) Stamp(s Stamp) {
	p.Nonce, p.Time, p.Operation, p.Commitments = s.Nonce, s.Time, s.Operation, s.Commitments
}

// A Time is a time on the wire: RFC 3339 in UTC with milliseconds. The zero Time is absent.
type Time = canonical.Time

// At returns t as it goes over the wire: in UTC, cut to milliseconds.
func At(t time.Time) Time { return canonical.At(t) }
