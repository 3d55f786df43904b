package documenttest

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"

	"golang.org/x/image/font/gofont/goregular"
)

// A share such as 1/2 is three bytes: it is found wherever it can be read, and not where three bytes stand by chance in packed, hashed
// or signed ones.
func TestHolds(t *testing.T) {
	const share = "1/2"
	digest := append([]byte{0xFF, 0xFE, 0x80}, bytes.Repeat([]byte{0xC3}, 29)...)
	copy(digest[8:], share)
	inBase64 := append([]byte{0xFF}, bytes.Repeat([]byte{0xC3}, 31)...)
	copy(inBase64[3:], must(base64.StdEncoding.DecodeString(share+"A"))(t)) // 1/2A
	der := func(v any) []byte { return must(asn1.Marshal(v))(t) }

	for name, c := range map[string]struct {
		file, comment, part, value string
		want                       bool
	}{
		"page":             {part: `<ofd:TextCode X="0" DeltaX="2 2">占1/2份</ofd:TextCode>`, want: true},
		"attribute":        {part: `<a Name="1/2"/>`, want: true},
		"name of a part":   {file: "Doc_0/1/2.xml", want: true},
		"comment":          {comment: share, want: true},
		"hexadecimal":      {part: "<x>" + hex.EncodeToString([]byte("the share is "+share+" of a flat")) + "</x>", want: true},
		"base64":           {part: "<x>" + base64.StdEncoding.EncodeToString([]byte("the share is "+share)) + "</x>", want: true},
		"seal's text":      {part: string(der(struct{ A []byte }{der(struct{ S string }{share})})) + "\xff", want: true},
		"digest in a seal": {part: string(der(struct{ A []byte }{digest})), want: false},
		"digest in base64": {part: "<x>" + base64.StdEncoding.EncodeToString(inBase64) + "</x>", want: false},
		"digest in hex":    {part: "<x>" + hex.EncodeToString(digest) + "</x>", want: false},
		"picture":          {part: "\x89PNG" + string(digest), want: false},
		"coordinates":      {part: `<ofd:AbbreviatedData>M 89.50 1.2 L 3 4</ofd:AbbreviatedData>`, value: "89.50", want: false},
		"area":             {part: `<ofd:TextCode X="89.5">89.50</ofd:TextCode>`, value: "89.50", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for name, content := range map[string]string{cmp.Or(c.file, "part"): c.part, "font.ttf": string(goregular.TTF)} {
				// Stored, so that the container's bytes are those of the part.
				w := must(z.CreateHeader(&zip.FileHeader{Name: name, Comment: c.comment, Method: zip.Store}))(t)
				fmt.Fprint(w, content)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			said := Read(t, "ofd", b.Bytes())
			if got := said.Holds(cmp.Or(c.value, share)); got != c.want {
				t.Errorf("holds it: %v, want %v", got, c.want)
			}
			if said.Holds("1/3") {
				t.Error("holds what does not stand in it")
			}
		})
	}
	long := "91379901MA9920002Q" // no chance: it is found in any bytes
	if s := (Said{opaque: "\x80" + long + "\xff"}); !s.Holds(long) {
		t.Error("a long value in opaque bytes was not found")
	}
}
