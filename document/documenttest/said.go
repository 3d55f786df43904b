package documenttest

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"io"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/image/font/sfnt"
)

// Said is everything that a document says, anywhere in it: on pages, in metadata, names, attachments, signatures and fonts.
type Said struct {
	Texts string        // every byte of every part, unpacked, and what a reader copies out of it
	Runes map[rune]bool // characters that its embedded fonts can draw
}

// Holds says whether a value stands anywhere, as UTF-8, as UTF-16 or as hexadecimal digits of either.
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
	s := Said{Texts: string(data) + "\x00", Runes: map[rune]bool{}}
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
	for _, f := range z.File {
		content := must(io.ReadAll(must(f.Open())(tb)))(tb)
		s.Texts += f.Name + "\x00" + f.Comment + "\x00" + string(content) + "\x00"
		if path.Ext(f.Name) == ".ttf" {
			s.font(tb, content)
		}
	}
}

var stream = regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`)

func (s *Said) pdf(tb testing.TB, data []byte) {
	tb.Helper()
	for _, m := range stream.FindAllSubmatch(data, -1) {
		r, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue
		}
		content, _ := io.ReadAll(r)
		s.Texts += string(content) + "\x00"
		if bytes.HasPrefix(content, []byte{0, 1, 0, 0}) {
			s.font(tb, content)
		}
	}
	if tool, err := exec.LookPath("pdftotext"); err == nil {
		for _, order := range []string{"-nopgbrk", "-raw"} { // as it stands on the page, and as it was drawn: turned text, too
			cmd := exec.CommandContext(tb.Context(), tool, order, "-", "-")
			cmd.Stdin = bytes.NewReader(data)
			s.Texts += strings.Join(strings.Fields(string(must(cmd.Output())(tb))), "") + "\x00"
		}
	}
}

// font notes which characters a font can draw.
func (s *Said) font(tb testing.TB, data []byte) {
	tb.Helper()
	f := must(sfnt.Parse(data))(tb)
	var b sfnt.Buffer
	for r := rune(0x20); r < 0x32000; r++ {
		if index, err := f.GlyphIndex(&b, r); err == nil && index != 0 {
			s.Runes[r] = true
		}
	}
}
