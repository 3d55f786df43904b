package ofd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Layout of a zip (APPNOTE.TXT 6.3): every entry has a local header before its bytes and a header in the directory at the
// end. Some readers use the one, some the other, and each has extensions of its own. What is accepted here is a strict
// profile in which a file stands exactly once, so that every reader sees the same files (docs/verify.md lists the rules):
// local entries from the first byte on, one behind the other, then the directory, then the end record, and nothing else.
const (
	localMagic, localSize           = 0x04034b50, 30
	headerMagic, headerSize         = 0x02014b50, 46
	endMagic, endSize               = 0x06054b50, 22
	locatorMagic, locatorSize       = 0x07064b50, 20 // of a zip64 directory
	descriptorMagic, descriptorSize = 0x08074b50, 16 // with its signature and sizes of four bytes; no other form is read

	maxDirectory = 4 << 20 // of MaxEntries names of 370 bytes each
	maxVersion   = 45      // needed to extract: zip64 sizes in a local header

	stored, deflated = 0, 8
)

// General purpose flags (APPNOTE.TXT 4.4.4). All others change what a reader makes of an entry.
const (
	flagsLevel      = 1<<1 | 1<<2 // how hard the writer tried
	flagDescriptor  = 1 << 3
	flagUTF8        = 1 << 11
	flagsEncrypted  = 1<<0 | 1<<6 | 1<<13
	flagsUnderstood = flagsLevel | flagDescriptor | flagUTF8
)

// External attributes: those of MS-DOS in the low byte, those of Unix in the upper half. Extractors make links, devices and
// volume labels of them.
const (
	dosVolume, dosFolder, dosReparse = 0x08, 0x10, 0x400
	unixType, unixRegular, unixDir   = 0o170000 << 16, 0o100000 << 16, 0o040000 << 16
)

// entry is one file or folder of the zip.
type entry struct {
	name         string // as it stands there, without leading slash; that of a folder ends in a slash
	flags        uint16
	method       uint16
	crc          uint32
	packed, size int64
	header, data int64 // offsets of the local header and of the bytes
}

func (e *entry) folder() bool { return strings.HasSuffix(e.name, "/") }

// zipEnd is the end record.
type zipEnd struct {
	count        int
	size, offset int64 // of the directory
}

// readEntries lists the files and folders of a zip, by name. Anything that two readers could see differently is refused.
func readEntries(ctx context.Context, r io.ReaderAt, size int64) ([]entry, error) {
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
	total := int64(0)
	for len(directory) > 0 {
		if len(all) == end.count {
			return nil, refuse(StepPackage, "the zip directory has more entries than it says")
		}
		e, rest, err := parseHeader(directory)
		if err != nil {
			return nil, err
		}
		if total += e.size; total > MaxUnpacked {
			return nil, refuse(StepPackage, "the package unpacks to more than %d bytes", MaxUnpacked)
		}
		all, directory = append(all, e), rest
	}
	if len(all) != end.count {
		return nil, refuse(StepPackage, "the zip directory has fewer entries than it says")
	}
	if err := placeEntries(ctx, r, all, end.offset); err != nil {
		return nil, err
	}
	if err := uniqueNames(ctx, all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// readEnd reads the end record: the last 22 bytes. Readers that search for it from behind find the same one, because a
// comment, which could contain another, is refused.
func readEnd(r io.ReaderAt, size int64) (zipEnd, error) {
	tail := make([]byte, min(size, locatorSize+endSize))
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return zipEnd{}, err
	}
	b := tail[len(tail)-endSize:]
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	end := zipEnd{count: u16(10), size: u32(12), offset: u32(16)}
	switch {
	case u32(0) != endMagic || u16(20) != 0:
		return zipEnd{}, refuse(StepPackage, "the package does not end with the end record of a zip: it is no zip, cut off, or has a comment or other bytes behind it")
	case len(tail) == locatorSize+endSize && binary.LittleEndian.Uint32(tail) == locatorMagic:
		return zipEnd{}, refuse(StepPackage, "the zip has a zip64 directory, which a package of this size does not need")
	case u16(4) != 0 || u16(6) != 0 || u16(8) != end.count:
		return zipEnd{}, refuse(StepPackage, "the zip is in several parts")
	case end.count > MaxEntries || end.size > maxDirectory:
		return zipEnd{}, refuse(StepPackage, "the package has more than %d files", MaxEntries)
	case end.offset+end.size != size-endSize:
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
	name, extra := headerSize+int(u16(28)), headerSize+int(u16(28))+int(u16(30))
	if len(b) < extra {
		return entry{}, nil, refuse(StepPackage, "the zip directory is damaged")
	}
	e := entry{
		name: string(b[headerSize:name]), flags: u16(8), method: u16(10), crc: uint32(u32(16)),
		packed: u32(20), size: u32(24), header: u32(42),
	}
	if err := checkEntry(e); err != nil {
		return entry{}, nil, err
	}
	attributes := u32(38)
	kind := attributes & unixType
	switch {
	case u16(6) > maxVersion:
		return entry{}, nil, refuse(StepPackage, "the file %s needs version %d of zip to be unpacked", quote(e.name), u16(6))
	case u16(32) != 0:
		return entry{}, nil, refuse(StepPackage, "the file %s has a comment in the zip directory", quote(e.name))
	case u16(34) != 0:
		return entry{}, nil, refuse(StepPackage, "the zip is in several parts")
	case attributes&(dosVolume|dosReparse) != 0,
		e.folder() && kind != 0 && kind != unixDir,
		!e.folder() && (kind != 0 && kind != unixRegular || attributes&dosFolder != 0):
		return entry{}, nil, refuse(StepPackage, "the attributes of %s are not those of a plain file or folder", quote(e.name))
	}
	return e, b[extra:], checkExtra(b[name:extra], e, false)
}

// checkEntry checks what a header says by itself.
func checkEntry(e entry) error {
	if err := checkName(e.name, e.flags&flagUTF8 != 0); err != nil {
		return err
	}
	switch {
	case e.flags&flagsEncrypted != 0:
		return refuse(StepPackage, "the file %s is encrypted", quote(e.name))
	case e.flags&^flagsUnderstood != 0:
		return refuse(StepPackage, "the file %s has flags that OFD does not use", quote(e.name))
	case e.method != stored && e.method != deflated:
		return refuse(StepPackage, "the file %s is packed by method %d, which OFD does not use", quote(e.name), e.method)
	case e.method == stored && e.packed != e.size:
		return refuse(StepPackage, "the file %s has two sizes", quote(e.name))
	case e.method == stored && e.flags&flagDescriptor != 0:
		return refuse(StepPackage, "the file %s is stored, and its size stands only behind it", quote(e.name))
	case e.size > 1<<20 && e.size/MaxRatio > e.packed:
		return refuse(StepPackage, "the file %s unpacks to more than %d times its size", quote(e.name), MaxRatio)
	case e.folder() && e.size != 0:
		return refuse(StepPackage, "the folder %s has content", quote(e.name))
	}
	return nil
}

// extras are the extra fields that may stand in a header, with their lengths: times, owners and marks, from which no reader
// takes a name, a size or content. Each may stand once. Beside them, a local header may have zip64 sizes.
var extras = map[uint16]struct{ least, most int }{
	0x000a: {32, 32}, // NTFS times
	0x5455: {1, 13},  // times
	0x5855: {8, 12},  // times and owner, Info-ZIP before 2.3
	0x7855: {0, 4},   // owner, Info-ZIP 2.3
	0x7875: {3, 19},  // owner, Info-ZIP 3.0
	0xcafe: {0, 0},   // mark of Java's jar
}

const tagZip64 = 0x0001

// maxExtra is more than all of them together have.
const maxExtra = 256

// checkExtra checks the extra fields of a header. Zip64 sizes have to be those of the directory: writers that do not know a
// size beforehand leave them in local headers. Beside a data descriptor they are refused, because they make some readers
// expect sizes of eight bytes there.
func checkExtra(b []byte, e entry, local bool) error {
	var tags []uint16
	for len(b) > 0 {
		if len(b) < 4 {
			return refuse(StepPackage, "an extra field of the file %s is damaged", quote(e.name))
		}
		tag, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return refuse(StepPackage, "an extra field of the file %s is damaged", quote(e.name))
		}
		if slices.Contains(tags, tag) {
			return refuse(StepPackage, "the extra field %#04x of the file %s stands twice", tag, quote(e.name))
		}
		tags = append(tags, tag)
		bounds, known := extras[tag]
		switch {
		case tag == tagZip64:
			if !local || n != 16 || e.flags&flagDescriptor != 0 ||
				binary.LittleEndian.Uint64(b) != uint64(e.size) || binary.LittleEndian.Uint64(b[8:]) != uint64(e.packed) {
				return refuse(StepPackage, "the file %s has zip64 sizes that it does not need", quote(e.name))
			}
		case !known:
			return refuse(StepPackage, "the file %s has the extra field %#04x, which OFD does not use", quote(e.name), tag)
		case n < bounds.least || n > bounds.most:
			return refuse(StepPackage, "the extra field %#04x of the file %s is of an unknown form", tag, quote(e.name))
		}
		b = b[n:]
	}
	return nil
}

// readAt fills b from offset at. A short read refuses the package.
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

// quote escapes a foreign name for an error text.
func quote(name string) string {
	const most = 120
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}

const (
	maxName  = 1024 // bytes
	maxParts = 32   // folders and the file
)

// checkName refuses names that some system would take for another file, or for one outside of the package: Windows drops
// dots and spaces at the end, Info-ZIP a number behind a semicolon. A name that is not marked as UTF-8 is in whatever
// character set the reader thinks; only ASCII is the same in all.
func checkName(name string, marked bool) error {
	folder := strings.TrimSuffix(name, "/")
	switch {
	case name == "" || len(name) > maxName || !utf8.ValidString(name):
		return refuse(StepPackage, "the file name %s is empty, too long or not UTF-8", quote(name))
	case !marked && strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }):
		return refuse(StepPackage, "the file name %s is not ASCII, and not marked as UTF-8", quote(name))
	case strings.ContainsAny(name, `\:;*?"<>|`) || strings.ContainsFunc(name, unicode.IsControl):
		return refuse(StepPackage, "the file name %s has a character that systems read differently", quote(name))
	case name[0] == '/':
		return refuse(StepPackage, "the file name %s is absolute", quote(name))
	case strings.Count(folder, "/") >= maxParts:
		return refuse(StepPackage, "the file name %s has more than %d parts", quote(name), maxParts)
	}
	for part := range strings.SplitSeq(folder, "/") {
		if part == "" || part == "." || part == ".." || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return refuse(StepPackage, "the file name %s leaves its folder or has an empty part", quote(name))
		}
	}
	return nil
}

// fold makes names equal that some file system takes for one: letter case and Unicode normalisation aside.
func fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
		}
	}
	return strings.ToLower(name)
}

// uniqueNames refuses two entries of one name, a file that is also a folder, and two spellings of one folder.
func uniqueNames(ctx context.Context, all []entry) error {
	type place struct {
		name, by     string // as spelled, and the entry in which it is
		file, listed bool   // a file; a folder that has an entry of its own
	}
	seen := make(map[string]place, len(all)) // by folded path
	clash := func(a, b string) error {
		return refuse(StepUnique, "the zip has two files %s and %s", quote(a), quote(b))
	}
	folder := func(folded, name, by string) error {
		was, known := seen[folded]
		switch {
		case !known:
			seen[folded] = place{name: name, by: by}
		case was.file || was.name != name:
			return clash(was.by, by)
		}
		return nil
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &all[i]
		name := strings.TrimSuffix(e.name, "/")
		folded := fold(name)
		for f, n := strings.IndexByte(folded, '/'), strings.IndexByte(name, '/'); f >= 0; {
			if err := folder(folded[:f], name[:n], e.name); err != nil {
				return err
			}
			next, skip := strings.IndexByte(folded[f+1:], '/'), strings.IndexByte(name[n+1:], '/')
			if next < 0 {
				break
			}
			f, n = f+1+next, n+1+skip
		}
		was, known := seen[folded]
		if known && (!e.folder() || was.file || was.listed || was.name != name) {
			return clash(was.by, e.name)
		}
		seen[folded] = place{name, e.name, !e.folder(), true}
	}
	return nil
}
