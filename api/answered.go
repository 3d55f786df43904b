package api

import (
	"bytes"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"
)

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

// WithCommitments returns an answer with what opens its record's commitments. An answer of an operation that asks about nobody has no
// place for it and stays as it is.
func WithCommitments(answer any, c Commitments) any {
	if c.Operator == "" && c.Holders == nil {
		return answer
	}
	t := reflect.TypeOf(answer)
	if t.Kind() != reflect.Struct {
		return answer
	}
	if _, has := t.FieldByName("Commitments"); !has {
		return answer
	}
	v := reflect.New(t).Elem()
	v.Set(reflect.ValueOf(answer))
	v.FieldByName("Commitments").Set(reflect.ValueOf(c))
	return v.Interface()
}
