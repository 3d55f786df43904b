// Package api is the contract with the outside: the OpenAPI document, the wire types generated from it, the strict reading
// of requests, the canonical bytes of answers, and the table of problems with its texts.
//
// The gateway serves what it says here and refuses what it does not; the client sends and reads the same types.
package api

import (
	"bytes"
	_ "embed"

	"github.com/go-json-experiment/json/jsontext"
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
