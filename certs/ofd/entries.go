package ofd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Layout of a zip (APPNOTE.TXT 6.3): every entry has a local header before its bytes and a header in the directory at
// the end. Readers believe either; here both must agree, so that all readers see the same files.
const (
	localMagic, localSize   = 0x04034b50, 30
	headerMagic, headerSize = 0x02014b50, 46
	endMagic, endSize       = 0x06054b50, 22

	maxDirectory = 4 << 20 // of MaxEntries names of 370 bytes each
	maxName      = 1024
	maxGap       = 24 // a data descriptor with 8-byte sizes

	stored, deflated = 0, 8
)

// entry is one file of the zip.
type entry struct {
	name         string // as it stands there, without leading slash
	flags        uint16
	method       uint16
	crc          uint32
	packed, size int64
	header, data int64 // offsets of the local header and of the bytes
}

// zipEnd is the end record.
type zipEnd struct {
	count        int
	size, offset int64 // of the directory
}

// readEntries lists the files of a zip. Anything that two readers could see differently is refused.
func readEntries(r io.ReaderAt, size int64) ([]entry, error) {
	switch {
	case size > MaxPackage:
		return nil, refuse(StepPackage, "the package has more than %d bytes", MaxPackage)
	case size < endSize:
		return nil, refuse(StepPackage, "the package is no zip file")
	}
	end, err := readEnd(r, size)
	if err != nil {
		return nil, err
	}
	directory := make([]byte, end.size)
	if err := readAt(r, directory, end.offset); err != nil {
		return nil, err
	}
	all := make([]entry, 0, end.count)
	for len(directory) > 0 {
		if len(all) == end.count {
			return nil, refuse(StepPackage, "the zip directory has more entries than it says")
		}
		e, rest, err := parseHeader(directory)
		if err != nil {
			return nil, err
		}
		all, directory = append(all, e), rest
	}
	if len(all) != end.count {
		return nil, refuse(StepPackage, "the zip directory has fewer entries than it says")
	}
	if err := placeEntries(r, all, end.offset); err != nil {
		return nil, err
	}
	return files(all)
}

// readEnd finds the end record, the last thing in the file.
func readEnd(r io.ReaderAt, size int64) (zipEnd, error) {
	tail := make([]byte, min(size, endSize+math.MaxUint16))
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return zipEnd{}, err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < endSize {
		return zipEnd{}, refuse(StepPackage, "the package is no zip file, or its end is cut off")
	}
	b := tail[at:]
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	end := zipEnd{count: u16(10), size: u32(12), offset: u32(16)}
	start := size - int64(len(b))
	switch {
	case u16(4) != 0 || u16(6) != 0 || u16(8) != end.count:
		return zipEnd{}, refuse(StepPackage, "the zip is in several parts")
	case end.count > MaxEntries || end.size > maxDirectory:
		return zipEnd{}, refuse(StepPackage, "the package has more than %d files", MaxEntries)
	case u16(20) != len(b)-endSize:
		return zipEnd{}, refuse(StepPackage, "there are bytes after the end of the zip")
	case end.offset+end.size != start:
		return zipEnd{}, refuse(StepPackage, "the zip directory is not where its end record says")
	}
	return end, nil
}

// parseHeader takes one header off the directory.
func parseHeader(b []byte) (entry, []byte, error) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b) != headerMagic {
		return entry{}, nil, refuse(StepPackage, "the zip directory is damaged")
	}
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(b[i:]) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	n, whole := int(u16(28)), headerSize+int(u16(28))+int(u16(30))+int(u16(32))
	if len(b) < whole {
		return entry{}, nil, refuse(StepPackage, "the zip directory is damaged")
	}
	e := entry{
		name: string(b[headerSize : headerSize+n]), flags: u16(8), method: u16(10), crc: uint32(u32(16)),
		packed: u32(20), size: u32(24), header: u32(42),
	}
	if err := checkEntry(e); err != nil {
		return entry{}, nil, err
	}
	return e, b[whole:], nil
}

// checkEntry checks what a header says by itself.
func checkEntry(e entry) error {
	const encrypted = 1<<0 | 1<<6 | 1<<13
	if err := checkName(e.name); err != nil {
		return err
	}
	switch {
	case e.flags&encrypted != 0:
		return refuse(StepPackage, "the file %s is encrypted", quote(e.name))
	case e.method != stored && e.method != deflated:
		return refuse(StepPackage, "the file %s is packed by method %d, which OFD does not use", quote(e.name), e.method)
	case e.method == stored && e.packed != e.size:
		return refuse(StepPackage, "the file %s has two sizes", quote(e.name))
	case e.size > 1<<20 && e.size/MaxRatio > e.packed:
		return refuse(StepPackage, "the file %s unpacks to more than %d times its size", quote(e.name), MaxRatio)
	case strings.HasSuffix(e.name, "/") && e.size != 0:
		return refuse(StepPackage, "the folder %s has content", quote(e.name))
	}
	return nil
}

// files are the entries that are no folders, by name. Names that are equal but for letter case are the same file to some
// readers.
func files(all []entry) ([]entry, error) {
	all = slices.DeleteFunc(all, func(e entry) bool { return strings.HasSuffix(e.name, "/") })
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	seen := make(map[string]string, len(all))
	total := int64(0)
	for _, e := range all {
		folded := strings.ToLower(e.name)
		if first, twice := seen[folded]; twice {
			return nil, refuse(StepUnique, "the zip has two files %s and %s", quote(first), quote(e.name))
		}
		seen[folded] = e.name
		if total += e.size; total > MaxUnpacked {
			return nil, refuse(StepPackage, "the package unpacks to more than %d bytes", MaxUnpacked)
		}
	}
	return all, nil
}

// readAt fills b from offset at. What is missing makes the package refused.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return refuse(StepPackage, "the package is cut off")
	}
	return fmt.Errorf("read ofd package: %w", err)
}

// refuse makes a Refusal.
func refuse(step, format string, args ...any) error {
	return &Refusal{step, fmt.Sprintf(format, args...)}
}

// quote makes a name of somebody else's fit for a sentence.
func quote(name string) string {
	const most = 120
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}
