package ofd_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/ofd"
)

// put is one entry to write.
type put struct {
	header zip.FileHeader
	data   []byte
}

// zipOf writes entries as they are said to be; in raw ones, header and data need not fit.
func zipOf(tb testing.TB, raw bool, entries ...put) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		create := w.CreateHeader
		if raw {
			create = w.CreateRaw
		}
		f, err := create(&e.header)
		if err == nil {
			_, err = f.Write(e.data)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func named(name string) put {
	return put{zip.FileHeader{Name: name, Method: zip.Deflate}, []byte("x")}
}

// hostile are packages that must be refused, each with the step that names why.
func hostile(tb testing.TB, sealed []byte) map[string]struct {
	pkg  []byte
	step string
} {
	many := make([]put, 100_000)
	for i := range many {
		many[i] = put{header: zip.FileHeader{Name: strings.Repeat("a", i%7) + string(rune('A'+i%26)) + time.Duration(i).String()}}
	}
	root := func(text string) []byte { return edit(tb, sealed, replaceAll("OFD.xml", text)) }
	bomb := zipOf(tb, false, put{zip.FileHeader{Name: "OFD.xml", Method: zip.Deflate}, make([]byte, 64<<20)})
	encrypted := slices.Clone(sealed)
	for _, magic := range []string{"PK\x01\x02", "PK\x03\x04"} {
		at := bytes.Index(encrypted, []byte(magic))
		offset := map[byte]int{1: 8, 3: 6}[magic[2]]
		encrypted[at+offset] |= 1
	}
	method := slices.Clone(sealed)
	method[bytes.Index(method, []byte("PK\x01\x02"))+10] = 14
	local := slices.Clone(sealed)
	local[bytes.Index(local, []byte("OFD.xml"))] = 'X'
	hidden := func() []byte { // a whole package before the one that the directory describes
		moved := slices.Clone(sealed)
		end := bytes.LastIndex(moved, []byte("PK\x05\x06"))
		first := int(binary.LittleEndian.Uint32(moved[end+16:]))
		binary.LittleEndian.PutUint32(moved[end+16:], uint32(first+len(sealed)))
		for at := first; at < end; {
			binary.LittleEndian.PutUint32(moved[at+42:], binary.LittleEndian.Uint32(moved[at+42:])+uint32(len(sealed)))
			at += 46 + int(binary.LittleEndian.Uint16(moved[at+28:])) + int(binary.LittleEndian.Uint16(moved[at+30:]))
		}
		return append(slices.Clone(sealed), moved...)
	}()
	overlap := slices.Clone(sealed)
	{ // the second header of the directory leads to the first file
		end := bytes.LastIndex(overlap, []byte("PK\x05\x06"))
		first := int(binary.LittleEndian.Uint32(overlap[end+16:]))
		second := first + 46 + int(binary.LittleEndian.Uint16(overlap[first+28:]))
		copy(overlap[second+42:second+46], overlap[first+42:first+46])
	}
	return map[string]struct {
		pkg  []byte
		step string
	}{
		"empty":                {nil, ofd.StepPackage},
		"no zip":               {bytes.Repeat([]byte("PK"), 100), ofd.StepPackage},
		"100,000 entries":      {zipOf(tb, false, many...), ofd.StepPackage},
		"10,001 entries":       {zipOf(tb, false, many[:ofd.MaxEntries+1]...), ofd.StepPackage},
		"bomb by ratio":        {bomb, ofd.StepPackage},
		"path traversal":       {zipOf(tb, false, named("a/../../OFD.xml")), ofd.StepPackage},
		"absolute name":        {zipOf(tb, false, named("/OFD.xml")), ofd.StepPackage},
		"drive":                {zipOf(tb, false, named("C:OFD.xml")), ofd.StepPackage},
		"back slash":           {zipOf(tb, false, named(`Doc_0\Document.xml`)), ofd.StepPackage},
		"empty part":           {zipOf(tb, false, named("Doc_0//Document.xml")), ofd.StepPackage},
		"dot at the end":       {zipOf(tb, false, named("OFD.xml.")), ofd.StepPackage},
		"zero byte":            {zipOf(tb, false, named("OFD.xml\x00.png")), ofd.StepPackage},
		"name not UTF-8":       {zipOf(tb, false, named("\xff.xml")), ofd.StepPackage},
		"duplicate":            {zipOf(tb, false, named("OFD.xml"), named("OFD.xml")), ofd.StepUnique},
		"case trick":           {zipOf(tb, false, named("OFD.xml"), named("ofd.XML")), ofd.StepUnique},
		"encrypted":            {encrypted, ofd.StepPackage},
		"unknown method":       {method, ofd.StepPackage},
		"two names":            {local, ofd.StepPackage},
		"bytes after the end":  {append(slices.Clone(sealed), 0), ofd.StepPackage},
		"hidden package":       {hidden, ofd.StepPackage},
		"overlapping entries":  {overlap, ofd.StepPackage},
		"checksum":             {zipOf(tb, true, put{zip.FileHeader{Name: "OFD.xml", CRC32: 1, CompressedSize64: 1, UncompressedSize64: 1}, []byte("x")}), ofd.StepPackage},
		"size that lies":       {zipOf(tb, true, put{zip.FileHeader{Name: "OFD.xml", Method: zip.Deflate, CompressedSize64: 5, UncompressedSize64: 9}, []byte{1, 0, 0, 0xff, 0xff}}), ofd.StepPackage},
		"entity":               {root(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`), ofd.StepXML},
		"entity without DTD":   {root(`<a>&b;</a>`), ofd.StepXML},
		"10,000 levels":        {root(strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000)), ofd.StepXML},
		"100,000 elements":     {root("<a>" + strings.Repeat("<b/>", 100_000) + "</a>"), ofd.StepXML},
		"100,000 attributes":   {root("<a" + strings.Repeat(` b=""`, 100_000) + "/>"), ofd.StepXML},
		"attribute twice":      {root(`<OFD DocType="OFD" Version="1.0" DocType="OFD"/>`), ofd.StepXML},
		"two roots":            {root(`<a/><b/>`), ofd.StepXML},
		"end of another":       {root(`<a></b>`), ofd.StepXML},
		"not closed":           {root(`<a>`), ofd.StepXML},
		"GBK":                  {root(`<?xml version="1.0" encoding="GBK"?><a/>`), ofd.StepXML},
		"5 MB of XML":          {root("<a>" + noise(5<<20) + "</a>"), ofd.StepXML},
		"no OFD.xml":           {zipOf(tb, false, named("a")), ofd.StepDocument},
		"another document":     {root(`<PDF/>`), ofd.StepDocument},
		"version 2":            {root(`<OFD DocType="OFD" Version="2.0"/>`), ofd.StepDocument},
		"no document":          {root(`<OFD DocType="OFD" Version="1.0"/>`), ofd.StepDocument},
		"two documents":        {root(`<OFD DocType="OFD" Version="1.0"><DocBody/><DocBody/></OFD>`), ofd.StepDocument},
		"document away":        {root(`<OFD DocType="OFD" Version="1.0"><DocBody><DocRoot>../../a</DocRoot></DocBody></OFD>`), ofd.StepDocument},
		"page away":            {edit(tb, sealed, without("Content.xml")), ofd.StepDocument},
		"65 signatures":        {edit(tb, sealed, replaceAll("Signatures.xml", "<a>"+strings.Repeat("<Signature/>", 65)+"</a>")), ofd.StepDocument},
		"list that is no XML":  {edit(tb, sealed, replaceAll("Signatures.xml", "<a")), ofd.StepXML},
		"300 MB in many files": {zipOf(tb, false, zeroFiles()...), ofd.StepPackage},
	}
}

// noise is text that packs badly.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return string(b)
}

// zeroFiles unpack to 300 MB, none with a ratio that stands out.
func zeroFiles() []put {
	data := bytes.Repeat([]byte{0}, 1<<20)
	out := make([]put, 300)
	for i := range out {
		out[i] = put{zip.FileHeader{Name: time.Duration(i).String(), Method: zip.Deflate}, data}
	}
	return out
}

// replaceAll is the edit that gives the files whose name ends in suffix another content.
func replaceAll(suffix, text string) func(string, []byte) []byte {
	return func(name string, data []byte) []byte {
		if strings.HasSuffix(name, suffix) {
			return []byte(text)
		}
		return data
	}
}

// TestHostile refuses hostile packages by name, in little time and memory.
func TestHostile(t *testing.T) {
	b := newBureau(t)
	for name, test := range hostile(t, b.sealed(t)) {
		start, before := time.Now(), allocated()
		r := b.verify(t, test.pkg)
		took, used := time.Since(start), allocated()-before
		if got := failures(r); !slices.Equal(got, []string{test.step}) {
			t.Errorf("%s: %v %+v", name, got, r.Steps)
		}
		if used > 64<<20 || took > 2*time.Second {
			t.Errorf("%s: %d bytes, %v", name, used, took)
		}
	}
}

// allocated is how much memory was ever allocated: more than what is held at any moment.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestCutOff cuts a sealed package at every byte: a refusal, never a panic or an unexplained error.
func TestCutOff(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	for n := range pkg {
		p, err := ofd.Open(t.Context(), bytes.NewReader(pkg[:n]), int64(n))
		var refusal *ofd.Refusal
		if p != nil || !errors.As(err, &refusal) || refusal.Step != ofd.StepPackage || refusal.Reason == "" {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// TestCutOffFiles cuts each file of a sealed package at many places: something fails by name.
func TestCutOffFiles(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	for name, data := range unpack(t, pkg) {
		for n := 0; n < len(data); n += 1 + len(data)/40 {
			cut := edit(t, pkg, func(at string, data []byte) []byte {
				if at == name {
					return data[:n:n]
				}
				return data
			})
			if got := failures(b.verify(t, cut)); len(got) == 0 {
				t.Errorf("%s cut at %d of %d bytes: holds", name, n, len(data))
			}
		}
	}
}

// TestFlippedByte changes single bytes of the zip: the package never holds with another content.
func TestFlippedByte(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	files := unpack(t, pkg)
	for at := 0; at < len(pkg); at += 7 {
		changed := slices.Clone(pkg)
		changed[at] ^= 0x11
		r := b.verify(t, changed)
		if len(failures(r)) == 0 && !sameFiles(t, files, changed) {
			t.Errorf("byte %d of %d: holds with another content", at, len(pkg))
		}
	}
}

func sameFiles(t *testing.T, want map[string][]byte, pkg []byte) bool {
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil || len(z.File) != len(want) {
		return false
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return false
		}
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, want[f.Name]) {
			return false
		}
	}
	return true
}

// TestReaderFails passes on a fault of the reader, which says nothing about the package.
func TestReaderFails(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	boom := errors.New("the disk is away")
	for allowed := range 12 {
		r := &failing{bytes.NewReader(pkg), allowed, boom}
		if _, err := ofd.Verify(t.Context(), r, int64(len(pkg)), b.judges); !errors.Is(err, boom) {
			t.Errorf("after %d reads: %v", allowed, err)
		}
	}
}

type failing struct {
	io.ReaderAt
	left int
	err  error
}

func (f *failing) ReadAt(b []byte, at int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

// TestManyFiles verifies the largest packages within the memory bound: 10,000 files under one signature, and a file of
// 12 MB.
func TestManyFiles(t *testing.T) {
	b := newBureau(t)
	files := []string{}
	for i := range 9_900 {
		files = append(files, "Doc_0/Res/"+time.Duration(i).String(), "x")
	}
	many := b.sign(t, edit(t, b.write(t, document(t)), same, files...), b.sealing())
	large := b.sign(t, edit(t, b.write(t, document(t)), same, "Doc_0/Res/video.bin", noise(12<<20)), b.sealing())
	for name, pkg := range map[string][]byte{"many": many, "large": large} {
		runtime.GC()
		start, before := time.Now(), allocated()
		r := b.verify(t, pkg)
		used := allocated() - before
		if failures(r) != nil || used > 64<<20 {
			t.Errorf("%s: %v, %d bytes", name, failures(r), used)
		}
		t.Logf("%s: %d bytes of package, %d bytes allocated, %v", name, len(pkg), used, time.Since(start))
	}
}
