package ofd_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"oncegate/certs/ofd"
)

// FuzzVerify opens and judges anything. Nothing panics; what is refused has one failed step; what can be opened can be
// judged; and only the package that was sealed holds with a signature.
func FuzzVerify(f *testing.F) {
	b := newBureau(f)
	sealed := b.sealed(f)
	_, c := b.copy(f)
	annotated, err := b.config.Annotate(f.Context(), c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(annotated)
	f.Add(b.write(f, document(f)))
	for _, h := range hostile(f, sealed) {
		if len(h.pkg) < 64<<10 {
			f.Add(h.pkg)
		}
	}
	known := [][]byte{openedFiles(sealed), openedFiles(annotated)}
	f.Fuzz(func(t *testing.T, pkg []byte) {
		r := b.verify(t, pkg)
		p, err := ofd.Open(context.Background(), bytes.NewReader(pkg), int64(len(pkg)))
		var refusal *ofd.Refusal
		if errors.As(err, &refusal) != (p == nil) {
			t.Fatalf("opened: %v, %v", p != nil, err)
		}
		if p == nil && (len(r.Steps) != 1 || r.Signatures != nil) {
			t.Errorf("refused, with %+v", r)
		}
		if len(failures(r)) == 0 && !slices.ContainsFunc(known, func(k []byte) bool { return bytes.Equal(k, openedFiles(pkg)) }) {
			t.Errorf("another package holds: %+v", r)
		}
	})
}

// openedFiles are the paths of a package, one to a line.
func openedFiles(pkg []byte) []byte {
	p, err := ofd.Open(context.Background(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		return nil
	}
	var out []byte
	for _, name := range p.Files() {
		out = append(append(out, name...), '\n')
	}
	return out
}

// FuzzValue puts anything where a signed file should be.
func FuzzValue(f *testing.F) {
	b := newBureau(f)
	sealed := b.sealed(f)
	files := unpack(f, sealed)
	names := []string{"Doc_0/Signs/Sign_0/Signature.xml", "Doc_0/Signs/Sign_0/SignedValue.dat", "Doc_0/Signs/Sign_0/Seal.esl",
		"Doc_0/Signs/Signatures.xml", "Doc_0/Document.xml", "OFD.xml"}
	for i, name := range names {
		f.Add(uint8(i), files[name])
		f.Add(uint8(i), files[name][:len(files[name])/2])
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := names[int(which)%len(names)]
		r := b.verify(t, edit(t, sealed, func(at string, old []byte) []byte {
			if at == name {
				return append([]byte{}, data...)
			}
			return old
		}))
		list := name == names[3] // bound by nothing: any list that names the signature does
		if len(failures(r)) == 0 && !list && !bytes.Equal(data, files[name]) {
			t.Errorf("another %s holds", name)
		}
	})
}
