package api

import (
	"bytes"

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
