package verdict

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"oncegate/certs/sm"
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
	if parts, err = listed(a.Name+"/", parts); err != nil {
		return nil, true, err
	}
	return parts, true, nil
}

// Files that say what a bundle holds: the digests of its other files, as "sm3sum" writes them, and the index of a case's file (归档包).
const (
	sumsName  = "SM3SUMS"
	indexName = "index.json"
)

// listed holds the files of a bundle against its list of digests, where it has one, and returns those to verify: all but the list and the index, and
// but uploads whose digest an answer of the bundle has. They are what a window scanned, signed by nobody here: that answer, which is verified,
// proves that the gateway gave them out.
func listed(folder string, parts []Artefact) ([]Artefact, error) {
	at := slices.IndexFunc(parts, func(p Artefact) bool { return p.Name == folder+sumsName })
	if at < 0 {
		return parts, nil
	}
	sums := make(map[string]string)
	for line := range strings.Lines(string(parts[at].Data)) {
		sum, name, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "  ")
		if _, twice := sums[folder+name]; !ok || twice {
			return nil, errors.New("the list of digests of the bundle cannot be read")
		}
		sums[folder+name] = sum
	}
	parts = slices.Delete(parts, at, at+1)
	if len(sums) != len(parts) {
		return nil, errors.New("the files of the bundle are not those of its list of digests")
	}
	var rest []Artefact
	for _, p := range parts {
		digest := sm.Digest(p.Data)
		switch {
		case sums[p.Name] != hex.EncodeToString(digest[:]):
			return nil, errors.New("a file of the bundle is not the one of its list of digests")
		case p.Name == folder+indexName, isUpload(p.Data) && answers(parts, digest):
			continue
		}
		rest = append(rest, p)
	}
	return rest, nil
}

// isUpload reports whether a file may be what a window scanned: neither JSON nor a document of ours.
func isUpload(data []byte) bool {
	return bytes.HasPrefix(data, []byte("%PDF-")) || bytes.HasPrefix(data, []byte("\xff\xd8\xff")) || bytes.HasPrefix(data, []byte("\x89PNG"))
}

// answers reports whether an answer among the files has a digest.
func answers(parts []Artefact, digest [sm.DigestSize]byte) bool {
	want := []byte(`"sm3":"` + base64.RawURLEncoding.EncodeToString(digest[:]) + `"`)
	return slices.ContainsFunc(parts, func(p Artefact) bool {
		return bytes.HasPrefix(p.Data, []byte("{")) && !strings.HasSuffix(p.Name, "/"+indexName) && bytes.Contains(p.Data, want)
	})
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
