package ofd_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"oncegate/certs/certstest/zips"
	"oncegate/certs/ofd"
)

// TestOneDocument refuses every package that two readers may see differently, in words that name the fault.
func TestOneDocument(t *testing.T) {
	b := newBureau(t)
	for _, a := range zips.Ambiguities(t, b.sealed(t)) {
		r := b.verify(t, a.Package)
		if got := failures(r); !slices.Equal(got, []string{a.Step}) || len(r.Steps) != 1 || !strings.Contains(r.Steps[0].Reason, a.Reason) {
			t.Errorf("%s: %v %+v", a.Name, got, r.Steps)
		}
	}
}

// TestWriters reads zips in the shapes of other vendors' writers.
func TestWriters(t *testing.T) {
	b := newBureau(t)
	sealed := b.sealed(t)
	for name, pkg := range zips.Shapes(t, sealed) {
		if r := b.verify(t, pkg); failures(r) != nil || len(r.Signatures) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

var errStream = errors.New("not read to the end as a stream")

// stream reads a zip as one that cannot seek does: local headers from the first byte on, sizes by inflating, names of their
// own. It trusts nothing that stands in the directory. As map-filling readers do, the last file of a name wins.
func stream(pkg []byte) (map[string][]byte, error) {
	r := bufio.NewReader(bytes.NewReader(pkg))
	files := make(map[string][]byte)
	for {
		magic, err := r.Peek(4)
		if err != nil {
			return nil, errStream
		}
		if binary.LittleEndian.Uint32(magic) != 0x04034b50 {
			return files, nil
		}
		head := make([]byte, 30)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, errStream
		}
		u16 := func(i int) int { return int(binary.LittleEndian.Uint16(head[i:])) }
		more := make([]byte, u16(26)+u16(28))
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, errStream
		}
		var data []byte
		if u16(8) == 8 {
			data, err = io.ReadAll(flate.NewReader(r))
		} else {
			data = make([]byte, min(len(pkg), int(binary.LittleEndian.Uint32(head[22:]))))
			_, err = io.ReadFull(r, data)
		}
		if err != nil {
			return nil, errStream
		}
		if u16(6)&8 != 0 {
			skip := 12
			if b, err := r.Peek(4); err == nil && binary.LittleEndian.Uint32(b) == 0x08074b50 {
				skip = 16
			}
			if _, err := r.Discard(skip); err != nil {
				return nil, errStream
			}
		}
		if name := string(more[:u16(26)]); !strings.HasSuffix(name, "/") {
			files[name] = data
		}
	}
}

// direct reads a zip by its directory, with archive/zip.
func direct(pkg []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(f.Name, "/") {
			files[f.Name] = data
		}
	}
	return files, nil
}

// read are the files of a package as package ofd reads them; nil when it refuses the package.
func read(tb testing.TB, b *bureau, pkg []byte) map[string][]byte {
	tb.Helper()
	if r := b.verify(tb, pkg); len(r.Steps) < 2 {
		return nil
	}
	p, err := ofd.Open(tb.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, at := range p.Files() {
		if files[at[1:]], err = p.Read(tb.Context(), at); err != nil {
			tb.Fatalf("%s: %v", at, err)
		}
	}
	return files
}

// TestRandomZips mixes what writers do with what they should not. What is accepted is the same files to both readers.
func TestRandomZips(t *testing.T) {
	b := newBureau(t)
	list := zips.Entries(t, b.sealed(t))
	accepted := 0
	const tries = 1500
	for seed := range uint64(tries) {
		pkg := zips.Random(t, rand.New(rand.NewPCG(seed, 1)), list)
		if ours := read(t, b, pkg); ours != nil {
			accepted++
			sameToAll(t, ours, pkg)
		}
	}
	if accepted < tries/10 {
		t.Errorf("%d of %d are accepted", accepted, tries)
	}
}

// sameToAll compares the files that package ofd sees with those that other readers see.
func sameToAll(t *testing.T, ours map[string][]byte, pkg []byte) {
	t.Helper()
	for name, reader := range map[string]func([]byte) (map[string][]byte, error){"by its directory": direct, "as a stream": stream} {
		theirs, err := reader(pkg)
		if err != nil || !maps.EqualFunc(ours, theirs, bytes.Equal) {
			t.Errorf("read %s, the package has other files: %v", name, err)
		}
	}
}

// FuzzReaders changes bytes of packages of every shape. What is accepted is the same files, byte for byte, by the directory
// and as a stream. Readers of other makers have the same corpus in interop/matrix.
func FuzzReaders(f *testing.F) {
	b := newBureau(f)
	sealed := b.sealed(f)
	for _, pkg := range zips.Shapes(f, sealed) {
		f.Add(pkg)
	}
	for _, a := range zips.Ambiguities(f, sealed) {
		f.Add(a.Package)
	}
	f.Fuzz(func(t *testing.T, pkg []byte) {
		ours := read(t, b, pkg)
		if ours == nil {
			return
		}
		sameToAll(t, ours, pkg)
	})
}
