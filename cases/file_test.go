package cases

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

func packed(t *testing.T, comment string, sizes map[string]int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, size := range sizes {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(bytes.Repeat([]byte{'0'}, size))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMediaOf gives what a window may receive, and what people who mean harm bring.
func TestMediaOf(t *testing.T) {
	var photo, drawing bytes.Buffer
	scan := image.NewGray(image.Rect(0, 0, 8, 8))
	if err := jpeg.Encode(&photo, scan, nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&drawing, scan); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(drawing.Bytes())
	copy(huge[16:24], []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff}) // 65535 × 65535
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	pdf := []byte("%PDF-1.7\n1 0 obj\n%%EOF\n")
	ofd := packed(t, "", map[string]int{"OFD.xml": 10, "Doc_0/Document.xml": 10})
	many := map[string]int{"OFD.xml": 1}
	for i := range mostEntries {
		many[strings.Repeat("a", i%50+1)+string(rune('0'+i/50))] = 0
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"PDF": {pdf, MediaPDF}, "OFD": {ofd, MediaOFD}, "photo": {photo.Bytes(), MediaJPEG}, "drawing": {drawing.Bytes(), MediaPNG},
		"nothing": {nil, ""}, "text": {[]byte("a scan"), ""}, "page": {[]byte("<!doctype html><script>"), ""}, "program": {[]byte("MZ\x90\x00\x03"), ""},
		"archive without a document":    {packed(t, "", map[string]int{"evil.exe": 10}), ""},
		"bomb":                          {packed(t, "", map[string]int{"OFD.xml": 10, "Doc_0/Res/a": mostUnpacked}), ""},
		"many entries":                  {packed(t, "", many), ""},
		"archive with a comment":        {packed(t, "<script>", map[string]int{"OFD.xml": 10}), ""},
		"document that is an archive":   {append(bytes.Clone(pdf), ofd...), ""},
		"photo that is an archive":      {append(bytes.Clone(photo.Bytes()), ofd...), ""},
		"archive behind something else": {append([]byte("MZ\x90\x00"), ofd...), ""},
		"photo cut off":                 {photo.Bytes()[:8], ""},
		"picture of 4 billion pixels":   {huge, ""},
	} {
		if got := MediaOf(c.file); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
