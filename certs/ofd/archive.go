package ofd

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"strings"
)

// archive writes a zip: the same files give the same bytes. Sizes stand before the content, because readers that stream
// stumble over data descriptors, and every entry has the first moment that a zip can name.
type archive struct {
	b     bytes.Buffer
	w     *zip.Writer
	names map[string]bool
	err   error
}

func newArchive() *archive {
	a := &archive{names: make(map[string]bool)}
	a.w = zip.NewWriter(&a.b)
	return a
}

// add packs a file; at is its absolute path.
func (a *archive) add(at string, data []byte, err error) {
	if a.err == nil {
		a.err = err
	}
	if a.err != nil {
		return
	}
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Close()
	}
	a.raw(entry{
		name: strings.TrimPrefix(at, "/"), method: deflated, crc: crc32.ChecksumIEEE(data),
		packed: int64(packed.Len()), size: int64(len(data)),
	}, packed.Bytes(), err)
}

// raw adds a file that is packed already.
func (a *archive) raw(e entry, packed []byte, err error) {
	if a.err == nil && err == nil && a.names[fold(e.name)] {
		err = fmt.Errorf("%w: two files of one name", ErrDocument)
	}
	if a.err == nil {
		a.err = err
	}
	if a.err != nil {
		return
	}
	a.names[fold(e.name)] = true
	const utf8Name, firstDay = 1 << 11, 1<<5 | 1 // 1980-01-01
	h := &zip.FileHeader{
		Name: e.name, Method: e.method, Flags: utf8Name, CRC32: e.crc, ModifiedDate: firstDay,
		CompressedSize64: uint64(e.packed), UncompressedSize64: uint64(e.size), CreatorVersion: 20, ReaderVersion: 20,
	}
	w, err := a.w.CreateRaw(h)
	if err == nil {
		_, err = w.Write(packed)
	}
	if err != nil {
		a.err = fmt.Errorf("write ofd package: %w", err)
	}
}

// bytes ends the zip.
func (a *archive) bytes() ([]byte, error) {
	if a.err == nil {
		a.err = a.w.Close()
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.b.Bytes(), nil
}
