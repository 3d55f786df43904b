package documenttest

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/image/font/sfnt"
)

// Said is everything that a document says, anywhere in it: on pages, in metadata, names, attachments, signatures and fonts.
type Said struct {
	Texts  string        // what can be read in it: every text part unpacked, the container around the packed parts, and what a reader copies out of it
	Runes  map[rune]bool // characters that its embedded fonts can draw
	opaque string        // outlines, digests, keys and signatures, in which three given bytes stand by chance
}

// byChance is the length in bytes below which a value may stand in opaque bytes by chance: 8 bytes stand in 256 KiB of random ones once
// in 2^46 documents.
const byChance = 8

// Holds says whether a value stands anywhere, as UTF-8, as UTF-16 or as hexadecimal digits of either. Opaque bytes are searched too, but
// for values shorter than byChance.
func (s Said) Holds(value string) bool {
	var wide []byte
	for _, u := range utf16.Encode([]rune(value)) {
		wide = append(wide, byte(u>>8), byte(u))
	}
	lower := strings.ToLower(s.Texts)
	for _, form := range []string{value, string(wide)} {
		if strings.Contains(s.Texts, form) || strings.Contains(lower, hex.EncodeToString([]byte(form))) {
			return true
		}
		if len(form) >= byChance && strings.Contains(s.opaque, form) {
			return true
		}
	}
	return false
}

// Draws says whether an embedded font can draw a character of a value.
func (s Said) Draws(value string) bool {
	for _, r := range value {
		if s.Runes[r] {
			return true
		}
	}
	return false
}

// Read reads a document of a form, "ofd" or "pdf".
func Read(tb testing.TB, form string, data []byte) Said {
	tb.Helper()
	s := Said{Runes: map[rune]bool{}}
	if form == "ofd" {
		s.ofd(tb, data)
	} else {
		s.pdf(tb, data)
	}
	if len(s.Runes) == 0 {
		tb.Errorf("no font was found in the %s", form)
	}
	return s
}

func (s *Said) ofd(tb testing.TB, data []byte) {
	tb.Helper()
	z := must(zip.NewReader(bytes.NewReader(data), int64(len(data))))(tb)
	container := bytes.Clone(data)
	for _, f := range z.File {
		content := must(io.ReadAll(must(f.Open())(tb)))(tb)
		start := must(f.DataOffset())(tb)
		clear(container[start : start+int64(f.CompressedSize64)]) // packed: it is read as content
		switch {
		case path.Ext(f.Name) == ".ttf":
			s.font(tb, content)
		case utf8.Valid(content):
			s.text(drawing.ReplaceAll(content, nil))
		default:
			s.binary(content)
		}
	}
	s.text(container) // names, comments, and what stands between the parts
}

var (
	stream  = regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`)
	strokes = regexp.MustCompile(`(?m)^[-0-9. ]+( [A-Za-z*]{1,3})?$`) // a line of a page that only draws

	// drawing are the numbers of an OFD page that place and draw things.
	drawing = regexp.MustCompile(`<ofd:AbbreviatedData>[-0-9. A-Z]*</ofd:AbbreviatedData>| (Boundary|CTM|DeltaX|DeltaY|X|Y|Size|LineWidth)="[-0-9. ]*"`)

	encoded  = regexp.MustCompile(`>[A-Za-z0-9+/]{20,}={0,2}<`) // an element that is base64 as a whole
	hexDigit = regexp.MustCompile(`[0-9A-Fa-f]{32,}`)
)

func (s *Said) pdf(tb testing.TB, data []byte) {
	tb.Helper()
	for _, m := range stream.FindAllSubmatch(data, -1) {
		content := m[1]
		if r, err := zlib.NewReader(bytes.NewReader(content)); err == nil {
			content, _ = io.ReadAll(r)
		}
		if bytes.HasPrefix(content, []byte{0, 1, 0, 0}) {
			s.font(tb, content)
		} else {
			s.text(strokes.ReplaceAll(content, nil))
		}
	}
	s.text(stream.ReplaceAll(data, nil))
	if tool, err := exec.LookPath("pdftotext"); err == nil {
		for _, order := range []string{"-nopgbrk", "-raw"} { // as it stands on the page, and as it was drawn: turned text, too
			cmd := exec.CommandContext(tb.Context(), tool, order, "-", "-")
			cmd.Stdin = bytes.NewReader(data)
			s.Texts += strings.Join(strings.Fields(string(must(cmd.Output())(tb))), "") + "\x00"
		}
	}
}

// text notes a part that can be read. Long runs of base64 or hexadecimal digits in it are read as what they encode.
func (s *Said) text(content []byte) {
	content = hexDigit.ReplaceAllFunc(content, func(b []byte) []byte {
		plain, err := hex.DecodeString(string(b))
		if err != nil {
			return b
		}
		s.binary(plain)
		return nil
	})
	content = encoded.ReplaceAllFunc(content, func(b []byte) []byte {
		plain, err := base64.StdEncoding.DecodeString(string(b[1 : len(b)-1]))
		if err != nil {
			return b
		}
		s.binary(plain)
		return []byte("><")
	})
	s.Texts += string(content) + "\x00"
}

// binary notes a part that cannot be read as a whole, with every text in it that DER names as one.
func (s *Said) binary(content []byte) {
	if utf8.Valid(content) || bytes.HasPrefix(content, []byte{0xFE, 0xFF}) { // UTF-8, or UTF-16 as PDF writes it
		s.Texts += string(content) + "\x00"
		return
	}
	s.opaque += string(content) + "\x00"
	var value asn1.RawValue
	for rest := content; len(rest) > 0; {
		var err error
		if rest, err = asn1.Unmarshal(rest, &value); err != nil {
			return
		}
		switch {
		case value.IsCompound, value.Class == asn1.ClassUniversal && value.Tag == asn1.TagOctetString:
			s.binary(value.Bytes)
		case value.Class == asn1.ClassUniversal && value.Tag == asn1.TagBitString && len(value.Bytes) > 1:
			s.binary(value.Bytes[1:])
		case value.Tag != asn1.TagInteger:
			s.Texts += string(value.Bytes) + "\x00"
		}
	}
}

// font notes what a font says of itself, and which characters it can draw.
func (s *Said) font(tb testing.TB, data []byte) {
	tb.Helper()
	s.opaque += string(data) + "\x00"
	f := must(sfnt.Parse(data))(tb)
	var b sfnt.Buffer
	for id := sfnt.NameIDCopyright; id <= sfnt.NameIDVariationsPostScriptPrefix; id++ {
		if name, err := f.Name(&b, id); err == nil {
			s.Texts += name + "\x00"
		}
	}
	for r := rune(0x20); r < 0x32000; r++ {
		if index, err := f.GlyphIndex(&b, r); err == nil && index != 0 {
			s.Runes[r] = true
		}
	}
}
