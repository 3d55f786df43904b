// Package api is the contract with the outside: the OpenAPI document, the wire types generated from it, the strict reading
// of requests, the canonical bytes of answers, and the table of problems with its texts.
//
// The gateway serves what it says here and refuses what it does not; the client sends and reads the same types.
package api

import _ "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml

// Document is the OpenAPI document, as served at /openapi.yaml. It must not be changed.
//
//go:embed openapi.yaml
var Document []byte
