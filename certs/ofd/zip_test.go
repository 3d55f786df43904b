package ofd_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"oncegate/certs/ofd"
)

// piece is an entry of a zip, every field of which a test can set.
type piece struct {
	name, localName        string
	data, packed           []byte
	method, localMethod    uint16
	flags, localFlags      uint16
	crc                    uint32
	size, packedSize       uint32
	localCRC               uint32
	localSize, localPacked uint32
	version, localVersion  uint16
	extra, localExtra      []byte
	attributes             uint32
	disk                   uint16
	comment                string
	before, descriptor     []byte // before the local header; behind the packed bytes
	at                     int    // of the local header; set by join
	elsewhere              *piece // whose local header the directory names instead
}

// deflated is what compress/flate makes of data.
func deflated(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// newPiece is an ordinary entry.
func newPiece(tb testing.TB, name string, data []byte) *piece {
	packed := deflated(tb, data)
	p := &piece{name: name, localName: name, data: data, packed: packed, method: 8, localMethod: 8, version: 20, localVersion: 20}
	p.sizes(crc32.ChecksumIEEE(data), len(packed), len(data))
	return p
}

// sizes sets checksum and sizes in both headers.
func (p *piece) sizes(crc uint32, packed, size int) {
	p.crc, p.packedSize, p.size = crc, uint32(packed), uint32(size)
	p.localCRC, p.localPacked, p.localSize = p.crc, p.packedSize, p.size
}

// stored packs by not packing.
func (p *piece) stored() {
	p.packed, p.method, p.localMethod = p.data, 0, 0
	p.sizes(p.crc, len(p.data), len(p.data))
}

// streamed is how writers leave an entry whose sizes they do not know beforehand.
func (p *piece) streamed() {
	p.flags, p.localFlags = p.flags|8, p.localFlags|8
	p.localCRC, p.localPacked, p.localSize = 0, 0, 0
	p.descriptor = le(uint32(0x08074b50), p.crc, p.packedSize, p.size)
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

func (p *piece) local() []byte {
	return append(le(uint32(0x04034b50), p.localVersion, p.localFlags, p.localMethod, uint16(0), uint16(33), p.localCRC,
		p.localPacked, p.localSize, uint16(len(p.localName)), uint16(len(p.localExtra))), p.localName+string(p.localExtra)...)
}

func (p *piece) header() []byte {
	at := p.at
	if p.elsewhere != nil {
		at = p.elsewhere.at
	}
	return append(le(uint32(0x02014b50), uint16(20), p.version, p.flags, p.method, uint16(0), uint16(33), p.crc, p.packedSize,
		p.size, uint16(len(p.name)), uint16(len(p.extra)), uint16(len(p.comment)), p.disk, uint16(0), p.attributes, uint32(at)),
		p.name+string(p.extra)+p.comment...)
}

// ending is what stands behind the entries, every field of which a test can set.
type ending struct {
	before, after []byte // the directory; the end record
	comment       string
	count         int
	disk, less    uint16
	offset        int // added
}

// join writes the zip.
func join(pieces []*piece, change func(*ending)) []byte {
	var b bytes.Buffer
	for _, p := range pieces {
		b.Write(p.before)
		p.at = b.Len()
		b.Write(p.local())
		b.Write(p.packed)
		b.Write(p.descriptor)
	}
	end := ending{count: len(pieces)}
	if change != nil {
		change(&end)
	}
	b.Write(end.before)
	start := b.Len()
	for _, p := range pieces {
		b.Write(p.header())
	}
	size := b.Len() - start
	b.Write(le(uint32(0x06054b50), end.disk, end.disk, uint16(end.count)-end.less, uint16(end.count), uint32(size), uint32(start+end.offset),
		uint16(len(end.comment))))
	b.WriteString(end.comment)
	b.Write(end.after)
	return b.Bytes()
}

// pieces takes a package apart.
func pieces(tb testing.TB, pkg []byte) (all []*piece) {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	for name, files := 0, unpack(tb, pkg); name < len(z.File); name++ {
		all = append(all, newPiece(tb, z.File[name].Name, files[z.File[name].Name]))
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

// An ambiguity is a package that two readers may see differently.
type ambiguity struct {
	name   string
	pkg    []byte
	step   string
	reason string // part of it
}

// ambiguities are made of a sealed package: its signatures hold for readers that see what was sealed.
func ambiguities(tb testing.TB, sealed []byte) (all []ambiguity) {
	tb.Helper()
	base := pieces(tb, sealed)
	fresh := func() []*piece {
		list := make([]*piece, len(base))
		for i, p := range base {
			list[i] = new(*p)
		}
		return list
	}
	// one changes the page's entry; more adds entries or changes others.
	one := func(name, step, reason string, change func(p *piece)) {
		list := fresh()
		for _, p := range list {
			if p.name == contentFile {
				change(p)
			}
		}
		all = append(all, ambiguity{name, join(list, nil), step, reason})
	}
	more := func(name, step, reason string, change func(list []*piece) []*piece, end func(*ending)) {
		all = append(all, ambiguity{name, join(change(fresh()), end), step, reason})
	}
	with := func(added ...*piece) func([]*piece) []*piece {
		return func(list []*piece) []*piece { return append(list, added...) }
	}
	none := with()
	forged := newPiece(tb, contentFile, []byte(forgedPage))

	// What a deflate stream leaves over.
	one("a page behind the end of a stream with a data descriptor", ofd.StepPackage, "does not use", func(p *piece) {
		next := newPiece(tb, contentFile, []byte(forgedPage))
		p.packed = slices.Concat(p.packed, le(uint32(0x08074b50), p.crc, uint32(len(p.packed)), p.size), next.local(), next.packed)
		p.sizes(p.crc, len(p.packed), len(p.data))
		p.streamed()
	})
	one("a page behind the end of a stream", ofd.StepPackage, "does not use", func(p *piece) {
		p.packed = slices.Concat(p.packed, forged.local(), forged.packed)
		p.sizes(p.crc, len(p.packed), len(p.data))
	})
	one("a byte behind the end of a stream", ofd.StepPackage, "does not use", func(p *piece) {
		p.packed = append(p.packed, 0)
		p.sizes(p.crc, len(p.packed), len(p.data))
	})
	one("a stream without an end", ofd.StepPackage, "does not unpack", func(p *piece) {
		p.packed = append([]byte{0}, le(uint16(len(p.data)), ^uint16(len(p.data)))...) // a block that is not the last
		p.packed = append(p.packed, p.data...)
		p.sizes(p.crc, len(p.packed), len(p.data))
	})
	one("a file that is longer than it says", ofd.StepPackage, "does not unpack", func(p *piece) {
		p.sizes(crc32.ChecksumIEEE(p.data[:len(p.data)-1]), len(p.packed), len(p.data)-1)
	})
	one("a file that is shorter than it says", ofd.StepPackage, "does not unpack", func(p *piece) { p.sizes(p.crc, len(p.packed), len(p.data)+1) })

	// What the two headers of an entry say.
	one("a name of its own in the local header", ofd.StepPackage, "name", func(p *piece) { p.localName = "Doc_0/Pages/Page_0/Content.xm_" })
	one("a longer name in the local header", ofd.StepPackage, "name", func(p *piece) { p.localName += "l" })
	one("flags of its own in the local header", ofd.StepPackage, "flags", func(p *piece) { p.localFlags |= 1 << 11 })
	one("a descriptor that only the local header announces", ofd.StepPackage, "flags", func(p *piece) { p.localFlags |= 8 })
	one("a descriptor that only the directory announces", ofd.StepPackage, "flags", func(p *piece) { p.flags |= 8 })
	one("a method of its own in the local header", ofd.StepPackage, "method", func(p *piece) { p.localMethod = 0 })
	one("a checksum of its own in the local header", ofd.StepPackage, "checksum", func(p *piece) { p.localCRC++ })
	one("no checksum in the local header", ofd.StepPackage, "checksum", func(p *piece) { p.localCRC = 0 })
	one("a size of its own in the local header", ofd.StepPackage, "size", func(p *piece) { p.localSize++ })
	one("a packed size of its own in the local header", ofd.StepPackage, "size", func(p *piece) { p.localPacked-- })
	one("sizes in the local header that a descriptor corrects", ofd.StepPackage, "size", func(p *piece) {
		p.streamed()
		p.localPacked = p.packedSize - 1
	})
	one("a version that nobody has", ofd.StepPackage, "version", func(p *piece) { p.version, p.localVersion = 63, 63 })
	one("a version that nobody has in the local header", ofd.StepPackage, "version", func(p *piece) { p.localVersion = 63 })

	// Data descriptors.
	one("a descriptor without signature", ofd.StepPackage, "data descriptor", func(p *piece) {
		p.streamed()
		p.descriptor = p.descriptor[4:]
	})
	one("a descriptor with sizes of eight bytes", ofd.StepPackage, "data descriptor", func(p *piece) {
		p.streamed()
		p.descriptor = le(uint32(0x08074b50), p.crc, uint64(p.packedSize), uint64(p.size))
	})
	one("no descriptor", ofd.StepPackage, "data descriptor", func(p *piece) { p.streamed(); p.descriptor = nil })
	one("a descriptor of another checksum", ofd.StepPackage, "data descriptor", func(p *piece) { p.streamed(); p.descriptor[4]++ })
	one("a descriptor of another size", ofd.StepPackage, "data descriptor", func(p *piece) { p.streamed(); p.descriptor[12]++ })
	one("a descriptor of another packed size", ofd.StepPackage, "data descriptor", func(p *piece) { p.streamed(); p.descriptor[8]++ })
	one("a descriptor that is not announced", ofd.StepPackage, "belong to no file", func(p *piece) {
		p.descriptor = le(uint32(0x08074b50), p.crc, p.packedSize, p.size)
	})
	one("a stored file with its size behind it", ofd.StepPackage, "is stored", func(p *piece) { p.stored(); p.streamed() })

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
		one("extra field in the directory: "+x.name, ofd.StepPackage, x.reason, func(p *piece) { p.extra = x.extra })
		one("extra field in the local header: "+x.name, ofd.StepPackage, x.reason, func(p *piece) { p.localExtra = x.extra })
	}
	zip64 := func(p *piece) []byte { return extra(1, le(uint64(p.size), uint64(p.packedSize))...) }
	one("zip64 sizes in the directory", ofd.StepPackage, "zip64", func(p *piece) { p.extra = zip64(p) })
	one("zip64 sizes of its own in the local header", ofd.StepPackage, "zip64", func(p *piece) {
		p.localExtra = extra(1, le(uint64(p.size), uint64(p.packedSize)+1)...)
		p.localSize, p.localPacked = 0xffffffff, 0xffffffff
	})
	one("no zip64 sizes in the local header", ofd.StepPackage, "size", func(p *piece) { p.localSize, p.localPacked = 0xffffffff, 0xffffffff })
	one("zip64 sizes beside a descriptor", ofd.StepPackage, "zip64", func(p *piece) { p.localExtra = zip64(p); p.streamed() })
	one("a Unicode Path renames another entry to the page", ofd.StepPackage, "0x7075", func(p *piece) {})
	all[len(all)-1].pkg = func() []byte {
		p := newPiece(tb, "Doc_0/Res/a.xml", []byte(forgedPage))
		p.extra = unicodePath(p.name, contentFile)
		p.localExtra = p.extra
		return join(append(fresh(), p), nil)
	}()

	// Bytes of no file.
	more("bytes before the first entry", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece { l[0].before = []byte("MZ"); return l }, nil)
	more("a page before the first entry", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece {
		l[0].before = slices.Concat(forged.local(), forged.packed)
		return l
	}, nil)
	more("bytes between entries", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece { l[2].before = make([]byte, 24); return l }, nil)
	more("a page between entries", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece {
		l[len(l)-1].before = slices.Concat(forged.local(), forged.packed)
		return l
	}, nil)
	more("bytes between an entry with a descriptor and the next", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece {
		l[1].streamed()
		l[2].before = make([]byte, 8)
		return l
	}, nil)
	more("a page before the directory", ofd.StepPackage, "belong to no file", none, func(e *ending) { e.before = slices.Concat(forged.local(), forged.packed) })
	more("bytes after the end record", ofd.StepPackage, "end record", none, func(e *ending) { e.after = []byte("x") })
	more("a comment", ofd.StepPackage, "end record", none, func(e *ending) { e.comment = "made by somebody" })
	more("a comment with an end record in it", ofd.StepPackage, "", none, func(e *ending) {
		e.comment = string(le(uint32(0x06054b50), uint16(0), uint16(0), uint16(0), uint16(0), uint32(0), uint32(0), uint16(0)))
	})
	more("another package after the end record", ofd.StepPackage, "", none, func(e *ending) {
		e.after = join([]*piece{newPiece(tb, "OFD.xml", []byte("<a/>"))}, nil)
	})
	more("a comment of an entry", ofd.StepPackage, "comment", func(l []*piece) []*piece { l[1].comment = "PK"; return l }, nil)
	more("a whole package before this one", ofd.StepPackage, "belong to no file", func(l []*piece) []*piece { l[0].before = sealed; return l }, nil)

	// The directory.
	more("two entries over each other", ofd.StepPackage, "over each other", func(l []*piece) []*piece {
		twin := *l[1]
		twin.name, twin.localName, twin.packed, twin.before = "Doc_0/Res/b.xml", "Doc_0/Res/b.xml", nil, nil
		l[1].packed = append(l[1].packed, twin.local()...)
		l[1].sizes(l[1].crc, len(l[1].packed), len(l[1].data))
		twin.elsewhere = &piece{}
		return append(l, &twin)
	}, nil)
	more("one local header for two entries", ofd.StepPackage, "over each other", func(l []*piece) []*piece {
		l[2].elsewhere = l[1]
		return l
	}, nil)
	more("fewer entries than the end record says", ofd.StepPackage, "fewer", none, func(e *ending) { e.count++ })
	more("more entries than the end record says", ofd.StepPackage, "more", none, func(e *ending) { e.count-- })
	more("several parts", ofd.StepPackage, "several parts", none, func(e *ending) { e.disk = 1 })
	more("entries in another part", ofd.StepPackage, "several parts", none, func(e *ending) { e.less = 1 })
	more("an entry in another part", ofd.StepPackage, "several parts", func(l []*piece) []*piece { l[1].disk = 1; return l }, nil)
	more("a directory somewhere else", ofd.StepPackage, "not where", none, func(e *ending) { e.offset = -4 })
	more("a zip64 locator in the last extra field", ofd.StepPackage, "zip64 directory", func(l []*piece) []*piece {
		l[len(l)-1].extra = extra(0x000a, append(make([]byte, 12), le(uint32(0x07064b50), uint32(0), uint64(4), uint32(1))...)...)
		return l
	}, nil)

	// What is done to the bytes.
	for name, flag := range map[string]uint16{"encrypted": 1, "patched": 1 << 5, "strongly encrypted": 1<<6 | 1, "masked": 1 << 13, "of a flag of tomorrow": 1 << 15, "enhanced": 1 << 4} {
		one("a file that is "+name, ofd.StepPackage, "", func(p *piece) { p.flags, p.localFlags = flag, flag })
	}
	for _, method := range []uint16{1, 6, 9, 12, 14, 93, 95, 98, 99} {
		one(fmt.Sprintf("method %d", method), ofd.StepPackage, "method", func(p *piece) { p.method, p.localMethod = method, method })
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
		p := newPiece(tb, x.name, data)
		p.flags, p.localFlags = 1<<11, 1<<11
		more("a name "+x.kind, x.step, "", with(p), nil)
	}
	normal, apart := newPiece(tb, "Doc_0/Res/caf\u00e9.xml", nil), newPiece(tb, "Doc_0/Res/cafe\u0301.xml", []byte(forgedPage))
	normal.flags, normal.localFlags, apart.flags, apart.localFlags = 1<<11, 1<<11, 1<<11, 1<<11
	more("a name in two normal forms", ofd.StepUnique, "", with(normal, apart), nil)
	more("a name not marked as UTF-8", ofd.StepPackage, "not marked", with(newPiece(tb, "Doc_0/Res/\u00e9.xml", nil)), nil)
	folder := newPiece(tb, "Doc_0/Pages/", nil)
	more("a folder twice", ofd.StepUnique, "", with(folder, newPiece(tb, "Doc_0/Pages/", nil)), nil)
	more("a folder with content", ofd.StepPackage, "content", with(newPiece(tb, "Doc_0/Pages/", []byte("x"))), nil)
	behind := newPiece(tb, "Doc_0/Pages/", nil)
	behind.packed = slices.Concat(behind.packed, forged.local(), forged.packed)
	behind.sizes(0, len(behind.packed), 0)
	more("a page behind a folder", ofd.StepPackage, "does not use", with(behind), nil)

	// Attributes by which extractors make something else of a file.
	for name, attributes := range map[string]uint32{
		"a link": 0o120777 << 16, "a device": 0o060600 << 16, "a pipe": 0o010600 << 16, "a volume label": 8, "a folder": 0x10, "a Unix folder": 0o040755 << 16, "a reparse point": 0x400,
	} {
		one("a file that is "+name, ofd.StepPackage, "attributes", func(p *piece) { p.attributes = attributes })
	}
	link := newPiece(tb, "Doc_0/Pages/", nil)
	link.attributes = 0o120777 << 16
	more("a folder that is a link", ofd.StepPackage, "attributes", with(link), nil)
	return all
}

// TestOneDocument refuses every package that two readers may see differently, in words that name the fault.
func TestOneDocument(t *testing.T) {
	b := newBureau(t)
	for _, a := range ambiguities(t, b.sealed(t)) {
		r := b.verify(t, a.pkg)
		if got := failures(r); !slices.Equal(got, []string{a.step}) || len(r.Steps) != 1 || !strings.Contains(r.Steps[0].Reason, a.reason) {
			t.Errorf("%s: %v %+v", a.name, got, r.Steps)
		}
	}
}

// shapes are the ways in which other writers write a zip, as they were seen.
func shapes(tb testing.TB, sealed []byte) map[string][]byte {
	tb.Helper()
	written := func(change func(p *piece), more ...*piece) []byte {
		list := pieces(tb, sealed)
		for _, p := range list {
			change(p)
		}
		return join(slices.Concat(more, list), nil)
	}
	ut, times := extra(0x5455, 3, 0, 0, 0, 0), extra(0x5455, 3, 0, 0, 0, 0, 0, 0, 0, 0)
	owner := extra(0x7875, 1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0)
	folder := newPiece(tb, "Doc_0/", nil)
	folder.streamed() // java.util.zip deflates folders
	bare := newPiece(tb, "Doc_0/", nil)
	bare.stored()
	bare.attributes = 0o040755<<16 | 0x10
	bare.extra, bare.localExtra = ut, times
	jar := newPiece(tb, "Doc_0/", nil)
	jar.stored()
	jar.extra, jar.localExtra = extra(0xcafe), extra(0xcafe)
	utf8 := func(p *piece) { p.flags, p.localFlags = p.flags|1<<11, p.localFlags|1<<11 }
	return map[string][]byte{
		"ours": sealed,
		"java.util.zip, commons-compress to a stream": written(func(p *piece) { utf8(p); p.streamed() }, folder),
		"java.util.zip with times":                    written(func(p *piece) { utf8(p); p.streamed(); p.extra, p.localExtra = ut, times }),
		"jar":                                         written(func(p *piece) { utf8(p); p.streamed() }, jar),
		"commons-compress to a file":                  written(func(p *piece) { utf8(p); p.localExtra = extra(1, le(uint64(p.size), uint64(p.packedSize))...) }),
		"zip64 sizes that were kept free": written(func(p *piece) {
			p.localExtra = extra(1, le(uint64(p.size), uint64(p.packedSize))...)
			p.localSize, p.localPacked, p.localVersion = 0xffffffff, 0xffffffff, 45
		}),
		"Info-ZIP": written(func(p *piece) {
			p.extra, p.localExtra, p.attributes = append(ut, owner...), append(times, owner...), 0o100644<<16
		}, bare),
		"Info-ZIP to a pipe":                 written(func(p *piece) { size := p.localSize; p.streamed(); p.localSize = size }, bare),
		"Windows, with times of NTFS":        written(func(p *piece) { p.extra, p.attributes = extra(0x000a, make([]byte, 32)...), 0x20 }),
		"everything stored":                  written(func(p *piece) { p.stored() }),
		"Python, without a type in the mode": written(func(p *piece) { p.attributes = 0o600 << 16 }),
		"a compression level in the flags":   written(func(p *piece) { p.flags, p.localFlags = 2, 2 }),
	}
}

// TestWriters reads zips in the shapes of other vendors' writers.
func TestWriters(t *testing.T) {
	b := newBureau(t)
	sealed := b.sealed(t)
	for name, pkg := range shapes(t, sealed) {
		if r := b.verify(t, pkg); failures(r) != nil || len(r.Signatures) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

var errStream = errors.New("not read to the end as a stream")

// stream reads a zip as one that cannot seek does: local headers from the first byte on, sizes by inflating, names of their
// own. It believes nothing that stands in the directory. As map-filling readers do, the last file of a name wins.
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

// FuzzReaders changes bytes of packages of every shape. What is accepted is the same files, byte for byte, by the directory
// and as a stream. Readers of other makers have the same corpus in interop/matrix.
func FuzzReaders(f *testing.F) {
	b := newBureau(f)
	sealed := b.sealed(f)
	for _, pkg := range shapes(f, sealed) {
		f.Add(pkg)
	}
	for _, a := range ambiguities(f, sealed) {
		f.Add(a.pkg)
	}
	f.Fuzz(func(t *testing.T, pkg []byte) {
		ours := read(t, b, pkg)
		if ours == nil {
			return
		}
		for name, reader := range map[string]func([]byte) (map[string][]byte, error){"by its directory": direct, "as a stream": stream} {
			theirs, err := reader(pkg)
			if err != nil || !maps.EqualFunc(ours, theirs, bytes.Equal) {
				t.Errorf("read %s, the package has other files: %v", name, err)
			}
		}
	})
}
