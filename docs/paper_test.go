package docs_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"oncegate/certs/certstest/office"
)

func theOffice(t *testing.T) *office.Office { return office.New(t, "docs", time.Now()) }

// paperSpoils are, for each block about documents, changes that it must notice.
var paperSpoils = map[string][]func(*testing.T, string){
	"document: unpack":    {paper("", nil, "OFD.xml", "<x/>"), paper("", nil, "ofd.XML", "<x/>")},
	"document: files":     {paper("Content.xml", flipped), paper("OFD.xml", flipped), paper("", nil, "Doc_0/more.xml", "<x/>"), paper("", nil, "Doc_0/Signs/more.xml", "<x/>")},
	"document: seal":      {paper("Seal.esl", inSeal)},
	"document: signature": {paper("Signature.xml", flipped), paper("SignedValue.dat", inSeal), paper("Seal.esl", last)},
	"document: signer":    {wrongPaper("the signer is not on the list")},
	"document: chains":    {otherAnchors},
	"document: issuer":    {wrongPaper("the license is of another issuer")},
}

// paper changes the files of a name in the document, or adds files to it.
func paper(base string, change func([]byte) []byte, more ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, filepath.Join(dir, "artefacts", "license.ofd"), func(pkg []byte) []byte {
			return office.Edit(t, pkg, func(name string, data []byte) []byte {
				if path.Base(name) == base {
					return change(bytes.Clone(data))
				}
				return data
			}, more...)
		})
	}
}

// wrongPaper puts a document in its place that is wrong in one way.
func wrongPaper(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for _, c := range theOffice(t).Cases() {
			if c.Name == name {
				must(t, os.WriteFile(filepath.Join(dir, "artefacts", "license.ofd"), c.Files[office.First], 0o600))
				return
			}
		}
		t.Fatalf("there is no case %q", name)
	}
}

// flipped changes a byte in the middle of a text.
func flipped(b []byte) []byte {
	for i := len(b) / 2; ; i++ {
		if b[i] >= '1' && b[i] <= '8' {
			b[i]++
			return b
		}
	}
}

// last changes the last byte, which is of a signature.
func last(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

// inSeal changes the name in a seal.
func inSeal(b []byte) []byte { return bytes.Replace(b, []byte("专用章"), []byte("专用草"), 1) }

// otherAnchors puts another root and authority in the trust.
func otherAnchors(t *testing.T, dir string) {
	otherRoot(t, dir)
	names, _ := filepath.Glob(filepath.Join(dir, "trust", "authority*"))
	for _, name := range names {
		must(t, os.Remove(name))
	}
}
