package verdict

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of a bundle.
const (
	maxParts  = 64
	maxBundle = 2 * MaxArtefact // bytes of all its files
)

// Unpack takes a bundle (证据包) apart: a ZIP file of artefacts that belong together, such as a record's receipt and the answers by which an
// auditor learned of it. Each part is named after the bundle and its own name. false: it is no bundle but one artefact; an OFD document, which
// is a ZIP file too, is one. The error says why a bundle cannot be read: nothing in it counts then.
func Unpack(a Artefact) ([]Artefact, bool, error) {
	if !bytes.HasPrefix(a.Data, []byte("PK\x03\x04")) || len(a.Data) > MaxArtefact {
		return nil, false, nil
	}
	z, err := zip.NewReader(bytes.NewReader(a.Data), int64(len(a.Data)))
	if err != nil || len(z.File) > maxParts || slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.EqualFold(f.Name, "OFD.xml") || !plainName(f.Name) }) {
		return nil, false, nil // a document, or what its own steps call a broken one
	}
	var parts []Artefact
	left := int64(maxBundle)
	for _, f := range z.File {
		name := a.Name + "/" + f.Name
		if slices.ContainsFunc(parts, func(p Artefact) bool { return p.Name == name }) {
			return nil, true, errors.New("two files of the bundle have one name")
		}
		data, err := unpackFile(f, min(left, MaxArtefact))
		if err != nil {
			return nil, true, err
		}
		left -= int64(len(data))
		parts = append(parts, Artefact{Name: name, Data: data})
	}
	if len(parts) == 0 {
		return nil, true, errors.New("the bundle is empty")
	}
	return parts, true, nil
}

// plainName reports whether a name is one of letters, digits, dots, hyphens and underscores: no folder, and nothing that a terminal acts upon.
func plainName(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}

// unpackFile reads a file of at most most bytes, whatever its header says of its length.
func unpackFile(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, errors.New("a file of the bundle cannot be read")
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, errors.New("a file of the bundle is damaged")
	case int64(len(data)) > most:
		return nil, fmt.Errorf("the bundle holds more than %d bytes", maxBundle)
	}
	return data, nil
}
