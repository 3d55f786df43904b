package ofd

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"oncegate/sheet"
)

// archive writes a zip: the same files give the same bytes. Sizes stand before the content, because readers that stream
// stumble over data descriptors, and every entry has the earliest time that a zip can express.
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

// markup writes XML, every element in the OFD namespace under the prefix ofd, which is the one that all readers know. It
// remembers the first value that cannot be written.
type markup struct {
	b    bytes.Buffer
	open []string
	err  error
}

// newMarkup begins a file with its root element.
func newMarkup(root string, attrs ...string) *markup {
	m := &markup{}
	m.b.WriteString(xml.Header[:len(xml.Header)-1])
	m.begin(root, append([]string{"xmlns:ofd", Namespace}, attrs...)...)
	return m
}

// begin opens an element. Attrs are names and values by turns; an attribute without value is left out.
func (m *markup) begin(name string, attrs ...string) {
	m.tag(name, attrs, ">")
	m.open = append(m.open, name)
}

// end closes the last open element.
func (m *markup) end() {
	last := len(m.open) - 1
	m.b.WriteString("</ofd:" + m.open[last] + ">")
	m.open = m.open[:last]
}

// empty writes an element without content.
func (m *markup) empty(name string, attrs ...string) { m.tag(name, attrs, "/>") }

// text writes an element with text, nothing when there is none.
func (m *markup) text(name, value string, attrs ...string) {
	if value == "" {
		return
	}
	m.begin(name, attrs...)
	m.escape(value)
	m.end()
}

func (m *markup) tag(name string, attrs []string, end string) {
	m.b.WriteString("<ofd:" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] == "" {
			continue
		}
		m.b.WriteString(" " + attrs[i] + `="`)
		m.escape(attrs[i+1])
		m.b.WriteByte('"')
	}
	m.b.WriteString(end)
}

func (m *markup) escape(s string) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF }) {
		m.fail("a text has characters that XML cannot carry")
	}
	xml.EscapeText(&m.b, []byte(s)) // a bytes.Buffer does not fail
}

// bytes closes the root element and returns the file.
func (m *markup) bytes() ([]byte, error) {
	for len(m.open) > 0 {
		m.end()
	}
	return m.b.Bytes(), m.err
}

func (m *markup) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf("%w: "+format, append([]any{ErrDocument}, args...)...)
	}
}

// number writes a length in millimetres to a tenth of a micrometre. NaN and infinities make the document fail.
func (m *markup) number(v float64) string {
	if math.IsNaN(v) || math.Abs(v) > 1e6 {
		m.fail("a length is no number")
		return "0"
	}
	return round(v, 1e4)
}

// round writes a number to one part in parts.
func round(v, parts float64) string {
	v = math.Round(v*parts) / parts
	if v == 0 {
		v = 0 // no minus
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// point writes a point of an outline to 10 micrometres, a dot of 2540 dpi: patterns have thousands, and every digit of them
// is packed, unpacked and digested.
func (m *markup) point(p [2]float64) {
	for _, v := range p {
		m.number(v) // is one
		m.b.WriteByte(' ')
		m.b.WriteString(round(v, 100))
	}
}

// numbers writes lengths with spaces between.
func (m *markup) numbers(values ...float64) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = m.number(v)
	}
	return strings.Join(parts, " ")
}

// box writes ST_Box.
func (m *markup) box(b sheet.Box) string { return m.numbers(b.X, b.Y, b.W, b.H) }
