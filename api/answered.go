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
