package client

import (
	"encoding/pem"
	"slices"

	"oncegate/certs/der"
)

// Parts are an artefact's own parts: the lists of a PEM file that has several, as an authority publishes its own and that of
// the authority above it in one; else the artefact itself.
func (a Artefact) Parts() []Artefact {
	blocks, err := der.Blocks(a.Data)
	if err != nil || len(blocks) < 2 || slices.ContainsFunc(blocks, func(b *pem.Block) bool { return b.Type != blocks[0].Type }) {
		return []Artefact{a}
	}
	var out []Artefact
	for _, block := range blocks {
		out = append(out, Artefact{a.Name, pem.EncodeToMemory(block)})
	}
	return out
}
