// Package zips makes ZIP archives for tests: in the forms of other writers, and with every known ambiguity by which two readers
// of one archive see different files.
package zips

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"oncegate/certs/ofd"
)

// An Entry is an entry of a zip, every field of which a test can set.
type Entry struct {
	Name, LocalName        string
	Data, Packed           []byte
	Method, LocalMethod    uint16
	Flags, LocalFlags      uint16
	CRC                    uint32
	Size, PackedSize       uint32
	LocalCRC               uint32
	LocalSize, LocalPacked uint32
	Version, LocalVersion  uint16
	Extra, LocalExtra      []byte
	Attributes             uint32
	Disk                   uint16
	Comment                string
	Before, Descriptor     []byte // before the local header; behind the packed bytes
	at                     int    // of the local header, set by join
	Elsewhere              *Entry // whose local header the directory names instead
}

// deflated is data compressed by compress/flate.
func deflated(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := writers.Get().(*flate.Writer)
	defer writers.Put(w)
	w.Reset(&b)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// writers wait for the next file: one has a megabyte.
var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	return w
}}

// NewEntry is an ordinary entry.
func NewEntry(tb testing.TB, name string, data []byte) *Entry {
	packed := deflated(tb, data)
	p := &Entry{Name: name, LocalName: name, Data: data, Packed: packed, Method: 8, LocalMethod: 8, Version: 20, LocalVersion: 20}
	p.Sizes(crc32.ChecksumIEEE(data), len(packed), len(data))
	return p
}

// Sizes sets checksum and sizes in both headers.
func (p *Entry) Sizes(crc uint32, packed, size int) {
	p.CRC, p.PackedSize, p.Size = crc, uint32(packed), uint32(size)
	p.LocalCRC, p.LocalPacked, p.LocalSize = p.CRC, p.PackedSize, p.Size
}

// Stored packs by not packing.
func (p *Entry) Stored() {
	p.Packed, p.Method, p.LocalMethod = p.Data, 0, 0
	p.Sizes(p.CRC, len(p.Data), len(p.Data))
}

// Streamed is how writers leave an entry whose sizes they do not know beforehand.
func (p *Entry) Streamed() {
	p.Flags, p.LocalFlags = p.Flags|8, p.LocalFlags|8
	p.LocalCRC, p.LocalPacked, p.LocalSize = 0, 0, 0
	p.Descriptor = le(uint32(0x08074b50), p.CRC, p.PackedSize, p.Size)
}

// le writes numbers as a zip has them.
func le(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func (p *Entry) local() []byte {
	return append(le(uint32(0x04034b50), p.LocalVersion, p.LocalFlags, p.LocalMethod, uint16(0), uint16(33), p.LocalCRC,
		p.LocalPacked, p.LocalSize, uint16(len(p.LocalName)), uint16(len(p.LocalExtra))), p.LocalName+string(p.LocalExtra)...)
}

func (p *Entry) header() []byte {
	at := p.at
	if p.Elsewhere != nil {
		at = p.Elsewhere.at
	}
	return append(le(uint32(0x02014b50), uint16(20), p.Version, p.Flags, p.Method, uint16(0), uint16(33), p.CRC, p.PackedSize,
		p.Size, uint16(len(p.Name)), uint16(len(p.Extra)), uint16(len(p.Comment)), p.Disk, uint16(0), p.Attributes, uint32(at)),
		p.Name+string(p.Extra)+p.Comment...)
}

// ending is the end of central directory record, every field of which a test can set.
type ending struct {
	before, after []byte // the directory; the end record
	comment       string
	count         int
	disk, less    uint16
	offset        int // added
}

// Join writes a zip of entries.
func Join(list []*Entry) []byte { return join(list, nil) }

// join writes it, and what stands behind the entries as change says.
func join(list []*Entry, change func(*ending)) []byte {
	var b bytes.Buffer
	for _, p := range list {
		b.Write(p.Before)
		p.at = b.Len()
		b.Write(p.local())
		b.Write(p.Packed)
		b.Write(p.Descriptor)
	}
	end := ending{count: len(list)}
	if change != nil {
		change(&end)
	}
	b.Write(end.before)
	start := b.Len()
	for _, p := range list {
		b.Write(p.header())
	}
	size := b.Len() - start
	b.Write(le(uint32(0x06054b50), end.disk, end.disk, uint16(end.count)-end.less, uint16(end.count), uint32(size), uint32(start+end.offset),
		uint16(len(end.comment))))
	b.WriteString(end.comment)
	b.Write(end.after)
	return b.Bytes()
}

// Entries takes a package apart.
func Entries(tb testing.TB, pkg []byte) (all []*Entry) {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			tb.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, NewEntry(tb, f.Name, data))
	}
	return all
}

// extra is an extra field.
func extra(tag uint16, content ...byte) []byte {
	return append(le(tag, uint16(len(content))), content...)
}

// unicodePath is the extra field by which Info-ZIP and commons-compress rename an entry.
func unicodePath(name, now string) []byte {
	return extra(0x7075, append(le(uint8(1), crc32.ChecksumIEEE([]byte(name))), now...)...)
}

const (
	contentFile = "Doc_0/Pages/Page_0/Content.xml"
	forgedPage  = `<?xml version="1.0"?><ofd:Page xmlns:ofd="http://www.ofdspec.org/2016"><ofd:Content/></ofd:Page>`
)

// An Ambiguity is a package that two readers may see differently.
type Ambiguity struct {
	Name    string
	Package []byte
	Step    string // that fails
	Reason  string // part of it
}

// Ambiguities are made of a sealed package: its signatures hold for readers that see what was sealed.
func Ambiguities(tb testing.TB, sealed []byte) (all []Ambiguity) {
	tb.Helper()
	base := Entries(tb, sealed)
	fresh := func() []*Entry {
		list := make([]*Entry, len(base))
		for i, p := range base {
			list[i] = new(*p)
		}
		return list
	}
	// one changes the page's entry; more adds entries or changes others.
	one := func(name, step, reason string, change func(p *Entry)) {
		list := fresh()
		for _, p := range list {
			if p.Name == contentFile {
				change(p)
			}
		}
		all = append(all, Ambiguity{name, join(list, nil), step, reason})
	}
	more := func(name, step, reason string, change func(list []*Entry) []*Entry, end func(*ending)) {
		all = append(all, Ambiguity{name, join(change(fresh()), end), step, reason})
	}
	with := func(added ...*Entry) func([]*Entry) []*Entry {
		return func(list []*Entry) []*Entry { return append(list, added...) }
	}
	none := with()
	forged := NewEntry(tb, contentFile, []byte(forgedPage))

	// What a deflate stream leaves over.
	one("a page behind the end of a stream with a data descriptor", ofd.StepPackage, "does not use", func(p *Entry) {
		next := NewEntry(tb, contentFile, []byte(forgedPage))
		p.Packed = slices.Concat(p.Packed, le(uint32(0x08074b50), p.CRC, uint32(len(p.Packed)), p.Size), next.local(), next.Packed)
		p.Sizes(p.CRC, len(p.Packed), len(p.Data))
		p.Streamed()
	})
	one("a page behind the end of a stream", ofd.StepPackage, "does not use", func(p *Entry) {
		p.Packed = slices.Concat(p.Packed, forged.local(), forged.Packed)
		p.Sizes(p.CRC, len(p.Packed), len(p.Data))
	})
	one("a byte behind the end of a stream", ofd.StepPackage, "does not use", func(p *Entry) {
		p.Packed = append(p.Packed, 0)
		p.Sizes(p.CRC, len(p.Packed), len(p.Data))
	})
	one("a stream without an end", ofd.StepPackage, "does not unpack", func(p *Entry) {
		p.Packed = append([]byte{0}, le(uint16(len(p.Data)), ^uint16(len(p.Data)))...) // a block that is not the last
		p.Packed = append(p.Packed, p.Data...)
		p.Sizes(p.CRC, len(p.Packed), len(p.Data))
	})
	one("a file that is longer than it says", ofd.StepPackage, "does not unpack", func(p *Entry) {
		p.Sizes(crc32.ChecksumIEEE(p.Data[:len(p.Data)-1]), len(p.Packed), len(p.Data)-1)
	})
	one("a file that is shorter than it says", ofd.StepPackage, "does not unpack", func(p *Entry) { p.Sizes(p.CRC, len(p.Packed), len(p.Data)+1) })

	// What the two headers of an entry say.
	one("a name of its own in the local header", ofd.StepPackage, "name", func(p *Entry) { p.LocalName = "Doc_0/Pages/Page_0/Content.xm_" })
	one("a longer name in the local header", ofd.StepPackage, "name", func(p *Entry) { p.LocalName += "l" })
	one("flags of its own in the local header", ofd.StepPackage, "flags", func(p *Entry) { p.LocalFlags |= 1 << 11 })
	one("a descriptor that only the local header announces", ofd.StepPackage, "flags", func(p *Entry) { p.LocalFlags |= 8 })
	one("a descriptor that only the directory announces", ofd.StepPackage, "flags", func(p *Entry) { p.Flags |= 8 })
	one("a method of its own in the local header", ofd.StepPackage, "method", func(p *Entry) { p.LocalMethod = 0 })
	one("a checksum of its own in the local header", ofd.StepPackage, "checksum", func(p *Entry) { p.LocalCRC++ })
	one("no checksum in the local header", ofd.StepPackage, "checksum", func(p *Entry) { p.LocalCRC = 0 })
	one("a size of its own in the local header", ofd.StepPackage, "size", func(p *Entry) { p.LocalSize++ })
	one("a packed size of its own in the local header", ofd.StepPackage, "size", func(p *Entry) { p.LocalPacked-- })
	one("sizes in the local header that a descriptor corrects", ofd.StepPackage, "size", func(p *Entry) {
		p.Streamed()
		p.LocalPacked = p.PackedSize - 1
	})
	one("a version that nobody has", ofd.StepPackage, "version", func(p *Entry) { p.Version, p.LocalVersion = 63, 63 })
	one("a version that nobody has in the local header", ofd.StepPackage, "version", func(p *Entry) { p.LocalVersion = 63 })

	// Data descriptors.
	one("a descriptor without signature", ofd.StepPackage, "data descriptor", func(p *Entry) {
		p.Streamed()
		p.Descriptor = p.Descriptor[4:]
	})
	one("a descriptor with sizes of eight bytes", ofd.StepPackage, "data descriptor", func(p *Entry) {
		p.Streamed()
		p.Descriptor = le(uint32(0x08074b50), p.CRC, uint64(p.PackedSize), uint64(p.Size))
	})
	one("no descriptor", ofd.StepPackage, "data descriptor", func(p *Entry) { p.Streamed(); p.Descriptor = nil })
	one("a descriptor of another checksum", ofd.StepPackage, "data descriptor", func(p *Entry) { p.Streamed(); p.Descriptor[4]++ })
	one("a descriptor of another size", ofd.StepPackage, "data descriptor", func(p *Entry) { p.Streamed(); p.Descriptor[12]++ })
	one("a descriptor of another packed size", ofd.StepPackage, "data descriptor", func(p *Entry) { p.Streamed(); p.Descriptor[8]++ })
	one("a descriptor that is not announced", ofd.StepPackage, "belong to no file", func(p *Entry) {
		p.Descriptor = le(uint32(0x08074b50), p.CRC, p.PackedSize, p.Size)
	})
	one("a stored file with its size behind it", ofd.StepPackage, "is stored", func(p *Entry) { p.Stored(); p.Streamed() })

	// Extra fields.
	for _, x := range []struct {
		name, reason string
		extra        []byte
	}{
		{"Unicode Path", "0x7075", unicodePath(contentFile, "Doc_0/Pages/Page_0/Other.xml")},
		{"Unicode Comment", "0x6375", extra(0x6375, append(le(uint8(1), crc32.ChecksumIEEE(nil)), "x"...)...)},
		{"AES", "0x9901", extra(0x9901, 2, 0, 'A', 'E', 3, 8, 0)},
		{"Unix link", "0x756e", extra(0x756e, make([]byte, 14)...)},
		{"strong encryption", "0x0017", extra(0x0017, make([]byte, 8)...)},
		{"unknown", "0x6666", extra(0x6666)},
		{"twice", "twice", append(extra(0x5455, 1, 0, 0, 0, 0), extra(0x5455, 1, 0, 0, 0, 0)...)},
		{"too long", "unknown form", extra(0x5455, make([]byte, 200)...)},
		{"longer than the header", "damaged", le(uint16(0x5455), uint16(90), uint8(1))},
		{"of three bytes", "damaged", []byte{1, 2, 3}},
	} {
		one("extra field in the directory: "+x.name, ofd.StepPackage, x.reason, func(p *Entry) { p.Extra = x.extra })
		one("extra field in the local header: "+x.name, ofd.StepPackage, x.reason, func(p *Entry) { p.LocalExtra = x.extra })
	}
	zip64 := func(p *Entry) []byte { return extra(1, le(uint64(p.Size), uint64(p.PackedSize))...) }
	one("zip64 sizes in the directory", ofd.StepPackage, "zip64", func(p *Entry) { p.Extra = zip64(p) })
	one("zip64 sizes of its own in the local header", ofd.StepPackage, "zip64", func(p *Entry) {
		p.LocalExtra = extra(1, le(uint64(p.Size), uint64(p.PackedSize)+1)...)
		p.LocalSize, p.LocalPacked = 0xffffffff, 0xffffffff
	})
	one("no zip64 sizes in the local header", ofd.StepPackage, "size", func(p *Entry) { p.LocalSize, p.LocalPacked = 0xffffffff, 0xffffffff })
	one("zip64 sizes beside a descriptor", ofd.StepPackage, "zip64", func(p *Entry) { p.LocalExtra = zip64(p); p.Streamed() })
	one("a Unicode Path renames another entry to the page", ofd.StepPackage, "0x7075", func(p *Entry) {})
	all[len(all)-1].Package = func() []byte {
		p := NewEntry(tb, "Doc_0/Res/a.xml", []byte(forgedPage))
		p.Extra = unicodePath(p.Name, contentFile)
		p.LocalExtra = p.Extra
		return join(append(fresh(), p), nil)
	}()

	// Bytes of no file.
	more("bytes before the first entry", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry { l[0].Before = []byte("MZ"); return l }, nil)
	more("a page before the first entry", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry {
		l[0].Before = slices.Concat(forged.local(), forged.Packed)
		return l
	}, nil)
	more("bytes between entries", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry { l[2].Before = make([]byte, 24); return l }, nil)
	more("a page between entries", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry {
		l[len(l)-1].Before = slices.Concat(forged.local(), forged.Packed)
		return l
	}, nil)
	more("bytes between an entry with a descriptor and the next", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry {
		l[1].Streamed()
		l[2].Before = make([]byte, 8)
		return l
	}, nil)
	more("a page before the directory", ofd.StepPackage, "belong to no file", none, func(e *ending) { e.before = slices.Concat(forged.local(), forged.Packed) })
	more("bytes after the end record", ofd.StepPackage, "end record", none, func(e *ending) { e.after = []byte("x") })
	more("a comment", ofd.StepPackage, "end record", none, func(e *ending) { e.comment = "made by somebody" })
	more("a comment with an end record in it", ofd.StepPackage, "", none, func(e *ending) {
		e.comment = string(le(uint32(0x06054b50), uint16(0), uint16(0), uint16(0), uint16(0), uint32(0), uint32(0), uint16(0)))
	})
	more("another package after the end record", ofd.StepPackage, "", none, func(e *ending) {
		e.after = join([]*Entry{NewEntry(tb, "OFD.xml", []byte("<a/>"))}, nil)
	})
	more("a comment of an entry", ofd.StepPackage, "comment", func(l []*Entry) []*Entry { l[1].Comment = "PK"; return l }, nil)
	more("a whole package before this one", ofd.StepPackage, "belong to no file", func(l []*Entry) []*Entry { l[0].Before = sealed; return l }, nil)

	// The directory.
	more("two entries over each other", ofd.StepPackage, "over each other", func(l []*Entry) []*Entry {
		twin := *l[1]
		twin.Name, twin.LocalName, twin.Packed, twin.Before = "Doc_0/Res/b.xml", "Doc_0/Res/b.xml", nil, nil
		l[1].Packed = append(l[1].Packed, twin.local()...)
		l[1].Sizes(l[1].CRC, len(l[1].Packed), len(l[1].Data))
		twin.Elsewhere = &Entry{}
		return append(l, &twin)
	}, nil)
	more("one local header for two entries", ofd.StepPackage, "over each other", func(l []*Entry) []*Entry {
		l[2].Elsewhere = l[1]
		return l
	}, nil)
	more("fewer entries than the end record says", ofd.StepPackage, "fewer", none, func(e *ending) { e.count++ })
	more("more entries than the end record says", ofd.StepPackage, "more", none, func(e *ending) { e.count-- })
	more("several parts", ofd.StepPackage, "several parts", none, func(e *ending) { e.disk = 1 })
	more("entries in another part", ofd.StepPackage, "several parts", none, func(e *ending) { e.less = 1 })
	more("an entry in another part", ofd.StepPackage, "several parts", func(l []*Entry) []*Entry { l[1].Disk = 1; return l }, nil)
	more("a directory somewhere else", ofd.StepPackage, "not where", none, func(e *ending) { e.offset = -4 })
	more("a zip64 locator in the last extra field", ofd.StepPackage, "zip64 directory", func(l []*Entry) []*Entry {
		l[len(l)-1].Extra = extra(0x000a, append(make([]byte, 12), le(uint32(0x07064b50), uint32(0), uint64(4), uint32(1))...)...)
		return l
	}, nil)

	// What is done to the bytes.
	for name, flag := range map[string]uint16{"encrypted": 1, "patched": 1 << 5, "strongly encrypted": 1<<6 | 1, "masked": 1 << 13, "of a flag of tomorrow": 1 << 15, "enhanced": 1 << 4} {
		one("a file that is "+name, ofd.StepPackage, "", func(p *Entry) { p.Flags, p.LocalFlags = flag, flag })
	}
	for _, method := range []uint16{1, 6, 9, 12, 14, 93, 95, 98, 99} {
		one(fmt.Sprintf("method %d", method), ofd.StepPackage, "method", func(p *Entry) { p.Method, p.LocalMethod = method, method })
	}

	// Names.
	for _, x := range []struct{ kind, name, step string }{
		{"the same", contentFile, ofd.StepUnique},
		{"in other letters", "Doc_0/Pages/Page_0/content.XML", ofd.StepUnique},
		{"with a long s", "Doc_0/Page\u017f/Page_0/Content.xml", ofd.StepUnique},
		{"in a folder in other letters", "doc_0/new.xml", ofd.StepUnique},
		{"of a folder", "Doc_0/Pages", ofd.StepUnique},
		{"below a file", contentFile + "/a", ofd.StepUnique},
		{"of a folder that is a file", contentFile + "/", ofd.StepUnique},
		{"with a dot", "./" + contentFile, ofd.StepPackage},
		{"with a dot inside", "Doc_0/./Pages/Page_0/Content.xml", ofd.StepPackage},
		{"with two slashes", "Doc_0//Pages/Page_0/Content.xml", ofd.StepPackage},
		{"with two slashes at the end", "Doc_0/x//", ofd.StepPackage},
		{"with a back slash", `Doc_0\Pages\Page_0\Content.xml`, ofd.StepPackage},
		{"with a zero byte", contentFile + "\x00.png", ofd.StepPackage},
		{"with a number of version", contentFile + ";1", ofd.StepPackage},
		{"with a colon", "Doc_0/Pages/Page_0/Content.xml:a", ofd.StepPackage},
		{"with a star", "Doc_0/Pages/Page_0/C*ntent.xml", ofd.StepPackage},
		{"with a dot at the end", contentFile + ".", ofd.StepPackage},
		{"with a space at the end", contentFile + " ", ofd.StepPackage},
		{"with a dot at the end of a folder", "Doc_0/Pages./Page_0/Content.xml", ofd.StepPackage},
		{"absolute", "/" + contentFile, ofd.StepPackage},
		{"with a drive", "C:/" + contentFile, ofd.StepPackage},
		{"with a way up", "Doc_0/../" + contentFile, ofd.StepPackage},
		{"outside", "../" + contentFile, ofd.StepPackage},
		{"not UTF-8", "Doc_0/\xd6\xd0.xml", ofd.StepPackage},
		{"with a control character", "Doc_0/a\u0085.xml", ofd.StepPackage},
		{"empty", "", ofd.StepPackage},
		{"deep", strings.Repeat("a/", 40) + "a", ofd.StepPackage},
	} {
		data := []byte(forgedPage)
		if strings.HasSuffix(x.name, "/") {
			data = nil
		}
		p := NewEntry(tb, x.name, data)
		p.Flags, p.LocalFlags = 1<<11, 1<<11
		more("a name "+x.kind, x.step, "", with(p), nil)
	}
	normal, apart := NewEntry(tb, "Doc_0/Res/caf\u00e9.xml", nil), NewEntry(tb, "Doc_0/Res/cafe\u0301.xml", []byte(forgedPage))
	normal.Flags, normal.LocalFlags, apart.Flags, apart.LocalFlags = 1<<11, 1<<11, 1<<11, 1<<11
	more("a name in two normal forms", ofd.StepUnique, "", with(normal, apart), nil)
	more("a name not marked as UTF-8", ofd.StepPackage, "not marked", with(NewEntry(tb, "Doc_0/Res/\u00e9.xml", nil)), nil)
	folder := NewEntry(tb, "Doc_0/Pages/", nil)
	more("a folder twice", ofd.StepUnique, "", with(folder, NewEntry(tb, "Doc_0/Pages/", nil)), nil)
	more("a folder with content", ofd.StepPackage, "content", with(NewEntry(tb, "Doc_0/Pages/", []byte("x"))), nil)
	behind := NewEntry(tb, "Doc_0/Pages/", nil)
	behind.Packed = slices.Concat(behind.Packed, forged.local(), forged.Packed)
	behind.Sizes(0, len(behind.Packed), 0)
	more("a page behind a folder", ofd.StepPackage, "does not use", with(behind), nil)

	// Attributes by which extractors make something else of a file.
	for name, attributes := range map[string]uint32{
		"a link": 0o120777 << 16, "a device": 0o060600 << 16, "a pipe": 0o010600 << 16, "a volume label": 8, "a folder": 0x10, "a Unix folder": 0o040755 << 16, "a reparse point": 0x400,
	} {
		one("a file that is "+name, ofd.StepPackage, "attributes", func(p *Entry) { p.Attributes = attributes })
	}
	link := NewEntry(tb, "Doc_0/Pages/", nil)
	link.Attributes = 0o120777 << 16
	more("a folder that is a link", ofd.StepPackage, "attributes", with(link), nil)
	return all
}

// Shapes are the ways in which other writers write a zip, as they were seen.
func Shapes(tb testing.TB, sealed []byte) map[string][]byte {
	tb.Helper()
	written := func(change func(p *Entry), more ...*Entry) []byte {
		list := Entries(tb, sealed)
		for _, p := range list {
			change(p)
		}
		return Join(slices.Concat(more, list))
	}
	ut, times := extra(0x5455, 3, 0, 0, 0, 0), extra(0x5455, 3, 0, 0, 0, 0, 0, 0, 0, 0)
	owner := extra(0x7875, 1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0)
	folder := NewEntry(tb, "Doc_0/", nil)
	folder.Streamed() // java.util.zip deflates folders
	bare := NewEntry(tb, "Doc_0/", nil)
	bare.Stored()
	bare.Attributes = 0o040755<<16 | 0x10
	bare.Extra, bare.LocalExtra = ut, times
	jar := NewEntry(tb, "Doc_0/", nil)
	jar.Stored()
	jar.Extra, jar.LocalExtra = extra(0xcafe), extra(0xcafe)
	utf8 := func(p *Entry) { p.Flags, p.LocalFlags = p.Flags|1<<11, p.LocalFlags|1<<11 }
	return map[string][]byte{
		"ours": sealed,
		"java.util.zip, commons-compress to a stream": written(func(p *Entry) { utf8(p); p.Streamed() }, folder),
		"java.util.zip with times":                    written(func(p *Entry) { utf8(p); p.Streamed(); p.Extra, p.LocalExtra = ut, times }),
		"jar":                                         written(func(p *Entry) { utf8(p); p.Streamed() }, jar),
		"commons-compress to a file":                  written(func(p *Entry) { utf8(p); p.LocalExtra = extra(1, le(uint64(p.Size), uint64(p.PackedSize))...) }),
		"zip64 sizes that were kept free": written(func(p *Entry) {
			p.LocalExtra = extra(1, le(uint64(p.Size), uint64(p.PackedSize))...)
			p.LocalSize, p.LocalPacked, p.LocalVersion = 0xffffffff, 0xffffffff, 45
		}),
		"Info-ZIP": written(func(p *Entry) {
			p.Extra, p.LocalExtra, p.Attributes = append(ut, owner...), append(times, owner...), 0o100644<<16
		}, bare),
		"Info-ZIP to a pipe":                 written(func(p *Entry) { size := p.LocalSize; p.Streamed(); p.LocalSize = size }, bare),
		"Windows, with times of NTFS":        written(func(p *Entry) { p.Extra, p.Attributes = extra(0x000a, make([]byte, 32)...), 0x20 }),
		"everything stored":                  written(func(p *Entry) { p.Stored() }),
		"Python, without a type in the mode": written(func(p *Entry) { p.Attributes = 0o600 << 16 }),
		"a compression level in the flags":   written(func(p *Entry) { p.Flags, p.LocalFlags = 2, 2 }),
	}
}

// Random makes a zip of entries of a package: each in the way of some writer, and sometimes something of it changed, a name
// that may be taken for another, or bytes of headers.
func Random(tb testing.TB, r *rand.Rand, list []*Entry) []byte {
	tb.Helper()
	out := make([]*Entry, 0, len(list)+3)
	for _, p := range list {
		out = append(out, new(*p))
	}
	for range r.IntN(3) {
		out = slices.Insert(out, r.IntN(len(out)+1), NewEntry(tb, randomName(r), []byte(forgedPage)[:r.IntN(len(forgedPage))]))
		if r.IntN(3) == 0 {
			folder := NewEntry(tb, randomName(r)+"/", nil)
			out = slices.Insert(out, r.IntN(len(out)+1), folder)
		}
	}
	for _, p := range out {
		dress(r, p)
	}
	for range r.IntN(3) - 1 {
		spoil(tb, r, out[r.IntN(len(out))])
	}
	pkg := Join(out)
	for range max(0, r.IntN(6)-4) { // in headers, where it is not noticed by a checksum
		at := r.IntN(len(pkg))
		for _, magic := range []string{"PK\x03\x04", "PK\x01\x02", "PK\x05\x06"} {
			if r.IntN(3) == 0 {
				if i := bytes.Index(pkg[at:], []byte(magic)); i >= 0 {
					at += i + r.IntN(min(60, len(pkg)-at-i))
					break
				}
			}
		}
		pkg[at] ^= 1 << r.IntN(8)
	}
	return pkg
}

// randomName is a name that mostly is new and sometimes means trouble.
func randomName(r *rand.Rand) string {
	parts := []string{"a", "b", "Doc_0", "Pages", "Res", "r", "content.xml", "a.xml", "A.XML", "\u00e9", "e\u0301", "\u6c49", "\u212a", "\u017f", "a;1", "a ", " a", "a.", "-a", "[a]", "~", "%41", "a&b", "#U6c49", "\ufeffa", "\uff0f", "\U0002070e", "a\u200db", "aux", "$x", "!", "'", "`", "a=b", "a,b", "@", "(", "{"}
	var name []string
	for range 1 + r.IntN(3) {
		name = append(name, parts[r.IntN(len(parts))])
	}
	return strings.Join(name, "/")
}

// dress writes an entry as some writer does.
func dress(r *rand.Rand, p *Entry) {
	if r.IntN(2) == 0 || strings.ContainsFunc(p.Name, func(c rune) bool { return c > 127 }) && r.IntN(8) > 0 {
		p.Flags, p.LocalFlags = p.Flags|1<<11, p.LocalFlags|1<<11
	}
	fields := [][]byte{extra(0x5455, 3, 0, 0, 0, 0), extra(0x7875, 1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0), extra(0x000a, make([]byte, 32)...), extra(0xcafe), extra(0x5855, make([]byte, 8)...), extra(0x7855, 0, 0, 0, 0)}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	p.Extra, p.LocalExtra = slices.Concat(fields[:r.IntN(3)]...), slices.Concat(fields[r.IntN(3):][:r.IntN(3)]...)
	switch r.IntN(5) {
	case 0:
		p.Stored()
	case 1, 2:
		size := p.LocalSize
		if p.Streamed(); r.IntN(2) == 0 {
			p.LocalSize = size
		}
	case 3:
		p.LocalExtra = append(p.LocalExtra, extra(1, le(uint64(p.Size), uint64(p.PackedSize))...)...)
		if r.IntN(2) == 0 {
			p.LocalSize, p.LocalPacked, p.LocalVersion = 0xffffffff, 0xffffffff, 45
		}
	}
	if kind := uint32(0o100000); r.IntN(3) == 0 {
		if strings.HasSuffix(p.Name, "/") {
			kind = 0o040000
		}
		p.Attributes = (kind | 0o644) << 16
	}
}

// spoil changes one thing of an entry.
func spoil(tb testing.TB, r *rand.Rand, p *Entry) {
	junk := []byte(forgedPage)[:1+r.IntN(40)]
	switch r.IntN(16) {
	case 0:
		p.Packed = append(slices.Clone(p.Packed), junk...)
		p.PackedSize = uint32(len(p.Packed))
	case 1:
		p.Descriptor = append(slices.Clone(p.Descriptor), junk...)
	case 2:
		p.Before = junk
	case 3:
		p.Extra = append(slices.Clone(p.Extra), extra(uint16(r.IntN(1<<16)), junk...)...)
	case 4:
		p.LocalExtra = append(slices.Clone(p.LocalExtra), extra(uint16(r.IntN(1<<16)), junk...)...)
	case 5:
		path := unicodePath(p.Name, randomName(r))
		p.Extra, p.LocalExtra = append(slices.Clone(p.Extra), path...), append(slices.Clone(p.LocalExtra), path...)
	case 6:
		p.Flags ^= 1 << r.IntN(16)
	case 7:
		p.LocalFlags ^= 1 << r.IntN(16)
	case 8:
		bit := uint16(1) << r.IntN(16)
		p.Flags, p.LocalFlags = p.Flags^bit, p.LocalFlags^bit
	case 9:
		p.LocalName = randomName(r)
	case 10:
		p.Name = randomName(r)
		p.LocalName = p.Name
	case 11:
		p.Attributes = r.Uint32()
	case 12:
		p.LocalSize, p.LocalPacked = uint32(r.IntN(300)), uint32(r.IntN(300))
	case 13:
		p.Method, p.LocalMethod = uint16(r.IntN(16)), uint16(r.IntN(16))
	case 14:
		p.Comment = string(junk)
	case 15:
		if p.Method == 8 {
			next := NewEntry(tb, p.Name, junk)
			p.Packed = slices.Concat(p.Packed, le(uint32(0x08074b50), p.CRC, uint32(len(p.Packed)), p.Size), next.local(), next.Packed)
			p.Sizes(p.CRC, len(p.Packed), len(p.Data))
			p.Streamed()
		}
	}
}
