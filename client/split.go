package client

import (
	"bytes"
	"encoding/pem"
)

// Parts are an artefact's own parts: the lists of a PEM file that has several, as an authority publishes its own and that of
// the authority above it in one; else the artefact itself.
func (a Artefact) Parts() []Artefact {
	var out []Artefact
	for rest := bytes.TrimSpace(a.Data); bytes.HasPrefix(rest, []byte("-----BEGIN ")); {
		block, after := pem.Decode(rest)
		if block == nil {
			return []Artefact{a}
		}
		out = append(out, Artefact{a.Name, pem.EncodeToMemory(block)})
		if rest = bytes.TrimSpace(after); len(rest) == 0 && len(out) > 1 {
			return out
		}
	}
	return []Artefact{a}
}
